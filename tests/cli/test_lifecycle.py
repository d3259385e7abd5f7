"""`up` and `stop`: the daemon as a process."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dorkyd.core.report import State, SyncResult
from tests.api.serving import LEAK, Served
from tests.cli.conftest import Ctl

pytestmark = [
    LEAK,
    pytest.mark.usefixtures("collected"),
    pytest.mark.filterwarnings("ignore:subprocess:ResourceWarning"),
]
"""The daemon is meant to outlive the process that started it; here both are one."""


@pytest.fixture
def no_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home where no daemon runs, with a folder `code` in it."""
    monkeypatch.setenv("DORKY_HOME", str(tmp_path))
    (tmp_path / "code").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def starts(monkeypatch: pytest.MonkeyPatch, home: Path, script: str) -> None:
    """Make `script` what is started as the daemon."""
    program = home / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def test_up_and_stop(no_daemon: Path, monkeypatch: pytest.MonkeyPatch, ctl: Ctl) -> None:
    """`up` starts a daemon, adds the folder, waits and prints status; again it changes nothing; `stop` ends it."""
    fake = Path(__file__).with_name("fake_daemon.py")
    repository = fake.parents[2]
    starts(monkeypatch, no_daemon, f"PYTHONPATH='{repository}' exec '{sys.executable}' '{fake}'")
    first = ctl("up", "code", "--json")
    assert first.code == 0, first.err
    (project,) = json.loads(first.out)["projects"]
    assert (project["name"], project["path"]) == ("code", str(no_daemon / "code"))
    again = ctl("up", "code")
    assert (again.code, "Starting" in again.err, "Added" in again.err) == (0, False, False)
    assert "code" in again.out
    assert ctl("stop").code == 0
    assert ctl("status").code == 6
    log = no_daemon / "state" / "dorkyd.log"
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_daemon_that_fails(no_daemon: Path, monkeypatch: pytest.MonkeyPatch, ctl: Ctl) -> None:
    """A daemon that ends at once is reported with its last words and its exit code."""
    starts(monkeypatch, no_daemon, "echo 'config.yaml:3: unknown key: pol_s' >&2; exit 78")
    done = ctl("up", "code")
    assert done.code == 78
    assert "config.yaml:3: unknown key: pol_s" in done.err


@pytest.mark.parametrize(("synced", "code"), [(True, 78), (False, 7)])
def test_a_committed_bucket_while_no_daemon_runs(
    no_daemon: Path, monkeypatch: pytest.MonkeyPatch, ctl: Ctl, synced: bool, code: int
) -> None:
    """A folder that was synced before may be a project already: then nothing is asked, and the daemon must say. Otherwise none is
    started for nothing.
    """
    starts(monkeypatch, no_daemon, "exit 78")
    (no_daemon / "code" / ".dorky.yaml").write_text("bucket: s3://team/web\n")
    if synced:
        (no_daemon / "code" / ".dorky").mkdir()
        (no_daemon / "code" / ".dorky" / "folder.json").write_text("{}")
    assert ctl("up", "code").code == code


def test_up_missing_folder(no_daemon: Path, ctl: Ctl) -> None:
    """A missing folder is refused before anything is started or made."""
    done = ctl("up", "gone")
    assert (done.code, "does not exist" in done.err) == (2, True)
    assert not (no_daemon / "state").exists()
    assert not (no_daemon / "gone").exists()


def test_up_says_what_stopped_it(at_home: Served, ctl: Ctl) -> None:
    """A first sync that cannot finish prints status all the same, says why, and exits by the reason."""
    at_home.project.result = SyncResult(False, State.AUTH_EXPIRED, "The token has expired.", "Run `aws sso login`.")
    done = ctl("up", "code")
    assert done.code == 8
    assert "PROJECT" in done.out
    assert "aws sso login" in done.err


def test_up_with_another_bucket(at_home: Served, ctl: Ctl) -> None:
    """A folder that is synced with one bucket is not silently moved to another."""
    done = ctl("up", "code", "--bucket", "s3://other/x")
    assert (done.code, "s3://acme/api" in done.err) == (2, True)


def test_team_file(at_home: Served, ctl: Ctl) -> None:
    """A committed bucket is shown and, off a terminal, used only with --yes."""
    folder = at_home.home / "web"
    folder.mkdir()
    (folder / ".dorky.yaml").write_text("bucket: s3://team/web\nproject: p1\n")
    refused = ctl("up", "web")
    assert refused.code == 7
    assert "s3://team/web" in refused.err
    assert [each.name for each in at_home.daemon.projects()] == ["api"]
    assert ctl("up", "web", "--yes").code == 0
    assert at_home.daemon.project("web").status().bucket == "s3://team/web"


@pytest.mark.parametrize("text", ["bucket: [", "project: p1", "- a"])
def test_bad_team_file(at_home: Served, ctl: Ctl, text: str) -> None:
    """A committed file without a usable bucket is a configuration error, never the embedded bucket."""
    (at_home.home / "web").mkdir()
    (at_home.home / "web" / ".dorky.yaml").write_text(text)
    assert ctl("up", "web", "--yes").code == 78
    assert [each.name for each in at_home.daemon.projects()] == ["api"]
