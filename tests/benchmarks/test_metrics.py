from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import metrics


@pytest.mark.parametrize("options", [[], ["--quick"]])
def test_without_ratings_nothing_is_ok(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
) -> None:
    monkeypatch.setattr(metrics, "RATINGS", tmp_path / "ratings.jsonl.gz")
    monkeypatch.setattr(metrics, "KeptReader", lambda _: pytest.fail("began"))
    monkeypatch.setattr(sys, "argv", ["metrics", *options])
    with pytest.raises(SystemExit, match=r"ratings\.jsonl\.gz: not here; its ratings are") as ended:
        metrics.main()
    assert ended.value.code != 0
    assert "ok" not in capsys.readouterr().out
