"""`client.read_table`: one table of a bucket as a `pyarrow.Table`, of which only what is wanted is fetched.

Parquet and Arrow IPC files are read by columns, and Parquet's row groups that no row of can pass the filter are not read. Texts (CSV,
JSON lines) must be read whole.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any, cast

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.dataset as ds
import pyarrow.json as pa_json
import pyarrow.parquet as pq

from dorkyd.api.failures import BadRequest, Conflict
from dorkyd.client.places import Target
from dorkyd.tables.kinds import MAGIC_BYTES, Kind, kind_of
from dorkyd.tables.pieces import Span, TableFile
from dorkyd.tables.sources import CHANGED, Desk

Filters = Any
"""A `pyarrow.compute.Expression`, or tuples `(column, op, value)` as `pyarrow.parquet.read_table` takes them."""

BLOCK_BYTES = 4 * 1024 * 1024
"""Of a text, worked on at a time."""


def read_table(
    desk: Desk, path: str, columns: Sequence[str] | None = None, filters: Filters = None, version: str | None = None
) -> pa.Table:
    """As `DorkyClient.read_table`."""
    target = desk.find(path)
    try:
        return _read(desk, target, columns, filters, version)
    except Conflict as exc:
        # Replaced while it was read: all of the new one. A state that was asked for by name is no other.
        if exc.code != CHANGED or version is not None:
            raise
        return _read(desk, target, columns, filters, version)


def _read(desk: Desk, target: Target, columns: Sequence[str] | None, filters: Filters, version: str | None) -> pa.Table:
    wanted = _expression(filters)
    state = desk.state(target, version)
    with closing(desk.open(state)) as file, told(target):
        kind, packed = kind_of(target.path, file.pieces.read(0, MAGIC_BYTES))
        if kind in {"parquet", "arrow"}:
            return _by_columns(target, file, kind, columns, wanted, filters)
        file.pieces.announce([(0, file.size)])
        table = _whole(file, kind, packed)
        picked = _picked(target, table.schema, columns)
        return ds.dataset(table).to_table(columns=picked, filter=wanted)


def _by_columns(
    target: Target, file: TableFile, kind: Kind, columns: Sequence[str] | None, wanted: Any, filters: Filters
) -> pa.Table:
    if kind == "parquet":
        # All that will be read is announced: pyarrow need not hold it as well, nor read what lies between.
        options = ds.ParquetFragmentScanOptions(pre_buffer=False)
        fragment = ds.ParquetFileFormat(default_fragment_scan_options=options).make_fragment(file)
    else:
        fragment = ds.IpcFileFormat().make_fragment(file)
    schema = fragment.physical_schema
    if columns is None and wanted is None and len(set(schema.names)) < len(schema.names):
        # Names that stand for several columns pick none, but all of them can be read.
        return pq.ParquetFile(file).read() if kind == "parquet" else pa.ipc.open_file(file).read_all()
    picked = _picked(target, schema, columns)
    if kind == "parquet":
        file.pieces.announce(_spans(fragment, schema, columns, wanted, filters))
    table = fragment.to_table(schema=schema, columns=picked, filter=wanted)
    if picked is None and schema.metadata:
        table = table.replace_schema_metadata(schema.metadata)
    return table


def _spans(
    fragment: Any, schema: pa.Schema, columns: Sequence[str] | None, wanted: Any, filters: Filters
) -> list[Span]:
    """Where the column chunks lie that will be read. Of a filter's columns those that can be told from it."""
    names = None if columns is None else {*columns, *_columns_of(filters)}
    if names is not None and wanted is not None and not isinstance(filters, (list, tuple)):
        # An expression tells its columns to people only. One too many costs bytes, one too few a request.
        said = str(wanted)
        names |= {name for name in schema.names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said)}
    groups = fragment.subset(filter=wanted, schema=schema).row_groups if wanted is not None else fragment.row_groups
    spans = []
    for group in groups:
        told_of = fragment.metadata.row_group(group.id)
        for number in range(told_of.num_columns):
            chunk = told_of.column(number)
            path = chunk.path_in_schema
            if names is not None and not any(path == name or path.startswith(f"{name}.") for name in names):
                continue
            start = chunk.data_page_offset
            if chunk.has_dictionary_page and chunk.dictionary_page_offset:
                start = min(start, chunk.dictionary_page_offset)
            spans.append((start, start + chunk.total_compressed_size))
    return spans


