"""A plain table, CSV, parquet or JSON, whose columns `columns` names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import IO

from dialogue.records import Reject
from dialogue.sources.draft import MAX_TURNS, Draft, set_aside
from dialogue.sources.formats.fields import ROLES, given_id, plain_number, role_of
from dialogue.sources.formats.rows import Row, excerpt_of, table_rows
from dialogue.sources.reading import Reading, columns_of, shown

_PAIR = ("prompt", "response")
_TURN = ("dialogue", "role", "text")
_KNOWN = frozenset(("user", "assistant", "system"))


def read_table(name: str, stream: IO[bytes], reading: Reading) -> Iterator[Draft | Reject]:
    """Dialogues of one row each (`prompt`, `response`, perhaps `system`, `id`), or of a row a turn.

    With a row a turn (`dialogue`, `role`, `text`, perhaps `system`), the rows of a dialogue stand
    together, in their order. Who `role` names may be said by `roles`; usual words for the two are
    known. What the first row has as `system` goes before all; later rows say the same, or nothing.
    A row that does not say whose it is spoils the dialogues on both sides of it: it may have been
    the last turn of the one, or the first of the other.

    Raises:
        ValueError: `columns` or `roles` is none, a column is missing, the table is damaged, or a
            dialogue goes on after another one has begun.
    """
    columns = columns_of(reading, (_PAIR, _TURN), ("system", "id"))
    rows = table_rows(name, stream, reading, list(columns.values()))
    if "prompt" in columns:
        if reading.roles is not None:
            raise ValueError(f"{reading.where}.roles: pairs have no role column; remove it")
        return _pairs(rows, columns)
    if "id" in columns:
        raise ValueError(f"{reading.where}.columns.id: `dialogue` is the id here; remove it")
    return _dialogues(rows, columns, reading)


def _pairs(
    rows: Iterator[tuple[str, Row | Reject]], columns: Mapping[str, str]
) -> Iterator[Draft | Reject]:
    roles = {"system": "system", "prompt": "user", "response": "assistant"}
    for origin, row in rows:
        if isinstance(row, Reject):
            yield row
            continue
        try:
            turns = [
                (role, text_of(row, columns[name]))
                for name, role in roles.items()
                if name in columns
            ]
            identity = given_id(row, columns["id"]) if "id" in columns else None
            yield Draft(origin, turns, given_id=identity)
        except ValueError as error:
            yield set_aside(origin, str(error), excerpt_of(row))


def _dialogues(
    rows: Iterator[tuple[str, Row | Reject]], columns: Mapping[str, str], reading: Reading
) -> Iterator[Draft | Reject]:
    roles = _roles(reading)
    seen: set[bytes] = set()
    current: _Dialogue | None = None
    nobodys: str | None = None  # the last row that did not say whose it is, since the last key
    for origin, row in rows:
        key = None if isinstance(row, Reject) else given_id(row, columns["dialogue"])
        if isinstance(row, Reject) or key is None:
            nobodys = origin
            if isinstance(row, Reject):
                reason, excerpt = row.reason, row.excerpt
            else:
                reason = f"no dialogue: `{columns['dialogue']}` is blank"
                excerpt = excerpt_of(row)
            yield set_aside(origin, reason + _spoil(current), excerpt)
            continue
        if current is None or key != current.key:
            if current is not None and not current.is_spoilt:
                yield current.draft()
            _check_new(key, seen, origin, columns["dialogue"])
            current = _Dialogue(key, origin, reading.max_row_bytes)
            if nobodys is not None:
                current.is_spoilt = True
                reason = f"perhaps without its beginning: {nobodys}, before it, is set aside"
                yield set_aside(origin, reason, excerpt_of(row))
        nobodys = None
        if current.is_spoilt:
            continue
        try:
            if "system" in columns:
                current.set_system(_system(row, columns["system"]))
            role = role_of(text_of(row, columns["role"]), roles)
            current.add(role, text_of(row, columns["text"]))
        except ValueError as error:
            yield set_aside(origin, str(error) + _spoil(current), excerpt_of(row))
    if current is not None and not current.is_spoilt:
        yield current.draft()


def _spoil(dialogue: _Dialogue | None) -> str:
    """Leave out a dialogue that the damaged row may belong to; what the reason says of that."""
    if dialogue is None:
        return ""
    dialogue.is_spoilt = True
    return f" (in or after the dialogue of {dialogue.origin})"


class _Dialogue:
    """The rows of one dialogue so far; the rest of a spoilt one is left out."""

    def __init__(self, key: str, origin: str, max_bytes: int) -> None:
        self.key = key
        self.origin = origin
        self.is_spoilt = False
        self._max_bytes = max_bytes
        self._system: str | None = None
        self._turns: list[tuple[str, str]] = []
        self._num_characters = 0

    def set_system(self, text: str) -> None:
        """What a row has as system text, before its turn is added; blank for nothing.

        Raises:
            ValueError: it is not what the first row has.
        """
        if self._system is None:
            self._system = text
            if text:
                self.add("system", text)
        elif text not in ("", self._system):
            raise ValueError("another system text than in the dialogue's first row")

    def add(self, role: str, text: str) -> None:
        """The next row.

        Raises:
            ValueError: the dialogue is too large.
        """
        self._turns.append((role, text))
        self._num_characters += len(text)
        if self._num_characters > self._max_bytes or len(self._turns) > MAX_TURNS:
            bounds = f"{self._max_bytes} bytes and {MAX_TURNS} turns"
            raise ValueError(f"too large: at most {bounds} in one dialogue")

    def draft(self) -> Draft:
        """The dialogue."""
        return Draft(self.origin, self._turns)


def _system(row: Row, column: str) -> str:
    return "" if plain_number(row.get(column)) is None else text_of(row, column).strip()


def text_of(row: Row, column: str) -> str:
    """A cell as text; 1.0 is `1`.

    Raises:
        ValueError: it is missing, or neither a text nor a number.
    """
    value = plain_number(row.get(column))
    if value is None:
        raise ValueError(f"missing field: `{column}`")
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(value)
    raise ValueError(f"wrong type: `{column}` is {type(value).__name__}, expected a text")


def _roles(reading: Reading) -> Mapping[str, str]:
    for found, role in (reading.roles or {}).items():
        if role not in _KNOWN:
            raise ValueError(
                f"{reading.where}.roles.{found}: `{role}` is no role; use user, assistant or system"
            )
    return reading.roles or ROLES


def _check_new(key: str, seen: set[bytes], origin: str, column: str) -> None:
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    if digest in seen:
        raise ValueError(
            f"{origin}: dialogue {shown(key)} goes on after another one began; sort the table by "
            f"`{column}`"
        )
    seen.add(digest)
