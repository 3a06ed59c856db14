from __future__ import annotations

from collections import Counter

import pytest

from dialogue.continual.memory import Memory
from dialogue.continual.replay import Replay, num_beside
from dialogue.shards import Shard, concatenate, empty_shard
from tests.dialogue.continual.conftest import MakeRound
from tests.dialogue.continual.rounds import settings, shard


def rehearsed(lesson: MakeRound, new: Shard, memory: Shard, **changes: float) -> Shard:
    made = lesson(new=new, memory=Memory(memory), finetune=settings("replay", replay=changes))
    return Replay(made).rehearsed()


def remembered(lesson: MakeRound, new: Shard, memory: Shard, max_bytes: int) -> Shard:
    made = lesson(
        new=new, memory=Memory(memory), finetune=settings(replay={"max_bytes": max_bytes})
    )
    return Replay(made).remember(made.memory).dialogues


def test_a_quarter_of_the_round_is_rehearsal_in_equal_parts(lesson: MakeRound) -> None:
    memory = concatenate([shard("chat", 50), shard("help", 50)])
    mixed = rehearsed(lesson, shard("home", 30), memory, share=0.25)
    assert Counter(mixed.domains) == {"chat": 5, "help": 5}
    assert len(set(mixed.ids)) == 10


def test_the_parts_are_equal_in_tokens(lesson: MakeRound) -> None:
    """Of 10 dialogues of mean length 25 each domain has 125 tokens: long chats, short commands."""
    memory = concatenate([shard("chat", 50, tokens=40), shard("command", 50, tokens=10)])
    mixed = rehearsed(lesson, shard("home", 30), memory, share=0.25)
    assert Counter(mixed.domains) == {"chat": 3, "command": 13}
    assert len(set(mixed.ids)) == 16


def test_every_domain_is_rehearsed_however_few_dialogues_are_new(lesson: MakeRound) -> None:
    memory = concatenate([shard(name, 5, tokens=40) for name in ("a", "b", "c", "d")])
    mixed = rehearsed(lesson, shard("home", 3), memory, share=0.25)
    assert Counter(mixed.domains) == {"a": 1, "b": 1, "c": 1, "d": 1}


def test_a_share_of_nothing_rehearses_nothing(lesson: MakeRound) -> None:
    assert len(rehearsed(lesson, shard("home", 30), shard("chat", 5), share=0.0)) == 0


def test_the_first_round_has_nothing_to_rehearse(lesson: MakeRound) -> None:
    assert len(rehearsed(lesson, shard("chat", 5), empty_shard(), share=0.25)) == 0


def test_a_small_memory_is_repeated_so_often_and_no_more(lesson: MakeRound) -> None:
    memory = concatenate([shard("chat", 2), shard("help", 50)])
    # Half of the round: 30. Chat has two dialogues, thrice each.
    mixed = rehearsed(lesson, shard("home", 30), memory, share=0.5, max_repeats=3)
    assert Counter(mixed.domains) == {"chat": 6, "help": 24}
    assert set(Counter(name for name in mixed.ids if "chat" in name).values()) == {3}


def test_the_memory_keeps_to_its_bytes_and_is_shared_equally(lesson: MakeRound) -> None:
    # Ten tokens at two bytes and their mask: 30 bytes a dialogue, 300 bytes: 5 of each domain.
    memory = remembered(lesson, shard("chat", 50), empty_shard(), 300)
    assert Counter(memory.domains) == {"chat": 10}
    memory = remembered(lesson, shard("help", 50), memory, 300)
    assert Counter(memory.domains) == {"chat": 5, "help": 5}
    assert memory.num_bytes <= 300


def test_the_memory_does_not_depend_on_the_order_of_arrival(lesson: MakeRound) -> None:
    whole = shard("chat", 40)
    backwards = whole.select(list(range(39, -1, -1)))
    one = remembered(lesson, whole, empty_shard(), 300)
    two = remembered(lesson, backwards, empty_shard(), 300)
    assert one.ids == two.ids


def test_a_memory_that_shrinks_is_the_sample_it_would_have_been(lesson: MakeRound) -> None:
    large = remembered(lesson, shard("chat", 40), empty_shard(), 600)
    small = remembered(lesson, shard("chat", 40), empty_shard(), 300)
    assert set(small.ids) < set(large.ids)


def test_a_share_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="less than 1"):
        settings(replay={"share": 1.0})


@pytest.mark.parametrize(("num_new", "share", "wanted"), [(1, 0.3, 1), (2, 0.2, 1), (1, 0.0, 0)])
def test_a_round_of_few_rehearses_one(num_new: int, share: float, wanted: int) -> None:
    assert num_beside(num_new, share) == wanted
