"""Rows of parquet, measured before they are unfolded: a text that is kept once may be named often.

A dictionary of one text of 20 MB, named by fifty turns, is 20 MB in the file and in its metadata,
and a gigabyte as Python's. So texts stay coded until it is known how large each row is.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dialogue.records import Reject
from dialogue.sources.formats.fields import check_columns
from dialogue.sources.formats.lines import too_large
from dialogue.sources.reading import Reading
from dialogue.sources.unpacking import DamagedError, check_bounds

MAGIC = b"PAR1"
_BATCH_ROWS = 256
_SAFE_BYTES = 64 << 20
_NUMBER_BYTES = 8
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
_VIEWS = (pa.types.is_list_view, pa.types.is_large_list_view)
_TEXTS = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_large_binary,
)


def parquet_rows(
    name: str, stream: IO[bytes], reading: Reading, columns: Collection[str] | None
) -> Iterator[tuple[str, dict[str, Any] | Reject]]:
    """(origin, row) of a parquet file, origins `name#row` from 1; of some `columns`, or of all.

    Raises:
        ValueError: it is damaged, its groups are too large, or it lacks a column.
    """
    number = 0
    with tempfile.TemporaryFile() as copy:
        source = _seekable(stream, copy)
        try:
            table = pq.ParquetFile(source, page_checksum_verification=True)
            schema = table.schema_arrow
            chosen = schema.names if columns is None else list(columns)
            check_columns(name, schema.names, reading, chosen)
            _check_groups(table.metadata, reading.max_row_bytes)
            for batch in _batches(source, table, chosen):
                for row in _unfolded(batch, schema, reading.max_row_bytes):
                    number += 1
                    origin = f"{name}#{number}"
                    yield origin, row or too_large(origin, reading.max_row_bytes, "")
        except (pa.ArrowException, OSError) as error:
            problem = " ".join(str(error).split())
            raise ValueError(
                f"{name}: damaged parquet, past row {number}: {problem}; is the file whole?"
            ) from error
        except UnicodeDecodeError as error:
            raise ValueError(f"{name}: not UTF-8 past row {number}; write it anew") from error
        except DamagedError as error:
            raise ValueError(f"{name}: {error}") from error


def _batches(stream: IO[bytes], plain: Any, columns: Sequence[str]) -> Iterator[Any]:
    """Some rows at a time; of groups whose dictionaries may unfold to much, as codes.

    Codes are not read throughout: every batch then brings the group's whole dictionary again.
    """
    schema = plain.schema_arrow
    # A leaf's path begins with its column's name, which may itself have dots.
    uncoded = tuple(
        f"{name}."
        for name, kind in zip(schema.names, schema.types, strict=True)
        if not _can_be_coded(kind)
    )
    leaves = [plain.schema.column(index) for index in range(plain.metadata.num_columns)]
    texts = [
        leaf.path
        for leaf in leaves
        if leaf.physical_type == "BYTE_ARRAY" and not f"{leaf.path}.".startswith(uncoded)
    ]
    coded = pq.ParquetFile(
        stream,
        metadata=plain.metadata,
        read_dictionary=texts,
        buffer_size=1 << 20,
        page_checksum_verification=True,
    )
    for group in range(plain.metadata.num_row_groups):
        batches = coded.iter_batches(_BATCH_ROWS, row_groups=[group], columns=columns)
        first = next(batches, None)
        if first is None:
            continue
        facts = plain.metadata.row_group(group)
        num_items = max(facts.column(index).num_values for index in range(facts.num_columns))
        if sum(_unfolding(each, num_items) for each in first.columns) > _SAFE_BYTES:
            yield first
        else:
            batches = plain.iter_batches(_BATCH_ROWS, row_groups=[group], columns=columns)
        del first
        yield from batches


def _can_be_coded(kind: Any) -> bool:
    """Whether Arrow can measure the type, and turn codes inside of it into texts again."""
    types = pa.types
    if types.is_struct(kind):
        return all(_can_be_coded(field.type) for field in kind)
    if _is(kind, _LISTS):
        return _can_be_coded(kind.value_type)
    return not (types.is_nested(kind) or types.is_string_view(kind) or types.is_binary_view(kind))


def _is(kind: Any, questions: Collection[Callable[[Any], bool]]) -> bool:
    return any(question(kind) for question in questions)


def _unfolding(array: Any, num_items: int, num_rows: int = _BATCH_ROWS) -> int:
    """What the dictionaries of a column may unfold to in one batch, in bytes, at most."""
    types, kind = pa.types, array.type
    if types.is_dictionary(kind):
        if not _is(kind.value_type, _TEXTS):
            return 0
        return num_rows * int(pc.max(pc.binary_length(array.dictionary)).as_py() or 0)
    if types.is_struct(kind):
        return sum(_unfolding(each, num_items, num_rows) for each in array.flatten())
    if _is(kind, _LISTS):
        # One row may have all items of the group.
        return _unfolding(array.values, num_items, num_items)
    return 0


def _unfolded(batch: Any, schema: Any, max_bytes: int) -> Iterator[dict[str, Any] | None]:
    """The rows of a batch; None for those that are too large to be made Python's."""
    sizes = sum(map(_sizes, batch.columns), np.zeros(batch.num_rows, dtype=np.int64))
    if sizes.sum() <= max_bytes:
        plain = pa.schema([schema.field(name) for name in batch.schema.names])
        yield from batch.cast(plain).to_pylist()
        return
    for index, size in enumerate(sizes):
        yield None if size > max_bytes else batch.slice(index, 1).to_pylist()[0]


