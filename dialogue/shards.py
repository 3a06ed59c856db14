"""Flat shards of encoded sequences, mapped into memory and read without copying.

A shard is a folder: `tokens.bin` (all sequences one after the other), `mask.bin` (one byte a
token, 1 where the loss is taken), `offsets.npy` (int64 [N + 1]), `ids.txt` (one a line) and
`shard.json` (domains, token type, what it was made from, digests).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass, replace
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from dialogue.digests import file_digest
from dialogue.encoding import Encoded

_STREAMED = ("tokens.bin", "mask.bin", "ids.txt")
_OFFSETS = "offsets.npy"
_DESCRIPTION = "shard.json"
_CHUNK = 4_096


@dataclass(frozen=True)
class Flat:
    """Sequences one after the other: `tokens` and `mask` (uint8), both [Σ T]."""

    tokens: NDArray[Any]
    mask: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Shard:
    """N sequences, each somewhere in one of `flats`: selecting and joining copy no token.

    `flat` says in which [N], `starts` and `lengths` where [N]; `ids` and `domains` [N].
    """

    flats: tuple[Flat, ...]
    flat: NDArray[np.intp]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    ids: tuple[str, ...]
    domains: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Encoded:
        """Sequence `index` as int64 ids and bool mask."""
        tokens, mask = self.stored(index)
        return Encoded(np.asarray(tokens, dtype=np.int64), np.asarray(mask, dtype=np.bool_))

    def stored(self, index: int) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Tokens and mask of sequence `index` as they lie there, not copied."""
        flat = self.flats[self.flat[index]]
        own = slice(self.starts[index], self.starts[index] + self.lengths[index])
        return flat.tokens[own], flat.mask[own]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that holds every token."""
        return max((flat.tokens.dtype for flat in self.flats), key=lambda kind: kind.itemsize)

    @property
    def token_bytes(self) -> int:
        """Bytes of one token and its mask."""
        return self.dtype.itemsize + 1

    @property
    def num_bytes(self) -> int:
        """Bytes of tokens and mask."""
        return int(self.lengths.sum()) * self.token_bytes

    def select(self, indices: Sequence[int]) -> Shard:
        """The sequences at `indices`, in that order."""
        places = np.asarray(indices, dtype=np.intp)
        return Shard(
            flats=self.flats,
            flat=self.flat[places],
            starts=self.starts[places],
            lengths=self.lengths[places],
            ids=tuple(self.ids[index] for index in indices),
            domains=tuple(self.domains[index] for index in indices),
        )


def empty_shard(dtype: Any = np.uint16) -> Shard:
    """A shard that holds nothing."""
    return _build([], np.dtype(dtype))


def concatenate(shards: Sequence[Shard]) -> Shard:
    """One shard of all sequences, in order."""
    before = np.cumsum([0, *(len(shard.flats) for shard in shards)])
    return Shard(
        flats=tuple(flat for shard in shards for flat in shard.flats),
        flat=np.concatenate(
            [shard.flat + first for shard, first in zip(shards, before[:-1], strict=True)]
        ),
        starts=np.concatenate([shard.starts for shard in shards]),
        lengths=np.concatenate([shard.lengths for shard in shards]),
        ids=tuple(name for shard in shards for name in shard.ids),
        domains=tuple(name for shard in shards for name in shard.domains),
    )


def all_supervised(shard: Shard) -> Shard:
    """The same sequences with every token supervised; no token is copied."""
    one = np.uint8(1)
    flats = (Flat(flat.tokens, np.broadcast_to(one, flat.mask.shape)) for flat in shard.flats)
    return replace(shard, flats=tuple(flats))


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


@dataclass(frozen=True, slots=True)
class Part:
    """What a shard holds of its records: the row groups `first` to `end` (not included) of all."""

    first: int
    end: int
    num_groups: int


class ShardWriter:
    """Writes a shard a chunk at a time; it can be opened once the block ends without an error.

    Equal sequences give equal bytes, whatever the chunks they come in.

    Args:
        folder: the shard's; what was in it goes.
        dtype: the tokens' type.
        made_from: digests and settings that the tokens follow from, for tracing.
        part: which part of the records it holds, if not all: it is then there to be joined only.
    """

    def __init__(
        self,
        folder: Path,
        dtype: np.dtype[Any],
        made_from: Mapping[str, str | int],
        part: Part | None = None,
    ) -> None:
        self.num_sequences = self.num_tokens = self.num_supervised = 0
        self.digest = ""
        """Of the whole shard; known once the block has ended."""
        self._folder = folder
        self._dtype = dtype
        self._made_from = dict(made_from)
        self._part = part
        self._lengths: list[NDArray[np.int64]] = []
        self._domains: list[tuple[str, int]] = []
        self._files = ExitStack()
        self._open: dict[str, IO[bytes]] = {}
        self._hashes = {name: hashlib.sha256() for name in _STREAMED}

    def __enter__(self) -> ShardWriter:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        for name in _STREAMED:
            self._open[name] = self._files.enter_context((self._folder / name).open("wb"))
        return self

    def append(
        self,
        ids: Sequence[str],
        domains: str | Sequence[str],
        tokens: NDArray[Any],
        mask: NDArray[np.uint8],
        lengths: NDArray[np.int64],
    ) -> None:
        """Add sequences: tokens and mask one after the other [Σ T], the rest [N].

        `domains` may be the one that all share.
        """
        assert not any("\n" in name for name in ids), "an id is one line"
        self._write("tokens.bin", np.ascontiguousarray(tokens, dtype=self._dtype).data)
        self._write("mask.bin", np.ascontiguousarray(mask, dtype=np.uint8).data)
        self._write("ids.txt", "".join(f"{name}\n" for name in ids).encode())
        runs = (
            [(domains, len(ids))]
            if isinstance(domains, str)
            else [(name, len(list(run))) for name, run in groupby(domains)]
        )
        for name, count in runs:
            if self._domains and self._domains[-1][0] == name:
                count += self._domains.pop()[1]  # noqa: PLW2901
            if count:
                self._domains.append((name, count))
        self._lengths.append(np.asarray(lengths, dtype=np.int64))
        self.num_sequences += len(ids)
        self.num_tokens += len(tokens)
        self.num_supervised += int(mask.sum(dtype=np.int64))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._files.close()
        if error is not None:
            return
        path = self._folder / _OFFSETS
        starts = [np.zeros(1, dtype=np.int64)]
        np.save(path, np.cumsum(np.concatenate([*starts, *self._lengths])), allow_pickle=False)
        facts: dict[str, Any] = {
            "dtype": self._dtype.name,
            "domains": self._domains,
            "made_from": self._made_from,
            "files": {name: each.hexdigest() for name, each in self._hashes.items()}
            | {_OFFSETS: file_digest(path)},
        }
        if self._part is not None:
            facts["part"] = astuple(self._part)
        self.digest = _facts_digest(facts)
        (self._folder / _DESCRIPTION).write_bytes(_description(facts, self.digest))

    def _write(self, name: str, content: Any) -> None:
        self._open[name].write(content)
        self._hashes[name].update(content)


def write_shard(folder: Path, shard: Shard) -> str:
    """Write a shard; returns its digest."""
    with ShardWriter(folder, shard.dtype, {}) as writer:
        for start in range(0, len(shard), _CHUNK):
            chunk = range(start, min(start + _CHUNK, len(shard)))
            rows = [shard.stored(index) for index in chunk]
            writer.append(
                shard.ids[chunk.start : chunk.stop],
                shard.domains[chunk.start : chunk.stop],
                np.concatenate([tokens for tokens, _ in rows]),
                np.concatenate([mask for _, mask in rows]),
                shard.lengths[chunk.start : chunk.stop],
            )
    return writer.digest


def join_shards(folder: Path, parts: Sequence[Path]) -> ShardWriter:
    """Join shards that were made in parts, named in any order, as if written in one go.

    Returns:
        The closed writer, which knows the digest and how much was written.

    Raises:
        ValueError: a part is missing, doubled or damaged, or they were not made from the same.
    """
    facts = [_read_facts(part) for part in parts]
    for part, own in zip(parts, facts, strict=True):
        if (own["made_from"], own["dtype"]) != (facts[0]["made_from"], facts[0]["dtype"]):
            raise ValueError(
                f"{part}: not made from the same records, tokenizer and settings as {parts[0]}; "
                "encode it again"
            )
        if "part" not in own:
            raise ValueError(f"{part}: does not say which part it is; encode its range again")
    order = sorted(range(len(parts)), key=lambda place: facts[place]["part"])
    _check_whole([(Part(*facts[place]["part"]), parts[place]) for place in order])
    shards = [_mapped(parts[place], facts[place]) for place in order]
    with ShardWriter(folder, np.dtype(facts[0]["dtype"]), facts[0]["made_from"]) as writer:
        for shard in shards:
            (flat,) = shard.flats
            writer.append(shard.ids, shard.domains, flat.tokens, flat.mask, shard.lengths)
    return writer


def open_shard(folder: Path) -> Shard:
    """Map a shard into memory, after its digests were checked.

    Raises:
        ValueError: a file is missing or damaged, or it is only a part.
    """
    facts = _read_facts(folder)
    if "part" in facts:
        part = Part(*facts["part"])
        raise ValueError(
            f"{folder}: holds row groups {part.first}:{part.end} of {part.num_groups} only; join "
            "the parts by `python -m tasks.encode_range join`"
        )
    return _mapped(folder, facts)


def shard_digest(folder: Path) -> str:
    """The digest a shard was written with."""
    return str(json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))["digest"])


def _check_whole(parts: Sequence[tuple[Part, Path]]) -> None:
    """Whether ascending parts are all of their records, each row group once."""
    faults, end, last = [], 0, parts[0][1]
    for own, path in parts:
        if own.first < end:
            faults.append(f"row groups {own.first}:{min(own.end, end)} are in {last} and {path}")
        elif own.first > end:
            faults.append(f"row groups {end}:{own.first} are missing")
        if own.end > end:
            end, last = own.end, path
    num_groups = parts[0][0].num_groups
    if end < num_groups:
        faults.append(f"row groups {end}:{num_groups} are missing")
    if faults:
        raise ValueError(
            f"{'; '.join(faults)}: join parts that hold each of 0:{num_groups} once, encoded with "
            "`--groups`"
        )


def _mapped(folder: Path, facts: Mapping[str, Any]) -> Shard:
    for name, expected in facts["files"].items():
        path = folder / name
        if not path.is_file() or file_digest(path) != expected:
            raise ValueError(f"{path}: missing or damaged; run its stage again")
    offsets = np.load(folder / _OFFSETS, mmap_mode="r", allow_pickle=False)
    ids = tuple((folder / "ids.txt").read_text(encoding="utf-8").split("\n")[:-1])
    return Shard(
        flats=(
            Flat(
                _map(folder / "tokens.bin", np.dtype(facts["dtype"])),
                _map(folder / "mask.bin", np.dtype(np.uint8)),
            ),
        ),
        flat=np.zeros(len(ids), dtype=np.intp),
        starts=offsets[:-1],
        lengths=np.diff(offsets),
        ids=ids,
        domains=tuple(name for name, count in facts["domains"] for _ in range(count)),
    )


def _read_facts(folder: Path) -> dict[str, Any]:
    path = folder / _DESCRIPTION
    try:
        raw = path.read_bytes()
        facts = json.loads(raw)
        digest = facts.pop("digest")
    except FileNotFoundError as error:
        raise ValueError(f"{folder}: no shard here; run the stage that writes it") from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: damaged; run its stage again") from error
    # Byte by byte: JSON has several ways to say the same.
    if digest != _facts_digest(facts) or raw != _description(facts, digest):
        raise ValueError(f"{path}: damaged: its digest does not fit; run its stage again")
    return dict(facts)


def _build(rows: list[tuple[str, str, Encoded]], dtype: np.dtype[Any]) -> Shard:
    lengths = np.array([len(encoded.ids) for _, _, encoded in rows], dtype=np.int64)
    none: list[NDArray[Any]] = [np.empty(0, dtype=np.int64)]
    return Shard(
        flats=(
            Flat(
                np.concatenate([row[2].ids for row in rows] or none).astype(dtype),
                np.concatenate([row[2].mask for row in rows] or none).astype(np.uint8),
            ),
        ),
        flat=np.zeros(len(rows), dtype=np.intp),
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        ids=tuple(row[0] for row in rows),
        domains=tuple(row[1] for row in rows),
    )


def _map(path: Path, dtype: np.dtype[Any]) -> NDArray[Any]:
    if path.stat().st_size == 0:  # an empty file cannot be mapped
        return np.empty(0, dtype=dtype)
    # As a plain array over the same pages: a memmap is a slow thing to cut a million slices from.
    return np.asarray(np.memmap(path, dtype=dtype, mode="r"))


def _description(facts: Mapping[str, Any], digest: str) -> bytes:
    return (json.dumps({**facts, "digest": digest}, sort_keys=True) + "\n").encode()


def _facts_digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
