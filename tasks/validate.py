"""Check a domain's records against what training needs; set aside rows, or stop the chain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from dialogue.config import Params
from dialogue.digests import file_digest
from dialogue.facts import Array, starts_of
from dialogue.fingerprints import read_fingerprints, write_fingerprints
from dialogue.log import Log
from dialogue.manifest import verify_manifest, write_manifest
from dialogue.records import (
    SCHEMA,
    read_batches,
    read_rejects,
    write_batches,
    write_rejects,
)
from tasks import expectations
from tasks._data_docs import page
from tasks._evidence import Evidence, gathered
from tasks._findings import findings
from tasks._step import run


def validate(
    params: Params,
    log: Log,
    *,
    domain: str,
    records: Path,
    earlier: Path,
    valid: Path,
    fingerprints: Path,
    docs: Path,
    report: Path,
    profile: Path,
) -> None:
    """Write the dialogues that are fit for training, and the page that shows what was checked.

    Dialogues that are too long, damaged, or nearly what is held out are set aside; every other
    expectation holds for all, or stops the chain, or warns, as its rule says. Page and report are
    written in either case; `valid`, `fingerprints` and `profile` where nothing stops. Drift is
    measured against `profile` as git has it committed.

    Raises:
        ValueError: the records or fingerprints are missing or damaged, or a rule stops the chain.
    """
    settings = params.validate_
    verify_manifest(records)
    counts = _counts(records / "counts.json")
    memory = read_fingerprints(earlier)
    path = records / "dialogues.parquet"
    evidence = gathered(domain, settings, counts, memory, path, profile)
    outcome = expectations.check(_frames(evidence), settings, domain)
    found = findings(evidence, outcome, read_rejects(records / "rejects.parquet"))
    _write(docs / "index.html", page(found))
    content = _report(evidence, outcome)
    _write(report, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    log.metrics({name: value for name, value in content.items() if isinstance(value, int | float)})
    log.artifact(docs)
    if outcome.failures:
        raise ValueError(_complaint(domain, outcome, docs, report))
    _write_valid(valid, records, evidence)
    write_fingerprints(fingerprints, evidence.own.take(evidence.is_kept), earlier=earlier)
    if evidence.profile is not None:
        _write(profile, evidence.profile.model_dump_json(indent=1) + "\n")
    path = valid / "dialogues.parquet"
    log.dataset(domain, file_digest(path), path, "validate")


def _counts(path: Path) -> dict[str, int]:
    """What ingest counted."""
    try:
        counts: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file; run ingest first") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON: {error.msg}; run ingest again") from error
    return counts


def _frames(evidence: Evidence) -> expectations.Frames:
    """What is checked: of each dialogue that is kept its id and numbers, no texts."""
    kept = evidence.is_kept
    ids = evidence.own.facts.column("dialogue_id").filter(pa.array(kept))
    facts = {name: values[kept] for name, values in evidence.survey.facts.items()}
    dialogues = pd.DataFrame({"dialogue_id": ids.to_pandas(), **facts})
    return expectations.Frames(SCHEMA.names, dialogues, evidence.figures)


def _write_valid(valid: Path, records: Path, evidence: Evidence) -> None:
    """The dialogues that are kept, and everything that was set aside so far, with a manifest."""
    valid.mkdir(parents=True, exist_ok=True)
    (valid / "manifest.json").unlink(missing_ok=True)
    kept = _kept(records / "dialogues.parquet", evidence.is_kept)
    write_batches(valid / "dialogues.parquet", kept)
    rejects = chain(read_rejects(records / "rejects.parquet"), evidence.set_aside.values())
    write_rejects(valid / "rejects.parquet", rejects)
    write_manifest(valid)


def _kept(path: Path, is_kept: Array) -> Iterator[pa.Table]:
    """The records again, table by table, without the dialogues that are set aside."""
    num_seen = 0
    for table in read_batches(path):
        starts = starts_of(table.column("dialogue_id").combine_chunks())
        kept = is_kept[num_seen : num_seen + len(starts)]
        num_seen += len(starts)
        yield table if kept.all() else table.filter(pa.array(_spread(kept, starts, table.num_rows)))


def _spread(values: Array, starts: Array, num_rows: int) -> Array:
    """A dialogue's value for each of its rows."""
    lengths = np.diff(np.append(starts, num_rows))
    return np.repeat(values, lengths)


def _report(evidence: Evidence, outcome: expectations.Outcome) -> dict[str, Any]:
    """The outcome as JSON: figures, what is not met, and what could not be asked."""
    return {
        "domain": evidence.domain,
        **{name: _number(value) for name, value in evidence.figures.items()},
        "num_turns": int(evidence.survey.facts["num_turns"][evidence.is_kept].sum()),
        "num_set_aside": len(evidence.set_aside),
        "num_near_pairs": len(evidence.separation.near),
        "num_leaks": len(evidence.separation.leaks),
        "num_expectations": len(outcome.checks),
        "num_failures": len(outcome.failures),
        "num_warnings": len(outcome.warnings),
        "failures": [asdict(check) for check in outcome.failures],
        "warnings": [asdict(check) for check in outcome.warnings],
        "not_asked": dict(evidence.inapplicable),
    }


def _number(value: float) -> float | int:
    return int(value) if value.is_integer() else value


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def _complaint(domain: str, outcome: expectations.Outcome, docs: Path, report: Path) -> str:
    """One line per expectation that is not met."""
    return "\n".join(
        f"{domain}: not met: {failure.description}; found {failure.observed} "
        f"({failure.expectation} with {_worded(failure.bound)}); see {report} and "
        f"{docs / 'index.html'}"
        for failure in outcome.failures
    )


def _worded(bound: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in bound.items())


if __name__ == "__main__":
    run(validate)
