"""The chat page in a real browser, with a real server behind it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dialogue.config import Serve
from dialogue.kv_cache import SlotCache
from dialogue.serving.loading import Loaded
from dialogue.serving.store import ReplyStore
from tests.browser import Page, open_browser

TEXT = "Hé 🙂!"
FAULT = "document.querySelector('.fault span')?.textContent"
TRY_AGAIN = "document.querySelector('.fault button')"
SAID = "[...document.querySelectorAll('.turn .said')].map(said => said.textContent)"
LAST = "[...document.querySelectorAll('.turn.assistant')].at(-1)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_browser(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture
def chat(serving: Any, polite: Loaded, browser: Page) -> Iterator[Page]:
    with serving(polite) as client:
        yield opened(browser, client)


def opened(browser: Page, client: httpx.Client) -> Page:
    browser.call("Page.navigate", url=str(client.base_url))
    until(browser, "document.readyState === 'complete' && $('state').textContent !== ''")
    return browser


def until(page: Page, condition: str) -> None:
    deadline = time.monotonic() + 60
    while not page.evaluate(f"Boolean({condition})"):
        assert time.monotonic() < deadline, condition
        time.sleep(0.02)


def say(page: Page, words: str) -> None:
    """Send a message, and wait for what comes of it."""
    page.evaluate(f"text.value = {json.dumps(words)}; ask()")
    until(page, "writing === null")


def test_a_reply_that_broke_off_is_tried_again_and_not_rated(
    chat: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(SlotCache, "advance", _out_of_memory)
        say(chat, "hello")
    assert chat.evaluate(SAID) == ["hello", "H"]
    assert chat.evaluate(f"{LAST}.querySelector('.foot').hidden") is True
    assert chat.evaluate(FAULT) == "The model failed while it wrote this reply; try again."
    assert chat.evaluate("messages.map(message => message.content)") == ["hello"]
    chat.evaluate(f"{TRY_AGAIN}.click()")
    until(chat, "writing === null")
    assert chat.evaluate("messages.map(message => message.content)") == ["hello", TEXT]
    assert chat.evaluate(f"{LAST}.querySelector('.foot').hidden") is False
    assert chat.evaluate(FAULT) is None


def test_a_chat_that_is_too_long_is_told_to_begin_anew(chat: Page, bounds: Serve) -> None:
    for turn in range(bounds.max_turns // 2):
        say(chat, f"turn {turn}")
        assert chat.evaluate(FAULT) is None
    say(chat, "too much")
    assert chat.evaluate(FAULT) == ("7 messages, at most 6 are read; begin a new conversation.")
    assert chat.evaluate(f"{TRY_AGAIN}.checkVisibility()") is False
    chat.evaluate("$('fresh').click()")
    say(chat, "hello")
    assert chat.evaluate(SAID) == ["hello", TEXT]


def test_a_thumb_that_is_pressed_again_keeps_its_reason(chat: Page, tmp_path: Path) -> None:
    say(chat, "hello")
    thanks = f"{LAST}.querySelector('.thanks').textContent"
    chat.evaluate(f"{LAST}.querySelector('.thumb.up').click()")
    until(chat, f"{thanks} === 'Kept, thank you.'")
    chat.evaluate(f"{LAST}.querySelector('.why input').value = 'kind'")
    chat.evaluate(f"{LAST}.querySelector('.why').requestSubmit()")
    until(chat, f"{thanks} === 'Kept with your reason, thank you.'")
    chat.evaluate(f"{LAST}.querySelector('.thumb.up').click()")
    until(chat, f"{thanks} === 'Kept, thank you.'")
    store = ReplyStore(tmp_path / "replies.sqlite")
    (rating,) = store.ratings().values()
    store.close()
    assert (rating.opinion, rating.reason) == ("up", "kind")


def _out_of_memory(*_args: object, **_kwargs: object) -> None:
    raise MemoryError
