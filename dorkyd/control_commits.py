"""What the API may ask of a project's commits. Every method may be called from any thread, and blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dorkyd.core.commits import Commit, CommitId, Difference, Named
from dorkyd.core.committed import CheckedOut, Collected, Made
from dorkyd.core.garbage import Kept


class CommitControl(Protocol):
    """A project's commits. An id may be given by its beginning: `Refused` with `no-such-commit`, `ambiguous-commit` or
    `bad-commit-id`. `Integrity` where a commit or content in the bucket is not what it must be. `Transient` while the
    bucket cannot be reached.
    """

    def commit(self, message: str) -> Made:
        """Commit the project once both sides agree, waiting for that. `Blocked` (`nothing-to-commit`, `not-settled`);
        `Refused` (`bad-message`, `halted`, `paused`, `mode`).
        """

    def list(self, before: int | None, limit: int) -> Sequence[Named]:
        """At most `limit` commits, the newest first; `before`: those with a lower number."""

    def show(self, commit: str) -> tuple[CommitId, Commit]:
        """One commit with its files."""

    def diff(self, old: str, new: str | None) -> Sequence[Difference]:
        """What differs between two commits; `new` None: between one and what the bucket is known to hold now."""

    def checkout(self, commit: str, paths: Sequence[str], *, overwrite: bool) -> CheckedOut:
        """Make the folder what a commit was, or these paths of it. `Refused` (`local-edits`) when an edit that the bucket
        does not have is in the way, unless `overwrite` says that it may go to the trash.
        """

    def checkout_locked(self, lock: str, *, overwrite: bool) -> CheckedOut:
        """Make the folder exactly what the text of a lock file says, or raise how it differs."""

    def lock(self, commit: str | None) -> str:
        """The text of the lock file of a commit; None: of the last one."""

    def collect(self, kept: Kept, *, dry_run: bool) -> Collected:
        """Remove commits past their retention, and contents that no commit has needed for a day."""
