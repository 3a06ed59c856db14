from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from dialogue.compilation import can_compile
from dialogue.config import Freeze
from dialogue.encoding import Encoded
from dialogue.forward import (
    Forward,
    LlamaForward,
    choose_forward,
    frozen_layers,
)
from dialogue.freezing import freeze
from dialogue.head import OutputLayer, Teacher
from dialogue.model import load_model
from dialogue.objective import Regularizer, negative_log_likelihood, summed_loss
from dialogue.packing import Batch, collate


def batch(lengths: tuple[int, ...] = (5, 17, 33, 40), seed: int = 0) -> Batch:
    generator = np.random.default_rng(seed)
    rows = [Encoded(generator.integers(3, 290, n), generator.random(n) < 0.5) for n in lengths]
    return collate(rows, 0)


def gradients(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


def grouped() -> LlamaForCausalLM:
    """Grouped-query attention, a head of its own, and scaled rotary positions."""
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=300,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            rms_norm_eps=1e-3,
            tie_word_embeddings=False,
            rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 1000.0},
        )
    )


@pytest.mark.parametrize(
    "compiled",
    [
        False,
        pytest.param(True, marks=pytest.mark.skipif(not can_compile(), reason="no C++ compiler")),
    ],
)
def test_loss_and_gradients_are_those_of_transformers(compiled: bool) -> None:
    model, given = grouped(), batch()
    wanted = negative_log_likelihood(model, given).sum()
    wanted.backward()  # type: ignore[no-untyped-call]
    expected = gradients(model)
    total, nats = summed_loss(LlamaForward(model, "fp32", compiled=compiled), given)
    total.backward()  # type: ignore[no-untyped-call]
    assert nats == pytest.approx(float(wanted.detach()), rel=1e-5)
    torch.testing.assert_close(gradients(model), expected, rtol=1e-3, atol=1e-4)


def test_in_bf16_it_stays_close(tiny_model: Path) -> None:
    model, given = load_model(tiny_model), batch()
    wanted = float(negative_log_likelihood(model, given).sum().detach())
    lean, plain = LlamaForward(model, "bf16"), Forward(model, "bf16")  # type: ignore[arg-type]
    assert summed_loss(lean, given)[1] == pytest.approx(wanted, rel=1e-2)
    assert summed_loss(plain, given)[1] == pytest.approx(wanted, rel=1e-2)


@pytest.mark.parametrize("top", [0, 1, 2])
def test_what_is_known_of_the_frozen_layers_gives_the_same_loss(tiny_model: Path, top: int) -> None:
    model = load_model(tiny_model)
    freeze(model, Freeze(top_layers=top, embeddings=top > 0, norms=False))
    if top == 0:
        model.requires_grad_(False)
        model.base_model.norm.requires_grad_(True)
    forward, given = choose_forward(model, "bf16", compiled=False), batch()
    assert forward.num_frozen == 2 - top
    border = forward.border(given.ids) if forward.num_frozen else None
    computed, kept = (summed_loss(forward, given, border=each)[0] for each in (None, border))
    assert torch.equal(computed, kept)


def test_a_layer_above_what_learns_is_not_frozen(tiny_model: Path) -> None:
    model = load_model(tiny_model)
    freeze(model, Freeze(top_layers=1, embeddings=False, norms=False))
    assert frozen_layers(model) == 0
    freeze(model, Freeze(top_layers=1, embeddings=True, norms=False))
    assert frozen_layers(model) == 1
    model.base_model.layers[0].mlp.down_proj.weight.requires_grad_(True)
    assert frozen_layers(model) == 0


def test_what_is_not_plain_llama_goes_transformers_own_way() -> None:
    model = grouped()
    assert type(choose_forward(model, "fp32", compiled=False)) is LlamaForward
    model.config.attention_dropout = 0.1
    assert type(choose_forward(model, "fp32", compiled=False)) is Forward


def test_a_regularizer_adds_to_the_loss_and_not_to_what_is_told(tiny_model: Path) -> None:
    given = batch()

    class Other(Regularizer):
        """A teacher of the positions that are read, by another output layer."""

        def __init__(self, read: list[bool]) -> None:
            self._number = sum(read)

        def teacher(self, indices: tuple[int, ...]) -> Teacher:
            assert indices == (4, 5, 6, 7)
            assert self._number > 0, "nobody is asked where nothing is read"
            ones = torch.ones(self._number)
            return Teacher(
                torch.zeros(self._number, 32), 2 * ones, 1.0, OutputLayer(torch.eye(296, 32))
            )

    model, number = load_model(tiny_model), len(given.targets)
    forward = choose_forward(model, "fp32", compiled=False)
    plain, nats = summed_loss(forward, given)
    with torch.no_grad():
        said = forward.layer.logits(forward.states(given)).log_softmax(-1)
    uniform = -said.mean(-1) - math.log(296)
    for read in ([True] * number, [False] * number, [i % 3 == 0 for i in range(number)]):
        asked = replace(given, read=torch.tensor(read) if any(read) else None)
        total, told = summed_loss(forward, asked, regularizer=Other(read), indices=(4, 5, 6, 7))
        assert told == pytest.approx(nats, rel=1e-5)
        # From a uniform teacher: the mean of −log P over all words, less the log of their number.
        wanted = float(plain.detach()) + 2 * float(uniform[torch.tensor(read)].sum())
        assert float(total.detach()) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("learns", [False, True])
def test_only_a_frozen_output_layer_is_cast_once(learns: bool) -> None:
    """One that learns must be read as it is now."""
    model = grouped()
    freeze(model, Freeze(top_layers=1, embeddings=not learns, norms=False))
    forward = choose_forward(model, "bf16", compiled=False)
    assert (forward.layer.weight is forward.layer.weight.bfloat16()) != learns
    with torch.no_grad():
        model.lm_head.weight.zero_()
    assert bool(forward.layer.weight.any()) != learns


def test_an_output_layer_with_a_bias_keeps_it() -> None:
    model, given = grouped(), batch()
    torch.manual_seed(1)
    model.lm_head.bias = torch.nn.Parameter(torch.randn(300))
    forward = choose_forward(model, "fp32", compiled=False)
    wanted = float(negative_log_likelihood(model, given).sum().detach())
    assert summed_loss(forward, given)[1] == pytest.approx(wanted, rel=1e-5)
