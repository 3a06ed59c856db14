from __future__ import annotations

from pathlib import Path

import pytest

from dialogue.config import Freeze
from dialogue.freezing import freeze
from dialogue.model import load_model


def test_top_layers_learn_and_the_rest_does_not(tiny_model: Path) -> None:
    model = load_model(tiny_model)
    report = freeze(model, Freeze(top_layers=1, embeddings=True, norms=True))
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all(name.startswith("model.layers.1.") and "norm" not in name for name in learning)
    assert 0 < report.trainable_share < 1


def test_everything_learns(tiny_model: Path) -> None:
    report = freeze(load_model(tiny_model), Freeze(top_layers=None, embeddings=False, norms=False))
    assert report.trainable_share == 1.0


def test_impossible_wishes_are_named(tiny_model: Path) -> None:
    model = load_model(tiny_model)
    with pytest.raises(ValueError, match="top_layers is 3, but the model has 2 layers"):
        freeze(model, Freeze(top_layers=3, embeddings=True, norms=False))
    with pytest.raises(ValueError, match="nothing is left to learn"):
        freeze(model, Freeze(top_layers=0, embeddings=True, norms=False))
