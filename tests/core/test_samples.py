"""A day of samples: what moved in each minute, and what was left."""

from __future__ import annotations

from dorkyd.core.samples import MINUTES, Day


def see(day: Day, at: int, up: int = 0, down: int = 0, pending: int = 0) -> None:
    """What was told in a minute."""
    day.see(at, up=up, down=down, pending=pending, pending_bytes=10 * pending)


def told(day: Day, now: int) -> list[tuple[int, int, int, int]]:
    """Minute, bytes up and down, most that was left."""
    return [(m.at, m.up, m.down, m.pending) for m in day.day(now)]


def test_what_moved_in_each_minute() -> None:
    """Differences of the counters, the most of the work; a quiet minute moved nothing and has as much left as before it."""
    day = Day(100)
    see(day, 100, up=5, pending=3)
    see(day, 100, up=9, pending=7)
    see(day, 100, up=9, pending=2)
    see(day, 103, up=9, down=4)
    assert told(day, 104) == [(100, 9, 0, 7), (101, 0, 0, 2), (102, 0, 0, 2), (103, 0, 4, 2), (104, 0, 0, 0)]


def test_counters_that_begin_anew() -> None:
    """After the project was started anew its counters are small again: nothing is negative, nothing is counted twice."""
    day = Day(1)
    see(day, 1, up=1000)
    see(day, 2, up=30)
    see(day, 2, up=40)
    assert told(day, 2) == [(1, 1000, 0, 0), (2, 40, 0, 0)]


def test_a_day_and_no_more() -> None:
    """What is older is forgotten, however much is told; work that was left then is still left."""
    day = Day(0)
    for at in range(3 * MINUTES):
        see(day, at, up=at)
    assert [m.at for m in day.day(3 * MINUTES - 1)] == list(range(2 * MINUTES, 3 * MINUTES))
    quiet = Day(0)
    see(quiet, 0, pending=4)
    minutes = quiet.day(2 * MINUTES)
    assert len(minutes) == MINUTES
    assert {m.pending for m in minutes} == {4}


def test_a_clock_that_was_set_back() -> None:
    """What moves meanwhile counts, and time does not run backwards."""
    day = Day(50)
    see(day, 50, up=1)
    see(day, 20, up=3)
    see(day, 51, up=4)
    assert told(day, 51) == [(50, 3, 0, 0), (51, 1, 0, 0)]
    assert told(day, 10) == told(day, 51)
