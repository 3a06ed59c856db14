"""What the program itself gets wrong ends with a traceback, and exit status 1."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from dialogue import config
from perennial.promote import version_number
from tasks._verdict import read_verdict
from tasks.faults import is_for_people, told_to_people

ROOT = Path(__file__).parents[2]


def fault(act: Callable[[], object]) -> ValueError | OSError:
    with pytest.raises((ValueError, OSError)) as raised:
        act()
    return raised.value


@pytest.mark.parametrize(
    "act",
    [
        lambda: version_number("x"),
        lambda: read_verdict(Path("nowhere.json")),
        lambda: config.load_params(Path("nowhere.yaml")),
        lambda: Path("nowhere").read_text(),
        lambda: json.loads("{"),
        lambda: b"\xff".decode("utf-8"),
        lambda: TypeAdapter(int).validate_python("x"),
    ],
    ids=["ours", "ours, from another", "ours, by a helper", "file", "JSON", "text", "pydantic"],
)
def test_what_a_person_can_mend(act: Callable[[], object]) -> None:
    assert is_for_people(fault(act))


@pytest.mark.parametrize(
    "statement",
    [
        "np.zeros(2) + np.zeros(3)",
        "np.concatenate([])",
        "torch.nn.init.xavier_uniform_(torch.zeros(2))",
        "int('x')",
        "list(zip([1], [], strict=True))",
    ],
)
def test_what_only_we_can_mend(statement: str) -> None:
    module = {"__name__": "dialogue.metrics.novelty", "np": np, "torch": torch}
    exec(f"def act(): {statement}", module)
    assert not is_for_people(fault(module["act"]))  # type: ignore[arg-type]


def test_a_full_disk_that_names_no_file_is_told_with_its_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the kernel tells of `write`; `/dev/full` has no room."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit), told_to_people(), Path("/dev/full").open("wb", 0) as file:
        file.write(b"x")
    said = capsys.readouterr().err
    assert said == f"error: {tmp_path}: No space left on device; make room and run again\n"


def test_what_is_no_file_is_told_as_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), told_to_people():
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    assert capsys.readouterr().err.endswith("] Connection refused\n")


def test_a_fault_of_the_program_shows_where() -> None:
    script = (
        "import numpy as np; from perennial import app\n"
        "app.application = lambda: lambda: np.zeros(2) + np.zeros(3)\n"
        "app.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert "could not be broadcast" in done.stderr
