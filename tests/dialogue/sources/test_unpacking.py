from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dialogue import sources
from dialogue.config import FileSource
from dialogue.privacy import Scrubber
from dialogue.records import Dialogue
from dialogue.sources import unpacking
from dialogue.sources.raw import from_bytes, from_path
from dialogue.sources.unpacking import opened


def messages(number: int, filler: str = "") -> str:
    turns = [
        {"role": "user", "content": f"{number}{filler}"},
        {"role": "assistant", "content": "y"},
    ]
    return json.dumps({"messages": turns}) + "\n"


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())


def two_gzips(data: bytes) -> bytes:
    return gzip.compress(data[:99]) + gzip.compress(data[99:])


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstd,
    "two gzips": two_gzips,
}


@pytest.mark.parametrize("packing", PACKINGS)
def test_packed_files_are_known_by_their_content(
    tmp_path: Path, rows_of: Callable[..., Any], packing: str
) -> None:
    path = tmp_path / "chat.jsonl"
    content = "".join(map(messages, range(3_000))).encode()
    path.write_bytes(PACKINGS[packing](content))
    rows = rows_of(path, "messages")
    assert [row.turns[0].text for row in rows] == [str(number) for number in range(3_000)]
    assert rows[-1].origin == f"{path}:3000"
    # The digest is that of the file as it lies there.
    assert {row.raw_digest for row in rows} == {from_path(path, "").digest}


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_a_cut_off_packing_is_told_with_its_line(
    tmp_path: Path, rows_of: Callable[..., Any], packing: str
) -> None:
    path = tmp_path / "chat.gz"
    content = "".join(messages(n, os.urandom(20).hex()) for n in range(20_000)).encode()
    packed = PACKINGS[packing](content)
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ValueError, match=rf"chat.gz:[0-9]+: damaged or cut-off {packing}"):
        rows_of(path, "messages")
    if packing == "zstd":
        return  # Arrow's zstd bears no checksum: another letter is another file.
    damaged = bytearray(packed)
    damaged[len(packed) // 2] ^= 255
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=rf"chat.gz:[0-9]+: damaged or cut-off {packing}"):
        rows_of(path, "messages")


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_a_bomb_is_refused_while_it_unpacks(
    tmp_path: Path, rows_of: Callable[..., Any], packing: str
) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(PACKINGS[packing](b"\n" * (64 << 20)))
    with pytest.raises(ValueError, match=r"bomb:[0-9]+: unpacks to more than 200 times its size"):
        rows_of(path, "messages")


def test_size_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MAX_UNPACKED_BYTES", 1_000)
    raw = from_bytes(gzip.compress(os.urandom(2_000)), "f")
    with (
        pytest.raises(ValueError, match="f: unpacks to more than 1000 bytes"),
        opened(raw) as stream,
    ):
        stream.read()


def test_packings_inside_of_a_zip(tmp_path: Path, rows_of: Callable[..., Any]) -> None:
    import zipfile

    path = tmp_path / "c.zip"
    inner = tmp_path / "inner.zip"
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("x", "x")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jsonl.gz", gzip.compress(messages(1).encode()))
        archive.writestr("inner.zip", inner.read_bytes())
    (row,) = rows_of(path, "messages", members=("a.jsonl.gz",))
    assert isinstance(row, Dialogue)
    with pytest.raises(ValueError, match=r"inner.zip: a zip inside of an archive"):
        rows_of(path, "messages", members=("inner.zip",))


@pytest.mark.parametrize("change", ["append", "edit behind", "edit ahead", "truncate"])
@pytest.mark.parametrize("form", ["lines", "gzip", "array", "parquet"])
def test_a_file_that_changes_while_it_is_read_is_told(
    tmp_path: Path, change: str, form: str
) -> None:
    import pyarrow.parquet as pq

    path = tmp_path / "chat"
    rows = [messages(number, os.urandom(64).hex()) for number in range(5_000)]
    if form == "lines":
        path.write_text("".join(rows))
    elif form == "gzip":
        path.write_bytes(gzip.compress("".join(rows).encode()))
    elif form == "array":
        path.write_text("[" + ",".join(rows) + "]")
    else:
        table = pa.Table.from_pylist([json.loads(row) for row in rows])
        pq.write_table(table, path, row_group_size=1_000)
    source = FileSource(kind="file", path=str(path), format="messages", licence="MIT")
    reading = sources.read(
        source,
        sources.raw_files(source),
        "x",
        test_share=0.1,
        validation_share=0.1,
        scrubber=Scrubber(()),
        max_row_bytes=1 << 20,
    )
    next(reading)
    size = path.stat().st_size
    if change == "truncate":
        os.truncate(path, size - 100)
    else:
        at = {"append": size, "edit behind": 200, "edit ahead": size - 200}[change]
        with path.open("r+b") as file:
            file.seek(at)
            old = file.read(1) or b" "
            file.seek(at)
            # A digit for a digit: nothing but the digest would notice.
            file.write(b"7" if old != b"7" else b"8")
    # What was read before it changed is what was hashed, unless the file must be read anew.
    if change == "edit behind" and form != "parquet":
        assert len(list(reading)) == 4_999
    else:
        with pytest.raises(ValueError, match="chat: changed while it was read"):
            list(reading)


def test_who_stops_early_is_not_held_up(tmp_path: Path) -> None:
    path = tmp_path / "chat"
    path.write_text(messages(1) * 100)
    with opened(from_path(path, "chat")) as stream:
        assert stream.readline()
    source = FileSource(kind="file", path=str(path), format="messages", licence="MIT")
    reading = sources.read(
        source,
        sources.raw_files(source),
        "x",
        test_share=0.1,
        validation_share=0.1,
        scrubber=Scrubber(()),
        max_row_bytes=1 << 20,
    )
    next(reading)
    path.write_text("")
    reading.close()  # type: ignore[attr-defined]
