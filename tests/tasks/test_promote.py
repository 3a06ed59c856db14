from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from dialogue.config import Params, load_params
from tasks import promote as module
from tasks import registry, releases, tracking
from tasks._alias import repair
from tasks.promote import (
    INFRASTRUCTURE,
    ApprovalNeeded,
    Promotion,
    Refused,
    promote,
    reconcile,
    rollback,
)
from tasks.register import register
from tasks.releases import Conflict

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")

NAME = "perennial"
SETTINGS = Path(__file__).parents[2] / "params.yaml"


class World:
    """Short words for what these tests do over and over."""

    def __init__(self, project: Any, params: Params, smoke: Any) -> None:
        self.project, self.params, self.smoke = project, params, smoke
        self.path: Path = project.path

    def registered(self, seed: int, champion: str | None = None, **judged: Any) -> str:
        files = self.project.candidate(seed, champion, **judged)
        register(self.params, self.path, **files.paths)
        return str(files.digest)

    def promote(self, digest: str, **more: Any) -> Promotion:
        settings = {"smoke": self.smoke, "actor": "ana"} | more
        return promote(self.params, self.path, digest=digest, **settings)

    def rollback(self, **more: Any) -> Promotion:
        settings = {"smoke": self.smoke, "actor": "ana", "reason": "it swears"} | more
        return rollback(self.params, self.path, **settings)

    @property
    def champion(self) -> str | None:
        reigning = releases.champion(releases.open_store(self.path))
        return None if reigning is None else reigning.digest

    @property
    def alias(self) -> str | None:
        version = registry.alias(self.path, NAME)
        return None if version is None else version.digest

    @property
    def actions(self) -> list[str]:
        entries = releases.journal(releases.open_store(self.path))
        return [e.action for e in entries if e.action not in ("register", "smoke test")]


@pytest.fixture
def world(project: Any, params: Params, answers: Any) -> World:
    return World(project, params, answers)


def test_the_first_champion(world: World) -> None:
    digest = world.registered(1)
    done = world.promote(digest)
    assert done.changed
    assert done.previous is None
    assert done.smoke["files"] == 7
    assert world.champion == world.alias == digest
    assert world.actions == ["promote", "align"]


def test_promoting_the_champion_again_changes_nothing(world: World) -> None:
    digest = world.registered(1)
    world.promote(digest)
    again = world.promote(digest, smoke=None)
    assert not again.changed
    assert world.actions == ["promote", "align"]


def test_the_next_champion_was_judged_against_this_one(world: World) -> None:
    first = world.registered(1)
    world.promote(first)
    second = world.registered(2, champion=first)
    done = world.promote(second, reason="better")
    assert done.previous is not None
    assert done.previous.digest == first
    assert world.champion == world.alias == second
    entry = releases.journal(releases.open_store(world.path))[-2]
    assert (entry.action, entry.previous, entry.actor, entry.reason) == (
        "promote",
        first,
        "ana",
        "better",
    )
    assert entry.verdict is not None
    assert entry.verdict["verdict"] == "PROMOTE"


@pytest.mark.parametrize("decision", ["REJECT", "INCONCLUSIVE"])
def test_what_did_not_pass_is_refused_unless_overridden(world: World, decision: str) -> None:
    digest = world.registered(1, decision=decision)
    with pytest.raises(Refused, match=f"v1: {decision}"):
        world.promote(digest)
    with pytest.raises(ValueError, match="an override needs one"):
        world.promote(digest, override=True)
    assert world.champion is None
    assert world.promote(digest, override=True, reason="a demonstration").changed
    assert world.champion == world.alias == digest
    assert world.actions == ["override", "align"]


def test_a_verdict_against_another_champion_conflicts(world: World) -> None:
    first, rival = world.registered(1), world.registered(2)
    world.promote(first)
    with pytest.raises(Conflict, match="judge it again"):
        world.promote(rival)
    assert world.champion == world.alias == first


