"""Two real processes under torchrun against one: DDP, and FSDP2 for what outgrows a device."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.dialogue.processes import RUNS, play

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    (folder / "tiny").symlink_to(tiny_model)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    words = ["--nproc-per-node", "2", "-m", "tests.dialogue.processes", str(folder)]
    done = subprocess.run(
        [*command, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stderr.count("test █") == 2 * len(RUNS) + 2, "more than one process reports"
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> list[dict[str, Any]]:
    """What each process found."""
    return [torch.load(folder / f"results-{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("way", ["ddp", "fsdp"])
def test_losses_and_weights_are_those_of_one_process(
    folder: Path, tmp_path: Path, results: list[dict[str, Any]], way: str, name: str
) -> None:
    curve, weights = play(folder / "tiny", tmp_path, **RUNS[name])
    for found in results:
        other, others = found[f"{way}: {name}"]
        assert len(curve) == len(other) > 2
        for here, there in zip(curve, other, strict=True):
            assert here.keys() == there.keys()
            for key in here.keys() - {"seconds"}:
                assert here[key] == pytest.approx(there[key], rel=2e-5), key
        for key, weight in weights.items():
            torch.testing.assert_close(others[key], weight, rtol=1e-4, atol=3e-5, msg=key)


@pytest.mark.parametrize("way", ["ddp", "fsdp"])
def test_all_processes_end_with_the_same_weights(results: list[dict[str, Any]], way: str) -> None:
    one, other = (found[f"{way}: plain"][1] for found in results)
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("way", ["ddp", "fsdp"])
def test_a_killed_run_goes_on_to_the_same_weights(
    folder: Path, results: list[dict[str, Any]], way: str
) -> None:
    assert results[0][f"{way}: resumed"] == list(range(5, len(results[0][f"{way}: plain"][0]) + 1))
    curve, weights = torch.load(folder / way / "resumed" / "ended-0.pt")
    whole, wanted = results[0][f"{way}: plain"]
    assert [row["loss"] for row in curve] == [row["loss"] for row in whole]
    assert all(torch.equal(value, wanted[name]) for name, value in weights.items())


@pytest.mark.parametrize("way", ["ddp", "fsdp"])
def test_one_that_is_asked_to_stop_stops_all(results: list[dict[str, Any]], way: str) -> None:
    assert results[0][f"{way}: stopped"] == results[1][f"{way}: stopped"] == ["step-00000003"]


@pytest.mark.parametrize("way", ["ddp", "fsdp"])
def test_what_is_not_finite_in_one_stops_all(results: list[dict[str, Any]], way: str) -> None:
    for found in results:
        assert "loss nan" in found[f"{way}: not finite"]
        assert "batch of dialogues d" in found[f"{way}: not finite"]


def test_processes_that_differ_are_refused(results: list[dict[str, Any]]) -> None:
    for found in results:
        assert "what is trained is not the same in all 2 processes" in found["disagreeing"]
