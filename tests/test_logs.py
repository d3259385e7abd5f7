"""The daemon's log: lines written together, none lost."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dorkyd.loglines import FORMAT, PrintableLines, Rotating, Together, lead_to
from tests.daemons import wait_until


class Counting(io.StringIO):
    """Counts what is written to it at once."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def write(self, text: str) -> int:
        self.writes += bool(text)
        return super().write(text)


def logger(name: str) -> tuple[Counting, Together, Callable[[int, str], None]]:
    """One that writes to memory: where, its handler, and how to log."""
    stream = Counting()
    handler = Together(stream)
    handler.setFormatter(logging.Formatter("%(message)s"))
    made = logging.getLogger(f"tests.logs.{name}")
    made.propagate, made.handlers = False, [handler]
    made.setLevel(logging.INFO)
    return stream, handler, made.log


def test_lines_are_written_together_and_soon() -> None:
    """Many lines at once, in order, without anybody asking for it."""
    stream, _, log = logger("many")
    for number in range(1000):
        log(logging.INFO, f"line {number}")
    wait_until("all are written", lambda: stream.getvalue().count("\n") == 1000)
    assert stream.getvalue().splitlines() == [f"line {number}" for number in range(1000)]
    assert stream.writes < 100
    log(logging.INFO, "later")
    wait_until("it is written", lambda: stream.getvalue().endswith("later\n"))


def test_a_warning_is_written_at_once() -> None:
    """With all before it."""
    stream, _, log = logger("warning")
    log(logging.INFO, "before")
    log(logging.WARNING, "warned")
    assert stream.getvalue() == "before\nwarned\n"


def test_the_end_loses_nothing() -> None:
    """What is kept is written when logging ends."""
    stream, handler, log = logger("end")
    log(logging.INFO, "last")
    handler.flush()
    assert stream.getvalue() == "last\n"


def test_nobody_reads_it_any_more() -> None:
    """A closed standard error ends neither the caller nor the thread that writes."""
    stream, _, log = logger("closed")
    stream.close()
    log(logging.ERROR, "unheard")


def test_the_time_is_that_of_the_line() -> None:
    """As the standard library tells it, second after second."""
    ours, theirs = PrintableLines(FORMAT), logging.Formatter(FORMAT)
    for created in (1_700_000_000.001, 1_700_000_000.5, 1_700_000_061.25):
        record = logging.makeLogRecord({"created": created, "msecs": (created % 1) * 1000, "msg": "x", "name": "n"})
        assert ours.format(record) == theirs.format(record)


# --- our own file -----------------------------------------------------------------------------------------------------


@pytest.fixture
def rotating(tmp_path: Path) -> Iterator[tuple[Path, Callable[[str], None], int]]:
    """A handler whose standard error is a descriptor of its own, rotated at 200 bytes; how to log, and that descriptor."""
    file = tmp_path / "dorkyd.log"
    fd = os.dup(2)
    lead_to(file, fd)
    with open(fd, "w", encoding="utf-8") as stream:
        handler = Rotating(file, most_bytes=200, kept=2, fd=fd)
        handler.stream = stream
        handler.setFormatter(logging.Formatter("%(message)s"))
        made = logging.getLogger(f"tests.logs.rotating.{tmp_path.name}")
        made.propagate, made.handlers = False, [handler]
        yield file, made.warning, fd


def test_our_own_file_is_rotated(rotating: tuple[Path, Callable[[str], None], int]) -> None:
    """Two old ones stay, 0600 each, no line is lost between them; what a library writes to the descriptor is there too."""
    file, log, fd = rotating
    for number in range(12):
        log(f"{number:03d} {'x' * 60}")
    os.write(fd, b"a crash\n")
    kept = [file.with_name("dorkyd.log.2"), file.with_name("dorkyd.log.1"), file]
    assert sorted(kept) == sorted(file.parent.iterdir())
    numbers = [line[:3] for each in kept for line in each.read_text().splitlines()]
    assert numbers == [f"{n:03d}" for n in range(12 - len(numbers) + 1, 12)] + ["a c"]
    assert len(numbers) > 7
    assert {each.stat().st_mode & 0o777 for each in kept} == {0o600}


def test_a_log_that_was_removed_is_made_anew(rotating: tuple[Path, Callable[[str], None], int]) -> None:
    """Somebody's `rm` does not end the log."""
    file, log, _ = rotating
    log("before")
    file.unlink()
    log("after")
    assert file.read_text() == "after\n"


SCRIPT = """
import logging, os, sys
from pathlib import Path
from dorkyd import logs
made = logs.begin(os.environ, Path(sys.argv[1]))
logging.getLogger("dorkyd.x").info("verb=%s", made.to)
made.set_level("warning")
logging.getLogger("dorkyd.x").info("not this")
logging.getLogger("dorkyd.x").warning("%s", made.level)
print(made.to, made.file, flush=True)
logging.shutdown()
"""


@pytest.mark.parametrize("stderr", ["file", "nowhere", "pipe"])
def test_where_the_log_goes(tmp_path: Path, stderr: str) -> None:
    """To our file when standard error is that or leads nowhere; else to standard error. The level changes at run time."""
    file = tmp_path / "state" / "dorkyd.log"
    file.parent.mkdir()
    with open(file if stderr == "file" else os.devnull, "ab") as stream:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if stderr == "pipe" else stream,
            text=True,
            check=True,
        )
    to, text = ("stderr", done.stderr) if stderr == "pipe" else ("file", file.read_text())
    assert done.stdout.split() == [to, "None" if to == "stderr" else str(file)]
    assert [line.split(" ", 2)[2] for line in text.splitlines()] == [
        f"INFO dorkyd.x verb={to}",
        "WARNING dorkyd.x warning",
    ]
