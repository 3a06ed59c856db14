"""Planted damage before a tiny model that knows a small world: benchmarks/damage.py in little."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from benchmarks import _damages as damages
from benchmarks.damage import NAMED, Judge, Measured, compare
from dialogue.config import Evaluate
from dialogue.encoding import Encoder
from dialogue.metrics.novelty import seen_ngrams
from dialogue.model import load_model
from dialogue.objective import negative_log_likelihood
from dialogue.packing import collate
from dialogue.records import Dialogue, Turn

SETTINGS = Evaluate(
    max_dialogues=80,
    instructions=False,
    max_tokens=200,
    num_distractors=4,
    num_hard_distractors=1,
    max_labels=10,
    num_generations=0,
    num_conversations=0,
    conversation_turns=2,
    max_new_tokens=6,
    embedder=None,
    seed=1,
)
SOUNDS = {"cat": "purr", "dog": "bark", "duck": "quack", "cow": "moo", "bee": "buzz", "owl": "hoot"}
PLACES = ("barn", "field", "house", "lake", "wood", "yard", "attic")


def dialogue(name: str, animal: str, place: str) -> Dialogue:
    turns = (
        Turn("user", f"a {animal} in the {place}"),
        Turn("assistant", f"which {place}?"),
        Turn("user", "well?"),
        Turn("assistant", f"{SOUNDS[animal]} said the {animal} in the {place}"),
    )
    return Dialogue(name, turns, "chitchat", "test", "s", "o", "MIT", "d")


@pytest.fixture(scope="module")
def dialogues() -> list[Dialogue]:
    pairs = itertools.islice(itertools.cycle(itertools.product(SOUNDS, PLACES)), 80)
    return [dialogue(f"{i:03d}", *pair) for i, pair in enumerate(pairs)]


@pytest.fixture(scope="module")
def judge(tiny_model: Path, tokenizer: PreTrainedTokenizerFast, dialogues: list[Dialogue]) -> Judge:
    model = load_model(tiny_model)
    encoder = Encoder(tokenizer)
    encoded = [encoder.dialogue(each.turns, 200) for each in dialogues[: len(SOUNDS) * len(PLACES)]]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(120):
        batch = collate(encoded[step % 2 :: 2], tokenizer.pad_token_id or 0)
        negative_log_likelihood(model, batch).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return Judge(model.eval(), tokenizer, SETTINGS, seen_ngrams([]), None)


@pytest.fixture(scope="module")
def measured(judge: Judge, dialogues: list[Dialogue]) -> Mapping[str, Measured]:
    broken = Judge(
        damages.noised(judge.model, 0.05, 1), judge.tokenizer, SETTINGS, judge.seen, None
    )
    planted = {
        "intact": dialogues,
        "shuffled words": damages.shuffled_words(dialogues),
        "another's reply": damages.of_another(dialogues),
        "said again": damages.said_again(dialogues),
        "said twice": damages.said_twice(dialogues),
        "generic reply": damages.generic(dialogues),
        "history cut": damages.without_older_turns(dialogues),
    }
    found = {
        name: judge.measure(damaged, dialogues, read=not name.startswith("said"))
        for name, damaged in planted.items()
    }
    return found | {"weights noised": broken.measure(dialogues, dialogues)}


@pytest.fixture(scope="module")
def harmless(judge: Judge, dialogues: list[Dialogue]) -> Measured:
    """A measurement of its own: by a copy without noise, of dialogues from elsewhere."""
    same = damages.noised(judge.model, 0.0, 1)
    moved = [replace(each, source="t", origin="p", raw_digest="e") for each in dialogues]
    return Judge(same, judge.tokenizer, SETTINGS, judge.seen, None).measure(moved, moved)


# The small world's replies are all of one form: MTLD finds a set phrase no poorer than them. And
# nobody in it says anything about themselves.
UNSEEN = ("mtld", "self_contradiction")
SEEN = [(name, metric) for name, own in NAMED.items() for metric in own if metric not in UNSEEN]


@pytest.mark.parametrize(("damage", "metric"), SEEN)
def test_damage_lowers_the_metric_that_names_it(
    measured: Mapping[str, Measured], damage: str, metric: str
) -> None:
    *values, p = compare(metric, measured["intact"], measured[damage])
    assert p < 0.01, f"{metric} goes from {values[0]} to {values[1]}"


def test_who_denies_what_they_said_is_told_by_self_contradiction(judge: Judge) -> None:
    said = (
        "I have a {}. What about you?",
        "Hm, it depends.\nI love the {} in our garden!",
        "I'm scared of every {}, and so is she.",
        "Today I work with a {}.",
        "I know what you mean about the {}.",
    )
    chats = [
        Dialogue(
            f"{i:03d}",
            (
                Turn("user", "hi"),
                Turn("assistant", text.format(animal)),
                Turn("user", "tell me more"),
                Turn("assistant", "There is little to tell."),
            ),
            *("chitchat", "test", "s", "o", "MIT", "d"),
        )
        for i, (text, animal) in enumerate(itertools.product(said, SOUNDS))
    ]
    intact = judge.measure(chats, chats, read=False)
    denied = judge.measure(damages.denying(chats), chats, read=False)
    before, after, p = compare("self_contradiction", intact, denied)
    assert before == 0.0
    # The last two stay unseen: one names a time, the other points at what was said before.
    assert after == pytest.approx(3 / 5)
    assert p < 0.01


@pytest.mark.parametrize(
    "metric", ["self_repetition", "self_contradiction", "repetition", "response_perplexity"]
)
def test_no_damage_is_seen_where_there_is_none(
    measured: Mapping[str, Measured], harmless: Measured, metric: str
) -> None:
    before, after, p = compare(metric, measured["intact"], harmless)
    assert before == after
    assert p == 1.0


def test_noise_hits_its_share_of_the_weights_and_nothing_else(judge: Judge) -> None:
    damaged = damages.noised(judge.model, 0.05, seed=1)
    pairs = zip(judge.model.named_parameters(), damaged.parameters(), strict=True)
    for (name, before), after in pairs:
        changed = (before != after).float().mean().item()
        assert changed == pytest.approx(0.05 if before.dim() > 1 else 0.0, abs=0.02), name
