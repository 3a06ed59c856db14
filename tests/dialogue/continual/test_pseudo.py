from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from dialogue.continual import Combination
from dialogue.continual.memory import Memory
from dialogue.continual.pseudo import Pseudo, Writing
from dialogue.encoding import Encoded, Encoder
from dialogue.log import SilentLog
from dialogue.records import Turn
from dialogue.shards import Shard, empty_shard, pack
from dialogue.training import train
from tests.dialogue.continual.conftest import MakeRound
from tests.dialogue.continual.rounds import settings

TURNS = (Turn("user", "how are you?"), Turn("assistant", "I am fine."))


def told(tokenizer: PreTrainedTokenizerFast, domain: str, number: int) -> Shard:
    dialogue = Encoder(tokenizer).dialogue(TURNS, 64)
    rows = ((f"{domain}-{index}", domain, dialogue) for index in range(number))
    return pack(rows, len(tokenizer))


@given(texts=st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1, max_size=3))
def test_what_is_taught_can_be_read_back(
    tokenizer: PreTrainedTokenizerFast, texts: list[tuple[str, str]]
) -> None:
    turns = [t for asked, said in texts for t in (Turn("user", asked), Turn("assistant", said))]
    dialogue = Encoder(tokenizer).dialogue(turns, 10_000)
    writer = Writing(tokenizer)
    prompt = writer.prompt("chat")
    lesson = writer.lesson("chat", dialogue)
    assert lesson.ids[: len(prompt)].tolist() == prompt
    assert lesson.mask.tolist() == [False] * len(prompt) + [True] * (len(lesson.ids) - len(prompt))
    again = writer.read(lesson.ids[len(prompt) :].tolist())
    assert again is not None
    assert np.array_equal(again.ids, dialogue.ids)
    assert np.array_equal(again.mask, dialogue.mask)


def test_what_breaks_off_is_read_up_to_its_last_whole_reply(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    encoder, writer = Encoder(tokenizer), Writing(tokenizer)
    whole = encoder.dialogue(TURNS, 100)
    more = encoder.dialogue((*TURNS, Turn("user", "and you?")), 100).ids.tolist()
    for end in range(len(whole.ids), len(more)):
        found = writer.read(more[:end])
        assert found is not None
        assert np.array_equal(found.ids, whole.ids)
    assert writer.read(more[: len(whole.ids) - 3]) is None
    assert writer.read([]) is None


def test_a_forged_turn_is_no_dialogue(tokenizer: PreTrainedTokenizerFast) -> None:
    encoder, writer = Encoder(tokenizer), Writing(tokenizer)
    ids = encoder.dialogue(TURNS, 100).ids.tolist()
    begin = encoder.openings["user"][0]
    assert writer.read([*ids[:4], begin, *ids[4:]]) is None


def test_the_model_writes_what_it_learned(
    lesson: MakeRound, tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> None:
    changes = {"share": 0.5, "writing_share": 1.0, "max_new_tokens": 64, "temperature": 0.0}
    finetune = settings("pseudo", pseudo=changes).model_copy(
        update={"training": settings().training.model_copy(update={"epochs": 30.0})}
    )
    first = lesson("chat", told(tokenizer, "chat", 4), finetune=finetune)
    strategy = Combination(first)
    examples = strategy.prepare()
    assert len(examples) == 8  # each told, and taught to be written
    train(
        first.model,
        examples,
        finetune.training,
        SilentLog(),
        pad_id=first.pad_id,
        checkpoints=tmp_path_factory.mktemp("checkpoints"),
        label="test",
    )
    memory = strategy.remember()
    assert (len(memory.dialogues), memory.learned) == (0, ("chat",))

    second = replace(first, domain="home", new=told(tokenizer, "home", 3), memory=memory)
    found = Pseudo(second).rehearsed()
    written = [i for i, name in enumerate(found.ids) if name.startswith("written-")]
    assert len(written) == 3
    for index in written:
        assert np.array_equal(found[index].ids, first.new[0].ids)
        assert np.array_equal(found[index].mask, first.new[0].mask)
    # What was written is told and taught, and the new domain is taught.
    assert Counter(found.domains) == {"chat": 6, "home": 3}


def test_the_first_round_writes_nothing(lesson: MakeRound) -> None:
    found = Pseudo(lesson(memory=Memory(empty_shard()), finetune=settings("pseudo"))).rehearsed()
    assert all(name.startswith("writing-home") for name in found.ids)


def test_draws_follow_from_the_round_alone(
    lesson: MakeRound, tokenizer: PreTrainedTokenizerFast
) -> None:
    memory = Memory(empty_shard(), learned=("chat", "help"))
    finetune = settings("pseudo", pseudo={"max_new_tokens": 16, "share": 0.2})
    one, two = (Pseudo(lesson(memory=memory, finetune=finetune)).rehearsed() for _ in range(2))
    assert one.ids == two.ids
    assert all(_equal(one[i], two[i]) for i in range(len(one)))


def _equal(one: Encoded, two: Encoded) -> bool:
    return np.array_equal(one.ids, two.ids) and np.array_equal(one.mask, two.mask)
