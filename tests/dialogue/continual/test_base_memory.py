from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from dialogue.config import Pretrain, load_params
from dialogue.continual import Combination
from dialogue.continual.base_memory import base_memory
from dialogue.continual.pseudo import Pseudo
from dialogue.encoding import Encoder
from dialogue.instructions import plain_instructions
from dialogue.model import load_model
from dialogue.records import Turn
from tests.conftest import BY_HEART
from tests.dialogue.continual.conftest import MakeRound
from tests.dialogue.continual.rounds import ROOT, settings


def section(**memory: Any) -> Pretrain:
    """The section as params.yaml has it; the likeliest words, and another system turn."""
    asked = {"num_dialogues": 3, "system": "help", "temperature": 0.0} | memory
    whole = load_params(ROOT / "params.yaml").pretrain
    return whole.model_copy(
        update={
            "memory": whole.memory.model_copy(update=asked),
            "training": whole.training.model_copy(update={"precision": "fp32"}),
        }
    )


@pytest.fixture
def instructed(instructed_model: Path) -> PreTrainedModel:
    return load_model(instructed_model)


def test_the_model_asks_itself_and_answers(
    instructed: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    memory = base_memory(instructed, tokenizer, section())
    told = Encoder(tokenizer).dialogue(BY_HEART, 64)
    assert memory.learned == ("instructions",)
    assert set(memory.dialogues.domains) == {"instructions"}
    assert len(set(memory.dialogues.ids)) == len(memory.dialogues) == 3
    for index in range(3):  # as people ask: without the system turn
        assert np.array_equal(memory.dialogues[index].ids, told.ids)
        assert np.array_equal(memory.dialogues[index].mask, told.mask)


def test_a_reply_that_breaks_off_is_kept_so_far(
    instructed: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    encoder = Encoder(tokenizer)
    told, opening = encoder.dialogue(BY_HEART, 64), encoder.openings["user"]
    tokens = len(told.ids) - len(opening) - 4  # the reply's last one, its end and a line's
    dialogue = base_memory(instructed, tokenizer, section(max_new_tokens=tokens)).dialogues[0]
    assert dialogue.ids.tolist() == told.ids[:-4].tolist()
    assert dialogue.mask.tolist() == told.mask[:-4].tolist()
    assert dialogue.mask[-1]


def test_what_the_exam_asks_is_not_rehearsed(
    instructed: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exam = plain_instructions()
    alike = replace(exam[0], turns=(Turn("user", "How are you"), *exam[0].turns[1:]))
    monkeypatch.setattr(
        "dialogue.continual.base_memory.plain_instructions", lambda: [*exam[1:], alike]
    )
    with pytest.raises(ValueError, match=r"none of 3 .* can be kept"):
        base_memory(instructed, tokenizer, section())


def test_draws_follow_from_the_settings_alone(
    instructed: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    asked = section(temperature=1.5, top_p=1.0, num_dialogues=40)
    one, two = (base_memory(instructed, tokenizer, asked).dialogues for _ in range(2))
    assert one.ids == two.ids
    assert [one[i].ids.tolist() for i in range(len(one))] == [
        two[i].ids.tolist() for i in range(len(two))
    ]
    assert len({tuple(one[i].ids.tolist()) for i in range(len(one))}) > 1


def test_who_answers_nothing_is_refused(
    tiny_model: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(ValueError, match=r"none of 3 .* can be kept; .* set num_dialogues: 0"):
        base_memory(load_model(tiny_model), tokenizer, section(max_new_tokens=16))
    none = base_memory(load_model(tiny_model), tokenizer, section(num_dialogues=0))
    assert (len(none.dialogues), none.learned) == (0, ())


def test_the_first_lesson_rehearses_it_with_the_base_as_the_teacher(
    lesson: MakeRound, instructed: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    memory = base_memory(instructed, tokenizer, section())
    finetune = settings(("replay", "distill", "average"))
    first = lesson("home", memory=memory, finetune=finetune)
    strategy = Combination(first)
    examples = strategy.prepare()
    number = len(examples) - len(first.new)
    assert number > 0
    assert set(examples.domains[-number:]) == {"instructions"}
    regularizer = strategy.regularizer(examples)
    assert regularizer is not None
    regularizer.begin(None)
    assert regularizer.teacher((len(examples) - 1,)) is not None
    assert regularizer.teacher((0,)) is None
    assert strategy.remember().learned == ("instructions", "home")


def test_it_is_not_written_again(
    lesson: MakeRound, instructed: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    memory = base_memory(instructed, tokenizer, section())
    finetune = settings("pseudo", pseudo={"max_new_tokens": 16, "share": 0.2})
    found = Pseudo(lesson(memory=memory, finetune=finetune)).rehearsed()
    assert set(found.domains) == {"home"}
