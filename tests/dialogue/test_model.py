from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from dialogue.model import check_logits, load_model

SIZES: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def granite(scaling: float) -> PreTrainedModel:
    return GraniteForCausalLM(GraniteConfig(**SIZES, logits_scaling=scaling))


def cohere() -> PreTrainedModel:
    return CohereForCausalLM(CohereConfig(**SIZES, logit_scale=0.0625))


def gemma() -> PreTrainedModel:
    return Gemma2ForCausalLM(Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=30.0))


@pytest.mark.parametrize("made", [granite(8.0), cohere()], ids=["divided", "multiplied"])
def test_logits_that_are_not_the_output_layers_are_refused(
    tmp_path: Path, made: PreTrainedModel
) -> None:
    """Losses and likelihoods would be of other logits than replies are drawn from."""
    made.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=rf"{tmp_path}: {type(made).__name__} changes its output"):
        load_model(tmp_path)


def test_logits_that_are_bounded_are_refused() -> None:
    with pytest.raises(ValueError, match="here: Gemma2ForCausalLM changes its output"):
        check_logits(gemma().eval(), "here")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_architectures_with_plain_logits_are_read(tmp_path: Path, dtype: torch.dtype) -> None:
    for name, made in (("granite", granite(1.0)), ("qwen", Qwen2ForCausalLM(Qwen2Config(**SIZES)))):
        made.save_pretrained(tmp_path / name)
        assert type(load_model(tmp_path / name, dtype=dtype)) is type(made)


def test_a_llama_reads_nothing_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    made = LlamaForCausalLM(LlamaConfig(**SIZES))
    monkeypatch.setattr(made, "forward", refuse)
    check_logits(made, "a Llama")


def test_an_architecture_whose_layers_are_called_otherwise_is_refused(tmp_path: Path) -> None:
    GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=8, n_layer=1, n_head=1)).save_pretrained(
        tmp_path
    )
    with pytest.raises(
        ValueError, match=r"GPT2LMHeadModel has no `layers` and no `norm`, by which"
    ):
        load_model(tmp_path)
