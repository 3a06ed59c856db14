"""The HTTP side, over real connections."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dialogue.config import Serve
from dialogue.kv_cache import SlotCache
from dialogue.serving.app import PAGE
from dialogue.serving.loading import Loaded
from dialogue.serving.served import Served
from dialogue.serving.store import ReplyStore

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]
TEXT = "Hé 🙂!"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def client(serving: Any, polite: Loaded) -> Iterator[httpx.Client]:
    with serving(polite) as client:
        yield client


@pytest.fixture
def endless(serving: Any, talkative: Loaded) -> Iterator[httpx.Client]:
    with serving(talkative) as client:
        yield client


def chat(client: httpx.Client, **more: Any) -> httpx.Response:
    return client.post(CHAT, json={"messages": HELLO, **more})


def events(response: httpx.Response) -> list[Any]:
    lines = [line for line in response.text.split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines.pop() == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines]


@contextmanager
def begun(client: httpx.Client) -> Iterator[Iterator[str]]:
    """A stream that has said something, and its lines."""
    with client.stream("POST", CHAT, json={"messages": HELLO, "stream": True}) as response:
        lines = response.iter_lines()
        assert next(lines).startswith("data: ")
        yield lines


def metric(client: httpx.Client, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def broken(*_args: object, **_kwargs: object) -> None:
    raise RuntimeError("broken")


def replies(tmp_path: Path) -> ReplyStore:
    return ReplyStore(tmp_path / "replies.sqlite")


# --- answers -----------------------------------------------------------------------------------


def test_a_whole_reply(client: httpx.Client, polite: Loaded, tmp_path: Path) -> None:
    response = chat(client, model="perennial", user="ann", metadata={"conversation": "c1"})
    assert response.status_code == 200
    reply = response.json()
    assert reply["object"] == "chat.completion"
    assert reply["model"] == "perennial@1"
    assert reply["system_fingerprint"] == polite.served.digest[:12]
    assert reply["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": TEXT, "refusal": None},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ]
    usage = reply["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    store = replies(tmp_path)
    kept = store.answer(reply["id"])
    store.close()
    assert kept is not None
    assert (kept.text, kept.version, kept.user, kept.conversation) == (TEXT, "1", "ann", "c1")
    assert [(turn.role, turn.text) for turn in kept.history] == [("user", "hello")]


def test_a_streamed_reply(client: httpx.Client, tmp_path: Path) -> None:
    response = chat(client, stream=True, stream_options={"include_usage": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    *parts, usage = events(response)
    assert {part["id"] for part in (*parts, usage)} == {parts[0]["id"]}
    assert {part["model"] for part in parts} == {"perennial@1"}
    choices = [part["choices"][0] for part in parts]
    assert choices[0]["delta"] == {"role": "assistant", "content": ""}
    assert [choice["delta"]["content"] for choice in choices[1:-1]] == list(TEXT)
    assert (choices[-1]["delta"], choices[-1]["finish_reason"]) == ({}, "stop")
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] > 0
    store = replies(tmp_path)
    assert store.answer(usage["id"]) is not None
    store.close()


def test_usage_is_streamed_only_when_asked_for(patient: httpx.Client) -> None:
    assert all("usage" not in part for part in events(chat(patient, stream=True)))


def test_lengths_and_stop_strings(patient: httpx.Client) -> None:
    short = chat(patient, max_tokens=1).json()["choices"][0]
    assert (short["message"]["content"], short["finish_reason"]) == ("H", "length")
    # More than the server allows is cut down, not refused: many clients ask for thousands.
    assert (
        chat(patient, max_completion_tokens=10**9).json()["choices"][0]["finish_reason"] == "stop"
    )
    stopped = chat(patient, stop=[" "]).json()["choices"][0]
    assert (stopped["message"]["content"], stopped["finish_reason"]) == ("Hé", "stop")


def test_what_a_stop_string_cut_off_is_kept_as_no_whole_reply(
    client: httpx.Client, tmp_path: Path
) -> None:
    """The client is told as OpenAI tells it; nothing is to be learned of half a reply."""
    whole, cut = (chat(client, stop=[stop]).json()["id"] for stop in ("never said", " "))
    streamed = events(chat(client, stop=[" "], stream=True))
    assert streamed[-1]["choices"][0]["finish_reason"] == "stop"
    with contextlib.closing(replies(tmp_path)) as store:
        kept = [store.answer(key) for key in (whole, cut, streamed[-1]["id"])]
    assert [answer and answer.finish_reason for answer in kept] == [
        "stop",
        "stop_string",
        "stop_string",
    ]


def test_what_openai_clients_send_is_understood(patient: httpx.Client) -> None:
    messages = [
        {"role": "developer", "content": "be kind"},
        {"role": "user", "content": [{"type": "text", "text": "hello"}], "name": "ann"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "again"},
    ]
    neutral = {"n": 1, "presence_penalty": 0, "frequency_penalty": 0.0, "logprobs": False}
    neither = {"include_usage": False, "include_obfuscation": False}
    nothing = {"logit_bias": {}, "response_format": {"type": "text"}, "stream_options": neither}
    sampling = {"temperature": 1, "top_p": 0.5, "seed": -1, "stop": None, "max_tokens": None}
    response = patient.post(CHAT, json={"messages": messages, **neutral, **nothing, **sampling})
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    "unset", [(), ("name", "annotations", "audio", "function_call", "tool_calls")]
)
def test_a_reply_is_understood_when_clients_send_it_back(
    patient: httpx.Client, unset: tuple[str, ...]
) -> None:
    """As OpenAI's Python client does, and as it does where a message is dumped with its nulls."""
    reply = {**chat(patient).json()["choices"][0]["message"], **dict.fromkeys(unset)}
    response = patient.post(CHAT, json={"messages": [*HELLO, reply, *HELLO]})
    assert response.status_code == 200, response.text


