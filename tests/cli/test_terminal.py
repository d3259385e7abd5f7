"""What a terminal sees: the command runs as a process on a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable

import pytest

from tests.api.serving import DEADLINE_S, Served

COLUMNS = 80


def on_terminal(
    served: Served, arguments: list[str], until: str, then: Callable[[], object] | bytes | None = None, **environ: str
) -> str:
    """Run `dorkyctl` on a terminal until it prints `until`; then call `then`, or type it, and read on to its end."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    env = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-c", "from dorkyd.cli import main; main()", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**env, "DORKY_HOME": str(served.home), "TERM": "xterm", **environ},
    )
    os.close(theirs)
    try:
        seen = b""
        deadline = time.monotonic() + DEADLINE_S
        printed = select.poll()
        printed.register(ours, select.POLLIN)
        while time.monotonic() < deadline:
            if not printed.poll(100):
                continue
            try:
                seen += os.read(ours, 65536)
            except OSError:  # the process has ended and the terminal with it
                break
            if then is not None and until in seen.decode(errors="replace"):
                if isinstance(then, bytes):
                    os.write(ours, then)
                else:
                    then()
                then = None
    finally:
        os.close(ours)
        process.kill()
        process.wait()
    assert until in seen.decode(errors="replace")
    return seen.decode(errors="replace")


@pytest.mark.parametrize(("no_color", "escapes"), [("", True), ("1", False)])
def test_colour(served: Served, no_color: str, escapes: bool) -> None:
    """A terminal gets colour, unless NO_COLOR is non-empty: then no escape at all."""
    seen = on_terminal(served, ["status"], "in-sync", NO_COLOR=no_color)
    assert ("\x1b[" in seen) is escapes


def test_narrow(served: Served) -> None:
    """On a narrow terminal no line of the table is wrapped: where things are gets its own line."""
    seen = on_terminal(served, ["status"], "in-sync", NO_COLOR="1")
    lines = seen.splitlines()
    assert lines[1].startswith("api")
    assert lines[2].strip() == f"{served.home}/code → s3://acme/api"
    assert max(map(len, lines)) <= COLUMNS


def test_watched(served: Served) -> None:
    """A watched table is drawn again after a change, and ends with the daemon."""

    def change() -> None:
        served.project.publish(files=4711)
        deadline = time.monotonic() + DEADLINE_S
        while served.daemon.listeners == [] and time.monotonic() < deadline:
            time.sleep(0.01)
        served.project.publish(files=4712)
        served.server.stop()

    seen = on_terminal(served, ["status", "--watch"], "in-sync", change)
    assert "4,71" in seen
    assert "The daemon has stopped." in seen
    assert "Traceback" not in seen
