"""Numbers of payment cards and bank accounts: both carry check digits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stdnum import iban, luhn
from stdnum.iso7064 import mod_97_10

_CARD = re.compile(r"(?<![A-Za-z0-9_+])(?<![0-9][.,])[0-9](?:[ .-]{0,3}[0-9])+(?![A-Za-z0-9_])")
_DECIMAL = re.compile(r"[0-9]+\.[0-9]+")
_GROUP = re.compile(r"[0-9]+")
_CARD_DIGITS = range(12, 20)
_FIRST_GROUP, _MOST_GROUPS = 4, 5  # As cards are embossed: 4-4-4-4, 4-6-5, 4-4-4-4-3.
# Issuers' first digits and their lengths: ISO/IEC 7812 as the networks publish their ranges.
_ISSUERS = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"  # Visa
    r"|(?:5[1-5]|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]+(?<=^[0-9]{16})"
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-59]|[689][0-9])[0-9]{11,16}"  # Diners Club
    r"|35[0-9]{14,17}|(?:1800|2131)[0-9]{11}"  # JCB
    r"|(?:6011|64[4-9][0-9]|65[0-9]{2})[0-9]{12,15}"  # Discover
    r"|62[0-9]{14,17}|81[0-9]{14,17}"  # UnionPay
    r"|220[0-4][0-9]{12,15}"  # Mir
    r"|(?:50|5[6-9]|6[0-9])(?:[0-9]{14}|[0-9]{16,17})"  # Maestro, RuPay, Elo, Verve
    r"|(?:50(?:18|20|38)|5[678][0-9]{2}|6304|6390|6759|676[1-3])[0-9]{8}"  # Maestro's shortest
    r"|9792[0-9]{12}"  # Troy
)
_UNBROKEN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}(?![A-Za-z0-9])")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,30}")
_IBAN_LENGTHS = range(34, 14, -1)


def cards(text: str) -> Iterator[tuple[int, int]]:
    """Where card numbers stand: an issuer's range and length, and Luhn's check digit."""
    for match in _CARD.finditer(text):
        if _DECIMAL.fullmatch(match[0]):
            continue
        groups = list(_GROUP.finditer(match[0]))
        first = 0
        while first < len(groups):
            last = _card(groups, first)
            if last is None:
                first += 1
                continue
            yield match.start() + groups[first].start(), match.start() + groups[last].end()
            first = last + 1


def _card(groups: list[re.Match[str]], first: int) -> int | None:
    """The last of the groups of digits that make a card number with the first, if any do."""
    found, digits = None, ""
    for last in range(first, min(first + _MOST_GROUPS, len(groups))):
        digits += groups[last][0]
        if len(digits) > max(_CARD_DIGITS) or len(groups[first][0]) < _FIRST_GROUP:
            break
        if len(digits) == min(_CARD_DIGITS) and len(groups) > 1:
            continue  # Only unbroken: of twelve digits in groups, too many are something else.
        if len(digits) in _CARD_DIGITS and _ISSUERS.fullmatch(digits) and luhn.is_valid(digits):
            found = last
    return found


def ibans(text: str) -> Iterator[tuple[int, int]]:
    """Where account numbers stand: a country's length and form, and both check digits."""
    end = 0
    for match in _IBAN.finditer(text):
        length = _iban(text, match)
        if length is not None and match.start() >= end:
            end = match.start() + length
            yield match.start(), end


def _iban(text: str, match: re.Match[str]) -> int | None:
    """How many characters of the candidate are an account number, if any are."""
    whole = _UNBROKEN.match(text, match.start())
    if whole and mod_97_10.is_valid(whole[0][4:] + whole[0][:4]):
        return len(whole[0])  # Check digits are enough where nothing has to be guessed.
    places = [i for i, character in enumerate(match[0]) if character.isalnum()]
    for length in _IBAN_LENGTHS:
        if length > len(places):
            continue
        end = places[length - 1] + 1
        after = text[match.start() + end : match.start() + end + 1]
        if after.isascii() and after.isalnum():
            continue
        if iban.is_valid(match[0][:end], check_country=False):
            return end
    return None
