"""What travels from round to round: whole dialogues, named tensors, and which domains were learned.

On disk a memory is a shard folder with `learned.json`, where a strategy keeps any
`tensors.safetensors`, and a `manifest.json` over all files. An empty shard alone, as pretraining
leaves one, is the memory of nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from dialogue.manifest import MANIFEST, read_manifest, verify_manifest, write_manifest
from dialogue.shards import Shard, open_shard, shard_digest, write_shard
from dialogue.writing import named_where_it_fails

_TENSORS, _LEARNED = "tensors.safetensors", "learned.json"


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What a round leaves to the next.

    Attributes:
        dialogues: to rehearse.
        tensors: by `<strategy>/<what>`, such as a Fisher diagonal.
        learned: the domains that were learned so far, oldest first.
    """

    dialogues: Shard
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    learned: tuple[str, ...] = ()

    @property
    def num_bytes(self) -> int:
        """Bytes of tokens, masks and tensors."""
        tensors = sum(value.numel() * value.element_size() for value in self.tensors.values())
        return self.dialogues.num_bytes + tensors

    def of(self, strategy: str) -> dict[str, Tensor]:
        """One strategy's tensors, under their own names."""
        start = f"{strategy}/"
        return {
            name.removeprefix(start): value
            for name, value in self.tensors.items()
            if name.startswith(start)
        }

    def with_tensors(self, strategy: str, tensors: Mapping[str, Tensor]) -> Memory:
        """The memory with one strategy's tensors in place of those it had."""
        others = {k: v for k, v in self.tensors.items() if not k.startswith(f"{strategy}/")}
        own = {f"{strategy}/{name}": value for name, value in tensors.items()}
        return Memory(self.dialogues, others | own, self.learned)


def write_memory(folder: Path, memory: Memory) -> str:
    """Write a memory; returns the digest of its folder.

    Raises:
        OSError: it cannot be written; nothing of it is left then.
    """
    with named_where_it_fails(folder, folder):
        write_shard(folder, memory.dialogues)
        if memory.tensors:
            values = {n: v.detach().cpu().contiguous() for n, v in sorted(memory.tensors.items())}
            save_file(values, folder / _TENSORS)
        # A file, and not a fact of the manifest, whose digest is of files.
        (folder / _LEARNED).write_text(json.dumps(memory.learned) + "\n", encoding="utf-8")
        return write_manifest(folder)


def read_memory(folder: Path) -> Memory:
    """Read a memory after its digests were checked; the dialogues are mapped, not read.

    Raises:
        ValueError: a file is missing or damaged.
    """
    if not (folder / MANIFEST).exists():
        return _nothing(folder)
    verify_manifest(folder)
    files = read_manifest(folder)["files"]
    if _LEARNED not in files:
        raise ValueError(
            f"{folder / _LEARNED}: missing, as in memories of earlier versions; run the stage that "
            "writes it again"
        )
    learned = json.loads((folder / _LEARNED).read_text(encoding="utf-8"))
    tensors = load_file(folder / _TENSORS) if _TENSORS in files else {}
    return Memory(open_shard(folder), tensors, tuple(learned))


def memory_digest(folder: Path) -> str:
    """The digest that names a memory, without reading all of it."""
    if (folder / MANIFEST).exists():
        return str(read_manifest(folder)["digest"])
    return shard_digest(folder)


def _nothing(folder: Path) -> Memory:
    """What a folder without a manifest holds, which must be an empty shard."""
    dialogues = open_shard(folder)
    if len(dialogues) or any((folder / name).exists() for name in (_TENSORS, _LEARNED)):
        raise ValueError(
            f"{folder / MANIFEST}: missing, though something is remembered here; run the stage "
            "that writes it again"
        )
    return Memory(dialogues)
