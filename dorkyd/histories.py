"""A project's past for the API: `dorkyd.control_history.HistoryControl`."""

from __future__ import annotations

from collections.abc import Sequence

from dorkyd.auditing import RETENTION, Auditing
from dorkyd.core.audit import AuditItem, Filter
from dorkyd.core.past import Content, Difference, Emptied, History, HistoryItem, Outcome, Undone
from dorkyd.core.report import TrashItem
from dorkyd.core.timeline import PathVersion
from dorkyd.decisions import checked
from dorkyd.diffing import Diffing
from dorkyd.emptying import Emptying
from dorkyd.engine import Engine
from dorkyd.reading_rows import rfc3339
from dorkyd.restoring import Restoring
from dorkyd.tables.looking import Tables
from dorkyd.undoing import Undoing
from dorkyd.versions import Versions


class Histories:
    """See `HistoryControl` for what each promises."""

    def __init__(self, engine: Engine, tables: Tables) -> None:
        self._engine = engine
        self._tables = tables
        self._auditing = Auditing(engine)

    def history(self, path: str) -> History:
        """The states of one path."""
        versions = Versions(self._engine)
        found = versions.of(checked(path))
        return History([item_of(state) for state in found.states], versions.retention(), found.missing)

    def restore(self, path: str, at: str | None, to: str | None) -> Sequence[Outcome]:
        """Bring something back."""
        done = Restoring(self._engine).restore(path, at, to)
        self._look()
        return done

    def undo(self, *, dry_run: bool) -> Undone:
        """Take the last action back."""
        undone = Undoing(self._engine).undo(dry_run=dry_run)
        if not dry_run:
            self._look()
        return undone

    def trash(self, where: str, path: str | None) -> Sequence[TrashItem]:
        """What can be restored."""
        return Emptying(self._engine).items(where, path)

    def empty_trash(self, where: str, path: str | None, older_than_s: float | None) -> Emptied:
        """Remove it for good."""
        return Emptying(self._engine).empty(where, path, older_than_s)

    def diff(
        self, path: str, before: str | None, after: str | None, *, reveal: bool, key: Sequence[str] = ()
    ) -> Difference:
        """Compare two states."""
        return Diffing(self._engine, self._tables).diff(path, before, after, reveal=reveal, key=key)

    def beside(self, path: str, other: str, *, reveal: bool) -> Difference:
        """Compare what stands at two paths."""
        return Diffing(self._engine).beside(path, other, reveal=reveal)

    def content(self, path: str, at: str, *, reveal: bool) -> Content:
        """The bytes of one state."""
        return Diffing(self._engine).content(path, at, reveal=reveal)

    def audit(self, wanted: Filter, after: str, limit: int) -> Sequence[AuditItem]:
        """Who changed what."""
        return self._auditing.audit(wanted, after, limit)

    def audit_retention(self) -> str:
        """How long the log keeps it."""
        return RETENTION

    def _look(self) -> None:
        """What was put in place goes to the bucket soon."""
        self._engine.call(lambda: self._engine.look_again(scan=False))


def item_of(state: PathVersion) -> HistoryItem:
    """A state as it is told."""
    places = ["bucket"] if state.current else []
    return HistoryItem(
        path=state.path,
        digest=state.digest,
        size=state.size,
        version=state.version,
        at=rfc3339(state.at_ns) if state.at_ns is not None else None,
        until=rfc3339(state.until_ns) if state.until_ns is not None else None,
        device=state.device,
        mode=state.mode,
        current=state.current,
        kept=[*places, *dict.fromkeys(copy.where for copy in state.kept)],
    )
