"""Fingerprints: what is kept of every domain so that later ones can be compared with it.

A folder holds, for each domain of the curriculum so far, `<domain>.parquet` (who the dialogues
are), `<domain>.npy` (their signatures) and `<domain>.words.npy`; `text.npy` is the 8-grams of the
plain text that came before all domains. A domain's folder holds what the folder before it held,
byte for byte, and its own files. No text can be read back from hashes of words; a text that is
known can be recognized, so a folder is kept as its data is.

Shapes: N dialogues, P values in a signature.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dialogue.containment import Grams
from dialogue.manifest import MANIFEST, read_manifest, verify_manifest, write_manifest
from dialogue.near_duplicates import SCHEME, Signatures

SCHEMA = pa.schema(
    [
        pa.field("dialogue_id", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """The fingerprints of one domain.

    Attributes:
        domain: its name.
        facts: a row per dialogue, with the columns of `SCHEMA`.
        signatures: of the same dialogues, in the same order.
    """

    domain: str
    facts: pa.Table
    signatures: Signatures

    def __post_init__(self) -> None:
        assert self.facts.num_rows == len(self.signatures), self.domain
        assert self.facts.schema.names == SCHEMA.names, self.facts.schema.names

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Fingerprints:
        """The fingerprints of some dialogues, by index or by mask."""
        indices = np.arange(len(self.signatures))[rows]
        return Fingerprints(self.domain, self.facts.take(indices), self.signatures.take(indices))

    def rows_of(self, *splits: str) -> NDArray[np.int64]:
        """The rows of some splits, ascending."""
        is_in = pc.is_in(self.facts.column("split"), value_set=pa.array(splits, pa.string()))
        return np.flatnonzero(is_in.to_numpy())


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything that a folder remembers.

    Attributes:
        domains: in the order they were learned.
        text: the plain text of pretraining, or None where there was none.
    """

    domains: tuple[Fingerprints, ...]
    text: Grams | None


def write_fingerprints(
    folder: Path,
    own: Fingerprints | None = None,
    *,
    text: Grams | None = None,
    earlier: Path | None = None,
) -> str:
    """Make a folder of what `earlier` holds, and a domain's or a plain text's fingerprints.

    Returns:
        The folder's digest; equal input gives equal bytes.

    Raises:
        ValueError: `earlier` is missing or damaged, remembers the domain already, or was made by
            another way of signing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.iterdir():
        stale.unlink()
    facts: dict[str, Any] = {"domains": [], "text_below": None, "scheme": SCHEME}
    if earlier is not None:
        facts = _checked(earlier)
        for name in read_manifest(earlier)["files"]:
            shutil.copyfile(earlier / name, folder / name)
    if text is not None:
        np.save(folder / _TEXT, text.hashes, allow_pickle=False)
        facts["text_below"] = text.below
    if own is not None:
        if own.domain in facts["domains"]:
            raise ValueError(f"{earlier}: remembers the domain `{own.domain}` already")
        _write_domain(folder, own)
        facts["domains"].append(own.domain)
    return write_manifest(folder, **facts)


def read_fingerprints(folder: Path) -> Memory:
    """What a folder remembers; signatures are mapped, not read, into memory.

    Raises:
        ValueError: the folder is missing or damaged, or was made by another way of signing.
    """
    facts = _checked(folder)
    domains = tuple(_read_domain(folder, domain) for domain in facts["domains"])
    text = None
    if facts["text_below"] is not None:
        text = Grams(_load(folder / _TEXT, np.uint64, 1), facts["text_below"])
    return Memory(domains, text)


_TEXT = "text.npy"


def _checked(folder: Path) -> dict[str, Any]:
    """The manifest's facts, after every file was checked against it."""
    if not (folder / MANIFEST).is_file():
        raise ValueError(f"{folder}: no fingerprints; run the stage that writes them")
    verify_manifest(folder)
    manifest = read_manifest(folder)
    if manifest.get("scheme") != SCHEME:
        raise ValueError(
            f"{folder}: signed as {manifest.get('scheme')}, not as {SCHEME}: the two do not "
            "compare; validate the earlier domains again"
        )
    return {name: manifest[name] for name in ("domains", "text_below", "scheme")}


def _write_domain(folder: Path, own: Fingerprints) -> None:
    pq.write_table(
        own.facts.cast(SCHEMA),
        folder / f"{own.domain}.parquet",
        compression="zstd",
        use_dictionary=["split"],
        write_page_checksum=True,
    )
    np.save(folder / f"{own.domain}.npy", own.signatures.values, allow_pickle=False)
    np.save(folder / f"{own.domain}.words.npy", own.signatures.num_words, allow_pickle=False)


def _read_domain(folder: Path, domain: str) -> Fingerprints:
    path = folder / f"{domain}.parquet"
    try:
        facts = pq.read_table(path, page_checksum_verification=True)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path}: damaged fingerprints: {error}") from error
    signatures = Signatures(
        _load(folder / f"{domain}.npy", np.uint16, 2),
        _load(folder / f"{domain}.words.npy", np.uint32, 1),
    )
    return Fingerprints(domain, facts, signatures)


def _load(path: Path, dtype: type[Any], num_dimensions: int) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: damaged fingerprints: {error}") from error
    if array.dtype != dtype or array.ndim != num_dimensions:
        raise ValueError(f"{path}: {array.dtype}{list(array.shape)} is no array of fingerprints")
    return array
