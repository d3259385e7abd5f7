"""`dorky://` through fsspec: what pandas, polars, DuckDB and pyarrow do with it."""

from __future__ import annotations

import pickle
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import fsspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from dorkyd.tables import filesystem
from dorkyd.tables.filesystem import DorkyFileSystem
from tests.tables.served import Served, from_bucket, served, taxi

__all__ = ["from_bucket", "served"]
pytestmark = pytest.mark.daemon

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fs(served: Served) -> Iterator[DorkyFileSystem]:
    """Found by its protocol, as an installed package's entry point has it found."""
    entry = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["fsspec.specs"]["dorky"]
    fsspec.register_implementation("dorky", entry.replace(":", "."), clobber=True)
    yield fsspec.filesystem("dorky", **served.options)
    for made in DorkyFileSystem._cache.values():
        made.client.close()
    DorkyFileSystem.clear_instance_cache()


def test_looking(served: Served, fs: DorkyFileSystem) -> None:
    """Files and folders, what lies below, patterns, times and versions."""
    item = served.client.upload(b"hello", "p:look/a.txt", metadata={"note": "x"})
    served.client.upload(b"there", "p:look/deep/er/b.txt")
    served.client.upload(b"last", "p:look/z.txt")
    assert fs.ls("dorky://p/look", detail=False) == ["p/look/a.txt", "p/look/deep", "p/look/z.txt"]
    assert fs.ls("p/look/a.txt", detail=False) == ["p/look/a.txt"]
    assert "p" in fs.ls("", detail=False)
    assert "p/look" in fs.ls("p", detail=False)
    assert fs.find("p/look") == ["p/look/a.txt", "p/look/deep/er/b.txt", "p/look/z.txt"]
    assert fs.glob("p/look/**/*.txt") == ["p/look/a.txt", "p/look/deep/er/b.txt", "p/look/z.txt"]
    assert fs.glob("p/look/*.txt") == ["p/look/a.txt", "p/look/z.txt"]
    assert fs.isdir("p/look/deep")
    assert fs.isfile("p/look/a.txt")
    assert not fs.exists("p/look/no")
    told = fs.info("p/look/a.txt")
    assert (told["size"], told["version"], told["digest"]) == (5, item.version, item.digest)
    assert fs.ukey("p/look/a.txt") == item.version
    assert abs((datetime.now(UTC) - fs.modified("p/look/a.txt")).total_seconds()) < 600
    for missing in (fs.info, fs.ls, fs.open, fs.rm_file, fs.modified):
        with pytest.raises(FileNotFoundError):
            missing("p/look/no")
    for nobody in (fs.info, fs.ls):
        with pytest.raises(FileNotFoundError):
            nobody("nobody/x")


