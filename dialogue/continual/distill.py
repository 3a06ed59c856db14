"""Distillation from the model before: its distribution is learned beside the responses.

On replayed dialogues this is dark experience replay (Buzzega et al. 2020: DER, with `labels`
DER++), with the parent itself in place of stored logits; on the new domain's it is learning
without forgetting (Li & Hoiem 2016). The first domain has nobody to learn from.

Of a dialogue the parent teaches the supervised tokens or, with `whole`, all that have one before
them. Without `labels` a rehearsed dialogue is learned from the parent alone. Beside new dialogues
with N supervised tokens, a step adds for each rehearsed one of m taught tokens, one of n of its
domain where K domains are rehearsed,

    w · N / K / n / m · Σ_taught T² · KL_token

to its Σ_labelled −log P(token), and divides both by its labelled tokens: the mean KL of what is
rehearsed, over a domain's dialogues and over domains, counts w times what the new domain's mean
loss does, however many and however long the dialogues of either are. The user's words are never
learned from the data.

Shapes: S taught tokens of some dialogues, V vocabulary, H hidden size.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dialogue.continual.pseudo import WRITING
from dialogue.continual.strategy import Strategy
from dialogue.distributed import progress_stream
from dialogue.forward import Forward, choose_forward
from dialogue.head import OutputLayer, Teacher
from dialogue.model import choose_device, choose_precision
from dialogue.objective import Border, Regularizer
from dialogue.packing import (
    TOKENS_WITHOUT_GRADIENT,
    collate,
    length_batches,
    supervised_tokens,
)
from dialogue.progress import Progress
from dialogue.repeats import first_alike
from dialogue.shards import Shard, all_supervised

_KEPT_BYTES = 2**30


class Distill(Strategy):
    """The parent teaches: on what is replayed and on what is new, each with its weight."""

    def regularizer(self, examples: Shard) -> Regularizer | None:
        """The divergence from the parent."""
        settings = self.round.settings.distill
        if not self.round.memory.learned:
            return None
        lessons = all_supervised(examples) if settings.whole else examples
        is_earlier = self._is_earlier(examples)
        weights = self._weights(examples, lessons, is_earlier)
        # What learns stays marked: the teacher is computed just as the learner is.
        teacher = copy.deepcopy(self.round.model)
        teacher.to(choose_device())  # type: ignore[arg-type]  # the wrapper's types hide it
        teacher.train(False)
        training = self.round.settings.training
        forward = choose_forward(teacher, choose_precision(training.precision), compiled=False)
        parent = Parent(forward, lessons, weights > 0, self.round.pad_id)
        # What does not learn is the parent's still, and the learner's own is at hand.
        theirs = parent.layer
        layer = theirs.detached().to(forward.dtype) if theirs.learns else None
        labelled = None if settings.labels else ~(is_earlier & (weights > 0))
        label = f"{self.round.domain}: what the parent says" if parent.pays(training.epochs) else ""
        return Divergence(parent, lessons, weights, settings.temperature, layer, labelled, label)

    def _is_earlier(self, examples: Shard) -> NDArray[np.bool_]:
        """Which are rehearsed of what the parent has learned."""
        domain, own, num_new = self.round.domain, set(self.round.new.ids), len(self.round.new)
        comes_again = domain in self.round.memory.learned
        is_earlier = np.zeros(len(examples), dtype=np.bool_)
        # When a domain comes again, the parent knows what is rehearsed of it; not what is new.
        is_earlier[num_new:] = [
            its != domain or (comes_again and name.removeprefix(WRITING) not in own)
            for its, name in zip(examples.domains[num_new:], examples.ids[num_new:], strict=True)
        ]
        return is_earlier

    def _weights(
        self, examples: Shard, lessons: Shard, is_earlier: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Of each dialogue's taught tokens, in supervised tokens of the new domain."""
        settings = self.round.settings.distill
        supervised, taught = supervised_tokens(examples), supervised_tokens(lessons)
        numbers = Counter(np.array(examples.domains)[is_earlier].tolist())
        weights = (settings.new * supervised).astype(np.float64)
        in_all = settings.replayed * supervised[: len(self.round.new)].sum()
        for index in np.flatnonzero(is_earlier):
            weights[index] = in_all / len(numbers) / numbers[examples.domains[index]]
        return weights / taught


