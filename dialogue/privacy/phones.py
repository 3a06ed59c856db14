"""Phone numbers: by their own form, or by the words before and behind them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dialogue.privacy.numbering import MIN_DIGITS, is_phone, may_be_phone

# Runs of digits that are no phone number, whatever stands around them.
_YEAR, _MONTH = r"(?:1[5-9]|20)[0-9]{2}", r"(?:0?[1-9]|1[0-2])"
_DAY = r"(?:[12][0-9]|3[01]|0?[1-9])"
_OTHER = re.compile(
    rf"(?<![0-9])(?:{_YEAR} ?[-/.] ?{_MONTH} ?[-/.] ?{_DAY}"
    rf"|{_DAY}[-/.]{_DAY}[-/.]{_YEAR}"
    rf"|(?<![0-9] ){_YEAR} ?[-/] ?{_YEAR}"
    r"|[0-9]{1,5}-[0-9]{2,7}-[0-9]{1,6}-[0-9X](?!-)"  # ISBN-10
    r"|[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?:\.[0-9]+)?"
    r"|97[89][- ]?[0-9](?:[- ]?[0-9]){9})(?![0-9])"  # ISBN-13
    r"|ISBN[-: 013]{0,6}[0-9][0-9 -]{7,16}[0-9X]"
    r"|(?<![0-9])(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:[0-2][0-9]|3[01])(?![0-9])"
    r"|(?<![0-9])(?!1[3-9][0-9]{9}[^0-9])[0-9](?:[0-9.,]{0,20}[0-9])? ?(?:[元块人个件万亿%]"
    r"|(?:won|euros?|dollars?|yuan|rmb|usd|eur|people|units|kg|km)\b)"
    r"|[$€£¥₹] ?[0-9](?:[0-9., ]{0,20}[0-9])?"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",  # UUID
    re.IGNORECASE,
)
_RUN = re.compile(
    r"(?:(?<![A-Za-z0-9_])(?<![0-9][.,])(?<![A-Za-z]/)|(?=[(+]))"
    r"(?:\(?\+|\()? ?[0-9](?:[ ()./\t-]{0,3}[0-9])*"
)
_MOST_PARTS = 8
_COUNTING = re.compile(r"[0-9] +[0-9](?![0-9])")  # Single digits are a list, or a table.
_EXTENSION = re.compile(
    r" ?(?:,? ?(?:ext|extension|x|durchwahl)\.?|转|分机) ?[0-9]{1,6}(?![0-9])", re.IGNORECASE
)

_PHONE_WORDS = (
    r"(?:tele|cell|i)?phone|tele?|mobile|mob|cell|call(?:ed|ing)?|ring|text|sms|whats ?app|signal"
    r"|fax|dial|reach|contact|handy|handynummer|telefon|telefonnummer|mobil|nummer|anrufen|ruf\w*"
    r"|t[ée]l[ée]phone|t[ée]l|portable|num[ée]ro|appel\w*|tel[ée]fono|m[óo]vil|celular|n[úu]mero"
    r"|llam\w+|telefone|тел(?:ефон)?|numbers?(?= is| are|:| was|'s|$)"
)
_PHONE_CHARACTERS = "电话|手机|号码|联系|致电|拨打|打给|座机|热线|短信|微信|加我"
_OTHER_WORDS = (
    r"(?:order|invoice|ticket|tracking|ref(?:erence)?|confirmation|booking|isbn|issn|serial|sku|item"
    r"|article|part|model|version|build|population|account|acct|id|code|case|barcode|ean|upc|parcel"
    r"|shipment|timestamp|epoch|commande|bestellung|bestellnummer|rechnung|pedido)"
    r"(?: (?:number|no|id|code)\b\.?)?"
)
_OTHER_CHARACTERS = (
    "#|(?:订单|单|编|快递|运单|包裹|条码|账|帐|型|序列)号码?|订单|快递|包裹|条码|qq号?"
)
_WORD = re.compile(
    rf"(?P<other>(?<![A-Za-z])(?:{_OTHER_WORDS})(?![A-Za-z])|{_OTHER_CHARACTERS})"
    rf"|(?P<phone>(?<![A-Za-z])(?:{_PHONE_WORDS})(?![A-Za-z])|{_PHONE_CHARACTERS})",
    re.IGNORECASE,
)
_WORD_BEHIND = re.compile(
    r"[) ,]{0,2}(?:is|are|was|'s)? ?(?:my|his|her|their|our|the)? ?(?:new )?"
    r"(?:tele|cell)?(?:phone|mobile|cell|number|whatsapp)\b"
    r"|.{0,3}(?:这个是|是)?我的?(?:电话|手机|号码)",
    re.IGNORECASE,
)
_REACH = 48  # Characters before a number in which a word says what it is.


def phones(text: str) -> Iterator[tuple[int, int]]:
    """Where phone numbers stand, extensions included."""
    masked = _OTHER.sub(lambda match: "\n" * len(match[0]), text)
    for run in _RUN.finditer(masked):
        if sum(map(str.isdigit, run[0])) < MIN_DIGITS or _goes_on(masked, run.end()):
            continue
        for start, end in _in_run(masked, run):
            extension = _EXTENSION.match(masked, end)
            yield start, extension.end() if extension else end


def _goes_on(text: str, end: int) -> bool:
    """Whether letters follow directly, as in a product's name; an extension's mark is none."""
    after = text[end : end + 1]
    letter = after.isascii() and (after.isalpha() or after == "_")
    return letter and not _EXTENSION.match(text, end)


def _in_run(text: str, run: re.Match[str]) -> Iterator[tuple[int, int]]:
    """The numbers in a run of digits: of its parts between spaces, the most that make one."""
    parts = [
        (run.start() + part.start(), run.start() + part.end())
        for part in re.finditer(r"\S+", run[0])
    ]
    first = 0
    while first < len(parts):
        start = parts[first][0]
        # An opened bracket belongs to a number only where it is closed in it.
        start += text[start] == "(" and ")" not in text[start : run.end()]
        last = _last(text, parts, first, start)
        if last is not None:
            yield start, parts[last][1]
        first = first + 1 if last is None else last + 1


def _last(text: str, parts: list[tuple[int, int]], first: int, start: int) -> int | None:
    """The last part of the longest number that begins at `start`, if one does."""
    if _COUNTING.match(text, start):
        return None
    most = min(first + _MOST_PARTS, len(parts)) - 1
    said = _said(text, start)
    ends = range(most, first - 1, -1)
    for last in ends:
        if is_phone(text[start : parts[last][1]], doubtful=said == "other"):
            return last
    for last in ends:
        end = parts[last][1]
        if may_be_phone(text[start:end]) and (said == "phone" or _WORD_BEHIND.match(text, end)):
            return last
    return None


def _said(text: str, start: int) -> str | None:
    """What the nearest word before calls the number: `phone`, `other`, or nothing."""
    said = None
    for word in _WORD.finditer(text[max(0, start - _REACH) : start]):
        said = word.lastgroup
    return said
