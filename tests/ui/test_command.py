"""`dorkyctl ui` as a process: what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.serving import DEADLINE_S, LEAK, Served, collected, eventually, serving

__all__ = ["collected"]


@pytest.fixture
def served() -> Iterator[Served]:
    """A fake daemon."""
    with serving() as up:
        yield up


def begun(home: Path, *words: str, **environ: str) -> subprocess.Popen[str]:
    """The command, with no screen unless `environ` says so."""
    env = {key: value for key, value in os.environ.items() if key not in {"DISPLAY", "WAYLAND_DISPLAY"}}
    return subprocess.Popen(
        [sys.executable, "-c", "from dorkyd.cli import main; main()", "ui", *words],
        env={**env, "DORKY_HOME": str(home), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_serves_until_it_is_ended(served: Served) -> None:
    """With --json one line on stdout that tells the address; Ctrl-C is how it ends, with 0. The daemon goes on."""
    with begun(served.home, "--json", "--no-browser") as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert told["url"].startswith(f"http://127.0.0.1:{told['port']}/start?token=")
        with urllib.request.urlopen(told["url"], timeout=DEADLINE_S) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err
    assert served.http.get("/v1/health").status_code == 200


def test_the_browser_is_led_by_a_file(served: Served, tmp_path: Path) -> None:
    """Nobody else on this machine sees the token among what programs were started with; the file is gone once a browser came."""
    seen = tmp_path / "seen"
    fake = tmp_path / "browser"
    fake.write_text(f'#!/bin/sh\nprintf "%s" "$1" > {seen}.new && mv {seen}.new {seen}\n')
    fake.chmod(0o755)
    with begun(served.home, DISPLAY=":0", BROWSER=f"{fake} %s") as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        eventually(seen.exists, "the browser is started")
        given = seen.read_text()
        file = Path(given.removeprefix("file://"))
        assert url.partition("token=")[2] not in given
        assert file.stat().st_mode & 0o777 == 0o600
        assert url in file.read_text()
        with urllib.request.urlopen(url, timeout=DEADLINE_S):
            eventually(lambda: not file.exists(), "the file is removed")
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0


@LEAK
def test_without_a_daemon(tmp_path: Path, collected: None) -> None:
    """It says what to run, and exits 6; a port that is taken is told as such."""
    with begun(tmp_path, "--no-browser") as process:
        _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 6
    assert "dorkyctl up" in err


def test_a_taken_port(served: Served) -> None:
    """It is said, with the way out."""
    with begun(served.home, "--json") as first:
        assert first.stdout is not None
        port = json.loads(first.stdout.readline())["port"]
        with begun(served.home, "--port", str(port)) as second:
            _, err = second.communicate(timeout=DEADLINE_S)
        first.terminate()
        first.communicate(timeout=DEADLINE_S)
    assert second.returncode == 1
    assert f"port {port}" in err
    assert "--port" in err
