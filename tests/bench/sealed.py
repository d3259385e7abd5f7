"""Cases of one large encrypted file, beside the same in plain."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from dorkyd.api import calls
from dorkyd.core.settings import GiB
from dorkyd.keys import KeyHome, new_identity, own_key
from tests.bench import data
from tests.bench.measure import Meter, Sample, memory_mb
from tests.bench.stage import SYNC_S, Daemon, Run, Stage
from tests.daemons import wait_until

NAME = "big.bin"
PLAIN = "dorkyd, not encrypted"
PATTERNS = ("*.bin",)


@contextlib.contextmanager
def up(stage: Stage) -> Iterator[Mapping[str, Run]]:
    """A file of 1 GiB, encrypted, to a bucket"""
    size = stage.scaled(GiB)

    def run(patterns: tuple[str, ...]) -> Callable[[], Sample]:
        def one() -> Sample:
            with (
                stage.folder("sealed-up") as folder,
                stage.bucket() as bucket,
                stage.daemon("up", root=folder, bucket=bucket, poll_s=3600) as daemon,
            ):
                daemon.in_sync(0)
                _keys(daemon, patterns)
                data.large_file(folder.parent / NAME, size)
                meter = Meter(stage.store, bucket, daemon.pid)
                (folder.parent / NAME).rename(folder / NAME)
                daemon.sync(SYNC_S)
                sample = meter.done(f"afterwards {memory_mb(daemon.pid, 'VmRSS'):.0f} MB")
                stored = stage.objects(bucket)[f"p/{NAME}"]
                assert (stored > size) == bool(patterns), stored
            return sample

        return one

    yield {"dorkyd": run(PATTERNS), PLAIN: run(())}


@contextlib.contextmanager
def down(stage: Stage) -> Iterator[Mapping[str, Run]]:
    """A file of 1 GiB, encrypted, from the bucket to a folder of a daemon that runs"""
    size = stage.scaled(GiB)

    def run(patterns: tuple[str, ...]) -> Callable[[], Sample]:
        def one() -> Sample:
            with (
                stage.folder("sealed-seed") as seed,
                stage.folder("sealed-down") as folder,
                stage.bucket() as bucket,
                stage.daemon("seed", root=seed, bucket=bucket) as writer,
            ):
                writer.in_sync(0)
                print_ = _keys(writer, patterns)
                data.large_file(seed / NAME, size)
                writer.sync(SYNC_S)
                with stage.daemon("down", root=folder, bucket=bucket, poll_s=3600, mode="push") as reader:
                    _same_key(reader, writer)
                    reader.in_sync(0)
                    _trusting(reader, print_)
                    return _arrival(stage, bucket, reader, folder, size)

        return one

    yield {"dorkyd": run(PATTERNS), PLAIN: run(())}


def _arrival(stage: Stage, bucket: str, reader: Daemon, folder: Path, size: int) -> Sample:
    """A mode that never writes the folder has kept the file out so far: from here on it comes."""
    reader.settings["projects"][0]["mode"] = "two-way"
    meter = Meter(stage.store, bucket, reader.pid)
    reader.configure(reader.settings)
    wait_until("the file is here", (folder / NAME).exists, SYNC_S)
    sample = meter.done(f"afterwards {memory_mb(reader.pid, 'VmRSS'):.0f} MB")
    assert (folder / NAME).stat().st_size == size
    return sample


def _keys(daemon: Daemon, patterns: tuple[str, ...]) -> str:
    """The project gets keys and patterns; its fingerprint. Without patterns: nothing at all."""
    if not patterns:
        return ""
    KeyHome(daemon.home / "keys").keep(new_identity().encode())
    with daemon.client() as client:
        made = client.send(calls.begin_keys("p", "one", own_key(new_identity().encode()).share)).value
        client.send(calls.encrypt("p", patterns))
    return made.fingerprint


def _same_key(daemon: Daemon, other: Daemon) -> None:
    """The person's other machine."""
    theirs = KeyHome(other.home / "keys")
    if theirs.file.exists():
        KeyHome(daemon.home / "keys").keep(theirs.export())


def _trusting(daemon: Daemon, print_: str) -> None:
    if print_:
        with daemon.client() as client:
            client.send(calls.trust("p", print_))
