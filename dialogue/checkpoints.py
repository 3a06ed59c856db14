"""Checkpoints of a training run: complete or absent, verified before use, nothing pickled."""

from __future__ import annotations

import hashlib
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

_NAME = re.compile(r"^step-\d{8}$")
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
    final = folder / _named(checkpoint.step)
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
        (partial / _STATE).write_bytes(_described(state))
        _sync(partial)
    _remove(final)
    partial.rename(final)
    _flush(folder)
    for other in _complete(folder):
        if other != final:
            _remove(other)


def load_checkpoint(folder: Path, recipe: str, whole: Path | None = None) -> Checkpoint | None:
    """The newest complete checkpoint of this recipe, or None where the run begins anew.

    Args:
        folder: of the checkpoints.
        recipe: the digest of what the run follows from.
        whole: what has to go for training to be able to go on; None: the damaged checkpoint.

    Raises:
        ValueError: a file of it, or the state of a newer one, is missing or damaged.
    """
    for newest in reversed(_complete(folder)):
        before = f"remove {newest} to train from before it"
        mend = f"remove {whole} to train anew" if whole else before
        state = _read_state(newest, mend)
        if state["recipe"] == recipe:
            return _read(newest, state, mend)
    return None


def _read(folder: Path, state: dict[str, Any], mend: str) -> Checkpoint:
    for name, expected in state["files"].items():
        path = folder / name
        if not path.is_file() or file_digest(path) != expected:
            raise ValueError(f"{path}: missing or damaged; {mend}")
    return Checkpoint(
        step=state["step"],
        recipe=state["recipe"],
        weights=load_file(folder / _WEIGHTS),
        optimizer=load_file(folder / _OPTIMIZER),
        history=state["history"],
    )


def _read_state(folder: Path, mend: str) -> dict[str, Any]:
    path = folder / _STATE
    try:
        raw = path.read_bytes()
        state: dict[str, Any] = json.loads(raw)
        digest = state.pop("digest", None)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{path}: missing or damaged; {mend}") from error
    if digest is None:
        raise ValueError(f"{path}: holds no digest, as earlier versions wrote it; {mend}")
    # Byte by byte: JSON has several ways to say the same.
    if raw != _described(state) or folder.name != _named(state["step"]):
        raise ValueError(f"{path}: damaged: its digest or its folder's name does not fit; {mend}")
    return state


def _described(state: dict[str, Any]) -> bytes:
    """A state with its own SHA-256."""
    digest = hashlib.sha256(json.dumps(state).encode()).hexdigest()
    return json.dumps(state | {"digest": digest}).encode()


def _named(step: int) -> str:
    return f"step-{step:08d}"


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
