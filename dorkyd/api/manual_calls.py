"""The calls of mode manual, as values (`dorkyd.api.calls`)."""

from __future__ import annotations

from collections.abc import Sequence

from dorkyd.api import manual_messages as mm
from dorkyd.api import messages as m
from dorkyd.api.calls import WAIT_SLACK_S, Call, given, of_project


def changes(project: str, *, after: str = "", limit: int = 1000) -> Call[m.Page[mm.ChangeItem]]:
    """Mode manual: what is staged or differs."""
    return Call("GET", of_project(project, "changes"), m.Page[mm.ChangeItem], {"after": after, "limit": limit})


def stage(project: str, paths: Sequence[str]) -> Call[mm.Staged]:
    """Mode manual: keep these as they are for the next push."""
    return Call("POST", of_project(project, "stage"), mm.Staged, body={"paths": list(paths)}, patience_s=None)


def unstage(project: str, paths: Sequence[str]) -> Call[m.Page[mm.ChangeItem]]:
    """Mode manual: stage these no more."""
    return Call("POST", of_project(project, "unstage"), m.Page[mm.ChangeItem], body={"paths": list(paths)})


def reword(project: str, message: str) -> Call[m.Manual]:
    """Mode manual: the message of the next push."""
    return Call("POST", of_project(project, "reword"), m.Manual, body={"message": message})


def push(project: str, message: str | None = None) -> Call[mm.Pushed]:
    """Mode manual: send what is staged."""
    return Call("POST", of_project(project, "push"), mm.Pushed, body=given({"message": message}), patience_s=None)


def pull(project: str, timeout_s: float | None = None) -> Call[m.SyncResult]:
    """Mode manual: bring what the bucket holds."""
    patience_s = None if timeout_s is None else timeout_s + WAIT_SLACK_S
    return Call(
        "POST", of_project(project, "pull"), m.SyncResult, body=given({"timeout_s": timeout_s}), patience_s=patience_s
    )
