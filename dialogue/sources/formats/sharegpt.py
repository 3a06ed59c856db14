"""ShareGPT: `conversations` of `from` and `value`, as JSON lines or one array of any size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from dialogue.records import Reject
from dialogue.sources.draft import Draft, set_aside
from dialogue.sources.formats.fields import ROLES, field, given_id, objects, role_of
from dialogue.sources.formats.rows import excerpt_of, object_rows
from dialogue.sources.reading import Reading


def read_sharegpt(name: str, stream: IO[bytes], reading: Reading) -> Iterator[Draft | Reject]:
    """`{"conversations": [{"from": …, "value": …}, …]}` an item.

    Raises:
        ValueError: an array is damaged.
    """
    for origin, row in object_rows(name, stream, reading):
        if isinstance(row, Reject):
            yield row
            continue
        try:
            turns = [
                (role_of(field(message, "from", str), ROLES), field(message, "value", str))
                for message in objects(row, "conversations")
            ]
            yield Draft(origin, turns, given_id=given_id(row, "id"))
        except ValueError as error:
            yield set_aside(origin, str(error), excerpt_of(row))
