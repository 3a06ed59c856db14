from __future__ import annotations

import io

from dialogue.records import Reject
from dialogue.sources.draft import Draft
from dialogue.sources.formats.persona_chat import read_persona_chat
from dialogue.sources.reading import Reading

READING = Reading("ingest.sources.x", max_row_bytes=2_000)


def rows_of(text: str) -> list[Draft | Reject]:
    return list(read_persona_chat("f", io.BytesIO(text.encode()), READING))


def test_numbers_divide_dialogues_and_personas_become_the_system_turn() -> None:
    first, second = rows_of(
        "1 your persona: i like tea.\n"
        "2 partner's persona: i own a ship.\n"
        "3 your persona: 我住在北京。\n"
        "4 hi\thello there\t\tcand one|cand two\n"
        "5 你好\t您好\n"
        "1 __SILENCE__\thow are you ?\t\ta|b\n"
        "2 fine\tgood\n"
    )
    assert isinstance(first, Draft)
    assert first.origin == "f:1"
    assert first.persona == "i like tea.\n我住在北京。"
    assert list(first.turns) == [
        ("system", "i like tea.\n我住在北京。"),
        ("user", "hi"),
        ("assistant", "hello there"),
        ("user", "你好"),
        ("assistant", "您好"),
    ]
    assert isinstance(second, Draft)
    assert (second.origin, second.persona) == ("f:6", None)
    assert list(second.turns)[1:3] == [("user", ""), ("assistant", "how are you ?")]


def test_a_damaged_line_sets_its_whole_dialogue_aside_and_no_other() -> None:
    gap, bare, too_long, good = rows_of(
        "1 a\tb\n3 c\td\n4 e\tf\n"
        "1 a\tb\nno number\n2 c\td\n"
        f"1 a\tb\n2 {'x' * 3_000}\ty\n3 c\td\n"
        "1 a\tb\n"
    )
    assert isinstance(gap, Reject)
    assert (gap.origin, gap.reason) == (
        "f:2",
        "wrong number: 3 where 2 is due (in the dialogue of f:1)",
    )
    assert isinstance(bare, Reject)
    assert (bare.origin, bare.reason) == (
        "f:5",
        "no number before the line (in the dialogue of f:4)",
    )
    assert isinstance(too_long, Reject)
    assert (too_long.origin, too_long.reason[:9]) == ("f:8", "too large")
    assert isinstance(good, Draft)
    assert good.origin == "f:10"


def test_a_dialogue_that_does_not_end_is_not_held() -> None:
    lines = "\n".join(f"{number} question\tanswer" for number in range(1, 500))
    (row,) = rows_of(lines)
    assert isinstance(row, Reject)
    assert row.reason.startswith("too large: at most 2000 bytes")
