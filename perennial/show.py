"""`perennial show`: dialogues as the model learns them, and the rows that were set aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perennial.project import enter_project
from perennial.terminal import cleaned, open_console

if TYPE_CHECKING:
    from rich.console import Console

    from dialogue.encoding import Encoded
    from dialogue.records import Dialogue
    from dialogue.shards import Shard

_SPLITS = ("train", "validation", "test")


def show_command(
    domain: Annotated[str, typer.Argument(help="a domain of the curriculum")],
    which: Annotated[
        str | None,
        typer.Argument(metavar="[NUMBER|ID]", help="a dialogue's place, or how its id begins"),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, validation or test; by default train, an id in any")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="how many to show")] = 3,
    rejects: Annotated[
        bool, typer.Option("--rejects", help="the rows that were set aside instead, and why")
    ] = False,
) -> None:
    """Print dialogues of a domain as tokens: those learned, those only read, those cut off.

    On a terminal learned tokens are green and cut ones struck out; elsewhere they stand in ⟦ ⟧
    and ⟪ ⟫.
    """
    project, params = enter_project()
    if domain not in params.curriculum:
        raise ValueError(f"{domain}: no such domain; there are {', '.join(params.curriculum)}")
    if split is not None and split not in _SPLITS:
        raise ValueError(f"--split {split}: no such split; there are {', '.join(_SPLITS)}")
    files = _Files.of(project, domain)
    console = open_console()
    if rejects:
        if which is not None or split is not None:
            raise ValueError("--rejects: rows that were set aside have neither id nor split")
        _print_rejects(console, files, limit)
    else:
        _print_dialogues(console, files, which, split, limit)


@dataclass(frozen=True)
class _Files:
    """Where the stages leave what is shown, as dvc.yaml says it."""

    domain: str
    records: Path
    valid: Path
    encoded: Path
    tokenizer: Path

    @classmethod
    def of(cls, project: Path, domain: str) -> _Files:
        import yaml

        try:
            stages = yaml.safe_load((project / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
            return cls(
                domain,
                records=project / _output(stages, "ingest", domain, domain),
                valid=project / _output(stages, "validate", domain, domain, "valid"),
                encoded=project / _output(stages, "encode", domain, domain),
                tokenizer=project / _output(stages, "pretrain", domain, "tokenizer"),
            )
        except yaml.YAMLError as error:
            fault = " ".join(str(error).split())
            raise ValueError(f"dvc.yaml: not valid YAML: {fault}; restore it from git") from error
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError("dvc.yaml: a stage is missing; restore it from git") from error


def _output(
    stages: dict[str, Any], stage: str, domain: str, name: str, folder: str | None = None
) -> str:
    """The output of a stage that ends in `name`, in `folder` where there are several."""
    outs = stages[stage].get("do", stages[stage])["outs"]
    for out in (each.replace("${key}", domain) for each in outs if isinstance(each, str)):
        path = Path(out)
        if path.name == name and folder in (None, path.parent.name):
            return str(out)
    raise ValueError(f"dvc.yaml: the stage `{stage}` must write an output called `{name}`")


def _print_rejects(console: Console, files: _Files, limit: int) -> None:
    from collections import Counter

    from rich.text import Text

    from dialogue.records import read_rejects

    # Validation keeps what ingestion set aside, and adds to it; it may not have passed yet.
    folder = next((f for f in (files.valid, files.records) if (f / "rejects.parquet").exists()), "")
    if not folder:
        raise ValueError(
            f"{files.domain}: nothing was read yet; run `dvc repro ingest@{files.domain}`"
        )
    kinds: Counter[str] = Counter()
    for row in read_rejects(Path(folder) / "rejects.parquet"):
        kinds[row.kind] += 1
        if kinds.total() <= limit:
            head = Text.assemble(
                (cleaned(row.origin), "bold"), f"  {row.kind}: {cleaned(row.reason)}"
            )
            console.print(head, soft_wrap=True)
            console.print(Text(cleaned(row.excerpt).replace("\n", "⏎"), "dim"), soft_wrap=True)
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    console.print(f"{kinds.total()} rows were set aside" + f": {listed}" * bool(listed))
    _print_rest(console, kinds.total(), limit)


def _print_dialogues(
    console: Console, files: _Files, which: str | None, split: str | None, limit: int
) -> None:
    from dialogue.shards import open_shard
    from dialogue.tokenization import load_tokenizer
    from perennial.token_view import TokenView

    if not files.encoded.is_dir():
        raise ValueError(
            f"{files.domain}: nothing is encoded yet; run `dvc repro encode@{files.domain}`, "
            "or `perennial run` for everything"
        )
    first, *others = (split,) if split else _SPLITS
    shards = {first: open_shard(files.encoded / first)}
    found = [(first, index) for index in _placed(shards[first], which)]
    if which is not None and not found:
        shards |= {name: open_shard(files.encoded / name) for name in others}
        found = [
            (name, index)
            for name, shard in shards.items()
            for index, identity in enumerate(shard.ids)
            if identity.startswith(which)
        ]
    if not found:
        raise ValueError(_not_found(files.domain, shards, which))
    view = TokenView(load_tokenizer(files.tokenizer), is_marked=not _is_coloured(console))
    shown = found[:limit]
    records = _records(files, {shards[name].ids[index] for name, index in shown})
    for name, index in shown:
        sequence, identity = shards[name][index], shards[name].ids[index]
        record = records.get(identity)
        _print_head(console, f"{identity} · {name} {index}", sequence, record)
        console.print(view.render(sequence, record), soft_wrap=True)
    _print_rest(console, len(found), limit)


def _is_place(which: str) -> bool:
    """Whether a number may be meant: whole ids are longer than any place."""
    return which.isdecimal() and len(which) < 10


def _placed(shard: Shard, which: str | None) -> Sequence[int]:
    """All, or the one at this place; digits beyond the last are how an id begins."""
    if which is None:
        return range(len(shard))
    return [int(which)] if _is_place(which) and int(which) < len(shard) else []


def _not_found(domain: str, shards: dict[str, Shard], which: str | None) -> str:
    first, shard = next(iter(shards.items()))
    size = f"{len(shard)} in {first}"
    if which is None:
        return f"{domain}: no dialogue is there: {size}"
    if _is_place(which):
        return f"{domain} {which}: no such dialogue; there are {size}, counted from 0"
    return f"{domain} {which}: no dialogue's id begins so; `perennial show {domain}` shows some"


def _records(files: _Files, wanted: set[str]) -> dict[str, Dialogue]:
    """The records of the dialogues, by id; those that are there."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from dialogue.records import dialogues_of, read_batches

    path = files.valid / "dialogues.parquet"
    found: dict[str, Dialogue] = {}
    if path.is_file():
        for table in read_batches(path):
            mine = table.filter(pc.is_in(table.column("dialogue_id"), pa.array(sorted(wanted))))
            found |= {dialogue.id: dialogue for dialogue in dialogues_of(mine)}
            if len(found) == len(wanted):
                break
    return found


def _print_head(console: Console, title: str, sequence: Encoded, record: Dialogue | None) -> None:
    learned = int(sequence.mask.sum())
    console.rule(style="dim")
    console.print(title, style="bold", markup=False, soft_wrap=True)
    lines = [f"{len(sequence.ids)} tokens, {learned} of them learned"]
    if record is not None:
        label = f", labelled {record.label}" if record.label is not None else ""
        lines.append(f"{record.origin} of {record.source}, licence {record.licence}{label}")
    for line in lines:
        console.print(cleaned(line), style="dim", markup=False, soft_wrap=True)


def _is_coloured(console: Console) -> bool:
    return console.color_system is not None and not console.no_color


def _print_rest(console: Console, total: int, limit: int) -> None:
    if total > limit:
        line = f"{limit} of {total} shown; `--limit {total}` shows all"
        console.print(line, style="dim", markup=False)
