"""IP addresses of both versions."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

_DOT = r"(?:\.|\[\.\]|\(\.\))"
_FOUR = re.compile(
    rf"(?<![A-Za-z0-9_])(?<![0-9][.,])[0-9]{{1,3}}(?:{_DOT}[0-9]{{1,3}}){{3}}"
    r"(?![A-Za-z0-9_]|[.,][0-9]|-[A-Za-z])"
)
_VERSION = re.compile(
    r"(?:\b(?:v|rv|ver|version|release|build|firmware|kernel"
    r"|sections?|chapter|clause|paragraph)[ .:]{0,2}|[A-Za-z]/|[§#]\s?|版本号?[是为:\s]{0,2})\Z",
    re.IGNORECASE,
)
_SIX = re.compile(r"[0-9A-Fa-f:.]{3,60}(?:%[A-Za-z0-9]{1,15})?")


def ips(text: str) -> Iterator[tuple[int, int]]:
    """Where IP addresses stand; a number of four parts after a word such as `version` is none."""
    found = sorted([*_version_six(text), *_version_four(text)])
    end = 0
    for span in found:
        if span[0] >= end:
            yield span
            end = span[1]


def _version_four(text: str) -> Iterator[tuple[int, int]]:
    for match in _FOUR.finditer(text):
        before = text[max(0, match.start() - 24) : match.start()]
        if _valid(re.sub(r"[\[\]()]", "", match[0])) and not _VERSION.search(before):
            yield match.span()


def _version_six(text: str) -> Iterator[tuple[int, int]]:
    if text.count(":") < 2:
        return
    for match in _SIX.finditer(text):
        start, end = match.span()
        # A sentence's own colons and full stops are no part of an address.
        while end > start and (
            text[end - 1] == "." or (text[end - 1] == ":" and text[end - 2] != ":")
        ):
            end -= 1
        if text[start] == "." or re.match(r":(?!:)|:::", text[start:end]):
            start += 1
        before, after = text[start - 1 : start], text[end : end + 1]
        if (_wordlike(before) and text[start] != ":") or _wordlike(after):
            continue
        if _tells(text[start:end]) and _valid(text[start:end]):
            yield start, end


def _tells(address: str) -> bool:
    """Whether it is more than the `::` and `a::b` of programs and emoticons."""
    groups = [group for group in re.split("[:%]", address) if group]
    return (
        address.count(":") >= 2
        and any(map(str.isdigit, address)) | (len(groups) >= 4)
        and (len(groups) >= 3 or address.startswith("::") or any(len(g) >= 3 for g in groups))
    )


def _wordlike(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character == "_")


def _valid(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
