"""Which words two versions of a text use differently: Dunning's log-likelihood ratio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy

from dialogue.drift import Profile

Numbers = npt.NDArray[np.float64]

_SURE = 10.83  # χ² with one degree of freedom at p = 0.001


@dataclass(frozen=True, slots=True)
class Keyword:
    """A word and how often it stands among a thousand, before and after."""

    word: str
    before: float
    after: float


def keywords(before: Profile, after: Profile, number: int) -> tuple[list[Keyword], list[Keyword]]:
    """The words that became more and less frequent, the clearest first, at most `number` each.

    Ranked by G² (Dunning 1993, "Accurate Methods for the Statistics of Surprise and Coincidence");
    what chance alone does to one word in a thousand is left out. A word that one profile does
    not name counts as absent there.
    """
    words = sorted(before.vocabulary.keys() | after.vocabulary.keys())
    old, new = (_counts(words, each.vocabulary) for each in (before, after))
    num_old, num_new = (max(1, _total(each)) for each in (before, after))
    g2 = _log_likelihood_ratio(old, new, num_old, num_new)
    rises = new / num_new > old / num_old
    found: tuple[list[Keyword], list[Keyword]] = ([], [])
    for index in np.argsort(-g2, kind="stable").tolist():
        side = found[0 if rises[index] else 1]
        if g2[index] >= _SURE and len(side) < number:
            shares = old[index] / num_old * 1000, new[index] / num_new * 1000
            side.append(Keyword(words[index], *map(float, shares)))
    return found


def _counts(words: list[str], vocabulary: Mapping[str, int]) -> Numbers:
    return np.array([vocabulary.get(word, 0) for word in words], dtype=np.float64)


def _total(profile: Profile) -> int:
    return sum(profile.vocabulary.values()) + profile.num_other_words


def _log_likelihood_ratio(old: Numbers, new: Numbers, num_old: int, num_new: int) -> Numbers:
    """G² of each word: how much likelier two shares are than a common one, [words]."""
    common = (old + new) / (num_old + num_new)
    apart = _likelihood(old, num_old, old / num_old) + _likelihood(new, num_new, new / num_new)
    together = _likelihood(old, num_old, common) + _likelihood(new, num_new, common)
    return np.asarray(2 * (apart - together), dtype=np.float64)


def _likelihood(counts: Numbers, total: int, shares: Numbers) -> Numbers:
    """Logarithm of the binomial likelihood, without the factor that does not depend on shares."""
    return np.asarray(xlogy(counts, shares) + xlogy(total - counts, 1 - shares), dtype=np.float64)
