"""The Schema-Guided Dialogue corpus: its own JSON files, or a dialogue a line.

A dialogue may use up to four services in turn. Its domain is that of the first one listed, which
is the one it begins with, so that every dialogue belongs to exactly one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Any

from dialogue.records import Reject
from dialogue.sources.draft import Draft, set_aside
from dialogue.sources.formats.fields import field, given_id, role_of
from dialogue.sources.formats.rows import excerpt_of, object_rows
from dialogue.sources.reading import Reading, shown

_ROLES = {"user": "user", "system": "assistant"}
_NUMBER = re.compile(r"_[0-9]+$")


def read_schema_guided(name: str, stream: IO[bytes], reading: Reading) -> Iterator[Draft | Reject]:
    """Dialogues, of one service's domain where `select: {service: banks}` names it.

    Those of other services are set aside as out of scope. `select` takes a domain (`Banks`, in any
    case, all of its services) or one service (`Banks_1`). Ids count within a file and split.

    Raises:
        ValueError: `select` names something else, or an array is damaged.
    """
    wanted = _wanted(reading)
    for origin, row in object_rows(name, stream, reading):
        if isinstance(row, Reject):
            yield row
            continue
        try:
            service = first_service(row)
            if wanted is not None and wanted not in (service.lower(), domain_of(service).lower()):
                yield set_aside(origin, f"not selected: {service}", "", "scope")
                continue
            turns = [_turn(turn) for turn in field(row, "turns", list)]
            identity = given_id(row, "dialogue_id", "id")
            scoped = None if identity is None else f"{row.get('split', '')}/{identity}"
            yield Draft(origin, turns, given_id=scoped)
        except ValueError as error:
            yield set_aside(origin, str(error), excerpt_of(row))


def first_service(row: dict[str, Any]) -> str:
    """The service that a dialogue begins with, `Banks_1`.

    Raises:
        ValueError: it lists none.
    """
    services = field(row, "services", list)
    if not services or not isinstance(services[0], str):
        raise ValueError("no service: `services` is empty or no list of names")
    return str(services[0])


def domain_of(service: str) -> str:
    """A service's domain: its name without its number."""
    return _NUMBER.sub("", service)


def _wanted(reading: Reading) -> str | None:
    if reading.select is None:
        return None
    if set(reading.select) != {"service"}:
        raise ValueError(
            f"{reading.where}.select: this format selects by `service`, not by "
            f"{', '.join(reading.select) or 'nothing'}"
        )
    return reading.select["service"].lower()


def _turn(turn: Any) -> tuple[str, str]:
    """A turn, the corpus's object or a pair of speaker and text."""
    if isinstance(turn, dict):
        return role_of(field(turn, "speaker", str), _ROLES), field(turn, "utterance", str)
    if isinstance(turn, list) and len(turn) == 2 and all(isinstance(each, str) for each in turn):
        return role_of(turn[0], _ROLES), turn[1]
    raise ValueError(f"wrong type: a turn is {shown(turn)}, expected speaker and text")
