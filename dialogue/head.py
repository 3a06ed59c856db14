"""The output layer, its cross entropy, and its divergence from a teacher's, a few rows at a time.

Logits [S, V] of a real vocabulary are the largest tensor of a training step, and their gradient
the second largest. Here each chunk of rows gives its nats and its gradients while its logits are
still in the caches (as Liger Kernel does, Hsu et al. 2024, arXiv:2410.10989); no more of them
ever exist, the teacher's neither. Shapes: S rows, H hidden size, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from dialogue.compilation import compiled
from dialogue.packing import NO_TARGET

_LOGITS_AT_ONCE = 1 << 22
_MIN_ROWS = 128
_LOGITS_IN_CACHE = 1 << 18
"""So many in fp32 are half of a core's second-level cache, or less."""


@dataclass(frozen=True, slots=True, eq=False)
class OutputLayer:
    """Logits = states · weightᵀ + bias: weight [V, H], bias [V] or None, of any type."""

    weight: Tensor
    bias: Tensor | None = None

    @property
    def learns(self) -> bool:
        """Whether any of it does."""
        return self.weight.requires_grad or (self.bias is not None and self.bias.requires_grad)

    def detached(self) -> OutputLayer:
        """The same, which nothing teaches."""
        return OutputLayer(self.weight.detach(), None if self.bias is None else self.bias.detach())

    def to(self, dtype: torch.dtype) -> OutputLayer:
        """The same in another type."""
        return OutputLayer(
            self.weight.to(dtype), None if self.bias is None else self.bias.to(dtype)
        )

    def logits(self, states: Tensor) -> Tensor:
        """[S, V] of states [S, H] of the same type."""
        return functional.linear(states, self.weight, self.bias)


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """What a teacher says of S rows, and how much each counts.

    To the loss Σ_s w_s · T² · KL(softmax(z_teacher / T) ‖ softmax(z / T)) in nats is added. The
    factor T² keeps the gradient's size whatever T (Hinton et al. 2015, arXiv:1503.02531); as T
    grows, each becomes half the mean square of the difference of centred logits: DER's loss.

    `states` [S, H] are in the type the products are made in, `weights` fp32 [S] are w; `layer` is
    None where it is the learner's own, which is frozen.
    """

    states: Tensor
    weights: Tensor
    temperature: float
    layer: OutputLayer | None = None


def summed_nats(
    states: Tensor, layer: OutputLayer, targets: Tensor, *, compile_it: bool = False
) -> Tensor:
    """−Σ log P(target | state), fp32 scalar.

    Args:
        states: [S, H], in the type the products are made in.
        layer: makes logits of them.
        targets: int64 [S].
        compile_it: whether torch compiles what follows the logits.
    """
    if not torch.is_grad_enabled():
        # What learns would get its gradient even so: the function makes it with the loss.
        layer = layer.detached()
    total: Tensor
    total, _ = _SummedNats.apply(  # type: ignore[no-untyped-call]
        states, layer.weight, layer.bias, targets, None, compile_it
    )
    return total


def taught_nats(
    states: Tensor,
    layer: OutputLayer,
    targets: Tensor,
    teacher: Teacher,
) -> tuple[Tensor, Tensor]:
    """The cross entropy and what the teacher adds to it; and the former alone, without a gradient.

    Args:
        states: [S, H], in the type the products are made in.
        layer: makes logits of them.
        targets: int64 [S]; `NO_TARGET` where a row has none.
        teacher: of the same rows.
    """
    total, nats = _SummedNats.apply(  # type: ignore[no-untyped-call]
        states, layer.weight, layer.bias, targets, teacher, False
    )
    return total, nats


