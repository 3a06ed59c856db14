"""One thread writes all replies: in order, within bounds, and whatever goes wrong."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from dialogue.config import Serve
from dialogue.decoding import greedy
from dialogue.kv_cache import SlotCache
from dialogue.records import Turn
from dialogue.serving.engine import Engine
from dialogue.serving.jobs import Event, Failed, Job, Piece, Question, QueueFullError
from dialogue.serving.loading import Loaded
from dialogue.serving.store import Answer

HISTORY = (Turn("user", "hello"),)


def question(tokens: int = 20_000, **more: Any) -> Question:
    return Question(HISTORY, greedy(tokens), **more)


@contextlib.contextmanager
def running(
    model: Loaded,
    bounds: Serve,
    record: Callable[[Job, Answer], None] = lambda job, answer: None,
    failed: Callable[[Job], None] = lambda job: None,
) -> Iterator[Engine]:
    engine = Engine(model, bounds, record, failed)
    try:
        yield engine
    finally:
        engine.close()


def ended(events: queue.Queue[Event]) -> tuple[str, Answer | Failed]:
    """The text of the pieces, and the event after them."""
    text = ""
    while isinstance(event := events.get(timeout=20), Piece):
        text += event.text
    return text, event


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_an_answer_is_kept_before_it_is_delivered(polite: Loaded, bounds: Serve) -> None:
    kept: list[Answer] = []
    events: queue.Queue[Event] = queue.Queue()
    seen: list[int] = []

    def deliver(event: Event) -> None:
        seen.append(len(kept))
        events.put(event)

    with running(polite, bounds, lambda job, answer: kept.append(answer)) as engine:
        job = engine.submit(question(user="u", conversation="c"), deliver)
        text, answer = ended(events)
    assert text == "Hé 🙂!"
    assert kept == [answer]
    assert seen[-2:] == [0, 1]
    assert isinstance(answer, Answer)
    assert (answer.id, answer.text, answer.finish_reason) == (job.id, text, "stop")
    assert (answer.model, answer.version, answer.digest) == ("perennial", "1", polite.served.digest)
    assert (answer.user, answer.conversation, answer.history) == ("u", "c", HISTORY)
    assert answer.num_prompt_tokens > 0
    assert answer.num_tokens > len("Hé !")


def test_more_than_the_queue_holds_is_refused(talkative: Loaded, bounds: Serve) -> None:
    with running(talkative, bounds) as engine:
        queues: list[queue.Queue[Event]] = [queue.Queue() for _ in range(bounds.max_queue)]
        jobs = [engine.submit(question(), events.put) for events in queues]
        eventually(lambda: (engine.num_running, engine.num_waiting) == (bounds.max_batch, 1))
        with pytest.raises(QueueFullError) as refused:
            engine.submit(question(), queue.Queue().put)
        assert refused.value.retry_seconds >= 1
        jobs[0].cancel()
        text, answer = ended(queues[0])
        assert isinstance(answer, Answer)
        assert (answer.text, answer.finish_reason) == (text, "cancelled")
        eventually(lambda: (engine.num_running, engine.num_waiting) == (bounds.max_batch, 0))
        engine.submit(question(), queue.Queue().put)


def test_a_waiting_job_can_be_cancelled(talkative: Loaded, bounds: Serve) -> None:
    bounds = bounds.model_copy(update={"max_batch": 1})
    with running(talkative, bounds) as engine:
        first = engine.submit(question(), queue.Queue().put)
        events: queue.Queue[Event] = queue.Queue()
        second = engine.submit(question(), events.put)
        second.cancel()
        first.cancel()
        text, answer = ended(events)
        assert isinstance(answer, Answer)
        assert (text, answer.text, answer.finish_reason, answer.num_tokens) == (
            "",
            "",
            "cancelled",
            0,
        )


@pytest.mark.parametrize("swapping", [False, True])
def test_a_cancelled_job_makes_room_while_others_are_written(
    talkative: Loaded, polite: Loaded, bounds: Serve, swapping: bool
) -> None:
    with running(talkative, bounds) as engine:
        for _ in range(bounds.max_batch):
            engine.submit(question(), queue.Queue().put)
        eventually(lambda: engine.num_running == bounds.max_batch)
        if swapping:
            engine.swap(polite)
        events: queue.Queue[Event] = queue.Queue()
        engine.submit(question(), events.put).cancel()
        _, answer = ended(events)
        assert isinstance(answer, Answer)
        assert answer.finish_reason == "cancelled"
        assert (engine.num_running, engine.num_waiting) == (bounds.max_batch, 0)
        engine.submit(question(), queue.Queue().put)


def test_the_oldest_turns_of_a_long_history_are_not_read(polite: Loaded, bounds: Serve) -> None:
    bounds = bounds.model_copy(update={"max_prompt_tokens": 40})
    with running(polite, bounds) as engine:
        events: queue.Queue[Event] = queue.Queue()
        engine.submit(Question(HISTORY * 50, greedy(50)), events.put)
        text, answer = ended(events)
    assert text == "Hé 🙂!"
    assert isinstance(answer, Answer)
    assert answer.num_prompt_tokens <= 40
    assert len(answer.history) == 50


def test_replies_that_have_begun_end_with_their_model(
    polite: Loaded, talkative: Loaded, bounds: Serve
) -> None:
    with running(talkative, bounds) as engine:
        old: queue.Queue[Event] = queue.Queue()
        engine.submit(question(tokens=300), old.put)
        assert isinstance(old.get(timeout=20), Piece)
        engine.swap(polite)
        assert engine.served == polite.served
        new: queue.Queue[Event] = queue.Queue()
        engine.submit(question(), new.put)
        for events, model in ((old, talkative), (new, polite)):
            _, answer = ended(events)
            assert isinstance(answer, Answer)
            assert answer.digest == model.served.digest
            assert answer.finish_reason == ("length" if model is talkative else "stop")


def test_an_idle_engine_lets_the_old_model_go(
    talkative: Loaded, polite: Loaded, bounds: Serve
) -> None:
    with running(talkative, bounds) as engine:
        engine.swap(polite)
        eventually(lambda: engine._writer is polite)


def test_what_cannot_be_kept_is_not_answered(polite: Loaded, bounds: Serve) -> None:
    full = True

    def record(_job: Job, _answer: Answer) -> None:
        if full:
            raise OSError("no space left on device")

    unkept: list[Job] = []
    with running(polite, bounds, record, unkept.append) as engine:
        events: queue.Queue[Event] = queue.Queue()
        job = engine.submit(question(), events.put)
        assert ended(events)[1] == Failed("the reply could not be kept; try again later")
        assert unkept == [job]
        full = False
        engine.submit(question(), events.put)
        assert isinstance(ended(events)[1], Answer)


def test_a_broken_model_fails_its_replies_and_no_others(
    polite: Loaded, bounds: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up: list[Job] = []
    with running(polite, bounds, failed=given_up.append) as engine:
        events: queue.Queue[Event] = queue.Queue()
        with monkeypatch.context() as patch:
            patch.setattr(SlotCache, "advance", _out_of_memory)
            job = engine.submit(question(), events.put)
            text, failed = ended(events)
        assert (text, type(failed)) == ("H", Failed)
        assert given_up == [job]
        eventually(lambda: engine.num_running == 0)
        assert engine.alive
        engine.submit(question(), events.put)
        assert ended(events)[0] == "Hé 🙂!"


def test_a_listener_that_is_gone_ends_its_reply(talkative: Loaded, bounds: Serve) -> None:
    kept: list[Answer] = []

    def gone(_event: Event) -> None:
        raise RuntimeError("Event loop is closed")

    with running(talkative, bounds, lambda job, answer: kept.append(answer)) as engine:
        engine.submit(question(), gone)
        eventually(lambda: len(kept) == 1)
    assert kept[0].finish_reason == "cancelled"


def test_closing_ends_every_reply_and_the_thread(talkative: Loaded, bounds: Serve) -> None:
    queues: list[queue.Queue[Event]] = [queue.Queue() for _ in range(bounds.max_queue)]
    with running(talkative, bounds) as engine:
        for events in queues:
            engine.submit(question(), events.put)
    for events in queues:
        answer = ended(events)[1]
        assert isinstance(answer, Answer)
        assert answer.finish_reason == "cancelled"
    assert not engine.alive
    assert "engine" not in {thread.name for thread in threading.enumerate()}


def _out_of_memory(*_args: object, **_kwargs: object) -> None:
    raise torch.OutOfMemoryError("no memory")


def test_a_question_to_a_model_that_went_while_it_waited_is_not_answered_by_another(
    polite: Loaded, talkative: Loaded, bounds: Serve
) -> None:
    with running(talkative, bounds) as engine:
        old: queue.Queue[Event] = queue.Queue()
        writing = engine.submit(question(tokens=300), old.put)
        assert isinstance(old.get(timeout=20), Piece)
        engine.swap(polite)
        waiting: list[queue.Queue[Event]] = []
        for model in ("perennial@2", "perennial@1"):
            waiting.append(queue.Queue())
            engine.submit(question(model=model), waiting[-1].put)
        writing.cancel()
        refused, answer = [ended(events)[1] for events in waiting]
    assert refused == Failed(
        "the model `perennial@2` is not served here; use `perennial`", is_gone=True
    )
    assert isinstance(answer, Answer)
    assert answer.version == "1"
