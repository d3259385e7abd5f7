"""How far transfers are: one bar on a terminal, a line now and then elsewhere; always on standard error."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

from dorkyd.api.failures import Failed
from dorkyd.cli.app import say
from dorkyd.cli.units import plural, size
from dorkyd.core.printable import printable

if TYPE_CHECKING:
    from dorkyd.client import DorkyClient, Progress

T = TypeVar("T")

ANSWER_S = 0.1
EVERY_S = 10.0
"""How often a line is written where there is no terminal; what is done sooner writes none."""


class Totals:
    """All transfers of one command together. `__call__` comes from the threads that move bytes."""

    def __init__(self, verb: str, files: int, draw: Callable[[Totals], None]) -> None:
        self.verb = verb
        self.files = files
        self._draw = draw
        self._lock = threading.Lock()
        self._moved: dict[str, int] = {}
        self._sizes: dict[str, int | None] = {}
        self.stopped = False
        self._asked: SimpleQueue[threading.Event | None] = SimpleQueue()
        self._answers = False
        """The main thread is in `watched`."""

    def __call__(self, progress: Progress) -> None:
        """One transfer moved on. Ends it when the person has had enough."""
        if self._answers and progress.size is None and self._moved.get(progress.name) == progress.moved:
            self._surely_go_on()
        if self.stopped:
            raise Failed("Interrupted.", code="interrupted")
        with self._lock:
            self._moved[progress.name], self._sizes[progress.name] = progress.moved, progress.size
            self._draw(self)

    def watched(self, work: Callable[[], T]) -> T:
        """Do it on a thread of its own, while this one, the main one, answers `_surely_go_on`."""

        def run() -> T:
            try:
                return work()
            finally:
                self._asked.put(None)

        self._answers = True
        with ThreadPoolExecutor(1, "dorkyctl") as pool:
            doing = pool.submit(run)
            while (asked := self._asked.get()) is not None:
                asked.set()
            return doing.result()

    def _surely_go_on(self) -> None:
        """A pipe has ended, perhaps because Ctrl-C ended whoever wrote to it. Then the signal is on its way to us as well, and is
        taken by the main thread before that does anything else: so its answer proves that there was none.
        """
        answered = threading.Event()
        self._asked.put(answered)
        while not (self.stopped or answered.wait(ANSWER_S)):
            pass

    @property
    def moved(self) -> int:
        """Bytes so far."""
        return sum(self._moved.values())

    @property
    def expected(self) -> int | None:
        """Bytes in all; None: not known yet."""
        sizes = list(self._sizes.values())
        if len(sizes) < self.files or None in sizes:
            return None
        return sum(each for each in sizes if each is not None)

    @property
    def told(self) -> str:
        """In words."""
        (name,) = self._moved if self.files == 1 and len(self._moved) == 1 else ("",)
        return f"{self.verb} {printable(name) or plural(self.files, 'file')}"


@contextlib.contextmanager
def shown(verb: str, files: int, client: DorkyClient) -> Iterator[Totals]:
    """Progress for the length of a block. Ctrl-C ends the client's transfers under way as well, also those that only wait for
    the daemon's answer.
    """
    with _bar() if sys.stderr.isatty() else _lines() as draw:
        totals = Totals(verb, files, draw)

        def stop(_signal: int, _frame: FrameType | None) -> None:
            totals.stopped = True
            client.interrupt()
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGINT, stop)
        try:
            yield totals
        finally:
            signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _lines() -> Iterator[Callable[[Totals], None]]:
    last = time.monotonic()

    def draw(totals: Totals) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= EVERY_S:
            last = now
            of = "" if totals.expected is None else f" of {size(totals.expected)}"
            say(f"{totals.told}: {size(totals.moved)}{of}")

    yield draw


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[Totals], None]]:
    from rich import progress  # noqa: PLC0415  it costs every other command its start-up
    from rich.console import Console  # noqa: PLC0415

    console = Console(stderr=True, highlight=False, markup=False)
    if console.no_color:
        console = Console(stderr=True, highlight=False, markup=False, color_system=None)
    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.DownloadColumn(binary_units=True),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("", total=None)
        yield lambda totals: bar.update(task, description=totals.told, completed=totals.moved, total=totals.expected)