def test_a_manual_approval_is_asked_for_and_bound_to_the_evidence(world: World) -> None:
    digest = world.registered(1)
    world.params = world.params.model_copy(
        update={"promote": world.params.promote.model_copy(update={"approval": "manual"})}
    )
    with pytest.raises(ApprovalNeeded, match="waits for approval"):
        world.promote(digest)
    with pytest.raises(Refused, match="approve again"):
        world.promote(digest, approved_by="eva", evidence_digest="f" * 64)
    evidence = registry.versions(world.path, NAME)[0].tags["evidence_digest"]
    world.promote(digest, approved_by="eva", evidence_digest=evidence)
    assert world.champion == digest
    assert world.actions == ["approve", "promote", "align"]
    entries = releases.journal(releases.open_store(world.path))
    assert next(e.actor for e in entries if e.action == "approve") == "eva"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("evidence.parquet", "not the scores"),
        ("verdict.json", "not the verdict on record"),
        ("model/model.safetensors", "damaged"),
    ],
)
def test_what_was_tampered_with_is_refused(world: World, name: str, message: str) -> None:
    digest = world.registered(1, decision="PROMOTE" if name != "verdict.json" else "REJECT")
    path = releases.releases(releases.open_store(world.path))[0].folder.parent / name
    if name == "verdict.json":
        path.write_text(json.dumps(json.loads(path.read_text()) | {"verdict": "PROMOTE"}))
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(ValueError, match=message):
        world.promote(digest)
    assert world.champion is None


def test_a_failed_smoke_test_leaves_the_champion(world: World) -> None:
    def mute(_folder: Path) -> dict[str, object]:
        raise ValueError("no answer within 30 s")

    first = world.registered(1)
    world.promote(first)
    second = world.registered(2, champion=first)
    with pytest.raises(Refused, match="no answer within 30 s; the champion stays"):
        world.promote(second, smoke=mute)
    assert world.champion == world.alias == first
    assert world.actions[-1] == "refuse"
    tags = {each.digest: each.tags for each in registry.versions(world.path, NAME)}
    assert tags[first][INFRASTRUCTURE] == "PASS"
    assert tags[second][INFRASTRUCTURE] == "FAIL: no answer within 30 s"
    served = [e for e in releases.journal(releases.open_store(world.path)) if "test" in e.action]
    assert [(entry.digest, entry.reason) for entry in served] == [(first, "PASS")]
    with pytest.raises(ValueError, match="no registered model"):
        world.promote("f" * 64)


def test_rolling_back_goes_one_further_back_each_time(world: World) -> None:
    with pytest.raises(ValueError, match="no champion yet"):
        world.rollback()
    digests = [world.registered(1)]
    world.promote(digests[0])
    with pytest.raises(ValueError, match="no champion came before v1"):
        world.rollback()
    for seed in (2, 3):
        digests.append(world.registered(seed, champion=digests[-1]))
        world.promote(digests[-1])
    with pytest.raises(ValueError, match="a rollback needs one"):
        world.rollback(reason=" ")
    for expected in (digests[1], digests[0]):
        assert world.rollback().release.digest == expected
        assert world.champion == world.alias == expected
    assert world.actions[-4:] == ["rollback", "align"] * 2


def test_rolling_back_to_a_named_version(world: World) -> None:
    first = world.registered(1)
    world.promote(first)
    second = world.registered(2, champion=first)
    world.promote(second)
    world.registered(3, champion=second)
    with pytest.raises(ValueError, match="v3 never was champion"):
        world.rollback(version=3)
    assert world.rollback(version=1).changed
    assert world.champion == first
    assert not world.rollback(version=1).changed


