"""Novelty of generated replies: how varied they are, how new, and how much they repeat."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
import regex
from numpy.typing import NDArray

from dialogue.records import Dialogue
from dialogue.shingles import UNSPACED, gathered, run_hashes
from dialogue.sorted_arrays import is_among, sorted_unique

ORDER = 4
"""Length in words of the n-grams that novelty and repetition look at."""

_ORDERS = (ORDER, 8, 16)
"""Lengths of the n-grams that are remembered of training; the longer ones tell copies."""

_PAIR = 2
"""Length of the n-grams that a speaker says again: See et al. 2019."""

Seen = NDArray[np.uint64]
"""Hashes of the n-grams of training dialogues, of all `_ORDERS`, sorted, each once."""

_SIGNS = "".join(f"{chr(first)}-{chr(last)}" for first, last in UNSPACED)
_WORD = regex.compile(rf"(?V1)[[{_SIGNS}]&&\w]\p{{M}}*|[[\w\p{{M}}]--[{_SIGNS}]]+|[^\w\s]\p{{M}}*")


def words(text: str) -> list[str]:
    """Words and punctuation marks, case folded; of scripts without spaces, each sign."""
    found: list[str] = _WORD.findall(text.casefold())
    return found


def ngrams(text: str, order: int) -> list[tuple[str, ...]]:
    """Runs of `order` words, in order; none where the text is shorter."""
    parts = words(text)
    return [tuple(parts[i : i + order]) for i in range(len(parts) - order + 1)]


def seen_ngrams(dialogues: Iterable[Dialogue], before: Seen | None = None) -> Seen:
    """What is no longer novel: n-grams of every turn of these dialogues, and those seen before."""
    parts = [np.zeros(0, np.uint64) if before is None else before]
    for chunk in gathered([turn.text for turn in dialogue.turns] for dialogue in dialogues):
        hashes, counts = _word_hashes(text for turns in chunk for text in turns)
        found = [run_hashes(hashes, counts, order) for order in _ORDERS]
        parts.append(sorted_unique(np.concatenate(found)))
    return sorted_unique(np.concatenate(parts))


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
    known = _known(text, ORDER, seen)
    return float((~known).sum()), float(len(known))


def longest_copy(text: str, seen: Seen) -> tuple[float, float]:
    """Words of the longest run that training contains, and all words of the reply.

    Runs of 4 and more count. What is remembered of training are its runs of 4, 8 and 16 words: a
    run of another length counts where all its runs of the next smaller of these were seen, so that
    two passages of training that join without a seam pass for one.
    """
    longest = 0
    for order, following in zip(_ORDERS, (*_ORDERS[1:], None), strict=True):
        run = _longest_run(_known(text, order, seen))
        if run == 0:
            break
        length = run + order - 1
        # A run this long would have been seen as a whole, or it is none.
        longest = max(longest, length if following is None else min(length, following - 1))
    return float(longest), float(len(words(text)))


def repetition(text: str) -> float:
    """Share of a reply's n-grams that it has used already; 0 where it is too short for any."""
    found = ngrams(text, ORDER)
    return 1 - len(set(found)) / len(found) if found else 0.0


def self_repetition(replies: Sequence[str]) -> tuple[float, float]:
    """Word pairs of a speaker's turns that an earlier one of them has, and all pairs of these.

    The first turn has nothing before it and does not count.
    """
    said: set[tuple[str, ...]] = set()
    repeated = total = 0
    for number, reply in enumerate(replies):
        pairs = ngrams(reply, _PAIR)
        if number:
            repeated += sum(pair in said for pair in pairs)
            total += len(pairs)
        said.update(pairs)
    return float(repeated), float(total)


def _known(text: str, order: int, seen: Seen) -> NDArray[np.bool_]:
    """Which n-grams of a text training has shown."""
    return is_among(run_hashes(*_word_hashes([text]), order), seen)


def _longest_run(known: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _word_hashes(texts: Iterable[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """uint64[W] and int64[N]: the words of all texts one after another, and how many each has."""
    found = [words(text) for text in texts]
    counts = np.array([len(each) for each in found], np.int64)
    hashes = (_hash(word) for each in found for word in each)
    return np.fromiter(hashes, np.uint64, int(counts.sum())), counts


@lru_cache(maxsize=1 << 16)
def _hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
