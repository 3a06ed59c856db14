"""What is replaced in texts, what stays, and how often either goes wrong."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dialogue.privacy
from dialogue.privacy import KINDS, STRUCTURED, Scrubber, find
from dialogue.privacy.accounts import cards, ibans
from dialogue.privacy.addresses import ips
from dialogue.privacy.emails import emails
from dialogue.privacy.keys import keys
from dialogue.privacy.phones import phones
from dialogue.privacy.plain import plain
from dialogue.privacy.suspicion import suspicious
from tests.dialogue import privacy_corpus as corpus
from tests.dialogue.privacy_corpus import sentences

STRUCTURED_DETECTORS = (keys, emails, ibans, cards, ips, phones)
SHARED = Path(__file__).parents[2] / "../shared/data"
PLACEHOLDERS = tuple(f"[{kind.upper()}]" for kind in KINDS)
_FRAGMENTS = st.sampled_from(
    (
        *(example.item for example in corpus.personal()[::5]),
        *PLACEHOLDERS,
        *(
            "\\",
            "\\u662f",
            "\\n",
            "\\uff11",
            "u00",
            "[",
            "]",
            "[EM",
            "AIL]",
            "@",
            ".",
            ":",
            "::",
            "+",
            "-",
            "(",
            ")",
            "0",
            "00",
            "1",
            "4111",
        ),
        *(
            "password: ",
            "my phone number is ",
            "电话",
            " at ",
            " dot com",
            "\u200b",
            "０",
            "v",
            "\n",
        ),
    )
)
TEXTS = st.lists(_FRAGMENTS | st.text(max_size=12), max_size=8).map("".join)
SUBSETS = st.sets(st.sampled_from(KINDS))


def scrub(text: str, kinds: tuple[str, ...] = STRUCTURED) -> str:
    return Scrubber(kinds).scrub(text)


@given(TEXTS, SUBSETS)
def test_scrubbing_twice_is_scrubbing_once(text: str, kinds: set[str]) -> None:
    once = Scrubber(kinds).scrub(text)
    assert Scrubber(kinds).scrub(once) == once


@given(TEXTS, SUBSETS)
def test_nothing_but_the_findings_is_touched(text: str, kinds: set[str]) -> None:
    rest, end, scrubbed = [], 0, Scrubber(kinds)
    findings = find(text, kinds)
    for finding in findings:
        assert end <= finding.start < finding.end <= len(text)
        assert finding.kind in kinds
        rest += [text[end : finding.start], f"[{finding.kind.upper()}]"]
        end = finding.end
    assert scrubbed.scrub(text) == "".join((*rest, text[end:]))
    assert scrubbed.counts.total() == len(findings)


@given(TEXTS, SUBSETS)
def test_placeholders_never_break(text: str, kinds: set[str]) -> None:
    after = Scrubber(kinds).scrub(text)
    for placeholder in PLACEHOLDERS:
        assert after.count(placeholder) >= text.count(placeholder)


@given(st.text())
def test_any_text_can_be_scrubbed(text: str) -> None:
    assert isinstance(scrub(text, KINDS), str)


def test_lone_surrogates_pass() -> None:
    assert scrub("a\ud800 ann@example.org") == "a\ud800 [EMAIL]"


def test_recall_and_precision_hold_their_bounds() -> None:
    examples, others = corpus.personal(), corpus.clean()
    assert len(examples) == 500
    assert len(set(others)) > 1000
    score = corpus.score(examples, others, STRUCTURED)
    missed = [(example.form, example.text) for example in score.missed]
    assert score.found.total() >= 0.99 * score.items.total(), missed
    assert score.right.total() >= 0.95 * (score.right + score.wrong).total(), score.wrong
    for kind in STRUCTURED:
        assert score.found[kind] >= 0.97 * score.items[kind], (kind, missed)


def test_no_raw_item_is_left_of_the_corpus() -> None:
    left = [e.text for e in corpus.personal() if e.item in scrub(e.text)]
    assert left == []


def test_clean_texts_stay_as_they_are() -> None:
    changed = [text for text in corpus.clean() if scrub(text) != text]
    assert changed == []


def test_the_prefilter_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [
        e.text for seed in range(3) for e in (*corpus.personal(seed), *corpus.bare_phones(seed))
    ]
    quick = [find(text, STRUCTURED) for text in texts]
    monkeypatch.setattr(dialogue.privacy, "suspicious", lambda _: True)
    for text, findings in zip(texts, quick, strict=True):
        assert findings == find(text, STRUCTURED), text


# What detectors look for, in bits, so that drawing from them makes items that no one thought of.
_CUES = st.sampled_from(
    (
        *(
            "pwd: ",
            "pw=",
            "token: ",
            "SECRET ",
            "CREDENTİALS ",
            "paſſword is ",
            "api key ",
            "kennwort ist ",
            "senha ",
        ),
        *("contraseña: ", "пароль ", "密码是", "口令", "密钥：", "令牌", "秘钥", "mot de passe : "),
        *(
            "bearer ",
            "Basic: ",
            "basic YWRt",
            "AKIA",
            "ABIA",
            "AIza",
            "eyJ",
            "xoxb-",
            "SG.",
            "sk-",
            "AC",
            "MNOabc",
        ),
        *("ann", " at ", " AT ", "(at)", "{ at }", "<at>", "_at_", "艾特", "@", "＠", "#"),
        *("gmail", "amazon", ".", " dot ", "点", "[.]", "( dot )", "com", "de", "write "),
        *(
            "https://hooks.slack.com/services/",
            "-----BEGIN PRIVATE KEY-----",
            "://bob:",
            "DE89",
            "::",
        ),
    )
)
_VALUES = st.from_regex(
    r"[a-z]{3,9}[!$?]{1,2}[a-z]{3,9}|[A-Za-z]{16,40}|[a-z]{8,12}[0-9]", fullmatch=True
)
_DIGITS = st.from_regex(r"[0-9０-９]{1,4}[\[(]?[ .:()/-]?[\])]?|[a-f0-9]{1,4}:", fullmatch=True)
_BITS = st.lists(_CUES | _CUES | _VALUES | _DIGITS | _FRAGMENTS, min_size=1, max_size=8).map(
    "".join
)


@settings(max_examples=400)
@given(_BITS)
def test_every_text_with_a_finding_is_suspicious(text: str) -> None:
    spelled, _ = plain(text)
    if any(next(iter(detector(spelled)), None) for detector in STRUCTURED_DETECTORS):
        assert suspicious(text)


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("pwd: hunter!!two", "pwd: [KEY]"),
        ("token: abc$def!ghi", "token: [KEY]"),
        ("bearer abcdefghijkl1", "bearer [KEY]"),
        ("ann at gmail点com", "[EMAIL]"),
        ("ann { at } gmail.com", "[EMAIL]"),
        ("mail ann at example [.] org", "mail [EMAIL]"),
        ("contraseña: hun!!ter", "contraseña: [KEY]"),
        ("пароль: hun!!ter", "пароль: [KEY]"),
        ("令牌：abc$def!ghi", "令牌：[KEY]"),
        ("paſſword: hun!!ter", "paſſword: [KEY]"),
        ("ABIAABCDEFGHIJKLMNOP", "[KEY]"),
        ("xoxb-a1b2c3d4e5", "[KEY]"),
        ("hooks.slack.com/services/abcdefghijklmnopqrstu", "hooks.slack.com/services/[KEY]"),
        ("10[.]0[.]0[.]1", "[IP]"),
        ("fe:ab:cd:ef:fe:ab:cd:ef", "[IP]"),
    ],
)
def test_what_has_no_digit_or_sign_of_its_kind_is_found(text: str, scrubbed: str) -> None:
    assert scrub(text) == scrubbed


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("mail john dot doe at gmail dot com now", "mail [EMAIL] now"),
        ("邮箱是zhang@163.com谢谢", "邮箱是[EMAIL]谢谢"),
        ("zhang艾特163点com", "[EMAIL]"),
        ("“ann@example.org”", "“[EMAIL]”"),
        ("call +49 (0) 170/1234567.", "call [PHONE]."),
        ("0170 1234567 0171 7654321", "[PHONE] [PHONE]"),
        ("手机１３８１２３４５６７８谢谢", "手机[PHONE]谢谢"),
        ("+1 (555) 123-4567 ext. 12!", "[PHONE]!"),
        ("at 10:30 415 555 2671 twice", "at 10:30 [PHONE] twice"),
        ("4111 1111 1111 1111 12/27", "[CARD] 12/27"),
        ("DE89 3704 0044 0532 0130 00 thanks", "[IBAN] thanks"),
        ("10.0.0.1-10.0.0.9, not 10.0.0", "[IP]-[IP], not 10.0.0"),
        ("http://[2001:db8::1]:80/ fe80::1: ok", "http://[[IP]]:80/ [IP]: ok"),
        ("postgres://bob:s3cret@db/x", "postgres://bob:[KEY]@db/x"),
        ("my password is hunter2.", "my password is [KEY]."),
        ("?access_token=abc123def456&page=2", "?access_token=[KEY]"),
        (
            r"\u7535\u8bdd\u662f020-81234567\uff0c\n0170 1234567",
            r"\u7535\u8bdd\u662f[PHONE]\uff0c\n[PHONE]",
        ),
        ("12\u200b3-456-78\u200b90", "[PHONE]"),
    ],
)
def test_what_people_type(text: str, scrubbed: str) -> None:
    assert scrub(text) == scrubbed


_SECRETS = ("hunter22", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


@pytest.mark.parametrize("carrier", [*sentences.PASSWORD, *sentences.SECRET])
def test_a_secret_is_replaced_in_every_sentence_and_nothing_beside_it(carrier: str) -> None:
    for secret in _SECRETS:
        assert scrub(carrier.replace("{}", secret)) == carrier.replace("{}", "[KEY]")


@pytest.mark.parametrize("carrier", sentences.BASIC)
def test_a_login_in_base64_is_replaced(carrier: str) -> None:
    for login in ("YWxhZGRpbjpvcGVuc2VzYW1l", "YWRtaW46YWRtaW4=", "YWRtaW46aHVudGVyMjI="):
        assert scrub(carrier.replace("{}", login)) == carrier.replace("{}", "[KEY]")


def test_what_is_no_value_may_be_the_name_of_one() -> None:
    assert scrub("token of secret: abc12345") == "token of secret: [KEY]"
    assert scrub("secret token credentials: abc12345") == "secret token credentials: [KEY]"


def test_a_new_password_that_reads_like_a_product_is_taken() -> None:
    """`I changed my password to hunter22` reads no other; docs/privacy.md says so."""
    assert scrub("reset my password to windows10") == "reset my password to [KEY]"
    assert scrub("the password to windows10 is lost") == "the password to windows10 is lost"


@pytest.mark.parametrize("key", ["AKIA" * 5, "AKIA" + "Z" * 16])
def test_keys_without_a_space_between_them_are_found_one_by_one(key: str) -> None:
    assert scrub(key * 1_000) == "[KEY]" * 1_000


def test_what_findings_expose_one_by_one_is_found_in_few_rounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []

    def first(text: str) -> Iterator[tuple[int, int]]:
        seen.append(len(text))
        if text.startswith("x"):
            yield 0, 1

    monkeypatch.setattr(dialogue.privacy, "suspicious", lambda _: True)
    monkeypatch.setitem(dialogue.privacy._DETECTORS, "key", first)
    assert scrub("xxx left", ("key",)) == "[KEY][KEY][KEY] left"
    seen.clear()
    scrubbed = scrub("x" * 10_000 + " " * 20_000 + "left", ("key",))
    assert "x" not in scrubbed
    assert scrubbed.endswith("left")
    assert len(seen) < 40


def test_kinds_are_counted_and_only_those_wanted_are_replaced() -> None:
    scrubber = Scrubber(["ip", "email"])
    text = "a@b.org from 10.0.0.1, then c@d.org, +49 170 1234567"
    assert scrubber.scrub(text) == "[EMAIL] from [IP], then [EMAIL], +49 170 1234567"
    assert scrubber.counts == {"email": 2, "ip": 1}


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no kind 'shoe size'; use some of email, phone"):
        Scrubber(["email", "shoe size"])


def test_names_are_found_after_words_that_introduce_them() -> None:
    assert scrub("Hi, my name is Ann Lee.", KINDS) == "Hi, my name is [NAME]."
    assert scrub("我叫王小明。", KINDS) == "我叫[NAME]。"
    assert scrub("Hi, my name is Ann Lee.") == "Hi, my name is Ann Lee."


@pytest.mark.parametrize(
    "text",
    [
        "a" * 50_000,
        "a." * 25_000 + "@",
        "1 " * 25_000,
        "1." * 25_000,
        "((((" * 12_000,
        "a at " * 12_000,
        "password " * 6_000,
        ":" * 50_000,
        "AB12" * 12_000,
        "-----BEGIN PRIVATE KEY-----" * 2_000,
        "a dot " * 8_000 + "@ b",
        "x@" * 25_000,
        "eyJ" * 16_000,
        "+1234567" * 6_000,
        "AKIA" * 12_500,
        ("AKIA" + "Z" * 16) * 2_500,
        ("pw=" + "a1" * 255 + "aa") * 97,
        "secret " * 7_000,
        "token:" * 8_000,
        "password is: " * 4_000,
        "password\t\t\t" * 5_000,
        "set my password to " * 2_600,
        "secret access " * 3_500,
        "**password** " * 4_000,
        "pw=abc12) " * 5_000,
        "basic " * 8_000,
        "authorization: " * 3_300,
        "密码 是" * 12_000,
    ],
    ids=lambda text: text[:14],
)
def test_no_text_takes_long(text: str) -> None:
    """A quadratic pattern would take minutes: 50,000 characters are little, for one."""
    began = time.process_time()
    scrub(text, KINDS)
    assert time.process_time() - began < 5


def _turns(limit: int) -> Iterator[str]:
    with gzip.open(SHARED / "sgd/dialogues.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            for _, text in json.loads(line)["turns"]:
                yield text
                limit -= 1
                if not limit:
                    return


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is not here")
def test_real_turns_are_mostly_clean_and_the_rest_are_phones() -> None:
    turns = list(_turns(20_000))
    scrubber = Scrubber(STRUCTURED)
    for turn in turns:
        scrubber.scrub(turn)
    assert sum(map(suspicious, turns)) < 0.05 * len(turns)
    # This corpus gives the phone numbers of restaurants and doctors, and nothing else of ours.
    assert set(scrubber.counts) == {"phone"}
    assert 0.002 * len(turns) < scrubber.counts["phone"] < 0.05 * len(turns)
