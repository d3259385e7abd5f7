"""What status tells a person above and in a project's line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dorkyd.api import messages as m
from dorkyd.cli.table import pending, render
from dorkyd.core import report
from dorkyd.core.report import Cost, Pending, Speed, State

ONE = report.ProjectStatus("api", "/p", "s3://acme/x", "two-way", State.IN_SYNC)


def document(*projects: report.ProjectStatus) -> m.StatusDocument:
    """The daemon's answer."""
    return m.StatusDocument(
        health="ok",
        daemon=m.DaemonStatus(version="", pid=1, uptime_s=0, device="d"),
        projects=[m.ProjectStatus.model_validate(each) for each in projects],
    )


def above(*projects: report.ProjectStatus) -> list[str]:
    """The lines before the table's head."""
    return render(document(*projects), None).plain.partition("PROJECT")[0].splitlines()


@pytest.mark.parametrize(
    ("costs", "told"),
    [
        ([Cost(190_000, 0.11, "S3")], ["about 0.11 USD a month for 190,000 requests, at list prices"]),
        (
            [Cost(190_000, 0.11, "S3"), Cost(10_000, 0.01, "S3"), Cost(7, None, "")],
            ["about 0.12 USD a month for 200,000 requests, at list prices"],
        ),
        ([Cost(190_000, None, "")], []),
    ],
)
def test_the_cost_of_requests(costs: list[Cost], told: list[str]) -> None:
    """Of all projects whose store's prices are known; nothing where none are."""
    assert above(*(replace(ONE, name=f"p{n}", cost=cost) for n, cost in enumerate(costs))) == told


def test_as_whom() -> None:
    """Once for all projects that ask as the same, by their names where they do not; until when, where that is known."""
    one = replace(ONE, identity="access key …7KQX from the profile 'team'")
    assert above(one, replace(one, name="b")) == ["access key …7KQX from the profile 'team'"]
    until = replace(one, credentials_until="2026-11-29T12:00:00Z", name="web")
    assert above(until) == ["access key …7KQX from the profile 'team', good until 2026-11-29T12:00:00Z"]
    told = above(one, until, replace(ONE, name="local"))
    assert [line.partition(":")[0] for line in told] == ["api", "web"]


@pytest.mark.parametrize(
    ("work", "speed", "told"),
    [
        (Pending(), Speed(), "-"),
        (Pending(upload=2, download=1, bytes=4096), Speed(), "↑2 ↓1 (4.0 KiB)"),
        (Pending(upload=2, bytes=4096), Speed(1024, 0, 4), "↑2 (4.0 KiB, ↑1.0 KiB/s, 4 s left)"),
        (Pending(download=9), Speed(0, 2048, 7300), "↓9 (↓2.0 KiB/s, 2 h left)"),
        (Pending(delete_local=1), Speed(), "✗1"),
    ],
)
def test_what_is_pending(work: Pending, speed: Speed, told: str) -> None:
    """Counts with arrows, bytes under way, the rate each way, and how long yet."""
    assert pending(m.Pending.model_validate(work), m.Speed.model_validate(speed)) == told


def test_what_waits_has_no_time_left() -> None:
    """A project that is halted does not get on, however fast it was a moment ago."""
    fast = replace(ONE, pending=Pending(delete_remote=21), speed=Speed(1024, 0, 84))
    shown = lambda state: render(document(replace(fast, state=state)), None).plain
    assert "✗21 (↑1.0 KiB/s, 84 s left)" in shown(State.SYNCING)
    assert "✗21  " in shown(State.HALTED)
