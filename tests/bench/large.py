"""Cases of one large file: up, down, and an upload that was killed."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from dorkyd.core.settings import GiB, MiB
from tests.bench import data
from tests.bench.measure import Meter, Sample, kill_peer, memory_mb, start_peer
from tests.bench.peers import Peers
from tests.bench.proxy import Proxy
from tests.bench.stage import SYNC_S, Run, Stage
from tests.bench.watch import until

NAME = "big.bin"
LEAST = 96 * MiB
"""A smaller upload may be over before it can be killed."""


@contextlib.contextmanager
def up(stage: Stage) -> Iterator[Mapping[str, Run]]:
    """A file of 1 GiB to an empty bucket"""
    with stage.folder("large") as folder:
        file, size = folder / NAME, stage.scaled(GiB)
        data.large_file(file, size)

        def ours() -> Sample:
            data.forget_us(folder)
            with stage.bucket() as bucket, stage.daemon("up") as daemon:
                meter = Meter(stage.store, bucket, daemon.pid)
                daemon.add(folder, bucket)
                sample = meter.done(f"afterwards {memory_mb(daemon.pid, 'VmRSS'):.0f} MB")
                stage.expect(bucket, 1, size)
            data.forget_us(folder)
            return sample

        def theirs(command: Callable[[str], list[str]]) -> Run:
            def run() -> Sample:
                with stage.bucket() as bucket:
                    sample = stage.peer(bucket, command(bucket))
                    stage.expect(bucket, 1, size)
                return sample

            return run

        yield {"dorkyd": ours, **{name: theirs(command) for name, command in _uploads(stage.peers, file).items()}}


@contextlib.contextmanager
def down(stage: Stage) -> Iterator[Mapping[str, Run]]:
    """A file of 1 GiB from the bucket to an empty folder of a daemon that runs"""
    with stage.folder("seed") as seed, stage.bucket() as bucket:
        size = stage.scaled(GiB)
        data.large_file(seed / NAME, size)
        with stage.daemon("seed", root=seed, bucket=bucket) as daemon:
            daemon.in_sync(1)

        def ours() -> Sample:
            with (
                stage.bucket() as own,
                stage.folder("down") as folder,
                stage.daemon("down", root=folder, bucket=own, poll_s=3600) as daemon,
            ):
                daemon.in_sync(0)
                stage.copy(bucket, own, f"p/{NAME}")
                meter = Meter(stage.store, own, daemon.pid)
                daemon.sync(SYNC_S)
                sample = meter.done(f"afterwards {memory_mb(daemon.pid, 'VmRSS'):.0f} MB; durable when done")
                assert (folder / NAME).stat().st_size == size
            return sample

        def theirs(command: Callable[[Path], list[str]]) -> Run:
            def run() -> Sample:
                with stage.folder("down") as folder:
                    sample = stage.peer(bucket, command(folder))
                    assert (folder / NAME).stat().st_size == size
                return sample

            return run

        peers = stage.peers
        there = f"s3://{bucket}/p/{NAME}"
        yield {
            "dorkyd": ours,
            "rclone copy": theirs(lambda to: peers.rclone("copy", f"B:{bucket}/p/{NAME}", str(to))),
            "s5cmd cp": theirs(lambda to: peers.s5cmd("cp", "-c", "16", "-p", "16", there, f"{to}/")),
            "aws s3 cp": theirs(lambda to: peers.aws("cp", there, f"{to}/")),
            "obstore, raw": theirs(lambda to: peers.raw("down", bucket, str(to / NAME))),
            "obstore, raw, SHA-256 and fsync": theirs(lambda to: peers.raw("sure", bucket, str(to / NAME))),
        }


def _uploads(peers: Peers, file: Path) -> dict[str, Callable[[str], list[str]]]:
    tuned = ("--s3-chunk-size", "16M", "--s3-upload-concurrency", "8")
    return {
        "rclone copy": lambda bucket: peers.rclone("copy", str(file), f"B:{bucket}/p", *tuned),
        "s5cmd cp": lambda bucket: peers.s5cmd("cp", "-c", "16", "-p", "16", str(file), f"s3://{bucket}/p/{NAME}"),
        "aws s3 cp": lambda bucket: peers.aws("cp", str(file), f"s3://{bucket}/p/{NAME}"),
        "obstore, raw": lambda bucket: peers.raw("up", str(file), bucket),
    }


@contextlib.contextmanager
def killed(stage: Stage) -> Iterator[Mapping[str, Run]]:
    """An upload of 1 GiB killed (SIGKILL) and started again: seconds and cost of the second start"""
    with stage.folder("large") as folder:
        file, size = folder / NAME, max(stage.scaled(GiB), LEAST)
        data.large_file(file, size)

        def ours(*, lose_reply: bool) -> Sample:
            data.forget_us(folder)
            with stage.bucket() as bucket, Proxy(stage.store.server.endpoint_url) as proxy:
                proxy.hold_completion_of = f"/{bucket}/p/{NAME}" if lose_reply else None
                place = {"root": folder, "bucket": bucket, "endpoint_url": proxy.url}
                with stage.daemon("killed", ready=False, **place) as daemon:
                    if lose_reply:
                        until("the reply to the completion", proxy.held.is_set)
                    else:
                        until("a third was sent", lambda: proxy.sent >= size / 3)
                    daemon.kill()
                    first = proxy.stop_holding()
                    begun = time.monotonic()
                    meter = Meter(stage.store, bucket, None)
                    daemon.launch()
                    meter.pid = daemon.pid
                    daemon.ready()
                    daemon.in_sync(1)
                    sample = meter.done(_told(first, proxy.sent, size), wall_s=time.monotonic() - begun)
                    stage.expect(bucket, 1, size)
            data.forget_us(folder)
            return sample

        def theirs(name: str) -> Run:
            def run() -> Sample:
                with (
                    stage.bucket() as bucket,
                    Proxy(stage.store.server.endpoint_url) as proxy,
                    stage.folder("home") as home,
                ):
                    peers = Peers(replace(stage.store.server, endpoint_url=proxy.url), home / "home")
                    command = _uploads(peers, file)[name](bucket)
                    process = start_peer(command, peers.env, home, subprocess.DEVNULL)
                    try:
                        until("a third was sent", lambda: proxy.sent >= size / 3)
                    finally:
                        kill_peer(process)
                        process.wait()
                    first = proxy.stop_holding()
                    sample = stage.peer(bucket, command, peers.env)
                    stage.expect(bucket, 1, size)
                return replace(sample, note=_told(first, proxy.sent, size))

            return run

        yield {
            "dorkyd": lambda: ours(lose_reply=False),
            "dorkyd, killed before the last reply": lambda: ours(lose_reply=True),
            **{name: theirs(name) for name in ("rclone copy", "s5cmd cp", "aws s3 cp")},
        }


def _told(first: int, both: int, size: int) -> str:
    return f"sent {both / size:.3f} of the size: {first / size:.3f} and then {(both - first) / size:.3f}"
