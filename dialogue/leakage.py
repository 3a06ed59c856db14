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
    within: bool = True,
    templates: bool = False,
) -> list[Leak]:
    """Leaks that come with a domain: within it, and both ways between it and earlier ones.

    Each held-out dialogue is named once for each domain it leaks into, with the most similar
    training dialogue found.

    Args:
        own: the domain that is about to be learned.
        earlier: the domains before it.
        similarity: least Jaccard index of a near-duplicate.
        text_shares: float32[N], how much of each own dialogue the plain text of pretraining
            holds (`dialogue.containment.Containment.shares`).
        containment: the share from which a dialogue counts as contained.
        within: whether to look within it at all; no need to once `straddling` rows are out.
        templates: whether templates made the domain's brief dialogues (`near_pairs` tells).
    """
    found = _between(own, own, similarity, templates) if within else []
    for other in earlier:
        found += _between(own, other, similarity, templates)
        found += _between(other, own, similarity, templates)
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


def _between(
    held_out: Fingerprints, training: Fingerprints, similarity: float, templates: bool
) -> list[Leak]:
    """Held-out dialogues of one domain whose near-duplicates another trains on."""
    pairs = _nearest(
        held_out,
        held_out.rows_of("validation", "test"),
        training,
        training.rows_of("train"),
        similarity,
        templates,
    )
    return [
        Leak(_place(held_out, row), _place(training, other), round(float(share), 3))
        for (row, other), share in zip(pairs.rows.tolist(), pairs.similarity, strict=True)
    ]


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
    rows = own.rows_of("validation", "test")
    text = Place(TEXT, "train", "", "")
    return [
        Leak(_place(own, row), text, round(float(shares[row]), 3))
        for row in rows[shares[rows] >= least].tolist()
    ]


def _place(fingerprints: Fingerprints, row: int) -> Place:
    (facts,) = fingerprints.facts.slice(row, 1).to_pylist()
    return Place(fingerprints.domain, facts["split"], facts["dialogue_id"], facts["origin"])
