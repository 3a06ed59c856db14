"""DailyDialog's text: a dialogue a line, every utterance ended by `__eou__`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from dialogue.records import Reject, reject
from dialogue.sources.draft import Draft, speakers_as_roles
from dialogue.sources.formats.lines import numbered_lines

_END = "__eou__"


def read_eou(name: str, stream: IO[bytes]) -> Iterator[Draft | Reject]:
    """Two speakers take turns; what follows the first tab (topic, acts, emotions) is left out."""
    for origin, line in numbered_lines(name, stream):
        if isinstance(line, Reject):
            yield line
            continue
        *utterances, rest = line.partition("\t")[0].split(_END)
        if not utterances:
            yield reject(origin, f"no utterance: the line has no `{_END}`", line)
        elif rest.strip():
            yield reject(origin, f"cut off: the last utterance has no `{_END}`", line)
        else:
            # Numbered before empty ones go, so that nobody's turn passes to the other.
            spoken = [(number % 2, text) for number, text in enumerate(utterances)]
            yield Draft(origin, speakers_as_roles(spoken))