class Parent:
    """What the parent says of some dialogues, read when it is asked for, or once and kept.

    Kept are the last layer's states [S, H] before the tokens it teaches, in the arithmetic's type:
    the logits that follow from them are V / H times as large.
    """

    def __init__(
        self, forward: Forward, lessons: Shard, taught: NDArray[np.bool_], pad_id: int
    ) -> None:
        self._forward, self._lessons, self._pad_id = forward, lessons, pad_id
        self._counts = supervised_tokens(lessons)
        # A rehearsed dialogue can stand in a round several times, and is read once.
        self._alike = first_alike(lessons)
        self._taught = np.flatnonzero(taught)
        self._different = np.unique(self._alike[taught])
        self._starts: dict[int, int] = {}
        self._states: Tensor | None = None
        self.border: Border | None = None
        """What the frozen layers say, which are the learner's too, where that is kept."""

    @property
    def num_different(self) -> int:
        """Dialogues that it reads, those that are alike once."""
        return len(self._different)

    @property
    def tokens(self) -> int:
        """Of the dialogues that differ."""
        return int(self._lessons.lengths[self._different].sum())

    def pays(self, epochs: float) -> bool:
        """Whether a dialogue is read more than once, and there is room for what is kept."""
        size = int(self._forward.model.config.hidden_size) * self._forward.dtype.itemsize
        num_states = int(self._counts[self._different].sum())
        return (
            epochs * len(self._taught) > len(self._different) and size * num_states <= _KEPT_BYTES
        )

    def keep(self, advance: Callable[[int], None]) -> None:
        """Read every dialogue, once; `advance` is told how many tokens were read."""
        parts = []
        lengths = self._lessons.lengths[self._different]
        start = 0
        for places in length_batches(lengths, TOKENS_WITHOUT_GRADIENT):
            members = self._different[list(places)].tolist()
            parts.append(self._read(members))
            for index in members:
                self._starts[index] = start
                start += int(self._counts[index])
            advance(int(lengths[list(places)].sum()))
        self._states = torch.cat(parts)

    def states(self, indices: Sequence[int]) -> Tensor:
        """[S, H] before what is taught of some of the dialogues, in their order."""
        if self._states is None:
            return self._read(indices)
        spans = [
            np.arange(self._counts[index]) + self._starts[int(self._alike[index])]
            for index in indices
        ]
        rows = torch.from_numpy(np.concatenate(spans)).to(self._states.device)
        return self._states[rows]

    @property
    def layer(self) -> OutputLayer:
        """What makes logits of the states."""
        return self._forward.layer

    @torch.no_grad()
    def _read(self, indices: Sequence[int]) -> Tensor:
        sequences = [self._lessons[index] for index in indices]
        batch = collate(sequences, self._pad_id).to(self._forward.model.device)
        border = None
        if self.border is not None:
            border = self.border(tuple(indices), batch.ids.shape[1]).to(batch.ids.device)
        return self._forward.states(batch, border).to(self._forward.dtype)


class Divergence(Regularizer):
    """Σ_s w_s · T² · KL(parent ‖ student): w by the dialogue that a position belongs to.

    The parent speaks of a micro-batch's dialogues whose weight is not 0, all at once: what it says
    follows from the plan, not from where a run was interrupted.
    """

    def __init__(
        self,
        parent: Parent,
        lessons: Shard,
        weights: NDArray[np.float64],
        temperature: float,
        layer: OutputLayer | None,
        labelled: NDArray[np.bool_] | None,
        label: str,
    ) -> None:
        self.labelled, self._label = labelled, label
        self._parent, self._lessons = parent, lessons
        self._weights, self._temperature, self._layer = weights, temperature, layer
        self._counts = supervised_tokens(lessons)
        self.num_read = parent.num_different

    def begin(self, border: Border | None) -> None:
        """Let the parent read all it will be asked for, where a progress line has a label."""
        self._parent.border = border
        if self._label:
            bar = Progress(self._label, self._parent.tokens, "tokens", progress_stream())
            self._parent.keep(bar.advance)
            bar.finish()

    def reads(self, indices: tuple[int, ...]) -> list[NDArray[np.bool_]]:
        """What is taught of each."""
        return [self._lessons[index].mask & (self._weights[index] > 0) for index in indices]

    def teacher(self, indices: tuple[int, ...]) -> Teacher | None:
        """What the parent says of what is taught of the micro-batch."""
        read = [index for index in indices if self._weights[index] > 0]
        if not read:
            return None
        states = self._parent.states(read)
        weights = np.repeat(self._weights[read], self._counts[read])
        assert len(weights) == len(states), "positions stand in the order of their dialogues"
        shares = torch.from_numpy(weights).to(states.device, torch.float32)
        return Teacher(states, shares, self._temperature, self._layer)
