"""A killed stage ends as the undisturbed one: the same losses, weights and memory, bit by bit."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dialogue.compilation import can_compile
from dialogue.manifest import verify_manifest

ROOT = Path(__file__).parents[2]


def play(scene: str, folder: Path, kills: int = 0) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.tasks.attempts", scene, str(folder), str(kills)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


def assert_equal_ends(folder: Path) -> None:
    one, other = folder / "undisturbed", folder / "killed"
    assert curve(one) == curve(other)
    assert verify_manifest(one / "model") == verify_manifest(other / "model")
    for path in (one / "memory").iterdir():
        assert path.read_bytes() == (other / "memory" / path.name).read_bytes(), path.name
    assert not (other / "checkpoints").exists()


def curve(folder: Path) -> list[dict[str, str]]:
    rows = list(csv.DictReader((folder / "curve.csv").read_text().splitlines()))
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.fixture
def folder(tmp_path: Path, tiny_model: Path) -> Path:
    (tmp_path / "tiny").symlink_to(tiny_model)
    return tmp_path


@pytest.fixture
def kills(pytestconfig: pytest.Config) -> int:
    number: int = pytestconfig.getoption("kills")
    return number


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_killed_at_random_steps(folder: Path, stage: str, kills: int) -> None:
    facts = play(stage, folder, kills)
    assert len(facts["first_steps"]) == kills + 1
    assert facts["first_steps"][0] == 1
    assert all(step > 1 for step in facts["first_steps"][1:]), "a run began anew"
    assert len(curve(folder / "killed")) == facts["num_steps"]
    assert_equal_ends(folder)


@pytest.mark.skipif(not can_compile(), reason="no C++ compiler")
def test_a_compiled_run_killed_at_random_steps(folder: Path) -> None:
    facts = play("compiled", folder, kills=2)
    assert all(step > 1 for step in facts["first_steps"][1:]), "a run began anew"
    assert_equal_ends(folder)


def test_killed_while_saving(folder: Path, kills: int) -> None:
    assert play("saving", folder, kills)["inside"] == kills
    assert_equal_ends(folder)


def test_killed_at_every_file_operation_of_a_save(folder: Path) -> None:
    assert play("operations", folder)["operations"] > 10
