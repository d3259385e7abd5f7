"""How many parts go up at one time: several on a line that carries them, one at a time on a slow one.

The system takes megabytes of a part into its own memory, and then the store is waited for. On a slow line that several parts share
the wait is longer than any that a silent store is given: all of them would be given up and sent again, for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

from dorkyd.errors import Transient

SLOW_BYTES_S = 512 * 1024
"""A line that carries no more than this, bytes a second, carries one part at a time."""
SHORT_S = 2.0
"""What took no longer tells nothing of the line: it may have been a few bytes."""


class Line:
    """Shared by all uploads to one bucket, from any thread. One at a time until the first was seen to go fast."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._now, self._busy = 1, 0
        self._changed = Condition()

    @contextmanager
    def turn(self, size: int) -> Iterator[None]:
        """Around the sending of so many bytes. Waits until it may begin."""
        with self._changed:
            self._changed.wait_for(lambda: self._busy < self._now)
            self._busy += 1
        begun = self._clock()
        at_once = self._now
        try:
            yield
            took = self._clock() - begun
            at_once = self._most if took <= SHORT_S or size / took > SLOW_BYTES_S else 1
        except Transient:
            at_once = 1
            raise
        finally:
            with self._changed:
                self._busy -= 1
                self._now = at_once
                self._changed.notify_all()
