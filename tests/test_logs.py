"""The daemon's log: lines written together, none lost."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable

from dorkyd.logs import FORMAT, PrintableLines, Together
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
    wait_until("all are written", lambda: stream.getvalue().count("\n") == 1000, 10)
    assert stream.getvalue().splitlines() == [f"line {number}" for number in range(1000)]
    assert stream.writes < 100
    log(logging.INFO, "later")
    wait_until("it is written", lambda: stream.getvalue().endswith("later\n"), 10)


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
