"""Real things, small: a byte tokenizer and a two-layer model in ordinary folders."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from dialogue.config import ScratchModel
from dialogue.model import save_model, scratch_model
from dialogue.tokenization import train_tokenizer

torch.set_num_threads(2)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(["hello there, how are you? I am fine."] * 3, 300)


@pytest.fixture(scope="session")
def tiny_settings() -> ScratchModel:
    return ScratchModel(
        kind="scratch",
        vocabulary_size=300,
        hidden_size=32,
        intermediate_size=64,
        num_layers=2,
        num_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
    )


@pytest.fixture(scope="session")
def tiny_model(
    tmp_path_factory: pytest.TempPathFactory,
    tokenizer: PreTrainedTokenizerFast,
    tiny_settings: ScratchModel,
) -> Path:
    """A model folder with a manifest; tests must not write into it."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(scratch_model(tiny_settings, tokenizer, seed=1), tokenizer, folder, domain="base")
    return folder
