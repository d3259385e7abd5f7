"""Eight people who write the same fifty files at the same time, each on a device of their own."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dorkyd.buckets import open_bucket
from dorkyd.buckets.memory import MemoryBucket
from dorkyd.core.settings import Project
from dorkyd.ports import Bucket
from tests.daemons import settle
from tests.e2e.persons import Account, Person, assert_settled, digest
from tests.e2e.places import FULL, SEED, Place, s3_place
from tests.servers import Server
from tests.threaded import ThreadedDevice

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WRITERS, KEYS = 8, 50
LASTS_S = 60.0 if FULL else 4.0
PAUSE_S = 0.1
"""Between two writes of one person, on average."""

Meeting = tuple[Place, Callable[[Project], Bucket]]


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.s3)])
def meeting(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Meeting]:
    """A bucket in memory that takes large files in sessions, then a prefix of a real S3 server."""
    if request.param == "memory":
        store = MemoryBucket(sessions_over=100_000, part_bytes=64 * 1024)

        def read() -> dict[str, bytes]:
            bucket = store.client()
            keys = [listed.key for page in bucket.list() for listed in page]
            return {key: found[1] for key in keys if (found := bucket.read(key)) is not None}

        yield Place(tmp_path, "mem://", read), lambda _project: store.client()
        assert store.open_sessions == []
        return
    server: Server = request.getfixturevalue("seaweed")
    server.enter(monkeypatch)
    with s3_place(tmp_path, server) as place:
        yield place, open_bucket


def write(person: Person, until: float) -> None:
    """Create or update one of the files, again and again."""
    rng, wait = person.rng, threading.Event()
    while time.monotonic() < until:
        path = f"keys/{rng.randrange(KEYS):02}.txt"
        # Not possible where sync was quicker: then nothing was written.
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            if not (person.root / path).exists():
                person.create(path)
            elif rng.random() < 0.5:
                person.edit_in_place(path)
            else:
                person.save(path)
        wait.wait(rng.random() * 2 * PAUSE_S)


def test_eight_writers_of_the_same_fifty_keys(meeting: Meeting) -> None:
    """What a person did not knowingly replace is current or in a conflict copy; what the bucket acknowledged is current,
    in a conflict copy or in the bucket's trash.
    """
    place, bucket = meeting
    settings = {"bucket": place.bucket, "endpoint_url": place.settings.get("endpoint_url")}
    devices = [ThreadedDevice(place.base, f"w{n}", bucket, **settings) for n in range(WRITERS)]
    account, rng = Account(), random.Random(SEED)
    persons = [Person(d, random.Random(rng.random()), account, place.base / f"away-{d.name}") for d in devices]  # type: ignore[arg-type]
    try:
        for device in devices:
            device.start()
        until = time.monotonic() + LASTS_S
        at_work = [threading.Thread(target=write, args=(person, until)) for person in persons]
        for thread in at_work:
            thread.start()
        for thread in at_work:
            thread.join()
        settle(*devices, rounds=30)  # type: ignore[arg-type]
        assert_settled(place, account, *devices)  # type: ignore[arg-type]
        acknowledged = set().union(*(device.uploaded() for device in devices))
        found = {digest(data) for data in (*place.live().values(), *place.trash())}
        assert len(acknowledged) > WRITERS * 10, "the devices hardly met"
        missing = acknowledged - found
        assert not missing, f"of {len(acknowledged)} acknowledged, {len(missing)} are nowhere in the bucket"
    finally:
        for device in devices:
            device.stop()
