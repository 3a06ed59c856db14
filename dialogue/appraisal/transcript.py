"""How an exchange is written for a language model: as a transcript of two named people.

The first line says what it is: with it, and with names in place of letters, the same model tells
the real response from others much more often (docs/log.md, 2026-11-27). After a response can stand
one token more, Yes or No: whether it is the next utterance, or another one put in its place. The
reader has learned which (`benchmarks/fit_reader.py`). Special tokens that stand in a text are
spelled out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from dialogue.encoding import Encoder

_PREAMBLE = "Anna and Ben have a conversation.\n\n"
_SPEAKERS = ("Anna", "Ben")
_RESPONSE_TOKENS = 128


@dataclass(frozen=True, slots=True)
class Spoken:
    """Tokens of a turn: its opening, which is never scored, and what is said, with its end."""

    opening: tuple[int, ...]
    said: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.opening) + len(self.said)


class Transcriber:
    """Writes turns as tokens of one vocabulary."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._ids = Encoder(tokenizer).text
        begin = tokenizer.bos_token_id
        self._start = [*([] if begin is None else [int(begin)]), *self._ids(_PREAMBLE)]
        self.yes, self.no = self._ids("Yes")[0], self._ids("No")[0]

    def turn(self, number: int, text: str) -> Spoken:
        """The number-th turn; who speaks goes by the number."""
        said = self._ids(f" {text}")[: _RESPONSE_TOKENS - 1]
        return Spoken(tuple(self._ids(f"{_SPEAKERS[number % 2]}:")), (*said, *self._ids("\n")))

    def transcript(self, turns: Sequence[Spoken]) -> tuple[NDArray[np.int64], list[int]]:
        """Token ids, and where each turn begins and the last one ends."""
        ids = [*self._start, *(i for turn in turns for i in (*turn.opening, *turn.said))]
        ends = np.cumsum([len(self._start), *map(len, turns)])
        return np.asarray(ids, dtype=np.int64), ends.tolist()
