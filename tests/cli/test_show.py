"""Tables on a terminal: what fits, what is folded, and nothing that a terminal would obey."""

from __future__ import annotations

import json

import pytest

from tests.api.serving import Served
from tests.cli.conftest import Ctl


def test_a_table_fits_the_terminal(at_home: Served, ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its width; what is left out is said."""
    for width in (40, 80, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        for options in ((), ("--stats",), ("--head", "3"), ("--stats", "--head", "2", "--all")):
            lines = ctl("show", "api:t.parquet", *options).out.splitlines()
            assert max(len(line) for line in lines) <= width, (width, options)
            assert not any("\x1b" in line for line in lines)


def test_what_a_table_is(at_home: Served, ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of what it is, notes, then its columns; the widest give way first."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = ctl("show", "api:t.parquet", "--stats").out.splitlines()
    assert lines[:6] == [
        "t.parquet  (the file here)",
        "parquet, 1,234 rows in 2 row groups, 60 columns, 4.0 KiB (8.8 KiB unpacked,",
        "  zstd)",
        r"note: odd\n",
        "",
        "COLUMN             TYPE   NULLS  MIN  MAX                                   SIZE",
    ]
    assert lines[6].split() == [r"column_0\x1b[31m", "int64", "0", "1", "2" * 32 + "…", "2.0", "KiB"]
    assert lines[-1] == "... and 10 more columns: --all shows them"
    assert len(ctl("show", "api:t.parquet", "--all").out.splitlines()) == 6 + 60


def test_first_rows_in_blocks(at_home: Served, ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many columns as fit, the next ones below; those that were named alone."""
    monkeypatch.setenv("COLUMNS", "60")
    lines = ctl("show", "api:t.parquet", "--head", "1").out.splitlines()
    assert lines[-2].startswith("... and ")
    assert "--columns NAME,NAME" in lines[-2]
    assert ctl("show", "api:t.parquet", "--columns", "a,bb").out.splitlines()[:3] == ["a          bb", r"text 0\n    0", r"text 1\n    1"]  # fmt: skip


def test_show_for_programs_and_of_no_table(at_home: Served, ctl: Ctl) -> None:
    """The body as it came; an error with what would be right."""
    body = json.loads(ctl("show", "api:t.parquet", "--json", "--head", "2").out)
    assert (body["facts"]["rows"], len(body["head"]["rows"]), body["source"]) == (1234, 2, "kept")
    done = ctl("show", "api:notes.txt")
    assert (done.code, done.out) == (2, "")
    assert "is not called a table" in done.err
    assert "supported are others" in done.err


def test_a_difference_of_tables(at_home: Served, ctl: Ctl) -> None:
    """A kind a line, then statistics, then rows."""
    lines = ctl("diff", "api:t.parquet", "--key", "id").out.splitlines()
    assert lines == [
        "t.parquet: v1 -> here",
        "rows     100 -> 40 (-60)",
        "size     4.0 KiB -> 2.0 KiB",
        "dropped  gone  string",
        "added    new  bool",
        "retyped  fare  int64 -> double",
        "",
        "COLUMN  WHAT  BEFORE  AFTER",
        "fare    max   5       7.5",
        "",
        "rows by id: 1 added, 30 removed, 1 changed",
        "- id=9 zone=-",
        "+ id=8 zone=x",
        "~ id=7  fare: 1 -> 2.5",
        "... and 29 more removed",
    ]
    body = json.loads(ctl("diff", "api:t.parquet", "--json").out)
    assert (body["kind"], body["table"]["rows"], body["table"]["by_key"]) == ("table", [100, 40], None)