def test_null_says_nothing(patient: httpx.Client) -> None:
    known = ("stream", "n", "logit_bias", "response_format", "stream_options", "metadata")
    others = ("tools", "tool_choice", "top_logprobs", "parallel_tool_calls")
    response = chat(patient, **dict.fromkeys((*known, *others)))
    assert response.status_code == 200, response.text
    assert response.json()["object"] == "chat.completion"


def test_no_character_ends_a_line_of_a_stream(serving: Any, loaded: Callable[..., Loaded]) -> None:
    """Clients split at more than newlines: httpx at whatever `str.splitlines` does."""
    text = "a\u2028b\x85c"
    body = {"messages": HELLO, "stream": True}
    with serving(loaded(text)) as client, client.stream("POST", CHAT, json=body) as response:
        data = [line.removeprefix("data: ") for line in response.iter_lines() if line]
    assert data.pop() == "[DONE]"
    deltas = [json.loads(part)["choices"][0]["delta"] for part in data]
    assert "".join(delta.get("content", "") for delta in deltas) == text


def test_the_served_model_is_listed(client: httpx.Client, polite: Loaded) -> None:
    models = client.get("/v1/models").json()
    assert models["object"] == "list"
    (model,) = models["data"]
    assert (model["id"], model["object"]) == ("perennial@1", "model")
    assert model["digest"] == polite.served.digest
    assert chat(client, model=model["id"]).status_code == 200
    for name in ("perennial", "perennial@1"):
        assert client.get(f"/v1/models/{name}").json() == model
    other = client.get("/v1/models/perennial@9")
    assert other.status_code == 404
    assert other.json() == chat(client, model="perennial@9").json()


# --- refusals ----------------------------------------------------------------------------------


def message(content: Any = "hello", role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content}]}


