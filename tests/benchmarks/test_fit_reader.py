from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.fit_reader import truncated
from dialogue.appraisal import teach
from dialogue.freezing import add_adapters, merge_adapters
from dialogue.model import load_model


def test_what_is_kept_is_all_that_was_learned_where_that_has_no_higher_rank(
    tiny_model: Path,
) -> None:
    learner, taught = load_model(tiny_model), load_model(tiny_model)
    add_adapters(learner, 4, 8, seed=0)
    with torch.no_grad():
        for name, parameter in learner.named_parameters():
            if ".lora_B." in name:
                parameter[:, :2] = torch.randn(len(parameter), 2)  # rank 2, whatever A is
    kept = truncated(learner, 2)
    assert {min(weight.shape) for weight in kept.values()} == {2}
    merge_adapters(learner)
    teach(taught, kept)
    before = load_model(tiny_model).state_dict()
    for name, weight in taught.state_dict().items():
        change = learner.state_dict()[name] - before[name]
        assert torch.allclose(
            weight, learner.state_dict()[name], atol=2e-3 * (1 + change.abs().max())
        )
        assert change.abs().max() > 0.1 or "_proj" not in name
