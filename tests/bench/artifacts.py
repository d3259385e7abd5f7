"""Cases of the artifact API: one large body beside the daemon's own transfer of it, and many small ones."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from dorkyd.client import DorkyClient
from dorkyd.core.settings import GiB
from tests.bench import data
from tests.bench.large import NAME
from tests.bench.measure import Meter, Sample
from tests.bench.stage import SYNC_S, Daemon, Run, Stage

OWN = "the daemon's own transfer"
REQUESTS, SIZE, AT_ONCE = 2000, 4096, 8
VERBS = ("PUT", "GET", "HEAD")


@contextlib.contextmanager
def up(stage: Stage) -> Iterator[Mapping[str, Run]]:
    """A body of 1 GiB through the API to an empty bucket, beside a file of a folder"""
    with stage.folder("large") as folder:
        file, size = folder / NAME, stage.scaled(GiB)
        data.large_file(file, size)

        def ours() -> Sample:
            with stage.bucket() as bucket, bucket_only(stage, bucket) as daemon, daemon.client() as client:
                meter = Meter(stage.store, bucket, daemon.pid)
                client.upload(file, f"p:{NAME}")
                sample = meter.done()
                stage.expect(bucket, 1, size)
            return sample

        def own() -> Sample:
            data.forget_us(folder)
            with stage.bucket() as bucket, stage.daemon("own") as daemon:
                meter = Meter(stage.store, bucket, daemon.pid)
                daemon.add(folder, bucket)
                sample = meter.done()
                stage.expect(bucket, 1, size)
            data.forget_us(folder)
            return sample

        yield {"dorkyd": ours, OWN: own}


@contextlib.contextmanager
def down(stage: Stage) -> Iterator[Mapping[str, Run]]:
    """A body of 1 GiB through the API into a file, beside the arrival of a teammate's in a folder"""
    with stage.folder("seed") as seed, stage.bucket() as bucket:
        size = stage.scaled(GiB)
        data.large_file(seed / NAME, size)
        with stage.daemon("seed", root=seed, bucket=bucket) as daemon:
            daemon.in_sync(1)

        def ours() -> Sample:
            with stage.folder("down") as to, bucket_only(stage, bucket) as daemon, daemon.client() as client:
                meter = Meter(stage.store, bucket, daemon.pid)
                client.download(f"p:{NAME}", to / NAME)
                sample = meter.done()
                assert (to / NAME).stat().st_size == size
            return sample

        def own() -> Sample:
            with (
                stage.bucket() as other,
                stage.folder("down") as to,
                stage.daemon("down", root=to, bucket=other, poll_s=3600) as daemon,
            ):
                daemon.in_sync(0)
                stage.copy(bucket, other, f"p/{NAME}")
                meter = Meter(stage.store, other, daemon.pid)
                daemon.sync(SYNC_S)
                sample = meter.done()
                assert (to / NAME).stat().st_size == size
            return sample

        yield {"dorkyd": ours, OWN: own}


@contextlib.contextmanager
def small(stage: Stage) -> Iterator[Mapping[str, Run]]:
    """2,000 artifacts of 4 KiB through the API, eight at one time: PUT, then GET and HEAD of each"""
    count = stage.scaled(REQUESTS)
    with stage.folder("small") as folder, stage.bucket() as bucket, bucket_only(stage, bucket) as daemon:
        rounds = iter(range(1_000_000))

        def put(client: DorkyClient, path: str) -> None:
            client.upload(os.urandom(SIZE), path)

        def get(client: DorkyClient, path: str) -> None:
            client.download(path, folder / path.rpartition("/")[2])

        def head(client: DorkyClient, path: str) -> None:
            client.stat(path)

        def run(ask: Callable[[DorkyClient, str], None], prefix: str) -> Sample:
            paths = [f"p:{prefix}/{number:06}" for number in range(count)]
            with daemon.client() as client, ThreadPoolExecutor(AT_ONCE) as pool:
                meter = Meter(stage.store, bucket, daemon.pid)
                begun = time.monotonic()
                for _ in pool.map(lambda path: ask(client, path), paths):
                    pass
                took = time.monotonic() - begun
            return replace(meter.done(wall_s=took), note=f"{count / took:.0f} /s")

        def fresh() -> Sample:
            return run(put, f"round-{next(rounds)}")

        with daemon.client() as client, ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda number: put(client, f"p:there/{number:06}"), range(count)))
        yield {
            f"dorkyd: {VERBS[0]}": fresh,
            f"dorkyd: {VERBS[1]}": lambda: run(get, "there"),
            f"dorkyd: {VERBS[2]}": lambda: run(head, "there"),
        }


@contextlib.contextmanager
def bucket_only(stage: Stage, bucket: str) -> Iterator[Daemon]:
    """A daemon with a project that has no folder: nothing is moved but what clients ask for."""
    with stage.daemon("api", ready=False, bucket=bucket, poll_s=3600) as daemon:
        daemon.kill()
        del daemon.settings["projects"][0]["path"]
        daemon.configure(daemon.settings)
        daemon.start()
        with daemon.client() as client:  # by then the bucket is proved, and its client loaded
            client.upload(b"", "p:warm")
            client.delete("p:warm")
        yield daemon
