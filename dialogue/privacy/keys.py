"""Keys and tokens: by their issuers' prefixes, or by the word in front and their disorder."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Prefixes as their issuers document them. None may be a part of a longer word.
ISSUED = re.compile(
    r"(?<![A-Za-z0-9_])(?:"
    r"(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA|AGPA|ANPA|ANVA|AIPA)[A-Z0-9]{16}"  # AWS
    r"|AIza[\w-]{35}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{24,}"  # Google
    r"|gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_\w{22,255}|glpat-[\w-]{20,}"  # GitHub, GitLab
    r"|xox[abeoprs]-[\w-]{10,}|xapp-[\w-]{10,}"  # Slack
    r"|(?:[srp]k|rk)_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{20,}"  # Stripe
    r"|sk-(?:ant-|proj-|svcacct-|or-)?[\w-]{20,}|hf_[A-Za-z0-9]{30,}|gsk_[A-Za-z0-9]{40,}"
    r"|npm_[A-Za-z0-9]{36}|pypi-[\w-]{50,}|dop_v1_[0-9a-f]{64}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"
    r"|SG\.[\w-]{16,}\.[\w-]{16,}|(?:AC|SK)[0-9a-f]{32}|key-[0-9a-zA-Z]{32}|sq0[a-z]{3}-[\w-]{22,}"
    r"|[0-9]{8,10}:AA[\w-]{33}|[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}"  # Telegram, Discord
    r"|eyJ[\w-]{8,}\.[\w-]{6,}(?:\.[\w-]*){0,3}"  # JWT, RFC 7519
    r")",
    re.ASCII,
)
_MARK = r"(?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
_BLOCK = re.compile(rf"-----BEGIN {_MARK}.*?(?:-----END {_MARK}|\Z)", re.DOTALL)
_IN_ADDRESS = re.compile(r"://[^\s/:@\[\]]{0,64}:([^\s/@\[\]]{1,128})(?=@)")
_WEBHOOK = re.compile(r"(?<=hooks\.slack\.com/services/)[A-Za-z0-9_/]{20,}")
_BEARER = re.compile(r"\b(?:bearer|basic)[ :]+([\w.~+/-]{12,}={0,2})", re.IGNORECASE | re.ASCII)
_WORDS = (
    r"pass ?words?|pass ?codes?|pass ?phrases?|pass ?keys?|passwd|passwort|kennwort|pwd"
    r"|pass(?=\s?[:=])|pw(?=\s?[:=])"
    r"|mot de passe|contraseña|senha|пароль|secrets?|tokens?|credentials?|apikey"
    r"|(?:api|access|secret|private|account|auth|encryption|signing|licen[cs]e|master|shared|client)"
    r"[ _-]?(?:access[ _-]?)?keys?"
)
_SAYS = (
    r"(?: (?:for|to|of) (?:the |my |our )?[\w.-]{1,24})?"
    r"(?:\s{0,2}[:=]{1,2}>?\s{0,2}"
    r"|\s(?:is|was|now|equals|ist|lautet|est|es|é)\s(?:now |still )?:?\s?|\s|\s?->\s?)"
)
_NAMED = re.compile(
    rf"(?<![A-Za-z])(?:[A-Za-z0-9]{{1,24}}[_-]){{0,4}}(?:{_WORDS})(?:_[A-Za-z0-9]{{1,24}}){{0,4}}\"?"
    rf"{_SAYS}[\"'`“‘«<]{{0,2}}([^\s\"'`”’»<>,;，。；、]{{6,512}})"
    r"|(?:密码|口令|密钥|令牌|秘钥)(?:已经|现在)?(?:是|为|改成)?\s{0,2}[:=]?\s{0,2}[\"'`“「]?"
    r"([!#-&*-+\--:<-_a-~]{6,512})",
    re.IGNORECASE,
)


def keys(text: str) -> Iterator[tuple[int, int]]:
    """Where keys, tokens and passwords stand."""
    end = 0
    for start, stop in sorted(_all(text)):
        if start >= end:
            yield start, stop
            end = stop


def _all(text: str) -> Iterator[tuple[int, int]]:
    for pattern in (_BLOCK, ISSUED, _WEBHOOK):
        yield from (match.span() for match in pattern.finditer(text))
    yield from (match.span(1) for match in _IN_ADDRESS.finditer(text))
    for match in _BEARER.finditer(text):
        if _digits_and_letters(match[1]):
            yield match.span(1)
    for match in _NAMED.finditer(text):
        start, end = match.span(match.lastindex or 0)
        value = _trimmed(text[:start], text[start:end])
        if _disordered(value):
            yield start, start + len(value)


def _trimmed(before: str, value: str) -> str:
    """The value without the full stop and the bracket of the sentence that it ends."""
    value = value.rstrip(".?:")
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
