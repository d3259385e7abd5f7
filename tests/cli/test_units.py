"""Sizes and times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dorkyd.cli import units


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("30s", 30), ("1.5m", 90), ("2h", 7200), ("1h30m", 5400), ("1d", 86400)]
)
def test_durations(text: str, expected: float) -> None:
    """A duration is a number with a unit, or several; without a unit, seconds."""
    assert units.seconds(text) == expected


@pytest.mark.parametrize("text", ["", "h", "2x", "-1", "1 h", "nan"])
def test_no_durations(text: str) -> None:
    """Anything else is refused with an example."""
    with pytest.raises(ValueError, match="write 30s"):
        units.seconds(text)


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 40, "5.0 TiB")])
def test_sizes(count: int, text: str) -> None:
    """Sizes are in binary units."""
    assert units.size(count) == text


def test_ago() -> None:
    """A moment is told by how long it is past; never is a word."""
    now = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
    told = [units.ago(f"2026-11-22T{at}Z", now) for at in ("11:59:58", "11:58:00", "09:00:00", "12:00:09")]
    assert told == ["2 s ago", "2 min ago", "3 h ago", "0 s ago"]
    assert units.ago(None) == "never"
