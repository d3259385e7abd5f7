"""Sizes, times and pairs as people read and write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dorkyd.api.messages import Bandwidth

_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhd]?)(?:\d+(?:\.\d+)?[smhd])*")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")


def seconds(text: str) -> float:
    """`90`, `30s`, `2h`, `1h30m`, `1d` in seconds. Raises `ValueError`, saying what would be right."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration; write 30s, 10m, 2h, 1h30m or 1d")
    return sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(text))


def size(count: int) -> str:
    """Bytes in binary units."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError


def speeds(limits: Bandwidth) -> str:
    """Bandwidth limits, with arrows; empty when there are none."""
    parts = (("↑", limits.up), ("↓", limits.down))
    return " ".join(f"{arrow}{size(per_s)}/s" for arrow, per_s in parts if per_s is not None)


def ago(moment: str | None, now: datetime | None = None) -> str:
    """How long an RFC 3339 moment is past."""
    if moment is None:
        return "never"
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    past = max(0, int(((now or datetime.now(UTC)) - then).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if past >= length:
            return f"{past // length} {unit} ago"
    return f"{past} s ago"


def length(seconds: int) -> str:
    """A time span, to its larger unit."""
    for unit, least in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * least:
            return f"{round(seconds / least)} {unit}"
    return f"{seconds} s"


def moment(stamp: str) -> str:
    """A conflict copy's `YYYYMMDD-HHMMSS` as people write it."""
    try:
        return f"{datetime.strptime(stamp, '%Y%m%d-%H%M%S').replace(tzinfo=UTC):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return stamp


def plural(count: int, noun: str) -> str:
    """`1 conflict`, `2 conflicts`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """`KEY=VALUE` each. A usage error for anything else."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            import typer  # noqa: PLC0415  what is shown needs none

            raise typer.BadParameter(f"{text!r} is not KEY=VALUE")
        found[name] = value
    return found
