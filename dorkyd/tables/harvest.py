"""The worker's task `facts`: what a table is, from as few of its bytes as its format allows.

Parquet tells everything in its footer. Arrow tells schema and rows, and of the rest as much as is sampled. Text formats
(`dorkyd.tables.text`) are sampled from their beginning.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dorkyd.tables import text
from dorkyd.tables.facts import MOST_COLUMNS, ColumnFacts, TableFacts, encode
from dorkyd.tables.formats import HEAD_BYTES, SUPPORTED, Format, format_by, format_of
from dorkyd.tables.values import text_of
from dorkyd.tables.worker import Input, Unreadable

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SAMPLE_BYTES = 4 * 1024 * 1024
"""Of a file at hand; of one that comes piece by piece a sixteenth."""
_MOST_CHUNKS = 200_000
"""Statistics of so many column chunks are put together; of more they are not told."""


def facts(request: Mapping[str, Any], files: Sequence[Input]) -> dict[str, Any]:
    """`path`: what the file is called; `sparse`: it comes piece by piece."""
    sample = SAMPLE_BYTES // 16 if request.get("sparse") else SAMPLE_BYTES
    return encode(look(str(request["path"]), files[0], sample))


def look(path: str, file: Input, sample_bytes: int = SAMPLE_BYTES) -> TableFacts:
    """Raises `Unreadable`, or what pyarrow says."""
    match kind(path, file):
        case "parquet":
            return parquet(file)
        case "arrow":
            return arrow(file, sample_bytes)
        case "csv":
            return text.csv_facts(path, file, sample_bytes)
        case "jsonl":
            return text.json_facts(path, file, sample_bytes)


def kind(path: str, file: Input) -> Format:
    """What the file is, by its name and its bytes."""
    if not file.size and format_of(path) in {"parquet", "arrow"}:
        raise Unreadable("the file is empty")
    if format_of(path) == "parquet" and file.size > HEAD_BYTES:
        # Its end is what is read next; its beginning need not be fetched.
        file.seek(-4, 2)
        if file.read(4) == b"PAR1":
            return "parquet"
    file.seek(0)
    head = file.read(HEAD_BYTES)
    found = format_by(path, head or b"")
    if found is None:
        if format_of(path) is None:
            raise Unreadable(f"it is no table that can be read: supported are {SUPPORTED}", "no-table")
        raise Unreadable(f"it is called {format_of(path)}, and its bytes are of something else")
    return found


# --- Parquet --------------------------------------------------------------------------------------------------------


def open_parquet(file: Input) -> pq.ParquetFile:
    """Its footer is read. What it says of sizes is believed up to a limit."""
    import pyarrow.parquet as pq

    file.seek(0)
    # Columns come in small pieces as they are needed: the first rows of a large row group cost little.
    return pq.ParquetFile(
        file,
        pre_buffer=False,
        buffer_size=64 * 1024,
        thrift_string_size_limit=64 * 1024 * 1024,
        thrift_container_size_limit=4_000_000,
    )


def parquet(file: Input) -> TableFacts:
    """From the footer alone."""
    opened = open_parquet(file)
    meta, schema = opened.metadata, opened.schema_arrow
    raw, codecs, notes = 0, set[str](), list[str]()
    chunks = meta.num_row_groups * meta.num_columns
    leaves: list[_Leaf] = []
    if chunks <= _MOST_CHUNKS:
        leaves = _leaves(meta, codecs)
        raw = sum(leaf.raw for leaf in leaves)
    else:
        notes.append(f"{meta.num_row_groups} row groups: too many to put their statistics together")
    columns = []
    left = deque(leaves)
    for field in list(schema)[:MOST_COLUMNS]:
        mine = []
        while left and (left[0].path == field.name or left[0].path.startswith(f"{field.name}.")):
            mine.append(left.popleft())  # they stand in the order of the fields
        only = mine[0] if len(mine) == 1 and mine[0].path == field.name else None
        columns.append(
            ColumnFacts(
                field.name,
                str(field.type),
                nulls=only.nulls if only is not None else None,
                low=text_of(only.low) if only is not None else None,
                high=text_of(only.high) if only is not None else None,
                packed_bytes=sum(leaf.packed for leaf in mine) if leaves else None,
                raw_bytes=sum(leaf.raw for leaf in mine) if leaves else None,
            )
        )
    return TableFacts(
        "parquet",
        file.size,
        len(schema),
        tuple(columns),
        rows=meta.num_rows,
        groups=meta.num_row_groups,
        raw_bytes=raw if leaves else None,
        codec=", ".join(sorted(codecs - {"uncompressed"}))[:100],
        writer=(meta.created_by or "")[:200],
        notes=tuple(notes),
    )


class _Leaf:
    """One stored column, over all row groups."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.packed = self.raw = 0
        self.nulls: int | None = 0
        self.low: Any = None
        self.high: Any = None
        self.known = True
        """Every row group tells its least and greatest."""

    def add(self, chunk: pq.ColumnChunkMetaData) -> None:
        """Take one row group in."""
        self.packed += max(0, chunk.total_compressed_size)
        self.raw += max(0, chunk.total_uncompressed_size)
        told = chunk.statistics
        if told is None or not told.has_null_count:
            self.nulls = None
        elif self.nulls is not None:
            self.nulls += told.null_count
        if told is not None and told.has_null_count and told.null_count == chunk.num_values:
            return  # all are null: there is none to be told
        if told is None or not told.has_min_max:
            self.known, self.low, self.high = False, None, None
        elif self.known:
            try:
                low, high = told.min, told.max
                self.low = low if self.low is None else min(self.low, low)
                self.high = high if self.high is None else max(self.high, high)
            except (ValueError, TypeError, NotImplementedError, OverflowError):
                # Of a type that pyarrow cannot show, or not two of a kind.
                self.known, self.low, self.high = False, None, None


