"""How fast work gets done, and how long what is left will take: from what was seen in the last seconds, not since the start."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from dorkyd.core.report import Speed

WINDOW_S = 20.0
"""What is older says nothing of now."""
LEAST_S = 1.0
"""Less than this tells no rate: one batch that was just recorded would look like a flood."""


@dataclass(frozen=True, slots=True)
class _Seen:
    at: float
    up: int
    down: int
    paths: int


@dataclass(slots=True)
class Pacing:
    """Watches one project's counters. One thread."""

    _seen: deque[_Seen] = field(default_factory=deque)

    def look(self, now: float, *, up: int, down: int, paths: int, size: int) -> Speed:
        """`now` is monotonic seconds; `up` and `down` are bytes moved since the start; `paths` are left, with `size` bytes of
        those under way.
        """
        seen = self._seen
        if not paths or (seen and (up < seen[-1].up or down < seen[-1].down)):
            seen.clear()  # done, or the counters began anew
        if not paths:
            return Speed()
        if seen and paths > seen[-1].paths:
            # More work was found: what was finished is known only from here on.
            more = paths - seen[-1].paths
            seen = self._seen = deque(_Seen(each.at, each.up, each.down, each.paths + more) for each in seen)
        seen.append(_Seen(now, up, down, paths))
        while len(seen) > 2 and now - seen[1].at >= WINDOW_S:
            seen.popleft()
        first = seen[0]
        passed = now - first.at
        if passed < LEAST_S:
            return Speed()
        up_per_s, down_per_s = (up - first.up) / passed, (down - first.down) / passed
        done_per_s = (first.paths - paths) / passed
        by_paths = paths / done_per_s if done_per_s > 0 else None
        by_bytes = size / (up_per_s + down_per_s) if up_per_s + down_per_s > 0 else None
        known = [each for each in (by_paths, by_bytes) if each is not None]
        return Speed(round(up_per_s), round(down_per_s), round(max(known)) if known else None)