@pytest.mark.parametrize(
    ("status", "field", "body"),
    [
        (404, "model", {**message(), "model": "perennial@9"}),
        (422, "messages", {}),
        (422, "messages", {"messages": []}),
        (422, "messages", {"messages": HELLO * 7}),
        (422, "messages", message("x" * 1001)),
        (422, "messages", message(" \n")),
        (422, "messages", message(role="assistant")),
        (422, "messages.0.role", message(role="tool")),
        (422, "messages.0.content", message(None)),
        (422, "messages.0.content", message([{"type": "image_url", "image_url": {"url": "x"}}])),
        (422, "messages.0.content", message(5)),
        (422, "body", [1]),
        (422, "temperature", {**message(), "temperature": 2.5}),
        (422, "temperature", {**message(), "temperature": "warm"}),
        (422, "top_p", {**message(), "top_p": 0}),
        (422, "max_tokens", {**message(), "max_tokens": 0}),
        (422, "max_tokens", {**message(), "max_tokens": True}),
        (422, "seed", {**message(), "seed": 2**63}),
        (422, "n", {**message(), "n": 2}),
        (422, "presence_penalty", {**message(), "presence_penalty": 0.5}),
        (422, "stop", {**message(), "stop": []}),
        (422, "stop", {**message(), "stop": ["a", ""]}),
        (422, "stop", {**message(), "stop": ["a", 5]}),
        (422, "stop", {**message(), "stop": ""}),
        (422, "stop", {**message(), "stop": 5}),
        (422, "logit_bias", {**message(), "logit_bias": {"5": 1.0}}),
        (422, "response_format.type", {**message(), "response_format": {"type": "json_object"}}),
        (400, "tools", {**message(), "tools": []}),
        (400, "messages.0.tool_calls", {"messages": [{**HELLO[0], "tool_calls": []}]}),
    ],
)
def test_what_cannot_be_answered_is_refused_by_name(
    patient: httpx.Client, status: int, field: str, body: Any
) -> None:
    response = patient.post(CHAT, json=body)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["param"] == field
    assert error["type"] == "invalid_request_error"
    assert "\n" not in error["message"]
    assert field in error["message"] or field in ("model", "messages")


@pytest.mark.parametrize("messages", [HELLO * 7, message("x" * 1001)["messages"]])
def test_who_says_too_much_hears_what_helps(patient: httpx.Client, messages: list[Any]) -> None:
    said = patient.post(CHAT, json={"messages": messages}).json()["error"]["message"]
    assert said.endswith("begin a new conversation")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b""),
        (400, b"hello"),
        (400, b'{"messages": '),
        (400, b"\xff\xfe{}"),
        (400, b'{"messages": [{"role": "user", "content": "hi"}], "temperature": NaN}'),
        (400, b'{"messages": [{"role": "user", "content": "hi"}], "temperature": -Infinity}'),
        (400, b"[" * 19_000),
        (400, b'{"seed": ' + b"9" * 19_000 + b"}"),
        (400, b'{"\\ud800": 1, "messages": [{"role": "user", "content": "hi"}]}'),
        (400, b'{"messages": [{"role": "user", "content": "\\ud800"}]}'),
        (422, b'{"messages": [{"role": "user", "content": "hi"}], "temperature": 1e999}'),
        (400, b'{"messages": [{"role": "user", "content": "hi"}], "user": "\\udfff"}'),
        (400, b'{"messages": [{"role": "\\ud83d", "content": "hi"}]}'),
    ],
)
@pytest.mark.parametrize("path", [CHAT, "/v1/feedback"])
def test_no_body_is_an_accident(patient: httpx.Client, path: str, status: int, body: bytes) -> None:
    response = patient.post(path, content=body, headers=JSON)
    assert response.status_code == status or (path != CHAT and response.status_code in (400, 422))
    assert response.json()["error"]["message"]
    assert chat(patient).status_code == 200


def test_nul_and_every_plane_of_unicode_are_text(client: httpx.Client, tmp_path: Path) -> None:
    said = "\0 \x1b \u2028 \ufffe 中文 🙂 \U0010ffff <|im_end|>"
    reply = client.post(CHAT, json=message(said)).json()
    store = replies(tmp_path)
    kept = store.answer(reply["id"])
    store.close()
    assert kept is not None
    assert kept.history[0].text == said


