"""Text to Parquet: nothing is lost on the way, and nothing is left out in silence."""

from __future__ import annotations

import gzip
import io
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dorkyd.core.conversion import Conversion, Converted
from dorkyd.errors import Configuration, Refused
from dorkyd.tables.converting import csv_blocks, output, text
from dorkyd.tables.converting.lines import last_end, records
from dorkyd.tables.converting.run import convert
from tests.tables import data


def made(content: bytes, **how: Any) -> tuple[Converted, pa.Table, list[dict[str, Any]]]:
    """A conversion of these bytes: what it says, the table, and the rejects."""
    table, rejects = io.BytesIO(), io.BytesIO()
    told = convert(Conversion(**{"name": "x.csv", **how}), io.BytesIO(content), table, rejects)
    assert told.size == len(table.getvalue())
    read = pq.read_table(io.BytesIO(table.getvalue()))
    assert read.num_rows == told.rows
    return told, read, [json.loads(line) for line in rejects.getvalue().splitlines()]


def kinds(content: str, **how: Any) -> dict[str, str]:
    """What the columns were found to be."""
    return made(content.encode(), **how)[0].columns


def blocks_of(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that small files have many blocks."""
    monkeypatch.setattr(text, "BLOCK_BYTES", size)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-20", "0", ""], "int64"),
        (["007", "8"], "string"),
        (["0x1F", "2"], "string"),
        (["+1", "2"], "string"),
        (["-0", "2"], "float64"),
        (["-07", "2"], "string"),
        (["9223372036854775807"], "int64"),
        (["9223372036854775808"], "string"),
        (["1", "2.5"], "float64"),
        (["9007199254740993", "2.5"], "string"),
        (["2.5", "9007199254740993"], "string"),
        (["0.1", "-73.98420715332031"], "float64"),
        (["0.10000000000000001"], "float64"),
        (["0.1000000000000000000"], "float64"),
        (["0.12345678901234567890"], "string"),
        (["00.5"], "string"),
        (["1e-05", "2.5e10"], "float64"),
        (["12E3", "7"], "string"),
        (["1.5", "1e400"], "string"),
        (["1.5", "1.0e-400"], "string"),
        (["1.5", "nan"], "string"),
        (["1.5", "inf"], "string"),
        (["1", "NA"], "string"),
        (["1", "null"], "string"),
        (["1", " 2"], "string"),
        (["true", "False", ""], "bool"),
        (["true", "1"], "string"),
        (["2024-02-29", ""], "date"),
        (["2023-02-29"], "string"),
        (["2024-02-29", "2024-02-29 10:00"], "string"),
        (["2024-02-29 10:00:01", "2024-02-29T10:00:01.123456"], "timestamp"),
        (["2024-02-29 10:00:01.1234567"], "string"),
        (["2024-02-29T10:00:01Z"], "timestamp-utc"),
        (["2024-02-29T10:00:01+02:00"], "string"),
        (["2024-02-29T10:00:01Z", "2024-02-29T10:00:01"], "string"),
        (["", ""], "string"),
    ],
)
def test_a_column_is_what_keeps_all_it_says(values: list[str], kind: str) -> None:
    """The narrowest type that loses no digit, sign, zero or word; text otherwise."""
    content = "n,v\n" + "".join(f"{n},{value}\n" for n, value in enumerate(values))
    told, table, _ = made(content.encode())
    assert told.columns["v"] == kind
    if kind == "string":
        assert table["v"].to_pylist() == [value or None for value in values]


@pytest.mark.parametrize("late", ["2.5", "x", "007", "9223372036854775808", ""])
def test_what_a_later_block_says_counts_as_much(late: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is that of the same rows in another order, and costs two readings at most."""
    blocks_of(100, monkeypatch)
    first = [str(n) for n in range(200)]
    told, table, _ = made(("v,w\n" + "".join(f"{v},a\n" for v in [*first, late])).encode())
    turned, again, _ = made(("v,w\n" + "".join(f"{v},a\n" for v in [late, *first])).encode())
    assert told.columns == turned.columns
    assert sorted(map(str, table["v"].to_pylist())) == sorted(map(str, again["v"].to_pylist()))
    assert told.passes == (1 if late == "" else 2)


def test_a_column_that_begins_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is comes later, and the first rows have no value."""
    blocks_of(64, monkeypatch)
    told, table, _ = made(("a,b\n" + "1,\n" * 100 + "2,5\n").encode())
    assert told.columns == {"a": "int64", "b": "int64"}
    assert table["b"].to_pylist() == [None] * 100 + [5]


def test_an_empty_text_and_none_differ() -> None:
    """In text; elsewhere both are no value."""
    _, table, _ = made(b'a,b\n,1\n"",""\nx,2\n')
    assert table.to_pydict() == {"a": [None, "", "x"], "b": [1, None, 2]}


def _field(value: str) -> str:
    return '"' + value.replace('"', '""') + '"' if set(value) & set(',"\r\n') else value


@pytest.mark.parametrize("size", [7, 16, 33, 64, 1000])
def test_records_are_cut_where_they_end(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stands in quotes, and wherever a block happens to end."""
    blocks_of(size, monkeypatch)
    chance = random.Random(size)
    rows = [
        ["".join(chance.choice('ab",\n\r x') for _ in range(chance.randrange(9))) + "." for _ in range(3)]
        for _ in range(60)
    ]
    for end in ("\n", "\r\n"):
        written = [[_field(field) for field in row] for row in [["a", "b", "c"], *rows]]
        content = "".join(",".join(row) + end for row in written)
        _, table, rejects = made(content.encode())
        assert rejects == []
        assert [list(row.values()) for row in table.to_pylist()] == rows


def test_quotes_inside_of_plain_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are characters, so that they open nothing, beside fields that are quoted and hold line ends."""
    blocks_of(40, monkeypatch)
    lines = ['5" disk,x', '"a\nb",3.5" floppy', 'plain,"said ""so""\n, twice"'] * 20
    _, table, rejects = made(("size,note\n" + "\n".join(lines) + "\n").encode())
    assert rejects == []
    assert table["size"].to_pylist() == ['5" disk', "a\nb", "plain"] * 20


def test_where_records_are_agrees_with_the_parser() -> None:
    """Of any bytes: as many, and as long, as Arrow finds."""
    chance = random.Random(11)
    for _ in range(400):
        block = "".join(chance.choice('a",\n\r') for _ in range(chance.randrange(1, 30))).encode()
        block = block[: last_end(block, b",")]
        if not block.strip(b"\r\n"):
            continue
        found = []

        def skip(row: Any, found: list[int] = found) -> str:
            found.append(row.number)
            return "skip"

        import pyarrow.csv as pc

        read = pc.read_csv(
            pa.BufferReader(block),
            pc.ReadOptions(use_threads=False, column_names=["a", "b"]),
            pc.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
        )
        assert len(records(block, b",", blanks=False)) == read.num_rows + len(found), block


def test_rejects_are_told_with_their_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Physical lines, though fields span several and blank lines stand between; the other records are all there."""
    blocks_of(30, monkeypatch)
    content = 'a,b\n1,2\n\n3\n"x\ny",4\r\n5,6,7\n8,"9\n10"\n11\n'
    told, table, rejects = made(content.encode())
    assert table.num_rows == 3
    assert [(each["line"], each["raw"]) for each in rejects] == [(4, "3"), (7, "5,6,7"), (10, "11")]
    assert rejects[1]["reason"] == "3 fields, not 2"
    assert told.rejects == 3


def test_a_schema_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its types, its words for nothing, and records that do not fit as rejects with line, column and reason."""
    blocks_of(24, monkeypatch)
    schema = 'zip: string\nfare: decimal(6,2)\nseats: {type: int8, nulls: ["NA"]}\n'
    content = "zip,fare,seats,note\n1234,1.50,4,a\n5678,x,NA,b\n9,2,NA,c\n10,3.123,1,d\n11,4,300,e\n"
    told, table, rejects = made(content.encode(), schema=schema)
    assert told.columns == {"zip": "string", "fare": "decimal(6,2)", "seats": "int8", "note": "string"}
    assert table["zip"].to_pylist() == ["1234", "9"]
    assert table["seats"].to_pylist() == [4, None]
    assert [(each["line"], each["column"]) for each in rejects] == [(3, "fare"), (5, "fare"), (6, "seats")]
    assert rejects[0]["reason"] == "not of type decimal(6,2)"


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("a: number\n", "my.yaml:1: `number` is no type"),
        ("a: int64\na: string\n", "my.yaml:2: `a` is named twice"),
        ("a: {kind: int64}\n", "my.yaml:1: unknown setting `kind`"),
        ("a: decimal(3,9)\n", "my.yaml:1: `decimal(3,9)` is no type"),
        ("- a\n", "my.yaml:1: "),
        ("", "names no column"),
    ],
)
def test_a_wrong_schema_is_refused(schema: str, said: str) -> None:
    """With its line."""
    with pytest.raises(Configuration, match=said.replace("(", r"\(").replace(")", r"\)")):
        made(b"a\n1\n", schema=schema, schema_name="my.yaml")


def test_a_schema_for_another_table() -> None:
    """Is not half obeyed."""
    with pytest.raises(Refused, match="no column 'b'"):
        made(b"a\n1\n", schema="b: int64\n")


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"", "empty-table", "is empty"),
        (b"\n\r\n\n", "empty-table", "is empty"),
        (b"\xef\xbb\xbf", "empty-table", "is empty"),
        ("a,b\n1,2\n3,Ärger\n".encode("latin-1"), "not-utf8", "line 3 is not UTF-8"),
        ("größe,b\n1,2\n".encode("latin-1"), "not-utf8", "line 1 is not UTF-8"),
        ("a,b\n".encode("utf-16"), "not-utf8", "UTF-16"),
        (b"," * 30_000 + b"\n", "too-many-columns", "20000 columns"),
    ],
)
def test_what_is_no_table_is_refused(content: bytes, code: str, said: str) -> None:
    """With a word on what to do; never with what stands in it."""
    with pytest.raises(Refused, match=said) as refused:
        made(content)
    assert refused.value.code == code
    assert refused.value.hint


def test_other_encodings_when_asked() -> None:
    """Latin-1 and UTF-16 with its mark; what is none is refused."""
    _, table, _ = made("a,b\n1,Ärger\n".encode("latin-1"), encoding="latin-1")
    assert table["b"].to_pylist() == ["Ärger"]
    _, table, _ = made("a,b\n1,Ärger\n".encode("utf-16"), encoding="utf-16")
    assert table.column_names == ["a", "b"]
    assert table["b"].to_pylist() == ["Ärger"]
    with pytest.raises(Refused, match="is not ascii"):
        made("a,b\n1,Ä\n".encode("latin-1"), encoding="ascii")
    with pytest.raises(Refused, match="no encoding"):
        made(b"a\n", encoding="no-such")


def test_a_mark_is_no_part_of_the_first_name() -> None:
    """UTF-8 with a byte order mark, as spreadsheets write it."""
    assert kinds("\ufeffa,b\n1,2\n") == {"a": "int64", "b": "int64"}


def test_names_that_are_empty_or_taken_are_told() -> None:
    """Every column has a name of its own, and which got another is said."""
    told, table, _ = made(b"a,a,,a_2\n1,2,3,4\n")
    assert table.column_names == ["a", "a_3", "column_3", "a_2"]
    assert len(told.notes) == 2


def test_a_header_alone_and_no_header() -> None:
    """A table without rows; and one whose columns are numbered."""
    told, table, _ = made(b"a,b")
    assert (told.rows, table.column_names) == (0, ["a", "b"])
    assert made(b"1,x\n2,y\n", header=False)[1].to_pydict() == {"column_1": [1, 2], "column_2": ["x", "y"]}


def test_one_column_keeps_its_empty_lines() -> None:
    """Of two columns a blank line is nothing; of one it is a row without a value."""
    assert made(b"a\n1\n\n3\n")[1]["a"].to_pylist() == [1, None, 3]
    assert made(b"a,b\n1,2\n\n3,4\n\n")[1].num_rows == 2


def test_a_quote_that_is_not_closed() -> None:
    """What it swallows is a reject, with the line where it began."""
    told, table, rejects = made(b'a,b\n1,2\n3,"4\n5,6\n')
    assert (table.num_rows, told.rejects) == (1, 1)
    assert (rejects[0]["line"], rejects[0]["raw"]) == (3, '3,"4\n5,6\n')


def test_a_record_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is refused before it takes the memory."""
    blocks_of(1000, monkeypatch)
    monkeypatch.setattr(csv_blocks, "RECORD_BYTES", 10_000)
    with pytest.raises(Refused, match="begins in line 3 does not end"):
        made(b'a,b\n1,2\n3,"' + b"x\n" * 50_000)


def test_another_delimiter_is_suspected() -> None:
    """One column whose name holds a semicolon is most likely several."""
    told, _, _ = made(b"a;b\n1;2\n")
    assert "is that the delimiter" in told.notes[0]
    assert made(b"a;b\n1;2\n", delimiter=";")[0].columns == {"a": "int64", "b": "int64"}


def test_the_same_bytes_give_the_same_bytes(tmp_path: Path) -> None:
    """In another process too, with another seed for hashes."""
    content = data.taxi_csv(tmp_path / "t.csv", rows=2000).read_bytes()
    here = io.BytesIO()
    convert(Conversion(name="t.csv"), io.BytesIO(content), here, None)
    script = (
        "import sys, io\nfrom dorkyd.core.conversion import Conversion\nfrom dorkyd.tables.converting.run import convert\n"
        "out = io.BytesIO()\nconvert(Conversion(name='t.csv'), open(sys.argv[1], 'rb'), out, None)\n"
        "sys.stdout.buffer.write(out.getvalue())\n"
        "assert 'pandas' not in sys.modules\n"
    )
    there = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "t.csv")],
        capture_output=True,
        check=True,
        env={"PYTHONHASHSEED": "5", "PYTHONPATH": ":".join(sys.path)},
    )
    assert there.stdout == here.getvalue()


