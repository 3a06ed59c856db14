"""The training loop: a plan of steps, one objective, AdamW, checkpoints that resume exactly."""

from __future__ import annotations

import csv
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from dialogue.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from dialogue.config import Training
from dialogue.interruption import deferred_interruption
from dialogue.log import Log
from dialogue.model import autocast, choose_device, choose_precision
from dialogue.objective import negative_log_likelihood, supervised_states
from dialogue.packing import Batch, Plan, collate, plan_steps, supervised_tokens
from dialogue.progress import Progress
from dialogue.shards import Shard

_FINAL_RATE_SHARE = 0.1


class Regularizer(Protocol):
    """What a lifelong strategy adds to the response loss."""

    def on_batch(self, logits: Tensor, batch: Batch, indices: tuple[int, ...]) -> Tensor | None:
        """Nats, summed over the micro-batch, a scalar: added to its summed response loss.

        `logits` [S, V] are those of the supervised positions; `indices` are places in `examples`.
        """

    def on_step(self, parameters: Mapping[str, nn.Parameter]) -> Tensor | None:
        """A scalar, added once per optimizer step to the mean loss of a token."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run did: its curve, a row a step, and how long it took.

    Rows hold step, loss (nats a supervised token), learning_rate, gradient_norm, supervised
    tokens so far and seconds so far.
    """

    curve: list[dict[str, float]]
    num_tokens: int
    num_supervised: int
    seconds: float


def train(
    model: PreTrainedModel,
    examples: Shard,
    settings: Training,
    log: Log,
    *,
    pad_id: int,
    checkpoints: Path,
    label: str,
    regularizer: Regularizer | None = None,
) -> Trained:
    """Train the parameters that require a gradient, in place.

    A run that was killed goes on from its newest checkpoint, to the same weights bit by bit.

    Args:
        model: fp32 weights; matrix products run in the chosen precision.
        examples: sequences, each with at least one supervised token.
        settings: the run's `training` section.
        log: receives the curve and the resolved precision.
        pad_id: a token id for padding; it is never read.
        checkpoints: a folder of the run's own, removed at the end.
        label: what the progress line says.
        regularizer: what is added to the loss; it must follow from its arguments alone.

    Raises:
        ValueError: there is nothing to train on, a loss or a gradient is not finite (the batch is
            named, no model is left), or a checkpoint is damaged.
        OSError: a checkpoint cannot be written.
    """
    if len(examples) == 0:
        raise ValueError(f"{label}: no examples to train on; is the domain's train split empty?")
    device, precision = choose_device(), choose_precision(settings.precision)
    log.params(
        {"precision_chosen": precision, "device": device.type, "threads": torch.get_num_threads()}
    )
    plan = plan_steps(
        examples.lengths,
        epochs=settings.epochs,
        tokens_per_batch=settings.tokens_per_batch,
        tokens_per_step=settings.tokens_per_step,
        seed=settings.seed,
    )
    model.to(device)  # type: ignore[arg-type]  # the wrapper's types hide the method's
    run = _Run(model, examples, plan, settings, checkpoints, pad_id, regularizer)
    run.resume()
    trained = run.go(log, label)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return trained


