from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from dialogue.config import Evaluate
from dialogue.conversation import converse
from dialogue.generation import generate
from dialogue.metrics.question import Question, questions
from dialogue.model import load_model
from dialogue.records import Dialogue, Turn

SETTINGS = Evaluate(
    max_dialogues=10,
    instructions=False,
    max_tokens=400,
    num_distractors=2,
    num_hard_distractors=0,
    max_labels=10,
    num_generations=3,
    num_conversations=2,
    conversation_turns=2,
    max_new_tokens=6,
    embedder=None,
    seed=1,
)


def asked(tokenizer: PreTrainedTokenizerFast, *sizes: int) -> list[Question]:
    """Dialogues in which the assistant has so many turns to say."""
    chats = [
        Dialogue(
            f"{name}",
            tuple(
                Turn("assistant" if i % 2 else "user", f"{name}, turn {i}") for i in range(2 * size)
            ),
            *("chitchat", "test", "s", "o", "MIT", "d"),
        )
        for name, size in enumerate(sizes)
    ]
    return list(questions(chats, tokenizer, 400))


def test_what_was_said_stands_in_the_next_history(
    tiny_model: Path, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_with: list[tuple[Turn, ...]] = []

    def watched(model: Any, tokenizer: Any, histories: Any, *rest: Any, **more: Any) -> Any:
        asked_with.extend(tuple(history) for history in histories)
        return generate(model, tokenizer, histories, *rest, **more)

    monkeypatch.setattr("dialogue.conversation.generate", watched)
    (question,) = asked(tokenizer, 3)
    said = converse(load_model(tiny_model).eval(), tokenizer, [question], SETTINGS, "fp32")["0"]
    turns = question.turns
    first = Turn("assistant", said[0].text)
    # The first of the three turns is the dialogue's: only the last two are the model's.
    assert asked_with == [turns[:3], (*turns[:3], first, turns[4])]
    assert first != turns[3]
    assert len(said) == 2


def test_the_first_dialogues_with_two_turns_to_say(
    tiny_model: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = load_model(tiny_model).eval()
    said = converse(model, tokenizer, asked(tokenizer, 1, 2, 1, 4, 2), SETTINGS, "fp32")
    assert {key: len(turns) for key, turns in said.items()} == {"1": 2, "3": 2}
    assert converse(model, tokenizer, asked(tokenizer, 1), SETTINGS, "fp32") == {}


@pytest.mark.parametrize("turns", [2, 3])
def test_a_bot_that_says_one_thing_says_it_again(
    scripted_model: Callable[..., Path], tokenizer: PreTrainedTokenizerFast, turns: int
) -> None:
    model = load_model(scripted_model("hi you")).eval()
    settings = SETTINGS.model_copy(update={"conversation_turns": turns, "max_new_tokens": 12})
    said = converse(model, tokenizer, asked(tokenizer, 3), settings, "fp32")
    assert [reply.text for reply in said["0"]] == ["hi you"] * turns
