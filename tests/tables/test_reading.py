"""`client.read_table` against a real daemon: what it gives, what it moves, and what it says of what is no table."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from dorkyd.api import calls
from dorkyd.api.failures import BadRequest, Conflict, NotFound
from dorkyd.client import AsyncDorkyClient
from dorkyd.core.metadata import sha256
from dorkyd.keys import KeyHome, new_identity, own_key
from dorkyd.tables import sources
from dorkyd.tables.kept import key_of
from tests.daemons import wait_until
from tests.tables.served import FULL, Served, from_bucket, long_taxi, nested, served, taxi

__all__ = ["from_bucket", "served"]
pytestmark = pytest.mark.daemon

TRIPS = 30_000
SMALL = pa.table({"a": [1, 2, 3, 4], "b": ["x", "y", "z", None], "c": [0.5, 1.5, 2.5, 3.5]})


# --- what it moves ----------------------------------------------------------------------------------------------------


def test_two_of_fifty_columns(served: Served, from_bucket: None) -> None:
    """With a filter less than a tenth of the file moves, and the rows are those that pass; all of it is all of it."""
    table = taxi(TRIPS)
    item = served.client.write_table("p:cost/taxi.parquet", table)
    since = table["at"][TRIPS // 2].as_py()
    wanted = [("at", ">=", since), ("vendor", "=", "red")]
    found, spent = served.cost(
        lambda: served.client.read_table("p:cost/taxi.parquet", columns=["trip", "fare"], filters=wanted)
    )
    passes = (pc.field("at") >= since) & (pc.field("vendor") == "red")
    assert found.equals(table.filter(passes).select(["trip", "fare"]))
    assert 0 < spent["bytes_down"] < item.size / 10
    assert spent["GET"] < 10 + item.size // 10**6
    whole, spent = served.cost(lambda: served.client.read_table("p:cost/taxi.parquet"))
    assert whole.equals(table)
    assert item.size - 100 < spent["bytes_down"] < 1.1 * item.size + 100_000


@pytest.mark.slow
@pytest.mark.skipif(not FULL, reason="DORKY_FULL=1: ten million rows are over half a GB")
def test_ten_million_rows(served: Served, from_bucket: None) -> None:
    """As of few: with a filter less than a tenth of the file moves."""
    rows = 10_000_000
    item = served.client.write_table("p:cost/long.parquet", long_taxi(rows))
    wanted = (pc.field("trip") >= rows // 2) & (pc.field("measure_40") < 100)
    found, spent = served.cost(
        lambda: served.client.read_table("p:cost/long.parquet", columns=["trip", "fare"], filters=wanted)
    )
    assert found.column_names == ["trip", "fare"]
    assert rows * 0.045 < found.num_rows < rows * 0.055
    assert pc.min(found["trip"]).as_py() >= rows // 2
    assert spent["bytes_down"] < item.size / 10
    served.client.delete("p:cost/long.parquet")


def test_row_groups_that_cannot_pass_are_not_read(served: Served, from_bucket: None, tmp_path: Path) -> None:
    """By the statistics in the footer, with an expression as well as with tuples."""
    table = taxi(20_000, columns=6)
    pq.write_table(table, tmp_path / "t", row_group_size=1000)
    item = served.client.upload(tmp_path / "t", "p:groups.parquet")
    for wanted in ([("trip", "<", 1000)], pc.field("trip") < 1000):
        found, spent = served.cost(lambda wanted=wanted: served.client.read_table("p:groups.parquet", filters=wanted))
        assert found.equals(table.slice(0, 1000))
        assert spent["bytes_down"] < item.size / 5


def test_nested(served: Served, from_bucket: None) -> None:
    """Structs, lists and maps come as they were; a field of a struct can be read alone, and be a filter."""
    table = nested(500)
    served.client.write_table("p:nested.parquet", table)
    assert served.client.read_table("p:nested.parquet").equals(table)
    found = served.client.read_table(
        "p:nested.parquet", columns=["id", "where.zone", "stops"], filters=pc.field("where", "lat") > 100
    )
    assert found.column_names == ["id", "where.zone", "stops"]
    rows = [row for row in table.to_pylist() if row["where"] is not None and row["where"]["lat"] > 100]
    assert found["where.zone"].to_pylist() == [row["where"]["zone"] for row in rows]
    with pytest.raises(BadRequest) as unknown:
        served.client.read_table("p:nested.parquet", columns=["where.zoen"])
    assert "where.zone" in unknown.value.hint


def test_the_very_file_is_here(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands unchanged in the folder moves nothing; once it is edited here, the bucket's is read."""
    monkeypatch.setattr(sources, "RECENT_NS", 0)
    table = taxi(2000, columns=5)
    served.client.write_table("p:here.parquet", table)
    file = served.place.daemon.root / "here.parquet"
    wait_until("it is in the folder", file.exists)
    facts = served.place.base / "bucket" / "prefix" / key_of(sha256(hashlib.sha256(file.read_bytes()).hexdigest()))
    wait_until("nobody looks at it any more", facts.exists)
    found, spent = served.cost(lambda: served.client.read_table("p:here.parquet"))
    assert found.equals(table)
    assert spent == {"HEAD": 1}
    served.place.http.post("/v1/projects/p/pause", json={})
    try:
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        assert served.client.read_table("p:here.parquet").equals(table)
        file.unlink()
        os.mkfifo(file)
        assert served.client.read_table("p:here.parquet").equals(table)
    finally:
        file.unlink()
        served.place.http.post("/v1/projects/p/resume")


