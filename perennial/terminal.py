"""The terminal that commands write to, and what is safe to print there."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH = 120
# Strangers may write any character: none may move the cursor or colour the terminal.
_CONTROLS = {code: "�" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def open_console() -> Console:
    """Standard output; where it is no terminal, wide enough for a line to stay whole.

    Words of a person or a model are printed with `markup=False`: `[/sad]` is no tag, `:smile:` is
    left as it stands everywhere.
    """
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDTH
    return Console(highlight=False, emoji=False, width=width)


def cleaned(text: str) -> str:
    """A text that is safe to print."""
    return text.translate(_CONTROLS)
