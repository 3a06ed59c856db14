"""`perennial chat`: talk to the champion, or to any server, in the terminal."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perennial.partners import LocalPartner, NoReplyError, Partner, RemotePartner
from perennial.project import enter_project
from perennial.terminal import cleaned

if TYPE_CHECKING:
    from rich.console import Console

    from dialogue.serving.store import Opinion

_HELP = (
    "[dim]/good or /bad, with a reason if you like, rates the last reply · /new begins anew · "
    "/quit or Ctrl-D leaves · Ctrl-C stops a reply[/dim]"
)
# A model may write any character: none may move the cursor or colour the terminal.
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def chat_command(
    url: Annotated[
        str | None, typer.Option(help="talk to this server, as http://127.0.0.1:8100")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="talk to this model folder instead of the champion")
    ] = None,
) -> None:
    """Talk to the champion in the terminal, reply by reply as it is written.

    Ratings are kept as the server keeps them: they become the next round's dialogues.
    """
    if url is not None and model is not None:
        raise ValueError("--url and --model: a server chooses its own model; give one of the two")
    from rich.console import Console

    console = Console(highlight=False, emoji=False)
    if url is not None:
        partner: Partner = RemotePartner(url)
    else:
        project, params = enter_project()
        with console.status("reading the model"):
            partner = LocalPartner(params, project, model)
    with contextlib.closing(partner):
        converse(partner, console)


def converse(partner: Partner, console: Console) -> None:
    """Read what a person says, and show what is answered, until they leave."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        # Bytes that are no UTF-8 would end the conversation.
        sys.stdin.reconfigure(errors="replace")
    console.print(cleaned(partner.label), style="bold", markup=False)
    console.print(_HELP)
    messages: list[dict[str, str]] = []
    while (said := _listen(console)) is not None:
        command, _, rest = said.partition(" ")
        if command in ("/quit", "/exit"):
            return
        if command == "/new":
            messages.clear()
            console.print("[dim]a new conversation[/dim]")
        elif command in ("/good", "/bad"):
            _rate(partner, console, "up" if command == "/good" else "down", rest.strip())
        elif command.startswith("/"):
            console.print(_HELP)
        elif said:
            messages.append({"role": "user", "content": said})
            reply = _show_answer(partner, console, messages)
            if reply:
                messages.append({"role": "assistant", "content": reply})
            else:
                messages.pop()


def _listen(console: Console) -> str | None:
    """The next line; None at the end of input."""
    try:
        if sys.stdin.isatty():
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401 - gives input() a history and the arrow keys
            line = console.input("\n[bold green]you[/bold green]  ")
        elif not (line := sys.stdin.readline()):
            return None
    except (EOFError, KeyboardInterrupt):
        console.print()
        return None
    return line.strip()


def _show_answer(partner: Partner, console: Console, messages: list[dict[str, str]]) -> str:
    """Print a reply as it comes; returns what was said of it, stopped or not."""
    said: list[str] = []
    start = time.monotonic()
    note, fault = "", ""
    answer = partner.answer(messages)
    try:
        for piece in answer:
            said.append(piece)
            console.print(piece.translate(_CONTROLS), end="", markup=False, soft_wrap=True)
    except KeyboardInterrupt:
        note = " · stopped"
    except NoReplyError as error:
        fault = str(error)
    finally:
        answer.close()
    if said:
        seconds = time.monotonic() - start
        about = f"\n{cleaned(partner.label)} · {seconds:.1f} s{note}"
        console.print(about, style="dim", markup=False)
    elif not note and not fault:
        fault = "the model had nothing to say"
    if fault:
        console.print(cleaned(fault), style="red", markup=False)
    return "".join(said)


def _rate(partner: Partner, console: Console, opinion: Opinion, reason: str) -> None:
    try:
        partner.rate(opinion, reason)
    except NoReplyError as error:
        console.print(cleaned(str(error)), style="red", markup=False)
    else:
        console.print("[dim]kept, thank you[/dim]")
