"""How likely a language model finds responses: after what was said before, and elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from dialogue.appraisal.exchange import Exchange, View, tidy, view
from dialogue.encoding import Encoded
from dialogue.metrics import Floats
from dialogue.metrics.likelihood import Branch, Tree, log_likelihoods
from dialogue.model import choose_precision

_PREAMBLE = "Anna and Ben have a conversation.\n\n"
_SPEAKERS = ("Anna", "Ben")
_ELSEWHERE = (
    (),
    ("Hello, how are you?", "I'm fine, thank you.", "What have you been up to?"),
    ("I bought a new car yesterday.", "What kind of car is it?", "It's a small red one."),
)
"""What a response is also read after: nothing, or two turns of which it knows nothing, or three
where the other speaker's turn it is."""
NUM_ELSEWHERE = len(_ELSEWHERE)
_RESPONSE_TOKENS = 128
_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """Nats of N responses after their context [N], elsewhere [N, E], and how many tokens [N]."""

    after: Floats
    elsewhere: Floats
    counts: Floats


@dataclass(frozen=True, slots=True)
class _Reading:
    """What is read at once, and where each response's tokens are in the answer: part and place.

    Part 0 of the answer is the trunk's, part n the n-th branch's.
    """

    tree: Tree
    places: tuple[tuple[int, slice], ...]


class Reader:
    """A causal language model that reads exchanges as transcripts of two named people.

    The first line says what they are: with it, and with names in place of letters, the same model
    tells the real response from others much more often (docs/log.md, 2026-11-27).
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
        self._model, self._tokenizer = model, tokenizer
        begin = tokenizer.bos_token_id
        self._start = [*([] if begin is None else [int(begin)]), *self._ids(_PREAMBLE)]

    def read(
        self, exchanges: Sequence[Exchange], advance: Callable[[int], None] = lambda _: None
    ) -> Likelihoods:
        """How likely each response is; a conversation's turns are read in one pass.

        Args:
            exchanges: what to read, N of them, in any order.
            advance: told how many responses are done since the last call.
        """
        views = [view(each.context) for each in exchanges]
        responses = [tidy(each.response) for each in exchanges]
        after, counts = np.zeros((2, len(exchanges)))
        elsewhere = np.zeros((len(exchanges), NUM_ELSEWHERE))
        for groups in _batches(_nested(views)):
            members = [index for group in groups for index in group]
            numbers = [views[index].first + len(views[index].turns) for index in members]
            said = [
                self._turn(n, responses[index]) for n, index in zip(numbers, members, strict=True)
            ]
            turns = dict(zip(members, said, strict=True))
            readings = [self._after(views, turns, group) for group in groups]
            readings += [self._elsewhere(transcript, numbers, said) for transcript in _ELSEWHERE]
            trees = [reading.tree for reading in readings]
            parts = log_likelihoods(self._model, trees, choose_precision("auto"))
            found = [
                [own[part][span] for part, span in reading.places]
                for reading, own in zip(readings, parts, strict=True)
            ]
            first = [tokens for own in found[: len(groups)] for tokens in own]
            after[members] = [tokens.sum() for tokens in first]
            counts[members] = [len(tokens) for tokens in first]
            for column, own in enumerate(found[len(groups) :]):
                elsewhere[members, column] = [tokens.sum() for tokens in own]
            advance(len(members))
        return Likelihoods(after, elsewhere, counts)

    def _after(
        self,
        views: Sequence[View],
        responses: dict[int, tuple[list[int], list[int]]],
        group: Sequence[int],
    ) -> _Reading:
        """The first view as a transcript, each response after its part of it.

        A response that is the transcript's own next turn is scored where it stands.
        """
        longest = views[group[0]]
        turns = [self._turn(longest.first + n, text) for n, text in enumerate(longest.turns)]
        ids, ends = self._transcript(turns)
        mask = np.zeros(len(ids), dtype=np.bool_)
        branches: list[Branch] = []
        stands: dict[int, tuple[int, int]] = {}
        for index in group:
            number = len(views[index].turns)
            opening, said = responses[index]
            if number < len(turns) and turns[number] == (opening, said):
                first = ends[number] + len(opening)
                mask[first : first + len(said)] = True
                stands[index] = first, first + len(said)
            else:
                branches.append(Branch(ends[number], _scored(opening, said)))
        before = np.cumsum([0, *mask])
        numbers = iter(range(1, len(branches) + 1))
        places = [
            (0, slice(*(int(before[place]) for place in stands[index])))
            if index in stands
            else (next(numbers), slice(None))
            for index in group
        ]
        return _Reading(Tree(Encoded(ids, mask), tuple(branches)), tuple(places))

    def _elsewhere(
        self,
        transcript: Sequence[str],
        numbers: Sequence[int],
        responses: Sequence[tuple[list[int], list[int]]],
    ) -> _Reading:
        """Every response, the number-th turn where it belongs, after turns that are not its own."""
        ids, ends = self._transcript([self._turn(n, text) for n, text in enumerate(transcript)])
        branches = tuple(
            Branch(ends[2 + number % 2] if transcript else ends[0], _scored(*response))
            for number, response in zip(numbers, responses, strict=True)
        )
        trunk = Encoded(ids, np.zeros(len(ids), dtype=np.bool_))
        places = tuple((part, slice(None)) for part in range(1, len(branches) + 1))
        return _Reading(Tree(trunk, branches), places)

    def _transcript(
        self, turns: Sequence[tuple[list[int], list[int]]]
    ) -> tuple[NDArray[np.int64], list[int]]:
        """Token ids, and where each turn begins and the last one ends."""
        ids = [*self._start, *(i for turn in turns for part in turn for i in part)]
        lengths = [len(opening) + len(said) for opening, said in turns]
        ends = np.cumsum([len(self._start), *lengths])
        return np.asarray(ids, dtype=np.int64), ends.tolist()

    def _turn(self, number: int, text: str) -> tuple[list[int], list[int]]:
        """The opening of a turn, which is never scored, and what is said with its end."""
        return (
            self._ids(f"{_SPEAKERS[number % 2]}:"),
            [*self._ids(f" {text}")[: _RESPONSE_TOKENS - 1], *self._ids("\n")],
        )

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids


def _nested(views: Sequence[View]) -> list[list[int]]:
    """Indices in groups: each begins with the longest view, which begins with all the others."""

    def key(index: int) -> tuple[int, tuple[str, ...]]:
        return views[index].first % 2, views[index].turns

    groups: list[list[int]] = []
    for index in sorted(range(len(views)), key=key, reverse=True):
        speaker, turns = key(index)
        if groups:
            same, longest = key(groups[-1][0])
            if same == speaker and longest[: len(turns)] == turns:
                groups[-1].append(index)
                continue
        groups.append([index])
    return groups


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


def _scored(opening: Sequence[int], said: Sequence[int]) -> Encoded:
    ids = np.asarray([*opening, *said], dtype=np.int64)
    return Encoded(ids, np.arange(len(ids)) >= len(opening))
