"""What the words of `diff` mean: commits, or a file; and what a lock file may replace."""

from __future__ import annotations

from pathlib import Path

import pytest

from dorkyd.cli.commits import are_ids
from dorkyd.cli.telling import Exit
from tests.cli.conftest import Ctl


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


@pytest.mark.parametrize("command", [["lock"], ["commit", "-m", "said"]])
def test_a_lock_file_replaces_lock_files_alone(tmp_path: Path, ctl: Ctl, command: list[str]) -> None:
    """What stands under the name that was given and is something else stays as it is, and nothing is committed."""
    mine = tmp_path / "requirements.lock"
    mine.write_text("boto3==1.44.8\n")
    done = ctl(*command, "--file", str(mine))
    assert done.code == Exit.GUARD
    assert "is no lock file" in done.err
    assert mine.read_text() == "boto3==1.44.8\n"
