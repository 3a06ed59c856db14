"""The page: what stands on it, that nothing runs in it, and how a real browser shows it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from dialogue.card.content import card_content
from dialogue.card.curves import read_curve
from dialogue.card.page import (
    breakable,
    change,
    count,
    duration,
    number,
    observed,
    percent,
    render_page,
    signed,
    size,
)
from dialogue.verdict import Decision
from tests.browser import Page, open_browser
from tests.dialogue.card.cards import (
    DOMAINS,
    FINDINGS,
    absolute,
    card,
    comparison,
    dialogue,
    evidence,
    missing,
    sample,
)

ATTACK = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'{{ 7*7 }}</p></body>"
MANY = tuple(f"domain_with_a_long_name_{i:02d}" for i in range(20))
VOID = {"meta", "br", "wbr", "circle", "line", "path", "polyline", "rect"}


class Elements(HTMLParser):
    """Every element and attribute, and whether all tags close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> closes what it did not open"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def text_of(html: str) -> str:
    body = html.partition("<body>")[2]
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def large() -> dict[str, Any]:
    """Twenty domains, one of them failed, replies without a place to break."""
    findings = tuple(
        finding
        for i, domain in enumerate(MANY)
        for finding in (
            comparison(domain, -0.3 if i == 7 else 0.001 * i, "failed" if i == 7 else "passed"),
            absolute(domain, 35.0, "passed"),
        )
    )
    return card_content(
        evidence(findings, domains=MANY, samples=[sample(d, "unbreakable" * 60) for d in MANY])
    )


@pytest.mark.parametrize("decision", FINDINGS)
def test_the_verdict_and_every_finding_are_told_in_words(decision: Decision) -> None:
    content = card(decision)
    html = render_page(content)
    assert Elements(html).open == []
    shown = text_of(html)
    mark = {"PROMOTE": "✓", "REJECT": "✗", "INCONCLUSIVE": "?"}[decision]
    assert f"{mark} {decision} {content['sentence'].removeprefix(decision + ': ')}" in shown
    for finding in FINDINGS[decision]:
        word = {"passed": "✓", "failed": "✗", "undecided": "?"}[finding.state]
        assert f"{word} {finding.state} {finding.slice}" in shown
        if finding.state != "passed":
            assert finding.reason in shown
    assert "−0.4 % [−1.4 %, +0.6 %]" in shown or decision == "REJECT"
    assert "perennial status" in shown


def test_what_decided_stands_under_the_sentence() -> None:
    html = render_page(card("REJECT"))
    decisive = html.partition('class="decisive"')[2].partition("</ul>")[0]
    assert decisive.count("<li>") == 4
    assert "too good to be true" in decisive
    assert 'class="decisive"' not in render_page(card("PROMOTE"))


def test_a_bound_says_which_side_it_asks_for_however_few_dialogues_there_are() -> None:
    few = replace(
        absolute("assistant", 1.2, "undecided"),
        metric="bits_per_byte",
        asks="at least",
        bound=0.2,
        reason="assistant has 12 of the 20 dialogues that bits_per_byte needs",
    )
    assert "at least 0.2." in text_of(render_page(card_content(evidence((few,)))))


def test_rules_of_one_name_keep_their_own_margins() -> None:
    findings = (comparison("base", 0.0, "passed", margin=0.05), comparison("a", 0.0, "passed"))
    shown = text_of(render_page(card_content(evidence(findings))))
    assert "not worse than the champion by 5 % or more" in shown
    assert "not worse than the champion by 2 % or more" in shown


def test_what_a_second_look_did_not_measure_anew_is_said_to_be_of_the_first() -> None:
    told = evidence(FINDINGS["PROMOTE"])
    assert "first look" not in text_of(render_page(card_content(told)))
    again = replace(told, verdict=dict(told.verdict) | {"look": 2})
    shown = text_of(render_page(card_content(again)))
    remembered = shown.partition("What is remembered bits")[2].partition("Replies side")[0]
    assert "These are of the first look" in remembered
    assert "mean of what was learned, first look" in shown


