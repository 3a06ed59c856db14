"""What the words of a response show by themselves: copies of what was said, and of itself."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from dialogue.appraisal.exchange import Exchange

_WORD = re.compile(
    # Scripts without spaces: each sign is a word.
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
    r"|[^\W\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+"
)
_LATEST_TURNS = 64


def copied(exchange: Exchange) -> float:
    """Longest run of words that one earlier turn has too, as a share of the response's words.

    Of the last 64 turns. Up to three words prove no copy: 0.
    """
    response = words(exchange.response)
    if len(response) <= 3:
        return 0.0
    matcher = SequenceMatcher(None, autojunk=False)
    matcher.set_seq2(response)
    longest = 0
    for turn in exchange.context[-_LATEST_TURNS:]:
        matcher.set_seq1(words(turn))
        longest = max(longest, matcher.find_longest_match().size)
    return longest / len(response)


def words(text: str) -> list[str]:
    """Runs of letters and digits, case folded, of the first 1,000 characters."""
    return _WORD.findall(text[:1_000].casefold())
