"""Threads that move bytes for all projects, shared so that nothing small waits for something slow.

A transfer may take hours: a large file, or any file under a bandwidth limit. Three rules keep the rest flowing:

* A thread is never given to a large job, or to a medium one, beyond that size's cap: some are left for small ones.
* A project that has work always has threads of its own (`OWN`), whatever the others do with the shared ones.
* What is shared goes round: each project with work that may begin gets the next free thread in its turn.

Threads are started when they are needed and end when they were idle for a while.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from dorkyd.jobs import Size, size_of

_log = logging.getLogger("dorkyd.pool")

SHARED = {Size.SMALL: 16, Size.MEDIUM: 12, Size.LARGE: 8}
"""Running jobs of this size or larger, over all projects."""
OWN = {Size.SMALL: 2, Size.MEDIUM: 1, Size.LARGE: 1}
"""Running jobs of exactly this size that a project may always have, beyond what is shared too."""
IDLE_S = 30.0
_SIZES = tuple(Size)
_CAPS = {size: [(cap, tuple(other for other in Size if other >= cap)) for cap in Size if cap <= size] for size in Size}
"""What a job of each size counts against: a cap, and the sizes that share it."""


@dataclass(slots=True, eq=False)
class Lane:
    """One project's way into the pool: what `dorkyd.jobs.Pool` asks for. `submit` may be called from any thread."""

    pool: TransferPool
    waiting: dict[Size, deque[Callable[[], None]]] = field(default_factory=lambda: {size: deque() for size in Size})
    running: dict[Size, int] = field(default_factory=lambda: dict.fromkeys(Size, 0))

    def submit(self, run: Callable[[], None], moved: int = 0) -> None:
        """Run it when its turn comes."""
        self.pool.submit(self, run, size_of(moved))

    @property
    def busy(self) -> bool:
        """It has work, begun or not."""
        return any(self.waiting.values()) or any(self.running.values())


class TransferPool:
    """See the module. Every method may be called from any thread."""

    def __init__(self, start: Callable[[Callable[[], None]], None] | None = None) -> None:
        """`start`: starts a thread, and raises `RuntimeError` where the system has no more."""
        self._start = start or _start
        self._lock = threading.Lock()
        self._lanes: deque[Lane] = deque()
        """Those with work, the one whose turn it is first."""
        self._begun: SimpleQueue[tuple[Lane, Size, Callable[[], None]]] = SimpleQueue()
        self._running = dict.fromkeys(Size, 0)
        self._threads = 0
        self._closed = False

    def lane(self) -> Lane:
        """A way in for one more project."""
        return Lane(self)

    def submit(self, lane: Lane, run: Callable[[], None], size: Size) -> None:
        """As `Lane.submit`."""
        with self._lock:
            if self._closed:
                return
            if not lane.busy:
                self._lanes.append(lane)
            lane.waiting[size].append(run)
            self._dispatch()
        # No thread could be started and there is none: whoever has work does it, slowly, until threads are to be had.
        while (job := self._orphan()) is not None:
            self._do(*job)

    def close(self) -> None:
        """Begin nothing new. What was not begun is journalled, and found at the next start."""
        with self._lock:
            self._closed = True
            for lane in self._lanes:
                for waiting in lane.waiting.values():
                    waiting.clear()

    def _dispatch(self) -> None:
        """Hand every job that may begin to a thread, with the lock held. There are as many threads as running jobs."""
        while (job := self._next()) is not None:
            self._begun.put(job)
            if self._threads >= sum(self._running.values()):
                continue
            self._threads += 1
            try:
                self._start(self._work)
            except RuntimeError:
                # Those there are will come to it.
                self._threads -= 1
                _log.warning("outcome=no-more-threads threads=%d", self._threads)

    def _orphan(self) -> tuple[Lane, Size, Callable[[], None]] | None:
        """A job that may begin while there is no thread at all."""
        with self._lock:
            if self._threads:
                return None
            try:
                return self._begun.get_nowait()
            except Empty:
                return None

    def _next(self) -> tuple[Lane, Size, Callable[[], None]] | None:
        for lane in self._lanes:
            for size in _SIZES:
                if lane.waiting[size] and self._may_begin(lane, size):
                    run = lane.waiting[size].popleft()
                    lane.running[size] += 1
                    self._running[size] += 1
                    self._lanes.remove(lane)
                    self._lanes.append(lane)
                    return lane, size, run
        return None

    def _may_begin(self, lane: Lane, size: Size) -> bool:
        if lane.running[size] < OWN[size]:
            return True
        # A small job counts against its own cap only; a large one against all three.
        running = self._running
        return all(sum(running[other] for other in larger) < SHARED[cap] for cap, larger in _CAPS[size])

    def _work(self) -> None:
        while True:
            try:
                lane, size, run = self._begun.get(timeout=IDLE_S)
            except Empty:
                with self._lock:
                    if self._threads > sum(self._running.values()):
                        self._threads -= 1
                        return
                continue
            self._do(lane, size, run)

    def _do(self, lane: Lane, size: Size, run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException:  # a job reports its own failures; a thread must outlive what it did not foresee
            _log.exception("outcome=job-failed")
        with self._lock:
            lane.running[size] -= 1
            self._running[size] -= 1
            if not lane.busy:
                self._lanes.remove(lane)
            self._dispatch()


def _start(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="transfer", daemon=True).start()
