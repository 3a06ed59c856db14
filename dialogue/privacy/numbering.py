"""Which strings of digits are phone numbers by their own form, country by country.

phonenumbers (Google's libphonenumber) knows which numbers a country has given out. Its matcher is
not used: it reads one country at a time and wants word boundaries that Chinese does not write.
"""

from __future__ import annotations

import re

import phonenumbers

MIN_DIGITS, MAX_DIGITS = 7, 15
"""Digits of a number: a town's own ones have seven, ITU-T E.164 allows fifteen."""

_AMERICAN = re.compile(
    r"(?:(?:00)?1[-. ]{1,2})?(?:\([0-9]{3}\)[-. /]{0,2}[0-9]{3}[-. ]?[0-9]{4}"
    r"|[0-9]{3} ?([-./]) ?[0-9]{3} ?\1 ?[0-9]{4}"
    r"|[2-9][0-9]{2} [2-9][0-9]{2}(?: ?[-.] ?| |)[0-9]{4}"
    r"|[2-9][0-9]{2}(?: ?[-./] ?)[2-9][0-9]{2}(?: ?[-. ] ?)?[0-9]{4})"
)
_CHINESE = re.compile(
    r"(?:(?:00)?86[- ]?)?1[3-9][0-9](?:[0-9]{8}|([ -]) ?[0-9]{4} ?\1 ?[0-9]{4})"
    r"|(?:\(0[1-9][0-9]{1,2}\) ?|0[1-9][0-9]{1,2}[- ])[2-9][0-9]{2,3}[ -]?[0-9]{4}"
    r"|[48]00[- ]?[0-9]{3}[- ]?[0-9]{4}"
)
_RUSSIAN = re.compile(r"8[ -]?(?:\([0-9]{3,5}\)|[0-9]{3})[ -]?[0-9]{2,3}[ -]?[0-9]{2}[ -]?[0-9]{2}")
_INDIAN = re.compile(r"[6-9][0-9]{4} ?[0-9]{5}")
_BRACKETED = re.compile(r"\([0-9]{2,4}\)[ -]?[0-9]{3,5}[ -]?[0-9]{4}")
_DECIMAL = re.compile(r"(?:0|[1-9][0-9]*)?\.[0-9]+")
_TRUNK_ZERO = (
    *("DE", "GB", "FR", "IT", "AU", "JP", "CN", "NL", "CH", "AT", "BE", "SE", "FI", "IE", "IN"),
    *("KR", "TR", "BR", "ZA", "NZ", "ID", "UA", "RO", "IL", "TW", "TH", "VN", "PH", "EG", "NG"),
)


def is_phone(candidate: str, *, doubtful: bool) -> bool:
    """Whether digits with their signs are a phone number whoever says them.

    Args:
        candidate: begins with a digit, `+` or `(`, and ends with a digit.
        doubtful: the words before speak of another number; only the clearest forms count then.
    """
    digits = re.sub("[^0-9]", "", candidate)
    if not MIN_DIGITS <= len(digits) <= MAX_DIGITS + 2:
        return False
    if "+" in candidate[:2]:
        return _international("+" + re.sub(r"\(0\)", "", candidate).lstrip("(+"))
    if _AMERICAN.fullmatch(candidate) and not candidate.isdigit():
        return True
    if doubtful or _DECIMAL.fullmatch(candidate) or len(set(digits)) < 3:
        return False
    return _CHINESE.fullmatch(candidate) is not None or _national(candidate, digits)


def may_be_phone(candidate: str) -> bool:
    """Whether it can be a phone number where the words around it say so."""
    num_digits = sum(map(str.isdigit, candidate))
    decimal = _DECIMAL.fullmatch(candidate) and candidate.index(".") < 3
    return MIN_DIGITS <= num_digits <= MAX_DIGITS and not decimal


def _national(candidate: str, digits: str) -> bool:
    if digits.startswith("00"):
        return _given_out("+" + digits[2:], None)
    if digits.startswith("0"):
        regions: tuple[str, ...] = _TRUNK_ZERO if 9 <= len(digits) <= 12 else ()
    elif _RUSSIAN.fullmatch(candidate):
        regions = ("RU",)
    elif _BRACKETED.fullmatch(candidate):
        regions = ("BR", "MX", "AR", "ES", "IT")
    else:
        regions = ("IN",) if _INDIAN.fullmatch(candidate) else ()
        if candidate.isdigit() and len(digits) in {10, 11}:
            regions += ("IT",) if digits[0] == "3" else ("US",)
    return any(_given_out(digits, region) for region in regions)


def _international(number: str) -> bool:
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return False
    # Numbers that a country could give out count as well: people mistype, and invent examples.
    possible = phonenumbers.is_possible_number_with_reason(parsed)
    return possible == phonenumbers.ValidationResult.IS_POSSIBLE


def _given_out(number: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False
