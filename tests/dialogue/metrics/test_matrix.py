from __future__ import annotations

import pytest

from dialogue.metrics import METRICS
from dialogue.metrics.matrix import Matrix, lifelong

LOWER, HIGHER = METRICS["bits_per_byte"], METRICS["hits_at_1"]

THREE: Matrix = {
    ("base", "base"): 1.0,
    ("base", "a"): 2.0,
    ("base", "b"): 2.0,
    ("base", "c"): 2.0,
    ("a", "base"): 1.2,
    ("a", "a"): 1.0,
    ("a", "b"): 1.8,
    ("b", "base"): 1.1,
    ("b", "a"): 0.9,
    ("b", "b"): 1.5,
    ("b", "c"): 2.1,
    ("c", "base"): 1.3,
    ("c", "a"): 1.2,
    ("c", "b"): 1.4,
    ("c", "c"): 1.0,
}


def test_three_lessons_by_hand_where_less_is_better() -> None:
    found = lifelong(THREE, ["a", "b", "c"], LOWER)
    assert found.average == pytest.approx((1.2 + 1.4 + 1.0) / 3)
    # Since they were learned, `a` lost 0.2 and `b` gained 0.1.
    assert found.backward_transfer == pytest.approx((-0.2 + 0.1) / 2)
    # Before they were learned, `b` was 0.2 better than the base and `c` 0.1 worse.
    assert found.forward_transfer == pytest.approx((0.2 - 0.1) / 2)
    # The best on `a` was 0.9 after `b`; on `b` 1.5; on the base's own exam the base.
    assert found.forgetting_of == pytest.approx({"base": 0.3, "a": 0.3, "b": -0.1})
    assert found.forgetting == pytest.approx((0.3 - 0.1) / 2)


def test_where_more_is_better_the_signs_turn() -> None:
    less, more = lifelong(THREE, ["a", "b"], LOWER), lifelong(THREE, ["a", "b"], HIGHER)
    assert less.backward_transfer == pytest.approx(0.1)
    assert more.backward_transfer == pytest.approx(-0.1)
    assert more.forward_transfer == pytest.approx(-0.2)
    assert more.forgetting_of == pytest.approx({"base": 0.1, "a": 0.1})


def test_the_first_lesson_has_nothing_to_transfer_or_forget() -> None:
    matrix = {("base", "a"): 2.0, ("a", "a"): 1.0}
    found = lifelong(matrix, ["a"], LOWER)
    assert (found.average, found.backward_transfer) == (1.0, None)
    assert (found.forward_transfer, found.forgetting, found.forgetting_of) == (None, None, {})


def test_general_ability_is_held_against_the_best_since_the_base() -> None:
    values = {"base": 1.0, "a": 0.8, "b": 0.9}
    matrix = {**THREE, **{(name, "instructions"): value for name, value in values.items()}}
    found = lifelong(matrix, ["a", "b"], LOWER)
    assert found.forgetting_of == pytest.approx({"base": 0.1, "instructions": 0.1, "a": -0.1})
    assert found.forgetting == lifelong(THREE, ["a", "b"], LOWER).forgetting


def test_a_missing_cell_is_named() -> None:
    matrix = {key: value for key, value in THREE.items() if key != ("b", "b")}
    with pytest.raises(ValueError, match="no bits_per_byte of b on b"):
        lifelong(matrix, ["a", "b", "c"], LOWER)
