"""How many parts go up at one time."""

from __future__ import annotations

from contextlib import ExitStack
from threading import Event, Thread

import pytest

from dorkyd.buckets.s3_line import SHORT_S, SLOW_BYTES_S, Line
from dorkyd.errors import Transient

MIB = 1024 * 1024


class Clock:
    """Moves when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def may_begin(line: Line, beside: int) -> bool:
    """Whether one more may be sent beside so many."""
    got, go = Event(), Event()

    def one() -> None:
        with line.turn(0):
            got.set()
            go.wait(30)

    with ExitStack() as held:
        for _ in range(beside):
            held.enter_context(line.turn(0))
        thread = Thread(target=one)
        thread.start()
        begun = got.wait(0.2)
        held.close()
        go.set()
        thread.join(30)
    return begun


def test_the_first_goes_alone_and_tells_how_many_may_follow() -> None:
    """A part that went fast has the others follow beside each other; a slow one, or one that was given up, none."""
    clock = Clock()
    line = Line(3, clock)
    assert not may_begin(line, beside=1)
    with line.turn(8 * MIB):
        clock.now += 1
    assert may_begin(line, beside=2)
    assert not may_begin(line, beside=3)
    with line.turn(8 * MIB):
        clock.now += 8 * MIB / SLOW_BYTES_S + 1
    assert not may_begin(line, beside=1)


def test_few_bytes_tell_nothing_of_the_line() -> None:
    """The last part of an upload may have any size."""
    clock = Clock()
    line = Line(3, clock)
    with line.turn(10):
        clock.now += SHORT_S
    assert may_begin(line, beside=2)


def test_what_the_store_did_not_answer_goes_alone_next() -> None:
    """Several that wait for their answers at once are why."""
    line = Line(3, Clock())
    with line.turn(10):
        pass
    assert may_begin(line, beside=1)
    with pytest.raises(Transient), line.turn(10):
        raise Transient("silent")
    assert not may_begin(line, beside=1)
