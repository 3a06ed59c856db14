"""Which dialogues of a domain must not be learned, because something is held out that they repeat.

What is held out is kept where that is possible: training gives way to it. A held-out dialogue
whose double an earlier domain was trained on is no exam any more and goes itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dialogue.facts import Array
from dialogue.fingerprints import SCHEMA, Fingerprints, Memory
from dialogue.leakage import TEXT, Leak, leaks, straddling
from dialogue.near_duplicates import Pairs, near_pairs

ASIDE = "set aside"
"""The split of a dialogue that is out of the comparison."""


@dataclass(frozen=True, slots=True)
class Separation:
    """What was found, and what must go.

    Attributes:
        near: pairs of near-duplicate rows within the domain.
        straddling: pairs of a row that goes and the row of another split that it repeats.
        leaks: held-out dialogues found again in another domain or in plain text.
        reasons: why a row goes, by row.
    """

    near: Pairs
    straddling: Pairs
    leaks: list[Leak]
    reasons: Mapping[int, str]


def separate(
    own: Fingerprints,
    memory: Memory,
    is_sound: Array,
    similarity: float,
    text_shares: Array | None,
) -> Separation:
    """Compare a domain with itself, with every domain before it, and with plain text.

    Args:
        own: every dialogue of the domain, [N].
        memory: what came before.
        is_sound: which of them are fit for training by themselves, bool[N].
        similarity: least Jaccard index of a near-duplicate.
        text_shares: how much of each the plain text holds, float32[N]; None without a text.
    """
    own = without(own, ~is_sound)
    near = _among(near_pairs(own.signatures, similarity), is_sound)
    templates = near.num_templates > 0
    straddlers = straddling(own, similarity, templates=templates)
    reasons = {
        row: f"near-duplicate of {_origin(own, other)}, which is {_split(own, other)}"
        for row, other in straddlers.rows.tolist()
    }
    is_out = np.zeros(len(own.signatures), np.bool_)
    is_out[straddlers.rows[:, 0]] = True
    left = without(own, is_out)
    found = leaks(left, memory.domains, similarity, text_shares, templates=templates)
    return Separation(near, straddlers, found, reasons | _leaking(left, found))


def without(own: Fingerprints, is_out: Array) -> Fingerprints:
    """The same dialogues, some of them (by mask) in no split any more."""
    split = pc.if_else(pa.array(is_out), ASIDE, own.facts.column("split"))
    facts = own.facts.set_column(SCHEMA.get_field_index("split"), SCHEMA.field("split"), split)
    return Fingerprints(own.domain, facts, own.signatures)


def _among(pairs: Pairs, is_sound: Array) -> Pairs:
    both = is_sound[pairs.rows].all(axis=1)
    return Pairs(pairs.rows[both], pairs.similarity[both], pairs.num_templates)


def _leaking(own: Fingerprints, found: Sequence[Leak]) -> dict[int, str]:
    """Which own rows go: what trains on another's exam, and the exam another has trained on."""
    reasons: dict[str, str] = {}
    for leak in found:
        ours, theirs = leak.training, leak.held_out
        if ours.domain != own.domain:
            ours, theirs = leak.held_out, leak.training
        if leak.training.split != "train":
            continue
        where = TEXT if theirs.domain == TEXT else f"{theirs.domain} ({theirs.split})"
        origin = f" {theirs.origin}" if theirs.origin else ""
        reasons[ours.dialogue_id] = f"leak: stands in {where} as well:{origin}".rstrip(":")
    names, splits = own.facts.column("dialogue_id"), own.facts.column("split")
    leaking = pc.and_(
        pc.is_in(names, value_set=pa.array(list(reasons), pa.string())),
        pc.not_equal(splits, ASIDE),
    )
    rows = np.flatnonzero(leaking.to_numpy()).tolist()
    return {row: reasons[names[row].as_py()] for row in rows}


def _origin(own: Fingerprints, row: int) -> str:
    return str(own.facts.column("origin")[row].as_py())


def _split(own: Fingerprints, row: int) -> str:
    return str(own.facts.column("split")[row].as_py())
