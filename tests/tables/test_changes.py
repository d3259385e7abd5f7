"""What differs between two states, and what is worth a word."""

from __future__ import annotations

import pytest

from dorkyd.tables.changes import changes, notable
from dorkyd.tables.facts import ColumnFacts, TableFacts


def table(rows: int, *columns: str, width: int | None = None, sampled: int | None = None) -> TableFacts:
    """`name:type` each."""
    made = tuple(ColumnFacts(*column.split(":")) for column in columns)
    return TableFacts("parquet", 100, width or len(made), made, rows=rows, sampled=sampled)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (table(100, "a:int64"), table(100, "a:int64"), ""),
        (table(100, "a:int64", "b:x"), table(100, "a:int64"), "dropped b"),
        (table(100, "a:int64"), table(100, "a:int64", "b:x", "c:x"), "added b, c"),
        (table(100, "a:int64"), table(100, "a:string"), "retyped a (int64 -> string)"),
        (table(100, "a:null"), table(100, "a:string"), ""),
        (table(100, "a:int64", "b:x"), table(100, "b:x", "a:int64"), ""),
        (table(100, "a:x"), table(50, "a:x"), "rows fell from 100 to 50"),
        (table(100, "a:x"), table(51, "a:x"), ""),
        (table(9, "a:x"), table(0, "a:x"), ""),
        (table(100, "a:x", sampled=10), table(40, "a:x"), "rows fell from about 100 to about 40"),
        (table(1, "old:x"), table(1, "new:x"), "dropped old; added new"),
        (table(1, *(f"c{n}:x" for n in range(8))), table(1), "dropped c0, c1, c2, c3, c4 and 3 more"),
        # Of a table that is wider than what is known of it, nobody can say what is gone.
        (table(1, "a:x", "b:x", width=9), table(1, "a:x"), ""),
    ],
)
def test_notable(before: TableFacts, after: TableFacts, said: str) -> None:
    """Columns that went, came or changed their type, and rows that fell by half; nothing else is news."""
    assert notable(changes(before, after)) == said


def test_statistics_that_differ_are_told_and_no_news() -> None:
    """A diff shows them; a notice does not."""
    before = TableFacts("parquet", 1, 1, (ColumnFacts("a", "int64", 0, "1", "2"),), rows=5)
    after = TableFacts("parquet", 1, 1, (ColumnFacts("a", "int64", 0, "1", "3"),), rows=5)
    found = changes(before, after)
    assert [change.name for change in found.changed] == ["a"]
    assert not found.same
    assert notable(found) == ""
    assert changes(before, before).same
