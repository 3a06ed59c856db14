"""What strangers wrote commands no terminal."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from perennial.data_diff import _print_examples
from perennial.trace import _line

WORDS = "\x1b]0;owned\x07 \x9b31m"
SAFE = "�]0;owned� �31m"


def console() -> Console:
    return Console(file=io.StringIO(), width=100, highlight=False)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_reply_that_is_traced() -> None:
    terminal = console()
    _line(terminal, "reply", WORDS)
    assert shown(terminal) == f"reply      {SAFE}\n"


def test_a_dialogue_that_differs() -> None:
    terminal = console()
    lines = [{"sign": "+", "role": "user", "text": WORDS}]
    example = {"origin": WORDS, "split": "train", "lines": lines}
    summary: dict[str, Any] = {"added": {"train": 1}, "examples": {"added": [example]}}
    _print_examples(terminal, summary, "added")
    assert f"+ {SAFE}  train" in shown(terminal)
    assert f"+ user      {SAFE}" in shown(terminal)
