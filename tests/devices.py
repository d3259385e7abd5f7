"""Devices without threads: real engine, journal, folder and transfer, over one shared bucket, driven step by step.

Time is simulated, jobs run when the test says so, and no watcher runs: `look` scans. A `Kill` raised anywhere ends a
device as SIGKILL would, and `restart` begins again from what is on disk.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from dorkyd.buckets.memory import MemoryBucket
from dorkyd.core.settings import Project
from dorkyd.decisions import Decisions
from dorkyd.engine import Engine
from dorkyd.folder import LocalFolder
from dorkyd.ports import Bucket, Folder


class Kill(BaseException):
    """The process ends here."""


class SimClock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall_ns = 1_790_000_000 * 10**9
        self._ids = itertools.count(1)
        self.name = "0"

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return self.wall_ns

    def random_id(self) -> str:
        return f"{os.urandom(12).hex()}{next(self._ids):08x}"

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.wall_ns += int(seconds * 1e9)


class InlinePool:
    """Jobs run when the engine's cycle is over."""

    def __init__(self) -> None:
        self.jobs: deque[Callable[[], None]] = deque()

    def submit(self, run: Callable[[], None]) -> None:
        self.jobs.append(run)

    def run_all(self) -> None:
        while self.jobs:
            self.jobs.popleft()()


class Device:
    """One folder on one machine."""

    def __init__(
        self,
        base: Path,
        name: str,
        bucket: Callable[[], Bucket],
        *,
        wrap: Callable[[Folder], Folder] = lambda folder: folder,
        **settings: object,
    ) -> None:
        self.name = name
        self.root = base / name
        self.root.mkdir(parents=True, exist_ok=True)
        self.journals = base / f"{name}-state"
        self.clock = SimClock()
        self.pool = InlinePool()
        self.make_bucket = bucket
        self.wrap = wrap
        self.project = replace(
            Project(name="p", path=str(self.root), bucket="mem://b", settle_s=0.0), **settings  # type: ignore[arg-type]
        )
        self.engine = self._engine()

    def _engine(self) -> Engine:
        return Engine(
            project=self.project,
            folder=self.wrap(LocalFolder(str(self.root))),
            open_bucket=lambda _known: self.make_bucket(),
            journals=self.journals,
            clock=self.clock,
            pool=self.pool,
            device=self.name,
            make_watcher=lambda _skip: None,
        )

    # --- what happens to it ---------------------------------------------------------------------------------------

    def step(self, seconds: float = 0.0) -> None:
        """One cycle and the jobs it begins."""
        self.clock.advance(seconds)
        try:
            self.engine.run_due(self.clock.monotonic())
            self.pool.run_all()
        except Kill:
            self.kill()
            raise

    def look(self, *, whole: bool = True) -> None:
        """Ask for a look at both sides."""
        self.engine.look_again(scan=whole)

    def settle(self, limit: int = 400) -> None:
        """Look at both sides and go on until nothing is left to do, or it is halted."""
        self.look()
        scans, lists = self.engine.counters.scans, self.engine.counters.listings_done
        for _ in range(limit):
            self.step(0.5)
            if self.engine.held is not None:
                return
            done = self.engine.counters
            if self.engine.quiescent() and done.scans > scans and done.listings_done > lists:
                return
        msg = f"{self.name} did not settle: dirty {self._dirty()}, trouble {self.engine.trouble}"
        raise AssertionError(msg)

    def _dirty(self) -> object:
        return self.engine.journal and self.engine.journal.dirty(10)

    def kill(self) -> None:
        """End as SIGKILL does: nothing is tidied up, uncommitted rows are lost."""
        self.pool.jobs.clear()
        if self.engine.journal is not None:
            self.engine.journal.close()
        self.engine.folder.unlock()

    def restart(self) -> None:
        """Begin again from what is on disk."""
        self.kill()
        self.engine = self._engine()

    @property
    def decisions(self) -> Decisions:
        return Decisions(self.engine)

    # --- what a person does and sees ------------------------------------------------------------------------------

    def write(self, path: str, text: str | bytes) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def tree(self) -> dict[str, str]:
        """Every file outside `.dorky`, with its content."""
        return dict(self._walk())

    def _walk(self) -> Iterator[tuple[str, str]]:
        for folder, folders, files in os.walk(self.root):
            folders[:] = sorted(f for f in folders if f != ".dorky")
            for file in sorted(files):
                full = Path(folder) / file
                yield str(full.relative_to(self.root)), full.read_text(errors="replace")

    def problems(self) -> dict[str, str]:
        assert self.engine.journal is not None
        return {problem.path: problem.code for problem, _ in self.engine.journal.ledger.problems()}

    def trashed(self) -> list[str]:
        """Contents of the trash."""
        trash = self.root / ".dorky" / "trash"
        return sorted(f.read_text() for f in trash.rglob("*") if f.is_file())


class World:
    """Devices that share one bucket in memory."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.store = MemoryBucket()
        self.devices: list[Device] = []

    def device(self, name: str, **settings: object) -> Device:
        made = Device(self.base, name, lambda: self.store.client(), **settings)  # type: ignore[arg-type]
        self.devices.append(made)
        return made

    def settle(self, rounds: int = 6) -> None:
        """Let every device settle, until a round changes no folder."""
        before: object = None
        for _ in range(rounds):
            for device in self.devices:
                device.settle()
            now = ([d.tree() for d in self.devices], self.objects())
            if now == before:
                return
            before = now
        msg = "the devices do not come to rest"
        raise AssertionError(msg)

    def objects(self) -> dict[str, str]:
        """The project's objects, with their content."""
        found: dict[str, str] = {}
        bucket = self.store.client()
        for page in bucket.list():
            for listed in page:
                if not listed.key.startswith(".dorky/"):
                    with bucket.get(listed.key) as reading:
                        found[listed.key] = b"".join(reading).decode(errors="replace")
        return found
