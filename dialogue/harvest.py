"""Which rated conversations are worth learning from, and why the others are set aside."""

from __future__ import annotations

import collections
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dialogue.privacy import STRUCTURED, find
from dialogue.records import Split, Turn, content_digest
from dialogue.serving.store import Answer, Rating

_ANONYMOUS = "(no user given)"
_PERSONAL = {
    "email": "an e-mail address",
    "phone": "a telephone number",
    "card": "a card number",
    "iban": "an account number",
    "ip": "an IP address",
    "key": "a key or a password",
}


@dataclass(frozen=True, slots=True)
class SetAside:
    """A reply that was rated up and is not learned from."""

    reply_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Harvest:
    """Answers whose dialogues, reply included, are to be learned; and the rest, with reasons."""

    kept: tuple[Answer, ...]
    set_aside: tuple[SetAside, ...]
    num_new: int
    """How many of those that are kept no earlier round held."""

    @property
    def reasons(self) -> dict[str, int]:
        """How many were set aside for which reason."""
        counts = collections.Counter(aside.reason for aside in self.set_aside)
        return dict(sorted(counts.items()))


def harvest(
    answers: Iterable[Answer],
    ratings: Mapping[str, Rating],
    *,
    learned: Iterable[Sequence[Turn]],
    tried: Iterable[Sequence[Turn]],
    split: Callable[[Sequence[Turn]], Split],
    max_per_user: int,
) -> Harvest:
    """Keep the dialogues that end in a reply rated up, unless a reason speaks against one.

    A dialogue's history is whatever its client sent, so it counts only where this server said
    every assistant turn of it, each to its end, and nobody rated one of them down. Content decides
    what was learned: an earlier dialogue, each of its beginnings, and every copy of them. A
    dialogue that goes on from such a beginning is kept in a split where the beginning stands
    already, for in another one it would examine what was learned, or teach an exam.

    Args:
        answers: everything that was served, oldest first.
        ratings: the last word on every rated reply, by its id.
        learned: the dialogues of the earlier rounds that the champion has learned.
        tried: those of the other rounds; they are kept again, after what is new of a user.
        split: the split that `ingest` puts a dialogue into.
        max_per_user: dialogues that one user may contribute; all who give no name share one.
    """
    served, splits = list(answers), _splits(learned, split)
    said = {content_digest(answer.turns) for answer in served}
    ended = {content_digest(answer.turns) for answer in served if answer.finish_reason == "stop"}
    disliked = {
        content_digest(answer.turns) for answer in served if _opinion(answer, ratings) == "down"
    }
    liked = [answer for answer in served if _opinion(answer, ratings) == "up"]
    tests: tuple[Callable[[Answer], str | None], ...] = (
        lambda answer: _learned(answer, splits),
        _unfinished,
        lambda answer: _untrue(answer, said, ended, disliked),
        _personal,
        lambda answer: _straddling(answer, splits, split),
    )
    set_aside: list[SetAside] = []
    sound = list(_passing(liked, tests, set_aside))
    known = _beginnings(tried)
    # New ones first: else those that were tried would fill their user's share for ever.
    sound.sort(key=lambda answer: content_digest(answer.turns) in known)
    kept = tuple(_longest(sound, max_per_user, set_aside))
    num_new = sum(content_digest(answer.turns) not in known for answer in kept)
    return Harvest(kept, tuple(set_aside), num_new)


def _beginnings(dialogues: Iterable[Sequence[Turn]]) -> set[str]:
    """The content digests of dialogues and of their beginnings, up to each assistant turn."""
    return {digest for turns in dialogues for digest in _prefixes(turns)}


def _splits(
    dialogues: Iterable[Sequence[Turn]], split: Callable[[Sequence[Turn]], Split]
) -> dict[str, set[Split]]:
    """Digest of each dialogue, and of each of its beginnings → the splits in which it stands."""
    found: dict[str, set[Split]] = collections.defaultdict(set)
    for turns in dialogues:
        own = split(turns)
        for digest in _prefixes(turns):
            found[digest].add(own)
    return dict(found)


