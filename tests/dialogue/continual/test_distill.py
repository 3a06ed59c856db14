from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div

from dialogue.config import Freeze
from dialogue.continual import distill
from dialogue.continual.distill import Distill, Divergence, Parent
from dialogue.continual.memory import Memory
from dialogue.continual.strategy import Round
from dialogue.forward import choose_forward
from dialogue.head import OutputLayer, taught_nats
from dialogue.model import load_model
from dialogue.objective import Regularizer, summed_loss
from dialogue.packing import NO_TARGET, collate
from dialogue.shards import concatenate, empty_shard
from tests.dialogue.continual.conftest import MakeRound
from tests.dialogue.continual.rounds import settings, shard

REHEARSED = ("replay", "distill")
"""Of these, the second is tested: what is rehearsed is given."""


def added(
    made: Round, regularizer: Regularizer, states: torch.Tensor, indices: tuple[int, ...]
) -> torch.Tensor:
    """What the teacher adds to the loss of a learner whose last states [S, H] these are."""
    teacher = regularizer.teacher(indices)
    assert teacher is not None
    layer = OutputLayer(made.model.get_output_embeddings().weight)
    nothing = torch.full((len(states),), NO_TARGET)
    return taught_nats(states, layer, nothing, teacher)[0].detach()


@pytest.mark.parametrize(("replayed", "new"), [(1.0, 0.0), (0.0, 2.0), (0.5, 2.0)])
def test_each_dialogue_counts_with_its_weight(
    lesson: MakeRound, replayed: float, new: float
) -> None:
    """Against transformers' own logits, dialogue by dialogue."""
    weights = {"replayed": replayed, "new": new}
    made = lesson(
        new=shard("home", 3, tokens=7, seed=1),
        memory=Memory(empty_shard(), learned=("chat",)),
        finetune=settings(REHEARSED, distill=weights),
    )
    examples = concatenate([made.new, shard("chat", 2, tokens=9, seed=2)])
    regularizer = Distill(made).regularizer(examples)
    assert regularizer is not None
    indices = (3, 0, 4, 2)
    sequences = [examples[index] for index in indices]
    batch = collate(sequences, made.pad_id, regularizer.reads(indices))
    assert batch.read is not None
    states = torch.randn(len(batch.targets), 32, generator=torch.Generator().manual_seed(1))
    found = added(made, regularizer, states[batch.read], indices)
    student = (states @ made.model.get_output_embeddings().weight.T).detach()
    wanted, start = 0.0, 0
    for index in indices:
        ids = torch.from_numpy(examples[index].ids)[None]
        teacher = made.model(ids).logits[0, :-1]
        own = student[start : start + len(teacher)]
        start += len(teacher)
        kl = kl_div(own.log_softmax(-1), teacher.softmax(-1), reduction="sum")
        # Three dialogues of 6 new tokens for two of 8 that are rehearsed.
        wanted += float(kl.detach()) * (new if index < 3 else replayed * 18 / 16)
    assert float(found) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("is_whole", [False, True])
@pytest.mark.parametrize("is_kept", [False, True])
@pytest.mark.parametrize("has_border", [False, True])
def test_the_loss_is_the_sum_that_is_written_above(
    lesson: MakeRound,
    monkeypatch: pytest.MonkeyPatch,
    is_whole: bool,
    is_kept: bool,
    has_border: bool,
) -> None:
    """By transformers' own logits: −Σ log P of 3 tokens, and 5 · 3 times the mean KL of 3 or 8."""
    monkeypatch.setattr(distill, "_KEPT_BYTES", 2**20 if is_kept else 0)
    made = lesson(
        new=shard("home", 2, tokens=7, seed=1, supervised=3),
        memory=Memory(empty_shard(), learned=("chat",)),
        finetune=settings(
            ("replay", "distill"), distill={"replayed": 5.0, "new": 0.0, "whole": is_whole}
        ),
        frozen=Freeze(top_layers=1, embeddings=True, norms=False),
    )
    examples = concatenate([made.new, shard("chat", 2, tokens=9, seed=2, supervised=3)])
    regularizer = Distill(made).regularizer(examples)
    assert regularizer is not None
    teacher = load_model(Path(made.model.name_or_path))
    with torch.no_grad():
        made.model.base_model.layers[-1].mlp.down_proj.weight.mul_(300.0)
    forward = choose_forward(made.model, "fp32", compiled=False)

    asked: list[tuple[int, ...]] = []

    def border(indices: tuple[int, ...], width: int) -> torch.Tensor:
        asked.append(indices)
        batch = collate([examples[index] for index in indices], made.pad_id)
        assert batch.ids.shape[1] == width
        return forward.border(batch.ids)

    regularizer.begin(border if has_border else None)

    def loss(indices: tuple[int, ...], *, known: bool) -> tuple[float, float]:
        sequences = [examples[index] for index in indices]
        batch = collate(sequences, made.pad_id, regularizer.reads(indices))
        border = forward.border(batch.ids) if known else None
        total, nats = summed_loss(
            forward, batch, border=border, regularizer=regularizer, indices=indices
        )
        return float(total.detach()), nats

    nats = divergence = 0.0
    for index in range(4):
        ids = torch.from_numpy(examples[index].ids)
        with torch.no_grad():
            said, taught = made.model(ids[None]).logits[0, :-1], teacher(ids[None]).logits[0, :-1]
        nats += float(cross_entropy(said[-3:], ids[-3:], reduction="sum"))
        if index >= 2:
            each = kl_div(said.log_softmax(-1), taught.softmax(-1), reduction="none").sum(-1)
            divergence += 5.0 * float(3 / 8 * each.sum() if is_whole else each[-3:].sum())
    assert divergence > 0.1, "there is something to learn"
    wanted = pytest.approx((nats + divergence, nats), rel=1e-4)
    assert loss((3, 0, 2, 1), known=False) == wanted
    assert {index for indices in asked for index in indices} == ({2, 3} if has_border else set())
    assert loss((3, 0, 2, 1), known=True) == wanted
    assert np.sum([loss((index,), known=False) for index in range(4)], axis=0) == wanted