@pytest.mark.parametrize("way", ["rollback", "override"])
def test_what_a_person_took_down_is_not_promoted_by_a_verdict(world: World, way: str) -> None:
    first = world.registered(1)
    world.promote(first)
    second = world.registered(2, champion=first)
    world.promote(second)
    if way == "rollback":
        world.rollback()
        why = r"was rolled back by ana \(it swears\)"
    else:
        world.promote(first, override=True, reason="it swears")
        why = r"gave way to v1, an override of ana\'s \(it swears\)"
    with pytest.raises(Refused, match=why):
        world.promote(second)
    world.promote(second, override=True, reason="mended the filter")
    assert world.champion == second
    # Who lost the place to a better one may win it back.
    third = world.registered(3, champion=second)
    world.promote(third)
    world.registered(2, champion=third)
    world.promote(second)
    assert world.champion == second


def promote_and_die(project: Path, digest: str, at: str) -> None:
    def die(*_: object, **__: object) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    if at == "align":
        module.align = die
    elif at == "set_alias":
        move = registry.set_alias
        registry.set_alias = lambda *args: (move(*args), die())
    smoke: Callable[[Path], Any] = die if at == "smoke" else lambda _: {"sentence": "PASS"}
    promote(load_params(SETTINGS), project, digest=digest, smoke=smoke, actor="ana")


@pytest.mark.parametrize("at", ["smoke", "align", "set_alias"])
def test_killed_at_any_step_the_next_run_repairs(world: World, at: str) -> None:
    digest = world.registered(1)
    victim = multiprocessing.get_context("spawn").Process(
        target=promote_and_die, args=(world.path, digest, at)
    )
    victim.start()
    victim.join(120)
    assert victim.exitcode == -signal.SIGKILL
    before = {"smoke": (None, None), "align": (digest, None), "set_alias": (digest, digest)}
    assert (world.champion, world.alias) == before[at]
    assert repair(world.params, world.path) is (at != "smoke")
    assert not repair(world.params, world.path)
    assert world.promote(digest).changed is (at == "smoke")
    assert world.champion == world.alias == digest
    assert world.actions == ["promote", "align"]


def race(project: Path, digest: str, start: Barrier) -> None:
    def together(_folder: Path) -> dict[str, object]:
        start.wait(60)
        return {"sentence": "PASS"}

    try:
        promote(load_params(SETTINGS), project, digest=digest, smoke=together, actor=digest[:4])
    except Conflict:
        raise SystemExit(3) from None


def test_of_two_racing_promoters_one_wins_and_the_other_is_judged_again(world: World) -> None:
    first = world.registered(1)
    world.promote(first)
    rivals = [world.registered(2, champion=first), world.registered(3, champion=first)]
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(2)
    racers = [spawn.Process(target=race, args=(world.path, rival, start)) for rival in rivals]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(120)
    assert sorted(racer.exitcode or 0 for racer in racers) == [0, 3]
    winner = rivals[[racer.exitcode for racer in racers].index(0)]
    assert world.champion == world.alias == winner


def test_an_alias_moved_by_hand_is_a_request(world: World) -> None:
    first = world.registered(1)
    assert reconcile(world.params, world.path, smoke=world.smoke).outcome == "in step"
    registry.set_alias(world.path, NAME, 1)
    granted = reconcile(world.params, world.path, smoke=world.smoke)
    assert granted.outcome == "promoted"
    assert world.champion == world.alias == first
    in_step = reconcile(world.params, world.path, smoke=world.smoke)
    assert (in_step.outcome, in_step.sentence) == ("in step", "")


def test_a_request_that_the_verdict_does_not_allow_is_put_back(world: World) -> None:
    world.registered(1, decision="REJECT")
    registry.set_alias(world.path, NAME, 1)
    answer = reconcile(world.params, world.path, smoke=world.smoke)
    assert (answer.outcome, answer.asked, answer.champion) == ("put back", 1, None)
    assert world.alias is None
    assert world.actions == ["put back"]
    second = world.registered(2)
    world.promote(second)
    registry.set_alias(world.path, NAME, 1)
    assert "REJECT" in reconcile(world.params, world.path, smoke=world.smoke).reason
    assert world.champion == world.alias == second


