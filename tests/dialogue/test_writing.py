from __future__ import annotations

from pathlib import Path

import pytest

from dialogue.writing import named_where_it_fails, removed_where_it_ends_early


def write_half(whole: Path, partial: Path, fault: BaseException) -> None:
    with named_where_it_fails(whole, partial, ", anew"):
        partial.write_text("half")
        raise fault


def test_half_of_it_is_not_left_by_an_interruption(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "whole", tmp_path / "partial", KeyboardInterrupt())
    assert list(tmp_path.iterdir()) == []


def test_a_failure_names_what_was_to_be_written(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    fault = f"{whole}: cannot be written .no ink.; make room and run again, anew$"
    with pytest.raises(OSError, match=fault):
        write_half(whole, tmp_path / "partial", OSError("no ink"))
    assert list(tmp_path.iterdir()) == []


def interrupt() -> None:
    raise KeyboardInterrupt


def test_half_of_a_folder_is_not_left_either(tmp_path: Path) -> None:
    partial = tmp_path / "partial"
    partial.mkdir()
    (partial / "half").write_text("half")
    with pytest.raises(KeyboardInterrupt), removed_where_it_ends_early(partial):
        interrupt()
    assert list(tmp_path.iterdir()) == []


def test_what_ends_well_stays(tmp_path: Path) -> None:
    partial = tmp_path / "partial"
    with removed_where_it_ends_early(partial):
        partial.write_text("whole")
    assert partial.read_text() == "whole"
