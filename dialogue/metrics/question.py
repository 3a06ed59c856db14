"""What an exam asks of a dialogue: its turns as tokens, and its last response as the answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from dialogue.encoding import Encoded, Encoder
from dialogue.records import Dialogue, Turn

ANSWER_TOKENS = 32
"""Answers are compared by their first so many tokens: later ones cost much and tell little."""

_START_OF_TURN = "<|im_start|>"


@dataclass(frozen=True, slots=True)
class Question:
    """A dialogue up to its last response.

    Attributes:
        id: the dialogue's.
        turns: those that fit, oldest first; the last one is the response.
        tokens: of these turns, ending where the response ends.
        starts: where each turn's tokens begin; the oldest may have lost its beginning.
        answer: where the response's own tokens begin, behind what opens its turn.
        num_bytes: UTF-8 bytes of all responses among `turns`.
        label: what the response says of the text, where the dialogue is a labelled one.
    """

    id: str
    turns: tuple[Turn, ...]
    tokens: Encoded
    starts: tuple[int, ...]
    answer: int
    num_bytes: int
    label: str | None = None

    @property
    def answer_ids(self) -> NDArray[np.int64]:
        """The response's first tokens, at most ANSWER_TOKENS."""
        return self.tokens.ids[self.answer : self.answer + ANSWER_TOKENS]

    @property
    def answer_length(self) -> int:
        """How many tokens the whole response has."""
        return len(self.tokens.ids) - self.answer


def questions(
    dialogues: Iterable[Dialogue], tokenizer: PreTrainedTokenizerFast, max_tokens: int
) -> Iterator[Question]:
    """A question per dialogue; one without any response asks nothing and is left out."""
    encoder = Encoder(tokenizer)
    start = tokenizer.convert_tokens_to_ids(_START_OF_TURN)
    for dialogue in dialogues:
        replies = [i for i, turn in enumerate(dialogue.turns) if turn.role == "assistant"]
        if not replies:
            continue
        turns = dialogue.turns[: replies[-1] + 1]
        encoded = encoder.dialogue(turns, max_tokens)
        end = int(np.flatnonzero(encoded.mask)[-1]) + 1
        tokens = Encoded(encoded.ids[:end], encoded.mask[:end])
        starts = np.flatnonzero(tokens.ids == start).tolist()
        # A turn that lost its beginning starts at the very first token.
        starts = starts if starts[0] == 0 else [0, *starts]
        unscored = np.flatnonzero(~tokens.mask)
        text = tokenizer.decode(tokens.ids[tokens.mask], skip_special_tokens=True)
        yield Question(
            id=dialogue.id,
            turns=turns[len(turns) - len(starts) :],
            tokens=tokens,
            starts=tuple(starts),
            answer=int(unscored[-1]) + 1,
            num_bytes=len(str(text).encode()),
            label=dialogue.label,
        )
