"""What removes or replaces files through fsspec: nothing goes that was not copied, and nothing half written is stored."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from typing import Any

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dorkyd.tables.filesystem import DorkyFileSystem
from dorkyd.tables.outgoing import WrittenFile
from tests.tables.served import Served, from_bucket, served

__all__ = ["from_bucket", "served"]
pytestmark = pytest.mark.daemon


@pytest.fixture
def fs(served: Served) -> Iterator[DorkyFileSystem]:
    """Over the daemon."""
    fsspec.register_implementation("dorky", DorkyFileSystem, clobber=True)
    yield fsspec.filesystem("dorky", **served.options)
    for made in DorkyFileSystem._cache.values():
        made.client.close()
    DorkyFileSystem.clear_instance_cache()


def meanwhile(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Done behind each file that is written: between a copy and what comes after it."""
    close = WrittenFile.close

    def closed_and_done(self: WrittenFile) -> None:
        close(self)
        do()

    monkeypatch.setattr(WrittenFile, "close", closed_and_done)


def broken(opened: Any, data: str | bytes) -> None:
    """Its block is left by an exception once something was written."""

    def work() -> None:
        with opened as file:
            file.write(data)
            raise RuntimeError("broke")

    with pytest.raises(RuntimeError, match="broke"):
        work()


@pytest.mark.parametrize("other", ["dorky://p/same/a.txt", "/p/same/a.txt"])
def test_a_file_moved_onto_itself_stays(served: Served, fs: DorkyFileSystem, other: str) -> None:
    """However its name is written."""
    served.client.upload(b"mine", "p:same/a.txt")
    fs.mv("p/same/a.txt", other)
    assert fs.cat_file("p/same/a.txt") == b"mine"


def test_what_was_edited_while_it_moved_stays(
    served: Served, fs: DorkyFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy is of the version before, so that the new one must not go."""
    served.client.upload(b"old", "p:race/a.txt", metadata={"note": "kept"})
    meanwhile(monkeypatch, lambda: served.client.upload(b"new", "p:race/a.txt"))
    with pytest.raises(OSError, match="changed while it moved"):
        fs.mv("p/race/a.txt", "p/race/b.txt")
    assert fs.cat_file("p/race/a.txt") == b"new"


def test_a_folder_moves_only_what_was_copied(
    served: Served, fs: DorkyFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came meanwhile stays, and so does what lies deeper than was asked for."""
    served.client.upload_many([(b"a", "p:tree/a"), (b"b", "p:tree/in/b"), (b"c", "p:tree/in/deep/c")])
    meanwhile(monkeypatch, lambda: served.client.upload(b"late", "p:tree/late"))
    fs.mv("p/tree", "p/moved", recursive=True, maxdepth=2)
    left = {path: fs.cat_file(path) for path in [*fs.find("p/tree"), *fs.find("p/moved")]}
    assert left == {
        "p/tree/late": b"late",
        "p/tree/in/deep/c": b"c",
        "p/moved/a": b"a",
        "p/moved/in/b": b"b",
    }


def test_a_folder_moved_into_itself_is_all_there(served: Served, fs: DorkyFileSystem) -> None:
    """Under its new name."""
    served.client.upload_many([(b"a", "p:self/a"), (b"b", "p:self/in/b")])
    fs.mv("p/self", "p/self/in", recursive=True)
    assert sorted(fs.cat_file(path) for path in fs.find("p/self")) == [b"a", b"b"]


def test_a_move_keeps_metadata(served: Served, fs: DorkyFileSystem) -> None:
    """It is the file's."""
    served.client.upload(b"x", "p:meta/a", metadata={"note": "why"})
    fs.mv("p/meta/a", "p/meta/b")
    assert served.client.stat("p:meta/b").metadata == {"note": "why"}


def test_a_copy_onto_itself_is_nothing(served: Served, fs: DorkyFileSystem) -> None:
    """No version comes of it."""
    item = served.client.upload(b"x", "p:copy/a", metadata={"note": "why"})
    fs.cp_file("p/copy/a", "dorky://p/copy/a")
    assert served.client.stat("p:copy/a").version == item.version


def test_a_text_whose_block_is_left_is_not_stored(served: Served, fs: DorkyFileSystem) -> None:
    """As of bytes."""
    served.client.upload(b"whole\n", "p:text/a.txt")
    broken(fs.open("p/text/a.txt", "w"), "half")
    assert fs.cat_file("p/text/a.txt") == b"whole\n"


@pytest.mark.parametrize("mode", ["wb", "w"])
def test_a_url_whose_block_is_left_is_not_stored(served: Served, fs: DorkyFileSystem, mode: str) -> None:
    """As of a file system's, though its file is closed without a word on the exception; since that is a guess, it is told."""
    del fs
    served.client.upload(b"whole\n", "p:url/a.txt")
    opened = fsspec.open("dorky://p/url/a.txt", mode, **served.options)
    with pytest.raises(OSError, match="is not stored") as error:
        broken(opened, "half" if mode == "w" else b"half")
    assert isinstance(error.value.__cause__, RuntimeError)
    assert served.client.open("p:url/a.txt").read() == b"whole\n"


def test_a_frame_that_cannot_be_written_to_its_end_is_not_stored(served: Served, fs: DorkyFileSystem) -> None:
    """Pandas and pyarrow close what they were writing."""
    served.client.upload_many([(b"whole", "p:frames/a.csv"), (b"whole", "p:frames/a.parquet")])
    frame = pd.DataFrame({"a": ["x"] * 100_000 + ["\u00c4"]})
    with pytest.raises(OSError, match="is not stored") as error:
        frame.to_csv("dorky://p/frames/a.csv", storage_options=served.options, encoding="ascii")
    assert isinstance(error.value.__cause__, UnicodeEncodeError)

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"a": [1]})
        raise RuntimeError("broke")

    def write() -> None:
        with pq.ParquetWriter("p/frames/a.parquet", pa.schema({"a": pa.int64()}), filesystem=fs) as writer:
            for batch in batches():
                writer.write_batch(batch)

    with pytest.raises(OSError, match="is not stored"):
        write()
    assert [fs.cat_file(path) for path in fs.find("p/frames")] == [b"whole", b"whole"]


