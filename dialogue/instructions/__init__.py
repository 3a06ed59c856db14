"""The plain instructions: a fixed exam of what the base model could do before any lesson.

`plain.jsonl` has one a line, with a short right answer. They are asked and never learned: nothing
but the exam reads them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from dialogue.exam import INSTRUCTIONS
from dialogue.records import Dialogue, Turn, content_digest

FILE = Path(__file__).with_name("plain.jsonl")


def plain_instructions() -> list[Dialogue]:
    """All of them, in file order; an id follows from the content, as everywhere in an exam."""
    text = FILE.read_text(encoding="utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    return [
        _instruction(line, f"{FILE.name}:{number}", digest)
        for number, line in enumerate(text.splitlines(), start=1)
    ]


def _instruction(line: str, origin: str, digest: str) -> Dialogue:
    turns = tuple(Turn(each["role"], each["content"]) for each in json.loads(line)["messages"])
    return Dialogue(
        id=content_digest(turns)[:16],
        turns=turns,
        domain=INSTRUCTIONS,
        split="test",
        source="dialogue.instructions",
        origin=origin,
        licence="Apache-2.0",
        raw_digest=digest,
    )
