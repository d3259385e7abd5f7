"""The table on its way out. The same rows and settings give the same bytes: no times, no names of machines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Protocol

import pyarrow as pa
import pyarrow.parquet

from dorkyd.core.conversion import CONVERTER, CONVERTER_KEY, DIGEST_KEY, NAME_KEY, SCHEMA_KEY, Form

GROUP_BYTES = 32 * 1024 * 1024
"""Of Arrow data in a row group, at least as much as that unless the table ends: readers skip and share work by groups."""
GROUP_ROWS = 1024 * 1024


def keys(name: str, digest: str, schema: Mapping[str, str]) -> dict[str, str]:
    """What a table tells of its origin."""
    told = json.dumps(schema, ensure_ascii=False)
    return {NAME_KEY: name, DIGEST_KEY: digest, SCHEMA_KEY: told, CONVERTER_KEY: CONVERTER}


class Output(Protocol):
    """Where tables of one schema go."""

    def write(self, table: pa.Table) -> None:
        """Some rows."""

    def end(self, told: Mapping[str, str]) -> None:
        """That was all; with what the table tells of itself."""


class ParquetOutput:
    """Parquet: zstd, row groups of `GROUP_BYTES`, pages cut by content, so that a small edit of a large table leaves most of
    its bytes as they were.
    """

    def __init__(self, out: IO[bytes], schema: pa.Schema) -> None:
        self._waiting: list[pa.Table] = []
        self._size = self._rows = 0
        self._writer = pyarrow.parquet.ParquetWriter(
            out, schema, compression="zstd", use_content_defined_chunking=True, store_schema=True
        )

    def write(self, table: pa.Table) -> None:
        """Some rows; a group is written once it is full."""
        self._waiting.append(table)
        self._size += table.nbytes
        self._rows += table.num_rows
        if self._size >= GROUP_BYTES or self._rows >= GROUP_ROWS:
            self._group()

    def _group(self) -> None:
        if self._rows:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=self._rows)
        self._waiting, self._size, self._rows = [], 0, 0

    def end(self, told: Mapping[str, str]) -> None:
        """Write what waits, and the footer."""
        self._group()
        self._writer.add_key_value_metadata(dict(told))
        self._writer.close()


class FeatherOutput:
    """Feather (Arrow IPC), packed with zstd. Its schema stands first, so that it cannot tell its input's digest."""

    def __init__(self, out: IO[bytes], schema: pa.Schema) -> None:
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        self._writer = pa.ipc.new_file(out, schema, options=options)

    def write(self, table: pa.Table) -> None:
        """Some rows, as a batch."""
        self._writer.write_table(table)

    def end(self, told: Mapping[str, str]) -> None:  # noqa: ARG002  as above
        """Write the footer."""
        self._writer.close()


def output(target: str, out: IO[bytes], schema: pa.Schema) -> Output:
    """For a target of this form."""
    return FeatherOutput(out, schema) if target == Form.FEATHER else ParquetOutput(out, schema)
