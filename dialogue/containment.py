"""Containment: how much of a dialogue stands word for word in plain text.

Text is remembered as hashes of its word 8-grams. A dialogue is contained to the share of its own
8-grams that are among them (Broder 1997); PaLM's authors called an example contaminated from 0.7
(Chowdhery et al. 2022, section 8). Of large texts only the 8-grams with the smallest hashes are
remembered, and of the dialogues' as well: the share is then an estimate.

Shapes: N dialogues, G remembered 8-grams.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dialogue.shingles import gathered, ngram_hashes
from dialogue.sorted_arrays import is_among, sorted_unique

NUM_WORDS = 8
MOST_GRAMS = 1 << 23
_EVERY = 2**64
_SUSPICIOUS = 0.05
_FEWEST_WITHIN = 4


@dataclass(frozen=True, slots=True)
class Grams:
    """What is remembered of plain text.

    Attributes:
        hashes: uint64[G], sorted, each once.
        below: every 8-gram whose hash is below it is remembered, no other.
    """

    hashes: NDArray[np.uint64]
    below: int = _EVERY

    def __len__(self) -> int:
        return len(self.hashes)


def grams(texts: Iterable[str], most: int = MOST_GRAMS) -> Grams:
    """The 8-grams of documents, at most `most` of them: those with the smallest hashes.

    Takes a stream, and memory for 16 bytes times `most`, at most.
    """
    kept = np.zeros(0, np.uint64)
    below = _EVERY
    waiting: list[NDArray[np.uint64]] = []
    num_waiting = 0
    for chunk in gathered([text] for text in texts):
        hashes, _ = ngram_hashes(chunk, NUM_WORDS)
        waiting.append(hashes if below == _EVERY else hashes[hashes < below])
        num_waiting += len(waiting[-1])
        if num_waiting >= most:
            kept, below = _fewer(sorted_unique(np.concatenate([kept, *waiting])), below, most)
            waiting, num_waiting = [], 0
    return Grams(*_fewer(sorted_unique(np.concatenate([kept, *waiting])), below, most))


@dataclass(slots=True)
class Containment:
    """Measures dialogues against plain text as they stream by.

    `through` hands on what it is given; when it is exhausted, `shares` tells of each dialogue.
    """

    text: Grams
    _shares: list[NDArray[np.float32]] = field(default_factory=list)

    def through(self, dialogues: Iterable[Sequence[str]]) -> Iterator[Sequence[str]]:
        """The dialogues, each the texts of its turns, unchanged."""
        for chunk in gathered(dialogues):
            self._shares.append(_contained(chunk, self.text))
            yield from chunk

    @property
    def shares(self) -> NDArray[np.float32]:
        """float32[N]: the share of each dialogue's 8-grams that the text holds.

        Where that is more, the share of those that lie within turns, if there are four. NaN where
        a dialogue has none to look for: it is too short to tell.
        """
        return np.concatenate([np.zeros(0, np.float32), *self._shares])


def _fewer(hashes: NDArray[np.uint64], below: int, most: int) -> tuple[NDArray[np.uint64], int]:
    while len(hashes) > most:
        below //= 2
        hashes = hashes[: np.searchsorted(hashes, np.uint64(below))]
    return hashes, below


def _contained(dialogues: Sequence[Sequence[str]], text: Grams) -> NDArray[np.float32]:
    """float32[N]: the share of all 8-grams, or of those within turns, whichever is larger."""
    shares, _ = _found(dialogues, text)
    with np.errstate(invalid="ignore"):
        suspects = np.flatnonzero((shares >= _SUSPICIOUS) & (shares < 1))
    # A transcript with names between the turns breaks every 8-gram that goes across them.
    for row in suspects.tolist():
        within, num_grams = _found([[turn] for turn in dialogues[row]], text)
        if num_grams.sum() >= _FEWEST_WITHIN:
            whole = np.nansum(within * num_grams) / num_grams.sum()
            shares[row] = max(shares[row], whole)
    return shares


def _found(
    dialogues: Sequence[Sequence[str]], text: Grams
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """float32[N] and int64[N]: the share found of each one's 8-grams, and how many those are."""
    hashes, counts = ngram_hashes(dialogues, NUM_WORDS)
    owner = np.repeat(np.arange(len(dialogues)), counts)
    if text.below != _EVERY:
        looked_for = hashes < text.below
        hashes, owner = hashes[looked_for], owner[looked_for]
    found = is_among(hashes, text.hashes)
    num_grams = np.bincount(owner, minlength=len(dialogues))
    num_found = np.bincount(owner[found], minlength=len(dialogues))
    with np.errstate(invalid="ignore"):
        return (num_found / num_grams).astype(np.float32), num_grams
