"""`control_commits.CommitControl` of one project: commits, checkouts and collections behind one door."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dorkyd.checkout import Checkout
from dorkyd.collection import Collection
from dorkyd.commits import Commits
from dorkyd.core.commits import Commit, CommitId, Difference, Named
from dorkyd.core.committed import CheckedOut, Collected, Made
from dorkyd.core.garbage import Kept
from dorkyd.core.lockfile import encode_lock, lock_of
from dorkyd.core.model import Path
from dorkyd.core.report import SyncResult
from dorkyd.engine import Engine
from dorkyd.errors import Refused, Stale, Transient

TRIES = 3
"""How often a collection begins anew when another was faster."""


@dataclass(frozen=True, slots=True)
class Committing:
    """See the module."""

    engine: Engine
    settle: Callable[[], SyncResult]

    def commit(self, message: str) -> Made:
        """As `CommitControl.commit`."""
        return self._commits.commit(message)

    def list(self, before: int | None, limit: int) -> Sequence[Named]:
        """As `CommitControl.list`."""
        return self._commits.list(before, limit)

    def show(self, commit: str) -> tuple[CommitId, Commit]:
        """As `CommitControl.show`."""
        return self._commits.show(commit)

    def diff(self, old: str, new: str | None) -> Sequence[Difference]:
        """As `CommitControl.diff`."""
        return self._commits.diff(old, new)

    def checkout(self, commit: str, paths: Sequence[str], *, overwrite: bool) -> CheckedOut:
        """As `CommitControl.checkout`."""
        return Checkout(self._commits).checkout(commit, paths, overwrite=overwrite)

    def checkout_locked(self, lock: str, *, overwrite: bool) -> CheckedOut:
        """As `CommitControl.checkout_locked`."""
        return Checkout(self._commits).locked(lock, overwrite=overwrite)

    def lock(self, commit: str | None) -> str:
        """As `CommitControl.lock`."""
        commits = self._commits
        if commit is None:
            store = commits.store()
            newest = store.newest()
            if newest is None:
                raise Refused("there is no commit yet", code="no-such-commit", hint='dorkyctl commit -m "..."')
            commit_id, whole = store.read(newest)
        else:
            commit_id, whole = commits.show(commit)
        return encode_lock(lock_of(whole, commit_id, self.engine.project.bucket))

    def collect(self, kept: Kept, *, dry_run: bool) -> Collected:
        """As `CommitControl.collect`."""
        commits = self._commits
        if not dry_run:
            commits.check_writable()
        for _ in range(TRIES):
            run = Collection(commits.store(), self.engine.clock, self.engine.device, kept)
            try:
                done = run.dry_run() if dry_run else run.run(time=commits.now())
            except Stale:
                continue
            if not dry_run:
                commits.note("gc", Path("."), f"{len(done.commits)} commits, {done.removed} contents removed")
            return done
        raise Transient("others collect at the same time", code="contended", retry_after_s=5)

    @property
    def _commits(self) -> Commits:
        return Commits(self.engine, self.settle)
