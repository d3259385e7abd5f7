"""`dorkyctl convert`: from file to file, whole or not at all, and nothing of the content where it does not belong."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO, Any

import pyarrow.parquet as pq
import pytest

from dorkyd.tables.converting import files
from tests.cli.conftest import Ctl


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a table as text and one that is broken."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("n,zip\n1,007\n2,008\n")
    (tmp_path / "bad.csv").write_text("n,word\n1,a\n2\n3,confidential,b\n")
    return tmp_path


def names(folder: Path) -> set[str]:
    """What is in it, hidden files too."""
    return set(os.listdir(folder))


def test_a_table_is_made(folder: Path, ctl: Ctl) -> None:
    """With its columns told, and no other file."""
    done = ctl("convert", "x.csv", "x.parquet")
    assert done.code == 0
    assert done.out.splitlines()[0].startswith("Wrote x.parquet: 2 rows, 2 columns, ")
    assert done.out.splitlines()[1:] == ["  int64          n", "  string         zip"]
    assert pq.read_table("x.parquet").to_pydict() == {"n": [1, 2], "zip": ["007", "008"]}
    assert names(folder) == {"x.csv", "bad.csv", "x.parquet"}


def test_what_is_there_stays_unless_forced(folder: Path, ctl: Ctl) -> None:
    """Also what comes while the conversion runs."""
    (folder / "x.parquet").write_text("mine")
    done = ctl("convert", "x.csv", "x.parquet")
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines() == ["dorkyctl: x.parquet is there already", "  --force replaces it"]
    assert (folder / "x.parquet").read_text() == "mine"
    assert ctl("convert", "x.csv", "x.parquet", "--force").code == 0
    assert pq.read_table("x.parquet").num_rows == 2
    assert ctl("convert", "x.csv", "y.parquet").code == 0
    assert (folder / "x.parquet").read_bytes() == (folder / "y.parquet").read_bytes()


@pytest.mark.parametrize("rejects", ["bad.csv", "../{}/bad.csv", "link.jsonl", "x.parquet", "./x.parquet"])
def test_rejects_take_nobodys_place(folder: Path, ctl: Ctl, rejects: str) -> None:
    """Neither the file's that is read, however it is named, nor the table's: `--force` is about what was made before."""
    (folder / "link.jsonl").symlink_to("bad.csv")
    before = (folder / "bad.csv").read_bytes()
    done = ctl("convert", "bad.csv", "x.parquet", "--force", "--rejects", rejects.format(folder.name))
    assert done.code == 1
    assert (folder / "bad.csv").read_bytes() == before
    assert names(folder) == {"x.csv", "bad.csv", "link.jsonl"}


def test_what_came_meanwhile_is_not_replaced(folder: Path, ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step refuses, whatever was looked at before."""
    whole = files.convert

    def slow(asked: Any, given: IO[bytes], table: IO[bytes], listed: IO[bytes]) -> Any:
        told = whole(asked, given, table, listed)
        (folder / "x.parquet").write_text("somebody's")
        return told

    monkeypatch.setattr(files, "convert", slow)
    assert ctl("convert", "x.csv", "x.parquet").code == 1
    assert (folder / "x.parquet").read_text() == "somebody's"
    assert names(folder) == {"x.csv", "bad.csv", "x.parquet"}


def test_an_input_that_changes_is_no_table(folder: Path, ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read of two states is neither."""
    whole = files.convert

    def changing(asked: Any, given: IO[bytes], table: IO[bytes], listed: IO[bytes]) -> Any:
        told = whole(asked, given, table, listed)
        (folder / "x.csv").write_text("n,zip\n3,009\n")
        return told

    monkeypatch.setattr(files, "convert", changing)
    done = ctl("convert", "x.csv", "x.parquet")
    assert (done.code, "changed while it was read" in done.err) == (1, True)
    assert names(folder) == {"x.csv", "bad.csv"}


def test_rejects_are_listed_for_their_owner(folder: Path, ctl: Ctl) -> None:
    """The exit code says that there are some; the list has them, and no message does."""
    done = ctl("convert", "bad.csv", "bad.parquet", "--json")
    assert done.code == 4
    told = json.loads(done.out)
    assert (told["rows"], told["rejects"], told["rejects_file"]) == (1, 2, "bad.parquet.rejects.jsonl")
    assert "confidential" not in done.out + done.err
    lists = folder / "bad.parquet.rejects.jsonl"
    assert [json.loads(line)["line"] for line in lists.read_text().splitlines()] == [3, 4]
    assert lists.stat().st_mode & 0o777 == 0o600
    assert ctl("convert", "bad.csv", "other.parquet", "--rejects", "list").code == 4
    assert (folder / "list").read_text() == lists.read_text()


def test_a_schema_and_what_is_wrong_with_it(folder: Path, ctl: Ctl) -> None:
    """Its mistakes are those of a configuration."""
    (folder / "s.json").write_text('{"zip": "int32"}')
    assert ctl("convert", "x.csv", "x.parquet", "--schema", "s.json").code == 0
    assert pq.read_table("x.parquet")["zip"].to_pylist() == [7, 8]
    (folder / "s.json").write_text('{"zip":\n "number"}')
    done = ctl("convert", "x.csv", "y.parquet", "--schema", "s.json")
    assert (done.code, "s.json:2: `number` is no type" in done.err) == (78, True)
    assert ctl("convert", "x.csv", "y.parquet", "--schema", "none").code == 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("x.txt", "x.parquet"), 2, "x.txt is no table as text"),
        (("x.csv", "x.orc"), 2, "x.orc is no table to make"),
        (("none.csv", "x.parquet"), 1, "none.csv: No such file"),
        (("x.csv", "none/x.parquet"), 1, "No such file"),
        (("x.csv", "x.parquet", "--delimiter", "ab"), 2, "one ASCII character"),
        (("x.csv", "x.parquet", "--encoding", "no-such"), 1, "no encoding"),
    ],
)
def test_what_makes_no_sense(folder: Path, ctl: Ctl, words: tuple[str, ...], code: int, said: str) -> None:
    """Is refused, and leaves nothing."""
    done = ctl("convert", *words)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert names(folder) == {"x.csv", "bad.csv"}


def test_delimiter_encoding_and_header(folder: Path, ctl: Ctl) -> None:
    """For files that are not what their ending says."""
    (folder / "l.csv").write_bytes("1\tÄ\n".encode("latin-1"))
    words = ("--delimiter", r"\t", "--encoding", "latin-1", "--no-header")
    assert ctl("convert", "l.csv", "l.parquet", *words).code == 0
    assert pq.read_table("l.parquet").to_pydict() == {"column_1": [1], "column_2": ["Ä"]}
