"""Devices in this process with everything real but the process: engine thread, pool, watcher, clock, folder, journal.

Many fit where so many daemons would not, over any bucket, one in memory too. They answer to what `tests.daemons.RealDaemon`
answers to, as far as end-to-end tests ask.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from dorkyd import schema
from dorkyd.buckets.limits import Limited, Limits, Pair
from dorkyd.buckets.retry import Patience, Retrying
from dorkyd.core.report import ProjectStatus
from dorkyd.core.settings import Project
from dorkyd.daemon import SystemClock
from dorkyd.engine import Engine
from dorkyd.folder import LocalFolder
from dorkyd.pool import TransferPool
from dorkyd.ports import Bucket
from dorkyd.project import ProjectRunner
from dorkyd.watcher import OsWatcher
from dorkyd.wiring import Wiring
from tests.daemons import DEADLINE_S, folder_tree


class ThreadedDevice:
    """One folder, with a pool of its own as a daemon has."""

    def __init__(self, base: Path, name: str, open_bucket: Callable[[Project], Bucket], **settings: Any) -> None:
        self.name = name
        self.root = base / f"folder-{name}"
        self.root.mkdir()
        self.journals = base / f"journals-{name}"
        self.pool = TransferPool()
        project = Project(
            **{"name": "p", "path": str(self.root), "bucket": "mem://", "poll_s": 0.3, "settle_s": 0.2, **settings}
        )
        limits = Limits(Pair(), Pair())
        wiring = Wiring(
            project=project,
            folder=LocalFolder(project.path),
            open_bucket=lambda _known: Retrying(Limited(open_bucket(project), limits), Patience()),
            clock=SystemClock(),
            pool=self.pool.lane(),
            device=name,
            make_watcher=lambda skip: OsWatcher(project.path, skip=skip, wake=lambda: self.engine.wake()),  # noqa: PLW0108
            random=random.random,
        )
        self.engine = Engine(wiring, self.journals)
        self.runner = ProjectRunner(self.engine, lambda _status: None, limits)

    def start(self) -> None:
        """Begin."""
        self.runner.start()

    def stop(self) -> None:
        """End in order."""
        self.runner.stop()
        self.pool.close()

    def status(self) -> ProjectStatus:
        """The last published."""
        return self.runner.status()

    def requests(self) -> dict[str, int]:
        """What it asked of the bucket since it started."""
        counts = self.status().requests
        return {
            verb: getattr(counts, verb)
            for verb in ("GET", "PUT", "LIST", "HEAD", "COPY", "DELETE", "bytes_up", "bytes_down")
        }

    def sync(self, timeout_s: float = DEADLINE_S) -> None:
        """Look at both sides and wait until nothing is left to do."""
        result = self.runner.sync(wait=True, timeout_s=timeout_s)
        assert result.converged, f"{self.name}: {result} {self.status()}"

    def tree(self) -> dict[str, tuple[bytes, int, int]]:
        """Content, permission bits and mtime of every file outside `.dorky`."""
        return folder_tree(self.root)

    def uploaded(self) -> set[str]:
        """SHA-256 of every content that the bucket acknowledged to this device."""
        (journal,) = self.journals.glob("*.db")
        with closing(schema.connect_readonly(journal)) as conn:
            rows = conn.execute("SELECT digest FROM history WHERE verb = 'upload'").fetchall()
        return {digest.removeprefix("sha256:") for (digest,) in rows}
