"""What is known of one table's content: values, and their form as JSON.

The JSON stands in a bucket that others write, and comes from a process that a stranger's file may have turned: it is read without
trust. Whatever is not as it should be makes `decode` answer None, and the table is looked at again. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from dorkyd.tables.formats import Format

SCHEMA = "dorky.table/1"
DOCUMENT_BYTES = 4 * 1024 * 1024
"""A larger document is not read."""
MOST_COLUMNS = 5000
"""Kept of a table that has more; `TableFacts.width` tells how many it has."""
NAME_CHARS, TYPE_CHARS, VALUE_CHARS, NOTE_CHARS = 500, 1000, 100, 300
MOST_NOTES = 20
_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """One column. Names and values are as the file has them: whoever shows them makes them printable."""

    name: str
    type: str
    """In Arrow's words: `int64`, `timestamp[us, tz=UTC]`, `list<item: string>`. Of text formats: what all values look like."""
    nulls: int | None = None
    """None: not known. Of a sampled table: in the sample."""
    low: str | None = None
    """The least value, as text of at most `VALUE_CHARS`; None: not known, or all are null."""
    high: str | None = None
    packed_bytes: int | None = None
    """As stored; None: the format does not tell."""
    raw_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class TableFacts:
    """One content."""

    format: Format
    size: int
    """Bytes of the file."""
    width: int
    """Columns it has."""
    columns: tuple[ColumnFacts, ...]
    """The first `MOST_COLUMNS` of them, in their order."""
    rows: int | None = None
    """None: not known. An estimate where `sampled`."""
    groups: int | None = None
    """Row groups of Parquet, record batches of Arrow; None: the format has none."""
    raw_bytes: int | None = None
    """Unpacked; None: not known."""
    codec: str = ""
    """How it is packed, e.g. `snappy`; empty: not at all, or not known."""
    sampled: int | None = None
    """Types, nulls, least and greatest are of the first so many rows; None: of all."""
    dialect: Mapping[str, str] = field(default_factory=dict)
    """Of text: `separator`, `encoding`, `header` (`yes`, `no`), `quotes` (`yes`, `no`)."""
    writer: str = ""
    """What wrote it, as it says itself."""
    notes: tuple[str, ...] = ()
    """What is odd about it, for people."""


def encode(facts: TableFacts) -> dict[str, Any]:
    """As JSON; what has its default is left out."""
    document: dict[str, Any] = {"schema": SCHEMA, "format": facts.format, "size": facts.size, "width": facts.width}
    document |= {name: getattr(facts, name) for name in ("rows", "groups", "raw_bytes", "sampled")}
    document |= {"codec": facts.codec, "writer": facts.writer, "dialect": dict(facts.dialect), "notes": [*facts.notes]}
    document = {name: value for name, value in document.items() if value not in (None, "", {}, [])}
    names = ("nulls", "low", "high", "packed_bytes", "raw_bytes")
    columns = []
    for column in facts.columns[:MOST_COLUMNS]:
        told = {name: value for name in names if (value := getattr(column, name)) is not None}
        columns.append({"name": column.name[:NAME_CHARS], "type": column.type[:TYPE_CHARS], **told})
    return {**document, "columns": columns}


def dumps(facts: TableFacts) -> bytes:
    """The document."""
    return json.dumps(encode(facts), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def loads(data: bytes) -> TableFacts | None:
    """Read a document; None: it is none, or a later version's."""
    if len(data) > DOCUMENT_BYTES:
        return None
    try:
        return decode(json.loads(data))
    except (ValueError, RecursionError):
        return None


def decode(document: object) -> TableFacts | None:
    """From JSON; None: something of it is not as it should be."""
    try:
        return _table(document)
    except _Odd:
        return None


class _Odd(Exception):
    """The document is not what it should be."""


def _table(document: object) -> TableFacts:
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise _Odd
    columns, dialect, notes = document.get("columns"), document.get("dialect", {}), document.get("notes", [])
    if not isinstance(columns, list) or len(columns) > MOST_COLUMNS:
        raise _Odd
    if not isinstance(dialect, dict) or len(dialect) > 10 or not isinstance(notes, list) or len(notes) > MOST_NOTES:
        raise _Odd
    kind: Format | None = next((each for each in get_args(Format) if each == document.get("format")), None)
    size, width = _count(document.get("size")), _count(document.get("width"))
    if kind is None or size is None or width is None or width < len(columns):
        raise _Odd
    return TableFacts(
        format=kind,
        size=size,
        width=width,
        columns=tuple(_column(column) for column in columns),
        rows=_count(document.get("rows")),
        groups=_count(document.get("groups")),
        raw_bytes=_count(document.get("raw_bytes")),
        codec=_text(document.get("codec", ""), 100),
        sampled=_count(document.get("sampled")),
        dialect={_text(name, 20): _text(value, 50) for name, value in dialect.items()},
        writer=_text(document.get("writer", ""), NOTE_CHARS),
        notes=tuple(_text(note, NOTE_CHARS) for note in notes),
    )


def _column(found: object) -> ColumnFacts:
    if not isinstance(found, dict):
        raise _Odd
    low, high = found.get("low"), found.get("high")
    return ColumnFacts(
        name=_text(found.get("name"), NAME_CHARS),
        type=_text(found.get("type"), TYPE_CHARS),
        nulls=_count(found.get("nulls")),
        low=None if low is None else _text(low, VALUE_CHARS),
        high=None if high is None else _text(high, VALUE_CHARS),
        packed_bytes=_count(found.get("packed_bytes")),
        raw_bytes=_count(found.get("raw_bytes")),
    )


def _text(value: object, most: int) -> str:
    if not isinstance(value, str) or len(value) > most or not _whole(value):
        raise _Odd
    return value


def _whole(text: str) -> bool:
    r"""No half of a character is in it, which JSON can write (`\ud800`) and nothing else can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _count(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST:
        raise _Odd
    return value
