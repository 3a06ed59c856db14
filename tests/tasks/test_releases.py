from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from tasks import releases
from tasks.releases import Conflict, Entry, Release

RACERS = 4


def release(tmp_path: Path, letter: str, version: int) -> Release:
    return Release(letter * 64, version, tmp_path / letter, "run", {"verdict": "PROMOTE"})


def crown(
    store: releases.Store, expected: str | None, new: Release, action: str = "promote"
) -> Entry:
    releases.record(store, new)
    return releases.compare_and_set(
        store, expected, new, action=action, actor="ana", reason="a test"
    )


def test_a_new_store_has_no_champion(tmp_path: Path) -> None:
    store = releases.open_store(tmp_path)
    assert releases.champion(store) is None
    assert releases.journal(store) == []
    assert releases.releases(store) == []
    assert releases.release_of(store, "a" * 64) is None


def test_compare_and_set_writes_champion_and_journal(tmp_path: Path) -> None:
    store = releases.open_store(tmp_path)
    first, second = release(tmp_path, "a", 1), release(tmp_path, "b", 2)
    crown(store, None, first)
    crown(store, first.digest, second)
    assert releases.champion(store) == second
    entries = releases.journal(releases.open_store(tmp_path))
    assert [(e.sequence, e.action, e.digest, e.previous, e.actor) for e in entries] == [
        (1, "promote", first.digest, None, "ana"),
        (2, "promote", second.digest, first.digest, "ana"),
    ]
    assert entries[1].verdict == {"verdict": "PROMOTE"}


@pytest.mark.parametrize("expected", [None, "c" * 64])
def test_a_stale_expectation_conflicts_and_leaves_no_trace(
    tmp_path: Path, expected: str | None
) -> None:
    store = releases.open_store(tmp_path)
    crown(store, None, release(tmp_path, "a", 1))
    with pytest.raises(Conflict, match="judge it again"):
        crown(store, expected, release(tmp_path, "b", 2))
    champion = releases.champion(store)
    assert champion is not None
    assert champion.version == 1
    assert len(releases.journal(store)) == 1


def race(project: Path, expected: str | None, version: int, start: Barrier) -> None:
    start.wait()
    store = releases.open_store(project)
    new = release(project, "bcdefg"[version], version)
    try:
        crown(store, expected, new)
    except Conflict:
        raise SystemExit(3) from None


