from __future__ import annotations

import pytest

from dialogue.card.curves import read_curve


def table(losses: list[str], column: str = "loss") -> str:
    rows = [f"{i + 1},{loss},{i / 2}" for i, loss in enumerate(losses)]
    return "\n".join([f"step,{column},seconds", *rows]) + "\n"


def test_a_curve_is_read_as_it_was_written() -> None:
    curve = read_curve("support", table(["4", "3", "2"]))
    assert curve["steps"] == [1, 2, 3]
    assert curve["loss"] == [4, 3, 2]
    assert (curve["num_steps"], curve["seconds"]) == (3, 1.0)
    assert curve["smooth"][0] == 4
    assert 2 < curve["smooth"][2] < 4


def test_the_smooth_line_of_a_flat_curve_is_flat() -> None:
    assert read_curve("a", table(["2.5"] * 50))["smooth"] == pytest.approx([2.5] * 50)


def test_a_long_curve_is_thinned_to_means() -> None:
    curve = read_curve("a", table([str(i) for i in range(1_000)]))
    assert len(curve["loss"]) == len(curve["steps"]) == len(curve["smooth"]) <= 160
    assert curve["steps"][-1] == 1_000
    assert curve["loss"][0] == 3.0, "the mean of 0 to 6"


def test_what_is_no_number_leaves_a_gap() -> None:
    curve = read_curve("a", table(["4", "nan", "inf", "2"]))
    assert curve["loss"] == [4, None, None, 2]
    assert curve["smooth"][:2] == [4, None]


def test_held_out_losses_stand_at_their_steps() -> None:
    text = "step,loss,seconds,held_out_loss\n1,4,1,\n2,3,2,3.5\n"
    assert read_curve("a", text)["held_out"] == [[2, 3.5]]


def test_no_steps_are_no_fault_but_a_missing_column_is() -> None:
    assert read_curve("a", "step,loss,seconds\n")["loss"] == []
    with pytest.raises(ValueError, match="the curve of music: 'loss'; run its stage again"):
        read_curve("music", table(["1"], column="lost"))
    with pytest.raises(ValueError, match=r"the curve of music: .*; run its stage again"):
        read_curve("music", table(["2", "1"])[: -len(",0.5\n")])
