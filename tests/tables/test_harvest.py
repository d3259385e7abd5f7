"""What the worker tells of files as people have them."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dorkyd.errors import Refused
from dorkyd.tables.facts import TableFacts, decode
from dorkyd.tables.supervisor import Workshop
from tests.tables import data


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    """One process for all of this."""
    made = Workshop(nice=0)
    yield made
    made.close()


@pytest.fixture
def facts(workshop: Workshop, tmp_path: Path) -> Callable[..., TableFacts]:
    """Of a file that a maker makes, by its name."""

    def harvest(name: str, make: Callable[[Path], Path]) -> TableFacts:
        with make(tmp_path / name).open("rb") as file:
            found = decode(workshop.do({"do": "facts", "path": name}, [file.fileno()]))
        assert found is not None
        return found

    return harvest


Facts = Callable[..., TableFacts]


def told(found: TableFacts) -> dict[str, tuple[Any, ...]]:
    """By column."""
    return {column.name: (column.type, column.nulls, column.low, column.high) for column in found.columns}


def test_parquet(facts: Facts) -> None:
    """Everything is in its footer: exact, over all row groups."""
    found, rides = facts("t.parquet", data.taxi), data.rides(1000)
    assert (found.format, found.rows, found.groups, found.width, found.codec) == ("parquet", 1000, 4, 8, "snappy")
    assert found.sampled is None
    columns = told(found)
    assert columns["ride_id"] == ("int64", 0, "10000000", "10000999")
    assert columns["passengers"] == ("int64", rides["passengers"].count(None), "1", "3")
    assert columns["zone"] == ("string", 0, "Astoria", "Tribeca")
    assert columns["pickup_at"][2] == min(rides["pickup_at"]).isoformat(" ")
    assert found.raw_bytes == sum(column.raw_bytes or 0 for column in found.columns)


def test_parquet_wide_and_nested(facts: Facts) -> None:
    """Every column is told; of nested ones the type and the bytes of all that lies within."""
    assert len(facts("w.parquet", data.wide).columns) == 400
    columns = {column.name: column for column in facts("n.parquet", data.nested).columns}
    assert columns["user"].type == "struct<name: string, tags: list<element: string>>"
    assert (columns["user"].low, columns["user"].nulls) == (None, None)
    assert all(column.packed_bytes for column in columns.values())
    assert (columns["price"].type, columns["raw"].low) == ("decimal128(12, 2)", "0x00001b")


def test_feather(facts: Facts) -> None:
    """Rows from what stands around the batches, the rest from the batches."""
    found = facts("t.feather", data.feather)
    assert (found.format, found.rows, found.groups, found.sampled) == ("arrow", 500, 5, None)
    assert told(found)["ride_id"] == ("int64", 0, "40000000", "40000499")


@pytest.mark.parametrize(
    ("name", "options"), [("t.csv", {}), ("t.tsv", {"separator": "\t"}), ("t.csv.gz", {"packed": True})]
)
def test_csv(facts: Facts, name: str, options: dict[str, Any]) -> None:
    """Separator, header and types are found out."""
    found = facts(name, lambda file: data.taxi_csv(file, **options))
    assert (found.format, found.rows, found.width) == ("csv", 300, 8)
    assert found.dialect["separator"] == ("tab" if name == "t.tsv" else ",")
    assert found.dialect["header"] == "yes"
    assert [column.type for column in found.columns] == [
        "int64", "timestamp", "timestamp", "int64", "double", "string", "string", "double",
    ]  # fmt: skip
    assert told(found)["ride_id"] == ("int64", 0, "10000000", "10000299")


def test_a_large_csv_is_sampled_and_says_so(facts: Facts) -> None:
    """Rows are estimated, and how many were looked at is told."""
    line = b"12345,some text that is always the same\n"
    found = facts("large.csv", lambda file: _written(file, b"n,text\n" + line * 200_000))
    assert found.sampled is not None
    assert 50_000 < found.sampled < 200_000
    assert found.rows is not None
    assert abs(found.rows - 200_000) < 5_000


def _written(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


def test_json_lines(facts: Facts) -> None:
    """Fields of all lines; one that lacks in some is null there."""
    columns = told(facts("t.jsonl", data.json_lines))
    assert columns["ride_id"] == ("int64", 0, "10000000", "10000299")
    assert columns["extra"][:2] == ("struct", 300 - 42)
    assert columns["distance"][0] == "double"


BROKEN: dict[str, tuple[int | None, dict[str, tuple[Any, ...]], str]] = {
    "latin1.csv": (2, {"straße": ("string", 0, "An der Mühle", "Überweg")}, "not UTF-8"),
    "newlines.csv": (3, {"note": ("string", 1, "first\nsecond, with a comma", 'he said "no"')}, ""),
    "mixed.csv": (200, {"value": ("string", 0, None, None)}, "value mixes types: 150 int64, 50 string"),
    "ragged.csv": (4, {"b": ("int64", 0, "2", "11")}, "row 2 has 2 fields instead of 3"),
    "headless.csv": (50, {"column_1": ("int64", 0, "0", "49")}, ""),
    "twice.csv": (2, {"a_2": ("int64", 0, "2", "6"), "column_3": ("int64", 0, "3", "7")}, ""),
    "utf16.tsv": (2, {"count": ("int64", 0, "1", "2")}, ""),
    "unclosed.csv": (2001, {"b": ("string", 0, '"never ends', "y")}, "a quote is never closed"),
    "one-line.csv": (0, {}, ""),
    "empty.csv": (0, {}, ""),
    "bad.jsonl": (3, {"b": ("null", 3, None, None)}, "2 lines are no JSON objects"),
}
"""Rows, some columns, and a part of a note."""
UNREADABLE = {
    "empty.parquet": "empty",
    "cut-off.parquet": "magic bytes",
    "noise.parquet": "cannot be read",
    "huge-footer.parquet": "smaller than",
}


def test_every_broken_maker_is_expected() -> None:
    """None is made for nothing."""
    assert set(BROKEN) | set(UNREADABLE) == set(data.BROKEN)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_text_is_read_as_far_as_it_goes(facts: Facts, name: str) -> None:
    """And what is odd about it is told."""
    rows, columns, note = BROKEN[name]
    found = facts(name, data.BROKEN[name])
    assert found.rows == rows
    assert {column: told(found)[column] for column in columns} == columns
    assert any(note in each for each in found.notes) if note else found.notes == ()


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_table_is_said_to_be_none(facts: Facts, name: str) -> None:
    """In a sentence, without a trace, and the worker goes on."""
    with pytest.raises(Refused, match=UNREADABLE[name]) as caught:
        facts(name, data.BROKEN[name])
    assert caught.value.code == "unreadable-table"


def test_a_bomb_breaks_nothing_but_its_worker(tmp_path: Path) -> None:
    """A line of 200 MB in a file of 1 MB: its facts are told from the sample, its first rows are refused, and others are read."""
    file = tmp_path / "bomb.jsonl.gz"
    with gzip.open(file, "wb", compresslevel=1) as out:
        out.write(b'{"a": 1}\n{"b": "')
        for _ in range(200):
            out.write(b"0" * 1_000_000)
    workshop = Workshop(nice=0, memory=100 * 1024 * 1024)
    try:
        with file.open("rb") as stream:
            found = decode(workshop.do({"do": "facts", "path": file.name}, [stream.fileno()]))
            assert found is not None
            assert (found.rows is not None, found.columns[0].name) == (True, "a")
            with pytest.raises(Refused) as caught:
                workshop.do({"do": "head", "path": file.name, "rows": 5}, [stream.fileno()])
            assert caught.value.code in {"out-of-memory", "hard-table"}
            assert workshop.do({"do": "head", "path": file.name, "rows": 1}, [stream.fileno()])["rows"] == [[1]]
    finally:
        workshop.close()


def test_a_parquet_file_under_a_wrong_name(facts: Facts) -> None:
    """Its bytes say what it is; and text called Parquet is refused."""
    assert facts("t.csv", data.taxi).format == "parquet"
    with pytest.raises(Refused, match="bytes are of something else"):
        facts("t.parquet", data.taxi_csv)


def test_halves_of_characters_are_no_names(facts: Facts, workshop: Workshop, tmp_path: Path) -> None:
    """JSON can write them, and no journal, answer or document can hold them."""
    line = b'{"\\ud800x": 1, "b": {"\\udfff": 2}}\n'
    found = facts("t.jsonl", lambda file: _written(file, line))
    assert [column.name for column in found.columns] == ["?x", "b"]
    with (tmp_path / "t.jsonl").open("rb") as file:
        head = workshop.do({"do": "head", "path": "t.jsonl", "rows": 1, "columns": None}, [file.fileno()])
    assert head == {"columns": ["?x", "b"], "rows": [[1, {"?": 2}]]}
