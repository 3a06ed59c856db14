from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from dialogue.encoding import Encoded
from dialogue.metrics import Floats
from dialogue.metrics.likelihood import Branch, Tree, log_likelihoods
from dialogue.model import load_model

GENERATOR = np.random.default_rng(0)


@pytest.fixture(scope="module", params=["plain Llama", "any other"])
def model(tiny_model: Path, request: pytest.FixtureRequest) -> PreTrainedModel:
    if request.param == "plain Llama":
        return load_model(tiny_model).eval()
    torch.manual_seed(0)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=300,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
        )
    ).eval()


def sequence(length: int, share: float = 0.5) -> Encoded:
    return Encoded(GENERATOR.integers(3, 290, length), GENERATOR.random(length) < share)


def alone(model: PreTrainedModel, tokens: Encoded, first: int = 0) -> Floats:
    """Straight from all logits of one sequence: scored tokens from `first` on."""
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(tokens.ids)[None]).logits[0]
    found = torch.log_softmax(logits.double(), -1).numpy()
    places = [t for t in range(max(first, 1), len(tokens.ids)) if tokens.mask[t]]
    return np.array([found[t - 1, tokens.ids[t]] for t in places])


def whole(trunk: Encoded, branch: Branch) -> Encoded:
    before = np.zeros(branch.start, dtype=np.bool_)
    return Encoded(
        np.concatenate([trunk.ids[: branch.start], branch.tokens.ids]),
        np.concatenate([before, branch.tokens.mask]),
    )


def test_a_tree_equals_every_path_by_itself(model: PreTrainedModel) -> None:
    branches = (Branch(10, sequence(8)), Branch(0, sequence(5)), Branch(30, sequence(12, 1.0)))
    trees = [Tree(sequence(30), branches), Tree(sequence(50)), Tree(sequence(7))]
    found = log_likelihoods(model, trees, "fp32")
    for tree, parts in zip(trees, found, strict=True):
        assert parts[0] == pytest.approx(alone(model, tree.trunk), abs=1e-4)
        for branch, part in zip(tree.branches, parts[1:], strict=True):
            expected = alone(model, whole(tree.trunk, branch), branch.start)
            assert part == pytest.approx(expected, abs=1e-4)


def test_single_tokens_are_read_only_where_something_follows(model: PreTrainedModel) -> None:
    end = sequence(1, 1.0)
    trees = [Tree(sequence(9), (Branch(9, end), Branch(4, end))), Tree(end)]
    assert [len(tree) for tree in trees] == [9, 1]
    found = log_likelihoods(model, trees, "fp32")
    for branch, part in zip(trees[0].branches, found[0][1:], strict=True):
        assert part == pytest.approx(
            alone(model, whole(trees[0].trunk, branch), branch.start), abs=1e-4
        )
    assert [len(part) for part in found[1]] == [0]


def test_batches_change_nothing(model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    trees = [Tree(sequence(n), (Branch(2, sequence(n)),)) for n in (5, 60, 17, 33)]
    together = log_likelihoods(model, trees, "fp32")
    monkeypatch.setattr("dialogue.metrics.likelihood._TOKENS_PER_BATCH", 1)
    monkeypatch.setattr("dialogue.metrics.likelihood._LOGITS_AT_ONCE", 3)
    for one, other in zip(together, log_likelihoods(model, trees, "fp32"), strict=True):
        assert np.concatenate(one) == pytest.approx(np.concatenate(other), abs=1e-4)


def test_the_first_token_is_never_scored(model: PreTrainedModel) -> None:
    tokens = sequence(6, 1.0)
    ((trunk, branch),) = log_likelihoods(
        model, [Tree(tokens, (Branch(0, sequence(3, 1.0)),))], "fp32"
    )
    assert (len(trunk), len(branch)) == (5, 2)


def test_progress_adds_up_to_the_tokens_that_are_read(model: PreTrainedModel) -> None:
    trees = [Tree(sequence(20), (Branch(4, sequence(6)),)), Tree(sequence(9))]
    told: list[int] = []
    log_likelihoods(model, trees, "fp32", told.append)
    # The last token of a sequence predicts nothing.
    assert sum(told) == sum(map(len, trees)) == 19 + 5 + 8
    assert log_likelihoods(model, [], "fp32") == []


def test_half_precision_is_near(model: PreTrainedModel) -> None:
    trees = [Tree(sequence(40, 1.0))]
    full, half = (log_likelihoods(model, trees, p)[0][0] for p in ("fp32", "bf16"))
    assert half == pytest.approx(full, abs=0.1)