@pytest.mark.parametrize("path", [CHAT, "/v1/feedback"])
def test_large_bodies_are_not_read_to_their_end(
    patient: httpx.Client, bounds: Serve, path: str
) -> None:
    response = patient.post(path, content=b" " * (bounds.max_body_bytes + 1), headers=JSON)
    assert response.status_code == 413
    assert "20000 bytes" in response.json()["error"]["message"]
    sent = 0

    def unending() -> Iterator[bytes]:
        nonlocal sent
        while sent < 2**30:
            sent += 2**16
            yield b" " * 2**16

    try:
        # Without a length, the server learns only while it reads.
        response = patient.post(path, content=unending(), headers=JSON)
        assert response.status_code == 413
    except httpx.TransportError:
        pass  # it hung up on us while we were writing, which is as good
    assert sent < 2**26
    assert patient.get("/ready").status_code == 200


def test_a_declared_length_is_enough_to_refuse(patient: httpx.Client) -> None:
    with socket.create_connection((patient.base_url.host, patient.base_url.port)) as connection:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: 999999999\r\n\r\n".encode())
        connection.settimeout(10)
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_only_json_is_taken(patient: httpx.Client) -> None:
    """A form on a foreign page can post text here, but never JSON."""
    body = json.dumps(message()).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        response = patient.post(CHAT, content=body, headers={"Content-Type": kind})
        assert response.status_code == 415
    typed = {"Content-Type": "application/json; charset=utf-8"}
    assert patient.post(CHAT, content=body, headers=typed).status_code == 200


def test_unknown_paths_and_methods_are_refused_in_the_same_form(patient: httpx.Client) -> None:
    for method, path, status in (("GET", "/v2", 404), ("GET", CHAT, 405), ("GET", "/docs", 404)):
        response = patient.request(method, path)
        assert response.status_code == status
        assert path in response.json()["error"]["message"]


def test_a_full_queue_says_when_to_come_back(endless: httpx.Client, bounds: Serve) -> None:
    with ExitStack() as stack:
        for _ in range(bounds.max_batch):
            stack.enter_context(begun(endless))
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(chat, endless, max_tokens=5)
            eventually(lambda: endless.get("/ready").json()["waiting"] == 1)
            refused = chat(endless)
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.json()["error"]["code"] == "queue_full"
            stack.close()
            assert waiting.result().status_code == 200
    assert chat(endless, max_tokens=2).status_code == 200


# --- clients that leave ------------------------------------------------------------------------


def test_a_stream_that_is_left_stops_the_model(endless: httpx.Client, tmp_path: Path) -> None:
    heard = ""
    with endless.stream("POST", CHAT, json={"messages": HELLO, "stream": True}) as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                part = json.loads(line.removeprefix("data: "))
                heard += part["choices"][0]["delta"].get("content", "")
            if len(heard) > 20:
                break
    eventually(lambda: metric(endless, "perennial_replies_total", finish="cancelled") == 1)
    assert endless.get("/ready").json()["running"] == 0
    store = replies(tmp_path)
    kept = store.answer(part["id"])
    assert kept is not None
    assert kept.finish_reason == "cancelled"
    assert kept.text.startswith(heard)
    assert kept.num_tokens < 30_000
    store.close()
    # What was stopped can be rated: it was on somebody's screen.
    rating = {"reply_id": part["id"], "rating": "down", "reason": "it never ends"}
    assert endless.post("/v1/feedback", json=rating).status_code == 201


def test_a_whole_reply_that_is_left_stops_the_model(endless: httpx.Client) -> None:
    with pytest.raises(httpx.ReadTimeout):
        endless.post(CHAT, json={"messages": HELLO}, timeout=0.5)
    eventually(lambda: metric(endless, "perennial_replies_total", finish="cancelled") == 1)
    assert endless.get("/ready").json()["running"] == 0


