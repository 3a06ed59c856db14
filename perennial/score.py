"""`perennial score`: how good responses are, line by line, with nothing but their context."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dialogue.metrics import Floats

_AT_ONCE = 256
_MEASURES = (
    "likelihood",
    "mutual_information",
    "next_utterance",
    "turn_similarity",
    "fit",
    "copied",
    "composite",
)
"""What each line gets. Named here too: importing the appraisal takes seconds."""
_Write = Callable[[Iterable[str]], None]


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

    Each line of FILE is written again with the measures added, as soon as it is
    appraised; a bad line is named before anything is. An empty response has the
    lowest composite. The models are fetched from the package registry once.
    docs/metrics.md says what each measure does not see.
    """
    lines = _read(file)
    measures: dict[str, list[float]] = {}
    with _destination(output) as write:
        # Imported here: torch takes seconds, and a fault of the files shows at once.
        from dialogue.appraisal import Exchange, load_appraiser
        from dialogue.progress import Progress
        from tasks._environment import quiet_environment

        quiet_environment(Path.cwd())
        appraiser = load_appraiser()
        bar = Progress("score", len(lines), "responses")
        for start in range(0, len(lines), _AT_ONCE):
            part = lines[start : start + _AT_ONCE]
            exchanges = [Exchange(tuple(row["context"]), row["response"]) for row in part]
            found = appraiser.appraise(exchanges, bar.advance)
            assert found.keys() == set(_MEASURES)
            for name, values in found.items():
                measures.setdefault(name, []).extend(values.tolist())
            write(_written(part, found))
    bar.finish()
    _summarize(measures)


@contextmanager
def _destination(output: Path | None) -> Iterator[_Write]:
    """What writes lines: to stdout at once, or to a file that appears complete or not at all.

    Raises:
        ValueError: there can be no such file.
        OSError: it cannot be written to.
    """
    if output is None:
        yield _to_stdout
        return
    from dialogue.writing import named_where_it_fails, removed_where_it_ends_early

    if not output.parent.is_dir():
        raise ValueError(f"{output}: there is no folder {output.parent}; make it, or name another")
    if output.exists() and not output.is_file():
        raise ValueError(f"{output}: not a file; name one")
    # Another run may be writing to the same output.
    partial = output.with_name(f".partial-{os.getpid()}-{output.name}")

    def write(lines: Iterable[str]) -> None:
        with named_where_it_fails(output, partial), partial.open("a", encoding="utf-8") as written:
            written.writelines(f"{line}\n" for line in lines)

    try:
        partial.write_bytes(b"")
    except OSError as error:
        raise ValueError(
            f"{output}: cannot be written ({error.strerror}); name another place"
        ) from error
    with removed_where_it_ends_early(partial):
        yield write
        with named_where_it_fails(output, partial):
            partial.replace(output)


def _to_stdout(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def _read(file: Path) -> list[dict[str, Any]]:
    """Every line, checked.

    Raises:
        ValueError: a line is no exchange; all such lines are named, the first ten of them.
    """
    name = "stdin" if str(file) == "-" else str(file)
    content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    rows: list[dict[str, Any]] = []
    faults: list[str] = []
    # Split at line feeds alone: JSON may hold other ends of line as they are.
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            text = line.decode("utf-8")
            row = json.loads(text, parse_float=_finite, parse_constant=_finite)
            _check(row)
            rows.append(row)
        except UnicodeError:
            faults.append(f"{name}, line {number}: not UTF-8; write it as UTF-8")
        except (ValueError, RecursionError) as error:
            faults.append(f"{name}, line {number}: {error}")
    if faults:
        more = [f"{len(faults) - 10} more such lines"] if len(faults) > 10 else []
        raise ValueError("\n".join([*faults[:10], *more]))
    if not rows:
        raise ValueError(f'{name}: no line; each is {{"context": ["turn", …], "response": "…"}}')
    return rows


def _check(row: object) -> None:
    if not isinstance(row, dict):
        raise ValueError("not an object; give `context` and `response`")
    missing = [field for field in ("context", "response") if field not in row]
    if missing:
        raise ValueError(f"no `{'`, no `'.join(missing)}`; give a list of turns and a text")
    context, response = row["context"], row["response"]
    if not isinstance(context, list) or not all(isinstance(turn, str) for turn in context):
        raise ValueError("`context` is no list of texts; give one text per turn, oldest first")
    if not isinstance(response, str):
        raise ValueError('`response` is no text; an empty one is given as ""')
    taken = [field for field in _MEASURES if field in row]
    if taken:
        raise ValueError(f"`{'`, `'.join(taken)}` names a measure; call the field otherwise")
    # Half of a surrogate pair is JSON and no text: nothing can write it.
    json.dumps(row, ensure_ascii=False).encode("utf-8")


def _finite(number: str) -> float:
    """Of a number in JSON, or of one that JSON does not know."""
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is no finite number; write it as a text, or leave it out")
    return value


def _written(rows: Sequence[Mapping[str, Any]], measures: Mapping[str, Floats]) -> Iterator[str]:
    for index, row in enumerate(rows):
        found = {name: round(float(values[index]), 6) for name, values in measures.items()}
        yield json.dumps({**row, **found}, ensure_ascii=False, allow_nan=False)


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
