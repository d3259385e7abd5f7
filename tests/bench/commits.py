"""A project of 5,000 files with 1,000 commits: what listing, comparing, committing and checking out take."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from dorkyd.buckets import open_bucket
from dorkyd.client import DorkyClient
from dorkyd.commit_cache import CommitCache
from dorkyd.commit_store import CommitStore, Source
from dorkyd.commits import Committer
from dorkyd.core.commits import Commit, CommitId, new_commit
from dorkyd.core.metadata import sha256
from dorkyd.core.settings import Project
from dorkyd.news import Bytes
from tests.bench import data
from tests.bench.measure import Sample, Traffic, cpu_s, memory_mb
from tests.bench.stage import Run, Stage
from tests.daemons import RealDaemon

FILES, COMMITS, SIZE = 5000, 1000, 1024
CHANGED = 5
"""Files that are other ones in each commit than in the one before."""
_NOTHING = CommitCache(FilePath("/dev/null/cache"))


@dataclass(slots=True)
class Past:
    """A project's commits, and who asks for them."""

    daemon: RealDaemon
    ids: list[CommitId] = field(default_factory=list)
    seed: int = 0

    def timed(self, ask: Callable[[DorkyClient], object], note: str = "") -> Sample:
        """One request of a client."""
        process = self.daemon.process
        assert process is not None
        with self.daemon.client() as client:
            before, begun = cpu_s(process.pid), time.perf_counter()
            ask(client)
            took = time.perf_counter() - begun
        return Sample(took, cpu_s(process.pid) - before, memory_mb(process.pid), 0.0, Traffic({}, 0, 0), note)

    def turn(self, offset: int) -> CommitId:
        """Another one each time."""
        self.seed += 1
        return self.ids[(self.seed * 7919 + offset) % len(self.ids)]


@contextlib.contextmanager
def commits(stage: Stage) -> Iterator[Mapping[str, Run]]:
    """1,000 commits of 5,000 files of 1 KiB, 5 changed in each, in a directory: list, diff, commit, checkout by a daemon"""
    with stage.folder("commits") as base:
        bucket = base / "bucket"
        bucket.mkdir()
        daemon = RealDaemon(base, "commits", f"file://{bucket}", poll_s=3600, settle_s=0.1)
        data.small_files(daemon.root, stage.scaled(FILES), SIZE)
        daemon.start()
        try:
            daemon.sync()
            past = Past(daemon)
            with daemon.client() as client:
                client.commit("p", "the first")
            _make(
                CommitStore(open_bucket(Project("p", str(daemon.root), f"file://{bucket}")), _NOTHING), stage, past.ids
            )
            yield {
                "dorkyd commits, 100 never read": lambda: past.timed(lambda c: c.commits("p", limit=100)),
                "dorkyd commits, all": lambda: past.timed(lambda c: c.commits("p", limit=10_000)),
                "dorkyd diff, never read": lambda: past.timed(
                    lambda c: c.commit_diff("p", past.turn(0)[:12], past.turn(1)[:12])
                ),
                "dorkyd diff, read before": lambda: past.timed(
                    lambda c: c.commit_diff("p", past.ids[-1], past.ids[-2])
                ),
                "dorkyd checkout, 1 file": lambda: past.timed(lambda c: _one_file(c, past)),
                "dorkyd checkout": lambda: past.timed(lambda c: c.checkout("p", past.ids[-1 - past.seed % 2])),
                "dorkyd commit": lambda: past.timed(lambda c: _commit(c, past)),
            }
        finally:
            daemon.stop()


def _one_file(client: DorkyClient, past: Past) -> None:
    path = client.commit_files("p", past.ids[-1], limit=1).items[0].path
    client.checkout("p", past.turn(0), [path])


def _commit(client: DorkyClient, past: Past) -> None:
    past.seed += 1
    (past.daemon.root / "new").write_text(str(past.seed))
    client.commit("p", f"number {past.seed}")


def _make(store: CommitStore, stage: Stage, ids: list[CommitId]) -> None:
    """So many commits, as a device would make them that changes a few files before each."""
    newest = store.newest()
    assert newest is not None
    commit_id, parent = store.read(newest)
    contents = {file.digest for file in parent.files}
    for number in range(stage.scaled(COMMITS) - 1):
        files, sources = dict(parent.by_path), {}
        for place in range(CHANGED):
            old = parent.files[(number * CHANGED + place) % len(parent.files)]
            text = f"{number} {place}".encode().ljust(SIZE, b".")
            digest = sha256(hashlib.sha256(text).hexdigest())
            key = f".dorky/bench/{number % 2}-{place}"
            found = store.bucket.head(key)
            replaces = found.version if found is not None else None
            version = store.bucket.put(key, Bytes(text), replaces=replaces, meta={}).version
            files[old.path] = type(old)(old.path, digest, SIZE, old.mode, version)
            sources[digest] = [Source(key, version)]
            contents.add(digest)
        said = {"author": "bench", "device": "bench", "time": "2026-11-29T00:00:00Z", "message": f"number {number}"}
        made = new_commit(files.values(), parent=(parent.header.seq, commit_id), project=parent.header.project, **said)
        commit_id, parent = _created(store, parent, made, sources)
        ids.append(commit_id)
    kept = sum(1 for _ in store.objects())
    assert kept == len(contents), f"{kept} objects for {len(contents)} contents"


def _created(
    store: CommitStore, parent: Commit, made: Commit, sources: Mapping[str, list[Source]]
) -> tuple[CommitId, Commit]:
    commit_id, _ = Committer(store, parent, sources).commit(made)  # type: ignore[arg-type]
    return commit_id, made
