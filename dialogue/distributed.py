"""One training run on several processes, which `torchrun` starts: DDP, or FSDP2 where it must be.

Every process follows the same plan. Of each micro-batch it reads its own rows; losses are summed
over all of them and divided by what the whole step supervises, so that the loss, its gradient and
the curve are the single process's, within rounding. The first process alone reports and writes.

Where nothing was started by `torchrun`, all of this does nothing.
"""

from __future__ import annotations

import copy
import datetime
import functools
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TextIO

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel
from transformers import PreTrainedModel

from dialogue.forward import Forward, LlamaForward, decoder_layers
from dialogue.model import choose_device
from dialogue.objective import Regularizer, summed_loss
from dialogue.packing import Batch

_PATIENCE = datetime.timedelta(days=1)
"""How long one process waits for another: `torchrun` ends all of them when one dies."""
_STATE_SHARE = 0.6
"""Of a device's memory: what weights, gradients and moments may take before they are sharded."""


@contextmanager
def joined() -> Iterator[None]:
    """Within it the processes that `torchrun` started work together; also a decorator."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    device = choose_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def num_processes() -> int:
    """How many train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this process is the one that reports and writes."""
    return not dist.is_initialized() or dist.get_rank() == 0


def progress_stream() -> TextIO | None:
    """Where a progress line goes: to its usual place in the first process, nowhere in others."""
    return None if is_first() else io.StringIO()


def wait() -> None:
    """Until every process has come here."""
    if dist.is_initialized():
        summed(0.0)


@contextmanager
def first_before_others() -> Iterator[None]:
    """The first process does what is within, then the others, who find it done."""
    if not is_first():
        wait()
    yield
    if is_first():
        wait()


def summed(*values: float) -> list[float]:
    """Each value's sum over all processes."""
    if not dist.is_initialized():
        return list(values)
    total = torch.tensor(values, dtype=torch.float64, device=choose_device())
    dist.all_reduce(total)
    found: list[float] = total.tolist()
    return found


def agree(what: str, value: str) -> None:
    """Make sure that all processes hold the same.

    Raises:
        ValueError: they do not.
    """
    if dist.is_initialized():
        values: list[str] = [""] * num_processes()
        dist.all_gather_object(values, value)
        if len(set(values)) > 1:
            raise ValueError(
                f"{what} is not the same in all {num_processes()} processes: give all of them the "
                "same files and settings, on one kind of machine, and a folder of checkpoints "
                "that all can read"
            )


def share(indices: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """This process's rows of a micro-batch, and 1; a row that counts 0 times where none is left.

    A process without rows still has to take part in what all do together.
    """
    if not dist.is_initialized():
        return indices, 1
    mine = indices[dist.get_rank() :: num_processes()]
    return (mine, 1) if mine else (indices[-1:], 0)


def seed_draws(seed: int, step: int) -> None:
    """Let what a step draws at random, such as dropout, follow from seed, step and process.

    A resumed run then draws what the undisturbed one did, and has no state to keep.
    """
    process = dist.get_rank() if dist.is_initialized() else 0
    torch.manual_seed(((seed << 32) + step * num_processes() + process) % 2**63)


class Objective(nn.Module):
    """A model's summed loss as a module, which is what DDP and FSDP2 can wrap."""

    def __init__(self, forward: Forward, regularizer: Regularizer | None = None) -> None:
        super().__init__()
        self.model = forward.model
        self._forward, self._regularizer = forward, regularizer

    def forward(
        self, batch: Batch, border: Tensor | None = None, indices: tuple[int, ...] | None = None
    ) -> tuple[Tensor, float]:
        """A scalar to differentiate, and the response's nats.

        Args:
            batch: what to read.
            border: the frozen layers' output, where it is known.
            indices: the examples in the batch; None leaves the regularizer out.
        """
        regularizer = None if indices is None else self._regularizer
        total, nats = summed_loss(
            self._forward, batch, border=border, regularizer=regularizer, indices=indices or ()
        )
        # Both take the mean of the processes' gradients, and what is wanted is their sum.
        return (total * num_processes() if dist.is_initialized() else total), nats


def outgrows(model: PreTrainedModel, device: torch.device) -> bool:
    """Whether what training holds of a model is too much for one of several devices."""
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    every = sum(p.numel() for p in model.parameters())
    # A gradient and two moments beside each weight that learns, all of them fp32.
    needed = 4 * (every + 3 * learning)
    return num_processes() > 1 and needed > _STATE_SHARE * device_bytes(device)


def device_bytes(device: torch.device) -> int:
    """The memory of a process's device: a GPU's own, or its part of the machine's."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return memory // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def placed(model: PreTrainedModel, device: torch.device, *, sharded: bool) -> PreTrainedModel:
    """The model on its device, or a copy whose layers lie in shards on all devices."""
    if not sharded:
        model.to(device)  # type: ignore[arg-type]  # the wrapper's types hide the method's
        return model
    learner = copy.deepcopy(model)
    for layer in decoder_layers(learner):
        fully_shard(layer)
    learner.to(device)  # type: ignore[arg-type]
    return learner


def spread(objective: Objective, forward: Forward, *, sharded: bool) -> nn.Module:
    """The objective on all processes; called and differentiated like the one given."""
    if not dist.is_initialized():
        return objective
    if not sharded:
        # A compiled layer is one graph already: there is nothing to cut at DDP's buckets.
        torch._dynamo.config.optimize_ddp = False
        return DistributedDataParallel(objective, forward_sync_buffers=False)
    if isinstance(forward, LlamaForward):
        _gather_layers(forward)
    fully_shard(objective)
    return objective


def accumulating(objective: nn.Module, *, more: bool) -> AbstractContextManager[None]:
    """Where `more` micro-batches of the step follow, gradients are not exchanged yet.

    Shards exchange them every time: a whole gradient may not fit.
    """
    if more and isinstance(objective, DistributedDataParallel):
        return objective.no_sync()
    return nullcontext()


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that may lie in shards; all processes must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def place(like: Tensor, value: Tensor) -> Tensor:
    """A whole tensor in the shards, and on the device, of another one."""
    value = value.to(like.device)
    if not isinstance(like, DTensor):
        return value
    return distribute_tensor(value, like.device_mesh, like.placements, src_data_rank=None)


@torch.no_grad()
def collect(learned: Mapping[str, nn.Parameter], model: PreTrainedModel) -> None:
    """Bring what a sharded copy of the model learned, by name, back into the model."""
    for name, parameter in model.named_parameters():
        if name in learned and learned[name] is not parameter:
            parameter.copy_(whole(learned[name]))


def _gather_layers(forward: LlamaForward) -> None:
    """Compute a layer by a method of its own, before and after which FSDP2 does its part."""
    compute = forward._run
    layers: Any = decoder_layers(forward.model)
    for layer in layers:
        layer.computed = functools.partial(compute, layer)
        register_fsdp_forward_method(layer, "computed")
    forward._run = lambda layer, *arguments: layer.computed(*arguments)  # type: ignore[method-assign]
