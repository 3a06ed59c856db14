"""The training loop: a plan of steps, one objective, AdamW, checkpoints that resume exactly."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel

from dialogue.allocation import keep_freed_memory
from dialogue.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from dialogue.choices import choose
from dialogue.config import Training
from dialogue.distributed import (
    Objective,
    accumulating,
    agree,
    collect,
    first_before_others,
    is_first,
    num_processes,
    place,
    placed,
    progress_stream,
    seed_draws,
    share,
    spread,
    summed,
    wait,
    whole,
)
from dialogue.early_stopping import HELD_OUT, EarlyStopping
from dialogue.encoding import Encoded
from dialogue.forward import Forward, choose_forward
from dialogue.frozen_states import FrozenStates, frozen_states
from dialogue.interruption import StopRequestedError, deferred_interruption
from dialogue.log import Log
from dialogue.model import choose_device
from dialogue.objective import Regularizer
from dialogue.packing import (
    TOKENS_WITHOUT_GRADIENT,
    Batch,
    Plan,
    collate,
    plan_steps,
    supervised_tokens,
)
from dialogue.progress import Progress
from dialogue.recipe import recipe_digest
from dialogue.repeats import first_alike
from dialogue.shards import Shard

_FINAL_RATE_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run did: its curve, a row a step, and how long it took.

    Rows hold step, loss (nats a supervised token, and what a regularizer adds once a step, such as
    EWC's penalty), learning_rate, gradient_norm, supervised tokens so far and seconds so far;
    where early stopping measured, held_out_loss. `num_tokens` and `num_supervised` count what was
    read before training ended.
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
    held_out: Shard | None = None,
    rehearsed: int = 0,
    regularizer: Regularizer | None = None,
    besides: str = "",
) -> Trained:
    """Train the parameters that require a gradient, in place.

    A run that was killed goes on from its newest checkpoint, to the same weights bit by bit. Of
    several processes, each leaves the same model.

    Args:
        model: fp32 weights; matrix products run in the chosen precision.
        examples: sequences, each with at least one supervised token.
        settings: the run's `training` section.
        log: receives the curve and what was chosen for this machine and this run.
        pad_id: a token id for padding; it is never read.
        checkpoints: a folder of the run's own; to be removed once the model is saved, since until
            then a killed run goes on from it.
        label: what the progress line says.
        held_out: what early stopping measures, where `settings.patience` asks for it.
        rehearsed: so many of the last examples are: they are spread evenly over the steps, each of
            which has something of the others.
        regularizer: what is added to the loss; it must follow from its arguments alone.
        besides: what the regularizer follows from, such as its settings and the memory: a
            checkpoint of another run is not continued.

    Raises:
        ValueError: there is nothing to train on, an example is longer than the model's positions,
            a loss or a gradient is not finite (the batch is named, no model is left), a setting
            asks for what this model or machine cannot do, or a checkpoint or the weights of the
            lowest held-out loss are damaged.
        KeyboardInterrupt: the run was asked to stop, and what it did is saved.
        OSError: a checkpoint, or what is kept of the frozen layers, cannot be written.
    """
    if len(examples) == 0:
        raise ValueError(f"{label}: no examples to train on; is the domain's train split empty?")
    if settings.patience and not held_out:
        raise ValueError(f"{label}: training.patience needs held-out dialogues, and there are none")
    longest = int(examples.lengths.max())
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if positions is not None and longest > positions:
        raise ValueError(
            f"{label}: the longest example has {longest} tokens, and the model knows positions up "
            f"to {positions}; lower encode.max_tokens, or pretrain.block_tokens"
        )
    plan = plan_steps(
        examples.lengths,
        epochs=settings.epochs,
        tokens_per_batch=settings.tokens_per_batch,
        tokens_per_step=settings.tokens_per_step,
        seed=settings.seed,
        min_steps=settings.min_steps,
        rehearsed=rehearsed,
    )
    keep_freed_memory()
    device = choose_device()
    num_read = 0 if regularizer is None else regularizer.num_read
    chosen = choose(model, examples, plan, settings, device, num_read)
    read = [examples, held_out] if held_out else [examples]
    recipe = recipe_digest(model, read, plan, settings, chosen, besides)
    agree("what is trained", recipe)
    log.params(
        {
            "precision_chosen": chosen.precision,
            "compile_chosen": chosen.compiled,
            "frozen_cache_chosen": chosen.cached,
            "device": chosen.device,
            "processes": chosen.processes,
            "sharded_chosen": chosen.sharded,
            "threads": torch.get_num_threads(),
        }
    )
    learner = placed(model, device, sharded=chosen.sharded)
    forward = choose_forward(learner, chosen.precision, compiled=chosen.compiled)
    cache = _frozen(forward, examples, settings, checkpoints, pad_id, label, wanted=chosen.cached)
    if regularizer is not None:
        regularizer.begin(None if cache is None else cache.batch)
    objective = spread(Objective(forward, regularizer), forward, sharded=chosen.sharded)
    stopping = None
    if settings.patience and held_out:
        stopping = EarlyStopping(
            objective, held_out, settings.patience, checkpoints, pad_id, recipe
        )
    run = _Run(
        learner,
        objective,
        examples,
        plan,
        settings,
        checkpoints,
        pad_id,
        cache,
        stopping,
        regularizer,
        recipe,
    )
    run.resume()
    trained = run.go(log, label)
    collect(run.learning, model)
    return trained


def write_curve(path: Path, trained: Trained) -> None:
    """The curve as CSV, for `dvc plots`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        names = dict.fromkeys(name for row in trained.curve for name in row)
        writer = csv.DictWriter(file, fieldnames=list(names))
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


