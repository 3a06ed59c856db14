from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from dialogue.config import Evaluate
from dialogue.encoding import Encoder
from dialogue.examination import (
    Measurement,
    answer_paper,
    measure_conversations,
    measure_replies,
    write_replies,
)
from dialogue.instructions import plain_instructions
from dialogue.metrics.labels import macro_f1
from dialogue.metrics.novelty import seen_ngrams
from dialogue.model import load_model
from dialogue.objective import negative_log_likelihood
from dialogue.packing import collate
from dialogue.paper import set_paper
from dialogue.records import Dialogue, Turn

SETTINGS = Evaluate(
    max_dialogues=10,
    instructions=False,
    max_tokens=200,
    num_distractors=4,
    num_hard_distractors=1,
    max_labels=10,
    num_generations=3,
    num_conversations=2,
    conversation_turns=2,
    max_new_tokens=6,
    embedder=None,
    seed=1,
)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> PreTrainedModel:
    return load_model(tiny_model).eval()


ANIMALS = {"cats": "purr", "dogs": "bark", "ducks": "quack", "cows": "moo", "bees": "buzz"}


def chats() -> list[Dialogue]:
    return [
        Dialogue(
            f"{i}",
            (
                Turn("user", "hello"),
                Turn("assistant", "yes?"),
                Turn("user", f"{animal}?"),
                Turn("assistant", f"{sound}, they {sound}"),
            ),
            "chitchat",
            "test",
            "s",
            "o",
            "MIT",
            "d",
        )
        for i, (animal, sound) in enumerate(ANIMALS.items())
    ]


def by_metric(measurements: Iterable[Measurement]) -> dict[str, list[Measurement]]:
    found: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        found.setdefault(measurement.metric, []).append(measurement)
    return found