def test_what_is_closed_in_a_handler(served: Served, fs: DorkyFileSystem) -> None:
    """Stored where it was opened in that, or where what it was made of has ended."""
    del served
    rows = iter([b"1", b"2"])
    file = fs.open("p/handler/rows", "wb")
    while True:
        try:
            file.write(next(rows))
        except StopIteration:
            file.close()
            break
    try:
        raise RuntimeError("broke")
    except RuntimeError:
        with fs.open("p/handler/why", "w") as text:
            text.write("broke")
    assert {path: fs.cat_file(path) for path in fs.find("p/handler")} == {
        "p/handler/rows": b"12",
        "p/handler/why": b"broke",
    }


@pytest.mark.parametrize("mode", ["wb", "wt"])
def test_what_is_packed_is_stored(served: Served, fs: DorkyFileSystem, mode: str) -> None:
    """Closing the packer closes the file."""
    del served
    with fs.open("p/packed/a.txt.gz", mode, compression="gzip") as file:
        file.write("all" if mode == "wt" else b"all")
    assert gzip.decompress(fs.cat_file("p/packed/a.txt.gz")) == b"all"


def test_creating_is_the_stores_to_refuse(served: Served, fs: DorkyFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looked and saw nothing may be late."""
    served.client.upload(b"theirs", "p:new/a")
    monkeypatch.setattr(DorkyFileSystem, "exists", lambda *_, **__: False)
    with pytest.raises(FileExistsError):
        fs.pipe_file("p/new/a", b"mine", mode="create")
    with pytest.raises(NotImplementedError):
        fs.touch("p/new/a", truncate=False)
    assert fs.cat_file("p/new/a") == b"theirs"


def test_files_that_would_take_each_others_places_do_not_move(served: Served, fs: DorkyFileSystem) -> None:
    """One would be gone before it was copied."""
    served.client.upload_many([(b"outer", "p:nest/a/f"), (b"inner", "p:nest/a/a/f")])
    with pytest.raises(OSError, match="another would take its place"):
        fs.mv("p/nest/a/", "p/nest/", recursive=True)
    assert {path: fs.cat_file(path) for path in fs.find("p/nest")} == {"p/nest/a/f": b"outer", "p/nest/a/a/f": b"inner"}


def test_two_that_would_get_one_name_do_not_move(served: Served, fs: DorkyFileSystem) -> None:
    """One would be left, and both originals be gone."""
    served.client.upload_many([(b"1", "p:one/a/x"), (b"2", "p:one/b/x")])
    with pytest.raises(OSError, match=r"one alone be left.*p/one/c/x"):
        fs.mv(["p/one/a/x", "p/one/b/x"], "p/one/c")
    assert {path: fs.cat_file(path) for path in fs.find("p/one")} == {"p/one/a/x": b"1", "p/one/b/x": b"2"}