def _frozen(
    forward: Forward,
    examples: Shard,
    settings: Training,
    checkpoints: Path,
    pad_id: int,
    label: str,
    *,
    wanted: bool,
) -> FrozenStates | None:
    if not wanted:
        return None
    total = int(examples.lengths[np.unique(first_alike(examples))].sum())
    bar = Progress(f"{label}: frozen layers", total, "tokens", progress_stream())
    with first_before_others():
        states = frozen_states(
            forward,
            examples,
            checkpoints / "frozen",
            pad_id=pad_id,
            tokens_per_batch=max(settings.tokens_per_batch, TOKENS_WITHOUT_GRADIENT),
            advance=bar.advance,
        )
    bar.finish("kept")
    return states


class _Run:
    """The state of one training run between its steps."""

    def __init__(
        self,
        model: PreTrainedModel,
        objective: nn.Module,
        examples: Shard,
        plan: Plan,
        settings: Training,
        checkpoints: Path,
        pad_id: int,
        frozen: FrozenStates | None,
        stopping: EarlyStopping | None,
        regularizer: Regularizer | None,
        recipe: str,
    ) -> None:
        self.objective, self.examples, self.plan = objective, examples, plan
        self.model, self.device = model, model.device
        self.settings, self.checkpoints, self.pad_id = settings, checkpoints, pad_id
        self.frozen, self.stopping, self.regularizer = frozen, stopping, regularizer
        self.supervised: NDArray[np.int64] = supervised_tokens(examples)
        labelled = None if regularizer is None else regularizer.labelled
        if labelled is not None:
            self.supervised[~labelled] = 0
        # The steps after which an epoch, to the nearest step, is over, and the last one.
        num_steps, epochs = len(plan.steps), settings.epochs
        ends = (round(num_steps * n / epochs) for n in range(1, int(epochs) + 1))
        self.epoch_ends = {num_steps, *ends}
        self.learning = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        self.optimizer = torch.optim.AdamW(
            self.learning.values(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.recipe = recipe
        self.step = 0
        self.curve: list[dict[str, float]] = []

    def resume(self) -> None:
        """Go on from the newest checkpoint, where there is one."""
        checkpoint = load_checkpoint(self.checkpoints, self.recipe)
        agree("the newest checkpoint", str(checkpoint.step if checkpoint else None))
        if checkpoint is None:
            return
        with torch.no_grad():
            for name, parameter in self.learning.items():
                parameter.copy_(place(parameter, checkpoint.weights[name]))
        for name, parameter in self.learning.items():
            moments = checkpoint.optimizer
            self.optimizer.state[parameter] = {
                # The fused step counts where the weights lie.
                "step": moments[f"{name}/step"].to(parameter.device),
                "exp_avg": place(parameter, moments[f"{name}/exp_avg"]),
                "exp_avg_sq": place(parameter, moments[f"{name}/exp_avg_sq"]),
            }
        self.step, self.curve = checkpoint.step, checkpoint.history

    def go(self, log: Log, label: str) -> Trained:
        """Every step that is left."""
        total = sum(self._tokens(step) for step in range(len(self.plan.steps)))
        bar = Progress(label, total, "tokens", progress_stream())
        bar.resume(sum(self._tokens(step) for step in range(self.step)))
        self.model.train()
        before = self.curve[-1]["seconds"] if self.curve else 0.0
        start = saved = time.monotonic()
        with deferred_interruption() as interruption:
            # Of several processes none may leave the others waiting within a step.
            between = interruption.check if num_processes() == 1 else _go_on
            try:
                if self._measure(between):
                    row = self.curve[-1]
                    log.metrics({k: row[k] for k in row if k != "step"}, step=self.step)
                while self.step < len(self.plan.steps) and not self._is_over():
                    row = self._advance(between)
                    self.curve.append(row)
                    row["seconds"] = before + time.monotonic() - start
                    if self._measure(between):
                        row["seconds"] = before + time.monotonic() - start
                    log.metrics({k: row[k] for k in row if k != "step"}, step=self.step)
                    bar.advance(self._tokens(self.step - 1), f"loss {row['loss']:.3f}")
                    due = time.monotonic() - saved >= self.settings.checkpoint_seconds
                    # Each has clocks and signals of its own, and all must do the same.
                    num_due, num_asked = summed(due, interruption.requested)
                    if num_asked:
                        raise StopRequestedError
                    if num_due:
                        self._save()
                        saved = time.monotonic()
            except StopRequestedError:
                self.optimizer.zero_grad(set_to_none=True)
                if self.step:
                    self._save()
                raise KeyboardInterrupt from None
        if self.stopping:
            self.stopping.restore(self.learning, self.curve)
        bar.finish(f"loss {self.curve[-1]['loss']:.3f}")
        self.model.train(False)
        return Trained(
            curve=self.curve,
            num_tokens=sum(self._tokens(step) for step in range(self.step)),
            num_supervised=int(self.curve[-1]["supervised_tokens"]),
            seconds=self.curve[-1]["seconds"],
        )

    def _held_out_losses(self) -> list[float]:
        return [row[HELD_OUT] for row in self.curve if HELD_OUT in row]

    def _is_over(self) -> bool:
        return self.stopping is not None and self.stopping.is_over(self._held_out_losses())

    def _measure(self, between: Callable[[], None]) -> bool:
        """After an epoch, where early stopping is wanted; whether there was anything to do.

        A run that was stopped while it measured does it when it goes on.
        """
        if not self.stopping or self.step not in self.epoch_ends or HELD_OUT in self.curve[-1]:
            return False
        loss = self.stopping.measure(self.settings.tokens_per_batch, between)
        self.curve[-1][HELD_OUT] = loss
        self.stopping.keep(self._held_out_losses(), self.learning, self.step)
        return True

    def _advance(self, between: Callable[[], None]) -> dict[str, float]:
        """One optimizer step; the loss is the mean over the supervised tokens of all its parts."""
        micro_batches = self.plan.steps[self.step]
        count = sum(int(self.supervised[list(part)].sum()) for part in micro_batches)
        assert count, "every step learns something: what has no labels of its own is rehearsed"
        rate = learning_rate(self.settings, self.step, len(self.plan.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        seed_draws(self.settings.seed, self.step)
        loss, faulty = 0.0, micro_batches
        for number, part in enumerate(micro_batches, start=1):
            between()
            mine, counts = share(part)
            batch = self._batch(mine)
            with accumulating(self.objective, more=number < len(micro_batches)):
                total, nats = self.objective(batch, self._border(batch, mine), mine)
                (total * counts / count).backward()
            loss += nats * counts / count
            if not math.isfinite(nats) and faulty is micro_batches:
                faulty = (part,)
        (loss,) = summed(loss)
        loss += self._step_penalty()
        clipped = nn.utils.clip_grad_norm_(self.learning.values(), self.settings.gradient_clip)
        norm = float(whole(clipped))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise ValueError(self._not_finite(loss, norm, faulty))
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

    def _border(self, batch: Batch, indices: tuple[int, ...]) -> torch.Tensor | None:
        if self.frozen is None:
            return None
        return self.frozen.batch(indices, batch.ids.shape[1]).to(self.device)

    def _step_penalty(self) -> float:
        """What the regularizer adds once a step; its gradient joins the others."""
        added = (
            None
            if self.regularizer is None
            else self.regularizer.on_step(
                {name: whole(parameter) for name, parameter in self.learning.items()}
            )
        )
        if added is None:
            return 0.0
        added.backward()  # type: ignore[no-untyped-call]
        return float(added.detach())

    def _batch(self, indices: tuple[int, ...]) -> Batch:
        sequences = [self.examples[i] for i in indices]
        sequences = [
            each if self.supervised[i] else Encoded(each.ids, np.zeros_like(each.mask))
            for i, each in zip(indices, sequences, strict=True)
        ]
        read = None if self.regularizer is None else self.regularizer.reads(indices)
        return collate(sequences, self.pad_id, read).to(self.device)

    def _save(self) -> None:
        moments = {
            f"{name}/{moment}": whole(value.detach()).cpu().contiguous()
            for name, parameter in self.learning.items()
            for moment, value in self.optimizer.state[parameter].items()
        }
        weights = {n: whole(p.detach()).cpu().contiguous() for n, p in self.learning.items()}
        if is_first():
            save_checkpoint(
                self.checkpoints,
                Checkpoint(self.step, self.recipe, weights, moments, self.curve),
            )
            if self.stopping:
                self.stopping.forget_others()
        wait()

    def _tokens(self, step: int) -> int:
        return sum(int(self.examples.lengths[list(part)].sum()) for part in self.plan.steps[step])

    def _not_finite(self, loss: float, norm: float, parts: tuple[tuple[int, ...], ...]) -> str:
        names = ", ".join(self.examples.ids[i] for part in parts for i in part)
        return (
            f"training stopped at step {self.step + 1}: loss {loss}, gradient norm {norm}; "
            f"batch of dialogues {names}; lower learning_rate or look at these dialogues"
        )


def _go_on() -> None:
    """Nothing to ask."""
