"""A day of one project, a minute at a time: what moved in it and the most that was left to do. Bounded, in memory.

Only minutes in which something was told are kept: between two of them nothing moved, and as much was left to do as at the
end of the one before. So a project at rest costs nothing, and `day` fills in what was quiet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

MINUTES = 24 * 60
"""So many are kept."""


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute of a project."""

    at: int
    """Minutes since the epoch."""
    up: int = 0
    """Bytes of objects sent in it."""
    down: int = 0
    pending: int = 0
    """Paths that were left to do, at the most."""
    pending_bytes: int = 0
    left: int = 0
    """Paths that were left to do at its end."""


@dataclass(slots=True)
class Day:
    """The last day of one project. One thread at a time."""

    since: int
    """The minute in which watching began."""
    _minutes: deque[Minute] = field(default_factory=lambda: deque(maxlen=MINUTES))
    _moved: tuple[int, int] = (0, 0)

    def see(self, at: int, *, up: int, down: int, pending: int, pending_bytes: int) -> None:
        """What was told in minute `at`. `up` and `down` count since the project started, and may begin anew."""
        last = self._minutes[-1] if self._minutes else Minute(self.since)
        sent = up - self._moved[0] if up >= self._moved[0] else up
        came = down - self._moved[1] if down >= self._moved[1] else down
        self._moved = (up, down)
        if not self._minutes or at > last.at:
            # What was left is done in the course of this minute, not at its first instant.
            last = Minute(at, pending=last.left)
            self._minutes.append(last)
        # A clock that was set back: time goes on in the minute that was last, until the clock has caught up.
        self._minutes[-1] = replace(
            last,
            up=last.up + sent,
            down=last.down + came,
            pending=max(last.pending, pending),
            pending_bytes=max(last.pending_bytes, pending_bytes),
            left=pending,
        )

    def day(self, now: int) -> Sequence[Minute]:
        """Every minute since watching began, a day's at most, up to and with `now`; the quiet ones too."""
        last = max(now, self._minutes[-1].at if self._minutes else now)
        told = {minute.at: minute for minute in self._minutes}
        first = max(self.since, last - MINUTES + 1)
        left = next((minute.left for minute in reversed(self._minutes) if minute.at < first), 0)
        found = []
        for at in range(first, last + 1):
            minute = told.get(at) or Minute(at, pending=left, left=left)
            left = minute.left
            found.append(minute)
        return found
