"""Ten million objects and a thousand devices, by the real code over a bucket that only counts.

    python tests/bench/scale.py [listing|log|contention|load|all] [--objects N]

Prints the tables of docs/scale.md. Each part runs in a process of its own, so that its peak memory is its own. What is not
real: the store (`Counted`: keys made up on the way, or `MemoryBucket`), its latency, and time (`Rounds`), which is virtual.
"""
# ruff: noqa: T201 - tables on a terminal are what it is for

from __future__ import annotations

import argparse
import heapq
import multiprocessing
import random
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.core.costs import MONTH_S, Schedule, estimate
from dorkyd.core.logbook import LOG, entry_key
from dorkyd.core.metadata import sha256
from dorkyd.core.model import Op, Path, ReplicaId, Version
from dorkyd.core.pace import Pace
from dorkyd.core.report import RequestCounts
from dorkyd.journal import Journal
from dorkyd.ledger import Intent
from dorkyd.news import News
from dorkyd.ports import Listed
from dorkyd.remote_side import RemoteSide
from tests.devices import SimClock

LATENCY_S = 0.03
"""What a request takes; a store in the same region answers in 10 to 50 ms."""
POLL_S = 15.0
END_S = 60.0
"""Of the part `load`, virtual seconds."""


class Counted:
    """Listings of keys that are made up page by page; nothing is stored."""

    url = "counted://"

    def __init__(self, objects: int, entries: int = 0) -> None:
        self.objects, self.entries, self.lists = objects, entries, 0

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[Sequence[Listed]]:
        """Of the log, or of all objects."""
        make: Callable[[int], Listed]
        if prefix == LOG:
            first = int(start_after[len(LOG) : len(LOG) + 12] or 0) + 1
            last, make = self.entries, lambda n: Listed(entry_key(n), Version(f"v{n}"), 300, n)
        elif start_after:
            return
        else:
            first, last = 0, self.objects - 1
            make = lambda n: Listed(f"data/d{n // 5000:05d}/part-{n:09d}.parquet", Version(f"{n:032x}"), 4096, n)
        while True:
            self.lists += 1
            upto = min(first + 1000, last + 1)
            if first < upto:
                yield [make(n) for n in range(first, upto)]
            if upto > last:
                return
            first = upto


def _side(bucket: object, journal: Journal, name: str) -> RemoteSide:
    return RemoteSide(News(bucket), journal, SimClock(name), name, ReplicaId(name))  # type: ignore[arg-type]


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def listing(objects: int) -> None:
    """One device takes in a full listing, first of all new objects, then of the same again."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        journal = Journal(FilePath(folder) / "j.db")
        bucket = Counted(objects)
        side = _side(bucket, journal, "a")
        for what in ("first", "again"):
            begun, cpu, lists = time.perf_counter(), time.process_time(), bucket.lists
            side.begin_listing()
            while side.step_listing() is None:
                pass
            with journal.atomic():
                journal.put("listed", "1")
            took, spent = time.perf_counter() - begun, time.process_time() - cpu
            print(
                f"| {objects:,} | {what} | {bucket.lists - lists:,} | {took:.1f} s | {spent / objects * 1e6:.1f} us"
                f" | {_peak_mib()} MiB | {journal.file.stat().st_size / objects:.0f} B |"
            )
        journal.close()


def log(_: int) -> None:
    """Finding the end of a log that grew while a device was away."""
    for entries in (100, 1_000, 10_000, 100_000, 1_000_000, 100_000_000):
        bucket = Counted(0, entries)
        state = News(bucket).log_from(1)  # type: ignore[arg-type]
        assert state.highest is not None
        assert state.highest.number == entries
        print(f"| {entries:,} | {bucket.lists} | {-(-entries // 1000):,} |")


# --- many devices in virtual time -------------------------------------------------------------------------------------


@dataclass
class Rounds:
    """Threads that take turns: one runs at a time, and a request puts its thread to sleep for its latency."""

    now: float = 0.0
    _heap: list[tuple[float, int, threading.Semaphore]] = field(default_factory=list)
    _turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _count: int = 0
    _failed: list[BaseException] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """Called by a device's thread."""
        mine = threading.Semaphore(0)
        self._count += 1
        heapq.heappush(self._heap, (self.now + seconds, self._count, mine))
        self._turn.release()
        mine.acquire()

    def start(self, run: Callable[[], None], at: float) -> None:
        """A device, beginning at a time."""
        mine = threading.Semaphore(0)
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, mine))

        def body() -> None:
            mine.acquire()
            try:
                run()
            except BaseException as exc:
                self._failed.append(exc)
            finally:
                self._turn.release()

        threading.Thread(target=body, daemon=True).start()

    def run(self) -> None:
        """Until all have ended."""
        while self._heap:
            self.now, _, other = heapq.heappop(self._heap)
            other.release()
            self._turn.acquire()
            if self._failed:
                raise self._failed[0]


