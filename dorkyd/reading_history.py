"""What the journal's history and the folder's trash know of paths, for `dorkyd.versions` and `dorkyd.undoing`. Read-only."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from dorkyd.core.model import Digest, Path, Version
from dorkyd.core.timeline import Copied, Done

SYNCS = ("upload", "download", "merge", "delete-local", "delete-remote", "move", "set-mode")
"""Verbs of what sync did to a path, all of which can be undone."""
UNDOING, UNDONE, LEFT = "undoing", "undo", "not-undone"
"""What an undo writes for each path: before it touches any, and what came of it."""
_DONE = "SELECT at_ns, verb, path, digest, size, version, device, mode, came_from FROM history"


@dataclass(frozen=True, slots=True)
class Step:
    """What one action did to one path."""

    seq: int
    at_ns: int
    verb: str
    path: Path
    digest: Digest | None
    device: str
    action: str
    before: Digest | None
    replaces: Version | None
    mode: int | None
    mode_before: int | None
    came_from: Path | None

    @property
    def after(self) -> Digest | None:
        """What the path holds since; None: nothing."""
        return None if self.verb.startswith("delete-") else self.digest

    @property
    def ours(self) -> bool:
        """It went from this folder to the bucket."""
        return self.verb in {"upload", "delete-remote"}


_STEP = (
    "SELECT seq, at_ns, verb, path, digest, device, action, before, replaces, mode, mode_before, came_from FROM history"
)
_UNTOUCHED = (
    f"verb IN ({', '.join('?' * len(SYNCS))}) AND action != '' AND NOT EXISTS (SELECT 1 FROM history u WHERE u.action = history.action"
    " AND u.path = history.path AND u.verb IN ('undo', 'not-undone'))"
    # What was only encrypted anew, or the like, changed nothing that could be taken back.
    " AND NOT (verb IN ('upload', 'set-mode') AND before IS digest AND mode IS mode_before)"
)


def done_to(conn: sqlite3.Connection, path: Path) -> list[Done]:
    """All that was done to a path, oldest first."""
    rows = conn.execute(f"{_DONE} WHERE path = ? OR came_from = ? ORDER BY seq", (path, path))
    return [Done(*row) for row in rows]


def done_below(conn: sqlite3.Connection, folder: str) -> list[Done]:
    """All that was done to paths inside a folder, oldest first; `""`: to all."""
    if not folder:
        return [Done(*row) for row in conn.execute(f"{_DONE} ORDER BY seq")]
    ends = (f"{folder}/", f"{folder}0")
    where = "WHERE path >= ? AND path < ? OR came_from >= ? AND came_from < ?"
    return [Done(*row) for row in conn.execute(f"{_DONE} {where} ORDER BY seq", ends * 2)]


def trashed(conn: sqlite3.Connection, folder: str | None = None, path: Path | None = None) -> dict[Path, list[Copied]]:
    """What the folder's trash keeps of a path, or of all inside a folder, oldest first."""
    where, values = "", tuple[str, ...]()
    if path is not None:
        where, values = " WHERE path = ?", (path,)
    elif folder:
        where, values = " WHERE path >= ? AND path < ?", (f"{folder}/", f"{folder}0")
    rows = conn.execute(f"SELECT path, name, size, version, digest, at_ns FROM displaced{where} ORDER BY at_ns", values)
    found: dict[Path, list[Copied]] = {}
    for at, name, size, version, digest, until_ns in rows:
        found.setdefault(at, []).append(Copied("trash", name, size, version, digest, until_ns=until_ns))
    return found


def last_action(conn: sqlite3.Connection) -> list[Step]:
    """The last action of sync that was not undone and is no undoing itself, its steps oldest first. Empty: there is none."""
    for row in conn.execute(f"{_STEP} WHERE {_UNTOUCHED} ORDER BY seq DESC", SYNCS):
        step = Step(*row)
        if _carries_out_an_undo(conn, step):
            continue
        rows = conn.execute(f"{_STEP} WHERE {_UNTOUCHED} AND action = ? ORDER BY seq", (*SYNCS, step.action))
        steps = [Step(*each) for each in rows]
        if step.action.startswith("approved-") or _is_conflict(conn, step.action):
            return steps
        return [each for each in steps if _side(each, step) and not _carries_out_an_undo(conn, each)]
    return []


def _side(each: Step, last: Step) -> bool:
    """They go one way, and are one device's doing."""
    return each.device == last.device


def _is_conflict(conn: sqlite3.Connection, action: str) -> bool:
    row = conn.execute("SELECT 1 FROM history WHERE verb = 'conflict' AND action = ? LIMIT 1", (action,))
    return row.fetchone() is not None


def _carries_out_an_undo(conn: sqlite3.Connection, step: Step) -> bool:
    """It brought to the bucket what an undo had made of the path."""
    row = conn.execute(
        "SELECT verb, digest FROM history WHERE path = ? AND seq < ? AND verb != 'schema' ORDER BY seq DESC LIMIT 1",
        (step.path, step.seq),
    ).fetchone()
    return row is not None and row[0] in {UNDOING, UNDONE} and row[1] == step.after
