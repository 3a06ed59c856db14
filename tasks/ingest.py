"""Turn a domain's source into dialogue records: fetched, read, split, and counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dialogue import sources
from dialogue.config import Params, Source
from dialogue.digests import file_digest
from dialogue.log import Log
from dialogue.records import (
    Dialogue,
    Reject,
    Split,
    reject,
    words_digest,
    write_dialogues,
    write_rejects,
)
from dialogue.sources.selection import smallest
from tasks._step import run


def ingest(params: Params, log: Log, *, domain: str, records: Path, report: Path) -> None:
    """Write a source's dialogues, and what is none of them, as parquet; count both.

    Leaves `dialogues.parquet`, `rejects.parquet` and `counts.json` under `records`: equal input
    gives equal bytes. Repeated dialogues are kept once; of the rest, `limit` keeps those with the
    smallest content digests.

    Raises:
        ValueError: the source cannot be had or read, or holds no dialogue.
    """
    settings = params.ingest
    if domain not in settings.sources:
        raise ValueError(f"ingest.sources: no source for the domain `{domain}`; add one")
    source = settings.sources[domain]
    sieve = _Sieve()
    dialogues = sieve.sifted(
        sources.read(
            source,
            domain,
            test_share=settings.test_share,
            validation_share=settings.validation_share,
        )
    )
    if source.limit is not None:
        dialogues = iter(smallest(dialogues, source.limit, lambda dialogue: dialogue.id))
    tally = _Tally()
    _write(records, tally.counted(dialogues))
    write_rejects(records / "rejects.parquet", sieve.rejects)
    if not tally.num_dialogues:
        first = sieve.rejects[0]
        raise ValueError(
            f"{domain}: none of {sieve.num_read} rows is a dialogue (`format: {source.format}`); "
            f"the first, {first.origin}: {first.reason}"
        )
    counts = _counts(sieve, tally)
    _write_json(records / "counts.json", counts)
    _write_json(report, _report(domain, source, counts, sieve, tally))
    _tell(log, domain, records / "dialogues.parquet", counts, tally)


@dataclass
class _Sieve:
    """Holds back what is no dialogue, and what repeats one."""

    rejects: list[Reject] = field(default_factory=list)
    num_read: int = 0
    _origins: dict[str, str] = field(default_factory=dict)
    _words: dict[str, Dialogue] = field(default_factory=dict)

    def sifted(self, rows: Iterable[Dialogue | Reject]) -> Iterator[Dialogue]:
        """The dialogues that say something new."""
        for row in rows:
            self.num_read += 1
            held_back = row if isinstance(row, Reject) else self._repetition(row)
            if held_back is not None:
                self.rejects.append(held_back)
            elif isinstance(row, Dialogue):
                yield row

    def _repetition(self, dialogue: Dialogue) -> Reject | None:
        """Why the dialogue repeats an earlier one: equal, or nearly so but in another split."""
        first = self._origins.setdefault(dialogue.id, dialogue.origin)
        if first != dialogue.origin:
            return self._held(dialogue, f"duplicate of {first}")
        alike = self._words.setdefault(words_digest(dialogue.turns), dialogue)
        if alike.split != dialogue.split:
            return self._held(dialogue, f"near-duplicate of {alike.origin}, which is {alike.split}")
        return None

    def _held(self, dialogue: Dialogue, reason: str) -> Reject:
        return reject(dialogue.origin, reason, dialogue.turns[0].text, "duplicate")


@dataclass
class _Tally:
    """Dialogues and turns by split."""

    dialogues: Counter[Split] = field(default_factory=Counter)
    turns: Counter[Split] = field(default_factory=Counter)

    @property
    def num_dialogues(self) -> int:
        return self.dialogues.total()

    def counted(self, dialogues: Iterable[Dialogue]) -> Iterator[Dialogue]:
        for dialogue in dialogues:
            self.dialogues[dialogue.split] += 1
            self.turns[dialogue.split] += len(dialogue.turns)
            yield dialogue


def _write(records: Path, dialogues: Iterator[Dialogue]) -> None:
    """Write the records under another name first: a source that ends in a fault leaves none."""
    records.mkdir(parents=True, exist_ok=True)
    partial = records / "dialogues.parquet.partial"
    try:
        write_dialogues(partial, dialogues)
        partial.replace(records / "dialogues.parquet")
    finally:
        partial.unlink(missing_ok=True)


def _counts(sieve: _Sieve, tally: _Tally) -> dict[str, int]:
    kinds = Counter(each.kind for each in sieve.rejects)
    return {
        "num_read": sieve.num_read,
        "num_dialogues": tally.num_dialogues,
        "num_faults": kinds["fault"],
        "num_duplicates": kinds["duplicate"],
        "num_out_of_scope": kinds["scope"],
        "num_beyond_limit": sieve.num_read - len(sieve.rejects) - tally.num_dialogues,
    }


def _report(
    domain: str, source: Source, counts: dict[str, int], sieve: _Sieve, tally: _Tally
) -> dict[str, Any]:
    reasons = Counter(_group(each) for each in sieve.rejects)
    return {
        "domain": domain,
        "source": sources.title(source),
        "format": source.format,
        "licence": source.licence,
        **counts,
        "num_turns": tally.turns.total(),
        "dialogues": {split: tally.dialogues[split] for split in _SPLITS},
        "turns": {split: tally.turns[split] for split in _SPLITS},
        "reasons": dict(sorted(reasons.items())),
        "files": [
            {"name": raw.name, "sha256": raw.digest, "bytes": raw.num_bytes}
            for raw in sources.raw_files(source)
        ],
    }


_SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def _group(row: Reject) -> str:
    """A reason without what differs from row to row."""
    return row.reason.partition(":" if row.kind != "duplicate" else " ")[0]


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _tell(log: Log, domain: str, path: Path, counts: dict[str, int], tally: _Tally) -> None:
    log.dataset(domain, file_digest(path), path, "ingest")
    by_split = {f"{split}_dialogues": tally.dialogues[split] for split in _SPLITS}
    log.metrics({**counts, "num_turns": tally.turns.total(), **by_split})


if __name__ == "__main__":
    run(ingest)
