"""Two versions of a domain fetched and compared: what `perennial data diff` shows."""

from __future__ import annotations

import difflib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dialogue.comparison import (
    Comparison,
    Excerpt,
    Inventory,
    compare,
    excerpts,
    sample,
    take_inventory,
)
from dialogue.drift import Profile, drift, profile
from dialogue.keyness import keywords
from dialogue.records import Split
from tasks.storage import open_storage
from tasks.versions import Located, records_at

_MAX_TURNS = 6
_MAX_CHARACTERS = 200
_MAX_PROFILED = 20_000
_MAX_WORDS = 15


def compare_versions(
    project: Path, domain: str, before: str, after: str, num_examples: int
) -> dict[str, Any]:
    """Compare a domain at two revisions, each a revision of git or `workspace`.

    Returns:
        The comparison as JSON knows it: both sides; `added`, `removed`, `changed` and `same`
        dialogues by split; `moved`; `drift`; and `examples` by kind.

    Raises:
        ValueError: no such revision or domain, or bytes that are missing or damaged.
    """
    with open_storage(project) as storage:
        old, new = (records_at(project, storage, domain, each) for each in (before, after))
    compared = compare(take_inventory(old.path), take_inventory(new.path))
    return {
        "domain": domain,
        "before": _side(old, compared.before),
        "after": _side(new, compared.after),
        "differs": _differs(compared),
        "added": compared.after.by_split(compared.added),
        "removed": compared.before.by_split(compared.removed),
        "changed": compared.after.by_split(compared.changed[:, 1]),
        "same": _same(compared),
        "moved": [
            {"from": old_split, "to": new_split, "dialogues": count}
            for (old_split, new_split), count in sorted(compared.moves().items())
        ],
        "drift": _drift(old.path, new.path, compared),
        "examples": _examples(old.path, new.path, compared, num_examples),
    }


def _side(located: Located, inventory: Inventory) -> dict[str, Any]:
    commit = located.commit
    return {
        "name": located.name,
        "commit": None if commit is None else commit.digest,
        "date": None if commit is None else commit.date,
        "digest": located.digest,
        "dialogues": inventory.by_split(),
        "turns": inventory.turns_by_split(),
    }


def _differs(compared: Comparison) -> bool:
    parts = (compared.added, compared.removed, compared.changed, compared.moved)
    return any(len(part) for part in parts)


def _same(compared: Comparison) -> dict[Split, int]:
    """Dialogues of `after` that stand in `before` letter by letter and in the same split."""
    rows = np.ones(len(compared.after), dtype=bool)
    for touched in (compared.added, compared.changed[:, 1], compared.moved[:, 1]):
        rows[touched] = False
    return compared.after.by_split(np.flatnonzero(rows))


def _drift(old: Path, new: Path, compared: Comparison) -> dict[str, Any]:
    """How lengths and words differ; the words of a sample where a version is large."""
    earlier, later = _profile(old, compared.before), _profile(new, compared.after)
    moved = drift(earlier, later)
    more, less = keywords(earlier, later, _MAX_WORDS)
    return {
        "length_drift": moved.length_drift,
        "vocabulary_drift": moved.vocabulary_drift,
        "sample": [earlier.num_dialogues, later.num_dialogues],
        "turns": _lengths(compared.before.num_turns, compared.after.num_turns),
        "characters": _lengths(compared.before.num_characters, compared.after.num_characters),
        "more": [asdict(word) for word in more],
        "less": [asdict(word) for word in less],
    }


def _profile(path: Path, inventory: Inventory) -> Profile:
    rows = sample(inventory, np.arange(len(inventory)), _MAX_PROFILED)
    return profile([turn.text for turn in each.turns] for each in excerpts(path, rows))


def _lengths(before: npt.NDArray[Any], after: npt.NDArray[Any]) -> dict[str, list[float]]:
    """Of either version the percentiles from 0 to 100."""
    shares = np.linspace(0, 100, 101)
    return {
        name: np.percentile(lengths, shares).round(1).tolist()
        for name, lengths in (("before", before), ("after", after))
    }


def _examples(
    old: Path, new: Path, compared: Comparison, number: int
) -> dict[str, list[dict[str, Any]]]:
    """Some dialogues of each kind; of a changed one, what is different."""
    added = compared.added[sample(compared.after, compared.added, number)]
    removed = compared.removed[sample(compared.before, compared.removed, number)]
    changed = compared.changed[sample(compared.after, compared.changed[:, 1], number)]
    order = np.argsort(changed[:, 0])  # `excerpts` wants rising rows
    before = list(excerpts(old, changed[order, 0]))
    pairs = zip(np.argsort(order).tolist(), excerpts(new, changed[:, 1]), strict=True)
    return {
        "added": [_quoted(excerpt) for excerpt in excerpts(new, added)],
        "removed": [_quoted(excerpt) for excerpt in excerpts(old, removed)],
        "changed": [_changed(before[place], after) for place, after in pairs],
    }


def _quoted(excerpt: Excerpt) -> dict[str, Any]:
    lines = [{"sign": " ", "role": turn.role, "text": _cut(turn.text)} for turn in excerpt.turns]
    return {"origin": excerpt.origin, "split": excerpt.split, "lines": _shortened(lines)}


def _changed(before: Excerpt, after: Excerpt) -> dict[str, Any]:
    """The turns that are not the same, those of before with `-`, those of after with `+`."""
    matcher = difflib.SequenceMatcher(None, before.turns, after.turns, autojunk=False)
    lines = [
        {"sign": sign, "role": turn.role, "text": _cut(turn.text)}
        for tag, a, b, c, d in matcher.get_opcodes()
        if tag != "equal"
        for sign, turns in (("-", before.turns[a:b]), ("+", after.turns[c:d]))
        for turn in turns
    ]
    return {"origin": after.origin, "split": after.split, "lines": _shortened(lines)}


def _shortened(lines: list[dict[str, str]]) -> list[dict[str, str]]:
    if len(lines) <= _MAX_TURNS:
        return lines
    more = {"sign": " ", "role": "", "text": f"… and {len(lines) - _MAX_TURNS} more"}
    return [*lines[:_MAX_TURNS], more]


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else text[:_MAX_CHARACTERS] + "…"
