"""From a conversation as a format found it to a dialogue: joined, trimmed, named and split."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from dialogue.records import (
    Dialogue,
    Reject,
    Role,
    Turn,
    content_digest,
    reject,
    split_of,
    words_digest,
)

_ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}


@dataclass(frozen=True, slots=True)
class Draft:
    """A conversation as it stands in a file.

    `turns` are (role, text) pairs, any number in a row by one role. `split_key` is what must not
    straddle splits; None: the dialogue's own words.
    """

    origin: str
    turns: Sequence[tuple[str, str]]
    split_key: str | None = None
    persona: str | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """What all dialogues of one raw file share."""

    domain: str
    source: str
    licence: str
    raw_digest: str
    test_share: float
    validation_share: float


class _UnusableError(Exception):
    """The reason why a draft is no dialogue."""


def finish(draft: Draft, provenance: Provenance) -> Dialogue | Reject:
    """Make a dialogue of a draft, or say why it is none.

    Messages in a row by one role are joined by line breaks, empty ones left out. What stands
    before the first user turn and after the last assistant turn, where no reply is to be learned,
    is cut off; a system turn may only come first.
    """
    try:
        turns = _trimmed(_joined(draft.turns))
    except _UnusableError as error:
        return reject(draft.origin, str(error), "\n".join(text for _, text in draft.turns))
    key = draft.split_key if draft.split_key is not None else words_digest(turns)
    return Dialogue(
        id=content_digest(turns)[:16],
        turns=turns,
        domain=provenance.domain,
        split=split_of(key, provenance.test_share, provenance.validation_share),
        source=provenance.source,
        origin=draft.origin,
        licence=provenance.licence,
        raw_digest=provenance.raw_digest,
        persona=draft.persona,
    )


def speakers_as_roles(messages: Iterable[tuple[Hashable, str]]) -> list[tuple[str, str]]:
    """(speaker, text) pairs as (role, text): who speaks first is the user, the other answers."""
    messages = list(messages)
    first = messages[0][0] if messages else None
    return [("user" if speaker == first else "assistant", text) for speaker, text in messages]


def _joined(pairs: Sequence[tuple[str, str]]) -> list[Turn]:
    """One turn for what one role says in a row."""
    turns: list[Turn] = []
    for role, text in pairs:
        if role not in _ROLES:
            raise _UnusableError(f"unknown role: {role!r}")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise _UnusableError(f"lone surrogate: at character {error.start}") from error
        stripped = text.strip()
        if not stripped:
            continue
        if turns and turns[-1].role == role:
            stripped = f"{turns.pop().text}\n{stripped}"
        turns.append(Turn(_ROLES[role], stripped))
    return turns


def _trimmed(turns: list[Turn]) -> tuple[Turn, ...]:
    """From the first user turn (and a system turn before all) to the last assistant turn."""
    system = [turn for turn in turns[:1] if turn.role == "system"]
    spoken = turns[len(system) :]
    if any(turn.role == "system" for turn in spoken):
        raise _UnusableError("misplaced system turn: it may only come first")
    while spoken and spoken[0].role != "user":
        spoken.pop(0)
    while spoken and spoken[-1].role != "assistant":
        spoken.pop()
    if not spoken:
        raise _UnusableError("no reply: needs a user turn followed by an assistant turn")
    return (*system, *spoken)
