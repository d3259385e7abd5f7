"""Calls that adopt projects of the npm tool `dorky`, as in `calls`."""

from __future__ import annotations

from dorkyd.api.calls import Call, given, of_project
from dorkyd.api.import_messages import ImportedHistory, ImportPlan, ImportRequest


def import_dorky(wish: ImportRequest) -> Call[ImportPlan]:
    """Adopt a project of the npm tool, or show how. The whole folder is read and the bucket listed."""
    return Call("POST", "/v1/import-dorky", ImportPlan, body=given(wish.model_dump()), patience_s=None)


def import_history(project: str) -> Call[ImportedHistory]:
    """Make a commit of each push of the npm tool's history. Every copy is read once."""
    return Call("POST", of_project(project, "import-dorky-history"), ImportedHistory, patience_s=None)
