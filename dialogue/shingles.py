"""Shingles: the words of a dialogue and its pairs of adjacent words, as 64-bit hashes.

A word is a run of letters and digits after NFKC and casefold, or one character of a script that
writes no spaces between words. A dialogue without any is taken by its characters.

Shapes: N dialogues, C characters, W words, S shingles.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

VERSION = 1
"""To be raised when the same words get other hashes: stored signatures no longer compare then."""

_CHUNK_CHARACTERS = 1 << 20
_CHUNK_DIALOGUES = 4096
_ODD = np.uint64(0x9E3779B97F4A7C15)
_OTHER, _LETTER, _ALONE = 0, 1, 2
UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3400, 0x4DBF),  # CJK
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)


def shingle_hashes(
    dialogues: Sequence[Sequence[str]],
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """The shingles of dialogues, each given as the texts of its turns.

    Returns:
        hashes: uint64[S], repeated where a shingle is.
        offsets: int64[N + 1], where each dialogue's shingles begin; the last is S.
        num_words: int64[N].
    """
    words, num_words = word_hashes("\n".join(turns) for turns in dialogues)
    ends = np.cumsum(num_words)
    last = np.zeros(len(words), np.bool_)
    last[ends[num_words > 0] - 1] = True
    pairs = _mixed(words[:-1] * _ODD + words[1:])
    # Words and pairs stand side by side: word, pair with the next, word, …
    both = np.empty(2 * len(words), np.uint64)
    both[0::2] = words
    both[1:-1:2] = pairs
    kept = np.ones(len(both), np.bool_)
    kept[1::2] = ~last
    sizes = np.where(num_words > 0, 2 * num_words - 1, 0)
    return both[kept], np.concatenate([[0], np.cumsum(sizes)]), num_words


def word_hashes(texts: Iterable[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """uint64[W] and int64[N]: the words of all texts one after another, and how many each has."""
    normal = [unicodedata.normalize("NFKC", text).casefold() for text in texts]
    lengths = np.fromiter(map(len, normal), np.int64, len(normal))
    codes = np.frombuffer("".join(normal).encode("utf-32-le", "surrogatepass"), np.uint32)
    text_of = np.repeat(np.arange(len(normal)), lengths)
    kinds = _kinds()[codes]
    wordless = np.bincount(text_of[kinds != _OTHER], minlength=len(normal)) == 0
    if wordless.any():
        visible = wordless[text_of] & (codes > ord(" "))
        kinds = np.where(visible, _ALONE, kinds)
    letters = np.flatnonzero(kinds != _OTHER)
    if not len(letters):
        return np.zeros(0, np.uint64), np.zeros(len(normal), np.int64)
    starts = _word_starts(letters, kinds[letters], text_of[letters])
    sizes = np.diff(starts, append=len(letters))
    places = np.arange(len(letters)) - np.repeat(starts, sizes)
    # A sum over mixed (character, place): any order of the same letters is another word.
    keys = codes[letters].astype(np.uint64) | (places.astype(np.uint64) << np.uint64(21))
    hashes = _mixed(np.add.reduceat(_mixed(keys), starts))
    return hashes, np.bincount(text_of[letters[starts]], minlength=len(normal))


def ngram_hashes(
    dialogues: Sequence[Sequence[str]], num_words: int
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """uint64[G] and int64[N]: every `num_words` adjacent words of a dialogue, and how many.

    Words of adjacent turns are adjacent: a transcript is a dialogue's text without its roles.
    """
    words, counts = word_hashes("\n".join(turns) for turns in dialogues)
    return run_hashes(words, counts, num_words), np.maximum(0, counts - num_words + 1)


def run_hashes(
    words: NDArray[np.uint64], counts: NDArray[np.int64], num_words: int
) -> NDArray[np.uint64]:
    """uint64[G]: every `num_words` adjacent words of a text, of texts with so many words each."""
    size = max(0, len(words) - num_words + 1)
    hashes = np.zeros(size, np.uint64)
    for place in range(num_words):
        hashes = _mixed(hashes * _ODD + words[place : place + size])
    text = np.repeat(np.arange(len(counts)), counts)
    whole: NDArray[np.uint64] = hashes[text[:size] == text[num_words - 1 :][:size]]
    return whole


def gathered(dialogues: Iterable[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    """A stream in chunks of bounded size: what is hashed at once takes about 60 MiB."""
    chunk: list[Sequence[str]] = []
    size = 0
    for turns in dialogues:
        chunk.append(turns)
        size += sum(map(len, turns))
        if size >= _CHUNK_CHARACTERS or len(chunk) >= _CHUNK_DIALOGUES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _word_starts(
    letters: NDArray[np.int64], kinds: NDArray[np.uint8], text_of: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Which of the letters begin a word: after a gap, beside a lone one, or in another text."""
    begins = np.ones(len(letters), np.bool_)
    begins[1:] = (
        (np.diff(letters) > 1)
        | (kinds[1:] == _ALONE)
        | (kinds[:-1] == _ALONE)
        | (np.diff(text_of) > 0)
    )
    return np.flatnonzero(begins)


@cache
def _kinds() -> NDArray[np.uint8]:
    """uint8[0x110000]: what each code point is to a word."""
    kinds = np.fromiter((chr(code).isalnum() for code in range(0x110000)), np.uint8, 0x110000)
    for first, last in UNSPACED:
        alone = kinds[first : last + 1]
        alone[alone == _LETTER] = _ALONE
    return kinds


def _mixed(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of SplitMix64 (Steele, Lea and Flood 2014): every bit hangs on every bit."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))
