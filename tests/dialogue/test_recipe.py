from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dialogue.packing import plan_steps
from dialogue.recipe import recipe_digest
from tests.dialogue.test_training import SETTINGS, examples, fresh


def digest(tiny_model: Path, **changes: Any) -> str:
    read = changes.pop("read", [examples()])
    model, plan = (
        fresh(tiny_model),
        plan_steps(read[0].lengths, epochs=1.0, tokens_per_batch=64, tokens_per_step=64, seed=1),
    )
    given: dict[str, Any] = {"settings": SETTINGS, "chosen": ("bf16", False), "besides": ""}
    change: Callable[[Any], object] = changes.pop("change", lambda _: None)
    change(model)
    return recipe_digest(model, read, plan, **(given | changes))


def one_weight(model: torch.nn.Module) -> None:
    with torch.no_grad():
        next(model.parameters()).view(-1)[5] += 1e-3


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": SETTINGS.model_copy(update={"learning_rate": 2e-2})},
        {"settings": SETTINGS.model_copy(update={"seed": 2})},
        {"chosen": ("bf16", True)},
        {"besides": "distill at 2"},
        {"read": [examples(seed=3)]},
        {"read": [examples(), examples(seed=5)]},
        {"change": one_weight},
        {"change": lambda model: next(model.parameters()).requires_grad_(False)},
    ],
    ids=["rate", "seed", "compiled", "strategy", "tokens", "held out", "weights", "frozen"],
)
def test_what_changes_a_figure_is_another_recipe(tiny_model: Path, changes: dict[str, Any]) -> None:
    assert digest(tiny_model, **changes) != digest(tiny_model)


def test_what_changes_none_is_the_same_recipe(tiny_model: Path) -> None:
    seldom = SETTINGS.model_copy(update={"checkpoint_seconds": 5.0, "compile": "auto"})
    assert digest(tiny_model, settings=seldom) == digest(tiny_model)