def test_where_everything_is_supervised_whole_changes_no_bit(lesson: MakeRound) -> None:
    memory = Memory(empty_shard(), learned=("chat",))
    found = []
    for is_whole in (False, True):
        made = lesson(memory=memory, finetune=settings(REHEARSED, distill={"whole": is_whole}))
        examples = concatenate([made.new, shard("chat", 3, tokens=9, seed=2)])
        regularizer = Distill(made).regularizer(examples)
        assert regularizer is not None
        batch = collate([examples[12], examples[14]], made.pad_id, regularizer.reads((12, 14)))
        states = torch.randn(len(batch.targets), 32, generator=torch.Generator().manual_seed(1))
        found.append(added(made, regularizer, states, (12, 14)))
    assert torch.equal(*found)


def test_domains_count_alike_however_many_and_long_their_dialogues(lesson: MakeRound) -> None:
    """5 times the new domain's 8 supervised tokens: 20 of them a domain, 10 a chat of two."""
    made = lesson(
        new=shard("home", 2, tokens=7, seed=1, supervised=4),
        memory=Memory(empty_shard(), learned=("chat",)),
        finetune=settings(REHEARSED, distill={"replayed": 5.0, "new": 0.0, "whole": True}),
    )
    for tokens in (9, 60):
        rehearsed = [shard("chat", 2, tokens=tokens, seed=2), shard("help", 1, tokens=5, seed=3)]
        regularizer = Distill(made).regularizer(concatenate([made.new, *rehearsed]))
        assert regularizer is not None
        teacher = regularizer.teacher((0, 1, 2, 3, 4))
        assert teacher is not None
        assert len(teacher.weights) == 2 * (tokens - 1) + 4
        parts = teacher.weights.split([tokens - 1, tokens - 1, 4])
        assert [float(part.sum()) for part in parts] == pytest.approx([10, 10, 20])
        assert all(float(part.max()) == float(part.min()) for part in parts)


@pytest.mark.parametrize(("replayed", "labels"), [(8.0, False), (8.0, True), (0.0, False)])
def test_without_labels_what_the_parent_teaches_is_learned_from_it_alone(
    lesson: MakeRound, replayed: float, labels: bool
) -> None:
    made = lesson(
        new=shard("home", 2, seed=1),
        memory=Memory(empty_shard(), learned=("chat",)),
        finetune=settings(REHEARSED, distill={"replayed": replayed, "new": 1.0, "labels": labels}),
    )
    examples = concatenate([made.new, shard("chat", 3, seed=2)])
    regularizer = Distill(made).regularizer(examples)
    assert regularizer is not None
    labelled = np.ones(5, bool) if regularizer.labelled is None else regularizer.labelled
    assert labelled.tolist() == [True, True, *[labels or replayed == 0] * 3]


def test_what_is_new_is_learned_by_its_labels_whatever_it_is_called(lesson: MakeRound) -> None:
    made = lesson(
        new=shard("another name", 2, seed=1),
        memory=Memory(empty_shard(), learned=("chat",)),
        finetune=settings(REHEARSED, distill={"replayed": 8.0, "labels": False}),
    )
    regularizer = Distill(made).regularizer(concatenate([made.new, shard("chat", 1, seed=2)]))
    assert regularizer is not None
    assert regularizer.labelled is not None
    assert regularizer.labelled.tolist() == [True, True, False]


