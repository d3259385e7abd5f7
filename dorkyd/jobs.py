"""Jobs under way on the pool, and how they come back to the engine's thread."""

from __future__ import annotations

import math
import queue
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from dorkyd.carrying import Job
from dorkyd.core.model import DeleteLocal, Download, Path

COLLECT, COLLECT_S = 256, 0.05
"""Outcomes recorded together: so many, or those of so long."""
CROWD, CROWD_S = 256, 0.25
"""While so many are under way nobody waits for a single one, and so long is better for the fsyncs."""
IN_FLIGHT = 1024
"""Jobs handed to the pool at once."""


class Size(IntEnum):
    """How long a job may hold a thread, told by the bytes it moves."""

    SMALL = 0
    MEDIUM = 1
    LARGE = 2


MEDIUM_BYTES, LARGE_BYTES = 1024 * 1024, 32 * 1024 * 1024
"""What moves more than this is medium, or large."""
OF_SIZE_IN_FLIGHT = {Size.SMALL: IN_FLIGHT, Size.MEDIUM: 64, Size.LARGE: 4}
"""At most so many jobs of one size at once, so that small files find room while others take their time."""


def size_of(moved: int) -> Size:
    """The size of a job that moves so many bytes."""
    if moved > LARGE_BYTES:
        return Size.LARGE
    return Size.MEDIUM if moved > MEDIUM_BYTES else Size.SMALL


class Pool(Protocol):
    """Where jobs run."""

    def submit(self, run: Callable[[], None], moved: int = 0) -> None:
        """Run it soon, on any thread; it will move so many bytes of an object. It never raises."""


def takes_away(action: object) -> bool:
    """What stands at the action's path will no longer be there."""
    return isinstance(action, DeleteLocal) or (isinstance(action, Download) and action.replaces is not None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended."""

    job: Job
    result: object = None
    failure: BaseException | None = None
    seconds: float = 0.0
    """How long it took, for the log."""


@dataclass(slots=True)
class Jobs:
    """For one project. Everything but `_run` belongs to the engine's thread."""

    pool: Pool
    wake: Callable[[], None]
    in_flight: dict[Path, Job] = field(default_factory=dict)
    _finished: queue.SimpleQueue[Outcome] = field(default_factory=queue.SimpleQueue)
    _taken: int = 0
    """Outcomes that `finished` gave and `ended` did not hear of: for ever, when recording them failed."""
    _collect: float = -math.inf
    _on_idle: Callable[[], None] | None = None

    @property
    def room(self) -> int:
        """Jobs that may still begin; 0 while so few that deciding a batch for them is not worth it."""
        left = IN_FLIGHT - len(self.in_flight)
        return left if left >= IN_FLIGHT // 4 else 0

    def takes(self, path: Path) -> bool:
        """What stands at the path is being taken away or replaced. Any thread."""
        job = self.in_flight.get(path)
        return job is not None and takes_away(job.action)

    def room_by_size(self) -> dict[Size, int]:
        """Jobs of each size that may still begin."""
        there = Counter(size_of(job.bytes) for job in self.in_flight.values())
        return {size: most - there[size] for size, most in OF_SIZE_IN_FLIGHT.items()}

    def staged_names(self) -> set[str]:
        """Staged names that a running install or discard works with."""
        return {job.install.staged for job in self.in_flight.values() if job.install is not None}

    def begin(self, job: Job) -> None:
        """Hand a journalled job to the pool."""
        for path in job.paths:
            self.in_flight[path] = job
        self.pool.submit(lambda: self._run(job), job.bytes)

    @property
    def running(self) -> bool:
        """Some have not come back from the pool, collected or not."""
        return len({id(job) for job in self.in_flight.values()}) > self._finished.qsize() + self._taken

    def when_idle(self, do: Callable[[], None]) -> None:
        """Nobody will collect these any more: `do` it when the last of them has ended, on any thread, perhaps twice."""
        self._on_idle = do
        if not self.running:
            do()

    def next_due(self) -> float:
        """When there is something to collect; infinity: nothing finished."""
        return math.inf if self._finished.empty() else self._collect

    def finished(self, now: float) -> list[Outcome]:
        """What ended. While more is under way, a few wait a moment for others to share the fsyncs of recording."""
        waiting = self._finished.qsize()
        if not waiting or (waiting < min(COLLECT, len(self.in_flight)) and now < self._collect):
            return []
        self._collect = now + (CROWD_S if len(self.in_flight) >= CROWD else COLLECT_S)
        self._taken += waiting
        return [self._finished.get() for _ in range(waiting)]

    def ended(self, outcomes: list[Outcome]) -> None:
        """These are recorded: their paths are free."""
        self._taken -= len(outcomes)
        for outcome in outcomes:
            for path in outcome.job.paths:
                self.in_flight.pop(path, None)

    def _run(self, job: Job) -> None:
        begun = time.perf_counter()
        try:
            outcome = Outcome(job, job.run(), None, time.perf_counter() - begun)
        except BaseException as exc:  # whatever happened there is the engine's to classify
            outcome = Outcome(job, None, exc, time.perf_counter() - begun)
        self._finished.put(outcome)
        waiting = self._finished.qsize()
        if waiting == 1 or waiting >= min(COLLECT, len(self.in_flight)):
            # The others of a batch are collected when the first one's moment is over.
            self.wake()
        if self._on_idle is not None and not self.running:
            self._on_idle()
