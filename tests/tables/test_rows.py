"""First rows, and rows of two tables by a key."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dorkyd.tables import rows
from dorkyd.tables.worker import Input, Unreadable
from tests.tables import data


def opened(*files: Path) -> list[Input]:
    """As the worker gets them."""
    return [Input(os.open(file, os.O_RDONLY)) for file in files]


def done(task: Any, request: Mapping[str, Any], *files: Path) -> dict[str, Any]:
    """The task, in this process."""
    given = opened(*files)
    try:
        found: dict[str, Any] = task({"path": files[0].name, **request}, given)
    finally:
        for file in given:
            file.close()
    return found


@pytest.mark.parametrize(
    ("name", "make"),
    [("t.parquet", data.taxi), ("t.feather", data.feather), ("t.csv", data.taxi_csv), ("t.jsonl", data.json_lines)],
)
def test_head(tmp_path: Path, name: str, make: Any) -> None:
    """The first rows and the columns that are wanted, of every format."""
    file, seed = make(tmp_path / name), 4 if name == "t.feather" else 1
    found = done(rows.head, {"rows": 3, "columns": ["zone", "ride_id"]}, file)
    assert found["columns"] == ["zone", "ride_id"]
    first = seed * 10_000_000
    ids = [first, first + 1, first + 2]
    assert [row[1] for row in found["rows"]] == ([str(n) for n in ids] if name == "t.csv" else ids)
    assert len(done(rows.head, {"rows": 5, "columns": None}, file)["columns"]) >= 8
    with pytest.raises(Unreadable, match="no column 'nothing'"):
        done(rows.head, {"rows": 5, "columns": ["nothing"]}, file)


def test_the_head_of_nested_values_is_json(tmp_path: Path) -> None:
    """Lists and structs stay what they are; bytes and times are text."""
    found = done(rows.head, {"rows": 2, "columns": ["user", "day", "raw"]}, data.nested(tmp_path / "n.parquet"))
    assert found["rows"][1] == [{"name": "user 1", "tags": ["c"]}, "2024-01-02", "0x01001b"]


def test_the_head_of_a_large_row_group_reads_little_of_it(tmp_path: Path) -> None:
    """Some pages of each column, whatever the size of the group."""
    file = data.large(tmp_path / "l.parquet", 4_000_000, rows=65_536)
    (given,) = opened(file)
    rows.head({"path": "l.parquet", "rows": 20, "columns": None}, [given])
    assert given.got < file.stat().st_size / 3
    given.close()


def csv(file: Path, *lines: str) -> Path:
    """A table."""
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return file


def test_rows_by_key(tmp_path: Path) -> None:
    """Added, removed and changed, with what changed; the order of rows is no difference."""
    before = csv(tmp_path / "a.csv", "id,x,old", "1,a,o", "2,b,o", "3,c,o")
    after = csv(tmp_path / "b.csv", "new,id,x", "n,3,c", "n,2,B", "n,4,d")
    found = done(rows.compare, {"key": ["id"], "rows": 6}, before, after)
    assert (found["added"], found["removed"], found["changed"]) == (1, 1, 1)
    assert found["columns"] == ["id", "x"]
    assert found["samples"] == {
        "added": [["4", "d"]],
        "removed": [["1", "a"]],
        "changed": [{"key": ["2"], "differs": {"x": ["b", "B"]}}],
    }


def test_many_rows_are_compared_a_part_of_the_keys_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held has a limit, and the answer is the same."""
    before, after = data.taxi(tmp_path / "a.parquet", 400), data.taxi(tmp_path / "b.parquet", 500, drop=("payment",))
    whole = done(rows.compare, {"key": ["ride_id"], "rows": 900}, before, after)
    monkeypatch.setattr(rows, "PASS_ROWS", 100)
    parts = done(rows.compare, {"key": ["ride_id"], "rows": 900}, before, after)
    counts = ("added", "removed", "changed")
    assert [parts[name] for name in counts] == [whole[name] for name in counts]
    assert (whole["added"], whole["removed"]) == (100, 0)


def test_too_many_rows_are_refused_before_any_is_read(tmp_path: Path) -> None:
    """With the limit."""
    file = csv(tmp_path / "a.csv", "id", "1")
    with pytest.raises(Unreadable, match="more than 16,000,000 rows"):
        done(rows.compare, {"key": ["id"], "rows": 17_000_000}, file, file)


@pytest.mark.parametrize(
    ("key", "what"), [(["x"], "stands twice in the table before"), (["nothing"], "has no column 'nothing'")]
)
def test_what_is_no_key(tmp_path: Path, key: list[str], what: str) -> None:
    """It is said which row or column is in the way."""
    before = csv(tmp_path / "a.csv", "id,x", "1,a", "2,a")
    with pytest.raises(Unreadable, match=what):
        done(rows.compare, {"key": key, "rows": 4}, before, before)
