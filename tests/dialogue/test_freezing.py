from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from dialogue.config import Adapters, Freeze
from dialogue.freezing import freeze, merge_adapters
from dialogue.log import SilentLog
from dialogue.model import load_model, save_model
from dialogue.tokenization import load_tokenizer
from dialogue.training import train
from tests.dialogue.continual.rounds import settings, shard


def frozen(**changes: Any) -> Freeze:
    return Freeze.model_validate(
        {"top_layers": None, "names": (), "lora": None, "embeddings": False, "norms": False}
        | changes
    )


def learn(model: PreTrainedModel, checkpoints: Path) -> None:
    train(
        model,
        shard("chat", 12, seed=1),
        settings().training,
        SilentLog(),
        pad_id=0,
        checkpoints=checkpoints,
        label="test",
    )


def test_top_layers_learn_and_the_rest_does_not(tiny_model: Path) -> None:
    model = load_model(tiny_model)
    report = freeze(model, frozen(top_layers=1, embeddings=True, norms=True))
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all(name.startswith("model.layers.1.") and "norm" not in name for name in learning)
    assert 0 < report.trainable_share < 1


def test_everything_learns(tiny_model: Path) -> None:
    assert freeze(load_model(tiny_model), frozen()).trainable_share == 1.0


@pytest.mark.parametrize(
    ("changes", "learned"),
    [
        ({"top_layers": 1, "embeddings": True}, ("layers.1.", "model.norm")),
        ({"names": ("*.mlp.*", "model.embed*")}, ("self_attn", "norm")),
        ({"norms": True, "top_layers": 0}, ("embed_tokens",)),
        ({"norms": True, "embeddings": True}, ("proj",)),
        # Merged adapters change the weights they stand beside, and no other.
        ({"lora": Adapters(rank=2, alpha=4)}, ("proj",)),
        ({"lora": Adapters(rank=2, alpha=4), "names": ("*.mlp.*",)}, ("self_attn.",)),
        ({"lora": Adapters(rank=2, alpha=4), "top_layers": 1}, ("layers.1.*proj",)),
    ],
    ids=str,
)
def test_frozen_weights_are_bit_equal_afterwards(
    tiny_model: Path, tmp_path: Path, changes: dict[str, Any], learned: tuple[str, ...]
) -> None:
    model = load_model(tiny_model)
    freeze(model, frozen(**changes), seed=3)
    learn(model, tmp_path)
    merge_adapters(model)
    after = dict(model.named_parameters())
    before = dict(load_model(tiny_model).named_parameters())
    assert after.keys() == before.keys()
    for name, value in before.items():
        parts = [all(part in name for part in each.split("*")) for each in learned]
        assert torch.equal(value, after[name]) != any(parts), name


def test_adapters_are_merged_before_they_are_saved(tiny_model: Path, tmp_path: Path) -> None:
    model, tokenizer = load_model(tiny_model), load_tokenizer(tiny_model)
    report = freeze(model, frozen(lora=Adapters(rank=2, alpha=4)))
    assert 0 < report.trainable_share < 0.5
    learn(model, tmp_path / "checkpoints")
    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        adapted = model(ids).logits
        plain = load_model(tiny_model)(ids).logits
        merge_adapters(model)
        save_model(model, tokenizer, tmp_path / "model", domain="chat", parent_digest=None)
        saved = load_model(tmp_path / "model")(ids).logits
    assert not torch.allclose(adapted, plain, atol=1e-2)
    torch.testing.assert_close(saved, adapted, rtol=1e-4, atol=1e-4)


def test_adapters_begin_as_their_seed_says(tiny_model: Path) -> None:
    def first(seed: int) -> torch.Tensor:
        model = load_model(tiny_model)
        freeze(model, frozen(lora=Adapters(rank=2, alpha=4)), seed)
        return next(p for name, p in model.named_parameters() if "lora_A" in name)

    torch.manual_seed(1)
    one = first(3)
    torch.manual_seed(2)
    assert torch.equal(one, first(3))
    assert not torch.equal(one, first(4))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"top_layers": 3}, "top_layers is 3, but the model has 2 layers"),
        ({"top_layers": 0, "embeddings": True}, "nothing is left to learn"),
        ({"names": ("*.attention.*",)}, r"`\*.attention.\*` fits no parameter.*model.layers.0"),
        ({"names": ("*proj*",), "lora": Adapters(rank=2, alpha=4)}, "no linear layer is left"),
    ],
)
def test_impossible_wishes_are_named(tiny_model: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        freeze(load_model(tiny_model), frozen(**changes))