def _leaves(meta: pq.FileMetaData, codecs: set[str]) -> list[_Leaf]:
    leaves = [_Leaf(meta.schema.column(number).path) for number in range(meta.num_columns)]
    for group in range(meta.num_row_groups):
        row_group = meta.row_group(group)
        for number, leaf in enumerate(leaves):
            chunk = row_group.column(number)
            codecs.add(str(chunk.compression).lower())
            leaf.add(chunk)
    return leaves


# --- Arrow ----------------------------------------------------------------------------------------------------------


def arrow_batches(file: Input) -> tuple[pa.Schema, int | None, Iterator[pa.RecordBatch]]:
    """Schema, number of batches (None: a stream tells none), and the batches."""
    import pyarrow as pa

    file.seek(0)
    if file.read(6) != b"ARROW1":
        file.seek(0)
        stream = pa.ipc.open_stream(file)
        return stream.schema, None, iter(stream)
    file.seek(0)
    reader = pa.ipc.open_file(file)
    count = reader.num_record_batches
    return reader.schema, count, (reader.get_batch(number) for number in range(count))


def arrow(file: Input, sample_bytes: int) -> TableFacts:
    """Schema and rows from what stands around the batches; the rest from the first batches, as far as they are small."""
    schema, count, batches = arrow_batches(file)
    rows = _arrow_rows(file) if count is not None else None
    seen, taken, whole = 0, list[Any](), True
    # A batch comes whole or not at all: where one is larger than a sample, nothing is sampled.
    if count is None or file.size // max(count, 1) <= sample_bytes:
        before = file.got
        for batch in batches:
            taken.append(batch)
            seen += batch.num_rows
            if file.got - before > sample_bytes:
                whole = False
                break
    whole = (seen == rows) if rows is not None else whole
    if rows is None:
        rows = seen if whole else round(seen * file.size / max(1, file.tell()))
    return TableFacts(
        "arrow",
        file.size,
        len(schema),
        tuple(_measured(schema, taken)),
        rows=rows,
        groups=count,
        raw_bytes=sum(batch.nbytes for batch in taken) if whole else None,
        sampled=None if whole else seen,
    )


def _arrow_rows(file: Input) -> int | None:
    import pyarrow as pa
    import pyarrow.dataset as ds

    file.seek(0)
    with contextlib.suppress(pa.ArrowException, OSError):
        # The fragment closes what it reads.
        return int(ds.IpcFileFormat().make_fragment(pa.PythonFile(_Shared(file), mode="r")).count_rows())
    return None


class _Shared:
    """A file that is closed by somebody else."""

    closed = False

    def __init__(self, file: Input) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell

    def close(self) -> None:
        """Not ours to close."""


def _measured(schema: pa.Schema, batches: Sequence[pa.RecordBatch]) -> Iterator[ColumnFacts]:
    import pyarrow as pa
    import pyarrow.compute as pc

    table = pa.Table.from_batches(batches, schema) if batches else None
    for number, field in enumerate(list(schema)[:MOST_COLUMNS]):
        nulls, low, high = None, None, None
        if table is not None:
            column = table.column(number)
            nulls = column.null_count
            with contextlib.suppress(pa.ArrowException):  # of a type that has no order
                found = pc.min_max(column)
                low, high = text_of(found["min"].as_py()), text_of(found["max"].as_py())
        yield ColumnFacts(field.name, str(field.type), nulls=nulls, low=low, high=high)
