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

from dialogue.records import Dialogue, Role, Turn
from dialogue.tokenization import END_OF_TURN

ROLES: tuple[Role, ...] = ("system", "user", "assistant")

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
        self.backend = tokenizer.backend_tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        """What texts are tokenized with: special tokens that stand in them are spelled out."""
        self.backend.encode_special_tokens = True
        self.backend.no_padding()
        self.backend.no_truncation()
        self.openings: dict[str, list[int]] = {
            role: tokenizer.encode(f"<|im_start|>{role}\n", add_special_tokens=False)
            for role in ROLES
        }
        self.end: list[int] = tokenizer.encode(END_OF_TURN, add_special_tokens=False)
        self.newline: list[int] = tokenizer.encode("\n", add_special_tokens=False)

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
        opening = self.openings["assistant"]
        pieces = _fit(self._pieces([turns])[0], max_tokens - len(opening))
        ids = [token for piece in pieces for token in (*piece.opening, *piece.text, *piece.closing)]
        return [*ids[-(max_tokens - len(opening)) :], *opening]

    def text(self, text: str) -> list[int]:
        """Token ids of plain text, special tokens spelled out."""
        ids: list[int] = self.backend.encode(text, add_special_tokens=False).ids
        return ids

    def plain(self, text: str, max_tokens: int) -> Encoded:
        """Plain text, every token supervised; the loss begins at the second one."""
        ids = np.asarray(self.text(text)[:max_tokens], dtype=np.int64)
        return Encoded(ids, np.ones(len(ids), dtype=np.bool_))

    def response(self, text: str) -> list[int]:
        """Token ids of a reply with its end of turn."""
        return [*self.text(text), *self.end]

    def _encode(self, batch: list[Sequence[Turn]], max_tokens: int) -> Iterator[Encoded]:
        for pieces in self._pieces(batch):
            yield _assemble(_fit(pieces, max_tokens), len(self.end), max_tokens)

    def _pieces(self, batch: list[Sequence[Turn]]) -> list[list[_Piece]]:
        texts = [turn.text for turns in batch for turn in turns]
        encodings = iter(self.backend.encode_batch_fast(texts, add_special_tokens=False))
        closing = self.end + self.newline
        return [
            [
                _Piece(turn.role, self.openings[turn.role], next(encodings).ids, closing)
                for turn in turns
            ]
            for turns in batch
        ]


def first_kept(lengths: Sequence[int], learned: Sequence[bool], max_tokens: int) -> int:
    """The turn that a dialogue begins with when its oldest turns go until the rest fits.

    It never starts with a reply to nothing, and the last two turns always stay.

    Args:
        lengths: tokens of each turn, [K].
        learned: which turns are the assistant's, [K].
        max_tokens: how many tokens there may be.
    """
    total = sum(lengths)
    start = 0
    while total > max_tokens and start < len(lengths) - 2:
        total -= lengths[start]
        start += 1
        if learned[start] and start < len(lengths) - 2:
            total -= lengths[start]
            start += 1
    return start


def tokens_cut(
    lengths: Sequence[int], learned: Sequence[bool], openings: Sequence[int], max_tokens: int
) -> int:
    """How many tokens go at the beginning of turns that are still too long.

    The question loses its beginning first, but for what opens the reply; then the reply its end.

    Args:
        lengths: tokens of each turn, [K].
        learned: which turns are the assistant's, [K].
        openings: of `lengths`, the tokens that open the turn, [K].
        max_tokens: how many tokens there may be.
    """
    over = max(sum(lengths) - max_tokens, 0)
    reply = next((turn for turn, is_reply in enumerate(learned) if is_reply), None)
    first = 0 if reply is None else sum(lengths[:reply]) + openings[reply]
    return min(over, max(first - openings[-1], 0))


def _fit(pieces: list[_Piece], max_tokens: int) -> list[_Piece]:
    learned = [piece.role == "assistant" for piece in pieces]
    return pieces[first_kept([len(piece) for piece in pieces], learned, max_tokens) :]


def _assemble(pieces: list[_Piece], end_tokens: int, max_tokens: int) -> Encoded:
    ids: list[int] = []
    mask: list[bool] = []
    for piece in pieces:
        learned = piece.role == "assistant"
        ids += piece.opening + piece.text + piece.closing
        mask += [False] * len(piece.opening)
        mask += [learned] * (len(piece.text) + end_tokens)
        mask += [False] * (len(piece.closing) - end_tokens)
    cut = tokens_cut(
        [len(piece) for piece in pieces],
        [piece.role == "assistant" for piece in pieces],
        [len(piece.opening) for piece in pieces],
        max_tokens,
    )
    ids, mask = ids[cut : cut + max_tokens], mask[cut : cut + max_tokens]
    return Encoded(np.asarray(ids, dtype=np.int64), np.asarray(mask, dtype=np.bool_))