def test_an_edit_while_a_local_file_is_read(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is found out after the read, and all is read again from the bucket."""
    monkeypatch.setattr(sources, "RECENT_NS", 0)
    table = taxi(2000, columns=5)
    served.client.write_table("p:edited.parquet", table)
    file = served.place.daemon.root / "edited.parquet"
    wait_until("it is in the folder", file.exists)
    served.place.http.post("/v1/projects/p/pause", json={})
    try:
        read, edits = sources._Local.read, [1]

        def edited(self: Any, start: int, count: int) -> bytes:
            if edits and start:
                edits.clear()
                with file.open("r+b") as out:
                    out.write(b"PAR1 and no more")
            return read(self, start, count)

        monkeypatch.setattr(sources._Local, "read", edited)
        assert served.client.read_table("p:edited.parquet").equals(table)
        assert not edits
    finally:
        served.place.http.post("/v1/projects/p/resume")


def test_encrypted(served: Served, from_bucket: None) -> None:
    """What is a secret in the bucket is read as every table, now and as it was before; its object is fetched once for all parts."""
    KeyHome(served.place.daemon.home / "keys").keep(new_identity().encode())
    served.client.send(calls.begin_keys("p", "one", own_key(new_identity().encode()).share))
    served.client.send(calls.encrypt("p", ["sealed-*"]))
    old, new = taxi(20_000, 1, columns=20), taxi(20_000, 2, columns=20)
    first = served.client.write_table("p:sealed-t.parquet", old)
    served.client.write_table("p:sealed-t.parquet", new)
    stored = served.place.objects()["sealed-t.parquet"]
    assert not stored.startswith(b"PAR1")
    found, spent = served.cost(lambda: served.client.read_table("p:sealed-t.parquet", columns=["trip", "fare"]))
    assert found.equals(new.select(["trip", "fare"]))
    assert spent["bytes_down"] < 1.2 * len(stored)
    assert served.client.read_table("p:sealed-t.parquet", version=first.digest, columns=["fare"]).equals(
        old.select(["fare"])
    )


# --- replaced meanwhile -----------------------------------------------------------------------------------------------


class Replacing:
    """Replaces a table after so many of its ranges were read, again and again."""

    def __init__(self, served: Served, path: str, tables: list[pa.Table], patch: pytest.MonkeyPatch) -> None:
        self.tables = tables
        plain = sources.Desk.part

        def part(desk: Any, state: Any, start: int, count: int) -> bytes:
            data = plain(desk, state, start, count)
            if tables:
                served.client.write_table(path, tables.pop())
            return data

        patch.setattr(sources.Desk, "part", part)


def test_replaced_while_it_is_read(served: Served, from_bucket: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the new table comes, never rows of both."""
    old, new = taxi(3000, 1, columns=8), taxi(3000, 2, columns=8)
    served.client.write_table("p:replaced.parquet", old)
    replacing = Replacing(served, "p:replaced.parquet", [new], monkeypatch)
    assert served.client.read_table("p:replaced.parquet").equals(new)
    assert not replacing.tables


def test_replaced_again_and_again(served: Served, from_bucket: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is told as what it is; a version that was asked for is not another one."""
    first = served.client.write_table("p:busy.parquet", taxi(1000, 1, columns=5))
    news = [taxi(1000, n, columns=5) for n in range(2, 9)]
    replacing = Replacing(served, "p:busy.parquet", news, monkeypatch)
    with pytest.raises(Conflict) as busy:
        served.client.read_table("p:busy.parquet")
    assert busy.value.code == "changed-meanwhile"
    assert busy.value.hint
    replacing.tables.clear()
    assert served.client.read_table("p:busy.parquet", version=first.version).equals(taxi(1000, 1, columns=5))


def test_former_versions(served: Served) -> None:
    """By version, digest, or the beginning of one; one that is none names those there are."""
    tables = [taxi(500, n, columns=5) for n in range(3)]
    items = [served.client.write_table("p:past.parquet", table) for table in tables]
    for item, table in zip(items, tables, strict=True):
        assert item.version is not None
        assert item.digest is not None
        for name in (item.version, item.digest, item.digest.removeprefix("sha256:")[:12]):
            assert served.client.read_table("p:past.parquet", version=name).equals(table), name
    for name in ("no such", "sha"):
        with pytest.raises(NotFound) as unknown:
            served.client.read_table("p:past.parquet", version=name)
        assert unknown.value.code == "no-such-version"
        assert str(items[1].version) in unknown.value.hint
    served.client.delete("p:past.parquet")
    with pytest.raises(NotFound):
        served.client.read_table("p:past.parquet")
    assert served.client.read_table("p:past.parquet", version=items[2].version).equals(tables[2])


# --- formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["t.parquet", "t.feather", "t.arrow", "t.arrows", "t.csv", "t.tsv", "t.jsonl", "plain"]
)
def test_formats(served: Served, name: str) -> None:
    """Each that is written is read, with columns and filters."""
    served.client.write_table(f"p:formats/{name}", SMALL)
    whole = served.client.read_table(f"p:formats/{name}")
    text = name.endswith(("csv", "tsv"))
    expected = SMALL.set_column(1, "b", [["x", "y", "z", ""]]) if text else SMALL
    assert whole.equals(expected)
    some = served.client.read_table(f"p:formats/{name}", columns=["b"], filters=[("a", ">", 2)])
    assert some.equals(expected.slice(2).select(["b"]))
    some = served.client.read_table(f"p:formats/{name}", columns=["c", "a"], filters=pc.field("c") < 1)
    assert some.to_pylist() == [{"c": 0.5, "a": 1}]


def test_packed_texts_and_wrong_names(served: Served) -> None:
    """A packed CSV is unpacked; what is Parquet by its first bytes is read as that, whatever it is called."""
    served.client.upload(gzip.compress(b"a,b\n1,x\n2,y\n"), "p:packed/t.csv.gz")
    assert served.client.read_table("p:packed/t.csv.gz", columns=["b"]).to_pydict() == {"b": ["x", "y"]}
    served.client.upload(b'{"a": 1}\n{"a": 2}\n', "p:packed/lines")
    assert served.client.read_table("p:packed/lines").to_pydict() == {"a": [1, 2]}
    sink = pa.BufferOutputStream()
    pq.write_table(SMALL, sink)
    served.client.upload(sink.getvalue().to_pybytes(), "p:packed/really.csv")
    assert served.client.read_table("p:packed/really.csv").equals(SMALL)


@pytest.mark.parametrize(
    ("name", "data", "code", "said"),
    [
        ("text.parquet", b"this is no table", "no-table", "does not begin as parquet does"),
        ("empty.parquet", b"", "no-table", "empty"),
        ("photo.jpg", b"\xff\xd8\xff\xe0 photo", "no-table", "nothing says"),
        ("cut.parquet", b"PAR1 and then it ends", "bad-table", "cannot be read"),
        ("bad.jsonl", b'{"a": 1}\n{"a": ', "bad-table", "cannot be read"),
        ("bad.csv", b"a,b\n1,2\n1,2,3\n", "bad-table", "cannot be read"),
    ],
)
def test_what_is_no_table(served: Served, name: str, data: bytes, code: str, said: str) -> None:
    """Is told with the file's name and what to do."""
    served.client.upload(data, f"p:none/{name}")
    with pytest.raises(BadRequest) as refused:
        served.client.read_table(f"p:none/{name}")
    assert (refused.value.code, refused.value.hint != "") == (code, True)
    assert said in str(refused.value)
    assert name in str(refused.value)


def test_what_is_not_there(served: Served) -> None:
    """A path, a project, a folder, a column and a filter that are none."""
    served.client.write_table("p:there/t.parquet", SMALL)
    for path in ("p:there/other.parquet", "nobody:t.parquet"):
        with pytest.raises(NotFound):
            served.client.read_table(path)
    for path in ("p:there/", "p:"):
        with pytest.raises(BadRequest) as folder:
            served.client.read_table(path)
        assert "dataset()" in folder.value.hint
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"columns": ["B"]}, "b"),
        ({"columns": ["zzz"]}, "a, b, c"),
        ({"filters": [("bb", "=", "x")]}, "b"),
    ]
    for asked, near in wrong:
        with pytest.raises(BadRequest) as unknown:
            served.client.read_table("p:there/t.parquet", **asked)
        assert unknown.value.code == "unknown-column"
        assert near in unknown.value.hint
    for filters in ("a > 3", [("a", "about", 3)], [("a", "=", "text")]):
        with pytest.raises(BadRequest):
            served.client.read_table("p:there/t.parquet", filters=filters)


@pytest.mark.parametrize("name", ["two.parquet", "two.arrow"])
def test_two_columns_of_one_name(served: Served, name: str) -> None:
    """Are both read; the name alone says too little."""
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    served.client.write_table(f"p:{name}", table)
    assert served.client.read_table(f"p:{name}").equals(table)
    with pytest.raises(BadRequest):
        served.client.read_table(f"p:{name}", columns=["a"])


def test_awaited(served: Served) -> None:
    """The other client does the same, in a thread."""

    async def both() -> tuple[pa.Table, int]:
        async with AsyncDorkyClient(served.place.daemon.socket) as client:
            await client.write_table("p:awaited/t.parquet", SMALL, metadata={"note": "x"})
            dataset = await client.dataset("p:awaited/")
            rows = await asyncio.to_thread(dataset.count_rows)
            return await client.read_table("p:awaited/t.parquet", columns=["a"]), rows

    found, rows = asyncio.run(both())
    assert (found.to_pydict(), rows) == ({"a": [1, 2, 3, 4]}, 4)