def test_a_client_that_leaves_while_it_waits_is_forgotten(
    serving: Any, talkative: Loaded, bounds: Serve
) -> None:
    one_by_one = bounds.model_copy(update={"max_batch": 1})
    with serving(talkative, one_by_one) as client:
        stream = {"messages": HELLO, "stream": True}
        with begun(client), pytest.raises(httpx.ReadTimeout):
            client.post(CHAT, json=stream, timeout=0.3)
        eventually(lambda: metric(client, "perennial_replies_total", finish="cancelled") == 2)


# --- ratings -----------------------------------------------------------------------------------


def test_a_rating_is_on_the_disk_when_it_is_acknowledged(
    client: httpx.Client, tmp_path: Path
) -> None:
    reply = chat(client).json()["id"]
    response = client.post(
        "/v1/feedback", json={"reply_id": reply, "rating": "up", "reason": "ünlike any"}
    )
    assert response.status_code == 201
    assert response.json()["reply_id"] == reply
    store = replies(tmp_path)
    rating = store.ratings()[reply]
    store.close()
    assert (rating.opinion, rating.reason) == ("up", "ünlike any")
    assert metric(client, "perennial_ratings_total", opinion="up") == 1


def test_a_reply_is_counted_as_rated_when_the_opinion_of_it_changes(client: httpx.Client) -> None:
    rating = {"reply_id": chat(client).json()["id"]}
    for opinion, reason in (("up", ""), ("up", "kind"), ("down", ""), ("down", "rude")):
        body = {**rating, "rating": opinion, "reason": reason}
        client.post("/v1/feedback", json=body).raise_for_status()
    assert metric(client, "perennial_ratings_total", opinion="up") == 1
    assert metric(client, "perennial_ratings_total", opinion="down") == 1


@pytest.mark.parametrize(
    ("status", "field", "body"),
    [
        (404, "reply_id", {"reply_id": "chatcmpl-unknown", "rating": "up"}),
        (422, "rating", {"reply_id": "x", "rating": "meh"}),
        (422, "reply_id", {"rating": "up"}),
        (422, "reason", {"reply_id": "x", "rating": "up", "reason": "y" * 2001}),
        (400, "stars", {"reply_id": "x", "rating": "up", "stars": 5}),
    ],
)
def test_ratings_that_cannot_be_kept_are_refused(
    patient: httpx.Client, status: int, field: str, body: Any
) -> None:
    response = patient.post("/v1/feedback", json=body)
    assert response.status_code == status
    assert response.json()["error"]["param"] == field


# --- the server itself -------------------------------------------------------------------------


def test_health_readiness_and_metrics(client: httpx.Client, polite: Loaded) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    ready = client.get("/ready").json()
    assert (ready["status"], ready["model"]) == ("ready", "perennial@1")
    assert ready["digest"] == polite.served.digest
    assert chat(client).status_code == 200
    assert client.post(CHAT, json={}).status_code == 422
    assert metric(client, "perennial_requests_total", path=CHAT, status="200") == 1
    assert metric(client, "perennial_requests_total", path=CHAT, status="422") == 1
    assert metric(client, "perennial_replies_total", finish="stop", version="1") == 1
    assert metric(client, "perennial_reply_tokens_total") > 0
    assert metric(client, "perennial_reply_seconds_count") == 1
    assert metric(client, "perennial_first_text_seconds_count") == 1
    assert metric(client, "perennial_model_info", version="1") == 1


def test_replies_that_fail_are_counted(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object) -> None:
        raise OSError("no space left on device")

    for owner, name, fault in ((SlotCache, "advance", broken), (ReplyStore, "add_answer", full)):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fault)
            assert chat(client).status_code == 503
    assert metric(client, "perennial_replies_total", finish="failed", version="1") == 2
    assert metric(client, "perennial_replies_total") == 2


def test_a_fault_of_the_server_is_answered_in_the_same_form_and_counted(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReplyStore, "answer", broken)
    response = client.post("/v1/feedback", json={"reply_id": "x", "rating": "up"})
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error"
    assert "broken" not in response.text
    assert metric(client, "perennial_requests_total", path="/v1/feedback", status="500") == 1


