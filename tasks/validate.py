"""Check a domain's records against what training needs; set aside rows, or stop the chain."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from dialogue.config import Params, Validate
from dialogue.digests import file_digest
from dialogue.log import Log
from dialogue.records import (
    Dialogue,
    Reject,
    read_dialogues,
    read_rejects,
    reject,
    words_digest,
    write_dialogues,
    write_rejects,
)
from tasks import expectations
from tasks._step import run

_DAMAGED = {"\0": "NUL", "\ufffd": "U+FFFD"}


def validate(
    params: Params,
    log: Log,
    *,
    domain: str,
    records: Path,
    valid: Path,
    docs: Path,
    report: Path,
) -> None:
    """Write the dialogues that are fit for training, and the page that shows what was checked.

    Dialogues with a turn too long, too many turns or damaged text are set aside, which counts
    towards `max_rejected_share`; every other expectation holds for all or fails the domain.
    Page and report are written in either case, `valid` only where every expectation is met.

    Raises:
        ValueError: the records are missing or damaged, or an expectation is not met.
    """
    settings = params.validate_
    dialogues = list(read_dialogues(records / "dialogues.parquet"))
    counts = _counts(records / "counts.json")
    faults = {index: _fault(dialogue, settings) for index, dialogue in enumerate(dialogues)}
    kept = [dialogue for index, dialogue in enumerate(dialogues) if faults[index] is None]
    set_aside = [fault for fault in faults.values() if fault is not None]
    figures = _figures(kept, set_aside, counts)
    turns = _turns_frame(records / "dialogues.parquet", kept)
    # As objects: numbers of numpy's own types are more than Data Docs can render.
    whole = pd.DataFrame([figures], dtype=object)
    frames = expectations.Frames(turns, _dialogues_frame(kept, turns), whole)
    outcome = expectations.check(frames, settings, domain, docs)
    _write_report(report, domain, figures, outcome)
    log.metrics({**figures, "num_failures": len(outcome.failures)})
    log.artifact(docs)
    if outcome.failures:
        raise ValueError(_complaint(domain, outcome, docs, report))
    write_dialogues(valid / "dialogues.parquet", kept)
    write_rejects(
        valid / "rejects.parquet", [*read_rejects(records / "rejects.parquet"), *set_aside]
    )
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


def _fault(dialogue: Dialogue, settings: Validate) -> Reject | None:
    """Why this one dialogue is set aside, if it is."""
    texts = [turn.text or "" for turn in dialogue.turns]
    longest = max(map(len, texts))
    damage = {name for text in texts for sign, name in _DAMAGED.items() if sign in text}
    reasons = []
    if longest > settings.max_turn_characters:
        reasons.append(
            f"turn too long: {longest} characters, at most {settings.max_turn_characters}"
        )
    if len(texts) > settings.max_turns:
        reasons.append(f"too many turns: {len(texts)}, at most {settings.max_turns}")
    if not all(turn.text and turn.role for turn in dialogue.turns):
        reasons.append("empty turn: no text or no role")
    if damage:
        reasons.append(f"damaged text: holds {', '.join(sorted(damage))}")
    return reject(dialogue.origin, "; ".join(reasons), texts[0]) if reasons else None


def _figures(
    kept: Sequence[Dialogue], set_aside: Sequence[Reject], counts: dict[str, int]
) -> dict[str, float]:
    """The domain in numbers.

    Shares are of the rows that were meant to be dialogues. What is set aside here comes from a
    sample where ingest had a limit, so its share is taken of the sample.
    """
    in_scope = max(1, counts["num_read"] - counts["num_out_of_scope"])
    num_here = max(1, len(kept) + len(set_aside))
    return {
        "num_dialogues": len(kept),
        "num_test_dialogues": sum(dialogue.split == "test" for dialogue in kept),
        "num_turns": sum(len(dialogue.turns) for dialogue in kept),
        "num_set_aside": len(set_aside),
        "rejected_share": counts["num_faults"] / in_scope + len(set_aside) / num_here,
        "duplicate_share": counts["num_duplicates"] / in_scope,
    }


def _turns_frame(path: Path, kept: Iterable[Dialogue]) -> pd.DataFrame:
    """The records as they stand in the file, less the dialogues set aside."""
    frame: pd.DataFrame = pq.read_table(path).to_pandas()
    ids = {dialogue.id for dialogue in kept}
    return frame[frame["dialogue_id"].isin(ids)].reset_index(drop=True)


def _dialogues_frame(kept: Sequence[Dialogue], turns: pd.DataFrame) -> pd.DataFrame:
    """A row per dialogue with what the dialogue suite asks for."""
    in_order = turns["turn"] == turns.groupby("dialogue_id").cumcount()
    ordered = in_order.groupby(turns["dialogue_id"]).all().to_dict()
    num_splits = turns.groupby("dialogue_id")["split"].nunique().to_dict()
    words = [words_digest(dialogue.turns) for dialogue in kept]
    splits_of_words: dict[str, set[str]] = defaultdict(set)
    for dialogue, digest in zip(kept, words, strict=True):
        splits_of_words[digest].add(dialogue.split)
    rows = [
        {
            "dialogue_id": dialogue.id,
            "num_turns": len(dialogue.turns),
            **_roles(dialogue),
            "in_order": ordered[dialogue.id],
            "num_splits": num_splits[dialogue.id],
            "num_splits_of_words": len(splits_of_words[digest]),
        }
        for dialogue, digest in zip(kept, words, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(expectations.DIALOGUE_COLUMNS))


def _roles(dialogue: Dialogue) -> dict[str, Any]:
    """How the dialogue begins, goes on and ends."""
    roles = [turn.role for turn in dialogue.turns]
    start = 1 if roles[0] == "system" else 0
    expected = ["assistant" if index % 2 else "user" for index in range(len(roles) - start)]
    return {
        "opening": " ".join(roles[: start + 1]),
        "last_role": roles[-1],
        "alternates": roles[start:] == expected,
    }


def _write_report(
    path: Path, domain: str, figures: dict[str, float], outcome: expectations.Outcome
) -> None:
    content = {
        "domain": domain,
        **figures,
        "num_expectations": outcome.num_expectations,
        "num_failures": len(outcome.failures),
        "failures": [asdict(failure) for failure in outcome.failures],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


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
