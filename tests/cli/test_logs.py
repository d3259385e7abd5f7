"""`dorkyctl logs`."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import pytest

from dorkyd.cli.logs import _lines
from dorkyd.logs import Logs
from tests.api.serving import LEAK, Served
from tests.cli.conftest import Ctl

pytestmark = [LEAK, pytest.mark.usefixtures("collected")]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of no daemon, two lines of it put aside."""
    monkeypatch.setenv("DORKY_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "state").mkdir()
    file = tmp_path / "state" / "dorkyd.log"
    file.with_name("dorkyd.log.1").write_text("2026-11-22 10:00:00,000 INFO dorkyd.x one\nTraceback\n")
    file.write_text("2026-11-22 10:00:01,000 WARNING dorkyd.daemon verb=start\n")
    return file


def test_without_a_daemon(log: Path, ctl: Ctl) -> None:
    """The last lines are there all the same, over the seam of a rotation; as JSON in parts."""
    assert ctl("logs", "-n", "2").out == "Traceback\n2026-11-22 10:00:01,000 WARNING dorkyd.daemon verb=start\n"
    assert [json.loads(line) for line in ctl("logs", "-n", "2", "--json").out.splitlines()] == [
        {"message": "Traceback"},
        {"at": "2026-11-22 10:00:01,000", "level": "WARNING", "logger": "dorkyd.daemon", "message": "verb=start"},
    ]
    log.unlink()
    assert ctl("logs").code == 6


def test_following_goes_over_a_rotation(log: Path) -> None:
    """What was written before and after the file was put aside comes, each line once."""
    told = _lines(log, 1, follow=True)
    assert next(told).endswith("verb=start")

    def write() -> None:
        with log.open("a") as stream:
            stream.write("before\n")
        log.replace(log.with_name("dorkyd.log.1"))
        log.write_text("after\n")

    writer = threading.Timer(0.05, write)
    writer.start()
    assert [next(told), next(told)] == ["before", "after"]
    writer.join()
    told.close()


def test_the_daemons_own_word(at_home: Served, ctl: Ctl, log: Path, tmp_path: Path) -> None:
    """The log is where it says; the level changes at run time, and an unknown one is a usage error."""
    os.environ["DORKY_HOME"] = str(at_home.home)  # `log` set another, and monkeypatch puts it back
    at_home.daemon.logs = Logs("file", str(log))
    assert ctl("logs", "-n", "1").out.endswith("verb=start\n")
    at_home.daemon.logs = Logs("stderr")
    assert ctl("logs").code == 1
    done = ctl("logs", "--level", "warning", "--json")
    assert json.loads(done.out) == {"to": "stderr", "file": None, "level": "warning"}
    assert ctl("logs", "--level", "loud").code == 2
    at_home.daemon.logs.set_level("info")


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no journal")
def test_the_journal(at_home: Served, ctl: Ctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under systemd it is journalctl that shows it, and how that ended is how we end."""
    (tmp_path / "journalctl").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked; exit 3\n')
    (tmp_path / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    at_home.daemon.logs = Logs("journal")
    assert ctl("logs", "-f", "-n", "3").code == 3
    told = (tmp_path / "asked").read_text().strip()
    assert told == "--user --unit dorkyd.service --lines 3 --no-pager --follow"
