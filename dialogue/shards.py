"""Flat shards of encoded sequences, mapped into memory and read without copying.

A shard is a folder: `tokens.bin` (all sequences one after the other), `mask.bin` (one byte a
token, 1 where the loss is taken), `offsets.npy` (int64 [N + 1]) and `shard.json` (names, domains,
token type, digests).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialogue.digests import file_digest
from dialogue.encoding import Encoded

_FILES = ("tokens.bin", "mask.bin", "offsets.npy")


@dataclass(frozen=True)
class Shard:
    """N sequences: `tokens` [Σ T], `mask` [Σ T], `offsets` [N + 1], `ids` and `domains` [N]."""

    tokens: NDArray[Any]
    mask: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    ids: tuple[str, ...]
    domains: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Encoded:
        """Sequence `index` as int64 ids and bool mask."""
        start, end = self.offsets[index], self.offsets[index + 1]
        return Encoded(
            np.asarray(self.tokens[start:end], dtype=np.int64),
            np.asarray(self.mask[start:end], dtype=np.bool_),
        )

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each sequence, [N]."""
        return np.diff(self.offsets)

    @property
    def num_bytes(self) -> int:
        """Bytes of tokens and mask."""
        return int(self.tokens.nbytes + self.mask.nbytes)

    def select(self, indices: Sequence[int]) -> Shard:
        """The sequences at `indices`, in that order; the tokens are copied."""
        return _build([(self.ids[i], self.domains[i], self[i]) for i in indices], self.tokens.dtype)


def empty_shard(dtype: Any = np.uint16) -> Shard:
    """A shard that holds nothing."""
    return _build([], np.dtype(dtype))


def concatenate(shards: Sequence[Shard]) -> Shard:
    """One shard of all sequences, in order."""
    rows = [
        (shard.ids[i], shard.domains[i], shard[i]) for shard in shards for i in range(len(shard))
    ]
    dtype = max((shard.tokens.dtype for shard in shards), key=lambda kind: kind.itemsize)
    return _build(rows, dtype)


def pack(rows: Iterable[tuple[str, str, Encoded]], vocabulary_size: int) -> Shard:
    """A shard of (id, domain, sequence) rows.

    Raises:
        ValueError: a sequence without a supervised token; it could not teach anything.
    """
    listed = list(rows)
    for name, _, encoded in listed:
        if not encoded.mask[1:].any():
            raise ValueError(f"dialogue {name}: no supervised token; it needs an assistant turn")
    return _build(listed, np.dtype(np.uint16 if vocabulary_size <= 2**16 else np.uint32))


def write_shard(folder: Path, shard: Shard) -> str:
    """Write a shard; returns its digest."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "tokens.bin").write_bytes(np.ascontiguousarray(shard.tokens).tobytes())
    (folder / "mask.bin").write_bytes(np.ascontiguousarray(shard.mask).tobytes())
    np.save(folder / "offsets.npy", shard.offsets, allow_pickle=False)
    files = {name: file_digest(folder / name) for name in _FILES}
    facts = {
        "dtype": shard.tokens.dtype.name,
        "ids": list(shard.ids),
        "domains": list(shard.domains),
        "files": files,
    }
    facts["digest"] = _facts_digest(facts)
    (folder / "shard.json").write_text(json.dumps(facts) + "\n")
    return str(facts["digest"])


def open_shard(folder: Path) -> Shard:
    """Map a shard into memory, after its digests were checked.

    Raises:
        ValueError: a file is missing or damaged.
    """
    description = folder / "shard.json"
    try:
        facts = json.loads(description.read_text(encoding="utf-8"))
        digest = facts.pop("digest")
    except FileNotFoundError as error:
        raise ValueError(f"{folder}: no shard here; run the stage that writes it") from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, AttributeError) as error:
        raise ValueError(f"{description}: damaged; run its stage again") from error
    if digest != _facts_digest(facts):
        raise ValueError(f"{description}: damaged: its digest does not fit; run its stage again")
    for name, expected in facts["files"].items():
        path = folder / name
        if not path.is_file() or file_digest(path) != expected:
            raise ValueError(f"{path}: missing or damaged; run its stage again")
    dtype = np.dtype(facts["dtype"])
    return Shard(
        tokens=_map(folder / "tokens.bin", dtype),
        mask=_map(folder / "mask.bin", np.dtype(np.uint8)),
        offsets=np.load(folder / "offsets.npy", allow_pickle=False),
        ids=tuple(facts["ids"]),
        domains=tuple(facts["domains"]),
    )


def shard_digest(folder: Path) -> str:
    """The digest a shard was written with."""
    return str(json.loads((folder / "shard.json").read_text(encoding="utf-8"))["digest"])


def _build(rows: list[tuple[str, str, Encoded]], dtype: np.dtype[Any]) -> Shard:
    lengths = [len(encoded.ids) for _, _, encoded in rows]
    none: list[NDArray[Any]] = [np.empty(0, dtype=np.int64)]
    return Shard(
        tokens=np.concatenate([row[2].ids for row in rows] or none).astype(dtype),
        mask=np.concatenate([row[2].mask for row in rows] or none).astype(np.uint8),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        ids=tuple(row[0] for row in rows),
        domains=tuple(row[1] for row in rows),
    )


def _map(path: Path, dtype: np.dtype[Any]) -> NDArray[Any]:
    if path.stat().st_size == 0:  # an empty file cannot be mapped
        return np.empty(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r")


def _facts_digest(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
