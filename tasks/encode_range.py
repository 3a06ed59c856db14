r"""Encoding on several machines or processes: each does some row groups, one joins the parts.

    python -m tasks.encode_range part --domain chat --groups 0:8 \
        --valid data/valid/chat --tokenizer models/tokenizer --part parts/0
    python -m tasks.encode_range join --encoded data/encoded/chat \
        --report reports/encode/chat.json parts/0 parts/1
    dvc commit --force encode@chat

Shards and report are byte for byte those that `tasks.encode` writes in one go, and the last line
tells DVC so. A row group holds 4,096 dialogues; every one must be in one part.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from dialogue.config import load_params
from dialogue.manifest import verify_manifest
from tasks._encoding import encode_groups, join_parts, write_report
from tasks._environment import quiet_environment
from tasks.faults import told_to_people

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@app.command("part")
def encode_part(
    domain: Annotated[str, typer.Option()],
    groups: Annotated[str, typer.Option(help="row groups as FIRST:END, END not included")],
    valid: Annotated[Path, typer.Option()],
    tokenizer: Annotated[Path, typer.Option()],
    part: Annotated[Path, typer.Option(help="the folder to write")],
) -> None:
    """Encode some row groups, by the settings of params.yaml in this folder."""
    verify_manifest(valid)
    verify_manifest(tokenizer)
    encode_groups(
        valid / "dialogues.parquet",
        tokenizer,
        part,
        domain=domain,
        max_tokens=load_params(Path("params.yaml")).encode.max_tokens,
        groups=_range(groups),
    )


@app.command("join")
def join(
    parts: Annotated[list[Path], typer.Argument(help="folders that `part` wrote")],
    encoded: Annotated[Path, typer.Option(help="the folder to write")],
    report: Annotated[Path, typer.Option(help="the file of figures to write")],
) -> None:
    """Join the parts of a domain."""
    write_report(report, join_parts(encoded, parts))


def main() -> None:
    """Run a subcommand; a fault the person can mend ends as `error:` lines and exit status 2."""
    quiet_environment(Path.cwd())
    with told_to_people():
        app()


def _range(words: str) -> range:
    numbers = re.fullmatch(r"(\d+):(\d+)", words)
    if numbers is None or int(numbers[1]) >= int(numbers[2]):
        raise ValueError(f"--groups {words}: give row groups as FIRST:END, such as 0:8")
    return range(int(numbers[1]), int(numbers[2]))


if __name__ == "__main__":
    main()
