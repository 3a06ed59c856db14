from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dialogue.encoding import Encoded
from dialogue.forward import LlamaForward
from dialogue.frozen_states import frozen_states
from dialogue.shards import Shard, pack
from tests.dialogue.test_training import fresh

STREAM = np.random.default_rng(0).integers(3, 290, 96)


def blocks(size: int) -> Shard:
    """One stream of tokens, cut into blocks, as pretraining has them."""
    parts = np.split(STREAM, range(size, len(STREAM), size))
    rows = [(str(n), "base", Encoded(part, part > 0)) for n, part in enumerate(parts)]
    return pack(rows, 300)


class Reading:
    """Asks for the states of blocks of some size, and counts the tokens that are read for them."""

    def __init__(self, tiny_model: Path, folder: Path) -> None:
        self.forward = LlamaForward(fresh(tiny_model, top_layers=1), "fp32")  # type: ignore[arg-type]
        self.folder, self.tokens_per_batch = folder, 512

    def read(self, size: int) -> int:
        """How many tokens were read; the states are those that the frozen layers give."""
        tokens, examples = list[int](), blocks(size)
        states = frozen_states(
            self.forward,
            examples,
            self.folder,
            pad_id=0,
            tokens_per_batch=self.tokens_per_batch,
            advance=tokens.append,
        )
        for index in range(len(examples)):
            wanted = self.forward.border(torch.from_numpy(examples[index].ids)[None])
            torch.testing.assert_close(states.batch((index,), size).detach(), wanted.detach())
        return sum(tokens)


def test_what_an_earlier_start_left_is_read_again(tiny_model: Path, tmp_path: Path) -> None:
    reading = Reading(tiny_model, tmp_path)
    assert [reading.read(32), reading.read(32)] == [96, 0]


@pytest.mark.parametrize("size", [16, 48, 96])
def test_of_other_blocks_of_one_stream_it_is_not(
    tiny_model: Path, tmp_path: Path, size: int
) -> None:
    reading = Reading(tiny_model, tmp_path)
    assert [reading.read(32), reading.read(size)] == [96, 96]


def test_of_another_arithmetic_it_is_not(tiny_model: Path, tmp_path: Path) -> None:
    """A compiled run and another batch may round in other places."""
    reading = Reading(tiny_model, tmp_path)
    reading.read(32)
    reading.forward.compiled = True
    assert reading.read(32) == 96
    reading.tokens_per_batch = 64
    assert reading.read(32) == 96


@pytest.mark.parametrize("fault", ["flipped", "short", "no facts"])
def test_what_is_not_whole_is_computed_again(tiny_model: Path, tmp_path: Path, fault: str) -> None:
    """A damaged file, and a run that was killed while it was filled."""
    reading = Reading(tiny_model, tmp_path)
    reading.read(32)
    file = tmp_path / "states.bin"
    raw = bytearray(file.read_bytes())
    if fault == "flipped":
        raw[100] ^= 1
        file.write_bytes(raw)
    elif fault == "short":
        file.write_bytes(raw[:-4])
    else:
        (tmp_path / "states.json").unlink()
    assert [reading.read(32), reading.read(32)] == [96, 0]
