"""Sentences without personal data, full of what looks like it."""

from __future__ import annotations

import random
import string
import uuid
from collections.abc import Callable

ORDINARY = (
    "I looked at amazon dot com and found nothing",
    "meet me at google dot com headquarters at 10",
    "@anna and @bob_77, are you coming?",
    "see you @ the pub @ 8",
    "5 apples @ 0.30 each",
    "I need to reset my password, please help",
    "password: forgotten",
    "my password is wrong again",
    "the secret is patience and practice",
    "a token of appreciation",
    "the key is under the mat, number 12",
    "Where did I put my keys? 3 of them",
    "passport office opens at 9:00, passengers only",
    "std::vector<int> and boost::asio::ip",
    "so :: that was it :: really",
    "{{ states('sensor.temp_1') }} °C at {{ now().strftime('%H:%M') }}",
    "{{ state_attr('light.kitchen', 'brightness') | int / 255 * 100 }}%",
    "{% if slots.temperature %}Set to {{ slots.temperature }}{% endif %}",
    "pi is 3.14159265358979, e is 2.718281828459045",
    "call 911! or 112, or 999",
    "dial 0 for the operator, 10086 for help",
    "打12306买票，或者拨打110",
    "there are 1400000000 people there",
    "there are 8045311447 people alive",
    "10 9 8 7 6 5 4 3 2 1 0 go!",
    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
    "1000000 + 2000000 = 3000000",
    "it costs 1.234.567,89 or 1,234,567.89 or 1 234 567",
    "from 1914-1918 and 1939-1945",
    "open 0900-1700, Mon-Fri",
    "9-5 is 4, 1-800 is negative",
    "call me maybe? 100000 times I said it",
    "the phone costs 1200000 won",
    "I have called him 3 times since 10:30:45 on 2024-01-15",
    "netzwerk 10.0.0 ist weg, 1.2.3 auch",
    "Python 3.11.7 and torch 2.13.0, Chrome 120.0.6099.109",
    "version 1.2.3.4 of the driver, v10.0.19.1 before",
    "section 4.3.2.1 says so",
    "300.400.500.600 is no address, nor is 1.2.3.4.5",
    "ratio 16:9, score 3:2, verse 3:16-18, 12:30:45",
    "MAC 00:1B:44:11:3A:B7",
    "DE00 1234 5678 9012 3456 78 is wrong",
    "GB12 ABCD and AB12 CDE are no accounts",
    "4111 1111 1111 1112 fails the check",
    "1234 5678 9012 3456",
    "0000 0000 0000 0000",
    "api keys are explained in the docs",
    "the api key: see page 12",
    "Bearer of bad news since 1999",
    "basic training starts 2024",
    "I need some basic HTML5/CSS3/JavaScript help",
    "basic understanding/of-python3 is enough, basic mathematics101 too",
    "Authorization: basic or bearer",
    "password to log in2 my account",
    "I forgot the password to outlook365",
    "change my password to something else",
    "reset your password - click here",
    "set a token to mark it, 3 times",
    "My password is: forgotten",
    "the password is now: expired",
    "my password's wrong since 9",
    "{'password': 'forgotten'}, 2 of them",
    "**Password:** required, 8 characters",
    "- **Secret stores** and 2 others",
    "- `api_key` - **plain** text, 1 line",
    "the 'secret' ingredient2go, the `token` float32",
    "password:   none yet, 3rd try",
    "我的密码 是 什么? 第2次了",
    "secret signing key: see page 12",
    "the secret master key opens room 12",
    "a token - 20 per day",
    "eyJust kidding 42",
    "sk-something short, AKIA is a prefix",
    "ISBN 0-306-40615-2 and ISBN-13: 978-0-306-40615-7",
    "twelve o'clock at night dot dot dot",
    "polka dot dress at h and m",
    "I work at booking.com and she is at amazon.de",
    "come at 5.in the evening",
    "身高175，体重60，生日1990年1月15日",
    "密码忘了怎么办",
    "我忘记密码了，2次都不对",
    "今天是2024年11月24日，温度23.5度",
    "￥1999.00，满3000减300",
    "订单号2024112412345678，什么时候发货",
    "快递单号75312345678901到哪了",
    "尺码是165/88A，颜色03号",
    "8点到10点，12:30吃饭",
)


def _digits(draw: random.Random, low: int, high: int) -> str:
    length = draw.randint(low, high)
    return str(draw.randint(1, 9)) + "".join(draw.choice(string.digits) for _ in range(length - 1))


def _date(draw: random.Random) -> str:
    day, month, year = draw.randint(1, 28), draw.randint(1, 12), draw.randint(1950, 2030)
    return draw.choice(
        (
            *(
                f"{year}-{month:02d}-{day:02d}",
                f"{day:02d}.{month:02d}.{year}",
                f"{month}/{day}/{year}",
            ),
            *(
                f"{year}/{month}/{day}",
                f"{day:02d}/{month:02d}/{year}",
                f"{year}年{month}月{day}日",
            ),
            *(f"{year}{month:02d}{day:02d}", f"{day}.{month}.{year % 100:02d}"),
        )
    )


