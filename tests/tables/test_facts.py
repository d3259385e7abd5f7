"""Facts as a document: what goes out comes back, and what strangers write there is not believed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dorkyd.tables.facts import DOCUMENT_BYTES, MOST_COLUMNS, ColumnFacts, TableFacts, decode, dumps, encode, loads
from dorkyd.tables.formats import format_by, format_of, is_packed

WHOLE = TableFacts(
    "csv",
    1234,
    2,
    (ColumnFacts("a", "int64", 0, "1", "9", 10, 20), ColumnFacts("\x1b[2Jb", "string")),
    rows=17,
    groups=3,
    raw_bytes=99,
    codec="gzip",
    sampled=5,
    dialect={"separator": ";"},
    writer="somebody",
    notes=("row 2 is odd",),
)


def test_facts_come_back_as_they_were() -> None:
    """With everything said, and with nothing said."""
    bare = TableFacts("parquet", 0, 0, ())
    assert [loads(dumps(facts)) for facts in (WHOLE, bare)] == [WHOLE, bare]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", "dorky.table/2"),
        ("format", "exe"),
        ("size", -1),
        ("size", "12"),
        ("size", True),
        ("rows", 2**63),
        ("rows", 1.5),
        ("width", 1),
        ("columns", None),
        ("columns", [None]),
        ("columns", [{"name": "a"}]),
        ("columns", [{"name": "a" * 501, "type": "x"}]),
        ("columns", [{"name": "a", "type": "x"}] * (MOST_COLUMNS + 1)),
        ("columns", [{"name": "a", "type": "x", "low": 1}, {"name": "b", "type": "x"}]),
        ("dialect", {"a": 1}),
        ("notes", "all is well"),
        ("notes", ["x"] * 21),
        ("writer", "x" * 1000),
        ("writer", "half a character: \ud800"),
    ],
)
def test_a_document_with_something_odd_is_none(field: str, value: Any) -> None:
    """It is as if nothing had been kept, and the table is looked at."""
    document = encode(WHOLE)
    assert decode(document) == WHOLE
    assert decode({**document, field: value}) is None


@settings(max_examples=40)
@given(st.binary() | st.text().map(str.encode) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda x: json.dumps(x).encode()))  # fmt: skip
def test_no_bytes_break_the_reading(data: bytes) -> None:
    """Whatever stands there."""
    assert loads(data) is None


def test_what_is_nested_or_large_without_end_is_none() -> None:
    """Neither the stack nor memory is at a stranger's mercy."""
    assert loads(b"[" * 100_000) is None
    assert loads(b" " * DOCUMENT_BYTES + dumps(WHOLE)) is None


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a/b.parquet", "parquet"),
        ("B.PQ", "parquet"),
        ("x.feather", "arrow"),
        ("x.csv.gz", "csv"),
        ("x.TSV", "csv"),
        ("x.ndjson", "jsonl"),
        ("x.parquet.gz", None),
        ("x.gz", None),
        (".csv", None),
        ("csv", None),
        ("a.csv/b", None),
        ("notes.txt", None),
    ],
)
def test_formats_by_name(path: str, found: str | None) -> None:
    """By the last suffix of the last name, whatever its case."""
    assert format_of(path) == found
    assert is_packed(path) is path.endswith(".gz")


def test_the_first_bytes_correct_the_name() -> None:
    """A Parquet file that is called otherwise is one; text that is called Parquet is none."""
    assert format_by("x.csv", b"PAR1....") == "parquet"
    assert format_by("x.csv", b"a,b\n") == "csv"
    assert format_by("x.parquet", b"a,b\n") is None
    assert format_by("x.arrow", b"ARROW1\0\0....") == "arrow"
