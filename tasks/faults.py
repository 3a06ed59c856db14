"""How a program ends: by what a person can mend, or by its own fault, with the traceback."""

from __future__ import annotations

import errno
import json
import opcode
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER_ERROR = 2
"""The exit status that says: the `error:` lines name what to mend."""
INTERRUPTED = 130

# A step that DVC started is `__main__` itself.
_OURS = ("perennial", "flows", "tasks", "dialogue", "__main__")


@contextmanager
def told_to_people() -> Iterator[None]:
    """What a person can mend ends the program with `error:` lines and `USER_ERROR`.

    A fault of the program passes, and ends with its traceback and exit status 1.

    Raises:
        SystemExit: of a ValueError or OSError that `is_for_people`.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        if not is_for_people(error):
            raise
        for line in _said(error).splitlines():
            sys.stderr.write(f"error: {line}\n")
        raise SystemExit(USER_ERROR) from None


def is_for_people(error: ValueError | OSError) -> bool:
    """Whether a person can mend it; else the program broke, and its traceback tells where.

    People are told what our own code raises, what the system says of a file, and what cannot be
    read in it. Any other ValueError came out of a call, of numpy's or torch's say, that ours made
    wrongly.
    """
    from pydantic import ValidationError  # noqa: PLC0415

    if isinstance(error, OSError | UnicodeError | json.JSONDecodeError | ValidationError):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    assert trace is not None
    # A library written in C leaves no frame of its own: what tells is the `raise` in ours.
    instruction = opcode.opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]]
    package = str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0]
    return package in _OURS and instruction == "RAISE_VARARGS"


def _said(error: ValueError | OSError) -> str:
    """The file first, as in every message, where the system names one."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    if error.errno == errno.ENOSPC:
        # Of a file that is being written the system names nothing.
        return f"{error.filename or Path.cwd()}: {error.strerror}; make room and run again"
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)