def test_without_a_champion_the_card_says_so() -> None:
    findings = (absolute("assistant", 35.0, "passed"), *map(missing, DOMAINS))
    shown = text_of(render_page(card_content(evidence(findings, champion=None))))
    assert "There is no champion yet, so these rules do not count." in shown
    assert "– not counted: forgets nothing (bits per byte on chitchat, support, assistant)" in shown
    assert "1 of 1" in shown
    assert "3 not counted" in shown


def test_replies_of_candidate_champion_and_human_stand_side_by_side() -> None:
    shown = text_of(render_page(card("PROMOTE")))
    assert "best +0.25 bits per byte against the champion" in shown
    assert "candidate Turned on the lights. champion Which lights? human" in shown
    silent = card_content(evidence(FINDINGS["PROMOTE"], samples=[sample(text=" ")]))
    assert "candidate said nothing" in text_of(render_page(silent))
    none = card_content(evidence(FINDINGS["PROMOTE"], samples=[]))
    assert "evaluate.num_generations" in text_of(render_page(none))


def test_a_warning_says_what_was_expected_and_what_was_found() -> None:
    text = text_of(render_page(card("PROMOTE")))
    assert "support: expected: words drift by at most 0.1; observed: 0.2296" in text
    assert observed("3 of 70 otherwise") == "3 of 70 otherwise"


def test_a_curve_of_one_step_is_seen() -> None:
    short = read_curve("base", "step,loss,seconds,held_out_loss\n1,4,1,3.5\n")
    html = render_page(card_content(evidence(FINDINGS["PROMOTE"], curves=[short])))
    lines = [dict(found)["points"] for tag, found in Elements(html).seen if tag == "polyline"]
    assert [line.count(",") for line in lines] == [2, 2, 2]


def test_what_people_wrote_is_text_and_nothing_else() -> None:
    hostile = card_content(
        evidence(
            FINDINGS["PROMOTE"],
            samples=[sample(text=ATTACK)],
            exam=[dialogue("assistant", ATTACK, ATTACK)],
            ingested={"chitchat": {"source": ATTACK, "licence": ATTACK, "dialogues": {}}},
            validated={"chitchat": {"warnings": [{"description": ATTACK}]}},
        )
    )
    html = render_page(hostile)
    elements = Elements(html)
    assert elements.open == []
    tags = {tag for tag, _ in elements.seen}
    assert not tags & {"script", "img", "link", "iframe", "object", "form", "base"}
    attributes = {name for _, attributes in elements.seen for name in attributes}
    assert not [name for name in attributes if name.startswith("on")]
    assert not attributes & {"src", "srcset", "srcdoc", "xlink:href"}
    links = [dict(found)["href"] for tag, found in elements.seen if "href" in found]
    assert all(link and link.startswith("#") for link in links)
    assert "{{ 7*7 }}" in html
    assert "default-src 'none'" in html


def test_every_link_inside_the_page_has_its_place() -> None:
    elements = Elements(render_page(card("PROMOTE")))
    ids = {found["id"] for _, found in elements.seen if "id" in found}
    links = {found["href"] for tag, found in elements.seen if tag == "a"}
    assert links == {f"#{name}" for name in ids - {"verdict"}}


