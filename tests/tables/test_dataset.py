"""`client.dataset`: many files as one table, of which only what is wanted is fetched."""

from __future__ import annotations

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dorkyd.api.failures import BadRequest, Conflict, NotFound
from tests.tables.served import Served, from_bucket, served, taxi

__all__ = ["from_bucket", "served"]
pytestmark = pytest.mark.daemon

ROWS = 2000


@pytest.fixture(scope="module")
def years(served: Served) -> int:
    """Two years of three months each, with a marker beside them; their bytes."""
    parts = [(year, month) for year in (2025, 2026) for month in (1, 2, 3)]
    size = 0
    for number, (year, month) in enumerate(parts):
        table = taxi(ROWS, number, columns=20)
        size += served.client.write_table(f"p:years/year={year}/month={month}/part.parquet", table).size
    served.client.upload(b"", "p:years/_SUCCESS")
    served.client.upload(b"half", "p:years/_temporary/0/part.parquet")
    served.client.upload(b"notes", "p:years/readme.txt")
    return size


def test_partitions_columns_and_filters(served: Served, years: int, from_bucket: None) -> None:
    """Partitions become columns; those that cannot pass are not opened, and of the others only what is wanted moves."""
    dataset = served.client.dataset("p:years/")
    assert (len(dataset.files), dataset.schema.names[-2:]) == (6, ["year", "month"])
    wanted = (pc.field("year") == 2026) & (pc.field("month") > 1) & (pc.field("trip") < 10)
    found, spent = served.cost(lambda: dataset.to_table(columns=["trip", "month"], filter=wanted))
    assert found.sort_by("month").to_pydict() == {"trip": [*range(10)] * 2, "month": [2] * 10 + [3] * 10}
    assert spent["bytes_down"] < years / 10
    counted, spent = served.cost(dataset.count_rows)
    assert counted == 6 * ROWS
    assert spent["bytes_down"] < years / 5
    assert served.client.dataset("p:years/year=2025/").count_rows() == 3 * ROWS


def test_duckdb_and_polars(served: Served, years: int, from_bucket: None) -> None:
    """Both push columns and filters into it."""
    dataset = served.client.dataset("p:years/")
    asked = "SELECT month, count(*) FROM trips WHERE year = 2025 AND trip < 5 GROUP BY month ORDER BY month"
    with duckdb.connect() as connection:
        connection.register("trips", dataset)
        found, spent = served.cost(lambda: connection.execute(asked).fetchall())
    assert found == [(1, 5), (2, 5), (3, 5)]
    assert spent["bytes_down"] < years / 5
    lazy = pl.scan_pyarrow_dataset(dataset).filter(pl.col("year") == 2026, pl.col("trip") < 3).select("trip", "fare")
    frame, spent = served.cost(lazy.collect)
    assert frame.shape == (9, 2)
    assert spent["bytes_down"] < years / 5


def test_each_file_is_the_version_that_was_listed(served: Served, from_bucket: None) -> None:
    """One that is replaced afterwards is told, and no row of it comes; a new one is not in it."""
    for part in "ab":
        served.client.write_table(f"p:pinned/{part}.parquet", pa.table({"n": [1, 2]}))
    dataset = served.client.dataset("p:pinned/")
    served.client.write_table("p:pinned/c.parquet", pa.table({"n": [1, 2]}))
    assert dataset.count_rows() == 4
    served.client.write_table("p:pinned/b.parquet", pa.table({"n": [3, 4]}))
    with pytest.raises(Conflict) as replaced:
        dataset.to_table()
    assert replaced.value.code == "changed-meanwhile"
    assert served.client.dataset("p:pinned/").to_table()["n"].to_pylist() == [1, 2, 3, 4, 1, 2]


@pytest.mark.parametrize("name", ["part.feather", "part.csv", "part.tsv", "part.jsonl"])
def test_formats(served: Served, name: str) -> None:
    """Whatever is written is read as a dataset too."""
    served.client.write_table(f"p:as-{name}/k=1/{name}", pa.table({"n": [1, 2], "s": ["x", "y"]}))
    found = served.client.dataset(f"p:as-{name}/").to_table(filter=pc.field("n") == 2)
    assert found.to_pylist() == [{"n": 2, "s": "y", "k": 1}]


def test_what_is_no_dataset(served: Served) -> None:
    """Nothing there, several formats, a format that is none."""
    with pytest.raises(NotFound):
        served.client.dataset("p:nothing/")
    served.client.write_table("p:mixed/a.parquet", pa.table({"n": [1]}))
    served.client.write_table("p:mixed/b.csv", pa.table({"n": [2]}))
    with pytest.raises(BadRequest) as mixed:
        served.client.dataset("p:mixed/")
    assert mixed.value.code == "mixed-formats"
    assert served.client.dataset("p:mixed/", format="csv").to_table()["n"].to_pylist() == [2]
    for wanted in ("xlsx", "stream"):
        with pytest.raises((BadRequest, NotFound)):
            served.client.dataset("p:mixed/", format=wanted)
