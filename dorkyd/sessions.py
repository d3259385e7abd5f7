"""Large uploads under way, in the journal's database: what a session was begun for, so that a restart goes on with it.

A session carries its op from its beginning (the store writes the metadata then), so whoever goes on with it intends that
same op again. A row leaves when its op took effect (`Ledger.took_effect`), when the store does not know the session any
more, or when nothing wants it: then the session is given up first, so that the store keeps no parts of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

from dorkyd.core.model import Digest, Op, Path, Upload, Version
from dorkyd.ports import Session


@dataclass(frozen=True, slots=True)
class BegunUpload:
    """A session and what it was begun for."""

    op: Op
    path: Path
    digest: Digest
    replaces: Version | None
    mode: int
    session: Session
    meta: str
    """Stands for the metadata it was begun with (`dorkyd.transfer`): another would need another session."""
    kept: bool
    """The state it replaces is in the bucket's trash, or needs not be."""

    def fits(self, upload: Upload) -> bool:
        """Going on with it does what is asked for now."""
        replaces = upload.replaces.version if upload.replaces is not None else None
        return (self.digest, self.replaces, self.mode) == (upload.local.digest, replaces, upload.mode)


class Sessions:
    """See the module. Shares the journal's connection, thread and transactions."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn

    def begun(self, upload: BegunUpload) -> None:
        """Its session is there; nothing of it needs to be sent twice from here on."""
        session = upload.session
        self._conn.execute(
            "INSERT INTO uploads (op, path, digest, replaces, mode, session, part_bytes, meta, kept)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                upload.op,
                upload.path,
                upload.digest,
                upload.replaces,
                upload.mode,
                session.id,
                session.part_bytes,
                upload.meta,
                int(upload.kept),
            ),
        )

    def fitting(self, upload: Upload) -> BegunUpload | None:
        """The newest that does what is asked for now."""
        found = (row for row in reversed(self._select("WHERE path = ?", (upload.path,))) if row.fits(upload))
        return next(found, None)

    def has(self, op: Op) -> bool:
        """One that this op began is not over."""
        return self._conn.execute("SELECT 1 FROM uploads WHERE op = ?", (op,)).fetchone() is not None

    def has_kept(self, upload: Upload) -> bool:
        """A session for other bytes of this path has kept the state that is replaced now: a file that changes faster than
        it is sent must not fill the bucket's trash.
        """
        was = upload.replaces
        return was is not None and any(
            row.kept and row.replaces == was.version and row.digest != was.digest
            for row in self._select("WHERE path = ?", (upload.path,))
        )

    def useless(self, busy: Collection[Path]) -> list[BegunUpload]:
        """Those nothing asks for any more, paths in `busy` aside: their path was settled otherwise, or has a newer one."""
        rows = self._select(
            "AS u WHERE path NOT IN (SELECT path FROM dirty)"
            " OR EXISTS (SELECT 1 FROM uploads AS later WHERE later.path = u.path AND later.seq > u.seq)",
            (),
        )
        return [row for row in rows if row.path not in busy]

    def all(self) -> list[BegunUpload]:
        """Every one, oldest first."""
        return self._select("", ())

    def ended(self, op: Op) -> None:
        """It was given up, or the store does not know it."""
        self._conn.execute("DELETE FROM uploads WHERE op = ?", (op,))

    def _select(self, which: str, values: tuple[str, ...]) -> list[BegunUpload]:
        rows = self._conn.execute(
            f"SELECT op, path, digest, replaces, mode, session, part_bytes, meta, kept FROM uploads {which} ORDER BY seq",
            values,
        )
        return [
            BegunUpload(op, path, digest, replaces, mode, Session(session, part_bytes), meta, bool(kept))
            for op, path, digest, replaces, mode, session, part_bytes, meta, kept in rows
        ]
