"""The terminal chat, with a model in this process and with a server."""

from __future__ import annotations

import contextlib
import io
import re
import signal
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dialogue.config import Params
from dialogue.serving.store import Answer, Opinion, ReplyStore
from perennial.chat import converse
from perennial.partners import LocalPartner, NoReplyError, Partner, RemotePartner
from tasks.serve import REPLIES

ROOT = Path(__file__).parents[2]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


def talk(partner: Partner) -> str:
    """What a terminal of 200 columns shows."""
    shown = io.StringIO()
    with contextlib.closing(partner):
        converse(partner, Console(file=shown, width=200, highlight=False))
    return shown.getvalue()


def kept(project: Path) -> tuple[list[Answer], dict[str, Any]]:
    store = ReplyStore(project / REPLIES)
    answers, ratings = list(store.answers()), store.ratings()
    store.close()
    return answers, ratings


def local(params: Params, project: Path, folder: Path) -> LocalPartner:
    return LocalPartner(params, project, folder)


SCRIPT = "hello\n/good  very kind\n\nagain\n/bad\n/new\nonce more\n/dance\n/quit\nnever read\n"


@pytest.mark.parametrize("remote", [False, True])
def test_a_conversation(
    frank: Params,
    scripted_model: Callable[..., Path],
    typed: Callable[[str], None],
    tmp_path: Path,
    served: Callable[[Path], contextlib.AbstractContextManager[str]],
    remote: bool,
) -> None:
    folder = scripted_model("Hé 🙂!")
    typed(SCRIPT)
    if remote:
        with served(folder) as url:
            shown = talk(RemotePartner(f"{url}/v1/"))
    else:
        shown = talk(local(frank, tmp_path, folder))
    label = r"perennial@[0-9a-f]{12}"
    assert re.match(rf"{label}\n/good or /bad", shown)
    assert len(re.findall(rf"^Hé 🙂!\n{label} · \d+\.\d s$", shown, re.MULTILINE)) == 3
    assert shown.count("kept, thank you") == 2
    assert shown.count("a new conversation") == 1
    assert shown.count("/good or /bad") == 2
    answers, ratings = kept(tmp_path)
    assert [[turn.text for turn in answer.history] for answer in answers] == [
        ["hello"],
        ["hello", "Hé 🙂!", "again"],
        ["once more"],
    ]
    rated = [(ratings[a.id].opinion, ratings[a.id].reason) for a in answers if a.id in ratings]
    assert rated == [("up", "very kind"), ("down", "")]


def test_ctrl_c_stops_a_reply_and_keeps_it(
    frank: Params,
    scripted_model: Callable[..., Path],
    typed: Callable[[str], None],
    tmp_path: Path,
) -> None:
    partner = local(frank, tmp_path, scripted_model("blΔhm", endless=True, positions=50_000))
    typed("hello\n/bad\n")

    def press_when_talking() -> None:
        while partner._last is None:
            time.sleep(0.005)
        time.sleep(0.1)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=press_when_talking)
    thread.start()
    shown = talk(partner)
    thread.join()
    assert " · stopped\n" in shown
    assert "kept, thank you" in shown
    (answer,), ratings = kept(tmp_path)
    assert answer.finish_reason == "cancelled"
    assert answer.text.startswith("blΔhmblΔhm")
    assert ratings[answer.id].opinion == "down"


def test_the_end_of_input_ends_the_chat(
    frank: Params,
    scripted_model: Callable[..., Path],
    typed: Callable[[str], None],
    tmp_path: Path,
) -> None:
    typed("/good\n")
    assert "there is no reply to rate yet" in talk(local(frank, tmp_path, scripted_model("Hé 🙂!")))


def test_a_reply_cannot_command_the_terminal(typed: Callable[[str], None]) -> None:
    typed("hello\n")
    shown = talk(_Scripted(["\x1b]0;owned\x07", "[bold]fine[/bold]\r", "\x9b31m"]))
    assert not set("\x1b\x07\r\x9b") & set(shown)
    assert "]0;owned[bold]fine[/bold]31m\n" in shown


def test_what_is_no_utf_8_does_not_end_the_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = io.TextIOWrapper(io.BytesIO(b"caf\xe9\nand on\n"), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", typed)
    partner = _Scripted(["fine"])
    talk(partner)
    assert [messages[-1] for messages in partner.asked] == ["caf�", "and on"]


def test_a_server_cannot_command_the_terminal(typed: Callable[[str], None]) -> None:
    typed("hello\n")
    partner = _Scripted([], NoReplyError("\x1b[2J"))
    partner.label = "\x1b[31m"
    assert "\x1b" not in talk(partner)


def test_a_refusal_is_shown_and_the_question_forgotten(typed: Callable[[str], None]) -> None:
    partner = _Scripted([], NoReplyError("too many [people]"))
    typed("hello\nagain\n")
    assert talk(partner).count("too many [people]\n") == 2
    assert partner.asked == [["hello"], ["again"]]


def test_a_silent_model_is_said_to_be_silent(typed: Callable[[str], None]) -> None:
    typed("hello\n")
    assert "the model had nothing to say\n" in talk(_Scripted([]))


class _Scripted:
    """Somebody who says these pieces, and then perhaps gives up."""

    label = "nobody@0"

    def __init__(self, pieces: list[str], fault: NoReplyError | None = None) -> None:
        self._pieces, self._fault = pieces, fault
        self.asked: list[list[str]] = []

    def answer(self, messages: list[dict[str, str]]) -> Generator[str, None, None]:
        self.asked.append([message["content"] for message in messages])
        yield from self._pieces
        if self._fault is not None:
            raise self._fault

    def rate(self, opinion: Opinion, reason: str) -> None:
        raise AssertionError

    def close(self) -> None:
        pass
