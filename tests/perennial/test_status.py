"""How a candidate stands, from what the release store holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dialogue.records import Turn
from dialogue.serving.store import Answer, ReplyStore
from perennial.status import opinion, standing
from tasks import releases
from tasks.releases import Release, Store

DIGEST = "c" * 64
VERDICT: dict[str, Any] = {
    "candidate": {"digest": DIGEST},
    "verdict": "PROMOTE",
    "sentence": "PROMOTE: it passes.",
}


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
    assert standing(store, VERDICT, "auto").endswith("Not registered yet; `perennial run` goes on.")


def test_a_registered_candidate_has_its_verdict(store: Store, release: Release) -> None:
    assert standing(store, VERDICT, "auto") == "v1: PROMOTE: it passes."


def test_a_refusal_is_told_until_it_is_champion(store: Store, release: Release) -> None:
    why = "the smoke test failed: `Hello` was answered with nothing"
    releases.append(store, action="refuse", release=release, actor="a", reason=why)
    assert standing(store, VERDICT, "auto").endswith(f"It was refused all the same: {why}")
    releases.compare_and_set(store, None, release, action="promote", actor="a", reason="")
    assert standing(store, VERDICT, "auto") == "it is the champion"


def test_one_that_waits_for_approval_says_how_to_give_it(store: Store, release: Release) -> None:
    hint = "It waits for approval: `perennial promote 1` gives it."
    assert standing(store, VERDICT, "manual") == f"v1: PROMOTE: it passes. {hint}"


@pytest.mark.parametrize("approval", ["auto", "manual"])
@pytest.mark.parametrize(
    ("way", "told"),
    [
        ("rollback", "was rolled back by ana (curt)"),
        ("override", "gave way to v2, an override of ana's"),
    ],
)
def test_one_that_a_person_took_down_says_by_whom_and_why(
    store: Store, release: Release, approval: str, way: str, told: str
) -> None:
    other = Release("d" * 64, 2, release.folder, "run", VERDICT)
    releases.record(store, other)
    for action, before, after in (
        ("promote", None, other),
        ("promote", other.digest, release),
        (way, release.digest, other),
    ):
        releases.compare_and_set(store, before, after, action=action, actor="ana", reason="curt")
    said = standing(store, VERDICT, approval)
    assert f"It {told}" in said
    assert "(curt); `perennial promote 1 --override" in said
    assert "approval" not in said


def test_what_people_said_counts_the_champions_replies_alone(
    release: Release, tmp_path: Path
) -> None:
    path = tmp_path / "feedback" / "replies.sqlite"
    assert opinion(path, release) == ""
    replies = ReplyStore(path)
    try:
        replies.add_answer(_answer("other", "d" * 64))
        replies.add_rating("other", "down", "")
        assert opinion(path, release) == ""
        replies.add_answer(_answer("0", DIGEST))
        assert opinion(path, release) == "1 reply served, none rated"
        for number in range(1, 4):
            replies.add_answer(_answer(str(number), DIGEST, version=str(number % 2)))
            replies.add_rating(str(number), "up" if number > 1 else "down", "")
    finally:
        replies.close()
    # Wilson's interval of 2 out of 3.
    said = "4 replies served, 3 rated, 67% of them liked (95 %: 21% to 94%)"
    assert opinion(path, release) == said
    path.write_bytes(b"nothing of SQLite's")
    assert "cannot be used for feedback" in opinion(path, release)


def _answer(reply_id: str, digest: str, version: str = "1") -> Answer:
    return Answer(
        id=reply_id,
        time="2026-11-27T10:00:00.000+00:00",
        model="perennial",
        version=version,
        digest=digest,
        user=None,
        conversation=None,
        history=(Turn("user", "Hello"),),
        text="Hi.",
        finish_reason="stop",
        num_prompt_tokens=5,
        num_tokens=2,
        seconds=0.1,
    )
