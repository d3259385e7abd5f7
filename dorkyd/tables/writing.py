"""`client.write_table`: a table into a file of a temporary directory, whole and the same for the same rows, before any of it
is sent.

Rows are cut into groups by their number and size alone, never by how they were chunked when they came, so that the same rows make
the same bytes. Content-defined chunking keeps the pages around a change as they were, for stores and commits that share contents.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from dorkyd.api.failures import BadRequest, Failed
from dorkyd.tables.kinds import Kind, by_name

STEP_ROWS = 65_536
"""Groups end behind a multiple of so many rows."""
GROUP_ROWS = 1_048_576
GROUP_BYTES = 128 * 1024 * 1024
"""A group that has so many bytes, in memory, ends."""


@contextmanager
def written(path: str, table: Any) -> Iterator[BinaryIO]:
    """The table as a file that is open at its beginning, and gone when the block ends. `BadRequest` (`no-table`, `no-format`,
    `bad-table`); what a reader of rows raises comes as it is.
    """
    kind = _kind(path)
    reader = reader_of(table)
    try:
        # Readable by this user alone, and without a name once it is open.
        stream = tempfile.TemporaryFile()  # noqa: SIM115  closed with the stack
    except OSError as exc:
        raise Failed(f"A temporary file cannot be made: {exc.strerror}", code="unwritable-file") from exc
    with ExitStack() as closing:
        closing.callback(stream.close)
        try:
            _write(kind, reader, stream)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as exc:
            raise BadRequest(
                f"This table cannot be written as {path}: {str(exc).splitlines()[0][:300]}",
                code="bad-table",
                hint="Parquet and .arrow hold every kind of column; texts hold plain ones.",
            ) from exc
        except OSError as exc:
            if exc.errno is None:
                raise
            raise Failed(f"The table cannot be written here: {exc.strerror}", code="unwritable-file") from exc
        stream.seek(0, os.SEEK_SET)
        yield stream


def reader_of(table: Any) -> pa.RecordBatchReader:
    """Rows of whatever has them, a batch at a time. `BadRequest` (`no-table`)."""
    if isinstance(table, pa.RecordBatchReader):
        return table
    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    if isinstance(table, pa.Table):
        return table.to_reader()
    if type(table).__module__.partition(".")[0] == "pandas":
        # Of an index it keeps more than the stream would.
        return pa.Table.from_pandas(table).to_reader()
    if hasattr(table, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(table)
    raise BadRequest(
        f"A {type(table).__name__} is no table.",
        code="no-table",
        hint="Give a pyarrow.Table or RecordBatchReader, a frame of pandas or polars, or anything with __arrow_c_stream__.",
    )


def _kind(path: str) -> Kind:
    kind, packed = by_name(path)
    if packed is not None or (kind is None and "." in path.rpartition("/")[2]):
        raise BadRequest(
            f"{path}: tables are not written under this suffix.",
            code="no-format",
            hint="Use .parquet, .feather, .arrow, .arrows, .csv, .tsv or .jsonl.",
        )
    return kind or "parquet"


def _write(kind: Kind, reader: pa.RecordBatchReader, stream: BinaryIO) -> None:
    if kind == "parquet":
        with pq.ParquetWriter(
            stream, reader.schema, compression="zstd", use_content_defined_chunking=True, store_schema=True
        ) as writer:
            for group in groups(reader):
                writer.write_table(group, row_group_size=max(1, group.num_rows))
    elif kind in {"arrow", "stream"}:
        new = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with new(stream, reader.schema, options=options) as writer:
            for group in groups(reader):
                writer.write_table(group, max_chunksize=STEP_ROWS)
    elif kind == "jsonl":
        _write_lines(reader, stream)
    else:
        options = pa_csv.WriteOptions(delimiter="\t" if kind == "tsv" else ",")
        with pa_csv.CSVWriter(stream, reader.schema, write_options=options) as writer:
            for group in groups(reader):
                writer.write_table(group)


def _write_lines(reader: pa.RecordBatchReader, stream: BinaryIO) -> None:
    def plain(value: object) -> object:
        if isinstance(value, bytes):
            raise pa.ArrowInvalid("JSON has no bytes")
        if hasattr(value, "isoformat"):
            return value.isoformat()
        return str(value)

    def line(row: object) -> bytes:
        try:
            text = json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=plain)
        except pa.ArrowInvalid:
            raise
        except ValueError as exc:
            raise pa.ArrowInvalid("JSON has no NaN and no infinity") from exc
        return text.encode() + b"\n"

    for group in groups(reader):
        stream.writelines(map(line, group.to_pylist()))


def groups(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """The rows in groups that do not depend on how they came. One without rows, when there are none."""
    held: list[pa.Table] = []
    some = False
    for step in _steps(reader):
        held.append(step)
        if sum(each.nbytes for each in held) >= GROUP_BYTES or sum(each.num_rows for each in held) >= GROUP_ROWS:
            yield pa.concat_tables(held).combine_chunks()
            held, some = [], True
    if held or not some:
        yield (pa.concat_tables(held) if held else reader.schema.empty_table()).combine_chunks()


def _steps(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """So many rows at a time, and the rest."""
    held: list[pa.Table] = []
    rows = 0
    for batch in reader:
        table = pa.Table.from_batches([batch], reader.schema)
        while rows + table.num_rows >= STEP_ROWS:
            head = table.slice(0, STEP_ROWS - rows)
            table = table.slice(STEP_ROWS - rows)
            yield pa.concat_tables([*held, head]).combine_chunks()
            held, rows = [], 0
        if table.num_rows:
            held.append(table)
            rows += table.num_rows
    if held:
        yield pa.concat_tables(held).combine_chunks()
