"""Self-contradiction: statements that deny what the same speaker said in an earlier turn."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from dialogue.metrics.claims import Claim, statements, stems


def _pairs(pairs: str) -> frozenset[frozenset[str]]:
    return frozenset(stems(pair.replace("/", " ")) for pair in pairs.split())


def _across(one: str, other: str) -> frozenset[frozenset[str]]:
    return frozenset(map(frozenset, itertools.product(stems(one), stems(other))))


_OPPOSITE_VERBS = _pairs("like/hate like/dislike remember/forget pass/fail accept/reject")
_OPPOSITE_COMPLEMENTS = _pairs(
    "married/single married/divorced married/unmarried alive/dead "
    "old/young tall/short rich/poor big/small hot/cold open/closed cheap/expensive easy/hard "
    "easy/difficult fast/slow safe/dangerous healthy/sick employed/unemployed beautiful/ugly "
    "clean/dirty possible/impossible legal/illegal introvert/extrovert"
)
_OPPOSITE_COMPLEMENTS |= _across("man boy guy male", "woman girl female")
_OPPOSITE_COMPLEMENTS |= _across(
    "human person man woman guy girl", "robot bot chatbot ai machine computer program"
)
_KEPT = stems(
    "dog cat pet kid child children son daughter brother sister sibling wife husband grandchildren "
    "car house job leg arm eye"
)
"""Of these one has so many; of tickets and ideas one has more or fewer the next moment."""


def self_contradiction(replies: Sequence[str]) -> tuple[float, float]:
    """Statements of a speaker's turns that contradict one of an earlier turn, and all of these.

    Statements are sentences that ask nothing. The first turn has nothing before it and does not
    count. Two contradict each other where a clause of one and a clause of the other are the same
    but for a denial of the verb, one pair of antonyms, or one number. English only.

    Source: de Marneffe, Rafferty and Manning 2008, the contradictions that are marked in words.
    """
    said: list[Claim] = []
    contradicting = total = 0
    for number, reply in enumerate(replies):
        own = list(statements(reply))
        if number:
            total += len(own)
            contradicting += sum(
                any(_contradict(claim, earlier) for claim in claims for earlier in said)
                for claims in own
            )
        said.extend(claim for claims in own for claim in claims)
    return float(contradicting), float(total)


def _contradict(one: Claim, other: Claim) -> bool:
    if one.denied != other.denied:
        affirmed, denied = (other, one) if one.denied else (one, other)
        return denied.words in (affirmed.words, affirmed.weaker)
    if one.denied or len(one.weaker) != len(other.weaker):
        return False
    pairs = enumerate(zip(one.weaker, other.weaker, strict=True))
    differing = [(place, frozenset(pair)) for place, pair in pairs if pair[0] != pair[1]]
    return len(differing) == 1 and _exclude(one, *differing[0])


def _exclude(claim: Claim, place: int, pair: frozenset[str]) -> bool:
    """Whether a claim cannot hold with either word of a pair in this place."""
    words = claim.weaker
    before, after = words[place - 1], words[place + 1 : place + 2]
    if all(word[0].isdigit() for word in pair):
        ages = words[0] in {"i", "we"} or not _KEPT.isdisjoint(words[1:2])
        is_age = before == "be" and (after[0] == "year" if after else ages)
        is_kept = before == "hav" and not _KEPT.isdisjoint(after)
        return words[0] not in {"you", "your"} and (is_age or is_kept)
    if place == claim.verb:
        return pair in _OPPOSITE_VERBS
    is_last = place == len(words) - 1
    return is_last and words[claim.verb] == "be" and pair in _OPPOSITE_COMPLEMENTS
