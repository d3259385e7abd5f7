"""How often a bucket is listed."""

from __future__ import annotations

import pytest

from dorkyd.core.pace import LIST_S, QUIET, SLOWEST, Pace


def quiet(pace: Pace, listings: int, now: float = 0.0) -> None:
    """So many listings found nothing that the log had not told."""
    for n in range(listings):
        pace.judge(now + n * LIST_S, untold=False)


@pytest.mark.parametrize(
    ("objects", "usual_s", "slowest_s"),
    [
        (0, 900, 7200),
        (30_000, 900, 7200),
        (100_000, 3000, 24_000),
        (1_000_000, 30_000, 86_400),
        (10**7, 300_000, 300_000),
    ],
)
def test_intervals(objects: int, usual_s: float, slowest_s: float) -> None:
    """The usual one rises with the pages; quiet listings lengthen it, to a day and eight times it at most."""
    pace = Pace(None)
    assert pace.interval_s(objects) == usual_s
    quiet(pace, 100)
    assert pace.interval_s(objects) == slowest_s


def test_it_doubles_after_several_quiet_listings() -> None:
    """One quiet listing says little."""
    pace = Pace(None)
    quiet(pace, QUIET - 1)
    assert pace.factor == 1
    quiet(pace, 1, now=QUIET * LIST_S)
    assert pace.factor == 2


def test_what_the_log_did_not_tell_ends_it() -> None:
    """At once, and the count begins anew."""
    pace = Pace(None)
    quiet(pace, 100)
    assert pace.factor == SLOWEST
    pace.judge(1e6, untold=True)
    assert pace.factor == 1
    quiet(pace, QUIET - 1, now=2e6)
    assert pace.factor == 1


def test_listings_that_people_ask_for_are_one() -> None:
    """Many in a short time tell no more than the first."""
    pace = Pace(None)
    for n in range(100):
        pace.judge(float(n), untold=False)
    assert pace.factor == 1


def test_what_a_person_set_stays() -> None:
    """However quiet it is and however many objects there are."""
    pace = Pace(60.0)
    quiet(pace, 100)
    assert pace.interval_s(10**7) == 60.0
