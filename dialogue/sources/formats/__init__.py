"""Formats by name: how the bytes of a raw file are read as conversations, or as plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO

from dialogue.records import Reject
from dialogue.sources.draft import Draft
from dialogue.sources.formats.chatterbot import read_chatterbot
from dialogue.sources.formats.chitchat import read_chitchat, read_monologues
from dialogue.sources.formats.eou import read_eou
from dialogue.sources.formats.home_assistant import read_home_assistant
from dialogue.sources.formats.jsonl import read_messages, read_sharegpt, read_text_column
from dialogue.sources.formats.plain import read_plain

FORMATS: dict[str, Callable[[str, IO[bytes]], Iterator[Draft | Reject]]] = {
    "chatterbot": read_chatterbot,
    "chitchat": read_chitchat,
    "eou": read_eou,
    "home_assistant": read_home_assistant,
    "messages": read_messages,
    "sharegpt": read_sharegpt,
}
"""Dialogues; each is given a file's name and its open stream."""

TEXT_FORMATS: dict[str, Callable[[str, IO[bytes]], Iterator[str]]] = {
    "chitchat_monologues": read_monologues,
    "text": read_plain,
    "text_column": read_text_column,
}
"""Documents for pretraining; each is given a file's name and its open stream."""
