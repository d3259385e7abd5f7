"""The calls about a project's past, as values (`dorkyd.api.calls`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dorkyd.api import history_messages as h
from dorkyd.api import messages as m
from dorkyd.api.calls import Call, given, of_project


def history(project: str, path: str) -> Call[h.History]:
    """The states of one path, newest first."""
    return Call("GET", of_project(project, "history"), h.History, {"path": path}, patience_s=300)


def restore(project: str, path: str, at: str | None = None, to: str | None = None) -> Call[h.Restored]:
    """Bring a file or folder back."""
    body = given({"path": path, "at": at, "to": to})
    return Call("POST", of_project(project, "restore"), h.Restored, body=body, patience_s=None)


def undo(project: str, *, dry_run: bool = False) -> Call[h.Undone]:
    """Take back the last action of sync."""
    return Call("POST", of_project(project, "undo"), h.Undone, body={"dry_run": dry_run}, patience_s=None)


def trash(project: str, *, where: str = "folder", path: str | None = None) -> Call[m.Page[m.TrashItem]]:
    """What can be restored."""
    query = given({"where": where, "path": path})
    return Call("GET", of_project(project, "trash"), m.Page[m.TrashItem], query, patience_s=300)


def empty_trash(
    project: str, *, where: str = "folder", path: str | None = None, older_than_s: float | None = None
) -> Call[h.Emptied]:
    """Remove what is in a trash for good."""
    body = given({"where": where, "path": path, "older_than_s": older_than_s})
    return Call("POST", of_project(project, "empty-trash"), h.Emptied, body=body, patience_s=None)


def diff(
    project: str,
    path: str,
    before: str | None = None,
    after: str | None = None,
    *,
    reveal: bool = False,
    key: Sequence[str] = (),
) -> Call[h.Difference]:
    """Compare two states. `key`: columns by which rows of tables are compared."""
    shown = "true" if reveal else None
    query = given({"path": path, "before": before, "after": after, "reveal": shown, "key": list(key) or None})
    return Call("GET", of_project(project, "diff"), h.Difference, query, patience_s=None)


def audit(
    project: str, *, after: str = "", limit: int = 1000, wanted: Mapping[str, str | None] | None = None
) -> Call[h.Audit]:
    """Who changed what in the bucket. `wanted`: `path`, `by`, `action`, `since`, `until`."""
    query = {"after": after, "limit": limit, **given(wanted or {})}
    return Call("GET", of_project(project, "audit"), h.Audit, query, patience_s=None)
