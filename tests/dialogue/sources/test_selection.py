from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from dialogue.sources.selection import smallest


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True), st.integers(1, 9))
def test_it_is_the_smallest_digests_in_the_order_they_came(items: list[str], limit: int) -> None:
    chosen = smallest(items, limit, digest)
    assert sorted(map(digest, chosen)) == sorted(map(digest, items))[:limit]
    assert chosen == [item for item in items if item in chosen]


@given(
    st.lists(st.integers(), unique=True, min_size=5),
    st.lists(st.integers(), unique=True, max_size=3),
)
def test_each_item_that_is_added_puts_out_one_at_most(items: list[int], added: list[int]) -> None:
    before = smallest(map(str, items), 5, digest)
    after = smallest(map(str, {*items, *added}), 5, digest)
    assert len(set(before) - set(after)) <= len(set(added) - set(items))
