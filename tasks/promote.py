"""Promote: a judged model becomes champion, as a transaction; and the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dialogue.config import Params
from tasks import registry, releases
from tasks._alias import BY_US, align, fetched, is_aligned, repair, shown
from tasks._verdict import EVIDENCE, VERDICT, check_verdict, read_verdict
from tasks.releases import MOVES, Conflict, Entry, Release, Store

Smoke = Callable[[Path], Mapping[str, object]]
"""Starts a real server on a model folder, asks it, and reports a `sentence`; ValueError where it
fails."""

INFRASTRUCTURE = "infrastructure"
"""The version's tag that says how its server did."""

_BY_HAND = "MLflow UI"
_OVERRIDE_TAG = "override"


class Refused(ValueError):  # noqa: N818 - an answer, not a breakdown
    """The model may not become champion; the message says why and what would help."""


class ApprovalNeeded(Refused):
    """Everything but a person's approval is there."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """Who reigns now. `changed` is False where the model reigned already."""

    release: Release
    previous: Release | None
    changed: bool
    smoke: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What became of an alias that was moved by hand to the version `asked`."""

    outcome: Literal["in step", "promoted", "put back"]
    asked: int | None
    champion: Release | None
    reason: str

    @property
    def sentence(self) -> str:
        """For people; empty where nobody moved it."""
        return "" if self.outcome == "in step" else f"{self.outcome}: {self.reason}"


def promote(
    params: Params,
    project: Path,
    *,
    digest: str,
    smoke: Smoke,
    actor: str,
    reason: str = "",
    approved_by: str | None = None,
    evidence_digest: str | None = None,
    override: bool = False,
) -> Promotion:
    """Make a registered model champion, if its verdict says so and nobody was faster.

    Order: verdict and evidence are checked, the approval is asked for, a real server answers from
    the very folder that will be served, and only then one transaction changes the champion and
    the journal. Before it nothing has happened; after it the rest (MLflow's alias) is repaired by
    whoever comes next. So a kill at any point leaves a whole release store.

    Args:
        params: the settings; `promote.approval` is `auto` or `manual`.
        project: the project's root.
        digest: the model.
        smoke: the smoke test.
        actor: who asks for it.
        reason: why; an override needs one.
        approved_by: the person who approved, where `promote.approval` is `manual`.
        evidence_digest: the evidence that person saw; another one is refused.
        override: promote against the verdict.

    Raises:
        ValueError: no such model is registered, or not under this `register.model_name`, or its
            version was deleted in MLflow, or its files are damaged.
        Refused: the verdict, the missing approval, the smoke test or a person who took it down
            stands against it.
        Conflict: another model became champion since the verdict; judge again.
    """
    store = releases.open_store(project)
    repair(params, project)
    release, previous = _registered(store, digest), releases.champion(store)
    if previous is not None and previous.digest == digest:
        return Promotion(release, previous, changed=False)
    folder = fetched(params, project, release)
    if override:
        _demand(reason, "an override")
        expected = previous.digest if previous else None
    else:
        _check_allowed(store, release, previous, evidence_digest)
        expected = release.verdict["champion"]
    _approve(params, store, release, approved_by, reason)
    report = _smoke_test(params, project, store, release, folder, smoke, actor)
    try:
        releases.compare_and_set(
            store,
            expected,
            release,
            action="override" if override else "promote",
            actor=actor,
            reason=reason or release.verdict["sentence"],
        )
    except Conflict:
        reigning = releases.champion(store)
        if reigning is None or reigning.digest != digest:
            raise
        # Somebody else made it champion meanwhile, and sees to the alias.
        return Promotion(release, reigning, changed=False, smoke=report)
    align(params, project, store)
    return Promotion(release, previous, changed=True, smoke=report)


def rollback(
    params: Params,
    project: Path,
    *,
    smoke: Smoke,
    actor: str,
    reason: str,
    version: int | None = None,
) -> Promotion:
    """Give the place back to the champion before this one, or to an earlier one by version.

    Rolling back twice goes back two champions. What was rolled back is not promoted again by a
    verdict.

    Raises:
        ValueError: there is no champion to go back to, the version never was one or is registered
            under another name, its files are damaged, or no reason is given.
        Refused: the smoke test failed.
        Conflict: somebody changed the champion at the same time.
    """
    _demand(reason, "a rollback")
    store = releases.open_store(project)
    repair(params, project)
    current = releases.champion(store)
    if current is None:
        raise ValueError("there is no champion yet, so there is nothing to roll back")
    target = _rollback_target(store, current, version)
    if target.digest == current.digest:
        return Promotion(target, current, changed=False)
    folder = fetched(params, project, target)
    report = _smoke_test(params, project, store, target, folder, smoke, actor)
    releases.compare_and_set(
        store, current.digest, target, action="rollback", actor=actor, reason=reason
    )
    align(params, project, store)
    return Promotion(target, current, changed=True, smoke=report)