def _time(draw: random.Random) -> str:
    hour, minute = draw.randint(0, 23), draw.randint(0, 59)
    return draw.choice(
        (f"{hour:02d}:{minute:02d}", f"{hour}.{minute:02d}", f"{hour}:{minute:02d}:07")
    )


def _isbn(draw: random.Random) -> str:
    digits = "978" + _digits(draw, 9, 9)
    digits += str(-sum(int(d) * (1, 3)[i % 2] for i, d in enumerate(digits)) % 10)
    return draw.choice(
        (digits, f"{digits[:3]}-{digits[3]}-{digits[4:8]}-{digits[8:12]}-{digits[12]}")
    )


def _version(draw: random.Random) -> str:
    return ".".join(str(draw.randint(0, 30)) for _ in range(draw.choice((2, 3, 3))))


DRAWN: tuple[Callable[[random.Random], str], ...] = (
    lambda d: f"The meeting is on {_date(d)} at {_time(d)}.",
    lambda d: f"{_date(d)} {_time(d)} - {_date(d)} {_time(d)}",
    lambda d: f"我{_date(d)}到，{_time(d)}见",
    lambda d: f"call me on {_date(d)} at {_time(d)}",
    lambda d: f"It costs {d.choice('$€£¥')}{d.randint(1, 10**7):,}.{d.randint(10, 99)} in total",
    lambda d: (
        f"pay {d.randint(1, 10**7)} {d.choice(('euros', 'dollars', 'yuan', '元', 'kr'))} then"
    ),
    lambda d: f"I upgraded to {_version(d)} from {_version(d)}",
    lambda d: f"pip install torch=={_version(d)} && v{_version(d)}",
    lambda d: (
        f"We need {d.randint(1, 99999)} boxes of {d.randint(1, 500)} by {d.randint(2020, 2030)}"
    ),
    lambda d: f"my order {_digits(d, 8, 16)} has not arrived",
    lambda d: f"Order #{_digits(d, 6, 12)}, invoice {_digits(d, 6, 10)}",
    lambda d: f"订单{_digits(d, 10, 18)}还没发货",
    lambda d: f"tracking number 1Z{_digits(d, 3, 3)}AA{_digits(d, 10, 10)}",
    lambda d: f"parcel RR{_digits(d, 9, 9)}CN is late",
    lambda d: f"ISBN {_isbn(d)}, page {d.randint(1, 900)}",
    lambda d: f"the book {_isbn(d)} is out",
    lambda d: f"commit {d.getrandbits(160):040x}",
    lambda d: f"see issue {d.randint(1, 9999)}, id {uuid.UUID(int=d.getrandbits(128))}",
    lambda d: f"at {d.uniform(-90, 90):.6f}, {d.uniform(-180, 180):.6f} there is a lake",
    lambda d: f"{d.randint(1, 999)} {d.choice('+-*/')} {d.randint(1, 999)} = {d.randint(1, 99999)}",
    lambda d: f"flight {d.choice(('BA', 'LH', 'CA'))}{d.randint(100, 9999)} leaves at {_time(d)}",
    lambda d: f"colour #{d.getrandbits(24):06x} on {d.randint(640, 3840)}x{d.randint(480, 2160)}",
    lambda d: f"zip {d.randint(10000, 99999)}-{d.randint(1000, 9999)}, room {d.randint(1, 900)}",
    lambda d: f"MAC {':'.join(f'{d.getrandbits(8):02x}' for _ in range(6))}",
    lambda d: f"timestamp {d.randint(1_500_000_000, 1_900_000_000)}, took {d.uniform(0, 9):.9f} s",
    lambda d: (
        f"@anna{d.randint(1, 99)} https://example.org/{d.randint(1, 9999)}?p={_digits(d, 2, 6)}"
    ),
    lambda d: f"population {d.randint(10**6, 10**9):,} in {d.randint(1900, 2030)}",
    lambda d: f"{{{{ states('sensor.s_{d.randint(1, 99)}') | float + {d.uniform(0, 99):.2f} }}}}",
    lambda d: f"scored {d.randint(0, 9)}-3, {d.uniform(0, 99):.1f} % of {d.randint(1, 9999)}",
    lambda d: f"IMG_{_digits(d, 8, 8)}_{_digits(d, 6, 6)}.jpg and report-{_date(d)}.pdf",
    lambda d: f"the token is number {d.randint(1, 99)} and the key opens room {d.randint(1, 999)}",
    lambda d: f"serial number {_digits(d, 8, 14)}, model X{_digits(d, 3, 6)}",
    lambda d: f"{d.randint(1, 12)} {d.randint(10, 59)} {d.randint(1, 31)} {d.randint(1990, 2030)}",
    lambda d: f"add {d.randint(100, 900)} ml, {d.randint(100, 900)} g, 1/{d.randint(2, 9)} cup",
)
