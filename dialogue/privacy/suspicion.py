"""Whether a text can hold personal data at all: decided in about a microsecond, for nearly all."""

from __future__ import annotations

import re

from dialogue.privacy.plain import plain

_HARMLESS = bytes(set(range(128)) - set(b"0123456789@#"))
_SIGN = re.compile(r"[\d@＠#＃]").search
_SHAPE = re.compile(
    r"[@#]"
    r"|[0-9](?:[^0-9A-Za-z\n]{0,3}[0-9]){6}"  # as many digits as the shortest phone number has
    r"|[0-9][\])]?\.[\])]?[0-9]{1,3}[\[(]?\.[\])]?[0-9]{1,3}[\[(]?\.[\])]?[0-9]"
    r"|:[0-9a-f]{0,4}:"
    r"|(?<![!-~])[!-~]{16}"
).search
_WORD = re.compile(
    r"pass|pwd|psw|secret|token|key|credential|contrase|senha|wort|пароль|密|口令|令牌|秘钥"
).search
_PASSWORD = re.compile(r"pass ?[wcpk]|mot de passe").search
_HOST = re.compile(r" at [a-z0-9.-]+\.[a-z]{2}").search


def suspicious(text: str) -> bool:
    """Whether a detector has to look at the text; False is certain for all kinds but names."""
    low = text.lower()
    # Words that stand before or in addresses and secrets without any digit or @.
    if (
        "dot" in low
        or "::" in low
        or "hf_" in low
        or ("pass" in low and _PASSWORD(low) is not None)
        or (" at " in low and _HOST(low) is not None)
    ):
        return True
    if text.isascii():
        # Deleting bytes is several times as fast as searching for a class of characters.
        signs = text.encode().translate(None, _HARMLESS)
        return bool(signs) and _telling(low)
    if _SIGN(text) is None:
        return "密码" in low or "口令" in low or "艾特" in low
    return _telling(plain(low)[0])


def _telling(low: str) -> bool:
    """Whether the digits or signs of a text may be more than a price, a time or a count."""
    return _SHAPE(low) is not None or _WORD(low) is not None or "艾特" in low
