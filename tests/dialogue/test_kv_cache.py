"""Both caches continue the same rows alike, whoever comes and goes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from dialogue import kv_cache
from dialogue.kv_cache import PaddedCache, SlotCache, choose_cache
from dialogue.llama import Llama

SIZES = {
    "vocab_size": 40,
    "hidden_size": 24,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
MODEL = LlamaForCausalLM(LlamaConfig(**SIZES)).eval()
PROMPT = st.lists(st.integers(0, 39), min_size=1, max_size=20)
MOVE = st.one_of(
    st.tuples(st.just("read"), st.lists(PROMPT, min_size=1, max_size=3)),
    st.tuples(st.just("advance"), st.integers(1, 5)),
    st.tuples(st.just("keep"), st.randoms(use_true_random=False)),
)


@given(moves=st.lists(MOVE, max_size=8))
@settings(max_examples=40, deadline=None)
@torch.inference_mode()
def test_a_slot_and_a_padded_row_remember_the_same(moves: list[tuple[str, object]]) -> None:
    caches = (SlotCache(Llama(MODEL, torch.float32)), PaddedCache(MODEL))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kv_cache, "_COLUMNS", 4)
        patch.setattr(kv_cache, "_TOKENS_AT_ONCE", 32)
        num_rows = 0
        for kind, value in moves:
            if kind == "read":
                assert isinstance(value, list)
                _equal(*(cache.read(value) for cache in caches))
                num_rows += len(value)
            elif kind == "keep":
                order = value.sample(range(num_rows), value.randint(0, num_rows))  # type: ignore[attr-defined]
                for cache in caches:
                    cache.keep(order)
                num_rows = len(order)
            else:
                assert isinstance(value, int)
                for token in range(value if num_rows else 0):
                    tokens = torch.arange(num_rows) + token
                    _equal(*(cache.advance(tokens) for cache in caches))


@torch.inference_mode()
def test_slots_give_up_columns_that_nobody_needs() -> None:
    cache = SlotCache(Llama(MODEL, torch.float32))
    cache.read([[1] * 300, [2] * 5])
    wide = cache.columns
    cache.keep([1])
    cache.advance(torch.tensor([3]))
    assert (wide, cache.columns) == (320, 32)


def test_the_cache_follows_the_model() -> None:
    other = Qwen2ForCausalLM(Qwen2Config(**SIZES)).eval()
    assert isinstance(choose_cache(MODEL), SlotCache)
    assert isinstance(choose_cache(other), PaddedCache)


def _equal(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