def test_ls_passes_over_what_lies_deeper(served: Served, fs: DorkyFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of very many files costs a page, not all of its pages."""
    monkeypatch.setattr(filesystem, "PAGE", 2)
    served.client.upload_many([(b"x", f"p:over/b/{n:02}") for n in range(20)])
    served.client.upload_many([(b"x", f"p:over/{name}") for name in ("a", "c", "d/e")])
    asked = []
    monkeypatch.setattr(fs.desk, "run", lambda plan, run=fs.desk.run: (asked.append(plan), run(plan))[1])
    assert fs.ls("p/over", detail=False) == ["p/over/a", "p/over/b", "p/over/c", "p/over/d"]
    assert len(asked) < 6


def test_bytes(served: Served, fs: DorkyFileSystem, from_bucket: None, tmp_path: Path) -> None:
    """Read in parts, as text, whole, of a former version; downloaded, uploaded, copied, moved, removed."""
    first = served.client.upload(b"one\ntwo\nthree\n", "p:bytes/f")
    served.client.upload(b"other", "p:bytes/f")
    served.client.upload(b"one\ntwo\nthree\n", "p:bytes/g")
    with fs.open("p/bytes/g") as file:
        assert (file.seek(4), file.read(3), file.tell()) == (4, b"two", 7)
    with fs.open("p/bytes/g", "r") as text:
        assert [line.strip() for line in text] == ["one", "two", "three"]
    assert fs.cat_file("p/bytes/g", 4, 7) == b"two"
    assert fs.cat("p/bytes/*") == {"p/bytes/f": b"other", "p/bytes/g": b"one\ntwo\nthree\n"}
    assert fs.open("p/bytes/f", version=first.version).read() == b"one\ntwo\nthree\n"
    fs.get("p/bytes/f", str(tmp_path / "f"))
    assert (tmp_path / "f").read_bytes() == b"other"
    fs.put(str(tmp_path / "f"), "p/bytes/h")
    fs.cp("p/bytes/h", "p/bytes/i")
    fs.mv("p/bytes/i", "p/bytes/j")
    assert fs.cat_file("p/bytes/j") == b"other"
    fs.rm("p/bytes", recursive=True)
    assert not fs.exists("p/bytes")


def _write_and_fail(fs: DorkyFileSystem, path: str) -> None:
    with fs.open(path, "wb") as file:
        file.write(b"all")
    fs.info(f"{path} is not there")


def test_writing_is_atomic(served: Served, fs: DorkyFileSystem) -> None:
    """Nothing is there before the file is closed, nor after a block that failed, nor before a transaction ends."""
    with fs.open("p/atomic/f", "wb", metadata={"note": "x"}) as file:
        file.write(b"one")
        file.flush()
        assert not fs.exists("p/atomic/f")
    assert served.client.metadata("p:atomic/f") == {"note": "x"}
    with pytest.raises(TypeError), fs.open("p/atomic/failed", "wb") as file:
        file.write(f"half{None}")
    forgotten = fs.open("p/atomic/forgotten", "wb")
    forgotten.write(b"half")
    del forgotten
    with pytest.raises(FileNotFoundError), fs.transaction:
        _write_and_fail(fs, "p/atomic/undone")
    with fs.transaction:
        with fs.open("p/atomic/g", "wb") as file:
            file.write(b"two")
        assert not fs.exists("p/atomic/g")
    assert fs.find("p/atomic") == ["p/atomic/f", "p/atomic/g"]
    with pytest.raises(FileExistsError), fs.open("p/atomic/f", "xb") as file:
        file.write(b"never")
    assert fs.cat_file("p/atomic/f") == b"one"
    with pytest.raises(ValueError, match="'ab'"):
        fs.open("p/atomic/f", "ab")


def test_pandas_polars_duckdb_pyarrow(served: Served, fs: DorkyFileSystem, from_bucket: None) -> None:
    """Each reads by `dorky://`, and moves only the columns it wants."""
    item = served.client.write_table("p:by/k=1/t.parquet", taxi(5000, columns=40))
    url, where = "dorky://p/by/k=1/t.parquet", served.options

    def duck() -> int:
        with duckdb.connect() as connection:
            connection.register_filesystem(fs)
            (found,) = connection.execute(f"SELECT count(trip) FROM '{url}' WHERE trip < 7").fetchall()
        return int(found[0])

    reads = {
        "pandas": lambda: pd.read_parquet(url, columns=["trip"], storage_options=where).shape[0],
        "polars": lambda: pl.read_parquet(url, columns=["trip"], storage_options=where, use_pyarrow=True).height,
        "pyarrow": lambda: ds.dataset("p/by", filesystem=fs, partitioning="hive").to_table(columns=["trip"]).num_rows,
    }
    for name, read in reads.items():
        rows, spent = served.cost(read)
        assert rows == 5000, name
        assert spent["bytes_down"] < item.size / 4, name
    rows, spent = served.cost(duck)
    assert rows == 7
    assert spent["bytes_down"] < item.size / 4


def test_frames_are_written(served: Served, fs: DorkyFileSystem) -> None:
    """By pandas, polars and DuckDB."""
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    frame.to_parquet("dorky://p/out/pandas.parquet", storage_options=served.options)
    frame.to_csv("dorky://p/out/pandas.csv", storage_options=served.options, index=False)
    with fs.open("p/out/polars.parquet", "wb") as file:
        pl.DataFrame(frame).write_parquet(file)
    with duckdb.connect() as connection:
        connection.register_filesystem(fs)
        connection.execute("COPY (SELECT * FROM frame) TO 'dorky://p/out/duck.parquet'")
    for name in ("pandas.parquet", "pandas.csv", "polars.parquet", "duck.parquet"):
        assert served.client.read_table(f"p:out/{name}").to_pydict() == frame.to_dict("list"), name
    pd.testing.assert_frame_equal(pd.read_csv("dorky://p/out/pandas.csv", storage_options=served.options), frame)


def test_it_is_pickled(served: Served, fs: DorkyFileSystem) -> None:
    """By its options, so that another process asks the same daemon."""
    served.client.upload(b"x", "p:pickled/f")
    again = pickle.loads(pickle.dumps(fs))
    assert again.cat_file("p/pickled/f") == b"x"
    assert isinstance(pa.fs.PyFileSystem(pa.fs.FSSpecHandler(again)), pa.fs.FileSystem)
