"""What every project did in the last day, for the page's chart: from the statuses that are published anyway.

In memory alone: it begins with the daemon (`docs/decisions/0098-a-day-in-memory.md`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dorkyd.core.report import ProjectStatus, Sample
from dorkyd.core.samples import Day


def _minute() -> int:
    return time.time_ns() // 60_000_000_000


@dataclass(slots=True)
class Sampling:
    """See the module. From any thread."""

    minute: Callable[[], int] = _minute
    """Minutes since the epoch, now."""
    _days: dict[str, Day] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def see(self, status: ProjectStatus) -> None:
        """A status was published."""
        at, work, moved = self.minute(), status.pending, status.requests
        with self._guard:
            self._days.setdefault(status.name, Day(at)).see(
                at,
                up=moved.bytes_up,
                down=moved.bytes_down,
                pending=work.upload + work.download + work.delete_local + work.delete_remote,
                pending_bytes=work.bytes,
            )

    def forget(self, name: str) -> None:
        """The project was removed."""
        with self._guard:
            self._days.pop(name, None)

    def of(self, name: str) -> list[Sample]:
        """The project's last day, oldest first; empty: nothing was told of it yet."""
        with self._guard:
            day = self._days.get(name)
            minutes = day.day(self.minute()) if day is not None else ()
        return [Sample(m.at * 60, m.up, m.down, m.pending, m.pending_bytes) for m in minutes]
