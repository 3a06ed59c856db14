"""Two versions fetched and compared: what is quoted of them, and how much."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from dialogue.records import Turn
from tasks.data_diff import compare_versions
from tests.versioned import Versioned, dialogue


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Versioned:
    """The answer to one question changed, and one dialogue became very long."""
    project = Versioned.make(tmp_path_factory.mktemp("diff") / "project")
    kept = [dialogue(f"word {number}", f"faq.json:{number}") for number in range(10)]
    old = dialogue("old", "faq.json:10")
    project.version([*kept, old], "first")
    new = dataclasses.replace(old, id="n" * 16, turns=(old.turns[0], Turn("assistant", "new")))
    long = dialogue("long " + "x" * 999, "faq.json:11")
    many = dataclasses.replace(long, id="m" * 16, turns=long.turns * 20)
    project.version([new, many, *kept], "second")
    return project


def test_only_what_is_different_is_quoted(project: Versioned) -> None:
    summary = compare_versions(project.path, "support", "HEAD~1", "HEAD", 3)
    (changed,) = summary["examples"]["changed"]
    assert changed["lines"] == [
        {"sign": "-", "role": "assistant", "text": "answer on old"},
        {"sign": "+", "role": "assistant", "text": "new"},
    ]
    assert summary["same"] == {"train": 10, "validation": 0, "test": 0}
    assert summary["before"]["dialogues"]["train"] == 11
    assert summary["after"]["turns"]["train"] == 20 + 2 + 40


def test_long_dialogues_are_cut(project: Versioned) -> None:
    summary = compare_versions(project.path, "support", "HEAD~1", "HEAD", 3)
    (added,) = summary["examples"]["added"]
    assert len(added["lines"]) == 7
    assert added["lines"][-1]["text"] == "… and 34 more"
    assert all(len(line["text"]) <= 201 for line in added["lines"])


def test_the_way_back_swaps_added_and_removed(project: Versioned) -> None:
    there = compare_versions(project.path, "support", "HEAD~1", "HEAD", 0)
    back = compare_versions(project.path, "support", "HEAD", "HEAD~1", 0)
    assert (there["added"], there["removed"]) == (back["removed"], back["added"])
    assert there["drift"]["vocabulary_drift"] == pytest.approx(back["drift"]["vocabulary_drift"])
    assert there["drift"]["turns"]["before"] == back["drift"]["turns"]["after"]


def test_a_folder_that_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not inside of a DVC repository"):
        compare_versions(tmp_path, "support", "HEAD", "workspace", 3)
