"""A full disk is named, and what was running goes on once there is room: a tmpfs of a few pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dialogue.config import Params, load_params
from dialogue.continual.memory import Memory, write_memory
from dialogue.manifest import verify_manifest
from dialogue.shards import empty_shard, write_shard
from tests.dialogue.test_training import Steps, fresh, run, stopped_early
from tests.tasks.test_finetune import run as finetune
from tests.tasks.test_finetune import shard

ROOT = Path(__file__).parents[2]
MakeDisk = Callable[[int], Path]


def test_a_checkpoint_without_room(tiny_model: Path, tmp_path: Path, disk: MakeDisk) -> None:
    whole, model = fresh(tiny_model), fresh(tiny_model)
    often = {"checkpoint_seconds": 1e-6}
    run(whole, tmp_path / "a", **often)
    kilobytes = 12 * sum(parameter.numel() for parameter in model.parameters()) / 1000
    folder = disk(round(1.5 * kilobytes))
    with pytest.raises(OSError, match=r"step-00000002: cannot be written .*No space.*; make room"):
        run(model, folder / "b", **often)
    assert [path.name for path in (folder / "b").iterdir()] == ["step-00000001"]
    disk(round(4 * kilobytes))
    # Where it left off, with the weights that it had then.
    model = fresh(tiny_model)
    log = Steps()
    run(model, folder / "b", log, **often)
    assert log.steps[0] == 2
    assert all(map(torch.equal, whole.parameters(), model.parameters()))


def test_kept_frozen_layers_without_room(tiny_model: Path, tmp_path: Path, disk: MakeDisk) -> None:
    folder = disk(64)
    model = fresh(tiny_model, top_layers=1)
    with pytest.raises(OSError, match=r"states\.bin: no room for .*make room and run again"):
        run(model, folder / "b", frozen_cache="always")
    assert not list(folder.rglob("states.bin"))
    disk(1024)
    run(model, folder / "b", frozen_cache="always")
    whole = fresh(tiny_model, top_layers=1)
    run(whole, tmp_path / "a", frozen_cache="always")
    assert all(map(torch.equal, whole.parameters(), model.parameters()))


def test_the_best_weights_without_room(tiny_model: Path, disk: MakeDisk) -> None:
    folder = disk(64)
    with pytest.raises(OSError, match=r"lowest/.*: cannot be written .*No space"):
        stopped_early(tiny_model, folder / "b", patience=2)
    disk(4096)
    stopped_early(tiny_model, folder / "b", patience=2)


def test_a_model_without_room(tiny_model: Path, tmp_path: Path, disk: MakeDisk) -> None:
    """What was learned is not lost: the checkpoints stay until the model is saved."""
    params = often(load_params(ROOT / "params.yaml"))
    write_shard(tmp_path / "none", empty_shard())
    write_shard(tmp_path / "encoded" / "chat" / "train", shard(tiny_model, "chat"))
    (tmp_path / "models").symlink_to(disk(64))
    parents = (tiny_model, tmp_path / "none", "chat")
    with pytest.raises(OSError, match=r"models/chat: cannot be written .*No space"):
        finetune(params, tmp_path, *parents)
    (left,) = (tmp_path / "checkpoints" / "chat").glob("step-*")
    disk(4096)
    log = Steps()
    finetune(params, tmp_path, *parents, log=log)
    assert log.steps == []
    verify_manifest(tmp_path / "models" / "chat")
    assert not left.exists()


def test_a_memory_without_room(tmp_path: Path, disk: MakeDisk, tiny_model: Path) -> None:
    folder = disk(16)
    memory = Memory(shard(tiny_model, "chat", 2000), learned=("chat",))
    with pytest.raises(OSError, match=r"memory/chat: cannot be written .*No space.*; make room"):
        write_memory(folder / "memory" / "chat", memory)
    assert not (folder / "memory" / "chat").exists()


def often(params: Params) -> Params:
    training = params.finetune.training.model_copy(update={"checkpoint_seconds": 1e-6})
    section: Any = params.finetune.model_copy(update={"training": training})
    return params.model_copy(update={"finetune": section})