def write_curve(path: Path, trained: Trained) -> None:
    """The curve as CSV, for `dvc plots`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(trained.curve[0]))
        writer.writeheader()
        writer.writerows(trained.curve)


def learning_rate(settings: Training, step: int, num_steps: int) -> float:
    """Linear warm-up, then a cosine down to a tenth (Loshchilov & Hutter 2017).

    Args:
        settings: peak rate and share of the steps that warm up.
        step: from 0.
        num_steps: of the whole run.
    """
    warmup = max(1, round(settings.warmup_share * num_steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, num_steps - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return settings.learning_rate * (_FINAL_RATE_SHARE + (1 - _FINAL_RATE_SHARE) * cosine)


class _Run:
    """The state of one training run between its steps."""

    def __init__(
        self,
        model: PreTrainedModel,
        examples: Shard,
        plan: Plan,
        settings: Training,
        checkpoints: Path,
        pad_id: int,
        regularizer: Regularizer | None,
    ) -> None:
        self.regularizer = regularizer
        self.model, self.examples, self.plan = model, examples, plan
        self.settings, self.checkpoints, self.pad_id = settings, checkpoints, pad_id
        self.supervised: NDArray[np.int64] = supervised_tokens(examples)
        self.learning = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.optimizer = torch.optim.AdamW(
            self.learning.values(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.step = 0
        self.curve: list[dict[str, float]] = []
        self.device = next(model.parameters()).device
        self.precision = choose_precision(settings.precision)

    def resume(self) -> None:
        """Go on from the newest checkpoint, where there is one."""
        checkpoint = load_checkpoint(self.checkpoints, self.plan.digest)
        if checkpoint is None:
            return
        with torch.no_grad():
            for name, parameter in self.learning.items():
                parameter.copy_(checkpoint.weights[name])
        for name, parameter in self.learning.items():
            self.optimizer.state[parameter] = {
                moment: checkpoint.optimizer[f"{name}/{moment}"].to(
                    "cpu" if moment == "step" else self.device
                )
                for moment in ("step", "exp_avg", "exp_avg_sq")
            }
        self.step, self.curve = checkpoint.step, checkpoint.history

    def go(self, log: Log, label: str) -> Trained:
        """Every step that is left."""
        total = sum(self._tokens(step) for step in range(len(self.plan.steps)))
        bar = Progress(label, total, "tokens")
        bar.resume(sum(self._tokens(step) for step in range(self.step)))
        self.model.train()
        before = self.curve[-1]["seconds"] if self.curve else 0.0
        start = saved = time.monotonic()
        with deferred_interruption() as interruption:
            while self.step < len(self.plan.steps):
                row = self._advance()
                row["seconds"] = before + time.monotonic() - start
                self.curve.append(row)
                log.metrics({k: row[k] for k in row if k != "step"}, step=self.step)
                bar.advance(self._tokens(self.step - 1), f"loss {row['loss']:.3f}")
                due = time.monotonic() - saved >= self.settings.checkpoint_seconds
                if due or interruption.requested:
                    self._save()
                    saved = time.monotonic()
                if interruption.requested:
                    raise KeyboardInterrupt
        bar.finish(f"loss {self.curve[-1]['loss']:.3f}")
        self.model.train(False)
        return Trained(
            curve=self.curve,
            num_tokens=total,
            num_supervised=int(self.curve[-1]["supervised_tokens"]),
            seconds=self.curve[-1]["seconds"],
        )

    def _advance(self) -> dict[str, float]:
        """One optimizer step; the loss is the mean over the supervised tokens of all its parts."""
        micro_batches = self.plan.steps[self.step]
        count = sum(int(self.supervised[list(part)].sum()) for part in micro_batches)
        rate = learning_rate(self.settings, self.step, len(self.plan.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = 0.0
        for part in micro_batches:
            batch = self._batch(part)
            with autocast(self.precision, self.device):
                total = self._response_loss(batch, part)
            (total / count).backward()  # type: ignore[no-untyped-call]
            loss += float(total.detach()) / count
        loss += self._step_penalty()
        norm = float(nn.utils.clip_grad_norm_(self.learning.values(), self.settings.gradient_clip))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise ValueError(self._not_finite(loss, norm, micro_batches))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        seen = self.curve[-1]["supervised_tokens"] if self.curve else 0.0
        return {
            "step": float(self.step),
            "loss": loss,
            "learning_rate": rate,
            "gradient_norm": norm,
            "supervised_tokens": seen + count,
        }

    def _response_loss(self, batch: Batch, indices: tuple[int, ...]) -> Tensor:
        """Summed over the micro-batch, with what the regularizer adds to it."""
        if self.regularizer is None:
            return negative_log_likelihood(self.model, batch).sum()
        head = self.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        assert head is not None
        logits: Tensor = head(supervised_states(self.model, batch)).float()
        total = functional.cross_entropy(logits, batch.targets, reduction="sum")
        added = self.regularizer.on_batch(logits, batch, indices)
        return total if added is None else total + added

    def _step_penalty(self) -> float:
        """What the regularizer adds once a step; its gradient joins the others."""
        added = None if self.regularizer is None else self.regularizer.on_step(self.learning)
        if added is None:
            return 0.0
        added.backward()  # type: ignore[no-untyped-call]
        return float(added.detach())

    def _batch(self, indices: tuple[int, ...]) -> Batch:
        sequences = [self.examples[i] for i in indices]
        return collate(sequences, self.pad_id).to(self.device)

    def _save(self) -> None:
        moments = {
            f"{name}/{moment}": value.detach().cpu().contiguous()
            for name, parameter in self.learning.items()
            for moment, value in self.optimizer.state[parameter].items()
        }
        weights = {n: p.detach().cpu().contiguous() for n, p in self.learning.items()}
        save_checkpoint(
            self.checkpoints,
            Checkpoint(self.step, self.plan.digest, weights, moments, self.curve),
        )

    def _tokens(self, step: int) -> int:
        return sum(int(self.examples.lengths[list(part)].sum()) for part in self.plan.steps[step])

    def _not_finite(self, loss: float, norm: float, parts: tuple[tuple[int, ...], ...]) -> str:
        names = [self.examples.ids[i] for part in parts for i in part]
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        return (
            f"training stopped at step {self.step + 1}: loss {loss}, gradient norm {norm}; "
            f"batch of dialogues {shown}; lower learning_rate or look at these dialogues"
        )
