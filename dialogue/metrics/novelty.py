"""Novelty of generated replies: how varied they are, how new, and how much they repeat."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dialogue.records import Dialogue

ORDER = 4
"""Length in words of the n-grams that novelty and repetition look at."""

Seen = NDArray[np.uint64]
"""Hashes of the n-grams of training dialogues, sorted, each once."""

_WORD = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> list[str]:
    """Words and punctuation marks, case folded."""
    return _WORD.findall(text.casefold())


def ngrams(text: str, order: int) -> list[tuple[str, ...]]:
    """Runs of `order` words, in order; none where the text is shorter."""
    parts = words(text)
    return [tuple(parts[i : i + order]) for i in range(len(parts) - order + 1)]


def seen_ngrams(dialogues: Iterable[Dialogue], before: Seen | None = None) -> Seen:
    """What is no longer novel: n-grams of every turn of these dialogues, and those seen before."""
    hashes = {
        _hash(ngram)
        for dialogue in dialogues
        for turn in dialogue.turns
        for ngram in ngrams(turn.text, ORDER)
    }
    seen = np.fromiter(hashes, dtype=np.uint64, count=len(hashes))
    return np.union1d(seen, before) if before is not None else np.sort(seen)


def distinct(replies: Mapping[str, str], order: int) -> Iterator[tuple[str, float, float]]:
    """Per reply: id, n-grams that no reply before it has used, all its n-grams.

    Summed over the replies these are the two halves of distinct-n. "Before" goes by id.
    """
    used: set[tuple[str, ...]] = set()
    for key in sorted(replies):
        found = ngrams(replies[key], order)
        new = set(found) - used
        used |= new
        yield key, float(len(new)), float(len(found))


def novel(text: str, seen: Seen) -> tuple[float, float]:
    """N-grams of a reply that training has not shown, and all its n-grams."""
    hashes = np.array([_hash(ngram) for ngram in ngrams(text, ORDER)], dtype=np.uint64)
    return float((~np.isin(hashes, seen)).sum()), float(len(hashes))


def repetition(text: str) -> float:
    """Share of a reply's n-grams that it has used already; 0 where it is too short for any."""
    found = ngrams(text, ORDER)
    return 1 - len(set(found)) / len(found) if found else 0.0


def _hash(ngram: Sequence[str]) -> int:
    return int.from_bytes(hashlib.blake2b("\x1f".join(ngram).encode(), digest_size=8).digest())
