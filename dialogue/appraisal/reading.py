"""How likely a language model finds responses, after what was said before and elsewhere.

And whether it takes them for the next utterance: it has learned to say Yes or No after a response.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from dialogue.appraisal.exchange import Exchange, View, tidy, view
from dialogue.appraisal.transcript import Spoken, Transcriber
from dialogue.encoding import Encoded
from dialogue.metrics import Floats
from dialogue.metrics.likelihood import Branch, Tree, log_likelihoods
from dialogue.model import choose_precision

_ELSEWHERE = (
    (),
    ("Hello, how are you?", "I'm fine, thank you.", "What have you been up to?"),
    ("I bought a new car yesterday.", "What kind of car is it?", "It's a small red one."),
)
"""What a response is also read after: nothing, or two turns of which it knows nothing, or three
where the other speaker's turn it is."""
NUM_ELSEWHERE = len(_ELSEWHERE)
_AT_ONCE = 64
_SUREST = 1e-6


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """Nats of N responses after their context [N], elsewhere [N, E], and how many tokens [N].

    `next_utterance` [N] is the log-odds that a response is the one its context was given.
    """

    after: Floats
    elsewhere: Floats
    counts: Floats
    next_utterance: Floats


@dataclass(frozen=True, slots=True)
class _Reading:
    """What is read at once, and where each response's tokens are in the answer: part and place.

    Part 0 of the answer is the trunk's, part n the n-th branch's.
    """

    tree: Tree
    places: tuple[tuple[int, slice], ...]


class Reader:
    """A causal language model that reads exchanges as transcripts."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
        self._model = model
        self._transcriber = Transcriber(tokenizer)

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
        after, counts, yes = np.zeros((3, len(exchanges)))
        elsewhere = np.zeros((len(exchanges), NUM_ELSEWHERE))
        for groups in _batches(_nested(views)):
            members = [index for group in groups for index in group]
            numbers = [views[index].first + len(views[index].turns) for index in members]
            said = [
                self._transcriber.turn(n, responses[index])
                for n, index in zip(numbers, members, strict=True)
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
            # After its context each response has a branch of its own, which ends in the answer.
            yes[members] = [branch[-1] for own in parts[: len(groups)] for branch in own[1:]]
            for column, own in enumerate(found[len(groups) :]):
                elsewhere[members, column] = [tokens.sum() for tokens in own]
            advance(len(members))
        share = np.clip(np.exp(yes), _SUREST, 1 - _SUREST)
        return Likelihoods(after, elsewhere, counts, np.log(share / (1 - share)))

    def _after(
        self, views: Sequence[View], responses: dict[int, Spoken], group: Sequence[int]
    ) -> _Reading:
        """The first view as a transcript, each response after its part of it, and then Yes.

        A response that is the transcript's own next turn is scored where it stands.
        """
        longest = views[group[0]]
        turns = [
            self._transcriber.turn(longest.first + n, text) for n, text in enumerate(longest.turns)
        ]
        ids, ends = self._transcriber.transcript(turns)
        answer = (self._transcriber.yes,)
        mask = np.zeros(len(ids), dtype=np.bool_)
        branches: list[Branch] = []
        stands: dict[int, tuple[int, int]] = {}
        for index in group:
            number = len(views[index].turns)
            response = responses[index]
            if number < len(turns) and turns[number] == response:
                first = ends[number] + len(response.opening)
                mask[first : ends[number + 1]] = True
                stands[index] = first, ends[number + 1]
                branches.append(Branch(ends[number + 1], _scored((), answer)))
            else:
                said = (*response.said, *answer)
                branches.append(Branch(ends[number], _scored(response.opening, said)))
        before = np.cumsum([0, *mask])
        places = [
            (0, slice(*(int(before[place]) for place in stands[index])))
            if index in stands
            else (part, slice(0, -1))
            for part, index in enumerate(group, start=1)
        ]
        return _Reading(Tree(Encoded(ids, mask), tuple(branches)), tuple(places))

    def _elsewhere(
        self, transcript: Sequence[str], numbers: Sequence[int], responses: Sequence[Spoken]
    ) -> _Reading:
        """Every response, the number-th turn where it belongs, after turns that are not its own."""
        turns = [self._transcriber.turn(n, text) for n, text in enumerate(transcript)]
        ids, ends = self._transcriber.transcript(turns)
        branches = tuple(
            Branch(
                ends[2 + number % 2] if transcript else ends[0],
                _scored(response.opening, response.said),
            )
            for number, response in zip(numbers, responses, strict=True)
        )
        trunk = Encoded(ids, np.zeros(len(ids), dtype=np.bool_))
        places = tuple((part, slice(None)) for part in range(1, len(branches) + 1))
        return _Reading(Tree(trunk, branches), places)


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
