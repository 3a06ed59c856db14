"""Lexical diversity that does not fall with length: MTLD over the replies to one exam."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from dialogue.metrics.novelty import words

_THRESHOLD = Fraction(72, 100)
"""Type-token ratio at which a factor is complete: McCarthy and Jarvis 2010, from their corpora."""


def lexical_diversity(replies: Mapping[str, str]) -> Iterator[tuple[str, float, float]]:
    """Per reply: id, its words, and how many factors end in it, the mean of both directions.

    The replies are read as one text, by id; punctuation is no word. Σ words / Σ factors is MTLD
    (McCarthy and Jarvis 2010, "MTLD, vocd-D, and HD-D", Behavior Research Methods 42) with one
    difference: the two directions' factors are averaged, not their quotients. The factor that is
    incomplete at the text's end counts in part, as theirs does, in the last reply with a word.
    """
    keys = sorted(replies)
    texts = [[word for word in words(replies[key]) if word[0].isalnum()] for key in keys]
    forward = _factors(texts)
    backward = _factors([text[::-1] for text in texts[::-1]])[::-1]
    for key, text, ahead, back in zip(keys, texts, forward, backward, strict=True):
        yield key, float(len(text)), (ahead + back) / 2


def _factors(texts: Sequence[Sequence[str]]) -> list[float]:
    """How many factors each text completes, read one after the other."""
    completed = [0.0] * len(texts)
    types: set[str] = set()
    num_words = 0
    last = 0
    for index, text in enumerate(texts):
        for word in text:
            last = index
            num_words += 1
            types.add(word)
            if Fraction(len(types), num_words) <= _THRESHOLD:
                completed[index] += 1
                types, num_words = set(), 0
    if num_words:
        ratio = Fraction(len(types), num_words)
        completed[last] += float((1 - ratio) / (1 - _THRESHOLD))
    return completed
