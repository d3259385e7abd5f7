"""The calls of freezes, as values (`dorkyd.api.calls`)."""

from __future__ import annotations

from dorkyd.api import freeze_messages as fm
from dorkyd.api.calls import Call, given, of_project

CURRENT = "current"


def freeze(project: str, name: str, holder: str, *, lease_s: float, limit_s: float) -> Call[fm.Freeze]:
    """Freeze it; the same again renews it."""
    body = {"holder": holder, "lease_s": lease_s, "limit_s": limit_s}
    return Call("PUT", of_project(project, f"freeze/{name}"), fm.Freeze, body=body)


def renew(project: str, name: str) -> Call[fm.Freeze]:
    """Whoever froze it still works."""
    return Call("PUT", of_project(project, f"freeze/{name}"), fm.Freeze, body=given({"renew": True}))


def release(project: str, name: str = CURRENT) -> Call[fm.Thawed]:
    """Let all of it go."""
    return Call("DELETE", of_project(project, f"freeze/{name}"), fm.Thawed, patience_s=None)
