"""Session files as of the Taobao corpus: a label, then what customer and shop say, tab by tab."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

from dialogue.records import Reject
from dialogue.sources.draft import MAX_TURNS, Draft, set_aside, speakers_as_roles
from dialogue.sources.formats.lines import numbered_lines
from dialogue.sources.reading import Reading, shown

_RIGHT, _WRONG = "1", "0"
_BESIDE_HAN = re.compile(r"(?<=[^\x00-\x7f])[ \u3000]+|[ \u3000]+(?=[^\x00-\x7f])")


def read_taobao(name: str, stream: IO[bytes], reading: Reading) -> Iterator[Draft | Reject]:
    """Sessions labelled 1; those labelled 0 end in a wrong reply and are set aside as out of scope.

    The corpus is cut into words: the spaces beside Chinese characters are taken out again.
    """
    for origin, line in numbered_lines(name, stream, reading.max_row_bytes):
        if isinstance(line, Reject):
            yield line
            continue
        label, _, session = line.partition("\t")
        if label.strip() == _WRONG:
            yield set_aside(origin, "wrong reply: the session is labelled 0", session, "scope")
        elif label.strip() != _RIGHT:
            yield set_aside(origin, f"no label: {shown(label)}, expected 1 or 0 and a tab", line)
        elif (count := session.count("\t") + 1) > MAX_TURNS:
            yield set_aside(origin, f"too many turns: {count}, at most {MAX_TURNS}", session)
        else:
            spoken = enumerate(session.split("\t"))
            messages = [(number % 2, _BESIDE_HAN.sub("", text)) for number, text in spoken]
            yield Draft(origin, speakers_as_roles(messages))
