"""What the language model found, kept between runs: reading takes nearly all of the time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks._kept import ROOT, code_of, state
from dialogue.appraisal import LEARNED, READER, Exchange, Reads
from dialogue.appraisal.reading import NUM_ELSEWHERE, Likelihoods
from dialogue.digests import file_digest
from dialogue.model import choose_precision

_FOLDER = Path("data/readings")
_LOADS = ROOT / "dialogue" / "appraisal" / "__init__.py"


class KeptReader:
    """A reader that reads nothing twice.

    `data/readings/` has a file per state of the code that reads, a line per response; a line
    that was cut off by a kill is read anew.
    """

    def __init__(self, load: Callable[[], Reads]) -> None:
        self._load = load
        self._reader: Reads | None = None
        code = [*code_of("dialogue.appraisal.reading", but=["dialogue.config"]), _LOADS]
        settings = [READER.sha256, file_digest(LEARNED), choose_precision("auto")]
        self._file = _FOLDER / f"{state(settings, code)}.jsonl"
        self._known = dict(_lines(self._file))

    def read(
        self, exchanges: Sequence[Exchange], advance: Callable[[int], None] = lambda _: None
    ) -> Likelihoods:
        """As `Reader.read`."""
        keys = [_digest(*each.context, each.response) for each in exchanges]
        missing = [index for index, key in enumerate(keys) if key not in self._known]
        advance(len(exchanges) - len(missing))
        if missing:
            self._reader = self._reader or self._load()
            found = self._reader.read([exchanges[index] for index in missing], advance)
            self._keep(
                [keys[index] for index in missing],
                np.column_stack(
                    [found.after, found.counts, found.next_utterance, found.elsewhere]
                ).tolist(),
            )
        rows = np.array([self._known[key] for key in keys]).reshape(-1, 3 + NUM_ELSEWHERE)
        return Likelihoods(rows[:, 0], rows[:, 3:], rows[:, 1], rows[:, 2])

    def _keep(self, keys: Sequence[str], rows: Sequence[list[float]]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as lines:
            for key, row in zip(keys, rows, strict=True):
                lines.write(f"\n{json.dumps([key, *row])}")
                self._known[key] = row


def _lines(file: Path) -> Iterator[tuple[str, list[float]]]:
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        if line.startswith("[") and line.endswith("]"):
            key, *row = json.loads(line)
            yield key, row


def _digest(*texts: str) -> str:
    return hashlib.sha256("\x1f".join(texts).encode()).hexdigest()
