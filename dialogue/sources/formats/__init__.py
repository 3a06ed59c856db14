"""Formats by name: how the bytes of a raw file are read as conversations, or as plain text."""

from __future__ import annotations

from dialogue.sources.formats.chatterbot import read_chatterbot
from dialogue.sources.formats.chitchat import read_chitchat, read_monologues
from dialogue.sources.formats.eou import read_eou, read_eou_emotion
from dialogue.sources.formats.home_assistant import read_home_assistant
from dialogue.sources.formats.home_assistant.labelled import (
    read_home_assistant_intents,
    read_home_assistant_slots,
)
from dialogue.sources.formats.jsonl import read_messages, read_text_column
from dialogue.sources.formats.labelled import read_labelled
from dialogue.sources.formats.persona_chat import read_persona_chat
from dialogue.sources.formats.plain import read_plain
from dialogue.sources.formats.schema_guided import read_schema_guided
from dialogue.sources.formats.sharegpt import read_sharegpt
from dialogue.sources.formats.synthetic_persona_chat import read_synthetic_persona_chat
from dialogue.sources.formats.table import read_table
from dialogue.sources.formats.taobao import read_taobao
from dialogue.sources.reading import Format

_QUESTION = frozenset({"question"})
_LABELS = frozenset({"labels"})
_COLUMNS = frozenset({"columns"})

FORMATS: dict[str, Format] = {
    "chatterbot": Format(read_chatterbot),
    "chitchat": Format(read_chitchat),
    "eou": Format(read_eou),
    "eou_emotion": Format(read_eou_emotion, _QUESTION, _LABELS),
    "home_assistant": Format(read_home_assistant),
    "home_assistant_intents": Format(read_home_assistant_intents, _QUESTION, _LABELS),
    "home_assistant_slots": Format(read_home_assistant_slots, _QUESTION, _LABELS),
    "labelled": Format(read_labelled, _QUESTION | _COLUMNS, _LABELS),
    "messages": Format(read_messages),
    "persona_chat": Format(read_persona_chat),
    "schema_guided": Format(read_schema_guided, takes=frozenset({"select"})),
    "sharegpt": Format(read_sharegpt),
    "synthetic_persona_chat": Format(read_synthetic_persona_chat),
    "table": Format(read_table, _COLUMNS, frozenset({"roles"})),
    "taobao": Format(read_taobao),
}
"""Dialogues: drafts, and rows that are none."""

TEXT_FORMATS: dict[str, Format] = {
    "chitchat_monologues": Format(read_monologues),
    "text": Format(read_plain),
    "text_column": Format(read_text_column, takes=_COLUMNS),
}
"""Documents for pretraining."""
