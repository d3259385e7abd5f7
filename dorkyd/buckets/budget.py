"""A bound on the memory that transfers of one bucket hold together."""

from __future__ import annotations

from threading import Condition


class Budget:
    """Bytes that may be held at once, from any thread. What is larger than all of it may have it alone."""

    def __init__(self, total_bytes: int) -> None:
        self._total = total_bytes
        self._free = total_bytes
        self._changed = Condition()

    def take(self, count: int) -> None:
        """Wait until so many bytes may be held. Whoever waits must hold nothing that others wait for."""
        count = min(count, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= count)
            self._free -= count

    def take_now(self, count: int) -> bool:
        """As `take`, without waiting: False, and nothing taken, when there is no room."""
        count = min(count, self._total)
        with self._changed:
            if self._free < count:
                return False
            self._free -= count
            return True

    def give(self, count: int) -> None:
        """Give back what `take` was asked for."""
        with self._changed:
            self._free += min(count, self._total)
            self._changed.notify_all()
