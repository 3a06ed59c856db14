"""Checkpoints of a training run: complete or absent, verified before use, nothing pickled."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from dialogue.digests import file_digest
from dialogue.writing import named_where_it_fails

_NAME = re.compile(r"^step-(\d{8})$")
_PARTIAL = ".partial-"
_WEIGHTS, _OPTIMIZER, _STATE = "weights.safetensors", "optimizer.safetensors", "state.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a run stood after `step` optimizer steps.

    `weights` are the learning parameters by name, `optimizer` their AdamW moments as
    `<name>/<moment>`, `history` the curve so far, `recipe` the digest of what the run follows from.
    """

    step: int
    recipe: str
    weights: dict[str, torch.Tensor]
    optimizer: dict[str, torch.Tensor]
    history: list[dict[str, float]]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write beside the others, then remove those: a kill leaves one that is complete.

    Raises:
        OSError: it cannot be written; the others stay.
    """
    final = folder / f"step-{checkpoint.step:08d}"
    partial = folder / f"{_PARTIAL}{checkpoint.step:08d}"
    for left in folder.glob(f"{_PARTIAL}*"):
        shutil.rmtree(left, ignore_errors=True)
    then = ", training goes on from the last complete checkpoint"
    with named_where_it_fails(final, partial, then):
        partial.mkdir(parents=True)
        save_file(checkpoint.weights, partial / _WEIGHTS)
        save_file(checkpoint.optimizer, partial / _OPTIMIZER)
        files = {name: file_digest(partial / name) for name in (_WEIGHTS, _OPTIMIZER)}
        state = {
            "step": checkpoint.step,
            "recipe": checkpoint.recipe,
            "history": checkpoint.history,
            "files": files,
        }
        (partial / _STATE).write_text(json.dumps(state))
        _sync(partial)
    _remove(final)
    partial.rename(final)
    _flush(folder)
    for other in _complete(folder):
        if other != final:
            _remove(other)


def load_checkpoint(folder: Path, recipe: str) -> Checkpoint | None:
    """The newest complete checkpoint of this recipe, or None where the run begins anew.

    Raises:
        ValueError: a file of it, or the state of a newer one, is missing or damaged.
    """
    for newest in reversed(_complete(folder)):
        state = _read_state(newest)
        if state["recipe"] == recipe:
            return _read(newest, state)
    return None


def _read(folder: Path, state: dict[str, Any]) -> Checkpoint:
    for name, expected in state["files"].items():
        path = folder / name
        if not path.is_file() or file_digest(path) != expected:
            raise ValueError(f"{path}: missing or damaged; remove {folder} to train from before it")
    return Checkpoint(
        step=state["step"],
        recipe=state["recipe"],
        weights=load_file(folder / _WEIGHTS),
        optimizer=load_file(folder / _OPTIMIZER),
        history=state["history"],
    )


def _read_state(folder: Path) -> dict[str, Any]:
    path = folder / _STATE
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not {"step", "recipe", "history", "files"} <= state.keys():
            raise KeyError
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path}: missing or damaged; remove {folder} to train from before it"
        ) from error
    return state


def _complete(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.match(path.name))


def _sync(folder: Path) -> None:
    """Flush a folder's files: a rename must not outrun them."""
    for path in (*folder.iterdir(), folder):
        _flush(path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(folder: Path) -> None:
    """Take away the name first: a kill must not leave half of a checkpoint under it."""
    if folder.exists():
        gone = folder.with_name(f"{_PARTIAL}{folder.name}")
        shutil.rmtree(gone, ignore_errors=True)
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
