from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dialogue.continual.memory import Memory, memory_digest, read_memory, write_memory
from dialogue.manifest import write_manifest
from dialogue.shards import empty_shard, write_shard
from tests.dialogue.continual.rounds import shard

FISHER = torch.arange(4).to(torch.bfloat16)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    memory = Memory(shard("chat", 3), {"ewc/w": FISHER}, ("chat", "help"))
    digest = write_memory(tmp_path / "memory", memory)
    again = read_memory(tmp_path / "memory")
    assert again.dialogues.ids == memory.dialogues.ids
    assert again.learned == ("chat", "help")
    assert torch.equal(again.of("ewc")["w"], FISHER)
    assert memory_digest(tmp_path / "memory") == digest
    # Three dialogues of ten tokens and their mask, and four numbers of two bytes.
    assert again.num_bytes == 3 * 10 * 3 + 8


def test_equal_memories_have_equal_digests_and_others_others(tmp_path: Path) -> None:
    tensors = {"b": FISHER, "a": FISHER + 1}
    one = write_memory(tmp_path / "one", Memory(shard("chat", 3), tensors))
    backwards = dict(reversed(tensors.items()))
    assert one == write_memory(tmp_path / "two", Memory(shard("chat", 3), backwards))
    assert one != write_memory(
        tmp_path / "three", Memory(shard("chat", 3), tensors | {"a": -FISHER})
    )


def test_what_pretraining_leaves_is_a_memory(tmp_path: Path) -> None:
    digest = write_shard(tmp_path, empty_shard())
    memory = read_memory(tmp_path)
    assert (len(memory.dialogues), memory.learned, memory.num_bytes) == (0, (), 0)
    assert memory_digest(tmp_path) == digest


@pytest.mark.parametrize(
    "name", ["tensors.safetensors", "tokens.bin", "manifest.json", "learned.json"]
)
def test_damage_is_named(tmp_path: Path, name: str) -> None:
    write_memory(tmp_path, Memory(shard("chat", 3), {"ewc/w": FISHER}, ("chat",)))
    raw = bytearray((tmp_path / name).read_bytes())
    raw[-2 if name != "learned.json" else 4] ^= 1
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(ValueError, match=f"{name}.*damaged"):
        read_memory(tmp_path)


@pytest.mark.parametrize(
    "memory",
    [
        Memory(shard("chat", 3)),
        Memory(empty_shard(), {"ewc/w": FISHER}),
        Memory(empty_shard(), learned=("chat",)),
    ],
    ids=["dialogues", "tensors", "learned"],
)
def test_without_its_manifest_nothing_is_taken_on_trust(tmp_path: Path, memory: Memory) -> None:
    write_memory(tmp_path, memory)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"manifest\.json: missing, though something is remem"):
        read_memory(tmp_path)


def test_what_was_learned_belongs_to_the_digest(tmp_path: Path) -> None:
    chat, talk = (Memory(empty_shard(), learned=(name,)) for name in ("chat", "talk"))
    assert write_memory(tmp_path / "one", chat) != write_memory(tmp_path / "two", talk)


def test_a_memory_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    """It named the learned domains in its manifest, which no digest covered."""
    write_shard(tmp_path, shard("chat", 3))
    write_manifest(tmp_path, learned=["chat"])
    with pytest.raises(ValueError, match=r"learned\.json: missing, as in memories of earlier"):
        read_memory(tmp_path)


def test_a_strategy_replaces_its_own_tensors_only() -> None:
    memory = Memory(empty_shard(), {"ewc/w": FISHER, "lora/w": FISHER})
    changed = memory.with_tensors("ewc", {"v": -FISHER})
    assert set(changed.tensors) == {"ewc/v", "lora/w"}