def test_where_a_table_comes_from_stands_in_it() -> None:
    """Name, digest, types and converter, in the footer; packed with zstd."""
    out = io.BytesIO()
    told = convert(Conversion(name="data/x.csv"), io.BytesIO(b"a\n1\n"), out, None)
    footer = pq.read_metadata(io.BytesIO(out.getvalue()))
    assert footer.metadata[b"dorky.source.name"] == b"data/x.csv"
    assert footer.metadata[b"dorky.source.digest"].decode() == told.digest
    assert json.loads(footer.metadata[b"dorky.schema"]) == {"a": "int64"}
    assert footer.metadata[b"dorky.converter"] == b"1"
    assert footer.row_group(0).column(0).compression == "ZSTD"


def test_row_groups_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By bytes, so that wide tables have them too."""
    blocks_of(2000, monkeypatch)
    monkeypatch.setattr(output, "GROUP_BYTES", 5000)
    out = io.BytesIO()
    convert(Conversion(name="x"), io.BytesIO(b"a,b\n" + b"1,xxxxxxxx\n" * 3000), out, None)
    footer = pq.read_metadata(io.BytesIO(out.getvalue()))
    assert 5 < footer.num_row_groups < 30


def test_packed_files(tmp_path: Path) -> None:
    """gzip in several members and zstd; a damaged one is refused."""
    whole = b"a,b\n" + b"1,2\n" * 500
    _, table, _ = made(gzip.compress(whole[:100]) + gzip.compress(whole[100:]), packed="gzip")
    assert table.num_rows == 500
    _, table, _ = made(pa.compress(whole, codec="zstd", asbytes=True), packed="zstd")
    assert table.num_rows == 500
    with pytest.raises(Refused, match="no whole gzip"):
        made(gzip.compress(whole)[:-12], packed="gzip")
    with pytest.raises(Refused, match="no whole gzip"):
        made(whole, packed="gzip")


def test_feather_as_well() -> None:
    """The same rows."""
    out = io.BytesIO()
    convert(Conversion(name="x", target="feather"), io.BytesIO(b"a,b\n1,x\n"), out, None)
    assert pa.ipc.open_file(io.BytesIO(out.getvalue())).read_all().to_pydict() == {"a": [1], "b": ["x"]}


# --- JSON lines -----------------------------------------------------------------------------------------------------


def of_lines(*lines: str, **how: Any) -> tuple[Converted, pa.Table, list[dict[str, Any]]]:
    """A conversion of JSON lines."""
    return made("".join(line + "\n" for line in lines).encode(), name="x.jsonl", form="jsonl", **how)


@pytest.mark.parametrize(
    ("values", "kind", "rows"),
    [
        (["1", "2.5", "null"], "float64", [1.0, 2.5, None]),
        (['"2024-01-01"', '"007"'], "string", ["2024-01-01", "007"]),
        (["9007199254740993"], "int64", [9007199254740993]),
        (["9007199254740993", "2.5"], "string", ["9007199254740993", "2.5"]),
        (["12345678901234567890"], "string", ["12345678901234567890"]),
        (["0.12345678901234567890"], "string", ["0.12345678901234567890"]),
        (["-73.98420715332031", "1e-5"], "float64", [-73.98420715332031, 1e-5]),
        (["1", "1e400"], "string", ["1", "1e400"]),
        (["1", '"one"'], "json", ["1", '"one"']),
        (["1", "[1]", '{"a": 1.10}'], "json", ["1", "[1]", '{"a": 1.1}']),
        (["{}"], "json", ["{}"]),
        (["{}", '{"a": 1}'], "struct<a: int64>", [{"a": None}, {"a": 1}]),
        (["[]", "null"], "list<string>", [[], None]),
        (['{"a": [1]}', '{"b": true}'], "struct<a: list<int64>, b: bool>", [{"a": [1], "b": None}, {"a": None, "b": True}]),
        (["true", "1"], "json", ["true", "1"]),
        (["null"], "string", [None]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [20, 10_000])
def test_a_field_is_what_keeps_all_it_says(
    values: list[str], kind: str, rows: list[Any], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one block or in several."""
    blocks_of(size, monkeypatch)
    told, table, rejects = of_lines(*(f'{{"v": {value}}}' for value in values))
    assert (told.columns, rejects) == ({"v": kind}, [])
    assert table["v"].to_pylist() == rows


