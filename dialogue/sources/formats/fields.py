"""Fields of a JSON object, or the reason why they are none."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dialogue.privacy.excerpts import excerpt
from dialogue.sources.reading import Reading, shown

ROLES: Mapping[str, str] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "customer": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bard": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "agent": "assistant",
    "系统": "system",
    "用户": "user",
    "顾客": "user",
    "客户": "user",
    "买家": "user",
    "助手": "assistant",
    "客服": "assistant",
    "卖家": "assistant",
}
"""What speakers are called, in lower case."""


def field(row: Mapping[str, Any], name: str, kind: type) -> Any:
    """A field of the given type.

    Raises:
        ValueError: there is none, or it has another type.
    """
    if name not in row:
        raise ValueError(f"missing field: `{name}`")
    value = row[name]
    if not isinstance(value, kind):
        raise ValueError(
            f"wrong type: `{name}` is {type(value).__name__}, expected {kind.__name__}"
        )
    return value


def objects(row: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A field that is a list of objects.

    Raises:
        ValueError: there is none, or it is something else.
    """
    items: list[dict[str, Any]] = field(row, name, list)
    for item in items:
        if not isinstance(item, dict):
            raise ValueError(f"wrong type: `{name}` holds {type(item).__name__}, expected objects")
    return items


def role_of(name: str, roles: Mapping[str, str]) -> str:
    """The role of a speaker, written in any case.

    Raises:
        ValueError: it is nobody known.
    """
    role = roles.get(name) or roles.get(name.strip().lower())
    if role is None:
        known = ", ".join(list(roles)[:12])
        raise ValueError(f"unknown role: {shown(name)}, expected one of {known}")
    return role


def given_id(row: Mapping[str, Any], *names: str) -> str | None:
    """The id that a row gives itself under one of the names, if it does; 1.0 is 1."""
    for name in names:
        value = plain_number(row.get(name))
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
            return str(value)
    return None


def plain_number(value: Any) -> Any:
    """A whole float as the integer it was before a gap made floats of its column.

    None for one that is no number (NaN), which is how tables write that nothing is there.
    """
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return int(value) if value.is_integer() else value
    return value


def check_columns(
    name: str, found: Sequence[str], reading: Reading, columns: Collection[str]
) -> None:
    """Whether a table has the `columns`, each once.

    Raises:
        ValueError: one is missing, or stands there twice.
    """
    for column in columns:
        if (count := found.count(column)) == 1:
            continue
        if count:
            raise ValueError(f"{name}:1: {count} columns are called `{column}`; rename all but one")
        others = " ".join(excerpt(", ".join(found), 200).split())
        raise ValueError(
            f"{name}:1: no column `{column}`, only {others}; correct "
            f"`{reading.where}.columns`; does the file have a header line?"
        )
