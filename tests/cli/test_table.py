"""What status tells a person above and in a project's line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dorkyd.api import messages as m
from dorkyd.cli.table import pending, render, screenful
from dorkyd.core import report
from dorkyd.core.report import Cost, Pending, Speed, State

ONE = report.ProjectStatus("api", "/p", "s3://acme/x", "two-way", State.IN_SYNC)


def document_of(*projects: report.ProjectStatus) -> m.StatusDocument:
    """All of them."""
    return m.StatusDocument(
        health="ok",
        daemon=m.DaemonStatus(version="", pid=1, uptime_s=0, device="d"),
        projects=[m.ProjectStatus.model_validate(each) for each in projects],
    )


def above(*projects: report.ProjectStatus) -> list[str]:
    """The lines before the table's head."""
    return render(document_of(*projects), None).plain.partition("PROJECT")[0].splitlines()


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
    shown = lambda state: render(document_of(replace(fast, state=state)), None).plain
    assert "✗21 (↑1.0 KiB/s, 84 s left)" in shown(State.SYNCING)
    assert "✗21  " in shown(State.HALTED)


# --- on a narrow terminal ---------------------------------------------------------------------------------------------

BUSY = replace(
    ONE,
    name="datasets",
    path="/home/ana/code/datasets",
    pending=Pending(upload=12, bytes=5 << 20),
    speed=Speed(1 << 20, 0, 5),
    last_success="2026-11-01T00:00:00Z",
    conflicts=1,
)


def drawn(width: int, height: int = 1000, *projects: report.ProjectStatus) -> list[str]:
    """The lines of a watched table."""
    return screenful(document_of(*(projects or (ONE, BUSY))), width, height).plain.splitlines()


@pytest.mark.parametrize(
    ("width", "left_out"),
    [(300, ()), (100, ("CONFLICTS", "→")), (80, ("CONFLICTS", "→")), (40, ("FILES", "LAST", "→"))],
)
def test_what_a_narrow_terminal_leaves_out(width: int, left_out: tuple[str, ...]) -> None:
    """Columns go until the row fits; all that they tell of what waits for a person stands beneath."""
    lines = drawn(width)
    assert max(map(len, lines)) <= width
    assert not [word for word in left_out if word in lines[0]]
    assert lines[0].startswith("PROJECT")
    told = " ".join(" ".join(lines).split())
    for part in ("↑12", "5.0 MiB, ↑1.0 MiB/s, 5 s left", "/home/ana/code/datasets", "s3://acme/x", "1 conflict:"):
        assert part in told, part


def test_a_long_line_goes_on_where_it_began() -> None:
    """Broken at words, as far in as it began; one that has no spaces, wherever it must."""
    long = replace(ONE, warnings=(report.Warning("w", "words " * 40, "x" * 100),))
    lines = [line for line in drawn(50, 1000, long) if "words" in line or "xx" in line]
    assert len(lines) >= 8
    assert all(line.startswith("  ") and len(line) <= 50 for line in lines)


def test_more_than_a_screenful() -> None:
    """What does not fit is said to be left, on the last line; nothing scrolls away unseen."""
    many = [replace(ONE, name=f"p{n}") for n in range(30)]
    lines = drawn(300, 10, *many)
    assert len(lines) == 9
    assert lines[-1].startswith("... 23 lines more")
    assert len(drawn(300, 32, *many)) == 31
