"""The calls about tables, as values (`dorkyd.api.calls`)."""

from __future__ import annotations

from collections.abc import Sequence

from dorkyd.api import messages as m
from dorkyd.api import table_messages as t
from dorkyd.api.calls import Call, given, of_project


def table(
    project: str, path: str, at: str | None = None, *, head: int = 0, columns: Sequence[str] | None = None
) -> Call[t.Table]:
    """What a table is."""
    query = given({"path": path, "at": at, "head": head or None, "column": list(columns) if columns else None})
    return Call("GET", of_project(project, "table"), t.Table, query, patience_s=None)


def dismiss(project: str) -> Call[m.ProjectStatus]:
    """The notices were read."""
    return Call("POST", of_project(project, "dismiss-notices"), m.ProjectStatus)