@dataclass
class Team:
    """Devices that share one log, each with a journal of its own."""

    folder: str
    chance: random.Random
    rounds: Rounds = field(default_factory=Rounds)
    store: MemoryBucket = field(default_factory=MemoryBucket)
    requests: dict[str, int] = field(default_factory=dict)
    announced_at: dict[str, float] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)
    """Seconds from a change that is recorded to its entry in the log."""
    lags: list[float] = field(default_factory=list)
    """Seconds from an entry to when another device has read it."""

    def device(self, name: str) -> RemoteSide:
        """To be made in its own thread."""

        def request(verb: str, _key: str) -> Fault | None:
            self.requests[verb] = self.requests.get(verb, 0) + 1
            # The effect takes place at the end of its latency, as far as others see.
            self.rounds.sleep(LATENCY_S * self.chance.uniform(0.7, 1.3))
            return None

        side = _side(self.store.client(faults=request), Journal(FilePath(self.folder) / f"{name}.db"), name)
        side._in_touch()
        return side

    def change(self, side: RemoteSide) -> str:
        """Something was uploaded."""
        op = side.clock.random_id()
        with side.journal.atomic():
            path = Path(f"{side.device}/{op}")
            side.journal.ledger.intend([Intent(Op(op), path, "put", sha256("0" * 64), 1, 420, None, False, 0)])
            side.journal.ledger.took_effect(Op(op), Version("v"))
        return op


def contention(_: int) -> None:
    """So many devices have something to tell at one instant."""
    for devices in (1, 2, 5, 10, 20, 50, 100, 200):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            team = Team(folder, random.Random(7))

            def one(name: str, team: Team = team) -> None:
                side = team.device(name)
                team.change(side)
                while side.announce():
                    team.rounds.sleep(0.01)
                team.waits.append(team.rounds.now)
                side.journal.close()

            for number in range(devices):
                team.rounds.start(lambda name=f"d{number}": one(name), 0.0)  # type: ignore[misc]
            team.rounds.run()
            puts, gets = team.requests.get("PUT", 0), team.requests.get("GET", 0)
            print(
                f"| {devices} | {puts:,} | {gets:,} | {statistics.median(team.waits):.1f} s | {max(team.waits):.1f} s |"
            )


def load(devices: int) -> None:
    """Devices that poll and announce at random, so many entries a second in all, for a minute."""
    devices = min(devices, 50)
    for rate in (0.1, 1.0, 3.0, 10.0, 20.0):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            team = Team(folder, random.Random(7))
            stamps: dict[int, float] = {}

            def one(name: str, team: Team = team, rate: float = rate, stamps: dict[int, float] = stamps) -> None:
                side = team.device(name)
                mine = random.Random(name)
                news = team.rounds.now + mine.uniform(0, POLL_S)
                change = team.rounds.now + mine.expovariate(rate / devices)
                while team.rounds.now < END_S:
                    team.rounds.sleep(max(0.0, min(news, change, END_S) - team.rounds.now))
                    if team.rounds.now >= change:
                        team.change(side)
                        begun = team.rounds.now
                        change = begun + mine.expovariate(rate / devices)
                        while side.announce():
                            pass
                        stamps[side.cursor] = team.rounds.now
                        team.waits.append(team.rounds.now - begun)
                    if team.rounds.now >= news:
                        before = side.cursor
                        while side.poll() and team.rounds.now < END_S + 60:
                            pass
                        for number in range(before + 1, side.cursor + 1):
                            if number in stamps:
                                team.lags.append(team.rounds.now - stamps[number])
                        news = team.rounds.now + POLL_S * mine.uniform(0.8, 1.2)
                side.journal.close()

            for number in range(devices):
                team.rounds.start(lambda name=f"d{number}": one(name), 0.0)  # type: ignore[misc]
            team.rounds.run()
            entries = len(stamps)
            puts, gets = team.requests.get("PUT", 0), team.requests.get("GET", 0)
            # Every entry is read once by every other device; the rest are polls that found nothing, and races.
            print(
                f"| {rate:g} | {entries} | {puts / max(1, entries):.2f} | {gets / devices / END_S:.2f} |"
                f" {_quantiles(team.waits)} | {_quantiles(team.lags)} |"
            )


def _quantiles(seconds: list[float]) -> str:
    if len(seconds) < 2:
        return "-"
    return f"{statistics.median(seconds):.2f} / {statistics.quantiles(seconds, n=20)[-1]:.2f} s"


def costs(_: int) -> None:
    """A month of an idle device, by the estimate that status shows."""
    for objects in (1_000, 100_000, 1_000_000, 10_000_000):
        for poll_s, factor in ((15.0, 1), (15.0, 8), (600.0, 8)):
            pace = Pace(None, factor=factor)
            every = pace.interval_s(objects)
            queue = poll_s > POLL_S
            cost = estimate(
                RequestCounts(), 0.0, Schedule(poll_s, every, objects, queue), scheme="s3", own_endpoint=False
            )
            print(
                f"| {objects:,} | {poll_s:g} s{' and push' if queue else ''} | {every / 3600:.2f} h |"
                f" {MONTH_S / every * objects / 1000:,.0f} | {cost.requests_per_month:,} | {cost.usd_per_month:.2f} |"
            )


PARTS: dict[str, Callable[[int], None]] = {
    "listing": listing,
    "log": log,
    "contention": contention,
    "load": load,
    "costs": costs,
}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part", nargs="?", default="all", choices=[*PARTS, "all"])
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--devices", type=int, default=50)
    asked = parser.parse_args()
    for name, part in PARTS.items():
        if asked.part in {name, "all"}:
            print(f"\n{name}: {part.__doc__}", flush=True)
            size = asked.devices if name == "load" else asked.objects
            process = multiprocessing.get_context("spawn").Process(target=part, args=(size,))
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(process.exitcode)


if __name__ == "__main__":
    main()
