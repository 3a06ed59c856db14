"""Keys and tokens: by their issuers' prefixes, or by the word in front and their disorder."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

# Prefixes as their issuers document them.
_FORMS = (
    r"(?:(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA|AGPA|ANPA|ANVA|AIPA)[A-Z0-9]{16}"  # AWS
    r"|AIza[\w-]{35}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{24,}"  # Google
    r"|gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_\w{22,255}|glpat-[\w-]{20,}"  # GitHub, GitLab
    r"|xox[abeoprs]-[\w-]{10,}|xapp-[\w-]{10,}"  # Slack
    r"|(?:[srp]k|rk)_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{20,}"  # Stripe
    r"|sk-(?:ant-|proj-|svcacct-|or-)?[\w-]{20,}|hf_[A-Za-z0-9]{30,}|gsk_[A-Za-z0-9]{40,}"
    r"|npm_[A-Za-z0-9]{36}|pypi-[\w-]{50,}|dop_v1_[0-9a-f]{64}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"
    r"|SG\.[\w-]{16,}\.[\w-]{16,}|(?:AC|SK)[0-9a-f]{32}|key-[0-9a-zA-Z]{32}|sq0[a-z]{3}-[\w-]{22,}"
    r"|[0-9]{8,10}:AA[\w-]{33}|[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}"  # Telegram, Discord
    r"|eyJ[\w-]{8,}\.[\w-]{6,}(?:\.[\w-]*){0,3}"  # JWT, RFC 7519
    r")"
)
# No part of a longer word, unless what stands before is such a key too.
ISSUED = re.compile(rf"(?<![A-Za-z0-9_]){_FORMS}", re.ASCII)
_GLUED = re.compile(_FORMS, re.ASCII)
_MARK = r"(?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
_BLOCK = re.compile(rf"-----BEGIN {_MARK}.*?(?:-----END {_MARK}|\Z)", re.DOTALL)
_IN_ADDRESS = re.compile(r"://[^\s/:@\[\]]{0,64}:([^\s/@\[\]]{1,128})(?=@)")
_WEBHOOK = re.compile(r"(?<=hooks\.slack\.com/services/)[A-Za-z0-9_/]{20,}")
_BEARER = re.compile(r"\bbearer[ :]+([\w.~+/-]{12,}={0,2})", re.IGNORECASE | re.ASCII)
_BASIC = re.compile(
    r"(?P<header>authorization[\"'`\]]{0,2}\s{0,2}[:=,]>?\s{0,2}[\"'`]?)?"
    r"\bbasic[ :]+(?P<value>[\w+/-]{8,}={0,2})",
    re.IGNORECASE | re.ASCII,
)
_WORDS = (
    r"(?:(?:api|access|secret|private|account|auth|encryption|signing|licen[cs]e|master|shared|client)"
    r"[ _-]?){1,3}keys?"
    r"|pass ?words?|pass ?codes?|pass ?phrases?|pass ?keys?|passwd|passwort|kennwort|pwd"
    r"|pass(?=\s?[:=])|pw(?=\s?[:=]|\s(?:is|was)\s)"
    r"|mot de passe|contraseña|senha|пароль|secrets?|tokens?|credentials?|apikey"
)
_NAME = (
    r"(?<![A-Za-z])(?P<name>(?:[A-Za-z0-9]{1,24}[_-]){0,4}"
    rf"(?:{_WORDS})(?:_[A-Za-z0-9]{{1,24}}){{0,4}})[\"'`*_\]]{{0,4}}"
)
_WHAT_FOR = r"(?: (?:for|to|of) (?:the |my |our )?[\w.-]{1,24})?"
_GAP = r"(?:[ \t]{3,16}|\s{0,2})"
_SAYS = (
    rf"(?:{_GAP}[:=]{{1,2}}>?(?:[*_`\"']{{1,3}}(?=\s))?{_GAP}"
    r"|(?:\s(?:(?:is|was|got|has been) )?(?:now )?(?:changed|updated|(?:re)?set) to"
    r"|(?:\s(?:is|was|now|equals|ist|lautet|est|es|é)|['’]s)"
    rf"(?:\s(?:now|still|currently|actually|just))?)(?:\s?:{_GAP}|\s{{1,8}})"
    r"|\s{1,2}-{1,3}\s{1,2}|(?<!['`\]])\s|\s?->\s?)"
)
_VALUE = r"(?:\*\*|__)?+[\"'`“‘«<]{0,2}(?P<value>[^\s\"'`”’»<>,;，。；、]{6,512})"
_NAMED = re.compile(f"{_NAME}{_WHAT_FOR}{_SAYS}{_VALUE}", re.IGNORECASE)
_CHANGED = re.compile(
    r"(?<![A-Za-z])(?:chang(?:ed?|ing)|(?:re)?set(?:ting)?|updat(?:ed?|ing)|switch(?:ed|ing)?)\s"
    rf"(?:[\w'’-]{{1,24}}\s){{0,4}}?{_NAME}{_WHAT_FOR}\s(?:to|as)(?:\s?:)?\s{_VALUE}",
    re.IGNORECASE,
)
_CHINESE = re.compile(
    r"(?P<name>密码|口令|密钥|令牌|秘钥)\s?(?:已经|现在)?\s?(?:是|(?:改|换|设|设置)?[成为]了?)?"
    rf"{_GAP}[:=]?{_GAP}[\"'`“「]?(?P<value>[!#-&*-+\--:<-_a-~]{{6,512}})"
)
_REACH = 256  # Characters before a value in which a bracket or an emphasis begins that it ends.


def keys(text: str) -> Iterator[tuple[int, int]]:
    """Where keys, tokens and passwords stand."""
    end = 0
    for start, stop in sorted(_all(text)):
        if start >= end:
            yield start, stop
            end = stop


def _all(text: str) -> Iterator[tuple[int, int]]:
    yield from _issued(text)
    for pattern in (_BLOCK, _WEBHOOK):
        yield from (match.span() for match in pattern.finditer(text))
    yield from (match.span(1) for match in _IN_ADDRESS.finditer(text))
    for match in _BEARER.finditer(text):
        if _digits_and_letters(match[1]):
            yield match.span(1)
    for match in _BASIC.finditer(text):
        if (match["header"] and _digits_and_letters(match["value"])) or _is_login(match["value"]):
            yield match.span("value")
    for pattern in (_NAMED, _CHANGED, _CHINESE):
        yield from _values(pattern, text)


def _issued(text: str) -> Iterator[tuple[int, int]]:
    """Issued keys, and those that follow them without a space."""
    end = 0
    for first in ISSUED.finditer(text):
        match: re.Match[str] | None = first if first.start() >= end else None
        while match:
            yield match.span()
            end = match.end()
            match = _GLUED.match(text, end)


def _values(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
    """Disordered values behind their names; what is no value may be the name of one."""
    place = 0
    while match := pattern.search(text, place):
        start, end = match.span("value")
        value = _trimmed(text[max(0, start - _REACH) : start], text[start:end])
        place = match.end("name")
        if _disordered(value):
            place = start + len(value)
            yield start, place


def _trimmed(before: str, value: str) -> str:
    """The value without what ends its sentence, its bracket or its emphasis."""
    value = value.rstrip(".?:")
    line = before[before.rfind("\n") + 1 :]
    for mark in ("**", "__"):
        if line.count(mark) % 2:
            value = value.removesuffix(mark).rstrip(".?:")
    closes = value.endswith(")") and before.count("(") > before.count(")")
    return value[:-1].rstrip(".?:") if closes else value


def _disordered(value: str) -> bool:
    """Whether no word of a sentence looks like this: digits or signs among letters, or mixed case.

    Entropy alone does not tell `hunter2pass` from `forgotten`: over so few characters both have
    about three bits each; what a word is made of does.
    """
    if len(value) < 6 or re.match(r"https?://|www\.|\{\{|\[[A-Z]+\]|\$\{", value):
        return False
    if _digits_and_letters(value):
        return True
    letters = re.sub("[^A-Za-z]", "", value)
    signs = re.search(r"[A-Za-z0-9][!@#$%^&*+=~|?]+[A-Za-z0-9]|[!@#$%^&*]{2}", value)
    mixed = re.search(r"[a-z][A-Z]+[a-z]", value) and len(value) >= 12
    return bool(letters and (signs or mixed))


def _digits_and_letters(value: str) -> bool:
    return bool(re.search("[0-9]", value) and re.search("[A-Za-z]", value))


def _is_login(value: str) -> bool:
    """Whether it is `user:password` in base64, as RFC 7617 has it: more than a word's letters."""
    if not (_digits_and_letters(value) or re.search("[a-z][A-Z]+[a-z]", value)):
        return False
    value = value.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        login = base64.b64decode(value + "=" * (-len(value) % 4)).decode()
    except ValueError:
        return False
    return ":" in login[1:] and login.strip().isprintable()
