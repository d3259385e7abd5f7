"""How fast, and how long yet."""

from __future__ import annotations

from dorkyd.core.report import Speed
from dorkyd.core.speed import WINDOW_S, Pacing


def test_bytes_and_paths() -> None:
    """By the slower of both: many small files are told by their number, few large ones by their bytes."""
    small, large = Pacing(), Pacing()
    small.look(0, up=0, down=0, paths=100, size=10)
    assert small.look(10, up=100, down=0, paths=80, size=10) == Speed(10, 0, 40)
    large.look(0, up=0, down=0, paths=2, size=10_000)
    assert large.look(10, up=0, down=1000, paths=2, size=9000) == Speed(0, 100, 90)


def test_nothing_is_told_too_soon_or_of_nothing() -> None:
    """One look, looks within a second, and no work left."""
    pacing = Pacing()
    assert pacing.look(0, up=0, down=0, paths=5, size=0) == Speed()
    assert pacing.look(0.5, up=900, down=0, paths=4, size=0) == Speed()
    assert pacing.look(2, up=900, down=0, paths=0, size=0) == Speed()
    assert pacing.look(3, up=900, down=0, paths=9, size=0) == Speed()
    assert pacing.look(5, up=900, down=0, paths=9, size=0) == Speed(0, 0, None)


def test_only_the_last_seconds_count() -> None:
    """A line that became slow is told as slow."""
    pacing, moved = Pacing(), 0
    for second in range(100):
        moved += 1000 if second < 50 else 10
        told = pacing.look(second, up=moved, down=0, paths=9, size=100)
    assert told.up == 10
    assert len(pacing._seen) <= WINDOW_S + 2


def test_more_work_is_no_way_back() -> None:
    """What is found meanwhile adds to what is left, and takes nothing from what was done; counters that begin anew neither."""
    pacing = Pacing()
    pacing.look(0, up=0, down=0, paths=10, size=0)
    pacing.look(5, up=0, down=0, paths=5, size=0)
    assert pacing.look(10, up=0, down=0, paths=100, size=0).left_s == 200
    assert pacing.look(11, up=0, down=0, paths=100, size=0).up == 0
    pacing.look(12, up=70, down=0, paths=100, size=0)
    assert pacing.look(13, up=7, down=0, paths=100, size=0) == Speed()
