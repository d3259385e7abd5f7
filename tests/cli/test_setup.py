"""`init`, `join`, `invite`, and `up` with what they wrote, against a daemon that has one bucket for all."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from dorkyd.core.report import Finding
from tests.api.serving import Served
from tests.cli.conftest import Ctl
from tests.cli.test_terminal import on_terminal


@pytest.fixture
def folder(at_home: Served) -> Path:
    """In a git repository, with files that a program makes again."""
    subprocess.run(["git", "init", "-q", str(at_home.home)], check=True)
    made = at_home.home / "private"
    (made / "target").mkdir(parents=True)
    for name in ("Cargo.toml", "target/o", ".env", "a.log"):
        (made / name).write_text("x")
    return made


def projects(at_home: Served) -> list[str]:
    """The names of those there are."""
    return [each.name for each in at_home.daemon.projects()]


def test_init_off_a_terminal(at_home: Served, ctl: Ctl, folder: Path) -> None:
    """Without --yes nothing is asked, tried or done; with it all that would be suggested is."""
    at_home.daemon.prospects.project = None
    refused = ctl("init", "private", "--bucket", "s3://acme/private")
    assert (refused.code, at_home.daemon.prospects.wishes, projects(at_home)) == (7, [], ["api"])
    done = ctl("init", "private", "--bucket", "s3://acme/private/", "--yes", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["projects"][0]["bucket"] == "s3://acme/private"
    assert (folder / ".dorkyignore").read_text() == "*.log\n/target/\n"
    assert (at_home.home / ".gitignore").read_text() == "/private/*\n!/private/.dorky.yaml\n"
    assert [tried for _, tried in at_home.daemon.prospects.wishes] == [True]
    again = ctl("init", "private", "--yes")
    assert (again.code, "synced already" in again.err) == (2, True)


def test_init_where_a_right_is_missing(at_home: Served, ctl: Ctl, folder: Path) -> None:
    """What was tried is told; nothing is added, and no file is touched."""
    at_home.daemon.prospects.findings.append(Finding("bucket-write", False, "cannot create: 403", "allow it", "denied"))
    done = ctl("init", "private", "--bucket", "s3://acme/private", "--yes")
    assert (done.code, projects(at_home)) == (8, ["api"])
    assert all(said in done.err for said in ("BAD cannot create: 403", "allow it", "--mode pull"))
    assert not (folder / ".dorkyignore").exists()


def test_init_on_a_terminal(at_home: Served, folder: Path) -> None:
    """A person may leave out each suggestion, and at the end decides."""
    at_home.daemon.prospects.project = None
    seen = on_terminal(at_home, ["init"], "Which folder?", b"private\ns3://acme/p\nn\ny\ny\n")
    assert "1 file (1 B): logs" in seen
    assert "PROJECT" in seen
    assert not (folder / ".dorkyignore").exists()
    assert (at_home.home / ".gitignore").exists()
    assert "private" in projects(at_home)


def test_init_refused_at_the_end(at_home: Served, folder: Path) -> None:
    """Nothing is added."""
    on_terminal(at_home, ["init", "private", "--bucket", "s3://acme/p"], "already. Join it", b"n\n")
    assert projects(at_home) == ["api"]


def test_join(at_home: Served, ctl: Ctl) -> None:
    """What is there is shown; off a terminal it wants --yes; the folder is made then, called as the prefix's end."""
    refused = ctl("join", "s3://acme/team/models")
    assert (refused.code, projects(at_home)) == (7, ["api"])
    assert "project p1" in refused.err
    assert not (at_home.home / "models").exists()
    assert ctl("join", "s3://acme/team/models", "--yes").code == 0
    assert at_home.daemon.project("models").status().path == str(at_home.home / "models")
    assert ctl("join", "s3://acme/team/models", "--yes").code == 2


def test_join_nothing(at_home: Served, ctl: Ctl) -> None:
    """A prefix where nobody began is most likely misspelled; nothing was tried there."""
    at_home.daemon.prospects.project = None
    done = ctl("join", "s3://acme/tema", "--yes")
    assert (done.code, "No project was begun" in done.err) == (2, True)
    assert [tried for _, tried in at_home.daemon.prospects.wishes] == [False]


def test_a_reader_joins(at_home: Served, ctl: Ctl) -> None:
    """With mode pull no right to write is tried."""
    assert ctl("join", "s3://acme/m", "--mode", "pull", "--yes").code == 0
    assert [tried for _, tried in at_home.daemon.prospects.wishes] == [False]
    assert at_home.daemon.project("m").status().mode == "pull"


def test_invite_and_up_in_a_clone(at_home: Served, ctl: Ctl) -> None:
    """The file says bucket, project and fingerprint; `up` beside it joins that project, and no other."""
    at_home.daemon.prospects.fingerprint = "0f1e-2d3c"
    file = at_home.home / "code" / ".dorky.yaml"
    done = ctl("invite", "api", "--json")
    assert json.loads(done.out) == {"bucket": "s3://acme/api", "project": "p1", "fingerprint": "0f1e-2d3c"}
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    assert lines == ["bucket: s3://acme/api", "project: p1", "fingerprint: 0f1e-2d3c"]
    assert "Unchanged" in ctl("invite", "api").out
    at_home.daemon.prospects.fingerprint = None
    assert ctl("invite", "api").code == 7
    assert "0f1e" in file.read_text()
    assert ctl("invite", "api", "--yes").code == 0
    clone = at_home.home / "clone"
    clone.mkdir()
    file.rename(clone / ".dorky.yaml")
    at_home.daemon.prospects.project = "p2"
    wrong = ctl("up", "clone", "--yes")
    assert (wrong.code, projects(at_home)) == (7, ["api"])
    assert "is of project p1, and s3://acme/api holds project p2" in wrong.err
    at_home.daemon.prospects.project = None
    assert "holds no project yet" in ctl("up", "clone", "--yes").err
    at_home.daemon.prospects.project = "p1"
    assert ctl("up", "clone", "--yes").code == 0
    assert ctl("up", "clone").code == 0  # it is synced now: nobody need agree again


def test_invite_before_the_first_sync(at_home: Served, ctl: Ctl) -> None:
    """There is nothing to join yet."""
    at_home.daemon.prospects.project = None
    assert ctl("invite", "api").code == 5
    assert not (at_home.home / "code" / ".dorky.yaml").exists()