@pytest.mark.parametrize("reigning", [False, True])
def test_of_racing_processes_exactly_one_wins(tmp_path: Path, reigning: bool) -> None:
    # Without a champion, the racers also race to make the tables.
    expected = None
    if reigning:
        crown(releases.open_store(tmp_path), None, release(tmp_path, "a", 9))
        expected = "a" * 64
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(RACERS)
    racers = [
        spawn.Process(target=race, args=(tmp_path, expected, version, start))
        for version in range(RACERS)
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(60)
    assert sorted(racer.exitcode or 0 for racer in racers) == [0] + [3] * (RACERS - 1)
    store = releases.open_store(tmp_path)
    champion = releases.champion(store)
    assert champion is not None
    assert racers[champion.version].exitcode == 0
    assert [entry.digest for entry in releases.journal(store)][-1] == champion.digest
    assert len(releases.journal(store)) == (2 if reigning else 1)


def append_many(project: Path) -> None:
    store = releases.open_store(project)
    for _ in range(20):
        releases.append(store, action="note", release=None, actor="ana", reason="busy")


def test_writers_of_several_processes_wait_for_one_another(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(append_many, [tmp_path] * 3))
    entries = releases.journal(releases.open_store(tmp_path))
    assert [entry.sequence for entry in entries] == list(range(1, 61))


@pytest.mark.parametrize("statement", ["UPDATE journal SET actor = 'eve'", "DELETE FROM journal"])
def test_the_journal_is_append_only(tmp_path: Path, statement: str) -> None:
    store = releases.open_store(tmp_path)
    crown(store, None, release(tmp_path, "a", 1))
    with (
        store.engine.begin() as connection,
        pytest.raises(sa.exc.DatabaseError, match="append-only"),
    ):
        connection.execute(sa.text(statement))
    assert releases.journal(store)[0].actor == "ana"


def test_a_new_verdict_replaces_the_old(tmp_path: Path) -> None:
    store = releases.open_store(tmp_path)
    releases.record(store, release(tmp_path, "a", 1))
    again = Release("a" * 64, 1, tmp_path / "a", "run", {"verdict": "REJECT"})
    releases.record(store, again)
    assert releases.releases(store) == [again]
    assert releases.release_of_version(store, 1) == again


def test_of_two_models_of_one_number_the_newer_is_found(tmp_path: Path) -> None:
    """As where `register.model_name` was changed before there was a champion."""
    store = releases.open_store(tmp_path)
    for letter in "ba":
        new = release(tmp_path, letter, 1)
        releases.record(store, new)
        releases.append(store, action="register", release=new, actor="ana", reason="")
    found = releases.release_of_version(store, 1)
    assert found is not None
    assert found.digest == "a" * 64


def test_a_rollback_goes_back_to_the_latest_of_several_reigns(tmp_path: Path) -> None:
    store = releases.open_store(tmp_path)
    a, b, c = (release(tmp_path, letter, number) for number, letter in enumerate("abc", 1))
    crown(store, None, a)
    crown(store, a.digest, b)
    crown(store, b.digest, a, "override")
    crown(store, a.digest, c)
    crown(store, c.digest, a, "rollback")
    assert releases.reigns(releases.journal(store)) == [a.digest, b.digest, a.digest]


def test_the_store_moves_with_its_project(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    crown(releases.open_store(tmp_path / "old"), None, release(tmp_path / "old" / "mlruns", "a", 1))
    (tmp_path / "old").rename(tmp_path / "new")
    champion = releases.champion(releases.open_store(tmp_path / "new"))
    assert champion is not None
    assert champion.folder == tmp_path / "new" / "mlruns" / "a"


def test_another_database_is_named_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere.db"
    monkeypatch.setenv("PERENNIAL_RELEASES_URL", f"sqlite:///{elsewhere}")
    releases.record(releases.open_store(tmp_path), release(tmp_path, "a", 1))
    assert not (tmp_path / "releases.db").exists()
    with sqlite3.connect(elsewhere) as database:
        assert database.execute("SELECT version FROM models").fetchall() == [(1,)]
    database.close()


def test_model_folder_checks_every_byte(tmp_path: Path, tiny_model: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    digest = releases.verify_manifest(folder)
    store = releases.open_store(tmp_path)
    releases.record(store, Release(digest, 1, folder, "run"))
    assert releases.model_folder(store, digest) == folder
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    with pytest.raises(ValueError, match=r"model\.safetensors: damaged"):
        releases.model_folder(store, digest)


def test_model_folder_refuses_another_model_in_the_place(tmp_path: Path, tiny_model: Path) -> None:
    store = releases.open_store(tmp_path)
    releases.record(store, Release("a" * 64, 7, tiny_model, "run"))
    with pytest.raises(ValueError, match="where v7"):
        releases.model_folder(store, "a" * 64)
    with pytest.raises(ValueError, match="register it first"):
        releases.model_folder(store, "b" * 64)


def entry(action: str, digest: str) -> Entry:
    return Entry(1, "", action, digest, 1, None, None, "ana", "")


def test_a_second_rollback_goes_further_back() -> None:
    history = [entry("promote", "a"), entry("promote", "b"), entry("override", "c")]
    assert releases.reigns(history) == ["a", "b", "c"]
    assert releases.reigns([*history, entry("rollback", "b")]) == ["a", "b"]
    back = [*history, entry("rollback", "b"), entry("align", "b"), entry("rollback", "a")]
    assert releases.reigns(back) == ["a"]
    assert releases.reigns([*back, entry("promote", "d")]) == ["a", "d"]


@given(st.lists(st.tuples(st.sampled_from(releases.MOVES), st.sampled_from("abcd"))))
def test_the_last_to_come_reigns(moves: list[tuple[str, str]]) -> None:
    stack = releases.reigns([entry(action, digest) for action, digest in moves])
    assert stack[-1:] == [digest for _, digest in moves][-1:]
