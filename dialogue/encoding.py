"""Dialogues as tokens: ChatML turns, and which tokens the loss is taken on.

A turn is `<|im_start|>role⏎`, its text, `<|im_end|>`, `⏎`. Each part is tokenized by itself, so
that a response starts with the same token in training as when the model is asked to write it, and
special tokens that stand in a text are spelled out, so that nobody can forge a turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from dialogue.model import END_OF_TURN
from dialogue.records import Dialogue, Turn

_CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class Encoded:
    """A token sequence of length T: `ids` int64 [T], `mask` bool [T], True where supervised."""

    ids: NDArray[np.int64]
    mask: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Piece:
    """One turn's tokens: what opens it, its text, what closes it."""

    role: str
    opening: list[int]
    text: list[int]
    closing: list[int]

    def __len__(self) -> int:
        return len(self.opening) + len(self.text) + len(self.closing)


class Encoder:
    """Encodes dialogues with one tokenizer; texts of a batch are tokenized together."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._plain = tokenizer.backend_tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._plain.encode_special_tokens = True
        self._plain.no_padding()
        self._plain.no_truncation()
        self._openings: dict[str, list[int]] = {
            role: tokenizer.encode(f"<|im_start|>{role}\n", add_special_tokens=False)
            for role in ("system", "user", "assistant")
        }
        self._end: list[int] = tokenizer.encode(END_OF_TURN, add_special_tokens=False)
        self._newline = tokenizer.encode("\n", add_special_tokens=False)

    def dialogue(self, turns: Sequence[Turn], max_tokens: int) -> Encoded:
        """One dialogue; see `dialogues`."""
        return next(self._encode([turns], max_tokens))

    def dialogues(self, dialogues: Iterable[Dialogue], max_tokens: int) -> Iterator[Encoded]:
        """All assistant turns supervised, each with its end of turn.

        Longer dialogues lose their oldest turns, and keep at least the end of the last exchange:
        no sequence is left without a supervised token.
        """
        iterator = iter(dialogues)
        while chunk := list(islice(iterator, _CHUNK)):
            yield from self._encode([dialogue.turns for dialogue in chunk], max_tokens)

    def prompt(self, turns: Sequence[Turn], max_tokens: int) -> list[int]:
        """Token ids of a history, ending where the assistant's reply begins.

        Histories longer than `max_tokens` lose their oldest turns, then the beginning of the
        one that is left.
        """
        opening = self._openings["assistant"]
        pieces = _fit(self._pieces([turns])[0], max_tokens - len(opening))
        ids = [token for piece in pieces for token in (*piece.opening, *piece.text, *piece.closing)]
        return [*ids[-(max_tokens - len(opening)) :], *opening]

    def text(self, text: str) -> list[int]:
        """Token ids of plain text, special tokens spelled out."""
        ids: list[int] = self._plain.encode(text, add_special_tokens=False).ids
        return ids

    def plain(self, text: str, max_tokens: int) -> Encoded:
        """Plain text, every token supervised; the loss begins at the second one."""
        ids = np.asarray(self.text(text)[:max_tokens], dtype=np.int64)
        return Encoded(ids, np.ones(len(ids), dtype=np.bool_))

    def response(self, text: str) -> list[int]:
        """Token ids of a reply with its end of turn."""
        return [*self.text(text), *self._end]

    def _encode(self, batch: list[Sequence[Turn]], max_tokens: int) -> Iterator[Encoded]:
        for pieces in self._pieces(batch):
            yield _assemble(_fit(pieces, max_tokens), len(self._end), max_tokens)

    def _pieces(self, batch: list[Sequence[Turn]]) -> list[list[_Piece]]:
        texts = [turn.text for turns in batch for turn in turns]
        encodings = iter(self._plain.encode_batch_fast(texts, add_special_tokens=False))
        closing = self._end + self._newline
        return [
            [
                _Piece(turn.role, self._openings[turn.role], next(encodings).ids, closing)
                for turn in turns
            ]
            for turns in batch
        ]


def _fit(pieces: list[_Piece], max_tokens: int) -> list[_Piece]:
    """Drop the oldest turns until the rest fits; it never starts with a reply to nothing."""
    total = sum(map(len, pieces))
    start = 0
    while total > max_tokens and start < len(pieces) - 2:
        total -= len(pieces[start])
        start += 1
        if pieces[start].role == "assistant" and start < len(pieces) - 2:
            total -= len(pieces[start])
            start += 1
    return pieces[start:]


def _assemble(pieces: list[_Piece], end_tokens: int, max_tokens: int) -> Encoded:
    ids: list[int] = []
    mask: list[bool] = []
    for piece in pieces:
        learned = piece.role == "assistant"
        ids += piece.opening + piece.text + piece.closing
        mask += [False] * len(piece.opening)
        mask += [learned] * (len(piece.text) + end_tokens)
        mask += [False] * (len(piece.closing) - end_tokens)
    # Of a last exchange that is still too long the question's beginning goes, then the reply's end.
    over = max(len(ids) - max_tokens, 0)
    first = next((index for index, learned in enumerate(mask) if learned), 0)
    cut = min(over, max(first - len(pieces[-1].opening), 0))
    ids, mask = ids[cut : cut + max_tokens], mask[cut : cut + max_tokens]
    return Encoded(np.asarray(ids, dtype=np.int64), np.asarray(mask, dtype=np.bool_))
