"""Waiting until a path is in the bucket, or in the folder: a plan that asks the daemon's journal, and no bucket."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Literal

from dorkyd.api import calls
from dorkyd.api import messages as m
from dorkyd.api.failures import BadRequest, Conflict, NotFound, Temporary
from dorkyd.client.places import Target
from dorkyd.client.plans import Pause, Plan, call
from dorkyd.core.states import State

Until = Literal["uploaded", "downloaded"]
"""`uploaded`: the bucket holds what the file here holds. `downloaded`: the file here holds what the bucket holds."""

FIRST_S, LONGEST_S = 0.02, 0.5
LOOK_S = 3.0
"""After so long a whole look at both sides is asked for: an event of the file system may have been lost."""
STATE_S = 2.0
"""How often it is looked whether the project moves at all."""
_STUCK = (State.PAUSED, State.HALTED, State.AUTH_EXPIRED, State.ERROR)


class _Digest:
    """The digest of a file, read again when the file changed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: tuple[int, ...] = ()
        self._value = ""

    def now(self) -> str:
        try:
            with self._file.open("rb") as opened:
                told = os.fstat(opened.fileno())
                seen = (told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns)
                if seen != self._seen:
                    self._value = f"sha256:{hashlib.file_digest(opened, 'sha256').hexdigest()}"
                    self._seen = seen
        except OSError as exc:
            raise BadRequest(f"{self._file} cannot be read: {exc.strerror}", code="unreadable-file") from exc
        return self._value


def until(target: Target, what: Until, file: Path | None, timeout_s: float | None) -> Plan[m.Why]:
    """Ask until it is so. `file`: the one in the folder, when the caller knows it.

    `Temporary` (`wait-timeout`), `Conflict` when the project stands still or the path cannot sync, `BadRequest`
    (`ignored`), `NotFound` when it is neither here nor there.
    """
    digest = _Digest(file) if file is not None else None
    begun = asked_state = time.monotonic()
    looked, pause_s = False, FIRST_S
    while True:
        told = yield from _asked(target)
        if told is not None and _is_so(told, what, digest):
            return told
        now = time.monotonic()
        if told is not None:
            _check(told, target, patiently=now - begun < LOOK_S)
        if timeout_s is not None and now - begun >= timeout_s:
            raise Temporary(f"{target} is not {what} yet.", code="wait-timeout", hint=f"dorkyctl why {target}")
        if now - asked_state >= STATE_S:
            asked_state = now
            _check_moving((yield from call(calls.status(target.project))).projects[0])
        if not looked and now - begun >= LOOK_S:
            looked = True
            yield from call(calls.sync(target.project))
        elif looked and told is not None and told.local is None and told.remote is None and digest is None:
            raise NotFound(f"There is no {target}.", code="no-such-path", hint=f"dorkyctl ls {target.project}")
        yield Pause(pause_s)
        pause_s = min(LONGEST_S, pause_s * 1.5)


def _asked(target: Target) -> Plan[m.Why | None]:
    """None: the project is being opened, and nobody can tell yet."""
    try:
        return (yield from call(calls.why(target.project, target.path)))
    except Temporary as exc:
        if exc.code != "not-open":
            raise
        return None


def _is_so(told: m.Why, what: Until, digest: _Digest | None) -> bool:
    if what == "uploaded" and digest is not None:
        # Of the file the journal may not know yet that it was written. Of the object it may know no digest, only that
        # it is what was last in sync.
        there = told.remote.digest if told.remote is not None else None
        if there is None and told.state == "synced" and told.base is not None:
            there = told.base.digest
        return there is not None and there == digest.now()
    return told.state == "synced"


def _check(told: m.Why, target: Target, *, patiently: bool) -> None:
    if told.ignored_by is not None:
        raise BadRequest(
            f"{target} is ignored by {told.ignored_by}, so that it never goes to the bucket.",
            code="ignored",
            hint="Change that rule, or say where it goes with `to`.",
        )
    if told.problem is not None and not patiently:  # it may be from before the file was as it is now
        raise Conflict(f"{target}: {told.problem.detail}", code=told.problem.code, hint=told.problem.hint)


def _check_moving(project: m.ProjectStatus) -> None:
    if project.state in _STUCK:
        told = f"{project.name} is {project.state.value}" + (f": {project.detail}" if project.detail else "")
        raise Conflict(told, code=project.state.value, hint=project.hint or f"dorkyctl status {project.name}")
