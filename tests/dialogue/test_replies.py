from __future__ import annotations

from pathlib import Path

import pytest

from dialogue.replies import Reply, read_replies, write_replies
from dialogue.scores import write_scores

REPLIES = [
    Reply("candidate", "chitchat", "a", "Hello.\nHow are you?"),
    Reply("champion", "chitchat", "a", ""),
]


@pytest.mark.parametrize("replies", [REPLIES, []])
def test_replies_come_back_as_they_were_written(tmp_path: Path, replies: list[Reply]) -> None:
    write_replies(tmp_path / "scores" / "replies.parquet", replies)
    assert read_replies(tmp_path / "scores" / "replies.parquet") == replies


def test_another_table_is_none_of_replies(tmp_path: Path) -> None:
    write_scores(tmp_path / "replies.parquet", [])
    with pytest.raises(ValueError, match=r"expected .*'text'"):
        read_replies(tmp_path / "replies.parquet")
