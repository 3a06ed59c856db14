"""The chitchat dataset: open-domain chats of volunteers, with when and by whom each was sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any

from dialogue.records import Reject, reject
from dialogue.sources.draft import Draft, speakers_as_roles
from dialogue.sources.formats.lines import whole_text

_MIN_GROUPS = 4
_MIN_CHARACTERS = 40

_Message = tuple[str, str]


def read_chitchat(name: str, stream: IO[bytes]) -> Iterator[Draft | Reject]:
    """Conversations of two senders and at least four groups of messages; others are no dialogues.

    Raises:
        ValueError: the file is not the dataset's JSON.
    """
    for origin, groups in _conversations(name, stream):
        if isinstance(groups, Reject):
            yield groups
            continue
        messages = [message for group in groups for message in group]
        if _is_dialogue(groups):
            yield Draft(origin, speakers_as_roles(messages))
        else:
            reason = f"no dialogue: {_num_senders(groups)} senders, {len(groups)} message groups"
            yield reject(origin, reason, "\n".join(text for _, text in messages), "scope")


def read_monologues(name: str, stream: IO[bytes]) -> Iterator[str]:
    """What `read_chitchat` leaves: the messages of each such conversation, as one document.

    Documents of fewer than 40 characters (a greeting nobody answered) are left out.

    Raises:
        ValueError: the file is not the dataset's JSON, or a conversation is damaged.
    """
    for origin, groups in _conversations(name, stream):
        if isinstance(groups, Reject):
            raise ValueError(f"{origin}: {groups.reason}")
        if not _is_dialogue(groups):
            document = "\n".join(text.strip() for group in groups for _, text in group).strip()
            if len(document) >= _MIN_CHARACTERS:
                yield document


def _conversations(
    name: str, stream: IO[bytes]
) -> Iterator[tuple[str, list[list[_Message]] | Reject]]:
    """(origin, groups of (sender, text)) of every conversation."""
    try:
        conversations = json.loads(whole_text(name, stream))
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{name}:{error.lineno}: not JSON: {error.msg}; is the file whole?"
        ) from error
    if not isinstance(conversations, dict):
        found = type(conversations).__name__
        raise ValueError(f"{name}: expected conversations by id, found {found}")
    for key, conversation in conversations.items():
        origin = f"{name}#{key}"
        try:
            yield origin, _groups(conversation)
        except (KeyError, TypeError) as error:
            yield origin, reject(origin, f"wrong shape: {error}", json.dumps(conversation))


def _groups(conversation: Any) -> list[list[_Message]]:
    groups = [
        [(message["sender"], message["text"]) for message in group]
        for group in conversation["messages"]
    ]
    for sender, text in (message for group in groups for message in group):
        if not isinstance(sender, str) or not isinstance(text, str):
            raise TypeError("`sender` and `text` must be texts")
    return groups


def _num_senders(groups: list[list[_Message]]) -> int:
    return len({sender for group in groups for sender, _ in group})


def _is_dialogue(groups: list[list[_Message]]) -> bool:
    return _num_senders(groups) == 2 and len(groups) >= _MIN_GROUPS
