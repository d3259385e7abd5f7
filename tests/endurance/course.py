"""One run: four devices, a day's edits, samples on the way, and what must hold at the end."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.daemons import RealDaemon, settle, wait_until
from tests.e2e.persons import assert_settled
from tests.e2e.places import GUARD, Place
from tests.endurance import daemon as short
from tests.endurance.churn import Day
from tests.endurance.curve import BucketSample, Sample, look, look_at_bucket
from tests.servers import Server

NAMES = "abcdefgh"
UPKEEP_S = 60.0
"""Upkeep that is due later is not waited for at the end."""


def directory_sizes(root: Path) -> dict[str, int]:
    """Of every object of a bucket in a directory."""
    found: dict[str, int] = {}
    for folder, _, files in os.walk(root):
        for file in files:
            full = os.path.join(folder, file)
            with contextlib.suppress(FileNotFoundError):  # it is at work
                found[os.path.relpath(full, root)] = os.lstat(full).st_size
    return found


def s3_sizes(server: Server, bucket: str, prefix: str) -> dict[str, int]:
    """Of every object below a prefix."""
    found: dict[str, int] = {}
    with closing(server.client()) as client:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", ()):
                found[item["Key"].removeprefix(prefix)] = item["Size"]
    return found


@dataclass
class Course:
    """See the module."""

    place: Place
    sizes: Callable[[], Mapping[str, int]]
    limits: short.Limits
    devices: int
    files: int
    seed: int
    say: Callable[[str], None] = lambda _line: None
    samples: list[Sample] = field(default_factory=list)
    bucket: list[BucketSample] = field(default_factory=list)
    daemons: list[RealDaemon] = field(default_factory=list)
    day: Day = field(init=False)
    began: float = 0.0

    def begin(self) -> None:
        """All hold the files."""
        settings = {**self.place.settings, **self.limits.settings(), "guard": GUARD, "poll_s": 2.0}
        env = {**settings.pop("env", {}), short.VARIABLE: self.limits.text()}
        for name in NAMES[: self.devices]:
            daemon = RealDaemon(
                self.place.base, name, self.place.bucket, env=env, module="tests.endurance.daemon", **settings
            )
            self.place.started.append(daemon)
            self.daemons.append(daemon)
        # Half of them are never restarted: what leaks shows in these.
        self.day = Day(self.daemons, self.seed, self.files, self.daemons[len(self.daemons) // 2 :])
        for daemon in self.daemons:
            daemon.launch()
        for daemon in self.daemons:
            daemon.ready().sync(timeout_s=1800)
        self.began = time.monotonic()

    def work(self, seconds: float, *, pause_s: float, look_s: float, restart_s: float) -> None:
        """So long, one edit after each pause, a sample and a restart every so often."""
        wait = threading.Event()
        end, looked, restarted, listed = self.began + seconds, 0.0, time.monotonic(), 0.0
        while (now := time.monotonic()) < end:
            self.day.step()
            if now - looked >= look_s:
                looked = now
                self.look()
            if now - listed >= 6 * look_s:
                listed = now
                self.bucket.append(look_at_bucket(self.sizes(), self.began))
                self.say(f"{self.bucket[-1]} {self.samples[-1]} {self.day.done}")
            if now - restarted >= restart_s:
                restarted = now
                self.day.restart_one()
            wait.wait(self.day.rng.random() * 2 * pause_s)

    def end(self) -> dict[str, int]:
        """Equal everywhere, and nothing lost. Returns what was done how often."""
        for daemon in self.daemons:
            daemon.ready()
        settle(*self.daemons)
        done = self.day.close()
        # Where the log is kept for seconds, what is left of it is not old yet.
        soon = self.limits.log_s + 3 * self.limits.purge_every_s
        assert_settled(self.place, self.day.account, *self.daemons, upkeep_s=soon if soon < UPKEEP_S else 0.0)
        return done

    def quiet(self) -> dict[str, tuple[int, int]]:
        """Descriptors and threads of each daemon at rest, once no more of them go away."""
        found: dict[str, tuple[int, int]] = {}

        def unchanged() -> bool:
            nonlocal found
            before, found = found, {s.device: (s.descriptors, s.threads) for s in self._now()}
            return before == found

        # What is idle ends within seconds: connections, threads of the pool.
        threading.Event().wait(2 * self.limits.idle_thread_s)
        wait_until("threads and descriptors stay as they are", unchanged, 60)
        return found

    def _now(self) -> list[Sample]:
        return [sample for daemon in self.daemons if (sample := look(daemon, self.began)) is not None]

    def look(self) -> None:
        """Take a sample of each."""
        self.samples += self._now()
