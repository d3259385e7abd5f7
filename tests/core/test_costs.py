"""What requests will cost."""

from __future__ import annotations

import pytest

from dorkyd.core.costs import DAY_S, MONTH_S, Schedule, estimate
from dorkyd.core.report import Cost, RequestCounts

IDLE = Schedule(poll_s=15, list_every_s=900, objects=10)


def of(
    measured: RequestCounts | None = None,
    uptime_s: float = 60.0,
    schedule: Schedule = IDLE,
    *,
    scheme: str = "s3",
    own_endpoint: bool = False,
) -> Cost:
    """An estimate of an idle project, but for what is said."""
    return estimate(measured or RequestCounts(), uptime_s, schedule, scheme=scheme, own_endpoint=own_endpoint)


def test_idle() -> None:
    """172,800 polls, and 2,880 listings of five requests: 178,560 reads and 8,640 lists, by hand 0.0714 and 0.0432 USD."""
    cost = of()
    assert (cost.requests_per_month, cost.usd_per_month) == (190_000, 0.11)
    assert "2026" in cost.prices


def test_a_first_sync_is_not_repeated_all_month() -> None:
    """What was sent in the first hour counts once a day at most, not every hour; the schedule's own requests not twice."""
    hour = 3600.0
    scheduled = RequestCounts(GET=248, LIST=12)
    assert of(scheduled, hour) == of()
    first = of(RequestCounts(GET=248, LIST=12, PUT=20_000), hour)
    assert first.usd_per_month == pytest.approx(0.11 + 30 * 20 * 0.005, abs=0.01)


def test_measured_over_days() -> None:
    """From a day on a month is so many times what was measured: 1,000 uploads in two days are 15,000 a month."""
    measured = RequestCounts(PUT=1000, HEAD=1000, COPY=100, DELETE=500)
    more = of(measured, 2 * DAY_S).usd_per_month
    assert more == pytest.approx(0.115 + 15 * (1.1 * 0.005 + 0.0004), abs=0.01)


def test_a_large_project_pays_for_its_pages() -> None:
    """Ten million objects are 10,000 pages a listing."""
    cost = of(schedule=Schedule(15, 300_000, 10_000_000))
    assert cost.usd_per_month == pytest.approx(0.07 + MONTH_S / 300_000 * 10 * 0.005, abs=0.01)


def test_a_queue_costs() -> None:
    """129,600 questions a month."""
    cost = of(schedule=Schedule(600, 7200, 10, queue=True))
    assert cost.usd_per_month == pytest.approx(0.0017 + 0.0018 + 0.0003 + 0.0518, abs=0.006)


@pytest.mark.parametrize(("scheme", "own_endpoint"), [("file", False), ("s3", True), ("gs", True)])
def test_prices_that_are_not_known(scheme: str, own_endpoint: bool) -> None:
    """Directories and other stores: the requests are told, the price is not."""
    assert of(scheme=scheme, own_endpoint=own_endpoint) == Cost(190_000, None, "")


def test_a_rounded_estimate_is_still() -> None:
    """A second more does not change it, so that nobody is told of a new status."""
    assert of(RequestCounts(GET=500, PUT=30), 3600) == of(RequestCounts(GET=500, PUT=30), 3601)
