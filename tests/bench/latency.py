"""How long a saved file takes to the bucket, and to another device."""

from __future__ import annotations

import contextlib
import random
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.bench import data
from tests.bench.measure import Meter, Sample
from tests.bench.stage import Daemon, Run, Stage
from tests.bench.watch import Watched, until

FILES, SIZE = 500, 4096
SETTLE_S, POLL_S = 1.0, 2.0
IN_BUCKET, ON_DEVICE = "dorkyd: in the bucket", "dorkyd: on the other device"


class Saves:
    """Saves one file after another on the first of two devices. Each save is a sample of both ways."""

    def __init__(self, stage: Stage, bucket: str, here: Daemon, there: Daemon) -> None:
        self._stage, self._bucket, self._here, self._there = stage, bucket, here, there
        self._watched = Watched(stage, bucket)
        self._phase = random.Random(POLL_S)
        self._seed = 0
        self._waiting: dict[str, deque[Sample]] = {IN_BUCKET: deque(), ON_DEVICE: deque()}

    def next(self, name: str) -> Sample:
        """A sample of one way."""
        if not self._waiting[name]:
            self._save()
        return self._waiting[name].popleft()

    def _save(self) -> None:
        self._seed += 1
        files = sorted(self._here.root.glob("d*/e*/*"))
        path = str(files[self._seed * 31 % len(files)].relative_to(self._here.root))
        here, there = self._here.root / path, self._there.root / path
        time.sleep(POLL_S * self._phase.random())  # polls come at any moment of it
        tag, asked = self._watched.tag(path), self._watched.traffic
        meters = {
            IN_BUCKET: Meter(self._stage.store, self._bucket, self._here.pid),
            ON_DEVICE: Meter(self._stage.store, self._bucket, self._there.pid),
        }
        begun = time.monotonic()
        data.overwrite(here, self._seed)
        time.sleep(0.9 * SETTLE_S)  # nothing can have arrived
        stored = self._watched.changed(path, tag)
        arrived = until(f"{path} on the other device", lambda: _same(here, there))
        asked = self._watched.traffic.since(asked)
        for name, ended in ((IN_BUCKET, stored), (ON_DEVICE, arrived)):
            took = ended - begun
            note = f"{took - SETTLE_S:.3f} s beyond settle_s {SETTLE_S:g}"
            note += "" if name == IN_BUCKET else f", poll_s {POLL_S:g}"
            self._waiting[name].append(meters[name].done(note, wall_s=took, watched=asked))


def _same(here: Path, there: Path) -> bool:
    return here.read_bytes() == there.read_bytes()


@contextlib.contextmanager
def latency(stage: Stage) -> Iterator[Mapping[str, Run]]:
    """One file saved, two devices: from the write to the bucket, and to the other device's folder"""
    with stage.folder("here") as here, stage.folder("there") as there, stage.bucket() as bucket:
        data.small_files(here, stage.scaled(FILES), SIZE)
        files, _ = data.total(here)
        settings = {"settle_s": SETTLE_S, "poll_s": POLL_S, "bucket": bucket}
        with stage.daemon("here", root=here, **settings) as one:
            one.in_sync(files)
            with stage.daemon("there", root=there, **settings) as other:
                other.in_sync(files)
                saves = Saves(stage, bucket, one, other)
                yield {name: lambda name=name: saves.next(name) for name in (IN_BUCKET, ON_DEVICE)}
