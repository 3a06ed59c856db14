"""What ingest and validate would make of dialogues that are no source yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from dialogue.config import Params, RuleName
from dialogue.fingerprints import read_fingerprints
from dialogue.privacy import Scrubber
from dialogue.records import Dialogue, Reject, Split, Turn, write_dialogues
from dialogue.sources.draft import Draft, Provenance, finish
from tasks._evidence import gathered


class Prospect:
    """What becomes of single dialogues, and of all of a domain to be, under these settings."""

    def __init__(self, params: Params, domain: str) -> None:
        ingest = params.ingest
        self._domain = domain
        # Nothing is to be read for language, abuse or drift: only what is kept is counted.
        self._settings = params.validate_.model_copy(update={"embedder": None, "sample": 0})
        self._provenance = Provenance(
            domain,
            source=domain,
            licence="",
            raw_digest="",
            test_share=ingest.test_share,
            validation_share=ingest.validation_share,
            scrub=Scrubber(ingest.scrub),
        )

    def split(self, turns: Sequence[Turn]) -> Split:
        """The split that ingest puts a dialogue into; `train` for one that it would refuse."""
        row = self._ingested(turns)
        return row.split if isinstance(row, Dialogue) else "train"

    def counts(
        self, dialogues: Iterable[Sequence[Turn]], fingerprints: Path
    ) -> Mapping[RuleName, float]:
        """What validation would find of these dialogues, by the name of its rule.

        Args:
            dialogues: all of the domain.
            fingerprints: what is remembered of the domains before it.

        Raises:
            ValueError: the fingerprints are missing or damaged.
        """
        rows = [self._ingested(turns) for turns in dialogues]
        kept = {row.id: row for row in rows if isinstance(row, Dialogue)}
        num_faults = sum(isinstance(row, Reject) for row in rows)
        counted = {
            "num_read": len(rows),
            "num_dialogues": len(kept),
            "num_faults": num_faults,
            "num_duplicates": len(rows) - num_faults - len(kept),
            "num_out_of_scope": 0,
        }
        memory = read_fingerprints(fingerprints)
        with TemporaryDirectory() as folder:
            records = Path(folder) / "dialogues.parquet"
            write_dialogues(records, kept.values())
            evidence = gathered(
                self._domain, self._settings, counted, memory, records, Path(folder) / "profile"
            )
        return evidence.figures

    def _ingested(self, turns: Sequence[Turn]) -> Dialogue | Reject:
        pairs = [(turn.role, turn.text) for turn in turns]
        return finish(Draft(self._domain, pairs), self._provenance)