def test_fields_that_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Are columns without a value before, nested ones as well."""
    blocks_of(30, monkeypatch)
    told, table, _ = of_lines('{"a": {"x": 1}}', '{"a": {"y": 2}, "b": "t"}')
    assert table.to_pylist() == [{"a": {"x": 1, "y": None}, "b": None}, {"a": {"x": None, "y": 2}, "b": "t"}]
    assert told.passes == 2


def test_lines_that_are_no_objects_are_told(tmp_path: Path) -> None:
    """With line and reason, and the others are rows."""
    content = data.bad_json(tmp_path / "x").read_bytes() + b'{"a": 1, "a": 2}\n{"a": "\\ud800"}\r\n'
    told, table, rejects = made(content, name="x.jsonl", form="jsonl")
    assert table["a"].to_pylist() == ["1", '"two"']
    assert [(each["line"], each["reason"]) for each in rejects] == [
        (2, "not JSON: expecting value"),
        (3, "not an object"),
        (6, "NaN is no JSON"),
        (7, "a key stands twice in an object"),
        (8, "text that is no Unicode"),
    ]
    assert told.rejects == 5


def test_deep_nesting_breaks_nothing() -> None:
    """What is deeper than any table is text, and what is deeper than any parser a reject."""
    _, table, rejects = of_lines('{"a": ' + "[" * 200 + "]" * 200 + "}", '{"a": ' + "[" * 99_999 + "]" * 99_999 + "}")
    assert table.num_rows == 1
    assert [each["reason"] for each in rejects] == ["nested too deeply"]


def test_a_schema_for_json_lines() -> None:
    """As for CSV."""
    told, table, rejects = of_lines(
        '{"id": 7, "n": "5"}', '{"id": "x", "n": 300}', '{"n": 1.5}', schema="id: string\nn: int8\n"
    )
    assert told.columns == {"id": "string", "n": "int8"}
    assert table.to_pylist() == [{"id": "7", "n": 5}]
    assert [(each["line"], each["column"]) for each in rejects] == [(2, "n"), (3, "n")]


def test_json_that_is_not_utf8() -> None:
    """Is refused with its line."""
    with pytest.raises(Refused, match="line 2 is not UTF-8"):
        made('{"a": 1}\n{"a": "Ä"}\n'.encode("latin-1"), form="jsonl")
    with pytest.raises(Refused, match="no line that is"):
        made(b"\n\n", form="jsonl")


@pytest.mark.parametrize("name", sorted(name for name in data.BROKEN if not name.endswith("parquet")))
def test_whatever_people_have(name: str, tmp_path: Path) -> None:
    """Every broken file is a table with all its records told, or a refusal that says what to do."""
    content = data.BROKEN[name](tmp_path / name).read_bytes()
    how = {"form": "jsonl"} if name.endswith("jsonl") else {"delimiter": "\t"} if name.endswith("tsv") else {}
    refused, told, rejects = None, None, list[dict[str, Any]]()
    try:
        told, _, rejects = made(content, name=name, **how)
    except Refused as exc:
        refused = exc
    if refused is not None:
        assert refused.hint
        assert refused.code in {"not-utf8", "empty-table", "unreadable-table"}
    else:
        assert told is not None
        assert told.rejects == len(rejects)
        assert told.columns


@pytest.mark.parametrize("line", ['{"v":%s}', '{"v": %s }', '{"v": [%s]}', '{"v": [1,%s]}'])
@pytest.mark.parametrize(
    "number", ["12345678901234567890", "-12345678901234567890", "0.12345678901234567890", "1e400", "-1E-400"]
)
def test_no_digit_is_lost_wherever_a_number_stands(line: str, number: str) -> None:
    """What Arrow would round is noticed beside whatever punctuation."""
    _, table, _ = of_lines(line % number)
    assert number in str(table["v"].to_pylist())


def test_long_digits_in_text_are_text() -> None:
    """An id that looks like a long number, and a time."""
    told, table, _ = of_lines('{"id": "12345678901234567890", "at": "2024-01-01T00:00:00.123456789012345678"}')
    assert set(told.columns.values()) == {"string"}
    assert table["id"].to_pylist() == ["12345678901234567890"]
