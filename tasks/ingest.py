"""Turn a domain's source into dialogue records: fetched, read, scrubbed, split, and counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dialogue import sources
from dialogue.config import Params, Source
from dialogue.digests import file_digest
from dialogue.log import Log
from dialogue.manifest import write_manifest
from dialogue.privacy import Scrubber
from dialogue.progress import Progress
from dialogue.records import (
    Dialogue,
    Reject,
    Split,
    read_rejects,
    reject,
    rejects_writer,
    words_digest,
    write_dialogues,
)
from dialogue.sources.selection import smallest
from tasks._step import run

_SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def ingest(params: Params, log: Log, *, domain: str, records: Path, report: Path) -> None:
    """Write a source's dialogues, and what is none of them, as parquet; count both.

    Leaves `dialogues.parquet`, `rejects.parquet`, `counts.json` and a manifest of their digests
    under `records`: equal input gives equal bytes. Personal data is replaced before anything is
    written. Repeated dialogues are kept once; of the rest, `limit` keeps those with the smallest
    content digests. Memory holds two short digests a dialogue, and no dialogue but the `limit`.

    Raises:
        ValueError: the source cannot be had or read, or holds no dialogue.
    """
    settings = params.ingest
    if domain not in settings.sources:
        raise ValueError(f"ingest.sources: no source for the domain `{domain}`; add one")
    source = settings.sources[domain]
    scrubber = Scrubber(settings.scrub)
    files = sources.raw_files(source)
    rows = sources.read(
        source,
        files,
        domain,
        test_share=settings.test_share,
        validation_share=settings.validation_share,
        scrubber=scrubber,
        max_row_bytes=settings.max_row_bytes,
    )
    records.mkdir(parents=True, exist_ok=True)
    (records / "manifest.json").unlink(missing_ok=True)
    tally = _Tally()
    with (
        _whole(records / "dialogues.parquet") as written,
        _whole(records / "rejects.parquet") as set_aside,
        rejects_writer(set_aside) as keep,
    ):
        sieve = _Sieve(keep)
        dialogues = sieve.sifted(_progress(rows, domain))
        if source.limit is not None:
            dialogues = iter(smallest(dialogues, source.limit, lambda dialogue: dialogue.id))
        write_dialogues(written, tally.counted(dialogues))
    if not tally.num_dialogues:
        raise ValueError(_nothing(domain, source, sieve.num_read, records / "rejects.parquet"))
    counts = _counts(sieve, tally)
    _write_json(records / "counts.json", counts)
    write_manifest(records)
    scrubbed = {kind: scrubber.counts[kind] for kind in settings.scrub}
    content = {
        **_report(domain, source, counts, sieve, tally),
        "files": [
            {"name": raw.name, "sha256": raw.digest, "bytes": raw.num_bytes} for raw in files
        ],
        "scrubbed": scrubbed,
    }
    _write_json(report, content)
    _tell(log, domain, records / "dialogues.parquet", counts, tally)


def _progress(rows: Iterable[Dialogue | Reject], domain: str) -> Iterator[Dialogue | Reject]:
    bar = Progress(f"ingest {domain}", None, "rows")
    for row in rows:
        yield row
        bar.advance(1)
    bar.finish()


@dataclass
class _Sieve:
    """Holds back what is no dialogue, and what repeats one; `keep` is given each."""

    keep: Callable[[Reject], None]
    num_read: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    _origins: list[str] = field(default_factory=list)
    _splits: list[Split] = field(default_factory=list)
    _ids: dict[int, int] = field(default_factory=dict)
    _words: dict[int, int] = field(default_factory=dict)
    """64 bits of a digest → the dialogue's place in the two lists."""

    def sifted(self, rows: Iterable[Dialogue | Reject]) -> Iterator[Dialogue]:
        """The dialogues that say something new."""
        for row in rows:
            self.num_read += 1
            held_back = row if isinstance(row, Reject) else self._repetition(row)
            if held_back is not None:
                self._hold(held_back)
            elif isinstance(row, Dialogue):
                yield row

    def _repetition(self, dialogue: Dialogue) -> Reject | None:
        """Why the dialogue repeats an earlier one: equal, or nearly so but in another split."""
        place = len(self._origins)
        first = self._ids.setdefault(int(dialogue.id, 16), place)
        if first != place:
            return _repeated(dialogue, f"duplicate of {self._origins[first]}")
        self._origins.append(dialogue.origin)
        self._splits.append(dialogue.split)
        alike = self._words.setdefault(int(words_digest(dialogue.turns)[:16], 16), place)
        if self._splits[alike] != dialogue.split:
            where = f"{self._origins[alike]}, which is {self._splits[alike]}"
            return _repeated(dialogue, f"near-duplicate of {where}")
        return None

    def _hold(self, row: Reject) -> None:
        self.kinds[row.kind] += 1
        self.reasons[_group(row)] += 1
        self.keep(row)


def _repeated(dialogue: Dialogue, reason: str) -> Reject:
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


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Another name to write under: a source that ends in a fault leaves no half file."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _counts(sieve: _Sieve, tally: _Tally) -> dict[str, int]:
    return {
        "num_read": sieve.num_read,
        "num_dialogues": tally.num_dialogues,
        "num_faults": sieve.kinds["fault"],
        "num_duplicates": sieve.kinds["duplicate"],
        "num_out_of_scope": sieve.kinds["scope"],
        "num_beyond_limit": sieve.num_read - sieve.kinds.total() - tally.num_dialogues,
    }


def _report(
    domain: str, source: Source, counts: dict[str, int], sieve: _Sieve, tally: _Tally
) -> dict[str, Any]:
    return {
        "domain": domain,
        "source": sources.title(source),
        "format": source.format,
        "licence": source.licence,
        **counts,
        "num_turns": tally.turns.total(),
        "dialogues": {split: tally.dialogues[split] for split in _SPLITS},
        "turns": {split: tally.turns[split] for split in _SPLITS},
        "reasons": dict(sorted(sieve.reasons.items())),
    }


def _nothing(domain: str, source: Source, num_rows: int, rejects: Path) -> str:
    """Why a source has given no dialogue at all, and the mend."""
    first = next(read_rejects(rejects))
    faulty = next((row for row in read_rejects(rejects) if row.kind == "fault"), None)
    others = {row.reason.partition(": ")[2] for row in read_rejects(rejects) if row.kind == "scope"}
    if source.select is None or not others:
        said = f"{domain}: none of {num_rows} rows is a dialogue (`format: {source.format}`)"
        return f"{said}; the first, {first.origin}: {first.reason}"
    said = (
        f"ingest.sources.{domain}.select: {', '.join(source.select.values())} selects no dialogue "
        f"of {num_rows} rows; there are {', '.join(sorted(others))}"
    )
    return said if faulty is None else f"{said}; and faults, {faulty.origin}: {faulty.reason}"


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
