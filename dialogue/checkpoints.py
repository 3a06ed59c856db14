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

_NAME = re.compile(r"^step-(\d{8})$")
_WEIGHTS, _OPTIMIZER, _STATE = "weights.safetensors", "optimizer.safetensors", "state.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a run stood after `step` optimizer steps.

    `weights` are the learning parameters by name, `optimizer` their AdamW moments as
    `<name>/<moment>`, `history` the curve so far, `plan` the digest of what the run reads.
    """

    step: int
    plan: str
    weights: dict[str, torch.Tensor]
    optimizer: dict[str, torch.Tensor]
    history: list[dict[str, float]]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write beside the older ones, then remove those: a kill leaves one that is complete."""
    final = folder / f"step-{checkpoint.step:08d}"
    partial = folder / f".partial-{checkpoint.step:08d}"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        save_file(checkpoint.weights, partial / _WEIGHTS)
        save_file(checkpoint.optimizer, partial / _OPTIMIZER)
        files = {name: file_digest(partial / name) for name in (_WEIGHTS, _OPTIMIZER)}
        state = {
            "step": checkpoint.step,
            "plan": checkpoint.plan,
            "history": checkpoint.history,
            "files": files,
        }
        (partial / _STATE).write_text(json.dumps(state))
        _sync(partial)
    except Exception as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise OSError(
            f"{final}: the checkpoint cannot be written ({error}); make room and run again, "
            "training goes on from the last complete one"
        ) from error
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    for older in _complete(folder)[:-1]:
        shutil.rmtree(older, ignore_errors=True)


def load_checkpoint(folder: Path, plan: str) -> Checkpoint | None:
    """The newest complete checkpoint of this plan, or None where the run begins anew.

    Raises:
        ValueError: a file of the newest checkpoint is missing or damaged.
    """
    complete = _complete(folder)
    if not complete:
        return None
    newest = complete[-1]
    state = _read_state(newest)
    for name, expected in state["files"].items():
        path = newest / name
        if not path.is_file() or file_digest(path) != expected:
            raise ValueError(f"{path}: missing or damaged; remove {newest} to train from before it")
    if state["plan"] != plan:
        return None
    return Checkpoint(
        step=state["step"],
        plan=plan,
        weights=load_file(newest / _WEIGHTS),
        optimizer=load_file(newest / _OPTIMIZER),
        history=state["history"],
    )


def _read_state(folder: Path) -> dict[str, Any]:
    path = folder / _STATE
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not {"step", "plan", "history", "files"} <= state.keys():
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
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