def reconcile(params: Params, project: Path, *, smoke: Smoke) -> Reconciliation:
    """Treat an alias that was moved in MLflow's UI as a request to promote that version.

    It is granted where the version's own verdict allows it, or where its tag `override` gives a
    reason; otherwise the alias is put back to the champion of the journal.

    Raises:
        ValueError: the champion is registered under another name than `register.model_name`.
    """
    store, name = releases.open_store(project), params.register_.model_name
    while True:
        repair(params, project)
        champion, marked = releases.champion(store), registry.alias(project, name)
        # Else somebody's promotion is on its way, and what stands there was not asked for by hand.
        if is_aligned(store):
            break
    asked = None if marked is None else marked.number
    if asked == shown(params, project, champion):
        return Reconciliation("in step", asked, champion, "alias and journal agree")
    try:
        if marked is None:
            raise Refused("the alias was taken away; use `perennial rollback` to go back")
        override = marked.tags.get(_OVERRIDE_TAG, "")
        promotion = promote(
            params,
            project,
            digest=marked.digest,
            smoke=smoke,
            actor=_BY_HAND,
            reason=override or "the alias was moved by hand",
            approved_by=_BY_HAND,
            override=bool(override),
        )
    except ValueError as error:
        align(params, project, store)
        releases.append(store, action="put back", release=champion, actor=BY_US, reason=str(error))
        return Reconciliation("put back", asked, champion, str(error))
    reason = override or "its verdict allows it"
    return Reconciliation("promoted", asked, promotion.release, reason)


def _registered(store: Store, digest: str) -> Release:
    release = releases.release_of(store, digest)
    if release is None:
        raise ValueError(f"no registered model has the digest {digest or '?'}; register it first")
    return release


def _check_allowed(
    store: Store, release: Release, champion: Release | None, evidence_digest: str | None
) -> None:
    """The verdict, bound to the model and the evidence as they lie on disk, allows it."""
    files = release.folder.parent
    verdict = read_verdict(files / VERDICT)
    if verdict != release.verdict:
        raise ValueError(f"{files / VERDICT}: not the verdict on record; register the model again")
    check_verdict(verdict, release.digest, files / EVIDENCE)
    if evidence_digest not in (None, verdict["evidence_digest"]):
        raise Refused(
            f"{release.name}: the approval was given on the evidence {evidence_digest[:12]}, the "
            f"verdict rests on {verdict['evidence_digest'][:12]}; approve again"
        )
    if verdict["verdict"] != "PROMOTE":
        raise Refused(f"{release.name}: {verdict['sentence']} (An override needs a reason.)")
    if fall := taken_down(releases.journal(store), release.digest):
        raise Refused(f"{release.name} {fall}; an override with a reason promotes it again")
    if verdict["champion"] != (None if champion is None else champion.digest):
        raise Conflict(
            f"{release.name} was judged against "
            f"{(verdict['champion'] or 'no champion')[:12]}, which no longer reigns; judge it again"
        )


def _approve(
    params: Params, store: Store, release: Release, approved_by: str | None, reason: str
) -> None:
    if approved_by is not None:
        releases.append(store, action="approve", release=release, actor=approved_by, reason=reason)
    elif params.promote.approval == "manual":
        raise ApprovalNeeded(
            f"{release.name} ({release.digest[:12]}) waits for approval; "
            "`perennial promote` gives it (promote.approval is `manual`)"
        )


def _smoke_test(
    params: Params,
    project: Path,
    store: Store,
    release: Release,
    folder: Path,
    smoke: Smoke,
    actor: str,
) -> Mapping[str, object]:
    """The infrastructure verdict, written beside the version and into the journal."""
    name = params.register_.model_name
    try:
        report = smoke(folder)
    except (ValueError, OSError) as error:
        why = f"the smoke test failed: {error}"
        registry.tag_version(project, name, release.version, {INFRASTRUCTURE: f"FAIL: {error}"})
        releases.append(store, action="refuse", release=release, actor=actor, reason=why)
        raise Refused(f"{release.name}: {why}; the champion stays") from error
    sentence = str(report["sentence"])
    registry.tag_version(project, name, release.version, {INFRASTRUCTURE: sentence})
    releases.append(store, action="smoke test", release=release, actor=actor, reason=sentence)
    return report


def _rollback_target(store: Store, current: Release, version: int | None) -> Release:
    entries = releases.journal(store)
    if version is None:
        stack = releases.reigns(entries)
        if len(stack) < 2:
            raise ValueError(f"no champion came before {current.name}; name a version instead")
        return _registered(store, stack[-2])
    target = releases.release_of_version(store, version)
    if target is None or target.digest not in {e.digest for e in entries if e.action in MOVES}:
        raise ValueError(f"v{version} never was champion; use promote with an override instead")
    return target


def taken_down(entries: Sequence[Entry], digest: str) -> str:
    """How a person took the place from this model, if nobody gave it back since; else empty.

    The end of a sentence: `was rolled back by ana (it swears)`. A champion that lost its place to
    a better one was not taken down.
    """
    fall = ""
    for entry in entries:
        if entry.action in MOVES and entry.digest == digest:
            fall = ""
        elif entry.action == "rollback" and entry.previous == digest:
            fall = f"was rolled back by {entry.actor} ({entry.reason})"
        elif entry.action == "override" and entry.previous == digest:
            fall = f"gave way to v{entry.version}, an override of {entry.actor}'s ({entry.reason})"
    return fall


def _demand(reason: str, what: str) -> None:
    if not reason.strip():
        raise ValueError(f"reason: {what} needs one; it stays in the journal")
