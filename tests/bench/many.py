"""Cases of many files: a first sync of small ones, a mixed tree, a folder renamed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from dorkyd.core.settings import MiB
from tests.bench import data
from tests.bench.measure import Meter, Sample
from tests.bench.stage import Run, Stage
from tests.bench.watch import Watched, until


@contextlib.contextmanager
def small(stage: Stage) -> Iterator[Mapping[str, Run]]:
    """First sync of 20,000 files of 4 KiB into an empty bucket"""
    with stage.folder("tree") as tree:
        data.small_files(tree, stage.scaled(20_000), 4096)
        runs = _first_syncs(stage, tree)
        yield {**runs, "obstore, raw": _first(stage, tree, lambda bucket: stage.peers.raw("puts", str(tree), bucket))}


@contextlib.contextmanager
def mixed(stage: Stage) -> Iterator[Mapping[str, Run]]:
    """First sync of a mixed tree: 2,000 files up to 50 MB into an empty bucket"""
    with stage.folder("tree") as tree:
        data.mixed_files(tree, stage.scaled(2000), stage.scaled(50 * MiB))
        yield _first_syncs(stage, tree)


def _first_syncs(stage: Stage, tree: Path) -> dict[str, Run]:
    """Every tool on the same tree, each into a bucket of its own and without any state."""
    files, size = data.total(tree)

    def ours() -> Sample:
        data.forget_us(tree)
        with stage.bucket() as bucket, stage.daemon("first") as daemon:
            meter = Meter(stage.store, bucket, daemon.pid)
            daemon.add(tree, bucket)
            sample = meter.done()
            stage.expect(bucket, files, size)
        data.forget_us(tree)
        return sample

    def bisync() -> Sample:
        with stage.bucket() as bucket, stage.folder("state") as state:
            sample = stage.peer(bucket, stage.peers.bisync(tree, bucket, state, "--resync"))
            stage.expect(bucket, files, size)
        return sample

    peers = stage.peers
    return {
        "dorkyd": ours,
        "rclone bisync --resync": bisync,
        "rclone sync": _first(stage, tree, lambda bucket: peers.rclone("sync", str(tree), f"B:{bucket}/p")),
        "s5cmd sync": _first(stage, tree, lambda bucket: peers.s5cmd("sync", f"{tree}/", f"s3://{bucket}/p/")),
        "aws s3 sync": _first(stage, tree, lambda bucket: peers.aws("sync", str(tree), f"s3://{bucket}/p")),
    }


def _first(stage: Stage, tree: Path, command: Callable[[str], list[str]]) -> Run:
    files, size = data.total(tree)

    def run() -> Sample:
        with stage.bucket() as bucket:
            sample = stage.peer(bucket, command(bucket))
            stage.expect(bucket, files, size)
        return sample

    return run


@contextlib.contextmanager
def renamed(stage: Stage) -> Iterator[Mapping[str, Run]]:
    """A folder of 1,000 files renamed, among 4,000 others: from the rename to the bucket's having it so"""
    inside, others = stage.scaled(1000), stage.scaled(4000)
    peers = stage.peers

    @contextlib.contextmanager
    def tree() -> Iterator[Path]:
        with stage.folder("tree") as made:
            data.small_files(made / "stays", others, 4096)
            (made / "before").mkdir()
            data.small_files(made / "before", inside, 4097)
            yield made

    def ours() -> Sample:
        with tree() as root, stage.bucket() as bucket, stage.daemon("rename", root=root, bucket=bucket) as daemon:
            daemon.in_sync(inside + others)
            watched = Watched(stage, bucket)
            time.sleep(1)  # what was written last is announced
            meter = Meter(stage.store, bucket, daemon.pid)
            begun = time.monotonic()
            (root / "before").rename(root / "after")
            took = until("the rename in the bucket", lambda: _renamed(watched, inside), pause_s=0.05) - begun
            daemon.in_sync(inside + others)
            sample = meter.done(wall_s=took, watched=watched.traffic)
            _expect_renamed(stage, bucket, inside, others)
        return sample

    def theirs(first: Callable[[Path, str, Path], list[str]], then: Callable[[Path, str, Path], list[str]]) -> Run:
        def run() -> Sample:
            with tree() as root, stage.bucket() as bucket, stage.folder("state") as state:
                stage.peer(bucket, first(root, bucket, state))
                (root / "before").rename(root / "after")
                sample = stage.peer(bucket, then(root, bucket, state))
                _expect_renamed(stage, bucket, inside, others)
            return sample

        return run

    def sync(root: Path, bucket: str, _state: Path) -> list[str]:
        return peers.rclone("sync", str(root), f"B:{bucket}/p")

    yield {
        "dorkyd": ours,
        "rclone bisync": theirs(
            lambda root, bucket, state: peers.bisync(root, bucket, state, "--resync"),
            peers.bisync,
        ),
        "rclone sync": theirs(sync, sync),
        "rclone sync --track-renames": theirs(sync, lambda *at: [*sync(*at), "--track-renames"]),
        "s5cmd sync --delete": theirs(
            sync, lambda root, bucket, _: peers.s5cmd("sync", "--delete", f"{root}/", f"s3://{bucket}/p/")
        ),
        "aws s3 sync --delete": theirs(
            sync, lambda root, bucket, _: peers.aws("sync", str(root), f"s3://{bucket}/p", "--delete")
        ),
    }


def _renamed(watched: Watched, inside: int) -> bool:
    return watched.count("after") == inside and watched.count("before") == 0


def _expect_renamed(stage: Stage, bucket: str, inside: int, others: int) -> None:
    found = stage.objects(bucket)
    after = sum(key.startswith("p/after/") for key in found)
    assert (after, len(found)) == (inside, inside + others), (after, len(found))
