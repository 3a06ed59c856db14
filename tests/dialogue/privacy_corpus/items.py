"""Personal data as its formats' specifications define it, none of a real person.

RFC 5321 and 5322 for addresses, the numbering plans' example numbers, the card networks' ranges,
SWIFT's IBAN registry, RFC 4291 for IPv6, RFC 7519 for tokens, and what issuers say of their keys.
Every maker draws a form, a sentence with `{}` in the item's place, and the item.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import random
import string
import uuid
from collections.abc import Callable

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from tests.dialogue.privacy_corpus import sentences

Made = tuple[str, str, str]

_GIVEN = (
    *("Anna", "Oliver", "Priya", "Jürgen", "Chloé", "Mateo", "Fatima", "Kenji", "Siobhan", "Lars"),
    *("Zoë", "Tomasz", "Ingrid", "Marcus", "Aisha", "Dmitri", "Grace", "Will", "Mei", "Paolo"),
)
_FAMILY = (
    *("Smith", "O'Hara", "Nguyen", "García", "Müller", "Kowalski", "van Dyk", "Rossi", "Tanaka"),
    *("Lefèvre", "Johansson", "Okafor", "Brown", "Lee", "Patel", "Silva", "Novak", "McAdams"),
)
_CHINESE_GIVEN = ("伟", "芳", "小明", "建国", "丽华", "静", "志强", "雨婷")
_HOSTS = (
    *(
        "gmail.com",
        "yahoo.co.uk",
        "qq.com",
        "163.com",
        "t-online.de",
        "mail.example.org",
        "GMX.net",
    ),
    *("sub.dept.uni-muenchen.de", "company.technology", "x.io", "foo-bar.museum", "acme.com.br"),
    *("xn--bcher-kva.example", "bücher.example", "1and1.com", "a.b.c.d.info", "outlook.com"),
)


def _email(draw: random.Random) -> Made:
    form, item = _address(draw)
    return form, draw.choice(sentences.EMAIL), item


def _address(draw: random.Random) -> tuple[str, str]:
    given = draw.choice(_GIVEN).lower().translate(str.maketrans("üéë", "uee"))
    family = draw.choice(_FAMILY).lower().split()[-1].translate(str.maketrans("íüè'", "iue_"))
    host = draw.choice(_HOSTS)
    local = draw.choice(
        (
            *(f"{given}.{family}", f"{given[0]}{family}{draw.randint(1, 99)}", f"{given}_{family}"),
            *(f"{given}+{draw.choice(('news', 'shop-2', 'x'))}", str(draw.randint(10**5, 10**10))),
            *(
                f"{given}-{family}.{draw.randint(1950, 2010)}",
                f"{given.upper()}.{family}",
                given[0],
            ),
            *(f"{given}.o'{family}", f"{family}{{{given}}}", f"{given}#{family}", f"_{given}_"),
        )
    )
    sort = draw.random()
    if sort < 0.72:
        return "written", f"{local}@{host}"
    if sort < 0.76:
        return "quoted", f'"{given} {family}"@{host}'
    if sort < 0.80:
        return "address literal", f"{given}@[192.0.2.{draw.randint(1, 254)}]"
    if sort < 0.84:
        return "wide", f"{given}{family}＠{draw.choice(('163．com', 'qq.com'))}"
    ascii_host = draw.choice(("gmail.com", "yahoo.com", "gmx.de", "my-firm.co.uk", "acme.org"))
    provider = draw.choice(("gmail.com", "yahoo.com", "hotmail.com", "outlook.com", "gmx.net"))
    return "obfuscated", draw.choice(
        (
            f"{given} dot {family} at {provider.replace('.', ' dot ')}",
            f"{given}.{family} (at) {ascii_host.replace('.', ' (dot) ')}",
            f"{given}{draw.randint(1, 99)}[at]{ascii_host.replace('.', '[dot]')}",
            f"{given}_{family} AT {provider.replace('.', ' DOT ')}",
            f"{given} @ {ascii_host}",
            f"{given}.{family} at {provider}",
        )
    )


_NATIONAL = PhoneNumberFormat.NATIONAL
# A leading 0, or a form of their own: what people recognise without a word's help.
_CLEAR = ("US", "CA", "GB", "DE", "FR", "IT", "NL", "AU", "JP", "CN", "IN", "CH", "KR")
_REGIONS = (
    *("US", "CA", "GB", "DE", "FR", "ES", "IT", "NL", "BE", "CH", "AT", "SE", "NO", "DK", "FI"),
    *("PL", "CZ", "PT", "IE", "GR", "TR", "RU", "UA", "IN", "PK", "BD", "CN", "HK", "TW", "JP"),
    *("KR", "SG", "MY", "TH", "VN", "ID", "PH", "AU", "NZ", "ZA", "NG", "KE", "EG", "MA", "IL"),
    *("AE", "SA", "BR", "MX", "AR", "CL", "CO", "PE"),
)


def _number(draw: random.Random, region: str) -> phonenumbers.PhoneNumber:
    """A number that the region gives out: its example with other last digits."""
    sort = draw.choice((PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE))
    example = phonenumbers.example_number_for_type(region, sort)
    assert example is not None
    known = example.national_number or 0
    for _ in range(50):
        number = phonenumbers.PhoneNumber()
        number.merge_from(example)
        number.national_number = known - known % 10**4 + draw.randint(0, 9999)
        if phonenumbers.is_valid_number(number):
            return number
    return example


def _phone(draw: random.Random) -> Made:
    region = draw.choice(_REGIONS)
    form, item = _dialled(draw, _number(draw, region))
    clear = form != "national" or region in _CLEAR
    return form, draw.choice((*sentences.PHONE, *sentences.BARE_PHONE * clear)), item


def _dialled(draw: random.Random, number: phonenumbers.PhoneNumber) -> tuple[str, str]:
    form = draw.choice(("e164", "international", "international", "national", "national", "tel"))
    if form == "e164":
        return form, phonenumbers.format_number(number, PhoneNumberFormat.E164)
    if form == "tel":
        rfc = phonenumbers.format_number(number, PhoneNumberFormat.RFC3966)
        return form, rfc.removeprefix("tel:")
    style = PhoneNumberFormat.INTERNATIONAL if form == "international" else _NATIONAL
    item = phonenumbers.format_number(number, style)
    if form == "international" and draw.random() < 0.25:
        country, rest = item.split(" ", 1)
        return "with (0)", f"{country} (0){draw.choice(('', ' '))}{rest}"
    if form == "international" and draw.random() < 0.2:
        return "with 00", "00" + item.removeprefix("+")
    return form, _spaced(draw, item)


def bare_phone(draw: random.Random) -> Made:
    """A number as dialled at home, where no word says what it is."""
    number = _number(draw, draw.choice(_REGIONS))
    item = _spaced(draw, phonenumbers.format_number(number, _NATIONAL))
    return "national, bare", draw.choice(sentences.BARE_PHONE), item


def _spaced(draw: random.Random, item: str) -> str:
    """The same digits as other people group them."""
    style = draw.random()
    if style < 0.5:
        return item
    if style < 0.65:
        return item.replace(" ", draw.choice((".", "-", "/")), 1).replace(" ", "")
    if style < 0.75:
        return item.replace(" ", "")
    if style < 0.85:
        return item.replace(" ", "-")
    if style < 0.92:
        return item.replace(" ", "\u00a0").replace("-", "\u2011")
    return "".join(chr(ord(c) + 0xFEE0) if c.isdigit() else c for c in item)


_NETWORKS = {  # prefix range, length: as the networks publish them
    "visa": ((4, 4), 16),
    "mastercard": ((51, 55), 16),
    "mastercard 2": ((2221, 2720), 16),
    "american express": ((34, 34), 15),
    "american express 2": ((37, 37), 15),
    "discover": ((6011, 6011), 16),
    "discover 2": ((644, 659), 16),
    "diners": ((36, 36), 14),
    "jcb": ((3528, 3589), 16),
    "unionpay": ((620, 629), 16),
    "unionpay 19": ((621, 622), 19),
    "maestro": ((5018, 5018), 16),
    "mir": ((2200, 2204), 16),
    "visa 13": ((4, 4), 13),
}


def _card(draw: random.Random) -> Made:
    form, item = _card_number(draw)
    return form, draw.choice(sentences.CARD), item


def _card_number(draw: random.Random) -> tuple[str, str]:
    form = draw.choice(tuple(_NETWORKS))
    (low, high), length = _NETWORKS[form]
    digits = str(draw.randint(low, high))
    digits += "".join(draw.choice(string.digits) for _ in range(length - 1 - len(digits)))
    total = sum(
        sum(divmod(2 * int(d), 10)) if i % 2 == 0 else int(d) for i, d in enumerate(digits[::-1])
    )
    digits += str(-total % 10)
    sizes = {14: (4, 6, 4), 15: (4, 6, 5)}.get(length, (4, 4, 4, 4, 3))
    groups, rest = [], digits
    for size in sizes:
        groups.append(rest[:size])
        rest = rest[size:]
    separator = draw.choice(("", " ", " ", "-", "\u00a0", " - ", "wide"))
    if separator == "wide":
        return form, "".join(chr(ord(c) + 0xFEE0) for c in digits)
    return form, separator.join(g for g in groups if g)


# SWIFT's IBAN registry: n stands for digits, a for capitals, c for both.
_REGISTRY = (
    "AD:8n12c AE:19n AT:16n BE:12n BG:4a6n8c BR:23n1a1c CH:5n12c CY:8n16c CZ:20n DE:18n "
    "DK:14n EE:16n ES:20n FI:14n FR:10n11c2n GB:4a14n GR:7n16c HR:17n HU:24n IE:4a14n IL:19n "
    "IS:22n IT:1a10n12c KZ:3n13c LI:5n12c LT:16n LU:3n13c LV:4a13c MC:10n11c2n MT:4a5n18c "
    "NL:4a10n NO:11n PK:4a16c PL:24n PT:21n QA:4a21c RO:4a16c RS:18n SA:2n18c SE:20n SI:15n "
    "SK:20n SM:1a10n12c TN:20n TR:5n1n16c UA:6n19c GE:2a16n"
)
_IBAN_STRUCTURES = dict(structure.split(":") for structure in _REGISTRY.split())


def _iban(draw: random.Random) -> Made:
    form, item = _iban_number(draw)
    return form, draw.choice(sentences.IBAN), item


def _iban_number(draw: random.Random) -> tuple[str, str]:
    country = draw.choice(tuple(_IBAN_STRUCTURES))
    account, count = "", ""
    for character in _IBAN_STRUCTURES[country]:
        if character.isdigit():
            count += character
            continue
        alphabet = {"n": string.digits, "a": string.ascii_uppercase}.get(
            character, string.digits + string.ascii_uppercase
        )
        account += "".join(draw.choice(alphabet) for _ in range(int(count)))
        count = ""
    number = int("".join(str(int(c, 36)) for c in account + country + "00"))
    whole = f"{country}{98 - number % 97:02d}{account}"
    groups = [whole[i : i + 4] for i in range(0, len(whole), 4)]
    style = draw.choice(
        ("plain", "plain", "groups", "groups", "groups", "hyphens", "lower", "wide")
    )
    if style == "wide":
        return style, "\u00a0".join(groups)
    if style == "lower":
        return style, whole.lower()
    return style, {"plain": "", "groups": " ", "hyphens": "-"}[style].join(groups)


def _ip(draw: random.Random) -> Made:
    form, item = _ip_address(draw)
    return form, draw.choice(sentences.IP), item


def _ip_address(draw: random.Random) -> tuple[str, str]:
    if draw.random() < 0.5:
        private = draw.choice((None, None, "10.{}.{}.{}", "192.168.{1}.{2}", "172.16.{1}.{2}"))
        parts = [draw.randint(0, 255) for _ in range(3)]
        first = draw.choice([n for n in range(1, 224) if n != 127])
        return "v4", private.format(*parts) if private else ".".join(map(str, (first, *parts)))
    address = ipaddress.IPv6Address(0x2001 << 112 | draw.getrandbits(96))
    near = draw.getrandbits(32)
    addresses = {
        "full": address.exploded,
        "upper": address.compressed.upper(),
        "short": ipaddress.IPv6Address(0x20010DB8 << 96 | near).compressed,
        "zeros": ipaddress.IPv6Address(0x26 << 120 | near % 9999).compressed,
        "link-local": ipaddress.IPv6Address(0xFE80 << 112 | draw.getrandbits(64)).compressed,
        "mapped": f"::ffff:192.0.2.{near % 255}",
    }
    return "v6", draw.choice(tuple(addresses.values()))


_ALNUM = string.ascii_letters + string.digits
_URL_SAFE = _ALNUM + "-_"
_BASE64 = _ALNUM + "+/"


def _key(draw: random.Random) -> Made:

    def some(alphabet: str, length: int) -> str:
        return "".join(draw.choice(alphabet) for _ in range(length))

    issued = {
        "aws": "AKIA" + some(string.ascii_uppercase + "234567", 16),
        "aws session": "ASIA" + some(string.ascii_uppercase + "234567", 16),
        "github": draw.choice(("ghp_", "gho_", "ghu_", "ghs_", "ghr_")) + some(_ALNUM, 36),
        "github fine": "github_pat_" + some(_ALNUM, 22) + "_" + some(_ALNUM, 59),
        "gitlab": "glpat-" + some(_URL_SAFE, 20),
        "slack": f"xoxb-{some(string.digits, 12)}-{some(string.digits, 12)}-{some(_ALNUM, 24)}",
        "stripe": draw.choice(("sk_live_", "rk_live_", "sk_test_")) + some(_ALNUM, 24),
        "google": "AIza" + some(_URL_SAFE, 35),
        "openai": "sk-" + draw.choice(("", "proj-")) + some(_ALNUM, 48),
        "hugging face": "hf_" + some(string.ascii_letters, 34),
        "npm": "npm_" + some(_ALNUM, 36),
        "sendgrid": f"SG.{some(_URL_SAFE, 22)}.{some(_URL_SAFE, 43)}",
        "jwt": _token(draw),
        "pem": _block(draw),
    }
    form = draw.choice(
        (*issued, "password", "password", "password", "secret", "secret", "bearer", "basic", "url")
    )
    if form == "password":
        words = ("sunshine", "Dragon", "kitty", "Berlin", "qwert", "lovely")
        made = draw.choice(words) + draw.choice(("!", "", "_", "#")) + str(draw.randint(10, 99999))
        item = draw.choice((made, some(_ALNUM, 9) + "7a", some(_ALNUM + "!#%&*+", 14) + "x9"))
        return form, draw.choice(sentences.PASSWORD), item
    if form == "secret":
        item = draw.choice(
            (some(_BASE64, 38) + "5q", some("0123456789abcdef", 32), str(_uuid(draw)))
        )
        return form, draw.choice(sentences.SECRET), item
    if form == "bearer":
        return form, "curl -H 'Authorization: Bearer {}' https://x.org", some(_URL_SAFE, 38) + "4z"
    if form == "basic":
        login = f"{draw.choice(_GIVEN).lower()}:{some(_ALNUM, draw.randint(8, 16))}"
        return form, draw.choice(sentences.BASIC), base64.b64encode(login.encode()).decode()
    if form == "url":
        return form, "postgres://app:{}@db.internal:5432/main", some(_ALNUM, 12)
    return form, draw.choice(sentences.KEY), issued[form]


def _token(draw: random.Random) -> str:
    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).decode().rstrip("=")

    claims = {"sub": str(draw.randint(1, 10**9)), "iat": draw.randint(10**9, 2 * 10**9)}
    header = {"alg": draw.choice(("HS256", "RS256")), "typ": "JWT"}
    first, second = (part(json.dumps(d, separators=(",", ":")).encode()) for d in (header, claims))
    return f"{first}.{second}.{part(draw.randbytes(32))}"


def _block(draw: random.Random) -> str:
    sort = draw.choice(("RSA ", "EC ", "OPENSSH ", "", "ENCRYPTED "))
    body = base64.encodebytes(draw.randbytes(160)).decode()
    return f"-----BEGIN {sort}PRIVATE KEY-----\n{body}-----END {sort}PRIVATE KEY-----"


def _uuid(draw: random.Random) -> uuid.UUID:
    return uuid.UUID(int=draw.getrandbits(128), version=4)


def person(draw: random.Random) -> Made:
    """A name, four times in five after a word that introduces one."""
    chinese = draw.random() < 0.25
    if chinese:
        item = draw.choice("王李张刘陈杨赵周吴徐") + draw.choice(_CHINESE_GIVEN)
    else:
        item = draw.choice(_GIVEN) + draw.choice(("", f" {draw.choice(_FAMILY)}"))
    form = draw.choice(("introduced",) * 4 + ("bare",))
    carriers = sentences.INTRODUCTION if form == "introduced" else sentences.BARE_NAME
    wanted = [c for c in carriers if any("一" <= letter <= "鿿" for letter in c) == chinese]
    return form, draw.choice(wanted), item


MAKERS: dict[str, Callable[[random.Random], Made]] = {
    "email": _email,
    "phone": _phone,
    "card": _card,
    "iban": _iban,
    "ip": _ip,
    "key": _key,
}
