"""Bodies about tables: they mirror `dorkyd.tables.facts`, `changes` and `looking` field by field."""

from __future__ import annotations

from typing import Any

from dorkyd.api.messages import Answer, Text


class Column(Answer):
    """One column of a table."""

    name: Text
    type: Text
    """In Arrow's words: `int64`, `timestamp[us, tz=UTC]`. Of text formats: what all values look like."""
    nulls: int | None = None
    """None: not known."""
    low: Text | None = None
    """The least value, as text; None: not known, or there is none."""
    high: Text | None = None
    packed_bytes: int | None = None
    raw_bytes: int | None = None


class Facts(Answer):
    """What a table is."""

    format: str
    """`parquet`, `arrow`, `csv` or `jsonl`."""
    size: int
    """Bytes of the file."""
    width: int
    """How many columns it has."""
    columns: list[Column]
    """The first 5,000 of them."""
    rows: int | None
    """An estimate where `sampled`; None: not known."""
    groups: int | None
    """Row groups of Parquet, record batches of Arrow."""
    raw_bytes: int | None
    """Unpacked; None: not known."""
    codec: Text
    sampled: int | None
    """Types, nulls, least and greatest are of the first so many rows; None: of all."""
    dialect: dict[Text, Text]
    """Of text: `separator`, `encoding`, `header`, `quotes`."""
    writer: Text
    notes: list[Text]
    """What is odd about it."""


class Head(Answer):
    """The first rows of a table."""

    columns: list[Text]
    rows: list[list[Any]]
    """Values as JSON has them: times and what has no such form are text, and so are integers past 2^53."""


class Table(Answer):
    """One state of a table."""

    path: Text
    label: Text
    """Which state, for people."""
    digest: str | None
    size: int | None
    version: str | None
    """None: it is the file here."""
    source: str
    """`kept`: nothing was read, the facts were kept. Else what was: `folder`, `bucket` (the bytes that were needed) or `before` (a
    state of before, whole).
    """
    encrypted: bool
    """It is, was, or is to be encrypted: nothing of it is kept."""
    facts: Facts
    head: Head | None = None


class ColumnChange(Answer):
    """A column that both states have, and that differs."""

    name: Text
    retyped: bool
    before: Column
    after: Column


class ByKey(Answer):
    """Rows of two tables, by a key."""

    key: list[Text]
    columns: list[Text]
    """Those that both have, the key first."""
    added: int
    removed: int
    changed: int
    samples: dict[str, list[Any]]
    """Of each at most 20: `added` and `removed` rows; of `changed` ones the `key` and what `differs`, by column: before, after."""


class TableDifference(Answer):
    """How two states of a table differ."""

    rows: list[int | None]
    """Before and after."""
    size: list[int]
    estimated: bool
    """Rows, types and statistics of at least one are of a sample."""
    partly: bool
    """At least one has more columns than are known, so that none is said to be dropped or added."""
    dropped: list[Column]
    added: list[Column]
    changed: list[ColumnChange]
    by_key: ByKey | None = None
