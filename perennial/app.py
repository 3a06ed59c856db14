"""The `perennial` command: its subcommands, and how every one of them ends."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType

import typer

from perennial.chat import chat_command
from perennial.data import data_app
from perennial.doctor import doctor_command
from perennial.profile import profile_command
from perennial.promote import promote_command, rollback_command
from perennial.run import run_command
from perennial.score import score_command
from perennial.serve import serve_command
from perennial.show import show_command
from perennial.status import status_command
from perennial.trace import trace_command
from tasks.faults import INTERRUPTED, told_to_people
from tasks.stores import named_stores

_COMMANDS = (
    ("run", run_command, "perennial run"),
    ("chat", chat_command, "perennial chat"),
    ("serve", serve_command, "perennial serve --port 8200"),
    ("status", status_command, "perennial status"),
    ("promote", promote_command, "perennial promote 3 --override --reason 'the pilot liked it'"),
    ("rollback", rollback_command, "perennial rollback --reason 'it answers too curtly'"),
    ("trace", trace_command, "perennial trace 3"),
    ("show", show_command, "perennial show support --split test"),
    ("score", score_command, "perennial score replies.jsonl --output scored.jsonl"),
    ("doctor", doctor_command, "perennial doctor"),
    ("profile", profile_command, "perennial profile tiny"),
)


def main() -> None:
    """Run a subcommand; a fault the person can mend ends as `error:` lines and exit status 2.

    A fault of the program ends with its traceback and exit status 1.
    """
    _open_what_is_closed()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A run started with nohup is meant to outlive its terminal.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        with told_to_people(), named_stores():
            application()()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def application() -> typer.Typer:
    """The parser of the command line."""
    app = typer.Typer(
        help="A chatbot that keeps learning, and never gets worse unnoticed.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name, command, example in _COMMANDS:
        app.command(name, epilog=f"Example: [bold]{example}[/bold]")(command)
    app.add_typer(data_app, name="data")
    return app


def _open_what_is_closed() -> None:
    """A standard stream that the caller closed: the next file opened would take its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - until the end


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