def test_the_page_asks_nobody_else(patient: httpx.Client) -> None:
    response = patient.get("/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.text == PAGE.read_text(encoding="utf-8")
    # The namespace of its drawings is a name, and is never fetched.
    rest = response.text.replace("http://www.w3.org/2000/svg", "")
    assert not any(outside in rest for outside in ("http:", "https:", 'src="//', "@import", "url("))


def test_the_champion_is_followed_and_no_request_is_dropped(
    serving: Any, loaded: Callable[..., Loaded]
) -> None:
    old, new = loaded("oldς", "1"), loaded("new🙂", "2")
    wanted: list[Served | None] = [old.served]
    answers: list[tuple[str, str]] = []
    with serving(old, resolve=lambda: wanted[-1]) as client:

        def talk() -> None:
            with httpx.Client(base_url=client.base_url, trust_env=False, timeout=30.0) as mine:
                while not done.is_set():
                    reply = chat(mine)
                    assert reply.status_code == 200
                    text = reply.json()["choices"][0]["message"]["content"]
                    answers.append((reply.json()["model"], text))

        done = threading.Event()
        with ThreadPoolExecutor() as pool:
            talking = [pool.submit(talk) for _ in range(3)]
            eventually(lambda: len(answers) > 5)
            wanted += [None, new.served]  # the store may be empty for a moment
            eventually(lambda: client.get("/ready").json()["model"] == "perennial@2")
            count = len(answers)
            eventually(lambda: len(answers) > count + 10)
            done.set()
            for future in talking:
                future.result()
        assert metric(client, "perennial_swap_failures_total") == 0
    assert set(answers) == {("perennial@1", "oldς"), ("perennial@2", "new🙂")}
    assert [model for model, _ in answers] == sorted(model for model, _ in answers)


def test_the_old_champions_requests_and_ratings_are_not_the_new_ones(
    serving: Any, talkative: Loaded, loaded: Callable[..., Loaded], bounds: Serve
) -> None:
    new = loaded("new🙂", "3")
    wanted = [talkative.served]
    room = bounds.model_copy(update={"max_queue": 4})
    with serving(talkative, room, resolve=lambda: wanted[-1]) as client:
        with ThreadPoolExecutor() as pool:
            with begun(client) as lines, begun(client):
                # Both places are taken: what else is asked waits until the model has changed.
                waiting = [
                    pool.submit(chat, client, model="perennial@2", stream=stream)
                    for stream in (False, True)
                ]
                eventually(lambda: metric(client, "perennial_jobs_waiting") == 2)
                wanted.append(new.served)
                eventually(lambda: client.get("/ready").json()["model"] == "perennial@3")
                said = next(line for line in lines if line.startswith("data: "))
            whole, streamed = (asked.result() for asked in waiting)
        assert whole.status_code == 404
        assert whole.json() == json.loads(streamed.text.removeprefix("data: "))
        assert whole.json() == chat(client, model="perennial@2").json()
        eventually(lambda: metric(client, "perennial_replies_total", finish="cancelled") == 2)
        reply = json.loads(said.removeprefix("data: "))["id"]
        client.post("/v1/feedback", json={"reply_id": reply, "rating": "down"}).raise_for_status()
        assert metric(client, "perennial_ratings_total", version="2") == 1
        assert metric(client, "perennial_ratings_total") == 1


def test_a_damaged_champion_leaves_the_old_one_serving(
    serving: Any, polite: Loaded, loaded: Callable[..., Loaded]
) -> None:
    damaged = loaded("dαmge", "2").served
    with (damaged.folder / "model.safetensors").open("r+b") as weights:
        weights.seek(-1, 2)
        weights.write(b"\x7f")
    with serving(polite, resolve=lambda: damaged) as client:
        eventually(lambda: metric(client, "perennial_swap_failures_total") == 1)
        assert chat(client).json()["model"] == "perennial@1"
