"""A short form of the hour: what leaks by the minute shows in seconds, if it is looked at while all is quiet."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.daemons import wait_until
from tests.e2e.places import SEED, directory_place
from tests.endurance.course import Course, directory_sizes
from tests.endurance.curve import look_at_bucket
from tests.endurance.daemon import Limits

pytestmark = [pytest.mark.daemon, pytest.mark.slow, pytest.mark.timeout(300)]

IDLE = 2
LIMITS = Limits(purge_every_s=1, keep_s=0, log_s=5, newest_stays_s=2, history_rows=60, idle_thread_s=0.5)


def test_a_day_in_seconds(tmp_path: Path) -> None:
    """After many edits by two devices, with restarts, both are equal and nothing is lost; at rest there are as many
    threads and descriptors as before; trash, history and log keep to their limits.
    """
    with directory_place(tmp_path) as place:
        sizes = lambda: directory_sizes(tmp_path / "bucket")
        course = Course(place, sizes, LIMITS, devices=2, files=60, seed=SEED)
        course.begin()
        rested = course.quiet()
        course.work(8, pause_s=0.03, look_s=1, restart_s=4)
        course.end()
        # Of the one that was not restarted. The API's and the scheduler's idle threads come and go, with what they hold.
        for now, before in zip(course.quiet()["a"], rested["a"], strict=True):
            assert now <= before + IDLE

        def within() -> bool:
            course.look()
            now, bucket = course.samples[-2:], look_at_bucket(sizes(), course.began)
            return (
                bucket.trash_files <= 5 and bucket.log <= 5 and all(s.trash_files == 0 and s.history <= 60 for s in now)
            )

        # Age is counted to the project's last change.
        last, end = course.daemons[0].root / "last", time.monotonic() + LIMITS.log_s + 1
        wait_until("what is there is old", lambda: time.monotonic() > end)
        last.write_text("change")
        assert max(sample.history for sample in course.samples) > 60
        wait_until("trash, history and log are within their limits", within, 30)
