"""The model card of a version: what it is, what it learned from, how it was judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from dialogue.config import ModelSource, Params, ScratchModel, Source

_USE = """```python
import mlflow

model = mlflow.pyfunc.load_model("models:/{name}@champion")
model.predict({{"messages": [{{"role": "user", "content": "Hello"}}]}})
```

The folder `model/` is an ordinary Hugging Face folder; `vllm serve` takes it as it is."""
_LIMITS = (
    "A small model: it states falsehoods with confidence, and knows the domains above only. It "
    "learned from what people said and may repeat their bias. The licences above bind its use."
)


@dataclass(frozen=True, slots=True)
class Data:
    """One source of one domain, as it was learned."""

    domain: str
    source: str
    licence: str
    raw_digest: str
    dialogues: int


def read_data(domain: str, records: Path) -> list[Data]:
    """What a domain's validated records come from, by source.

    Raises:
        ValueError: there are no such records.
    """
    key, *origin = columns = ["dialogue_id", "source", "licence", "raw_digest"]
    try:
        table = pq.read_table(records, columns=columns, page_checksum_verification=True)
    except FileNotFoundError as error:
        raise ValueError(f"{records}: missing; run `dvc repro` or `dvc pull`") from error
    counted = table.group_by(origin).aggregate([(key, "count_distinct")])
    order = pc.sort_indices(counted, sort_keys=[("source", "ascending")])
    return [
        Data(domain, row["source"], row["licence"], row["raw_digest"], row[f"{key}_count_distinct"])
        for row in counted.take(order).to_pylist()
    ]


def model_card(
    params: Params,
    verdict: Mapping[str, Any],
    data: Sequence[Data],
    lineage: Mapping[str, str],
) -> str:
    """The card, in Markdown.

    Args:
        params: the settings: base model and plain text, with their licences.
        verdict: as `gate` wrote it.
        data: every source of every domain learned.
        lineage: digests, commits and runs by what they are.
    """
    name, domain = params.register_.model_name, verdict["candidate"]["domain"]
    traced = _table(("what", "which"), [(what, f"`{which}`") for what, which in lineage.items()])
    sections = [
        f"# {name}: a chatbot that learned {', '.join(params.lineage(domain))}",
        f"**{verdict['sentence']}**",
        "## Use\n\n" + _USE.format(name=name),
        "## Base and data\n\n" + _data_table(params, data),
        "## Metrics on held-out dialogues\n\n" + _metrics_table(verdict["metrics"]),
        "## Rules\n\n" + _rules_table(verdict["rules"]),
        "## Lineage\n\n" + traced,
        "## Limits\n\n" + _LIMITS,
    ]
    return "\n\n".join(sections) + "\n"


def _data_table(params: Params, data: Sequence[Data]) -> str:
    init = params.pretrain.init
    scratch = isinstance(init, ScratchModel)
    licence = "" if isinstance(init, ScratchModel) else init.licence
    base = ("base model", "none: made from nothing" if scratch else _origin(init), licence, "", "")
    text = [
        ("plain text", _origin(source), source.licence, "", "") for source in params.gather.sources
    ]
    learned = [
        (d.domain, d.source, d.licence, str(d.dialogues), f"`{d.raw_digest[:12]}`") for d in data
    ]
    return _table(("part", "source", "licence", "dialogues", "SHA-256"), [base, *text, *learned])


def _origin(source: ModelSource | Source) -> str:
    """What the source is known by: its package, its hub id or its path."""
    return next(
        str(getattr(source, name)) for name in ("package", "id", "path") if hasattr(source, name)
    )


def _metrics_table(metrics: Mapping[str, Mapping[str, float | None]]) -> str:
    domains = list(metrics)
    names = sorted({name for values in metrics.values() for name in values})
    rows = [(name, *(_number(metrics[domain].get(name)) for domain in domains)) for name in names]
    return _table(("metric", *domains), rows)


def _rules_table(rules: Iterable[Mapping[str, Any]]) -> str:
    rows = [
        (
            rule["rule"],
            f"{rule['metric']} on {rule['slice']}",
            _number(rule["value"]),
            _number(rule["bound"]),
            f"{rule['state']}: {rule['reason']}",
        )
        for rule in rules
    ]
    return _table(("rule", "measured", "value", "bound", "result"), rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    cells = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
