from __future__ import annotations

import io
import json
from typing import Any

import pytest

from dialogue.config import WheelSource
from dialogue.records import Reject
from dialogue.sources import wheel
from dialogue.sources.draft import Draft
from dialogue.sources.formats.chitchat import read_chitchat, read_monologues
from dialogue.sources.reading import Reading

READING = Reading("ingest.sources.x", max_row_bytes=1 << 20)

LONG = "nobody answers me, and so I go on talking"


def group(sender: str, *texts: str) -> list[dict[str, str]]:
    return [{"sender": sender, "text": text, "timestamp": "2018"} for text in texts]


CONVERSATIONS: dict[str, Any] = {
    "talk": {
        "messages": [group("b", "hi", "you?"), group("a", "yes"), group("b", "?"), group("a", "!")]
    },
    "short": {"messages": [group("b", "hi"), group("a", "yes"), group("b", "bye")]},
    "alone": {"messages": [group("b", "hello?", LONG)]},
    "broken": {"messages": [[{"text": "hi"}]]},
}


def stream(content: object) -> io.BytesIO:
    return io.BytesIO(json.dumps(content).encode())


def test_two_senders_and_four_groups_make_a_dialogue() -> None:
    talk, short, alone, broken = read_chitchat("d.json", stream(CONVERSATIONS), READING)
    assert isinstance(talk, Draft)
    assert talk.origin == "d.json#talk"
    assert talk.turns[:3] == [("user", "hi"), ("user", "you?"), ("assistant", "yes")]
    assert isinstance(short, Reject)
    assert (short.kind, short.reason) == ("scope", "no dialogue: 2 senders, 3 message groups")
    assert isinstance(alone, Reject)
    assert alone.kind == "scope"
    assert isinstance(broken, Reject)
    assert (broken.kind, broken.reason) == ("fault", "wrong shape: 'sender'")


def test_the_rest_is_text_unless_it_is_short() -> None:
    conversations = {key: CONVERSATIONS[key] for key in ("talk", "short", "alone")}
    assert list(read_monologues("d.json", stream(conversations), READING)) == [f"hello?\n{LONG}"]
    with pytest.raises(ValueError, match=r"d.json#broken: wrong shape"):
        list(read_monologues("d.json", stream(CONVERSATIONS), READING))


@pytest.mark.parametrize(
    ("content", "said"),
    [(b'{"a": {"mess', "d.json:1: not JSON"), (b"[]", "found a list"), (b"\xff", "not UTF-8")],
)
def test_an_unusable_file_is_told(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        list(read_chitchat("d.json", io.BytesIO(content), READING))


def test_the_real_dataset_against_an_independent_count() -> None:
    source = WheelSource(
        kind="wheel",
        package="chitchat-dataset==0.9.0",
        sha256="7bf89f36645e2d5ec87d53370c8e851b5a688479c7beb7079cb4c87fc5acea3e",
        members=("chitchat_dataset/dataset.json",),
        format="chitchat",
        licence="MIT",
    )
    try:
        (raw,) = wheel.raw_files(source)
    except ValueError as error:
        if "cannot be reached" not in str(error):
            raise
        pytest.skip(str(error))
    expected, messages = set(), 0
    for key, conversation in json.load(raw.open()).items():
        senders = {line["sender"] for part in conversation["messages"] for line in part}
        if len(senders) == 2 and len(conversation["messages"]) > 3:
            expected.add(f"{raw.name}#{key}")
            messages += sum(len(part) for part in conversation["messages"])
    rows = list(read_chitchat(raw.name, raw.open(), READING))
    drafts = [row for row in rows if isinstance(row, Draft)]
    assert len(rows) == 7_168
    assert len(drafts) == 3_243
    assert {draft.origin for draft in drafts} == expected
    assert sum(len(draft.turns) for draft in drafts) == messages
    assert {row.kind for row in rows if isinstance(row, Reject)} == {"scope"}
