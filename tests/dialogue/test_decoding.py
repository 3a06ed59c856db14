"""Rows that are decoded together say what they would have said alone."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from dialogue.decoding import Batch, Sampling, greedy
from dialogue.model import load_model

PROMPTS = [[5, 6, 7], [8] * 20, [9, 10], [11, 12, 13, 14, 15]]


@pytest.fixture(scope="module", params=["plain Llama", "any other"])
def model(tiny_model: Path, request: pytest.FixtureRequest) -> PreTrainedModel:
    if request.param == "plain Llama":
        return load_model(tiny_model)
    torch.manual_seed(0)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=300,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            bos_token_id=None,
            eos_token_id=None,
        )
    ).eval()


def reference(
    model: PreTrainedModel, prompt: list[int], count: int, **settings: float
) -> list[int]:
    """What Hugging Face's own generation says."""
    ids = torch.tensor([prompt])
    output = model.generate(  # type: ignore[operator]
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=count,
        eos_token_id=None,
        **settings,
    )
    said: list[int] = output[0, len(prompt) :].tolist()
    return said


def continued(batch: Batch, keys: list[int], count: int) -> dict[int, list[int]]:
    said: dict[int, list[int]] = {key: [] for key in keys}
    for _ in range(count):
        for key, token in batch.step().items():
            said[key].append(token)
    return said


def test_a_batch_says_what_hugging_face_says(model: PreTrainedModel) -> None:
    batch = Batch(model, special=())
    keys = batch.add(PROMPTS, [greedy(12)] * 4)
    said = continued(batch, keys, 12)
    assert [said[key] for key in keys] == [reference(model, prompt, 12) for prompt in PROMPTS]


def test_rows_join_and_leave_between_tokens(model: PreTrainedModel) -> None:
    batch = Batch(model, special=())
    said: dict[int, list[int]] = {}
    keys = []
    for index, prompt in enumerate(PROMPTS):
        keys += batch.add([prompt], [greedy(30)])
        said[keys[-1]] = []
        for _ in range(3 + index):
            for key, token in batch.step().items():
                said[key].append(token)
        if index == 2:
            batch.drop({keys[1]})  # the longest: its padding goes with it
    for key, prompt in zip(keys, PROMPTS, strict=True):
        assert said[key] == reference(model, prompt, len(said[key]))
    assert [len(said[key]) for key in keys] == [18, 9, 11, 6]


def test_a_batch_empties_and_fills_again(model: PreTrainedModel) -> None:
    batch = Batch(model, special=())
    (first,) = batch.add([PROMPTS[0]], [greedy(5)])
    batch.step()
    batch.drop({first})
    assert len(batch) == 0
    assert batch.step() == {}
    (second,) = batch.add([PROMPTS[1]], [greedy(5)])
    assert second != first
    assert continued(batch, [second], 5)[second] == reference(model, PROMPTS[1], 5)


def test_the_repetition_penalty_is_hugging_faces(model: PreTrainedModel) -> None:
    batch = Batch(model, special=())
    keys = batch.add(PROMPTS, [Sampling(12, 0.0, 1.0, 1.3, None)] * 4)
    said = continued(batch, keys, 12)
    expected = [reference(model, prompt, 12, repetition_penalty=1.3) for prompt in PROMPTS]
    assert [said[key] for key in keys] == expected


def test_the_repetition_penalty_spares_special_tokens() -> None:
    model = _memoryless([0.5, 0.3, 0.2])
    for special, expected in (((), 1), ((0,), 0)):
        batch = Batch(model, special)
        (key,) = batch.add([[0, 2]], [Sampling(1, 0.0, 1.0, 10.0, None)])
        assert batch.step()[key] == expected


def test_a_seed_draws_alike_alone_and_in_company(model: PreTrainedModel) -> None:
    sampling = Sampling(10, 1.0, 0.95, 1.1, seed=7)
    alone = Batch(model, special=())
    (key,) = alone.add([PROMPTS[2]], [sampling])
    expected = continued(alone, [key], 10)[key]
    company = Batch(model, special=())
    keys = company.add(PROMPTS, [Sampling(10, 1.0, 1.0, 1.0, None), greedy(10), sampling, sampling])
    assert continued(company, keys, 10)[keys[2]] == expected


@pytest.mark.parametrize(
    ("temperature", "top_p", "expected"),
    [
        (1.0, 1.0, [0.5, 0.3, 0.2]),
        # 0.5 alone does not reach 0.7, 0.5 and 0.3 do: 0.2 is out, the rest is rescaled.
        (1.0, 0.7, [0.625, 0.375, 0.0]),
        (1.0, 0.4, [1.0, 0.0, 0.0]),
        # Twice as cold squares the odds: 25 to 9 to 4.
        (0.5, 1.0, [25 / 38, 9 / 38, 4 / 38]),
        # What no client should send draws no error, either.
        (1e-300, 1e-300, [1.0, 0.0, 0.0]),
    ],
)
def test_tokens_are_drawn_from_the_nucleus(
    temperature: float, top_p: float, expected: list[float]
) -> None:
    rows = 2000
    batch = Batch(_memoryless([0.5, 0.3, 0.2]), special=())
    batch.add([[0]] * rows, [Sampling(1, temperature, top_p, 1.0, seed) for seed in range(rows)])
    counts = Counter(batch.step().values())
    for token, probability in enumerate(expected):
        deviation = 4 * math.sqrt(probability * (1 - probability) / rows)
        assert abs(counts[token] / rows - probability) <= deviation


def _memoryless(probabilities: list[float]) -> LlamaForCausalLM:
    """A model that predicts the same distribution after anything."""
    size = len(probabilities)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=size,
            hidden_size=4,
            intermediate_size=4,
            num_hidden_layers=1,
            num_attention_heads=1,
            num_key_value_heads=1,
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.zero_()
        model.model.embed_tokens.weight[:, 0] = 1.0
        # The final norm makes the first unit sqrt(4).
        model.lm_head.weight[:, 0] = torch.tensor(probabilities).log() / 2.0
    return model
