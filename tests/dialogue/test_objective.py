from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from dialogue.encoding import Encoded
from dialogue.model import load_model
from dialogue.objective import negative_log_likelihood
from dialogue.packing import collate


@pytest.fixture
def sequences() -> list[Encoded]:
    generator = np.random.default_rng(0)
    lengths = (5, 17, 33, 40)
    return [Encoded(generator.integers(3, 290, n), generator.random(n) < 0.5) for n in lengths]


def test_a_batch_equals_one_by_one(tiny_model: Path, sequences: list[Encoded]) -> None:
    model = load_model(tiny_model)
    together = negative_log_likelihood(model, collate(sequences, 0))
    apart = torch.cat([negative_log_likelihood(model, collate([s], 0)) for s in sequences])
    torch.testing.assert_close(together, apart)


def test_it_is_the_plain_loss_at_the_supervised_positions(
    tiny_model: Path, sequences: list[Encoded]
) -> None:
    model = load_model(tiny_model)
    sequence = sequences[2]
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(sequence.ids)[None]).logits[0, :-1]
        nats = functional.cross_entropy(
            logits, torch.from_numpy(sequence.ids[1:]), reduction="none"
        )
        expected = nats[torch.from_numpy(sequence.mask[1:])]
        actual = negative_log_likelihood(model, collate([sequence], 0))
    torch.testing.assert_close(actual, expected)
