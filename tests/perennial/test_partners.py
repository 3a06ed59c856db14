"""What goes wrong with a server is said in one line."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dialogue.config import Params
from dialogue.kv_cache import SlotCache
from dialogue.serving.store import ReplyStore
from perennial.partners import LocalPartner, NoReplyError, Partner, RemotePartner
from tasks.serve import REPLIES

HELLO = [{"role": "user", "content": "hello"}]


@contextlib.contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """A port that gives one of these raw answers to each connection, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + answer)
                    connection.shutdown(socket.SHUT_WR)
                    # What is left unread would turn the end into a reset.
                    while connection.recv(65536):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def test_a_servers_refusal_reaches_the_person(
    frank: Params,
    scripted_model: Callable[..., Path],
    served: Callable[[Path], contextlib.AbstractContextManager[str]],
) -> None:
    with (
        served(scripted_model("Hé 🙂!")) as url,
        contextlib.closing(RemotePartner(url)) as partner,
    ):
        with pytest.raises(NoReplyError, match="there is no reply to rate yet"):
            partner.rate("up", "")
        long = [{"role": "user", "content": "x" * (frank.serve.max_characters + 1)}]
        with pytest.raises(NoReplyError, match="characters, at most 65536 are read"):
            list(partner.answer(long))
        assert "".join(partner.answer(HELLO)) == "Hé 🙂!"
        with pytest.raises(NoReplyError, match="say less, or begin a new conversation"):
            list(partner.answer(long))
        with pytest.raises(NoReplyError, match="there is no reply to rate yet"):
            partner.rate("down", "")
        partner._last = "chatcmpl-other"
        with pytest.raises(NoReplyError, match="no reply `chatcmpl-other` was served here"):
            partner.rate("up", "")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense", "http://[half"])
def test_no_server_is_one_line(url: str) -> None:
    with pytest.raises(ValueError, match="no chat server answers at") as fault:
        RemotePartner(url)
    assert "\n" not in str(fault.value)
    assert "`perennial serve`" in str(fault.value)


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]", b'{"data": []}', b'{"data": [7]}'])
def test_a_server_of_another_kind_is_one_line(body: bytes) -> None:
    with answering(body) as url, pytest.raises(ValueError, match="no chat server answers at"):
        RemotePartner(url)


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (b"", "the reply broke off"),
        (b'data: {"error": {"message": "the model failed"}}\n\n', "the model failed"),
        (b'data: {"error": "overloaded"}\n\n', 'said what is no chat: {"error": "overloaded"}'),
        (b'data: {"choices": []}\n\n', "said what is no chat"),
        (b"data: {half\n\n", "said what is no chat: {half"),
    ],
)
def test_a_reply_that_breaks_off_says_so(stream: bytes, said: str) -> None:
    with answering(b'{"data": [{"id": "perennial@1"}]}', stream) as url:
        partner = RemotePartner(url)
        assert partner.label == "perennial@1"
        with contextlib.closing(partner), pytest.raises(NoReplyError, match=said):
            list(partner.answer(HELLO))


def test_a_server_that_is_gone_says_so() -> None:
    with answering(b'{"data": [{"id": "perennial@1"}]}') as url:
        partner = RemotePartner(url)
    with contextlib.closing(partner):
        with pytest.raises(NoReplyError, match="broke off"):
            list(partner.answer(HELLO))
        partner._last = "chatcmpl-1"
        with pytest.raises(NoReplyError, match="broke off"):
            partner.rate("up", "")


@pytest.fixture(params=["local", "remote"])
def opened(
    request: pytest.FixtureRequest,
    frank: Params,
    served: Callable[[Path], contextlib.AbstractContextManager[str]],
    tmp_path: Path,
) -> Callable[[Path], contextlib.AbstractContextManager[Partner]]:
    """Opens the partner that talks for a model folder: here, or behind a server."""

    @contextlib.contextmanager
    def talking(folder: Path) -> Iterator[Partner]:
        with contextlib.ExitStack() as stack:
            partner: Partner = (
                LocalPartner(frank, tmp_path, folder)
                if request.param == "local"
                else RemotePartner(stack.enter_context(served(folder)))
            )
            yield stack.enter_context(contextlib.closing(partner))

    return talking


def test_a_failed_replys_rating_is_not_the_one_befores(
    opened: Callable[[Path], contextlib.AbstractContextManager[Partner]],
    scripted_model: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with opened(scripted_model("Hé 🙂!")) as partner:
        assert "".join(partner.answer(HELLO)) == "Hé 🙂!"
        partner.rate("up", "kind")
        with monkeypatch.context() as patch:
            patch.setattr(SlotCache, "advance", _out_of_memory)
            with pytest.raises(NoReplyError, match="the model failed"):
                list(partner.answer(HELLO))
        with pytest.raises(NoReplyError, match="there is no reply to rate yet"):
            partner.rate("down", "")
    store = ReplyStore(tmp_path / REPLIES)
    assert [(r.opinion, r.reason) for r in store.ratings().values()] == [("up", "kind")]
    store.close()


def test_an_empty_reply_can_be_rated(
    opened: Callable[[Path], contextlib.AbstractContextManager[Partner]],
    scripted_model: Callable[..., Path],
    tmp_path: Path,
) -> None:
    with opened(scripted_model("")) as partner:
        assert list(partner.answer(HELLO)) == []
        partner.rate("down", "silent")
    store = ReplyStore(tmp_path / REPLIES)
    (answer,) = store.answers()
    assert (answer.text, store.ratings()[answer.id].reason) == ("", "silent")
    store.close()


def _out_of_memory(*_args: object, **_kwargs: object) -> None:
    raise MemoryError
