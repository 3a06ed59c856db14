"""Packed parts attend to exactly what a mask over the whole row would let them see."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from dialogue import tree_attention
from dialogue.tree_attention import Part, TreeAttention

BRANCH = st.tuples(st.integers(0, 9), st.integers(1, 11))


@given(
    branches=st.lists(st.tuples(st.integers(1, 9), st.lists(BRANCH, max_size=5)), min_size=1),
    grouped=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_packed_attention_is_masked_attention(
    branches: list[tuple[int, list[tuple[int, int]]]], grouped: bool
) -> None:
    parts: list[Part] = []
    total = 0
    for trunk, others in branches[:3]:
        origin = total
        for past, length in [(0, trunk), *others]:
            parts.append(Part(total, length, origin, min(past, trunk)))
            total += length
    torch.manual_seed(0)
    query = torch.randn(total, 4, 8)
    key, value = torch.randn(2, total, 2 if grouped else 4, 8)
    sees = torch.zeros(total, total, dtype=torch.bool)
    for part in parts:
        rows = slice(part.first, part.first + part.length)
        sees[rows, part.origin : part.origin + part.past] = True
        sees[rows, rows] = torch.ones(part.length, part.length).tril().bool()
    expected = functional.scaled_dot_product_attention(
        *(states.transpose(0, 1)[None] for states in (query, key, value)),
        attn_mask=sees,
        scale=0.3,
        enable_gqa=grouped,
    )[0].transpose(0, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree_attention, "_TOKENS_AT_ONCE", 8)
        attention = TreeAttention(parts, torch.device("cpu"))
    found = attention(query, key, value, 0.3)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
