"""`dorkyctl import-dorky`: the plan is shown, a person agrees, and what was shown is carried out."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.api.serving import Served
from tests.cli.conftest import Ctl
from tests.cli.test_terminal import on_terminal


def test_a_dry_run(at_home: Served, ctl: Ctl) -> None:
    """Every standing in words, the files that are not equal, the warnings; nothing is carried out."""
    done = ctl("import-dorky", str(at_home.home / "code"), "--dry-run")
    assert done.code == 0
    for part in ("s3://acme/api", "1 file (3 B) the same", "b: changed here", "!/.env", "sort it out", "metadata.json"):
        assert part in done.out, part
    assert at_home.daemon.imports.carried_out == []


def test_nobody_to_ask(at_home: Served, ctl: Ctl) -> None:
    """Away from a terminal it shows the plan and refuses."""
    done = ctl("import-dorky", str(at_home.home / "code"))
    assert (done.code, at_home.daemon.imports.carried_out) == (7, [])
    assert "--yes" in done.err


def test_yes(at_home: Served, ctl: Ctl) -> None:
    """What is carried out is the wish that was shown, by its token."""
    done = ctl("import-dorky", str(at_home.home / "code"), "--bucket", "s3://b", "--all", "--retire", "--yes")
    assert done.code == 0
    (shown,), (carried,) = at_home.daemon.imports.planned, at_home.daemon.imports.carried_out
    assert carried == replace(shown, token="0123abcd")
    assert (carried.bucket, carried.everything, carried.retire) == ("s3://b", True, True)
    assert "in-sync" in done.out


def test_json(at_home: Served, ctl: Ctl) -> None:
    """One document on standard output, whichever way; the plan that was agreed to is narrated."""
    for words, done in ((["--dry-run"], False), (["--yes"], True)):
        ran = ctl("import-dorky", str(at_home.home / "code"), "--json", *words)
        assert json.loads(ran.out)["done"] is done


@pytest.mark.parametrize(("answer", "agreed"), [(b"y\n", 1), (b"n\n", 0), (b"\n", 0)])
def test_a_terminal_is_asked(served: Served, answer: bytes, agreed: int) -> None:
    """Only a yes is one."""
    on_terminal(served, ["import-dorky", str(served.home / "code")], "Adopt it so?", answer)
    assert len(served.daemon.imports.carried_out) == agreed


def test_history(at_home: Served, ctl: Ctl) -> None:
    """It follows the first sync, and what is missing or different is told."""
    done = ctl("import-dorky", str(at_home.home / "code"), "--history", "--yes")
    assert (done.code, at_home.project.histories) == (0, 1)
    assert at_home.daemon.imports.carried_out[0].history
    for part in ("2 commits (1 were there) of 3 of its pushes", "4 files without a copy", "5 files unlike"):
        assert part in done.err
