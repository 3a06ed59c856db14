"""Keys and tokens, and names."""

from __future__ import annotations

import re
from collections.abc import Iterator

_KEY = re.compile(
    r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_\w{36}|sk_live_\w{24,}|eyJ[\w-]+\.[\w-]+\.[\w-]+)"
)
_NAME = re.compile(r"(?i:my name is) ([A-Z][a-z]+(?: [A-Z][a-z]+)?)")


def keys(text: str) -> Iterator[tuple[int, int]]:
    """Where keys and tokens stand."""
    return (match.span() for match in _KEY.finditer(text))


def names(text: str) -> Iterator[tuple[int, int]]:
    """Where names of people stand."""
    return (match.span(1) for match in _NAME.finditer(text))
