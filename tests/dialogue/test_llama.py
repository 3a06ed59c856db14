"""The lean forward pass computes what transformers' own computes."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from dialogue.freezing import add_adapters
from dialogue.kv_cache import SlotCache
from dialogue.llama import Llama, _say_once, choose_llama, oddity

SIZES = {
    "vocab_size": 40,
    "hidden_size": 24,
    "intermediate_size": 20,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 500.0, "factor": 2.0}


def llama(**settings: Any) -> LlamaForCausalLM:
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**{**SIZES, **settings}))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
    return model.eval()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_key_value_heads": 6, "tie_word_embeddings": True},
        {"head_dim": 8, "rms_norm_eps": 1e-3},
        {"rope_parameters": LLAMA3},
    ],
)
@torch.inference_mode()
def test_logits_are_those_of_transformers(settings: dict[str, Any]) -> None:
    model = llama(**settings)
    torch.manual_seed(1)
    ids = torch.randint(0, 40, (3, 20))
    lengths = (20, 11, 1)
    cache = SlotCache(Llama(model, torch.float32))
    prompts = [row[:length].tolist() for row, length in zip(ids, lengths, strict=True)]
    found = [cache.read(prompts)]
    following = torch.randint(0, 40, (4, 3))
    found += [cache.advance(tokens) for tokens in following]
    for row, length in enumerate(lengths):
        whole = torch.cat([ids[row, :length], following[:, row]])[None]
        expected = model(input_ids=whole).logits[0, length - 1 :]
        torch.testing.assert_close(
            torch.stack([logits[row] for logits in found]), expected, atol=1e-5, rtol=1e-5
        )


@torch.inference_mode()
def test_the_weights_stay_the_models_own() -> None:
    model = llama()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    cache = SlotCache(Llama(model, torch.float32))
    cache.read([[1, 2, 3]])
    cache.advance(torch.tensor([4]))
    after = model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_products_are_made_in_the_type_around_the_call() -> None:
    model = llama()
    full = choose_llama(model)
    with torch.autocast("cpu", torch.bfloat16):
        half = choose_llama(model)
    assert full is not None
    assert half is not None
    assert (full.dtype, half.dtype) == (torch.float32, torch.bfloat16)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"hidden_act": "gelu"}, "activation is gelu"),
        ({"attention_bias": True}, "biases"),
        ({"mlp_bias": True}, "biases"),
        ({"rope_parameters": DYNAMIC}, "dynamic rotary positions"),
    ],
)
def test_what_computes_otherwise_is_no_plain_llama(settings: dict[str, Any], why: str) -> None:
    assert oddity(llama(), learning=True) == ""
    for learning in (False, True):
        assert why in oddity(llama(**settings), learning=learning)


def test_dropout_is_odd_in_a_model_that_learns() -> None:
    dropping = llama(attention_dropout=0.1)
    assert oddity(dropping, learning=False) == ""
    assert "attention_dropout" in oddity(dropping, learning=True)
    assert choose_llama(dropping) is not None
    assert choose_llama(dropping.train()) is None


@pytest.mark.parametrize(
    "name",
    ["model.embed_tokens", "lm_head"]
    + [f"model.layers.2.self_attn.{side}_proj" for side in "qkvo"]
    + [f"model.layers.2.mlp.{side}_proj" for side in ("gate", "up", "down")],
)
def test_an_adapter_is_seen_wherever_it_stands(name: str) -> None:
    model = llama()
    model.set_submodule(name, torch.nn.Sequential(model.get_submodule(name)))
    assert oddity(model, learning=False).endswith(
        f"Sequential, such as an adapter, stands for {name}"
    )


def test_adapters_are_not_passed_over() -> None:
    """PEFT's own, in the MLP alone."""
    model = llama().requires_grad_(False)
    for layer in model.model.layers:
        layer.mlp.requires_grad_(True)
    add_adapters(model, rank=2, alpha=2, seed=0)
    assert choose_llama(model) is None
    assert "lora" in oddity(model, learning=True)


def test_another_architecture_is_named_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    _say_once.cache_clear()
    other = Qwen2ForCausalLM(Qwen2Config(**SIZES)).eval()
    with caplog.at_level(logging.INFO):
        assert [choose_llama(other), choose_llama(other)] == [None, None]
    assert caplog.text.count("Qwen2ForCausalLM is no LlamaForCausalLM: read by transformers'") == 1
