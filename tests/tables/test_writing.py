"""`client.write_table`: the same rows are the same bytes, and what fails leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from dorkyd.api.failures import BadRequest, Conflict, NotFound
from dorkyd.tables import writing
from tests.tables.served import Served, nested, served, taxi

__all__ = ["served"]
pytestmark = pytest.mark.daemon


def data_of(name: str, table: object) -> bytes:
    """The file that is made of it."""
    with writing.written(name, table) as file:
        return file.read()


def cut(table: pa.Table, rows: int) -> pa.Table:
    """The same rows in other chunks."""
    return pa.Table.from_batches(table.to_batches(max_chunksize=rows))


@pytest.mark.parametrize("name", ["t.parquet", "t.feather", "t.arrows", "t.csv", "t.jsonl"])
def test_the_same_rows_are_the_same_bytes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However they were chunked, and whether they are a table or come as a stream."""
    monkeypatch.setattr(writing, "STEP_ROWS", 700)
    monkeypatch.setattr(writing, "GROUP_BYTES", 60_000)
    table = taxi(5000, columns=6)
    whole = data_of(name, table)
    assert whole == data_of(name, cut(table, 313)) == data_of(name, cut(table, 1400).to_reader())
    assert whole != data_of(name, table.slice(1))


def test_groups_depend_on_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """They end by rows or bytes, all rows are in one, and a table without rows has one."""
    monkeypatch.setattr(writing, "STEP_ROWS", 100)
    monkeypatch.setattr(writing, "GROUP_ROWS", 300)
    table = taxi(1050, columns=5)
    assert [group.num_rows for group in writing.groups(cut(table, 77).to_reader())] == [300, 300, 300, 150]
    assert pa.concat_tables(writing.groups(table.to_reader())).equals(table)
    assert [group.num_rows for group in writing.groups(table.slice(0, 0).to_reader())] == [0]


def test_an_edit_moves_little() -> None:
    """Rows that are put in change the pages around them: most of the file is as it was, for whoever compares by content."""
    table = taxi(200_000, columns=5).select(["trip", "measure_00"])
    more = pa.concat_tables([table.slice(0, 500), table.slice(0, 3), table.slice(500)])
    old, new = data_of("t.parquet", table), data_of("t.parquet", more)
    assert old != new
    for at in (len(old) // 4, len(old) // 2, 3 * len(old) // 4):
        assert old[at : at + 10_000] in new


def test_frames(served: Served) -> None:
    """pandas with its index, polars, a batch, and rows that come one batch after another."""
    frame = pd.DataFrame({"n": [1, 2], "s": ["x", None]}, index=pd.Index([7, 8], name="key"))
    served.client.write_table("p:frames/pandas.parquet", frame)
    pd.testing.assert_frame_equal(served.client.read_table("p:frames/pandas.parquet").to_pandas(), frame)
    other = pl.DataFrame({"n": [1, 2], "s": ["x", None], "l": [[1], []]})
    served.client.write_table("p:frames/polars.parquet", other)
    assert pl.from_arrow(served.client.read_table("p:frames/polars.parquet")).equals(other)
    batch = pa.record_batch({"n": [1, 2]})
    reader = pa.RecordBatchReader.from_batches(batch.schema, iter([batch, batch]))
    item = served.client.write_table("p:frames/stream.parquet", reader, metadata={"note": "two"})
    assert item.metadata == {"note": "two"}
    assert served.client.read_table("p:frames/stream.parquet")["n"].to_pylist() == [1, 2, 1, 2]


def test_what_fails_midway_stores_nothing(served: Served) -> None:
    """The reader's own error comes through; neither the object nor a temporary file is there."""

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"n": [1]})
        raise RuntimeError("the source broke")

    reader = pa.RecordBatchReader.from_batches(pa.schema({"n": pa.int64()}), batches())
    with pytest.raises(RuntimeError, match="the source broke"):
        served.client.write_table("p:broken.parquet", reader)
    with pytest.raises(NotFound):
        served.client.stat("p:broken.parquet")


def test_conditions(served: Served) -> None:
    """As for every upload: nobody is overwritten who was not looked at."""
    one, two = pa.table({"n": [1]}), pa.table({"n": [2]})
    first = served.client.write_table("p:cond.parquet", one, if_none_match="*")
    with pytest.raises(Conflict):
        served.client.write_table("p:cond.parquet", two, if_none_match="*")
    second = served.client.write_table("p:cond.parquet", two, if_match=first.version, idempotency_key="once")
    assert served.client.write_table("p:cond.parquet", two, if_match=first.version, idempotency_key="once") == second
    with pytest.raises(Conflict):
        served.client.write_table("p:cond.parquet", one, if_match=first.version)


@pytest.mark.parametrize(
    ("name", "table", "code"),
    [
        ("t.xlsx", pa.table({"n": [1]}), "no-format"),
        ("t.csv.gz", pa.table({"n": [1]}), "no-format"),
        ("t.parquet", [1, 2], "no-table"),
        ("t.csv", nested(3), "bad-table"),
        ("t.jsonl", pa.table({"b": [b"\xff"]}), "bad-table"),
        ("t.jsonl", pa.table({"f": [float("nan")]}), "bad-table"),
    ],
)
def test_what_cannot_be_written(name: str, table: object, code: str) -> None:
    """Is refused before anything is sent, with a way that would do."""
    with pytest.raises(BadRequest) as refused, writing.written(name, table):
        pass
    assert (refused.value.code, bool(refused.value.hint)) == (code, True)
