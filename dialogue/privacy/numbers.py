"""Numbers that are personal: phones, cards, accounts and IP addresses, by form and check digit."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from stdnum import iban, luhn

_PHONE = re.compile(r"(?<![\w.])\+?\d(?:[ ()./-]{0,2}\d){8,14}(?!\w)", re.ASCII)
_CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)", re.ASCII)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d\d(?: ?[A-Z0-9]){11,30}(?![A-Za-z0-9])", re.ASCII)
_IP = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:]{2,39})(?![\w:])", re.ASCII)


def phones(text: str) -> Iterator[tuple[int, int]]:
    """Where phone numbers stand."""
    return (match.span() for match in _PHONE.finditer(text))


def cards(text: str) -> Iterator[tuple[int, int]]:
    """Where numbers of payment cards stand: 13 to 19 digits that pass Luhn's check."""
    for match in _CARD.finditer(text):
        if luhn.is_valid(re.sub("[ -]", "", match[0])):
            yield match.span()


def ibans(text: str) -> Iterator[tuple[int, int]]:
    """Where account numbers stand."""
    return (match.span() for match in _IBAN.finditer(text) if iban.is_valid(match[0]))


def ips(text: str) -> Iterator[tuple[int, int]]:
    """Where IP addresses stand."""
    for match in _IP.finditer(text):
        try:
            ipaddress.ip_address(match[0])
        except ValueError:
            continue
        yield match.span()
