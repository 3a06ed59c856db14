"""Drift: how far a domain has moved from what it was, told from two small profiles.

A profile holds counts and no text: how long turns and dialogues are, how often frequent words
stand in them, and where their meaning lies on average. A word is named only if at least
`LEAST_DIALOGUES` dialogues have it and it holds no digit; all others are one number.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from scipy.spatial.distance import cosine, jensenshannon

from dialogue.shingles import UNSPACED

VERSION = 1
LEAST_DIALOGUES = 5
MOST_WORDS = 300
LENGTHS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024)
"""Bounds of the histograms: the last bin is open. Words a turn, and turns a dialogue."""

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to float32[number of texts, D]."""

_ALONE = "".join(f"{chr(first)}-{chr(last)}" for first, last in UNSPACED)
_WORD = re.compile(rf"(?=\w)[{_ALONE}]|[^\W_{_ALONE}]+")
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


class Profile(BaseModel):
    """What is told of a domain's dialogues without their texts.

    Attributes:
        version: of this way of profiling.
        num_dialogues: how many were profiled.
        words_per_turn: turns by how many words they have, one count for each bound of `LENGTHS`.
        turns_per_dialogue: dialogues by how many turns they have, likewise.
        turn_quantiles: words of a turn at 0, 5, 25, 50, 75, 95 and 100 %.
        dialogue_quantiles: turns of a dialogue, likewise.
        vocabulary: the frequent words and how often each stands in the dialogues.
        num_other_words: how many words are not among them.
        embedding: the mean of the dialogues' embeddings, [D]; None where none was made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    num_dialogues: int
    words_per_turn: tuple[int, ...]
    turns_per_dialogue: tuple[int, ...]
    turn_quantiles: tuple[float, ...]
    dialogue_quantiles: tuple[float, ...]
    vocabulary: dict[str, int]
    num_other_words: int
    embedding: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class Drift:
    """Distances between two profiles, each from 0 (nothing moved) to 1.

    Attributes:
        length_drift: the largest difference between two cumulative histograms (the statistic of
            Kolmogorov and Smirnov), of words a turn or of turns a dialogue, whichever is larger.
        vocabulary_drift: Jensen-Shannon distance (Endres and Schindelin 2003) to base 2 of the
            shares of frequent words and of all others together.
        embedding_drift: cosine distance of the mean embeddings; None where one is missing.
    """

    length_drift: float
    vocabulary_drift: float
    embedding_drift: float | None


def profile(dialogues: Iterable[Sequence[str]], embed: Embed | None = None) -> Profile:
    """The profile of dialogues, each the texts of its turns.

    Args:
        dialogues: a stream; a sample of a large domain will do.
        embed: makes embeddings; then all texts are held at once.

    Raises:
        ValueError: there is no dialogue.
    """
    turns: list[int] = []
    words: list[int] = []
    counts: Counter[str] = Counter()
    holders: Counter[str] = Counter()
    texts: list[str] = []
    for dialogue in dialogues:
        tokens = [_WORD.findall(_normal(text)) for text in dialogue]
        said = Counter(token for turn in tokens for token in turn)
        counts.update(said)
        holders.update(said.keys())
        turns.append(len(tokens))
        words.extend(map(len, tokens))
        if embed is not None:
            texts.append("\n".join(dialogue))
    if not turns:
        raise ValueError("no dialogue to profile")
    vocabulary = _frequent(counts, holders)
    return Profile(
        version=VERSION,
        num_dialogues=len(turns),
        words_per_turn=_histogram(words),
        turns_per_dialogue=_histogram(turns),
        turn_quantiles=_quantiles(words),
        dialogue_quantiles=_quantiles(turns),
        vocabulary=vocabulary,
        num_other_words=counts.total() - sum(vocabulary.values()),
        embedding=None if embed is None else _mean(embed(texts)),
    )


def read_profile(content: str, name: str) -> Profile:
    """A profile from its JSON (`Profile.model_dump_json`).

    Args:
        content: the JSON.
        name: what it is called in an error.

    Raises:
        ValueError: it is no profile, or one of another version.
    """
    try:
        result = Profile.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "content"
        raise ValueError(
            f"{name}: no profile: {place}: {first['msg']}; validate the domain again"
        ) from error
    if result.version != VERSION:
        raise ValueError(f"{name}: profile of version {result.version}, not {VERSION}; renew it")
    return result


def drift(before: Profile, after: Profile) -> Drift:
    """How far `after` has moved from `before`."""
    embedding_drift = None
    if before.embedding is not None and after.embedding is not None:
        if len(before.embedding) != len(after.embedding):
            raise ValueError(
                f"embeddings of {len(before.embedding)} and {len(after.embedding)} numbers: "
                "profile the earlier version with the same encoder"
            )
        embedding_drift = max(0.0, float(cosine(before.embedding, after.embedding)))
    return Drift(
        length_drift=max(
            _largest_gap(before.words_per_turn, after.words_per_turn),
            _largest_gap(before.turns_per_dialogue, after.turns_per_dialogue),
        ),
        vocabulary_drift=_vocabulary_drift(before, after),
        embedding_drift=embedding_drift,
    )


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _frequent(counts: Counter[str], holders: Counter[str]) -> dict[str, int]:
    """The words that can be named, the most frequent first; of equally frequent ones by name."""
    named = [
        word
        for word, num_dialogues in holders.items()
        if num_dialogues >= LEAST_DIALOGUES and not any(map(str.isdigit, word))
    ]
    named.sort(key=lambda word: (-counts[word], word))
    return {word: counts[word] for word in named[:MOST_WORDS]}


def _histogram(lengths: Sequence[int]) -> tuple[int, ...]:
    bins = np.searchsorted(LENGTHS, lengths, "right") - 1
    return tuple(np.bincount(bins, minlength=len(LENGTHS)).tolist())


def _quantiles(lengths: Sequence[int]) -> tuple[float, ...]:
    if not lengths:
        return ()
    return tuple(np.quantile(lengths, _QUANTILES).round(2).tolist())


def _mean(embeddings: NDArray[np.float32]) -> tuple[float, ...]:
    return tuple(embeddings.mean(axis=0).round(6).tolist())


def _largest_gap(before: Sequence[int], after: Sequence[int]) -> float:
    first, second = (np.cumsum(counts) / max(1, sum(counts)) for counts in (before, after))
    return float(np.abs(first - second).max())


def _vocabulary_drift(before: Profile, after: Profile) -> float:
    """Over the words that either names; what one does not name it counts among its others."""
    words = sorted(before.vocabulary.keys() | after.vocabulary.keys())
    first, second = (
        [*(each.vocabulary.get(word, 0) for word in words), each.num_other_words]
        for each in (before, after)
    )
    if not sum(first) or not sum(second):
        return float(sum(first) != sum(second))
    return float(jensenshannon(first, second, base=2))
