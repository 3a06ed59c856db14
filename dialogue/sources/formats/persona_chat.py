"""Persona-Chat as ParlAI keeps it: numbered lines, `question<tab>reply<tab><tab>candidates`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from dialogue.records import Reject
from dialogue.sources.draft import MAX_TURNS, Draft, set_aside
from dialogue.sources.formats.lines import numbered_lines
from dialogue.sources.reading import Reading

_NUMBERED = re.compile(r"([0-9]{1,6}) (.*)", re.DOTALL)
_PERSONA = re.compile(r"(your|partner's) persona:\s*(.*)", re.IGNORECASE | re.DOTALL)
_SILENCE = "__SILENCE__"


def read_persona_chat(name: str, stream: IO[bytes], reading: Reading) -> Iterator[Draft | Reject]:
    """A dialogue from each line numbered 1 to the next; its replies are the assistant's.

    `your persona:` is the one who replies: these lines become the system turn and the persona. The
    partner's persona, which who replies does not know, and the candidates are left out. A dialogue
    with a damaged line is set aside whole, under that line.
    """
    current: _Dialogue | None = None
    for origin, line in numbered_lines(name, stream, reading.max_row_bytes):
        match = None if isinstance(line, Reject) else _NUMBERED.fullmatch(line)
        if current is None or (match and int(match[1]) == 1):
            if current is not None and not current.is_spoilt:
                yield current.draft()
            current = _Dialogue(origin, reading.max_row_bytes)
        if current.is_spoilt:
            continue
        try:
            if isinstance(line, Reject):
                raise ValueError(line.reason)
            if match is None:
                raise ValueError("no number before the line")
            current.add(int(match[1]), match[2])
        except ValueError as error:
            current.is_spoilt = True
            excerpt = line.excerpt if isinstance(line, Reject) else line
            yield set_aside(origin, f"{error} (in the dialogue of {current.origin})", excerpt)
    if current is not None and not current.is_spoilt:
        yield current.draft()


@dataclass
class _Dialogue:
    """What has been read of a dialogue; the rest of a spoilt one is left out."""

    origin: str
    max_bytes: int
    personas: list[str] = field(default_factory=list)
    turns: list[tuple[str, str]] = field(default_factory=list)
    num_lines: int = 0
    num_characters: int = 0
    is_spoilt: bool = False

    def add(self, number: int, text: str) -> None:
        """The next line.

        Raises:
            ValueError: it has another number than the next, or the dialogue is too large.
        """
        self.num_lines += 1
        if number != self.num_lines:
            raise ValueError(f"wrong number: {number} where {self.num_lines} is due")
        if persona := _PERSONA.fullmatch(text):
            if persona[1].lower() == "your":
                self.personas.append(persona[2].strip())
            return
        asked, _, rest = text.partition("\t")
        reply = rest.partition("\t")[0]
        self.turns += [("user", "" if asked.strip() == _SILENCE else asked), ("assistant", reply)]
        self.num_characters += len(asked) + len(reply)
        if self.num_characters > self.max_bytes or len(self.turns) > MAX_TURNS:
            bounds = f"{self.max_bytes} bytes and {MAX_TURNS} turns"
            raise ValueError(f"too large: at most {bounds} in one dialogue")

    def draft(self) -> Draft:
        """The dialogue."""
        persona = "\n".join(self.personas)
        return Draft(self.origin, [("system", persona), *self.turns], persona=persona or None)
