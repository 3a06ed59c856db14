"""E-mail addresses, also as people spell them out: `john dot doe at gmail dot com`."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Written: RFC 5322's atoms, with the letters of Latin, Greek and Cyrillic that RFC 6531 admits.
# Chinese puts no space before an address, so its characters end one.
_LETTER = r"A-Za-zÀ-ÖØ-öø-ɏͰ-ӿ"
_ATOM = rf"[{_LETTER}0-9!#$%&'*+/=?^_`{{|}}~-]"
_LABEL = rf"[{_LETTER}0-9](?:[{_LETTER}0-9-]{{0,61}}[{_LETTER}0-9])?"
_TOP_LABEL = rf"(?:xn--[a-z0-9-]{{2,59}}|[{_LETTER}]{{2,24}})(?![{_LETTER}0-9]|-[A-Za-z0-9])"
_AT = re.compile(
    rf"@(?:(?:{_LABEL}\.)+{_TOP_LABEL}"
    r"|\[(?:IPv6:)?[0-9a-fA-F.:]{3,45}\]"
    r"|[一-鿿]{1,20}\.(?:中国|公司|网络|网址|cn|com))"
)
_LOCAL = re.compile(rf"(?:{_ATOM}+(?:\.+{_ATOM}+)*|\"[^\"\n]{{1,62}}\")\Z")
_LONGEST_LOCAL = 64
_NOT_LOCAL = re.compile(
    r"(?:(?:e-?mail|mail|mailto|to|cc|from|user|login)[=/]|[!#$%&'*/=?^`{|}~])+", re.IGNORECASE
)

# Spelled out, or with something in place of the sign.
_PROVIDER = (
    r"(?:gmail|googlemail|yahoo|ymail|hotmail|outlook|live|msn|icloud|me|mac|aol|gmx|web|e?mail"
    r"|protonmail|proton|yandex|zoho|fastmail|t-online|orange|free|qq|163|126|foxmail|sina|sohu|139)"
)
_TOP = (
    r"(?:com|org|net|edu|gov|info|io|co|me|ai|app|dev|biz|us|uk|de|fr|es|it|nl|ch|at|be|ca|au|cn|jp"
    r"|in|br|ru|eu|pl|se)(?![A-Za-z0-9-])"
)
_BRACKETED_DOT = r" ?[\[({<] ?(?:dot|\.|点) ?[\])}>] ?"
_DOT = rf"(?:{_BRACKETED_DOT}| dot | ?点 ?|\.)"
_JOIN = rf"(?: (?:dot|underscore|dash|hyphen|minus|plus) |{_BRACKETED_DOT})"
_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9_.+-]{0,40}[A-Za-z0-9_+-])?"
_NAME = rf"(?<![A-Za-z0-9_.+-]){_WORD}(?:{_JOIN}{_WORD}){{0,4}}"
_SPELLED_NAME = rf"(?<![A-Za-z0-9_.+-]){_WORD}(?:{_JOIN}{_WORD}){{1,4}}"
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,40}[A-Za-z0-9])?"
_DOMAIN = rf"{_HOST}(?:{_DOT}{_HOST}){{0,3}}{_DOT}{_TOP}"
_SPACED_DOMAIN = rf"{_HOST}(?: ?\. ?{_HOST}){{0,3}} ?(?:\.|dot) ?{_TOP}"
_SPELLED = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # Nobody puts the at into brackets but to hide an address.
        rf"{_NAME}(?: ?[\[({{<] ?(?:at|@) ?[\])}}>] ?| ?艾特 ?|_at_){_DOMAIN}",
        rf"{_NAME} ?@ ?(?:{_SPACED_DOMAIN}|{_DOMAIN})",
        # Words alone may be a sentence (`I looked at amazon dot com`), unless the host is a
        # provider of mail, the name is spelled out too, or (below) words before speak of mail.
        rf"{_NAME}(?: at | ?# ?){_PROVIDER}(?:{_DOT}co)?{_DOT}{_TOP}",
        rf"{_SPELLED_NAME} at {_DOMAIN}",
    )
)
_AT_HOST = re.compile(rf"(?<![A-Za-z0-9_.+-]){_WORD} at {_DOMAIN}", re.IGNORECASE)
_ABOUT_MAIL = re.compile(
    r"\b(?:e-?mail|mail|address|contact|write|send|adresse|correo)\b", re.IGNORECASE
)
_REACH = 40  # Characters before an address in which a word says that it is one.
_SPELLED_SIGN = re.compile(r" at |_at_|[@#艾]|[\[({<] ?at", re.IGNORECASE)
_NO_NAME = frozenset(
    (
        *("look", "looked", "looking", "sign", "signed", "log", "logged", "up", "in", "out"),
        *("me", "us", "you", "it", "here", "there", "mail", "email", "is", "are", "was", "be"),
        *("find", "found", "shop", "buy", "bought", "search", "online", "reach", "account"),
    )
)


def emails(text: str) -> Iterator[tuple[int, int]]:
    """Where e-mail addresses stand."""
    found = sorted({*_written(text), *_spelled(text)}, key=lambda span: (span[0], -span[1]))
    end = 0
    for span in found:
        if span[0] >= end:
            yield span
            end = span[1]


def _written(text: str) -> Iterator[tuple[int, int]]:
    end = 0
    for match in _AT.finditer(text):
        at = match.start()
        local = _LOCAL.search(text[max(end, at - _LONGEST_LOCAL) : at])
        if local is None:
            continue
        start = at - len(local[0])
        # A quotation mark or `email=` before an address is no part of it, though it may be one.
        leading = _NOT_LOCAL.match(local[0])
        if leading and leading.end() < len(local[0]):
            start += leading.end()
        end = match.end()
        yield start, end


def _spelled(text: str) -> Iterator[tuple[int, int]]:
    if not _SPELLED_SIGN.search(text):
        return
    for pattern in _SPELLED:
        yield from (match.span() for match in pattern.finditer(text) if _named(match))
    for match in _AT_HOST.finditer(text):
        before = text[max(0, match.start() - _REACH) : match.start()]
        if _named(match) and _ABOUT_MAIL.search(before):
            yield match.span()


def _named(match: re.Match[str]) -> bool:
    """Whether a name may stand before the at: `look at`, `sign up at` and the like are none."""
    return re.split("[^a-z]", match[0].lower(), maxsplit=1)[0] not in _NO_NAME
