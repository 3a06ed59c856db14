from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from dialogue import head
from dialogue.head import summed_nats


@pytest.mark.parametrize("rows", [1, 7, 300])
def test_loss_and_gradients_are_those_of_cross_entropy(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "_MIN_ROWS", 64)
    monkeypatch.setattr(head, "_LOGITS_AT_ONCE", 0)
    torch.manual_seed(0)
    states = torch.randn(rows, 16, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(50, 16, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, 50, (rows,))
    wanted = functional.cross_entropy(states @ weight.T, targets, reduction="sum")
    found = summed_nats(states, weight, targets)
    torch.testing.assert_close(found, wanted.float())
    expected = torch.autograd.grad(0.3 * wanted, (states, weight))
    actual = torch.autograd.grad(0.3 * found, (states, weight))
    # The logits are fp32, whatever they are made of.
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_a_frozen_head_gets_no_gradient() -> None:
    states = torch.randn(5, 8, requires_grad=True)
    weight = torch.randn(20, 8)
    summed_nats(states, weight, torch.arange(5)).backward()  # type: ignore[no-untyped-call]
    assert states.grad is not None
    assert weight.grad is None
