"""The calls about commits, as values (`dorkyd.api.calls`). What waits for sync or moves contents has no end of patience."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from dorkyd.api import commit_messages as c
from dorkyd.api import messages as m
from dorkyd.api.calls import Call, given, of_project

_LOOK_S = 600
"""Reading commits for the first time is a request each."""


def commits(project: str, *, after: str | None = None, limit: int = 1000) -> Call[m.Page[c.CommitItem]]:
    """Commits, the newest first."""
    query = given({"after": after, "limit": limit})
    return Call("GET", of_project(project, "commits"), m.Page[c.CommitItem], query, patience_s=_LOOK_S)


def commit_files(project: str, commit: str, *, after: str = "", limit: int = 1000) -> Call[c.CommitDocument]:
    """One commit and its files."""
    path = of_project(project, f"commits/{quote(commit, safe='')}")
    return Call("GET", path, c.CommitDocument, {"after": after, "limit": limit}, patience_s=_LOOK_S)


def commit_diff(project: str, commit: str, to: str | None = None) -> Call[m.Page[c.DifferenceItem]]:
    """What differs."""
    path = of_project(project, f"commits/{quote(commit, safe='')}/diff")
    return Call("GET", path, m.Page[c.DifferenceItem], given({"to": to}), patience_s=_LOOK_S)


def lock(project: str, commit: str | None = None) -> Call[c.LockDocument]:
    """The text of a lock file."""
    return Call("GET", of_project(project, "lock"), c.LockDocument, given({"commit": commit}), patience_s=_LOOK_S)


def commit(project: str, message: str) -> Call[c.Committed]:
    """Commit the project."""
    return Call("POST", of_project(project, "commit"), c.Committed, body={"message": message}, patience_s=None)


def checkout(
    project: str,
    commit: str | None,
    paths: Sequence[str] = (),
    *,
    lock: str | None = None,
    overwrite: bool = False,
) -> Call[c.CheckedOut]:
    """Bring a commit back."""
    body = given({"commit": commit, "lock": lock, "paths": list(paths), "overwrite": overwrite})
    return Call("POST", of_project(project, "checkout"), c.CheckedOut, body=body, patience_s=None)


def collect(
    project: str, *, keep_last: int | None = None, keep_days: float | None = None, dry_run: bool = False
) -> Call[c.Collected]:
    """Remove what is past its retention."""
    body = given({"keep_last": keep_last, "keep_days": keep_days, "dry_run": dry_run})
    return Call("POST", of_project(project, "gc"), c.Collected, body=body, patience_s=None)