def _sizes(array: Any) -> NDArray[np.int64]:
    """Bytes of each element once it is unfolded, with every text as often as it is named."""
    types, kind = pa.types, array.type
    if types.is_dictionary(kind):
        # What no index names is nothing: it stands last, with no bytes.
        sizes = np.append(_sizes(array.dictionary), 0)
        return sizes[_numbers(array.indices, len(sizes) - 1)]
    if types.is_struct(kind):
        return sum(map(_sizes, array.flatten()), np.zeros(len(array), dtype=np.int64))
    if _is(kind, (*_LISTS, *_VIEWS)):
        items = np.append(0, np.cumsum(_sizes(array.flatten())))
        ends = np.cumsum(_numbers(pc.list_value_length(array), 0))
        return np.diff(items[ends], prepend=0) + _NUMBER_BYTES
    if _is(kind, _TEXTS):
        return _numbers(pc.binary_length(array), 0) + _NUMBER_BYTES
    if types.is_primitive(kind):
        return np.full(len(array), _NUMBER_BYTES, dtype=np.int64)
    each = (array.slice(index, 1).nbytes for index in range(len(array)))
    return np.fromiter(each, dtype=np.int64, count=len(array))


def _numbers(array: Any, missing: int) -> NDArray[np.int64]:
    """Integers, and what stands for those that are not there.

    Not by Arrow's own `to_numpy`, which imports pandas: 35 MB beside what is measured here.
    """
    if not len(array):
        return np.zeros(0, dtype=np.int64)
    place = slice(array.offset, array.offset + len(array))
    is_valid, values = array.buffers()
    numbers = np.frombuffer(values, dtype=str(array.type))[place].astype(np.int64)
    if array.null_count:
        bits = np.unpackbits(np.frombuffer(is_valid, dtype=np.uint8), bitorder="little")
        numbers[bits[place] == 0] = missing
    return numbers


def _check_groups(metadata: Any, max_row_bytes: int) -> None:
    """Hold parquet's own compression to the bounds of every other, and groups to those of rows."""
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        columns = [group.column(number) for number in range(group.num_columns)]
        packed = sum(column.total_compressed_size for column in columns)
        check_bounds(group.total_byte_size, packed)
        if group.total_byte_size > max_row_bytes * max(group.num_rows, _BATCH_ROWS):
            raise DamagedError(f"too large: more than {max_row_bytes} bytes a row in group {index}")


def _seekable(stream: IO[bytes], copy: IO[bytes]) -> IO[bytes]:
    """The stream; what can only be read forwards, as an archive's member, is copied first."""
    if stream.seekable():
        return stream
    shutil.copyfileobj(stream, copy, 1 << 20)
    copy.seek(0)
    return copy
