from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.encoding import Encoded
from dialogue.packing import collate, length_batches, plan_steps

lengths = st.lists(st.integers(2, 200), min_size=1, max_size=60).map(
    lambda values: np.array(values, dtype=np.int64)
)


@given(lengths, st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_an_epoch_reads_every_sequence_once(lengths: np.ndarray, seed: int) -> None:
    plan = plan_steps(lengths, epochs=2, tokens_per_batch=256, tokens_per_step=512, seed=seed)
    read = Counter(i for step in plan.steps for part in step for i in part)
    assert read == Counter(dict.fromkeys(range(len(lengths)), 2))


@given(lengths)
@settings(max_examples=60, deadline=None)
def test_batches_keep_to_the_budget(lengths: np.ndarray) -> None:
    plan = plan_steps(lengths, epochs=1, tokens_per_batch=256, tokens_per_step=512, seed=0)
    for part in (part for step in plan.steps for part in step):
        width = -(-int(lengths[list(part)].max()) // 16) * 16
        assert len(part) == 1 or width * len(part) <= 256


@given(lengths, st.integers(1, 30), st.sampled_from([1, 20, 500]))
@settings(max_examples=60, deadline=None)
def test_with_rehearsal_all_is_read_once_and_every_step_has_something_new(
    lengths: np.ndarray, rehearsed: int, min_steps: int
) -> None:
    num_new = len(lengths)
    both = np.concatenate([lengths, np.resize(lengths[::-1], rehearsed)])
    plan = plan_steps(
        both,
        epochs=2,
        tokens_per_batch=256,
        tokens_per_step=512,
        seed=0,
        min_steps=min_steps,
        rehearsed=rehearsed,
    )
    read = Counter(i for step in plan.steps for part in step for i in part)
    assert read == Counter(dict.fromkeys(range(len(both)), 2))
    assert all(min(i for part in step for i in part) < num_new for step in plan.steps)
    for part in (part for step in plan.steps for part in step):
        width = -(-int(both[list(part)].max()) // 16) * 16
        assert len(part) == 1 or width * len(part) <= 256


def test_every_step_has_its_part_of_new_and_rehearsed() -> None:
    """Two to one, of one length: in one batch; commands beside chats have batches of their own."""
    budget = {"epochs": 1.0, "tokens_per_batch": 512, "tokens_per_step": 192, "seed": 1}
    plan = plan_steps(np.full(60, 30), rehearsed=20, **budget)
    assert len(plan.steps) == 10
    for (batch,) in plan.steps:
        assert sorted(index < 40 for index in batch) == [False] * 2 + [True] * 4
    short = np.repeat([16, 128], [40, 20])
    plan = plan_steps(short, rehearsed=20, **budget)
    assert {len(step) for step in plan.steps} == {2}
    assert all(len({short[i] for i in batch}) == 1 for step in plan.steps for batch in step)


def test_a_step_is_no_larger_where_a_batch_may_be() -> None:
    """The first lesson, which rehearses nothing, takes steps of the size of the later ones."""
    plan = plan_steps(
        np.full(80, 16), epochs=1.0, tokens_per_batch=1024, tokens_per_step=128, seed=1
    )
    assert [sum(map(len, step)) for step in plan.steps] == [8] * 10


def test_half_an_epoch_rehearses_half() -> None:
    budget = {"tokens_per_batch": 64, "tokens_per_step": 128, "seed": 1, "rehearsed": 10}
    plan = plan_steps(np.full(30, 16), epochs=1.5, **budget)
    read = Counter(index for step in plan.steps for batch in step for index in batch)
    assert sum(count for index, count in read.items() if index < 20) == 30
    assert sum(count for index, count in read.items() if index >= 20) == 15


def test_steps_of_new_and_rehearsed_are_made_smaller_where_there_would_be_few() -> None:
    plan = plan_steps(
        np.full(60, 16),
        epochs=1.0,
        tokens_per_batch=512,
        tokens_per_step=512,
        seed=0,
        min_steps=12,
        rehearsed=20,
    )
    assert len(plan.steps) == 12


@given(st.integers(0, 100), st.integers(10, 40), st.sampled_from([20, 60]))
@settings(max_examples=40, deadline=None)
def test_few_short_sequences_make_as_many_steps_as_are_asked_for(
    seed: int, longest: int, min_steps: int
) -> None:
    lengths = np.random.default_rng(seed).integers(4, longest, 200)
    budget = {"epochs": 2, "tokens_per_batch": 1024, "tokens_per_step": 2048, "seed": seed}
    plan = plan_steps(lengths, min_steps=min_steps, **budget)
    assert 0.8 * min_steps <= len(plan.steps) <= min_steps
    read = Counter(i for step in plan.steps for part in step for i in part)
    assert read == Counter(dict.fromkeys(range(200), 2))


def test_the_plan_follows_from_the_seed() -> None:
    lengths = np.arange(2, 60)
    settings = {"epochs": 1.5, "tokens_per_batch": 128, "tokens_per_step": 256}
    assert plan_steps(lengths, seed=3, **settings).digest == (
        plan_steps(lengths, seed=3, **settings).digest
    )
    assert plan_steps(lengths, seed=4, **settings).digest != (
        plan_steps(lengths, seed=3, **settings).digest
    )


def test_collate_lists_what_predicts_the_supervised_tokens() -> None:
    batch = collate(
        [
            Encoded(np.array([5, 6, 7]), np.array([False, True, False])),
            Encoded(np.array([8, 9]), np.array([True, True])),
        ],
        pad_id=0,
    )
    assert batch.ids.shape == (2, 16)
    assert batch.rows.tolist() == [0, 1]
    assert batch.columns.tolist() == [0, 0]
    assert batch.targets.tolist() == [6, 9]


def test_what_is_read_is_listed_and_has_no_target_of_its_own() -> None:
    """The first token is predicted by nothing; the second sequence is read nowhere."""
    sequences = [
        Encoded(np.array([5, 6, 7]), np.array([False, True, False])),
        Encoded(np.array([8, 9]), np.array([True, True])),
    ]
    batch = collate(sequences, 0, read=[np.ones(3, dtype=np.bool_), np.zeros(2, dtype=np.bool_)])
    assert batch.rows.tolist() == [0, 0, 1]
    assert batch.columns.tolist() == [0, 1, 0]
    assert batch.targets.tolist() == [6, -100, 9]
    assert batch.read is not None
    assert batch.read.tolist() == [True, True, False]
    nowhere = collate(sequences, 0, read=[np.zeros(n, dtype=np.bool_) for n in (3, 2)])
    assert nowhere.read is None
    assert nowhere.targets.tolist() == collate(sequences, 0).targets.tolist()


def test_scoring_batches_cover_everything_longest_first() -> None:
    batches = length_batches([3, 50, 20, 40], 64)
    assert sorted(i for batch in batches for i in batch) == [0, 1, 2, 3]
    assert batches[0] == (1,)


def test_little_data_is_learned_in_smaller_steps() -> None:
    lengths = np.full(40, 10, dtype=np.int64)
    settings = {"epochs": 2.0, "tokens_per_batch": 4_096, "tokens_per_step": 4_096, "seed": 1}
    assert len(plan_steps(lengths, **settings).steps) == 1
    plan = plan_steps(lengths, **settings, min_steps=10)
    assert len(plan.steps) >= 10
    read = sorted(index for step in plan.steps for part in step for index in part)
    assert read == sorted([*range(40), *range(40)])
    assert len(plan_steps(lengths, **settings, min_steps=1_000).steps) == 80, "a dialogue at least"
