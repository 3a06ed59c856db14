"""Encoded dialogues as text that says of every token whether it is learned, read or cut off."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
from rich.text import Text
from transformers import PreTrainedTokenizerFast

from dialogue.encoding import Encoded, Encoder
from dialogue.records import Dialogue
from perennial.terminal import cleaned

_LEARNED, _READ, _CUT = "bold green", "", "strike dim"
_SIGNS = {_LEARNED: ("⟦", "⟧"), _READ: ("", ""), _CUT: ("⟪", "⟫")}


class TokenView:
    """Shows sequences as one tokenizer wrote them.

    Args:
        tokenizer: the one they were encoded with.
        is_marked: signs around learned and cut tokens, for where there is no colour.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, *, is_marked: bool) -> None:
        self._tokenizer = tokenizer
        self._encoder = Encoder(tokenizer)
        self._is_marked = is_marked

    def render(self, sequence: Encoded, record: Dialogue | None) -> Text:
        """The tokens as text, with what was cut off of the record before and behind them."""
        text = Text()
        pieces = list(_runs(sequence))
        around = None if record is None else self._around(sequence, record)
        if record is None:
            text.append("its record is no longer there; `perennial run` updates both\n", "yellow")
        elif around is None:
            text.append("its record has changed since; `perennial run` encodes it\n", "yellow")
        elif any(map(len, around)):
            before, behind = around
            note = f"cut off: {len(before)} tokens before and {len(behind)} behind\n"
            text.append(note, "yellow")
            pieces = [(before, _CUT), *pieces, (behind, _CUT)]
        for ids, style in pieces:
            if ids:
                opening, closing = _SIGNS[style] if self._is_marked else ("", "")
                text.append(f"{opening}{self._decoded(ids)}{closing}", style)
        text.rstrip()
        return text

    def _decoded(self, ids: list[int]) -> str:
        text = self._tokenizer.decode(
            ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return cleaned(str(text))

    def _around(self, sequence: Encoded, record: Dialogue) -> tuple[list[int], list[int]] | None:
        """The whole dialogue's tokens before and behind those encoded; None: it has others."""
        whole = self._encoder.dialogue(record.turns, sys.maxsize).ids
        width = len(sequence.ids)
        # The end is nearly always kept: its place is tried first.
        for start in range(len(whole) - width, -1, -1):
            if np.array_equal(whole[start : start + width], sequence.ids):
                return whole[:start].tolist(), whole[start + width :].tolist()
        return None


def _runs(sequence: Encoded) -> Iterator[tuple[list[int], str]]:
    """Neighbours that are all learned, or all only read."""
    borders = np.flatnonzero(np.diff(sequence.mask)) + 1
    parts = zip(np.split(sequence.ids, borders), np.split(sequence.mask, borders), strict=True)
    for ids, mask in parts:
        yield ids.tolist(), _LEARNED if mask.any() else _READ
