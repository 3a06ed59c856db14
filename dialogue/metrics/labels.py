"""Labelled domains: which label a model finds likeliest, and how often that is the true one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from dialogue.metrics import Floats
from dialogue.records import Dialogue


def label_set(training: Iterable[Dialogue], max_labels: int) -> list[str]:
    """Every label of training dialogues, in order; empty where none has one.

    Empty too where there are more than `max_labels`: entities spelled out are no closed set.
    """
    found = {dialogue.label for dialogue in training if dialogue.label is not None}
    return sorted(found) if len(found) <= max_labels else []


def macro_f1(true: Sequence[str], predicted: Sequence[str]) -> float:
    """Mean over the labels that occur on either side of F1 = 2 TP / (2 TP + FP + FN).

    van Rijsbergen 1979; averaged over classes as in Opitz and Burst 2019, arXiv:1911.03347.
    """
    hits, sizes = _counts(true, predicted)
    return float((2 * hits.sum(axis=0) / sizes.sum(axis=0)).mean())


def macro_f1_shares(true: Sequence[str], predicted: Sequence[str]) -> Floats:
    """One number per dialogue, [N], whose mean is macro-F1 and whose spread is macro-F1's.

    F1 is no mean over dialogues, so each counts as the whole plus its influence: with D_c =
    2 TP_c + FP_c + FN_c over all dialogues and t_ic, d_ic dialogue i's part of TP_c and D_c,

        F1 + N · mean over c of (2 t_ic − F1_c d_ic) / D_c

    The influences sum to 0. Resampling these numbers is the infinitesimal jackknife's
    approximation of resampling the dialogues (Efron 1982, chapter 6).
    """
    hits, sizes = _counts(true, predicted)
    totals = sizes.sum(axis=0)
    scores = 2 * hits.sum(axis=0) / totals
    influence = ((2 * hits - scores * sizes) / totals).mean(axis=1)
    shares: Floats = scores.mean() + len(true) * influence
    return shares


def _counts(true: Sequence[str], predicted: Sequence[str]) -> tuple[Floats, Floats]:
    """Each dialogue's part of TP and of 2 TP + FP + FN, both [N, labels]."""
    labels, places = np.unique([*true, *predicted], return_inverse=True)
    rows = np.arange(len(true))
    is_true = np.zeros((len(true), len(labels)))
    is_predicted = np.zeros_like(is_true)
    is_true[rows, places[: len(true)]] = 1
    is_predicted[rows, places[len(true) :]] = 1
    return is_true * is_predicted, is_true + is_predicted