def chunk_rows(vocabulary_size: int) -> int:
    """How many rows' logits are made at once."""
    return max(_MIN_ROWS, _LOGITS_AT_ONCE // vocabulary_size)


def _softmax(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Of logits [S, V]: the logarithms of the sums of exponentials, fp32 [S]; probabilities.

    This form is for torch to compile.
    """
    exact = logits.float()
    sums = torch.logsumexp(exact, dim=-1)
    return sums, (exact - sums[:, None]).exp().to(logits.dtype)


def _softmax_in_place(logits: Tensor) -> tuple[Tensor, Tensor]:
    """What `_softmax` gives; the probabilities stand where the logits stood.

    A few rows at a time go through fp32 and stay in the caches: new tensors of all of them would
    pass through memory, one for each operation.
    """
    sums = torch.empty(len(logits), device=logits.device)
    for rows in _blocks(logits):
        exact = logits[rows].float()
        sums[rows] = _softmax_(exact)
        logits[rows] = exact
    return sums, logits


def _taught_errors(
    logits: Tensor,
    taught: Tensor,
    aim: Tensor,
    counts: Tensor,
    weights: Tensor,
    temperature: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Of logits and a teacher's [S, V], with `counts` [S] 1 or 0 for a target [S, 1].

    The logarithms of the sums; w · T² · KL, fp32 [S]; and the gradient [S, V], which stands where
    the logits stood: counts times that of −log P, which is softmax(z), less 1 at the target; and
    w · T · (softmax(z / T) − softmax(z_teacher / T)). Rows go through fp32 as in
    `_softmax_in_place`.
    """
    sums, divergence = torch.empty((2, len(logits)), device=logits.device)
    pull = (weights * temperature)[:, None]
    for rows in _blocks(logits):
        exact = logits[rows].float()
        found, wanted = exact / temperature, taught[rows].float().div_(temperature)
        likely, said = found.clone(), wanted.clone()
        # Of logarithms of probabilities: the differences of the scaled logits and of their sums.
        own = _softmax_(likely)
        found -= own[:, None]
        wanted -= _softmax_(said)[:, None]
        divergence[rows] = torch.linalg.vecdot(said, wanted.sub_(found))
        sums[rows] = own if temperature == 1.0 else _softmax_(exact)
        error = exact.copy_(likely) if temperature == 1.0 else exact
        error.mul_(counts[rows, None]).addcmul_(likely.sub_(said), pull[rows])
        error.scatter_add_(1, aim[rows], -counts[rows, None])
        logits[rows] = error
    return sums, weights * temperature**2 * divergence, logits


def _softmax_(logits: Tensor) -> Tensor:
    """Fp32 logits [S, V] to probabilities, where they stand; returns the sums' logarithms [S]."""
    highest = logits.amax(-1, keepdim=True)
    total = logits.sub_(highest).exp_().sum(-1, keepdim=True)
    logits.mul_(total.reciprocal())
    return (highest + total.log())[:, 0]


def _blocks(logits: Tensor) -> list[slice]:
    """All at once on a GPU, which many small kernels would keep waiting."""
    num_rows, vocabulary_size = logits.shape
    rows = max(1, _LOGITS_IN_CACHE // vocabulary_size) if logits.is_cpu else num_rows
    return [slice(start, start + rows) for start in range(0, num_rows, rows)]


class _SummedNats(torch.autograd.Function):
    """The gradients are computed with the loss: backward only scales them."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        teacher: Teacher | None,
        compile_it: bool,
    ) -> tuple[Tensor, Tensor]:
        wants_states, wants_weight, wants_bias, *_ = ctx.needs_input_grad
        layer = OutputLayer(weight, bias).to(states.dtype)
        if teacher is not None and teacher.layer is not None:
            teacher = replace(teacher, layer=teacher.layer.to(states.dtype))
        softmax = compiled(_softmax) if compile_it else _softmax_in_place
        rows = chunk_rows(len(weight))
        nats, divergence = torch.zeros((2,), device=states.device)
        to_states = torch.empty_like(states) if wants_states else None
        to_weight = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        to_bias = (
            torch.zeros_like(bias, dtype=torch.float32) if wants_bias and bias is not None else None
        )
        for start in range(0, len(states), rows):
            chunk = slice(start, start + rows)
            part, counts = states[chunk], (targets[chunk] != NO_TARGET).float()
            aim = targets[chunk].clamp(min=0)[:, None]
            logits = layer.logits(part)
            aimed_at = logits.gather(1, aim)[:, 0].float()
            if teacher is None:
                sums, error = softmax(logits)
                # Less 1 in fp32: near 1 bf16 has steps of 1/256, and would cancel.
                at_aim = (aimed_at - sums).exp() - 1.0
                every = torch.arange(len(error), device=error.device)
                error[every, aim[:, 0]] = at_aim.to(error.dtype)
            else:
                sums, added, error = _taught_errors(
                    logits,
                    (teacher.layer or layer).logits(teacher.states[chunk]),
                    aim,
                    counts,
                    teacher.weights[chunk],
                    teacher.temperature,
                )
                divergence += added.sum()
            nats += ((sums - aimed_at) * counts).sum()
            if to_states is not None:
                to_states[chunk] = error @ layer.weight
            if to_weight is not None:
                to_weight += error.T @ part
            if to_bias is not None:
                to_bias += error.float().sum(0)
        ctx.save_for_backward(to_states, to_weight, to_bias)
        ctx.types = weight.dtype, None if bias is None else bias.dtype
        ctx.mark_non_differentiable(nats)
        return nats + divergence, nats

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        scale, _ = gradients
        to_states, to_weight, to_bias = ctx.saved_tensors
        weight_type, bias_type = ctx.types
        return (
            None if to_states is None else to_states * scale.to(to_states.dtype),
            None if to_weight is None else (to_weight * scale).to(weight_type),
            None if to_bias is None else (to_bias * scale).to(bias_type),
            None,
            None,
            None,
        )
