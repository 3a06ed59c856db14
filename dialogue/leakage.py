"""Leakage: held-out dialogues that a model has been, or is about to be, trained on.

A held-out dialogue (test or validation) leaks where its near-duplicate is in the training split of
its own domain, of an earlier one, or of a later one; or where plain text of pretraining holds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dialogue.fingerprints import Fingerprints
from dialogue.near_duplicates import Pairs, Rows, near_pairs_between

TEXT = "plain text"

_TRAINING = ("train",)
_HELD_OUT = ("validation", "test")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a dialogue stands: of plain text nothing but that it is plain text."""

    domain: str
    split: str
    dialogue_id: str
    origin: str


@dataclass(frozen=True, slots=True)
class Leak:
    """A held-out dialogue, and what it was found again in.

    Attributes:
        training: what it was found in; where both are held out, the domain's own dialogue.
        similarity: estimated Jaccard index with a dialogue; with plain text, the share of the
            dialogue's word 8-grams that stand in it.
    """

    held_out: Place
    training: Place
    similarity: float


def leaks(
    own: Fingerprints,
    earlier: Sequence[Fingerprints],
    similarity: float,
    text_shares: NDArray[np.float32] | None = None,
    containment: float = 0.7,
    *,
    templates: bool = False,
) -> list[Leak]:
    """Leaks that come with a domain, both ways between it and earlier ones, and what both hold out.

    Every dialogue of the domain that takes part in a leak is named once for each earlier domain,
    with the most similar dialogue found there. Where both are held out, nothing learns them, but
    the sources overlap.

    Args:
        own: the domain that is about to be learned; what straddles its own splits is out already.
        earlier: the domains before it.
        similarity: least Jaccard index of a near-duplicate.
        text_shares: float32[N], how much of each own dialogue the plain text of pretraining
            holds (`dialogue.containment.Containment.shares`).
        containment: the share from which a dialogue counts as contained.
        templates: whether templates made the domain's brief dialogues (`near_pairs` tells).
    """
    found: list[Leak] = []
    for ours, theirs in ((_HELD_OUT, _TRAINING), (_TRAINING, _HELD_OUT), (_HELD_OUT, _HELD_OUT)):
        for other in earlier:
            pairs = _nearest(
                own, own.rows_of(*ours), other, other.rows_of(*theirs), similarity, templates
            )
            for (row, their_row), share in zip(pairs.rows.tolist(), pairs.similarity, strict=True):
                places = place(own, row), place(other, their_row)
                held_out, training = places if theirs == _TRAINING else places[::-1]
                found.append(Leak(held_out, training, round(float(share), 3)))
    if text_shares is not None:
        found += _in_text(own, text_shares, containment)
    return found


def straddling(own: Fingerprints, similarity: float, *, templates: bool = False) -> Pairs:
    """Near-duplicates within a domain that lie in different splits, and which of them must go.

    Training gives way to validation and test, validation to test: what is held out stays as it is
    when the source grows.

    Args:
        own: the domain.
        similarity: least Jaccard index of a near-duplicate.
        templates: whether templates made its brief dialogues (`near_pairs` tells).

    Returns:
        Pairs of the row to set aside and the row it repeats; each row to set aside once, with the
        most similar one found.
    """
    test = own.rows_of("test")
    validation = _nearest(own, own.rows_of("validation"), own, test, similarity, templates)
    held_out = np.setdiff1d(own.rows_of("test", "validation"), validation.rows[:, 0])
    train = _nearest(own, own.rows_of("train"), own, held_out, similarity, templates)
    return Pairs(
        np.concatenate([validation.rows, train.rows]),
        np.concatenate([validation.similarity, train.similarity]),
        validation.num_templates + train.num_templates,
    )


def place(own: Fingerprints, row: int) -> Place:
    """Where a dialogue stands."""
    (facts,) = own.facts.slice(row, 1).to_pylist()
    return Place(own.domain, facts["split"], facts["dialogue_id"], facts["origin"])


def _nearest(
    a: Fingerprints, rows_a: Rows, b: Fingerprints, rows_b: Rows, least: float, templates: bool
) -> Pairs:
    """Of each row of `a` that has near-duplicates in `b`, the pair with the most similar one."""
    pairs = near_pairs_between(
        a.signatures, b.signatures, least, rows_a=rows_a, rows_b=rows_b, templates=templates
    )
    order = np.lexsort((pairs.rows[:, 1], -pairs.similarity, pairs.rows[:, 0]))
    _, first = np.unique(pairs.rows[order, 0], return_index=True)
    best = order[first]
    return Pairs(pairs.rows[best], pairs.similarity[best], pairs.num_templates)


def _in_text(own: Fingerprints, shares: NDArray[np.float32], least: float) -> list[Leak]:
    assert len(shares) == len(own.signatures), own.domain
    rows = own.rows_of(*_HELD_OUT)
    text = Place(TEXT, "train", "", "")
    return [
        Leak(place(own, row), text, round(float(shares[row]), 3))
        for row in rows[shares[rows] >= least].tolist()
    ]