def test_an_alias_that_was_taken_away_comes_back(world: World) -> None:
    digest = world.registered(1)
    world.promote(digest)
    registry.set_alias(world.path, NAME, None)
    assert reconcile(world.params, world.path, smoke=world.smoke).outcome == "put back"
    assert world.alias == digest


def test_a_request_with_an_override_and_a_reason_is_granted(world: World) -> None:
    digest = world.registered(1, decision="REJECT")
    version = registry.versions(world.path, NAME)[0]
    registry.tag_version(world.path, NAME, version.number, {"override": "the board wants it"})
    registry.set_alias(world.path, NAME, 1)
    granted = reconcile(world.params, world.path, smoke=world.smoke)
    assert granted.sentence == "promoted: the board wants it"
    assert world.champion == digest
    entry = releases.journal(releases.open_store(world.path))[-2]
    assert (entry.action, entry.actor, entry.reason) == (
        "override",
        "MLflow UI",
        "the board wants it",
    )


def test_a_version_that_was_deleted_in_mlflow_is_in_nobodys_way(world: World) -> None:
    first = world.registered(1)
    world.promote(first)
    client, _ = tracking.open_tracking(world.path)
    client.delete_model_version(NAME, "1")
    answer = reconcile(world.params, world.path, smoke=world.smoke)
    assert (answer.outcome, world.champion) == ("in step", first)
    second = world.registered(2, champion=first)
    world.promote(second)
    assert world.champion == world.alias == second
    with pytest.raises(ValueError, match="v1: its version was deleted in MLflow"):
        world.rollback()
    assert world.champion == world.alias == second


def test_a_champion_that_was_deleted_in_mlflow_is_registered_anew(world: World) -> None:
    first = world.registered(1)
    world.promote(first)
    client, _ = tracking.open_tracking(world.path)
    client.delete_model_version(NAME, "1")
    assert world.registered(1) == first
    assert not world.promote(first).changed
    reconcile(world.params, world.path, smoke=world.smoke)
    reigning = releases.champion(releases.open_store(world.path))
    assert reigning is not None
    assert (reigning.name, world.alias) == ("v2", first)
    assert releases.model_folder(releases.open_store(world.path), first) == reigning.folder


def test_who_promotes_what_somebody_else_just_did_has_what_they_wanted(world: World) -> None:
    digest = world.registered(1)

    def meanwhile(folder: Path) -> Mapping[str, object]:
        world.promote(digest)
        return dict(world.smoke(folder))

    assert not world.promote(digest, smoke=meanwhile).changed
    assert world.champion == world.alias == digest
    assert world.actions == ["promote", "align"]


@pytest.mark.parametrize("taken", [False, True], ids=["unknown name", "another model's name"])
def test_another_name_is_refused_before_anything_happens(world: World, taken: bool) -> None:
    champion, candidate = world.registered(1), world.registered(2, decision="REJECT")
    world.promote(champion)
    done = world.actions
    register_ = world.params.register_.model_copy(update={"model_name": "other"})
    world.params = world.params.model_copy(update={"register_": register_})
    if taken:
        (world.path / releases.DATABASE).rename(world.path / "aside")
        world.registered(3)
        (world.path / "aside").rename(world.path / releases.DATABASE)
    for act in (
        lambda: reconcile(world.params, world.path, smoke=world.smoke),
        lambda: world.promote(candidate, override=True, reason="a demonstration"),
        world.rollback,
    ):
        with pytest.raises(ValueError, match=r"`register\.model_name` is other.*put the name back"):
            act()
    assert registry.alias(world.path, "other") is None
    assert world.champion == world.alias == champion
    assert world.actions == done


def test_a_candidate_of_another_name_is_refused_where_there_is_no_champion(world: World) -> None:
    digest = world.registered(1)
    register_ = world.params.register_.model_copy(update={"model_name": "other"})
    world.params = world.params.model_copy(update={"register_": register_})
    with pytest.raises(ValueError, match=r"no v1 of that name .* put the name back"):
        world.promote(digest)
    assert world.champion is None
