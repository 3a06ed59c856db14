"""From a conversation as a format found it to a dialogue: joined, scrubbed, named and split."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from dialogue.privacy import Scrubber
from dialogue.privacy.excerpts import excerpt as beginning_of
from dialogue.records import (
    Dialogue,
    Reject,
    RejectKind,
    Role,
    Turn,
    content_digest,
    reject,
    split_of,
    words_digest,
)

MAX_TURNS = 10_000
"""Messages of a conversation: more are no talk of people, and are refused before they cost."""
_EXCERPT_CHARACTERS = 400  # Twice what is kept: names may be replaced in it yet.
_ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}


@dataclass(frozen=True, slots=True)
class Draft:
    """A conversation as it stands in a file.

    `turns` are (role, text) pairs, any number in a row by one role. `split_key` is what must not
    straddle splits; None: the dialogue's own words, or of a labelled one its question alone, so
    that equal texts never straddle. `given_id` is the name the file gives it, if any.
    """

    origin: str
    turns: Sequence[tuple[str, str]]
    split_key: str | None = None
    persona: str | None = None
    label: str | None = None
    given_id: str | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """What all dialogues of one raw file share, and what scrubs them."""

    domain: str
    source: str
    licence: str
    raw_digest: str
    test_share: float
    validation_share: float
    scrub: Scrubber


def finish(draft: Draft, provenance: Provenance) -> Dialogue | Reject:
    """Make a dialogue of a draft, or say why it is none.

    Messages in a row by one role are joined by line breaks, empty ones left out. What stands
    before the first user turn and after the last assistant turn, where no reply is to be learned,
    is cut off; a system turn may only come first. All texts are scrubbed before they are hashed,
    so that ids and splits say nothing of what was removed.
    """
    scrub = provenance.scrub.scrub
    try:
        spoken = _trimmed(_joined(draft.turns))
        persona = None if draft.persona is None else scrub(sound(draft.persona))
        label = None if draft.label is None else scrub(sound(draft.label))
    except ValueError as error:
        excerpt = "\n".join(text for _, text in draft.turns[:4])
        return finish_reject(set_aside(draft.origin, str(error), excerpt), provenance.scrub)
    turns = tuple([Turn(role, scrub(text)) for role, text in spoken])
    key = draft.split_key
    if key is None:
        key = words_digest(turns if label is None else turns[:-1])
    return Dialogue(
        id=content_digest(turns)[:16],
        turns=turns,
        domain=provenance.domain,
        split=split_of(key, provenance.test_share, provenance.validation_share),
        source=provenance.source,
        origin=draft.origin,
        licence=provenance.licence,
        raw_digest=provenance.raw_digest,
        persona=persona,
        label=label,
    )


def set_aside(
    origin: str, reason: str, excerpt: str, kind: RejectKind = "fault", *, is_whole: bool = True
) -> Reject:
    """A row of a file that is no dialogue, for `finish_reject` to scrub.

    Its excerpt holds no structured personal data any more, and no half of any, whatever kinds are
    chosen; `is_whole` says whether the text given is all of the row.
    """
    kept = beginning_of(excerpt, _EXCERPT_CHARACTERS, is_whole=is_whole)
    return Reject(origin, reason, kept.encode("utf-8", "replace").decode("utf-8"), kind)


def finish_reject(row: Reject, scrub: Scrubber) -> Reject:
    """The row as it may be kept: scrubbed of the kinds that are chosen, then cut."""
    return reject(row.origin, scrub.scrub(row.reason), scrub.scrub(row.excerpt), row.kind)


def speakers_as_roles(messages: Iterable[tuple[Hashable, str]]) -> list[tuple[str, str]]:
    """(speaker, text) pairs as (role, text): who speaks first is the user, the other answers."""
    messages = list(messages)
    first = messages[0][0] if messages else None
    return [("user" if speaker == first else "assistant", text) for speaker, text in messages]


def sound(text: str) -> str:
    """The text, if it can be stored and learned from.

    Raises:
        ValueError: it holds a NUL byte or a lone surrogate.
    """
    if "\x00" in text:
        raise ValueError(f"NUL byte: at character {text.index(chr(0))}")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(f"lone surrogate: at character {error.start}") from error
    return text


def _joined(pairs: Sequence[tuple[str, str]]) -> list[tuple[Role, str]]:
    """One turn for what one role says in a row."""
    if len(pairs) > MAX_TURNS:
        raise ValueError(f"too many turns: {len(pairs)}, at most {MAX_TURNS}")
    turns: list[tuple[Role, list[str]]] = []
    for role, text in pairs:
        if role not in _ROLES:
            raise ValueError(f"unknown role: {role!r}")
        stripped = sound(text).strip()
        if not stripped:
            continue
        if turns and turns[-1][0] == role:
            turns[-1][1].append(stripped)
        else:
            turns.append((_ROLES[role], [stripped]))
    return [(role, "\n".join(texts)) for role, texts in turns]


def _trimmed(turns: list[tuple[Role, str]]) -> list[tuple[Role, str]]:
    """From the first user turn (and a system turn before all) to the last assistant turn."""
    start = 1 if turns and turns[0][0] == "system" else 0
    roles = [role for role, _ in turns]
    if "system" in roles[start:]:
        raise ValueError("misplaced system turn: it may only come first")
    end = len(turns) if roles and roles[-1] == "assistant" else len(turns) - 1
    first = start if roles[start : start + 1] == ["user"] else start + 1
    if end - first < 2:
        raise ValueError("no reply: needs a user turn followed by an assistant turn")
    return turns[:start] + turns[first:end]
