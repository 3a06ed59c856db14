"""The beginning of a text that may be shown: no half of an item is left where it is cut."""

from __future__ import annotations

from dialogue.privacy import STRUCTURED, find

_SEARCHED = 5_120  # Characters: what an excerpt of a long text is taken from.
_LONGEST = 1_024
"""Characters of the longest item that is not known by its beginning already."""


def excerpt(text: str, num_characters: int, *, is_whole: bool = True) -> str:
    """The first characters of a text, once every structured kind is replaced in it.

    It is cut behind placeholders and between what was searched and found to be none, never where
    the rest of an item may have stood: the end of what was searched is left out.

    Args:
        text: of any length; only its beginning is read.
        num_characters: how many are kept at most, placeholders included.
        is_whole: whether the text goes on to its own end, rather than being cut already.
    """
    # Texts in UTF-16 that were read as UTF-8 hold a NUL beside every character.
    searched = text[:_SEARCHED].replace("\x00", "")
    end = len(searched)
    if not is_whole or len(text) > _SEARCHED:
        end = max(0, end - _LONGEST)
    pieces, done = [], 0
    for finding in find(searched, STRUCTURED):
        if finding.start >= end:
            break
        pieces += [searched[done : finding.start], f"[{finding.kind.upper()}]"]
        done = finding.end
    return "".join((*pieces, searched[done:end]))[:num_characters]
