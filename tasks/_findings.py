"""From what validation measured to what its page shows."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from dialogue.config import RuleName
from dialogue.drift import LENGTHS, Profile
from dialogue.leakage import TEXT, Leak, place
from dialogue.leakage import Place as Somewhere
from dialogue.records import Reject
from tasks._data_docs import NUM_SHOWN, Content, Drift, Findings, Pair, Place, Plot
from tasks._evidence import Evidence
from tasks.expectations import Outcome

_NUM_WORDS = 10
_EXCERPT = 90
_DRIFTS: tuple[RuleName, ...] = ("length_drift", "vocabulary_drift", "embedding_drift")


def findings(evidence: Evidence, outcome: Outcome, rejects: Iterable[Reject]) -> Findings:
    """Everything that the page shows of one domain.

    Args:
        evidence: what was measured.
        outcome: what the rules say to it.
        rejects: the rows that ingest set aside already.
    """
    reasons: Counter[str] = Counter()
    first: list[Reject] = []
    # What was set aside here first: ingest's own report tells of the rest.
    for row in itertools.chain(evidence.set_aside.values(), rejects):
        reasons[_group(row)] += 1
        if len(first) < NUM_SHOWN:
            first.append(row)
    return Findings(
        domain=evidence.domain,
        settings=evidence.settings,
        outcome=outcome,
        counts=_tiles(evidence, reasons.total()),
        figures=evidence.figures,
        inapplicable=evidence.inapplicable,
        reasons=reasons,
        set_aside=first,
        num_pairs=len(evidence.separation.near),
        num_templates=evidence.separation.near.num_templates,
        pairs=_near(evidence),
        num_leaks=len(evidence.separation.leaks),
        leaks=[_leak(evidence, leak) for leak in evidence.separation.leaks[:NUM_SHOWN]],
        earlier=_earlier(evidence),
        drift=_drift(evidence),
        contents=_contents(evidence),
    )


def _group(row: Reject) -> str:
    """A reason without what differs from row to row."""
    return re.split(r": | of | \(", row.reason, maxsplit=1)[0]


def _tiles(evidence: Evidence, num_set_aside: int) -> dict[str, int]:
    return {
        "dialogues": int(evidence.is_kept.sum()),
        "turns": int(evidence.survey.facts["num_turns"][evidence.is_kept].sum()),
        "in the test split": int(evidence.figures["num_test_dialogues"]),
        "set aside": num_set_aside,
        "near-duplicate pairs": len(evidence.separation.near),
        "leaks": len(evidence.separation.leaks),
    }


def _near(evidence: Evidence) -> list[Pair]:
    """Those that straddle splits first, then the most similar ones."""
    straddling, near = evidence.separation.straddling, evidence.separation.near
    shown = [
        _pair(evidence, rows, similarity, f"the first is set aside: {_because(evidence, rows)}")
        for rows, similarity in _closest(straddling.rows, straddling.similarity)
    ]
    seen = {frozenset(rows) for rows in straddling.rows.tolist()}
    for rows, similarity in _closest(near.rows, near.similarity, NUM_SHOWN + len(seen)):
        if len(shown) < NUM_SHOWN and frozenset(rows) not in seen:
            shown.append(_pair(evidence, rows, similarity, "both stay: they share a split"))
    return shown


def _closest(
    rows: np.ndarray, similarity: np.ndarray, most: int = NUM_SHOWN
) -> list[tuple[list[int], float]]:
    order = np.argsort(-similarity, kind="stable")[:most]
    return list(zip(rows[order].tolist(), similarity[order].tolist(), strict=True))


def _pair(evidence: Evidence, rows: Sequence[int], similarity: float, consequence: str) -> Pair:
    first, second = (_own(evidence, row) for row in rows)
    return Pair(similarity, first, second, consequence)


def _because(evidence: Evidence, rows: Sequence[int]) -> str:
    first, second = (place(evidence.own, row).split for row in rows)
    return f"{first} gives way to {second}"


def _own(evidence: Evidence, row: int) -> Place:
    found = place(evidence.own, row)
    return Place(found.origin, found.domain, found.split, _cut(evidence.survey.beginning(row)))


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…"


def _leak(evidence: Evidence, leak: Leak) -> Pair:
    if leak.training.split != "train":
        follows = "both are held out, so nothing is learned from either; the sources overlap"
    elif leak.training.domain == evidence.domain:
        follows = "what is trained on is set aside"
    else:
        follows = "what is held out is set aside: it was learned already"
    return Pair(
        leak.similarity,
        _shown(evidence, leak.held_out),
        _shown(evidence, leak.training),
        follows,
    )


def _shown(evidence: Evidence, somewhere: Somewhere) -> Place:
    if somewhere.domain != evidence.domain:
        origin = "pretraining" if somewhere.domain == TEXT else somewhere.origin
        return Place(origin, somewhere.domain, somewhere.split)
    ids = evidence.own.facts.column("dialogue_id")
    row = ids.index(somewhere.dialogue_id).as_py()
    return _own(evidence, row)


def _earlier(evidence: Evidence) -> str:
    names = [each.domain for each in evidence.memory.domains]
    if evidence.memory.text is not None:
        names.append("the plain text of pretraining")
    return f"Compared with {', '.join(names)}." if names else "Nothing came before this domain."


def _drift(evidence: Evidence) -> Drift:
    now, then = evidence.profile, evidence.committed
    if now is None:
        return Drift("There is no dialogue to profile.")
    plots = (
        Plot("Words per turn", *_histogram(now, then, "words_per_turn")),
        Plot("Turns per dialogue", *_histogram(now, then, "turns_per_dialogue")),
        _vocabulary(now, then),
    )
    if then is None:
        note = (
            f"Nothing to compare with ({evidence.reference}): this is what "
            f"{now.num_dialogues:,} dialogues are like now."
        )
        return Drift(note, plots=plots)
    note = (
        f"{now.num_dialogues:,} dialogues against {then.num_dialogues:,} of the version that is "
        "committed."
    )
    figures = {name: evidence.figures[name] for name in _DRIFTS if name in evidence.figures}
    return Drift(note, figures, plots)


def _histogram(
    now: Profile, then: Profile | None, name: str
) -> tuple[list[str], list[float], list[float] | None]:
    """Labels, shares now and shares then, without the empty bins at either end."""
    profiles = [now] if then is None else [now, then]
    counts = np.array([getattr(each, name) for each in profiles], float)
    used = np.flatnonzero(counts.any(axis=0))
    first, last = (used[0], used[-1] + 1) if len(used) else (0, 1)
    shares = (counts / np.maximum(1, counts.sum(axis=1, keepdims=True)))[:, first:last].tolist()
    labels = [_bin(index) for index in range(first, last)]
    return labels, shares[0], shares[1] if then is not None else None


def _bin(index: int) -> str:
    if index + 1 == len(LENGTHS):
        return f"{LENGTHS[index]}+"
    first, last = LENGTHS[index], LENGTHS[index + 1] - 1
    return str(first) if first == last else f"{first}–{last}"


def _vocabulary(now: Profile, then: Profile | None) -> Plot:
    """The commonest words, or those whose share has changed most."""
    ours = _word_shares(now)
    if then is None:
        words = [*ours][:_NUM_WORDS]
        return Plot("Commonest words", words, [ours[word] for word in words], None, as_bars=True)
    theirs = _word_shares(then)
    both = ours.keys() | theirs.keys()
    words = sorted(both, key=lambda word: (-abs(ours.get(word, 0) - theirs.get(word, 0)), word))
    words = words[:_NUM_WORDS]
    return Plot(
        "Words whose share changed most",
        words,
        [ours.get(word, 0.0) for word in words],
        [theirs.get(word, 0.0) for word in words],
        as_bars=True,
    )


def _word_shares(profile: Profile) -> dict[str, float]:
    total = max(1, sum(profile.vocabulary.values()) + profile.num_other_words)
    return {word: count / total for word, count in profile.vocabulary.items()}


def _contents(evidence: Evidence) -> list[Content]:
    splits = Counter(
        split
        for split, kept in zip(
            evidence.own.facts.column("split").to_pylist(), evidence.is_kept.tolist(), strict=True
        )
        if kept
    )
    contents = [
        Content("Dialogues by split", splits),
        _languages(evidence),
        _abuse(evidence),
        _personal(evidence),
    ]
    if evidence.survey.labels:
        contents.append(Content("Labels", evidence.survey.labels))
    return contents


def _languages(evidence: Evidence) -> Content:
    expected = evidence.settings.language_of(evidence.domain)
    read = f"{evidence.screening.num_dialogues:,} dialogues were read; expected: {expected}."
    return Content("Languages", evidence.screening.languages, read)


def _abuse(evidence: Evidence) -> Content:
    screening = evidence.screening
    note = (
        f"{len(screening.abusive):,} of {screening.num_dialogues:,} dialogues that were read hold "
        "a turn that reads as abuse"
    )
    worst = [_own(evidence, row).origin for row in screening.abusive[:3]]
    return Content("Abuse", {}, f"{note}; the worst: {', '.join(worst)}." if worst else f"{note}.")


def _personal(evidence: Evidence) -> Content:
    kinds = sum(evidence.personal.values(), Counter())
    note = (
        f"Left in {len(evidence.personal):,} of {evidence.screening.num_dialogues:,} dialogues "
        "that were read"
    )
    where = [_own(evidence, row).origin for row in [*evidence.personal][:3]]
    found = f"{note}: {', '.join(where)}." if where else f"{note}."
    return Content("Personal data", kinds, found)
