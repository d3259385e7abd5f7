"""Times as people write them: how long ago, or when."""

from __future__ import annotations

import re
from datetime import datetime

_AGO = re.compile(r"(?P<number>[0-9]{1,9}(\.[0-9]{1,6})?)\s*(?P<unit>s|m|min|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_FIRST, _LAST = datetime(1970, 1, 2), datetime(2260, 1, 1)  # noqa: DTZ001 - compared without a zone


def duration_s(text: str) -> float | None:
    """`90s`, `30m`, `2h`, `7d`, `2w` in seconds; None: it is none."""
    found = _AGO.fullmatch(text.strip())
    return float(found["number"]) * _SECONDS[found["unit"]] if found is not None else None


def moment_ns(text: str, now_ns: int) -> int | None:
    """A time on the wall clock: so long before now, or a date with or without a time (ISO 8601; without a zone: this machine's
    own). None: it is neither.
    """
    ago = duration_s(text)
    if ago is not None:
        return max(0, now_ns - int(ago * 1e9))
    if not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if not _FIRST <= found.replace(tzinfo=None) <= _LAST:
        return None
    return int(found.timestamp()) * 10**9 + found.microsecond * 1000
