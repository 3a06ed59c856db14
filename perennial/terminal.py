"""The terminal that commands write to."""

from __future__ import annotations

import os
import sys

from rich.console import Console

_WIDTH = 120


def open_console() -> Console:
    """Standard output; where it is no terminal, wide enough for a line to stay whole.

    Words of a person or a model are printed with `markup=False`: `[/sad]` is no tag, `:smile:` is
    left as it stands everywhere.
    """
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDTH
    return Console(highlight=False, emoji=False, width=width)
