"""What mode manual remembers, in the journal's database: how paths differ, what is staged, pushes on their way."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from dorkyd.core.apart import Apart, Differs
from dorkyd.core.model import Digest, Path

PULLING = "pulling"
"""Where the journal keeps that a pull goes on."""
MESSAGE = "manual_message"
"""Where it keeps the message that `commit` wrote down for the next push."""
PUSH_LOST = "manual_push_lost"
"""Where it keeps the number of a push whose commit was collected before all of it was carried out."""

PushState = Literal["begun", "won", "carried"]
"""`begun`: whether its commit exists is not known, or it does not yet. `won`: it does. `carried`: the plain paths are
written, and it is to be told of.
"""


@dataclass(frozen=True, slots=True)
class Staged:
    """One change that the next push sends."""

    path: Path
    name: str | None
    """Of its bytes in the folder's staging; None: the path is to be deleted."""
    digest: Digest | None
    size: int
    mode: int | None
    mtime_ns: int | None
    over: Digest | None
    """What base held when it was staged; None: nothing. Another one now: a pull came between."""

    @property
    def deletes(self) -> bool:
        """It takes the path away."""
        return self.name is None


@dataclass(frozen=True, slots=True)
class OpenPush:
    """A push that is not over."""

    id: str
    """Of its commit."""
    seq: int
    plan: str
    """As it stands in the bucket (`dorkyd.core.pushes`)."""
    state: PushState


@dataclass(frozen=True, slots=True)
class Totals:
    """How many paths."""

    staged: int = 0
    changed: int = 0
    """Different here, and not staged as they are."""
    behind: int = 0


class ManualRows:
    """See the module. Shares the journal's connection, thread and transactions."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn

    # --- how paths differ ---------------------------------------------------------------------------------------

    def set_apart(self, told: Mapping[Path, Apart | None]) -> None:
        """What was decided of each; None: its sides agree, or it is nobody's."""
        gone = [(path,) for path, how in told.items() if how is None]
        here = [(path, how.here.value, how.there.value) for path, how in told.items() if how is not None]
        self._conn.executemany("DELETE FROM apart WHERE path = ?", gone)
        self._conn.executemany("INSERT OR REPLACE INTO apart VALUES (?, ?, ?)", here)

    def forget_apart(self) -> None:
        """Another mode has no use for it."""
        self._conn.execute("DELETE FROM apart")

    def apart(self, under: Path | None = None) -> dict[Path, Apart]:
        """All of them, or those at and below a path, in order."""
        where, values = ("", ()) if under is None else (" WHERE path = ? OR (path > ? AND path < ?)", _range(under))
        rows = self._conn.execute(f"SELECT path, here, there FROM apart{where} ORDER BY path", values)  # noqa: S608 - constant
        return {Path(path): Apart(Differs(here), Differs(there)) for path, here, there in rows}

    def behind(self, limit: int = -1) -> list[Path]:
        """What a pull would bring."""
        rows = self._conn.execute("SELECT path FROM apart WHERE there != '' ORDER BY path LIMIT ?", (limit,))
        return [Path(path) for (path,) in rows]

    def totals(self) -> Totals:
        """For status."""
        return totals_of(self._conn)

    def unsure(self, skip: Collection[Path]) -> bool:
        """The bucket is to be asked about some path, or it is not decided what its news mean."""
        rows = self._conn.execute(
            "SELECT d.path FROM dirty d LEFT JOIN base b ON b.path = d.path LEFT JOIN remote r ON r.path = d.path"
            " WHERE d.remote != 0 OR b.version IS NOT r.version"
        )
        return any(path not in skip for (path,) in rows)

    # --- what is staged -----------------------------------------------------------------------------------------

    def stage(self, staged: Iterable[Staged]) -> None:
        """These replace what was staged of their paths."""
        self._conn.executemany(
            "INSERT OR REPLACE INTO staged VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((s.path, s.name, s.digest, s.size, s.mode, s.mtime_ns, s.over) for s in staged),
        )

    def unstage(self, paths: Iterable[Path]) -> None:
        """These are staged no more."""
        self._conn.executemany("DELETE FROM staged WHERE path = ?", ((path,) for path in paths))

    def staged(self, under: Path | None = None) -> dict[Path, Staged]:
        """All that is staged, or what is at and below a path, in order."""
        where, values = ("", ()) if under is None else (" WHERE path = ? OR (path > ? AND path < ?)", _range(under))
        rows = self._conn.execute(f"SELECT {_STAGED} FROM staged{where} ORDER BY path", values)  # noqa: S608 - constant
        return {row[0]: Staged(*row) for row in rows}

    def staged_names(self) -> set[str]:
        """Names in staging that hold staged bytes."""
        return {name for (name,) in self._conn.execute("SELECT name FROM staged WHERE name IS NOT NULL")}

    # --- pushes -------------------------------------------------------------------------------------------------

    def push_begins(self, push: OpenPush) -> None:
        """About to be sent."""
        self._conn.execute(
            "INSERT OR REPLACE INTO pushes VALUES (?, ?, ?, ?)", (push.id, push.seq, push.plan, push.state)
        )

    def push_is(self, commit: str, state: PushState) -> None:
        """How far it is."""
        self._conn.execute("UPDATE pushes SET state = ? WHERE id = ?", (state, commit))

    def push_ends(self, commit: str) -> None:
        """It is over, or never happened and never will."""
        self._conn.execute("DELETE FROM pushes WHERE id = ?", (commit,))

    def pushes(self) -> list[OpenPush]:
        """Those that are not over, oldest first."""
        return [
            OpenPush(*row) for row in self._conn.execute("SELECT id, seq, plan, state FROM pushes ORDER BY seq, id")
        ]


_STAGED = "path, name, digest, size, mode, mtime_ns, over"


def totals_of(conn: sqlite3.Connection) -> Totals:
    """As `ManualRows.totals`, on any connection."""
    (staged,) = conn.execute("SELECT count(*) FROM staged").fetchone()
    (behind,) = conn.execute("SELECT count(*) FROM apart WHERE there != ''").fetchone()
    (changed,) = conn.execute(f"SELECT count(*) FROM apart a WHERE here != '' AND NOT {AS_STAGED}").fetchone()  # noqa: S608 - constant
    return Totals(staged, changed, behind)


AS_STAGED = (
    "EXISTS (SELECT 1 FROM staged s LEFT JOIN seen n ON n.path = s.path WHERE s.path = a.path AND"
    " (s.name IS NULL AND a.here = 'deleted' OR s.name IS NOT NULL AND a.here != 'deleted' AND s.digest IS n.digest))"
)
"""SQL: the path of `apart a` is staged just as it is here."""


def _range(under: Path) -> tuple[str, str, str]:
    """The path itself, and all inside it: they begin with `under/`, and `0` is the character after `/`."""
    return under, f"{under}/", f"{under}0"
