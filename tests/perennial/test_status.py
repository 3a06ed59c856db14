"""How a candidate stands, from what the release store holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perennial.status import standing
from tasks import releases
from tasks.releases import Release, Store

DIGEST = "c" * 64
VERDICT: dict[str, Any] = {"candidate": {"digest": DIGEST}, "sentence": "PROMOTE: it passes."}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.delenv("PERENNIAL_RELEASES_URL", raising=False)
    return releases.open_store(tmp_path)


@pytest.fixture
def release(store: Store, tmp_path: Path) -> Release:
    """The candidate, registered as version 1."""
    release = Release(DIGEST, 1, tmp_path / "model", "run", VERDICT)
    releases.record(store, release)
    return release


def test_a_candidate_that_is_not_registered_yet(store: Store) -> None:
    assert standing(store, VERDICT).endswith("Not registered yet; `perennial run` goes on.")


def test_a_registered_candidate_has_its_verdict(store: Store, release: Release) -> None:
    assert standing(store, VERDICT) == "v1: PROMOTE: it passes."


def test_a_refusal_is_told_until_it_is_champion(store: Store, release: Release) -> None:
    why = "the smoke test failed: `Hello` was answered with nothing"
    releases.append(store, action="refuse", release=release, actor="a", reason=why)
    assert standing(store, VERDICT).endswith(f"It was refused all the same: {why}")
    releases.compare_and_set(store, None, release, action="promote", actor="a", reason="")
    assert standing(store, VERDICT) == "it is the champion"
