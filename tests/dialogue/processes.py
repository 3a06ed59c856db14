"""What several processes do together in a test: `torchrun … -m tests.dialogue.processes FOLDER`.

FOLDER/tiny is the model; what each run ended with goes to FOLDER/results.pt.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from dialogue import distributed
from dialogue.config import Adapters, Freeze
from dialogue.continual import Sum
from dialogue.continual.distill import Divergence, Parent
from dialogue.continual.ewc import Penalty
from dialogue.forward import choose_forward
from dialogue.freezing import freeze
from dialogue.log import SilentLog
from dialogue.model import load_model
from dialogue.objective import Regularizer
from dialogue.shards import all_supervised
from dialogue.training import Trained, train
from tests.dialogue.test_training import SETTINGS, Killed, Steps, examples, fresh

Ended = tuple[list[dict[str, float]], dict[str, torch.Tensor]]

RUNS: dict[str, dict[str, Any]] = {
    "plain": {},
    "a step of one batch": {"tokens_per_step": 128},
    "fewer rows than processes": {"tokens_per_batch": 16, "epochs": 1.0},
    "early stopping": {"epochs": 12.0, "learning_rate": 3e-2, "patience": 2},
    "distill and ewc": {"regularized": True},
    "adapters": {"lora": Adapters(rank=2, alpha=4)},
    "frozen layers": {"top_layers": 1, "frozen_cache": "auto"},
}


def play(tiny: Path, checkpoints: Path, log: SilentLog | None = None, **changes: Any) -> Ended:
    """One run, on however many processes there are."""
    lora, top = changes.pop("lora", None), changes.pop("top_layers", None)
    regularized = changes.pop("regularized", False)
    model = load_model(tiny)
    freeze(model, Freeze(top_layers=top, embeddings=top is not None, norms=False, lora=lora))
    trained = begin(
        model,
        checkpoints,
        log or SilentLog(),
        regularizer(tiny, model) if regularized else None,
        **({"tokens_per_step": 256} | changes),
    )
    return trained.curve, {name: p.detach().clone() for name, p in model.named_parameters()}


_LABELLED = np.arange(len(examples())) < 16
"""The others are rehearsed: learned from a teacher alone."""


def begin(
    model: PreTrainedModel,
    checkpoints: Path,
    log: SilentLog,
    added: Regularizer | None = None,
    **changes: Any,
) -> Trained:
    return train(
        model,
        examples(),
        SETTINGS.model_copy(update=changes),
        log,
        pad_id=0,
        checkpoints=checkpoints,
        label="test",
        held_out=examples(seed=5, number=7),
        rehearsed=0 if added is None else int(np.count_nonzero(~_LABELLED)),
        regularizer=added,
    )


def regularizer(tiny: Path, model: PreTrainedModel) -> Regularizer:
    teacher = choose_forward(fresh(tiny), "fp32", compiled=False)
    weights = np.linspace(0.0, 2.0, len(examples()))
    anchors = {name: p.detach().clone() for name, p in model.named_parameters()}
    fisher = {name: torch.ones_like(p) for name, p in anchors.items()}
    lessons = all_supervised(examples())
    parent = Parent(teacher, lessons, weights > 0, pad_id=0)
    taught = Divergence(
        parent, lessons, weights, 2.0, parent.layer, labelled=_LABELLED, label="what it says"
    )
    return Sum([taught, Penalty(fisher, anchors, 0.1)])


def resumed(tiny: Path, folder: Path) -> list[int]:
    """Killed after four steps and begun again: the steps that were left."""
    try:
        play(tiny, folder, Steps(last=4), checkpoint_seconds=1e-6)
    except Killed:
        log = Steps()
        ended = play(tiny, folder, log)
        torch.save(ended, folder / f"ended-{os.environ['RANK']}.pt")
        return log.steps
    raise AssertionError("it was not killed")


class Terminated(SilentLog):
    """The second process alone is asked to stop, after its third step."""

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        if step == 3 and not distributed.is_first():
            os.kill(os.getpid(), signal.SIGTERM)


def stopped(tiny: Path, folder: Path) -> list[str]:
    try:
        play(tiny, folder, Terminated())
    except KeyboardInterrupt:
        return [path.name for path in folder.iterdir()]
    raise AssertionError("it went on")


def not_finite(tiny: Path, folder: Path) -> str:
    """A weight that only one dialogue reads is no number: one process alone meets it."""
    model = fresh(tiny)
    with torch.no_grad():
        model.get_input_embeddings().weight[int(examples()[3].ids[0])] = float("nan")
    try:
        begin(model, folder, SilentLog())
    except ValueError as error:
        return str(error)
    raise AssertionError("it went on")


def disagreeing(tiny: Path, folder: Path) -> str:
    rate = 1e-2 if distributed.is_first() else 2e-2
    try:
        begin(fresh(tiny), folder, SilentLog(), learning_rate=rate)
    except ValueError as error:
        return str(error)
    raise AssertionError("it went on")


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    tiny, found = folder / "tiny", dict[str, Any]()
    of_the_machine = distributed.device_bytes
    with distributed.joined():
        for way in ("ddp", "fsdp"):
            distributed.device_bytes = of_the_machine if way == "ddp" else lambda _: 1000
            for name, changes in RUNS.items():
                found[f"{way}: {name}"] = play(tiny, folder / way / name, **changes)
            found[f"{way}: resumed"] = resumed(tiny, folder / way / "resumed")
            found[f"{way}: stopped"] = stopped(tiny, folder / way / "stopped")
            found[f"{way}: not finite"] = not_finite(tiny, folder / way / "not finite")
        found["disagreeing"] = disagreeing(tiny, folder / "disagreeing")
        torch.save(found, folder / f"results-{os.environ['RANK']}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
