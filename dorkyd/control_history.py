"""What the API may ask of a project's past. Every method may be called from any thread, and blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dorkyd.core.audit import AuditItem, Filter
from dorkyd.core.past import Content, Difference, Emptied, History, Outcome, Undone
from dorkyd.core.report import TrashItem


class HistoryControl(Protocol):
    """A project's past. `Refused` with a code of its own where there is nothing to tell or to do; what needs the bucket
    raises `Transient` while that cannot be reached.
    """

    def history(self, path: str) -> History:
        """The states of one path, newest first; told without the bucket too, with a word about what is missing."""

    def restore(self, path: str, at: str | None, to: str | None) -> Sequence[Outcome]:
        """Bring a file, or with a closing `/` a folder, back as a new version. `at`: a version, a digest, a name in a trash,
        or a time (`2h`, `2026-11-20T10:00`); None: the newest state that is not what stands there, and of a folder
        what is missing. `to`: another place, which must be free. `PATH@VERSION` is understood.
        """

    def undo(self, *, dry_run: bool) -> Undone:
        """Take back the last action that sync took here, on both sides; `dry_run`: only say what would come of it."""

    def trash(self, where: str, path: str | None) -> Sequence[TrashItem]:
        """What can be restored, newest first: `folder` or `bucket`."""

    def empty_trash(self, where: str, path: str | None, older_than_s: float | None) -> Emptied:
        """Remove it for good, all or what was put away longer ago."""

    def diff(
        self, path: str, before: str | None, after: str | None, *, reveal: bool, key: Sequence[str] = ()
    ) -> Difference:
        """Compare two states. `before` None: the newest that is not what stands here; `after` None: the file here. Of secrets no
        value is shown unless `reveal`. `key`: columns by which rows of tables are compared; `Refused` (`no-table`,
        `no-such-column`, `no-key`, `too-many-rows`).
        """

    def beside(self, path: str, other: str, *, reveal: bool) -> Difference:
        """What stands at `other` compared with what stands at `path`. Of secrets no value is shown unless `reveal`."""

    def content(self, path: str, at: str, *, reveal: bool) -> Content:
        """The bytes of one state; `at` as for `restore`. `Refused` (`secret`) for what `diff` masks, unless `reveal`."""

    def audit(self, wanted: Filter, after: str, limit: int) -> Sequence[AuditItem]:
        """Every change by anyone running dorkyd, in the order of the bucket's log, behind the cursor `after`."""

    def audit_retention(self) -> str:
        """How long the log keeps them, for people."""
