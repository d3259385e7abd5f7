"""What the words of `diff` mean: commits, or a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from dorkyd.cli.commits import are_ids


@pytest.mark.parametrize(
    ("first", "second", "meant"),
    [
        ("3fa9c1d2", None, True),
        ("api:3fa9", "beef", True),
        ("3fa", None, False),
        ("3fa9c1d2", "@2h", False),
        ("beef/a.txt", None, False),
        ("beef@2h", None, False),
        ("cafe", None, False),
    ],
)
def test_ids_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, second: str | None, meant: bool
) -> None:
    """Four digits or more are a commit's, unless a file here has that name."""
    (tmp_path / "cafe").write_text("a file")
    monkeypatch.chdir(tmp_path)
    assert are_ids(first, second) is meant
