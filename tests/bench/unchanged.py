"""Cases of a folder of 100,000 files that both sides hold already: nothing changed, one change, at rest."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench import data
from tests.bench.measure import Meter, Sample
from tests.bench.stage import Daemon, Run, Stage
from tests.bench.watch import Watched

FILES, SIZE = 100_000, 1024
REST_S = 60.0


@dataclass(slots=True)
class Ours:
    """Our side: tree, bucket, and a daemon that synced them."""

    tree: Path
    bucket: str
    daemon: Daemon
    files: int
    seed: int = 0


@dataclass(slots=True)
class Theirs:
    """A tree of the peers' own with its bucket, and rclone's state."""

    tree: Path
    bucket: str
    state: Path
    seed: int = 0


def _a_file(tree: Path, seed: int) -> str:
    """Another one each time."""
    folders = sorted(tree.glob("d*/e*"))
    files = sorted(folders[seed * 7919 % len(folders)].iterdir())
    return str(files[seed * 104_729 % len(files)].relative_to(tree))


@contextlib.contextmanager
def ours(stage: Stage) -> Iterator[Ours]:
    """Made once for all cases here."""
    with stage.folder("hundred") as tree, stage.bucket() as bucket:
        data.small_files(tree, stage.scaled(FILES), SIZE)
        files, size = data.total(tree)
        with stage.daemon("hundred", root=tree, bucket=bucket) as daemon:
            daemon.in_sync(files)
            stage.expect(bucket, files, size)
            yield Ours(tree, bucket, daemon, files)


@contextlib.contextmanager
def theirs(stage: Stage) -> Iterator[Theirs]:
    """Made once for all cases here. Its bucket serves the one-way tools too."""
    with stage.folder("hundred-peers") as tree, stage.folder("state") as state, stage.bucket() as bucket:
        data.small_files(tree, stage.scaled(FILES), SIZE)
        stage.peer(bucket, stage.peers.bisync(tree, bucket, state, "--resync"))
        stage.expect(bucket, *data.total(tree))
        yield Theirs(tree, bucket, state)


@contextlib.contextmanager
def unchanged(stage: Stage) -> Iterator[Mapping[str, Run]]:
    """100,000 files, nothing changed: a daemon's start to in-sync with a full listing, or a tool's whole run"""
    side = stage.once(ours)

    def restart() -> Sample:
        side.daemon.stop()
        meter = Meter(stage.store, side.bucket, None)
        side.daemon.launch()
        meter.pid = side.daemon.pid
        side.daemon.ready()
        side.daemon.in_sync(side.files)
        return meter.done("process start included")

    def run(command: Callable[[Theirs], list[str]]) -> Run:
        def peer() -> Sample:
            theirs_ = stage.once(theirs)
            return stage.peer(theirs_.bucket, command(theirs_))

        return peer

    peers = stage.peers
    yield {
        "dorkyd": restart,
        "rclone bisync": run(lambda at: peers.bisync(at.tree, at.bucket, at.state)),
        "rclone sync": run(lambda at: peers.rclone("sync", str(at.tree), f"B:{at.bucket}/p")),
        "s5cmd sync": run(lambda at: peers.s5cmd("sync", f"{at.tree}/", f"s3://{at.bucket}/p/")),
    }


@contextlib.contextmanager
def one_change(stage: Stage) -> Iterator[Mapping[str, Run]]:
    """One file saved among 100,000: from the write to the object in the bucket"""
    side = stage.once(ours)

    def save() -> Sample:
        side.daemon.in_sync(side.files)
        side.seed += 1
        path = _a_file(side.tree, side.seed)
        watched = Watched(stage, side.bucket)
        tag = watched.tag(path)
        meter = Meter(stage.store, side.bucket, side.daemon.pid)
        before = watched.traffic
        begun = time.monotonic()
        data.overwrite(side.tree / path, side.seed)
        time.sleep(0.9)  # nothing can have arrived: the watching begins shortly before the file has been quiet for 1 s
        took = watched.changed(path, tag) - begun
        time.sleep(1)  # the log entry
        note = f"settle_s 1 and {took - 1:.3f} s"
        return meter.done(note, wall_s=took, watched=watched.traffic.since(before))

    def bisync() -> Sample:
        at = stage.once(theirs)
        at.seed += 1
        path = _a_file(at.tree, at.seed)
        watched = Watched(stage, at.bucket)
        tag = watched.tag(path)
        data.overwrite(at.tree / path, at.seed)
        sample = stage.peer(at.bucket, stage.peers.bisync(at.tree, at.bucket, at.state))
        assert watched.tag(path) != tag, f"{path} did not arrive"
        return sample

    yield {"dorkyd": save, "rclone bisync": bisync}


@contextlib.contextmanager
def idle(stage: Stage) -> Iterator[Mapping[str, Run]]:
    """60 s of rest with 100,000 files and poll_s 15"""
    side = stage.once(ours)

    def rest() -> Sample:
        side.daemon.in_sync(side.files)
        time.sleep(5)
        meter = Meter(stage.store, side.bucket, side.daemon.pid)
        time.sleep(stage.scaled(int(REST_S)))
        sample = meter.done()
        return dataclasses.replace(sample, note=f"{100 * sample.cpu_s / sample.wall_s:.2f} % of a core")

    yield {"dorkyd": rest}