def test_a_thorough_paper_measures_everything_once_per_dialogue(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    paper = set_paper("chitchat", chats(), tokenizer, SETTINGS, thorough=True)
    found = by_metric(answer_paper(model, paper, "fp32"))
    assert set(found) == {
        "response_perplexity",
        "bits_per_byte",
        "hits_at_1",
        "mrr",
        "history_gain",
        "history_gain_over_wrong",
        "history_gain_1",
        "history_gain_2",
        "history_gain_4",
        "next_turn",
        "order_gap",
    }
    for measurements in found.values():
        assert [m.dialogue_id for m in measurements] == list("01234")
    steps = [[m.value for m in found[f"history_gain_{turns}"]] for turns in (1, 2, 4)]
    assert np.sum(steps, axis=0) == pytest.approx([m.value for m in found["history_gain"]])


def test_a_model_without_numbers_has_no_place_among_others(
    tiny_model: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    broken = load_model(tiny_model).eval()
    with torch.no_grad():
        broken.get_output_embeddings().weight.fill_(math.nan)  # type: ignore[no-untyped-call]
    paper = set_paper("chitchat", chats(), tokenizer, SETTINGS, thorough=True)
    found = by_metric(answer_paper(broken, paper, "fp32"))
    assert {"hits_at_1", "mrr", "next_turn", "bits_per_byte"} <= set(found)
    assert all(math.isnan(each.value) for part in found.values() for each in part)


def test_likelihood_is_the_models_own_on_every_response(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    (dialogue, *_) = chats()
    paper = set_paper("chitchat", [dialogue], tokenizer, SETTINGS, thorough=False)
    found = by_metric(answer_paper(model, paper, "fp32"))
    tokens = Encoder(tokenizer).dialogue(dialogue.turns, 200)
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(tokens.ids)[None]).logits[0]
    logs = torch.log_softmax(logits.double(), -1)
    nats = -sum(float(logs[t - 1, tokens.ids[t]]) for t in range(len(tokens.ids)) if tokens.mask[t])
    (perplexity,), (bits,) = found["response_perplexity"], found["bits_per_byte"]
    assert perplexity[2:] == pytest.approx((nats, tokens.mask.sum()), rel=1e-4)
    assert bits[2:] == pytest.approx((nats / math.log(2), len(b"yes?purr, they purr")), rel=1e-4)


def test_a_quick_paper_reads_the_dialogues_only(tokenizer: PreTrainedTokenizerFast) -> None:
    quick = set_paper("chitchat", chats(), tokenizer, SETTINGS, thorough=False)
    thorough = set_paper("chitchat", chats(), tokenizer, SETTINGS, thorough=True)
    assert quick.num_tokens == sum(len(item.tree.trunk.ids) - 1 for item in thorough.items)
    assert quick.num_tokens < thorough.num_tokens


def test_plain_text_has_bits_per_byte_and_nothing_else(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    text = "Plain text is no reply."
    document = Dialogue("1", (Turn("assistant", text),), "base", "test", "s", "o", "MIT", "d")
    paper = set_paper("base", [document], tokenizer, SETTINGS, thorough=True)
    (found,) = answer_paper(model, paper, "fp32")
    assert found.metric == "bits_per_byte"
    # A byte of untrained model costs about log2 of the vocabulary's size per token.
    (item,) = paper.items
    assert item.num_bytes == len(text) - len(tokenizer.decode(item.tree.trunk.ids[:1]))
    per_token = found.value / (len(item.tree.trunk.ids) - 1)
    assert per_token == pytest.approx(math.log2(len(tokenizer)), rel=0.1)
    assert write_replies(model, tokenizer, paper, SETTINGS, "fp32") == {}


def test_of_instructions_only_the_likelihood_of_the_answer_is_asked(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    asked = plain_instructions()[:3]
    paper = set_paper("instructions", asked, tokenizer, SETTINGS, thorough=True)
    found = list(answer_paper(model, paper, "fp32"))
    for dialogue in asked:
        own = {each.metric: each for each in found if each.dialogue_id == dialogue.id}
        assert set(own) == {"response_perplexity", "bits_per_byte"}
        assert own["bits_per_byte"].weight == len(dialogue.turns[-1].text.encode())
    assert not paper.thorough


def test_a_model_that_knows_the_answers_is_told_by_them(
    tiny_model: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Taught its own exam, a model gets every metric right that likelihoods give."""
    learner = load_model(tiny_model)
    dialogues = chats()
    encoder = Encoder(tokenizer)
    assert tokenizer.pad_token_id is not None
    batch = collate([encoder.dialogue(d.turns, 200) for d in dialogues], tokenizer.pad_token_id)
    optimizer = torch.optim.AdamW(learner.parameters(), lr=1e-2)
    for _ in range(90):
        negative_log_likelihood(learner, batch).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    learner.eval()
    paper = set_paper("chitchat", dialogues, tokenizer, SETTINGS, thorough=True)
    found = by_metric(answer_paper(learner, paper, "fp32"))
    means = {
        name: float(np.sum([m.value for m in ms]) / np.sum([m.weight for m in ms]))
        for name, ms in found.items()
    }
    assert means["bits_per_byte"] < 0.5
    assert means["hits_at_1"] == means["mrr"] == 1.0
    assert means["next_turn"] > 0.5
    assert means["history_gain"] > 0
    assert means["history_gain_over_wrong"] > 0
    # What the animal is stands in the last turn.
    assert means["history_gain_1"] > means["history_gain_2"]
    replies = write_replies(learner, tokenizer, paper, SETTINGS, "fp32")
    assert list(replies) == ["0", "1", "2"]


def test_wrong_histories_are_those_of_the_dialogues_that_have_it_as_a_distractor(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Each number that other trees lend is what a tree of its own would give."""
    dialogues = chats()
    paper = set_paper("chitchat", dialogues, tokenizer, SETTINGS, thorough=True)
    found = by_metric(answer_paper(model, paper, "fp32"))
    (item, *others) = paper.items
    assert item.question is not None
    own = tuple(item.question.answer_ids[:12].tolist())
    hosts = [o for o in others if own in o.asked.distractors.random]
    assert hosts

    def after(index: int) -> float:
        turns = (*dialogues[index].turns[:-1], dialogues[0].turns[-1])
        tokens = Encoder(tokenizer).dialogue(turns, 200)
        with torch.no_grad():
            logits = model(input_ids=torch.from_numpy(tokens.ids)[None]).logits[0]
        logs = torch.log_softmax(logits.double(), -1)
        start = int(np.flatnonzero(~tokens.mask[:-1])[-1]) + 1
        return float(np.mean([logs[t - 1, tokens.ids[t]] for t in range(start, start + 12)]))

    expected = after(0) - np.mean([after(int(host.id)) for host in hosts])
    assert found["history_gain_over_wrong"][0].value == pytest.approx(expected, abs=1e-4)


def test_labels_are_told_apart_by_likelihood(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    labels = ["bird", "cat", "dog"]
    true = ["cat", "dog", "cat", "unheard of"]
    asked = [
        Dialogue(
            str(i),
            (Turn("user", f"what is number {i}?"), Turn("assistant", label)),
            *("animals", "test", "s", "o", "MIT", "d"),
            label=label,
        )
        for i, label in enumerate(true)
    ]
    paper = set_paper("animals", asked, tokenizer, SETTINGS, thorough=True, labels=labels)
    found = by_metric(answer_paper(model, paper, "fp32"))
    encoder = Encoder(tokenizer)
    predicted = []
    for dialogue in asked:
        nats = []
        for label in labels:
            turns = (dialogue.turns[0], Turn("assistant", label))
            batch = collate([encoder.dialogue(turns, 200)], 0)
            nats.append(float(negative_log_likelihood(model, batch).sum().detach()))
        predicted.append(labels[int(np.argmin(nats))])
    right = [a == b for a, b in zip(true, predicted, strict=True)]
    assert [m.value for m in found["accuracy"]] == right
    assert right[3] is False
    assert np.mean([m.value for m in found["macro_f1"]]) == pytest.approx(macro_f1(true, predicted))
    without = set_paper("animals", asked, tokenizer, SETTINGS, thorough=True)
    assert "accuracy" not in by_metric(answer_paper(model, without, "fp32"))
    chat = set_paper("chitchat", chats(), tokenizer, SETTINGS, thorough=True, labels=labels)
    assert "accuracy" not in by_metric(answer_paper(model, chat, "fp32"))


def test_replies_are_measured(tokenizer: PreTrainedTokenizerFast) -> None:
    paper = set_paper("chitchat", chats(), tokenizer, SETTINGS, thorough=True)
    replies = {"0": "purr, they purr", "1": "a b c d a b c d"}

    def similarity(ours: object, theirs: object) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        assert theirs == ["purr, they purr", "bark, they bark"]
        return np.array([1.0, 0.0])

    seen = seen_ngrams(chats())
    found = by_metric(measure_replies(replies, paper, seen, similarity))
    assert [m[2:] for m in found["distinct_1"]] == [(3.0, 4.0), (4.0, 8.0)]
    assert [m[2:] for m in found["novel_ngrams"]] == [(0.0, 1.0), (5.0, 5.0)]
    assert [m[2:] for m in found["distinct_3"]] == [(2.0, 2.0), (4.0, 6.0)]
    assert [m[2:] for m in found["longest_copy"]] == [(4.0, 4.0), (0.0, 8.0)]
    # Punctuation is no word.
    assert sum(m.value for m in found["mtld"]) == 3 + 8
    assert [m[2:] for m in found["repetition"]] == [(0.0, 1.0), (pytest.approx(1 / 5), 1.0)]
    assert [m[2:] for m in found["embedding_similarity"]] == [(1.0, 1.0), (0.0, 1.0)]
    assert "embedding_similarity" not in by_metric(measure_replies(replies, paper, seen, None))
    assert list(measure_replies({}, paper, seen, similarity)) == []
    assert list(measure_conversations({"7": ["so it is", "it is"]})) == [
        ("7", "self_repetition", 1.0, 1.0),
        ("7", "self_contradiction", 0.0, 1.0),
    ]
