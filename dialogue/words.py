"""Where texts may be cut so that their pieces, tokenized one by one, give the tokens of the whole.

A byte-level tokenizer (Radford et al. 2019) first splits a text into words by a pattern that runs
on from where the last word ended, and then turns each word into tokens by itself. Some of those
ends can be told from the two ASCII signs around them alone: they are cut at, and nowhere else.
Texts are mostly made of the same few words, so that far fewer pieces are left to be tokenized.
"""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tokenizers import Tokenizer

_REMEMBERED = 1 << 18
_LONGEST_REMEMBERED = 32

_UNSURE, _LETTER, _DIGIT, _SIGN, _APOSTROPHE, _SPACE = range(6)


def _sign_kinds() -> NDArray[np.uint8]:
    """The kind of every byte; those of longer characters are unsure, and so are controls."""
    kinds = np.full(256, _UNSURE, dtype=np.uint8)
    kinds[0x21:0x7F] = _SIGN
    for code in (*range(ord("A"), ord("Z") + 1), *range(ord("a"), ord("z") + 1)):
        kinds[code] = _LETTER
    kinds[ord("0") : ord("9") + 1] = _DIGIT
    kinds[ord("'")] = _APOSTROPHE
    kinds[[ord(" "), ord("\t"), ord("\n"), ord("\r")]] = _SPACE
    return kinds


def _ends() -> NDArray[np.bool_]:
    """[before, after]: whether a word surely ends between two bytes of these kinds.

    No word holds both a letter and a digit or sign, but for `'s` and the like, which begin with
    an apostrophe. None holds a space after anything else; what belongs to the spaces before a
    word depends on more than two signs.
    """
    ends = np.zeros((6, 6), dtype=np.bool_)
    for before in (_LETTER, _DIGIT, _SIGN):
        for after in (_LETTER, _DIGIT, _SIGN, _APOSTROPHE, _SPACE):
            ends[before, after] = before != after
    ends[_SIGN, _APOSTROPHE] = False
    ends[_APOSTROPHE, _SPACE] = True
    return ends


_KINDS = _sign_kinds()
_ENDS = _ends().ravel()


def splits_into_words(tokenizer: Tokenizer) -> bool:
    """Whether texts may be cut inside: true of byte-level tokenizers without further rules."""
    parts = json.loads(tokenizer.to_str())
    steps = parts["pre_tokenizer"] or {}
    steps = steps["pretokenizers"] if steps.get("type") == "Sequence" else [steps]
    digits = {"type": "Digits", "individual_digits": True}
    if len(steps) == 2 and steps[0] == digits:
        steps = steps[1:]
    return (
        len(steps) == 1
        and steps[0].get("type") == "ByteLevel"
        and steps[0]["use_regex"]
        and not steps[0]["add_prefix_space"]
        and parts["normalizer"] is None
        and parts["model"]["type"] == "BPE"
        and not parts["model"]["dropout"]
        # Others would be looked for across words; special ones are spelled out.
        and all(token["special"] for token in parts["added_tokens"])
    )


def cut(texts: pa.Array, *, inside: bool) -> tuple[pa.Array, NDArray[np.int64]]:
    """Cut texts into pieces.

    Args:
        texts: large strings without nulls, [N].
        inside: whether texts are cut into words, or only from one another.

    Returns:
        All pieces one after the other, and how many of them each text has, [N].
    """
    _, offsets_buffer, bytes_buffer = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64)
    offsets = offsets[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(bytes_buffer or b"", dtype=np.uint8)[offsets[0] : offsets[-1]]
    offsets = offsets - offsets[0]
    is_end = np.zeros(len(data) + 1, dtype=np.bool_)
    if inside and len(data) > 1:
        kinds = _KINDS[data]
        is_end[1:-1] = _ENDS[kinds[:-1] * np.uint8(6) + kinds[1:]]
    is_end[offsets] = True
    ends = np.flatnonzero(is_end)
    pieces = pa.LargeStringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(data))
    return pieces, np.diff(np.searchsorted(ends, offsets))


class WordTokens:
    """Tokens of words, of which the short ones are remembered."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}

    def of(self, words: list[str]) -> list[list[int]]:
        """Each word's token ids."""
        found = [self._known.get(word) for word in words]
        places = [place for place, tokens in enumerate(found) if tokens is None]
        unknown = [words[place] for place in places]
        if len(self._known) + len(unknown) > _REMEMBERED:
            self._known.clear()
        encodings = self._tokenizer.encode_batch_fast(unknown, add_special_tokens=False)
        for place, word, encoding in zip(places, unknown, encodings, strict=True):
            found[place] = tokens = encoding.ids
            if len(word) <= _LONGEST_REMEMBERED:
                self._known[word] = tokens
        return [tokens for tokens in found if tokens is not None]
