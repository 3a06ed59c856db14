"""The chitchat dataset: open-domain chats of volunteers, with when and by whom each was sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any

from dialogue.records import Reject
from dialogue.sources.draft import Draft, set_aside, speakers_as_roles
from dialogue.sources.formats.json_stream import json_items
from dialogue.sources.formats.lines import beginning
from dialogue.sources.reading import Reading

_MIN_GROUPS = 4
_MIN_CHARACTERS = 40

_Message = tuple[str, str]


def read_chitchat(name: str, stream: IO[bytes], reading: Reading) -> Iterator[Draft | Reject]:
    """Conversations of two senders and at least four groups of messages; others are no dialogues.

    Raises:
        ValueError: the file is not the dataset's JSON.
    """
    for origin, groups in _conversations(name, stream, reading):
        if isinstance(groups, Reject):
            yield groups
            continue
        messages = [message for group in groups for message in group]
        if _is_dialogue(groups):
            yield Draft(origin, speakers_as_roles(messages), given_id=origin.partition("#")[2])
        else:
            reason = f"no dialogue: {_num_senders(groups)} senders, {len(groups)} message groups"
            yield set_aside(origin, reason, "\n".join(text for _, text in messages), "scope")


def read_monologues(name: str, stream: IO[bytes], reading: Reading) -> Iterator[str]:
    """What `read_chitchat` leaves: the messages of each such conversation, as one document.

    Documents of fewer than 40 characters (a greeting nobody answered) are left out.

    Raises:
        ValueError: the file is not the dataset's JSON, or a conversation is damaged.
    """
    for origin, groups in _conversations(name, stream, reading):
        if isinstance(groups, Reject):
            raise ValueError(f"{origin}: {groups.reason}")
        if not _is_dialogue(groups):
            document = "\n".join(text.strip() for group in groups for _, text in group).strip()
            if len(document) >= _MIN_CHARACTERS:
                yield document


def _conversations(
    name: str, stream: IO[bytes], reading: Reading
) -> Iterator[tuple[str, list[list[_Message]] | Reject]]:
    """(origin, groups of (sender, text)) of every conversation."""
    if beginning(stream).startswith(b"["):
        raise ValueError(f"{name}:1: expected conversations by id, found a list")
    for _, key, conversation in json_items(name, stream, reading.max_row_bytes):
        origin = f"{name}#{key}"
        try:
            yield origin, _groups(conversation)
        except (KeyError, TypeError) as error:
            excerpt = json.dumps(conversation, ensure_ascii=False)
            yield origin, set_aside(origin, f"wrong shape: {error}", excerpt)


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
