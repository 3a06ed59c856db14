"""What was served and said stays, whatever happens to the process."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue.records import Turn
from dialogue.serving.store import Answer, ReplyStore, now

ROOT = Path(__file__).parents[3]
TEXT = st.text(st.characters(exclude_categories=("Cs",)))


def answer(
    reply_id: str = "r1", text: str = "hi", said: str = "hello", finish_reason: str = "stop"
) -> Answer:
    return Answer(
        id=reply_id,
        time=now(),
        model="perennial",
        version="3",
        digest="d" * 64,
        user=None,
        conversation="c1",
        history=(Turn("system", "be kind"), Turn("user", said)),
        text=text,
        finish_reason=finish_reason,
        num_prompt_tokens=7,
        num_tokens=2,
        seconds=0.25,
    )


def test_answers_come_back_as_they_were(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path / "feedback" / "replies.sqlite")
    first, second = answer("r1"), answer("r2")
    store.add_answer(first)
    store.add_answer(second)
    assert store.answer("r1") == first
    assert list(store.answers()) == [first, second]
    assert store.answer("r3") is None
    store.close()
    again = ReplyStore(tmp_path / "feedback" / "replies.sqlite")
    assert list(again.answers()) == [first, second]
    again.close()


def test_any_text_survives(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path / "replies.sqlite")
    count = 0

    @given(text=TEXT, said=TEXT)
    def check(text: str, said: str) -> None:
        nonlocal count
        count += 1
        written = answer(f"r{count}", text, said)
        store.add_answer(written)
        assert store.answer(written.id) == written

    check()
    store.close()


def test_the_last_rating_counts(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path / "replies.sqlite")
    store.add_answer(answer("r1"))
    store.add_answer(answer("r2"))
    store.add_rating("r1", "up", "")
    store.add_rating("r2", "up", "")
    last, replaced = store.add_rating("r1", "down", "too short")
    assert replaced is not None
    assert (replaced.opinion, replaced.reason) == ("up", "")
    ratings = store.ratings()
    assert list(ratings) == ["r1", "r2"]
    assert ratings["r1"] == last
    assert (last.opinion, last.reason) == ("down", "too short")
    store.close()


def test_an_opinion_that_is_repeated_keeps_its_reason(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path / "replies.sqlite")
    store.add_answer(answer("r1"))
    for reason, kept in (("kind", "kind"), ("", "kind"), ("very", "very")):
        assert store.add_rating("r1", "up", reason)[0].reason == kept
    assert store.add_rating("r1", "down", "")[0].reason == ""
    store.close()


def test_only_served_replies_are_rated(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path / "replies.sqlite")
    with pytest.raises(LookupError, match="no reply `r9` was served here"):
        store.add_rating("r9", "up", "")
    assert store.ratings() == {}
    store.close()


def test_an_acknowledged_rating_outlives_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "replies.sqlite"
    store = ReplyStore(path)
    store.add_answer(answer())
    store.close()
    program = (
        "import os, signal, sys; from pathlib import Path;"
        "from dialogue.serving.store import ReplyStore;"
        "ReplyStore(Path(sys.argv[1])).add_rating('r1', 'up', 'kind');"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL
    again = ReplyStore(path)
    assert again.ratings()["r1"].reason == "kind"
    again.close()


def test_every_commit_is_synced(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path / "replies.sqlite")
    full = 2
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (full,)
    store.close()


def test_threads_and_processes_share_a_store(tmp_path: Path) -> None:
    stores = [ReplyStore(tmp_path / "replies.sqlite") for _ in range(2)]

    def write(worker: int) -> None:
        for index in range(25):
            stores[worker % 2].add_answer(answer(f"{worker}-{index}"))

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({found.id for found in stores[0].answers()}) == 100
    for store in stores:
        store.close()


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "replies.sqlite"
    path.write_text("a diary\n" * 200)
    with pytest.raises(ValueError, match=r"replies\.sqlite: cannot be used .* move it away"):
        ReplyStore(path)


def test_what_cannot_be_opened_is_not_to_be_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "replies.sqlite").mkdir()
    with pytest.raises(ValueError, match=r"cannot be used .* can be read and written"):
        ReplyStore(tmp_path / "replies.sqlite")


def test_what_was_cancelled_before_it_began_is_no_reply(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path / "replies.sqlite")
    store.add_answer(answer("silent", text="", finish_reason="cancelled"))
    store.add_answer(answer("empty", text=""))
    assert [found.id for found in store.answers()] == ["empty"]
    store.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file system to fill")
def test_what_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path / "replies.sqlite")
    store._connection.execute("PRAGMA max_page_count = 1").fetchone()
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()
    with pytest.raises(OSError, match="the feedback store cannot be written"):
        store.add_answer(answer(text="x" * 1_000_000))
    store.add_answer(answer("small"))
    assert [found.id for found in store.answers()] == ["small"]
    store.close()