def _whole(file: TableFile, kind: Kind, packed: str | None) -> pa.Table:
    if kind == "stream":
        return pa.ipc.open_stream(file).read_all()
    stream: Any = file if packed is None else pa.CompressedInputStream(pa.PythonFile(file, mode="r"), packed)
    if kind == "jsonl":
        return pa_json.read_json(stream, pa_json.ReadOptions(block_size=BLOCK_BYTES))
    parse = pa_csv.ParseOptions(delimiter="\t" if kind == "tsv" else ",", newlines_in_values=True)
    return pa_csv.read_csv(stream, pa_csv.ReadOptions(block_size=BLOCK_BYTES), parse)


# --- what is wanted ---------------------------------------------------------------------------------------------------


def _expression(filters: Filters) -> Any:
    if filters is None or isinstance(filters, ds.Expression):
        return filters
    try:
        return pq.filters_to_expression(filters)
    except (TypeError, ValueError, AttributeError) as exc:
        raise BadRequest(
            f"These are no filters: {exc}",
            code="bad-filter",
            hint='Write filters=[("column", ">", 3)], or an expression.',
        ) from exc


def _columns_of(filters: Filters) -> set[str]:
    """Names in tuples, however they are nested."""
    if isinstance(filters, tuple) and len(filters) == 3 and isinstance(filters[0], str):
        return {filters[0]}
    if isinstance(filters, (list, tuple)):
        return {name for each in filters for name in _columns_of(each)}
    return set()


def _picked(target: Target, schema: pa.Schema, columns: Sequence[str] | None) -> Any:
    """What is projected: names, or (`a.b`, a field of a nested column) expressions. `BadRequest` (`unknown-column`)."""
    if columns is None:
        return None
    if isinstance(columns, str):
        raise BadRequest(f"columns is a list: [{columns!r}].", code="bad-columns")
    return {name: ds.field(*_field(target, schema, name)) for name in columns}


def _field(target: Target, schema: pa.Schema, name: str) -> tuple[str, ...]:
    if name in schema.names:
        return (name,)
    parts = tuple(name.split("."))
    inside: Any = schema
    for depth, part in enumerate(parts):
        there = [inside.field(at).name for at in range(_count(inside))]
        if part not in there:
            beginning = ".".join(parts[:depth]) + "." if depth else ""
            raise unknown_column(str(target), name, [beginning + each for each in there])
        inside = inside.field(part) if depth == 0 else inside.field(inside.get_field_index(part))
        inside = inside.type
    return parts


def _count(inside: Any) -> int:
    if isinstance(inside, pa.Schema):
        return len(inside.names)
    return cast("int", inside.num_fields) if pa.types.is_struct(inside) else 0


def unknown_column(where: str, name: str, there: Sequence[str]) -> BadRequest:
    """With those that are written nearly so."""
    near = difflib.get_close_matches(name, there, 3, 0.5)
    lower = [each for each in there if each.lower() == name.lower() and each not in near]
    names = [*lower, *near] or list(there[:10])
    more = ", ..." if names == list(there[:10]) and len(there) > 10 else ""
    label = "Did you mean" if lower or near else "There are"
    return BadRequest(
        f"{where} has no column {name!r}.", code="unknown-column", hint=f"{label}: {', '.join(names)}{more}"
    )


# --- what pyarrow says ------------------------------------------------------------------------------------------------


@contextmanager
def told(target: Target | str) -> Iterator[None]:
    """Errors of pyarrow as ours. What the file raised comes as it was raised."""
    try:
        yield
    except pa.ArrowInvalid as exc:
        with suppress(IndexError):
            if "No match for FieldRef" in str(exc):
                name = str(exc).partition("FieldRef.Name(")[2].partition(")")[0] or "?"
                there = [line.partition(":")[0] for line in str(exc).split(" in ", 1)[1].splitlines() if ": " in line]
                raise unknown_column(str(target), name, there) from exc
        raise BadRequest(
            f"{target} cannot be read as a table: {_first_line(exc)}",
            code="bad-table",
            hint="It may be damaged, or not be what its name says: `dorkyctl history` lists its versions.",
        ) from exc
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError) as exc:
        raise BadRequest(
            f"{target}: {_first_line(exc)}",
            code="bad-filter",
            hint="Compare a column with values of its own type: a timestamp with a datetime, a number with a number.",
        ) from exc


def _first_line(exc: Exception) -> str:
    return (str(exc).splitlines() or [""])[0][:300]
