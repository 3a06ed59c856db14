"""`perennial show`: what a domain's dialogues are to the model, and what was set aside."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from perennial.project import enter_project

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from dialogue.config import Params
    from tasks.examples import Example, Places

_LEARNED = "bold green"
_OPEN, _CLOSE = "⟦", "⟧"
_VISIBLE = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"}
_VISIBLE |= {0x7F: "\u2421"} | dict.fromkeys(range(128, 160), "�")
"""Control characters, as they may stand in data: shown, so that they cannot steer a terminal."""


def show_command(
    domain: Annotated[str, typer.Argument(help="a domain of the curriculum")],
    which: Annotated[
        list[str] | None,
        typer.Argument(metavar="[INDEX|ID]…", help="an index, or the beginning of an id"),
    ] = None,
    split: Annotated[
        Literal["train", "validation", "test"] | None,
        typer.Option(help="only this split; indices count in train unless it says otherwise"),
    ] = None,
    rejects: Annotated[
        bool, typer.Option("--rejects", help="the rows that were set aside, with file and reason")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="how many are shown at most")] = 3,
) -> None:
    """Print dialogues as the model reads them, the tokens it learns apart from the others.

    On a terminal what is learned is green; elsewhere it stands in ⟦ ⟧.
    """
    from perennial.terminal import open_console
    from tasks.examples import places_of, read_examples

    project, params = enter_project()
    _check_domain(params, domain)
    if rejects and (which or split):
        raise ValueError("--rejects: rows that were set aside have no index, id or split")
    console = open_console()
    places = places_of(project, domain)
    if rejects:
        _print_rejects(console, places, limit)
        return
    examples, count = read_examples(places, which or (), split, limit)
    for example in examples:
        _print_example(console, example)
    if not examples:
        console.print(f"{domain}: no dialogues in {split or 'train'}.")
    _print_rest(console, count - len(examples))


def _check_domain(params: Params, domain: str) -> None:
    if domain not in params.curriculum:
        raise ValueError(
            f"{domain}: no such domain in the curriculum; there are {', '.join(params.curriculum)}"
        )


def _print_example(console: Console, example: Example) -> None:
    dialogue = example.dialogue
    console.print(f"[bold]{example.split} {example.index}[/bold]  {example.id}")
    if dialogue is None:
        console.print("not among the valid dialogues any more: `perennial run`", style="yellow")
    else:
        origin = f"{dialogue.source}  {dialogue.origin}  {dialogue.licence}"
        console.print(_safe(origin), style="dim", markup=False, soft_wrap=True)
    counts = f"{example.num_tokens} tokens, {example.num_learned} learned"
    console.print(counts, style="dim")
    if example.num_cut:
        console.print(
            f"cut: {example.num_cut} more tokens are left out, for with them it is longer than "
            "`encode.max_tokens`",
            style="yellow",
            soft_wrap=True,
        )
    console.print(_text(console, example), soft_wrap=True)


def _text(console: Console, example: Example) -> Text:
    from rich.text import Text

    coloured = console.is_terminal and console.color_system is not None and not console.no_color
    text = Text()
    for part in example.parts:
        shown = _safe(part.text)
        if not part.learned:
            text.append(shown, style="dim" if coloured else "")
        elif coloured:
            text.append(shown, style=_LEARNED)
        else:
            text.append(f"{_OPEN}{shown}{_CLOSE}")
    return text


def _print_rejects(console: Console, places: Places, limit: int) -> None:
    from tasks.examples import read_set_aside

    rows = read_set_aside(places)
    shown = 0
    for row in islice(rows, limit):
        shown += 1
        console.print(f"[bold]{row.kind}[/bold]  ", end="")
        console.print(_safe(f"{row.origin}: {row.reason}"), markup=False, soft_wrap=True)
        for line in _safe(row.excerpt).splitlines():
            console.print(f"  {line}", style="dim", markup=False, soft_wrap=True)
    if not shown:
        console.print(f"{places.domain}: nothing was set aside.")
    _print_rest(console, sum(1 for _ in rows))


def _print_rest(console: Console, count: int) -> None:
    if count > 0:
        console.print(f"and {count:,} more; `--limit` shows them", style="dim")


def _safe(text: str) -> str:
    return text.translate(_VISIBLE)
