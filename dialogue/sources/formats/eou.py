"""DailyDialog's text: a dialogue a line, every utterance ended by `__eou__`.

Where columns follow, they are the dialogue's topic, and an act and an emotion per utterance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from dialogue.records import Reject
from dialogue.sources.draft import MAX_TURNS, Draft, set_aside, speakers_as_roles
from dialogue.sources.formats.lines import numbered_lines
from dialogue.sources.labelled import labelled_draft
from dialogue.sources.reading import Reading, shown

EMOTIONS = ("no emotion", "anger", "disgust", "fear", "happiness", "sadness", "surprise")
"""By number in the file."""
_END = "__eou__"
_NUM_TOPICS, _NUM_ACTS = 10, 4


@dataclass(frozen=True, slots=True)
class _Line:
    utterances: Sequence[str]
    emotions: Sequence[int] | None


def read_eou(name: str, stream: IO[bytes], reading: Reading) -> Iterator[Draft | Reject]:
    """Two speakers take turns; topic, acts and emotions are checked, and left out.

    A line whose acts or emotions are not as many as its utterances is set aside: either may be the
    one that is cut off.
    """
    for origin, line in _checked_lines(name, stream, reading):
        if isinstance(line, Reject):
            yield line
        else:
            # Numbered before empty ones go, so that nobody's turn passes to the other.
            spoken = [(number % 2, text) for number, text in enumerate(line.utterances)]
            yield Draft(origin, speakers_as_roles(spoken))


def read_eou_emotion(name: str, stream: IO[bytes], reading: Reading) -> Iterator[Draft | Reject]:
    """A labelled dialogue per utterance: what was said and the question; its emotion."""
    for origin, line in _checked_lines(name, stream, reading):
        if isinstance(line, Reject):
            yield line
        elif line.emotions is None:
            yield set_aside(origin, "no emotions: the line has no columns", line.utterances[0])
        else:
            labelled = zip(line.utterances, line.emotions, strict=True)
            for number, (text, emotion) in enumerate(labelled, start=1):
                place = f"{origin}/{number}"
                try:
                    yield labelled_draft(place, text, reading.label(EMOTIONS[emotion]), reading)
                except ValueError as error:
                    yield set_aside(place, str(error), text)


def _checked_lines(
    name: str, stream: IO[bytes], reading: Reading
) -> Iterator[tuple[str, _Line | Reject]]:
    for origin, line in numbered_lines(name, stream, reading.max_row_bytes):
        if isinstance(line, Reject):
            yield origin, line
            continue
        try:
            yield origin, _checked(line)
        except ValueError as error:
            yield origin, set_aside(origin, str(error), line)


def _checked(line: str) -> _Line:
    text, *columns = line.split("\t")
    if (count := text.count(_END)) > MAX_TURNS:
        raise ValueError(f"too many turns: {count}, at most {MAX_TURNS}")
    *utterances, rest = text.split(_END)
    if not utterances:
        raise ValueError(f"no utterance: the line has no `{_END}`")
    if rest.strip():
        raise ValueError(f"cut off: the last utterance has no `{_END}`")
    if not columns:
        return _Line(utterances, None)
    if len(columns) != 3:
        raise ValueError(f"wrong columns: {len(columns)}, expected topic, acts and emotions")
    topic, acts, emotions = columns
    _numbers("topic", topic, 1, range(1, _NUM_TOPICS + 1))
    _numbers("acts", acts, len(utterances), range(1, _NUM_ACTS + 1))
    return _Line(utterances, _numbers("emotions", emotions, len(utterances), range(len(EMOTIONS))))


def _numbers(what: str, column: str, count: int, known: range) -> list[int]:
    """The column's numbers, one per utterance."""
    words = column.split()
    if len(words) != count:
        raise ValueError(f"wrong {what}: {len(words)} for {count} utterances")
    for word in words:
        if not (word.isascii() and word.isdecimal() and len(word) <= 2 and int(word) in known):
            span = f"{known[0]} to {known[-1]}"
            raise ValueError(f"wrong {what}: {shown(word)} is none, expected {span}")
    return [int(word) for word in words]
