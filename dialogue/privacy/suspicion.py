"""Whether a text can hold personal data at all: decided in about a microsecond, for nearly all."""

from __future__ import annotations

import re

from dialogue.privacy.plain import plain

_WORDS = ("密", "口令", "令牌", "秘钥", "艾特", "contraseña", "пароль")
_HARMLESS = bytes(set(range(256)) - set(b"0123456789@#"))
_SIGN = re.compile(r"[\d@＠#＃]").search
# Searched one by one: as one pattern they take twice as long. Those that begin with a digit skip
# everything else at once.
_SIX_COLONS = re.compile(r":[0-9a-f]{0,4}:").search
_EIGHT_AROUND = re.compile(r"[0-9](?:[!-~]{7}|(?<=[!-~]{8}))").search
_LONG = re.compile(r"(?<![!-~])[!-~]{16}").search
_FOUR_PARTS = re.compile(
    r"[0-9][\])]?\.[\])]?[0-9]{1,3}[\[(]?\.[\])]?[0-9]{1,3}[\[(]?\.[\])]?[0-9]"
).search
_SEVEN_DIGITS = re.compile(r"[0-9](?:[^0-9A-Za-z\n]{0,3}[0-9]){6}").search
_ACCOUNT = re.compile(r"[0-9]{2}(?<=[a-z]{2}..)[ -][a-z0-9]{4}").search
_LETTERS_ONLY = re.compile(r"(?:akia|asia|glpat-)[a-z0-9]{16}").search
_PASSWORD = re.compile(r"pass ?[wcpk]|mot de passe").search
_HOST = re.compile(r" at [a-z0-9.-]+\.[a-z]{2}").search


def suspicious(text: str) -> bool:
    """Whether a detector has to look at the text; False is certain for all kinds but names."""
    low = text.lower()
    # What stands before or in addresses and secrets without any digit or @. A search for one
    # character takes a tenth of a search for two, so it comes first where it can.
    if (
        "_" in low
        or "\\" in low
        or "dot" in low
        or (":" in low and "::" in low)
        or ("(" in low and "(at" in low)
        or ("[" in low and "[at" in low)
        or (("akia" in low or "asia" in low) and _LETTERS_ONLY(low) is not None)
        or ("-" in low and "glpat" in low)
        or ("pass" in low and _PASSWORD(low) is not None)
        or (" at " in low and _HOST(low) is not None)
    ):
        return True
    if not text.isascii():
        if _SIGN(text) is None:
            return "密码" in low or "口令" in low or "艾特" in low
        low = plain(low)[0]
    elif not _any_sign(text):
        return False
    return _telling(low, low.encode("utf-8", "replace").translate(None, _HARMLESS))


def _any_sign(text: str) -> bool:
    """Whether a digit, @ or # stands in it: twelve searches take a third of one for a class."""
    return (
        ("1" in text or "0" in text or "2" in text or "3" in text or "5" in text or "4" in text)
        or ("7" in text or "6" in text or "8" in text or "9" in text)
        or ("@" in text or "#" in text)
    )


def _telling(low: str, signs: bytes) -> bool:
    """Whether the digits and signs of a text may be more than a price, a time or a count."""
    if b"@" in signs or b"#" in signs:
        return True
    num_digits = len(signs)
    return (
        (num_digits >= 2 and _ACCOUNT(low) is not None)
        or (num_digits >= 4 and _FOUR_PARTS(low) is not None)
        or (num_digits >= 7 and _SEVEN_DIGITS(low) is not None)
        or _SIX_COLONS(low) is not None
        or _before_secret(low)
        or (_EIGHT_AROUND(low) is not None and _LONG(low) is not None)
    )


def _before_secret(low: str) -> bool:
    """Whether a word stands in it behind which a digit may be part of a secret."""
    return (
        "key" in low
        or "token" in low
        or "secret" in low
        or "pass" in low
        or "pw" in low
        or "wort" in low
        or "senha" in low
        or "credential" in low
        or (not low.isascii() and any(word in low for word in _WORDS))
    )
