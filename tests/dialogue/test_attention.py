"""Attention in blocks against torch's own, values and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dialogue.attention import causal_attention


def drawn(num_tokens: int, groups: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Query [2, 3, G, T, 8], key and value [2, 3, T, 8], to learn."""
    torch.manual_seed(num_tokens)
    shapes = [(2, 3, groups, num_tokens, 8), (2, 3, num_tokens, 8), (2, 3, num_tokens, 8)]
    return [torch.randn(shape).to(dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("num_tokens", [1, 16, 127, 128, 129, 300])
@pytest.mark.parametrize("groups", [1, 3])
def test_values_and_gradients_are_those_of_torch(num_tokens: int, groups: int) -> None:
    """Below, at and above the size of a block, with and without shared keys."""
    ours, theirs = drawn(num_tokens, groups), drawn(num_tokens, groups)
    query, key, value = theirs
    wanted = functional.scaled_dot_product_attention(
        query.flatten(1, 2), key, value, is_causal=True, scale=1.0, enable_gqa=True
    ).view_as(query)
    found = causal_attention(*ours)
    torch.testing.assert_close(found, wanted)
    weights = torch.randn(found.shape)
    for mine, other in zip(
        torch.autograd.grad((found * weights).sum(), ours),
        torch.autograd.grad((wanted * weights).sum(), theirs),
        strict=True,
    ):
        torch.testing.assert_close(mine, other)


def test_a_token_does_not_see_later_ones() -> None:
    """Not within its block of queries, and not in the next."""
    query, key, value = (part.detach() for part in drawn(300, 1))
    before = causal_attention(query, key, value)
    for first in (100, 200):
        later = [key.clone(), value.clone()]
        for part in later:
            part[:, :, first:] += 1.0
        after = causal_attention(query, *later)
        assert torch.equal(after[..., :first, :], before[..., :first, :])
        assert not torch.equal(after[..., first:, :], before[..., first:, :])


def test_bf16_stays_near_fp32() -> None:
    """Probabilities rounded to bf16 keep the gradients within its precision."""
    exact, rounded = drawn(200, 3), drawn(200, 3, torch.bfloat16)
    for mine, other in zip(
        torch.autograd.grad(causal_attention(*rounded).float().sum(), rounded),
        torch.autograd.grad(causal_attention(*exact).sum(), exact),
        strict=True,
    ):
        assert (mine.float() - other).norm() < 0.02 * other.norm() + 0.05