def _opinion(answer: Answer, ratings: Mapping[str, Rating]) -> str | None:
    rating = ratings.get(answer.id)
    return None if rating is None else rating.opinion


def _passing(
    answers: Iterable[Answer],
    tests: Iterable[Callable[[Answer], str | None]],
    set_aside: list[SetAside],
) -> Iterator[Answer]:
    """The answers that no test speaks against; the first reason against the others is noted."""
    tests = tuple(tests)
    for answer in answers:
        reason = next((reason for test in tests if (reason := test(answer))), None)
        if reason is None:
            yield answer
        else:
            set_aside.append(SetAside(answer.id, reason))


def _learned(answer: Answer, splits: Collection[str]) -> str | None:
    return "learned in an earlier round" if content_digest(answer.turns) in splits else None


def _straddling(
    answer: Answer,
    splits: Mapping[str, Collection[Split]],
    split: Callable[[Sequence[Turn]], Split],
) -> str | None:
    held = [splits[digest] for digest in _prefixes(answer.history) if digest in splits]
    if not held:
        return None
    own = split(answer.turns)
    if all(own in where for where in held):
        return None
    return "an earlier round holds its beginning, in another split"


def _unfinished(answer: Answer) -> str | None:
    if answer.finish_reason != "stop":
        return f"the reply did not come to its end ({answer.finish_reason})"
    return None if answer.text.strip() else "the reply is empty"


def _untrue(
    answer: Answer, said: Collection[str], ended: Collection[str], disliked: Collection[str]
) -> str | None:
    prefixes = _prefixes(answer.history)
    if any(digest in disliked for digest in (*prefixes, content_digest(answer.turns))):
        return "it holds a reply that was rated down"
    if any(digest not in said for digest in prefixes):
        return "it holds an assistant turn that was not served here"
    if any(digest not in ended for digest in prefixes):
        return "it holds a reply that did not come to its end"
    return None


def _personal(answer: Answer) -> str | None:
    found = (finding for turn in answer.turns for finding in find(turn.text, STRUCTURED))
    first = next(found, None)
    return None if first is None else f"it seems to hold {_PERSONAL[first.kind]}"


def _prefixes(turns: Sequence[Turn]) -> list[str]:
    """Digests of a dialogue, or a history, up to each assistant turn of it."""
    ends = [index for index, turn in enumerate(turns, 1) if turn.role == "assistant"]
    return [content_digest(turns[:end]) for end in ends]


def _longest(
    answers: Sequence[Answer], max_per_user: int, set_aside: list[SetAside]
) -> Iterator[Answer]:
    """Each dialogue once, none that another one contains; what is refused is in nobody's way."""
    contained: set[str] = set()
    tests = (_not_in(contained), _once_and_capped(max_per_user))
    rest = list(answers)
    while rest:
        continued = _beginnings(answer.history for answer in rest)
        whole = [answer for answer in rest if content_digest(answer.turns) not in continued]
        for answer in _passing(whole, tests, set_aside):
            contained |= _beginnings([answer.history])
            yield answer
        rest = [answer for answer in rest if content_digest(answer.turns) in continued]


def _not_in(contained: Collection[str]) -> Callable[[Answer], str | None]:
    def test(answer: Answer) -> str | None:
        if content_digest(answer.turns) in contained:
            return "a longer dialogue that is kept contains it"
        return None

    return test


def _once_and_capped(max_per_user: int) -> Callable[[Answer], str | None]:
    seen: set[str] = set()
    counts: collections.Counter[str] = collections.Counter()

    def test(answer: Answer) -> str | None:
        digest, user = content_digest(answer.turns), answer.user or _ANONYMOUS
        if digest in seen:
            return "the same dialogue is kept already"
        if counts[user] == max_per_user:
            return f"more than {max_per_user} of one user"
        seen.add(digest)
        counts[user] += 1
        return None

    return test