def test_numbers_read_as_people_write_them() -> None:
    assert [number(v) for v in (0.66259, -1234.5, None, math.nan)] == ["0.6626", "−1234", "–", "–"]
    assert [change(v) for v in (0.0271, -0.004, 0.0, 12.0, None)] == [
        "+2.7 %",
        "−0.4 %",
        "0",
        "+1200 %",
        "–",
    ]
    assert (signed(-0.02), percent(0.03), count(1234567)) == ("−0.02", "3 %", "1,234,567")
    assert [duration(s) for s in (6.72, 610.0, 7200.0, None)] == [
        "6.72 s",
        "10.2 min",
        "2.0 h",
        "–",
    ]
    assert breakable("a_<b>") == "a_<wbr>&lt;b&gt;"
    assert (size(180_357), size(2_000_000)) == ("180 kB", "2.0 MB")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_browser(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("cards")
    contents = {decision.lower(): card(decision) for decision in FINDINGS} | {"large": large()}
    for name, content in contents.items():
        (folder / f"{name}.html").write_text(render_page(content), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in contents}


WIDER_THAN_ITS_PLACE = """
[...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, svg")
  && (e.getBoundingClientRect().right > document.documentElement.clientWidth + 1
      || e.getBoundingClientRect().left < -1)).map(e => e.outerHTML.slice(0, 120))
"""


@pytest.mark.parametrize("name", ["promote", "reject", "inconclusive", "large"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844), (320, 640)])
def test_nothing_sticks_out_on_laptop_and_phone(
    browser: Page, cards: dict[str, Path], name: str, width: int, height: int
) -> None:
    browser.open(cards[name], width, height)
    browser.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(WIDER_THAN_ITS_PLACE) == []


CONTRAST = """
(() => {
  const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const paint = (...colours) => { canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3); };
  const behind = e => { const found = []; for (; e; e = e.parentElement)
    found.unshift(getComputedStyle(e).backgroundColor); return found; };
  const texts = [...document.querySelectorAll("body *")].filter(e => e.checkVisibility()
    && !e.closest("svg")
    && [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()));
  return texts.map(e => { const ground = behind(e);
    const [a, b] = [paint(...ground, getComputedStyle(e).color), paint(...ground)].map(light);
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.outerHTML.slice(0, 120)]; })
    .filter(([ratio]) => ratio < 4.5);
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["promote", "reject", "inconclusive"])
def test_every_word_is_readable_in_light_and_dark(
    browser: Page, cards: dict[str, Path], name: str, scheme: str
) -> None:
    """WCAG 2.2 asks for a contrast of 4.5 (success criterion 1.4.3)."""
    browser.open(cards[name], 1280, 800, scheme)
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light"), ground
    assert browser.evaluate(CONTRAST) == []


def test_it_prints_on_paper_with_everything_unfolded(browser: Page, cards: dict[str, Path]) -> None:
    browser.open(cards["promote"], 1280, 800, "dark")
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
    folded = (
        "[...document.querySelectorAll('details:not([open]) table, details:not([open]) article')]"
    )
    assert browser.evaluate(f"{folded}.length") > 0
    assert browser.evaluate(f"{folded}.every(each => each.getBoundingClientRect().height > 20)")
    assert browser.pdf().startswith(b"%PDF")


def test_twenty_domains_fit_on_paper(browser: Page, cards: dict[str, Path]) -> None:
    """A4 less its margins is 186 mm: 703 CSS pixels."""
    browser.open(cards["large"], 703, 1000)
    browser.call("Emulation.setEmulatedMedia", media="print")
    widest = "Math.max(...[...document.querySelectorAll('body *')].map(e => %s))"
    assert browser.evaluate(widest % "e.getBoundingClientRect().right") <= 704


def test_states_differ_in_shape_as_well(browser: Page, cards: dict[str, Path]) -> None:
    shapes = """[...document.querySelectorAll(".finding.%s .strip svg > *")].map(e => e.tagName
      + "." + e.getAttribute("class"))"""
    browser.open(cards["reject"], 1280, 800)
    assert set(browser.evaluate(shapes % "passed")) == {"circle.shape"}
    assert set(browser.evaluate(shapes % "failed")) == {"path.shape cross"}
    browser.open(cards["inconclusive"], 1280, 800)
    assert set(browser.evaluate(shapes % "undecided")) == {"path.shape hollow"}
