"""Both forms of attention in blocks against torch's own, values and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dialogue import attention
from dialogue.attention import causal_attention
from dialogue.compilation import can_compile

NEEDS_COMPILER = pytest.mark.skipif(not can_compile(), reason="no C++ compiler")
ANEW = pytest.param("_MadeAnew", marks=NEEDS_COMPILER)


def drawn(num_tokens: int, groups: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Query [2, 3, G, T, 8], key and value [2, 3, T, 8], to learn."""
    torch.manual_seed(num_tokens)
    shapes = [(2, 3, groups, num_tokens, 8), (2, 3, num_tokens, 8), (2, 3, num_tokens, 8)]
    return [torch.randn(shape).to(dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("num_tokens", [1, 16, 127, 128, 129, 300])
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("form", ["_InBlocks", ANEW])
def test_values_and_gradients_are_those_of_torch(
    num_tokens: int, groups: int, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below, at and above the size of a block, with and without shared keys."""
    monkeypatch.setattr(attention, "_BLOCK_ANEW", 128)
    ours, theirs = drawn(num_tokens, groups), drawn(num_tokens, groups)
    query, key, value = theirs
    wanted = functional.scaled_dot_product_attention(
        query.flatten(1, 2), key, value, is_causal=True, scale=1.0, enable_gqa=True
    ).view_as(query)
    found = getattr(attention, form).apply(*ours)
    torch.testing.assert_close(found, wanted)
    weights = torch.randn(found.shape)
    for mine, other in zip(
        torch.autograd.grad((found * weights).sum(), ours),
        torch.autograd.grad((wanted * weights).sum(), theirs),
        strict=True,
    ):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("form", ["_InBlocks", ANEW])
def test_what_is_not_seen_may_be_of_any_size(form: str) -> None:
    """Exponentials of later scores would be infinite."""
    query, key, value = (part.detach() for part in drawn(20, 1))
    key[:, :, 10:] *= 1_000.0
    ours = [part.clone().requires_grad_() for part in (query, key, value)]
    found = getattr(attention, form).apply(*ours)[:, :, :, :10]
    early = [part[..., :10, :].clone().requires_grad_() for part in (query, key, value)]
    wanted = causal_attention(*early)
    torch.testing.assert_close(found, wanted)
    for mine, other in zip(
        torch.autograd.grad(found.square().sum(), ours),
        torch.autograd.grad(wanted.square().sum(), early),
        strict=True,
    ):
        torch.testing.assert_close(mine[..., :10, :], other)
        assert not mine[..., 10:, :].any()


@pytest.mark.parametrize("learns", [True, False])
def test_a_token_does_not_see_later_ones(learns: bool) -> None:
    """Not within its block of queries, and not in the next."""
    query, key, value = (part.detach().requires_grad_(learns) for part in drawn(300, 1))
    before = causal_attention(query, key, value)
    for first in (100, 200):
        later = [key.detach().clone(), value.detach().clone()]
        for part in later:
            part[:, :, first:] += 1.0
        after = causal_attention(query, *later)
        assert torch.equal(after[..., :first, :], before[..., :first, :])
        assert not torch.equal(after[..., first:, :], before[..., first:, :])


@pytest.mark.parametrize("compile_it", [pytest.param(True, marks=NEEDS_COMPILER), False])
@pytest.mark.parametrize("groups", [1, 3])
def test_bf16_stays_near_fp32(groups: int, compile_it: bool) -> None:
    """Probabilities rounded to bf16 keep the gradients within its precision."""
    exact, rounded = drawn(200, groups), drawn(200, groups, torch.bfloat16)
    found = causal_attention(*rounded, compile_it=compile_it)
    assert found.grad_fn is not None
    assert found.grad_fn.name() == ("_MadeAnewBackward" if compile_it else "_InBlocksBackward")
    for mine, other in zip(
        torch.autograd.grad(found.float().sum(), rounded),
        torch.autograd.grad(causal_attention(*exact).sum(), exact),
        strict=True,
    ):
        assert (mine.float() - other).norm() < 0.02 * other.norm() + 0.05
