"""`perennial score`: how good responses are, line by line, with nothing but their context."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dialogue.appraisal import Exchange

_AT_ONCE = 256


def score_command(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help='JSON lines: {"context": ["turn", …], "response": "…"}; - for stdin',
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="where to write; by default stdout")
    ] = None,
) -> None:
    """Appraise responses by their context alone: every measure and a composite, a line each.

    Each line of FILE is written again with the measures added. The models are fetched from the
    package registry once. docs/metrics.md says what each measure does not see.
    """
    lines = _read(file)
    # Imported here: torch takes seconds, and a fault of the file shows at once.
    from dialogue.appraisal import load_appraiser
    from dialogue.progress import Progress
    from dialogue.writing import named_where_it_fails
    from tasks._environment import quiet_environment

    quiet_environment(Path.cwd())
    appraiser = load_appraiser()
    bar = Progress("score", len(lines), "responses")
    measures: dict[str, list[float]] = {}
    for start in range(0, len(lines), _AT_ONCE):
        part = lines[start : start + _AT_ONCE]
        found = appraiser.appraise([exchange for _, exchange in part])
        for name, values in found.items():
            measures.setdefault(name, []).extend(values.tolist())
        bar.advance(len(part))
    bar.finish()
    text = "".join(f"{line}\n" for line in _written([row for row, _ in lines], measures))
    if output is None:
        sys.stdout.write(text)
    else:
        partial = output.with_name(f".partial-{output.name}")
        with named_where_it_fails(output, partial):
            partial.write_text(text, encoding="utf-8")
            partial.replace(output)
    _summarize(measures)


def _read(file: Path) -> list[tuple[Mapping[str, Any], Exchange]]:
    """Every line with the exchange in it.

    Raises:
        ValueError: a line is no exchange; all such lines are named, the first ten of them.
    """
    name = "stdin" if str(file) == "-" else str(file)
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    rows: list[tuple[Mapping[str, Any], Exchange]] = []
    faults: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            rows.append((row, _exchange(row)))
        except ValueError as error:
            faults.append(f"{name}, line {number}: {error}")
    if faults:
        more = [f"{len(faults) - 10} more such lines"] if len(faults) > 10 else []
        raise ValueError("\n".join([*faults[:10], *more]))
    if not rows:
        raise ValueError(f'{name}: no line; each is {{"context": ["turn", …], "response": "…"}}')
    return rows


def _exchange(row: object) -> Exchange:
    from dialogue.appraisal import Exchange

    if not isinstance(row, dict):
        raise ValueError("not an object; give `context` and `response`")
    missing = [field for field in ("context", "response") if field not in row]
    if missing:
        raise ValueError(f"no `{'`, no `'.join(missing)}`; give a list of turns and a text")
    context, response = row["context"], row["response"]
    if not isinstance(context, list) or not all(isinstance(turn, str) for turn in context):
        raise ValueError("`context` is no list of texts; give one text per turn, oldest first")
    if not isinstance(response, str) or not response.strip():
        raise ValueError("`response` is no text, or an empty one")
    return Exchange(tuple(context), response)


def _written(
    rows: Sequence[Mapping[str, Any]], measures: Mapping[str, Sequence[float]]
) -> Iterator[str]:
    for index, row in enumerate(rows):
        found = {name: round(values[index], 6) for name, values in measures.items()}
        yield json.dumps({**row, **found}, ensure_ascii=False)


def _summarize(measures: Mapping[str, Sequence[float]]) -> None:
    """Means and quartiles, beside the output."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    table = Table("", "mean", "lowest quarter below", "highest quarter above", box=None)
    for name, values in measures.items():
        low, high = np.quantile(values, [0.25, 0.75])
        table.add_row(name, f"{np.mean(values):.3f}", f"{low:.3f}", f"{high:.3f}")
    Console(stderr=True, highlight=False).print(table)
