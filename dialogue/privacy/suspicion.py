"""Whether a text can hold personal data at all: decided in about a microsecond, for nearly all.

Each condition here is one that a detector's pattern cannot do without, so a new pattern needs a
look here as well; tests/dialogue/test_privacy.py holds the two together.
"""

from __future__ import annotations

import re

from dialogue.privacy.keys import ISSUED
from dialogue.privacy.plain import plain

_ANYTHING = re.compile(r"[A-Za-zＡ-Ｚａ-ｚ\d@＠]").search
# Capitals that an issued key of letters alone begins with, or nearly: AKIA, eyJ, SG., SK, ….
_CAPITALS = b"AJSMNO"
_HARMLESS = bytes(
    code
    for code in range(256)
    if code >= 0x80 or (chr(code).isalpha() and code not in _CAPITALS) or code in b" \n.,'\"!?;"
)
_NO_DIGITS = bytes(set(range(256)) - set(b"0123456789"))

# The words of `keys` behind which a secret may stand that `_is_cued` does not name.
_FOREIGN_CUES = ("contraseña", "пароль", "密码", "口令", "密钥", "令牌", "秘钥")
# Patterns that ignore case take these for the letters, `str.lower` does not.
_ALIKE = (("ſ", "s"), ("ı", "i"), ("i\u0307", "i"), ("\u1c82", "о"))
_ODD = re.compile("[!@#$%^&*+=~|?][a-z0-9!@#$%^&*+=~|?]").search
_MIXED = re.compile("[A-Z](?<=[a-z].)[A-Z]*[a-z]").search

_HOST = re.compile(
    r" at [a-z0-9-]+(?:\.[a-z0-9]| dot | ?点| ?[\[({<] ?(?:dot|\.|点))", re.IGNORECASE
).search
_BRACKETED_AT = re.compile(r"[\[({<] ?(?:at|@) ?[\])}>]").search
_SIX_COLONS = re.compile(":[0-9a-f]{0,4}:").search
_FOUR_PARTS = re.compile(r"[0-9](?:[\[(]?\.[\])]?[0-9]{1,3}){3}").search
_SEVEN_DIGITS = re.compile(r"[0-9](?:[^0-9A-Za-z\n]{0,3}[0-9]){6}").search
_ACCOUNT = re.compile("[0-9]{2}(?<=[a-z]{2}..)(?:[ -]?[a-z0-9]){11}").search
# From the text's beginning, a word and the space behind it at a time: to search is slower, as are
# classes of more than one character.
_LONG_WORD = re.compile("(?:[^ ]{0,14} +)*+[^ ]{15}").match


def suspicious(text: str) -> bool:
    """Whether a detector has to look at the text; False is certain for all kinds but names."""
    spelled = text
    if text.isascii():
        low = text.lower()
        is_cued = _is_cued(low)
    else:
        if _ANYTHING(text) is None:
            return False
        if "\\" in text or "艾特" in text:
            return True
        spelled = plain(text)[0]
        low = spelled.lower()
        for alike, letter in _ALIKE:
            low = low.replace(alike, letter)
        is_cued = _is_cued(low) or any(cue in low for cue in _FOREIGN_CUES)
    # What is left, often nothing, is searched faster than the text.
    signs = spelled.encode("utf-8", "replace").translate(None, _HARMLESS)
    return (
        (len(signs) > 0 and _telling(spelled, low, signs, is_cued=is_cued))
        or (is_cued and (_ODD(low) is not None or _MIXED(spelled) is not None))
        or (" at " in low and _HOST(spelled) is not None)
    )


def _is_cued(low: str) -> bool:
    """Whether a word stands in it, or what looks like one, behind which a secret may stand."""
    return (
        ("pass" in low or "pw" in low or "key" in low or "token" in low)
        or ("secret" in low or "credential" in low)
        or ("kennwort" in low or "senha" in low or "basic" in low)
    )


def _telling(spelled: str, low: str, signs: bytes, *, is_cued: bool) -> bool:
    """Whether the digits, signs and capitals of a text may be more than a price or a time."""
    if _LONG_WORD(spelled.replace("\n", " ")) is not None and ISSUED.search(spelled) is not None:
        return True
    signs = signs.translate(None, _CAPITALS)
    if not signs:
        return False
    num_digits = len(signs.translate(None, _NO_DIGITS))
    return (
        (b"@" in signs or b"#" in signs or b"\\" in signs)
        or (num_digits >= 7 and _SEVEN_DIGITS(spelled) is not None)
        or (num_digits >= 4 and _FOUR_PARTS(spelled) is not None)
        or (num_digits >= 2 and _ACCOUNT(low) is not None)
        or (num_digits >= 1 and (is_cued or "bearer" in low))
        or (signs.count(b":") >= 2 and _SIX_COLONS(low) is not None)
        or (b"_" in signs and "_at_" in low)
        or (b"/" in signs and "/services/" in low)
        or (b"-" in signs and "private key" in low)
        or (
            (b"(" in signs or b"[" in signs or b"{" in signs or b"<" in signs)
            and _BRACKETED_AT(low) is not None
        )
    )