def test_of_a_domain_that_comes_again_the_parent_teaches_what_is_rehearsed(
    lesson: MakeRound,
) -> None:
    """Not the new dialogues in writing form, which it has never seen either."""
    new = shard("home", 2, seed=1)
    made = lesson(
        new=new,
        memory=Memory(empty_shard(), learned=("home",)),
        finetune=settings(REHEARSED, distill={"replayed": 8.0, "labels": False}),
    )
    rehearsed = shard("home", 3, seed=2)
    names = ("old-1", "writing-old-1", "writing-home-1")
    examples = concatenate([new, replace(rehearsed, ids=names)])
    regularizer = Distill(made).regularizer(examples)
    assert regularizer is not None
    assert regularizer.labelled is not None
    assert regularizer.labelled.tolist() == [True, True, False, False, True]


def test_the_teacher_is_not_asked_where_it_does_not_count(lesson: MakeRound) -> None:
    made = lesson(
        memory=Memory(empty_shard(), learned=("chat",)),
        finetune=settings(REHEARSED, distill={"replayed": 1.0, "new": 0.0}),
    )
    regularizer = Distill(made).regularizer(made.new)
    assert regularizer is not None
    assert collate([made.new[0]], made.pad_id, regularizer.reads((0,))).read is None


def test_the_teacher_stays_what_the_parent_was(lesson: MakeRound) -> None:
    made = lesson(
        memory=Memory(empty_shard(), learned=("chat",)),
        finetune=settings(REHEARSED, distill={"new": 1.0}),
    )
    regularizer = Distill(made).regularizer(made.new)
    assert regularizer is not None
    batch = collate([made.new[0]], made.pad_id)
    states = torch.zeros(len(batch.targets), 32)
    before = added(made, regularizer, states, (0,))
    with torch.no_grad():
        for parameter in made.model.parameters():
            parameter.mul_(2.0)
    assert torch.equal(before, added(made, regularizer, states, (0,)))


def test_what_the_parent_said_once_is_what_it_says(lesson: MakeRound) -> None:
    """A dialogue that is rehearsed twice is read once, and kept for both."""
    made = lesson()
    twice = shard("chat", 3, tokens=9, seed=2)
    examples = concatenate([shard("home", 4, tokens=7, seed=1), twice, twice])
    taught = np.arange(len(examples)) > 1
    forward = choose_forward(made.model.train(False), "fp32", compiled=False)
    parent = Parent(forward, examples, taught, made.pad_id)
    assert parent.pays(epochs=1.0)
    read: list[int] = []
    asked = (8, 2, 5, 3, 4)
    before = parent.states(asked)
    parent.keep(read.append)
    assert sum(read) == parent.tokens == 2 * 7 + 3 * 9
    torch.testing.assert_close(parent.states(asked), before, rtol=1e-5, atol=1e-5)
    assert torch.equal(parent.states((4,)), parent.states((7,)))


def test_nothing_is_kept_where_it_would_be_used_once_or_has_no_room(
    lesson: MakeRound, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = lesson()
    forward = choose_forward(made.model, "fp32", compiled=False)
    parent = Parent(forward, made.new, np.ones(len(made.new), dtype=np.bool_), made.pad_id)
    assert not parent.pays(epochs=1.0)
    assert parent.pays(epochs=2.0)
    monkeypatch.setattr(distill, "_KEPT_BYTES", 1_000)
    assert not parent.pays(epochs=2.0)


def test_the_first_domain_has_no_teacher(lesson: MakeRound) -> None:
    made = lesson(finetune=settings(REHEARSED, distill={"new": 1.0}))
    assert Distill(made).regularizer(made.new) is None
    again = replace(made, memory=Memory(empty_shard(), learned=("chat",)))
    assert Distill(again).regularizer(made.new) is not None


def test_the_teacher_stands_where_training_runs(
    lesson: MakeRound, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's `meta` device for a GPU: tensors of two devices do not mix."""
    monkeypatch.setattr(distill, "choose_device", lambda: torch.device("meta"))
    memory = Memory(empty_shard(), learned=("chat",))
    made = lesson(memory=memory, finetune=settings(REHEARSED, distill={"new": 1.0}))
    regularizer = Distill(made).regularizer(made.new)
    assert isinstance(regularizer, Divergence)
    taught = regularizer._parent.states([0, 1])
    assert (taught.device.type, taught.shape) == ("meta", (18, 32))
