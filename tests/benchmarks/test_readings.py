from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks._readings import KeptReader
from dialogue.appraisal import Exchange
from dialogue.appraisal.reading import NUM_ELSEWHERE, Likelihoods

EXCHANGES = [Exchange(("hello",), "there"), Exchange((), "hello there")]


class Counting:
    """Reads by counting signs, and says what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def read(
        self, exchanges: Sequence[Exchange], advance: Callable[[int], None] = lambda _: None
    ) -> Likelihoods:
        self.asked += [each.response for each in exchanges]
        sizes = np.array([float(len(each.response)) for each in exchanges])
        return Likelihoods(
            -sizes, np.tile(-2 * sizes[:, None], (1, NUM_ELSEWHERE)), sizes, sizes / 7
        )


def test_nothing_is_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks._readings._FOLDER", tmp_path)
    first, second = Counting(), Counting()
    found = KeptReader(lambda: first).read(EXCHANGES)
    assert first.asked == ["there", "hello there"]
    (file,) = tmp_path.iterdir()
    whole = file.read_text()
    file.write_text(whole[:-4])  # killed while it wrote the second line
    again = KeptReader(lambda: second)
    for _ in range(2):
        kept = again.read(EXCHANGES)
        assert np.array_equal(kept.after, found.after)
        assert np.array_equal(kept.elsewhere, found.elsewhere)
        assert np.array_equal(kept.counts, found.counts)
        assert np.array_equal(kept.next_utterance, found.next_utterance)
    assert second.asked == ["hello there"]
