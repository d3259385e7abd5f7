"""What a device has read of a project's commits, so that it reads each once: headers for ever, whole ones while there is room.

A file of its own beside the journals: it may be lost or removed at any time, and costs requests then, never more. It also
remembers what an earlier look found, so that a commit that was changed since is found out. From any thread; each call
opens the file for itself.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import TypeVar

from dorkyd.core.commits import CommitId, Named, decode_header, encode_header, id_of
from dorkyd.core.model import Version
from dorkyd.errors import Integrity

T = TypeVar("T")

ROOM_BYTES = 64 * 1024 * 1024
"""Whole commits kept at most, compressed."""
_TABLES = (
    (
        "CREATE TABLE IF NOT EXISTS headers (seq INTEGER PRIMARY KEY, version TEXT NOT NULL, id TEXT NOT NULL,"
        " header BLOB NOT NULL) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE IF NOT EXISTS documents (id TEXT PRIMARY KEY, used INTEGER NOT NULL, size INTEGER NOT NULL,"
        " document BLOB NOT NULL)"
    ),
    "CREATE TABLE IF NOT EXISTS made (id TEXT PRIMARY KEY) WITHOUT ROWID",
)


@dataclass(frozen=True, slots=True)
class CommitCache:
    """See the module."""

    file: FilePath

    @classmethod
    def of(cls, state: FilePath, project_id: str) -> CommitCache:
        """A project's, in this directory."""
        return cls(state / f"{hashlib.sha256(project_id.encode()).hexdigest()[:32]}.commits")

    def headers(self) -> dict[int, Named]:
        """By number."""

        def read(conn: sqlite3.Connection) -> dict[int, Named]:
            found = {}
            for seq, version, commit_id, text in conn.execute("SELECT seq, version, id, header FROM headers"):
                header = decode_header(text, seq)
                if header is not None:
                    found[seq] = Named(CommitId(commit_id), Version(version), header)
            return found

        return self._with(read, {})

    def remember(self, headers: Iterable[Named]) -> None:
        """Keep these."""
        rows = [(one.header.seq, one.version, one.id, encode_header(one.header)) for one in headers]
        if rows:
            self._with(lambda conn: conn.executemany("INSERT OR REPLACE INTO headers VALUES (?, ?, ?, ?)", rows), None)

    def note_made(self, commit_id: CommitId) -> None:
        """This device created it, and said so."""
        self._with(lambda conn: conn.execute("INSERT OR REPLACE INTO made VALUES (?)", (commit_id,)), None)

    def was_made(self, commit_id: CommitId) -> bool:
        """As `note_made` noted."""
        find = "SELECT 1 FROM made WHERE id = ?"
        return self._with(lambda conn: conn.execute(find, (commit_id,)).fetchone() is not None, False)

    def forget(self, seqs: Iterable[int]) -> None:
        """These commits are gone from the bucket."""
        rows = [(seq,) for seq in seqs]
        if rows:
            self._with(lambda conn: conn.executemany("DELETE FROM headers WHERE seq = ?", rows), None)

    def document(self, commit_id: CommitId) -> bytes | None:
        """A whole commit's bytes, which have this id; None: it is not here."""

        def read(conn: sqlite3.Connection) -> bytes | None:
            row = conn.execute("SELECT document FROM documents WHERE id = ?", (commit_id,)).fetchone()
            if row is None:
                return None
            conn.execute(_USED, (commit_id,))
            with suppress(zlib.error):
                document = zlib.decompress(row[0])
                if id_of(document) == commit_id:
                    return document
            return None

        return self._with(read, None)

    def keep(self, commit_id: CommitId, document: bytes) -> None:
        """Keep a whole commit, and drop those not used for longest."""
        packed = zlib.compress(document, 1)

        def write(conn: sqlite3.Connection) -> None:
            conn.execute(_KEPT, (commit_id, len(packed), packed))
            (total,) = conn.execute("SELECT sum(size) FROM documents").fetchone()
            while total > ROOM_BYTES:
                oldest, size = conn.execute("SELECT id, size FROM documents ORDER BY used LIMIT 1").fetchone()
                conn.execute("DELETE FROM documents WHERE id = ?", (oldest,))
                total -= size

        self._with(write, None)

    # --- inside -------------------------------------------------------------------------------------------------

    def _with(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """`otherwise` where the file cannot be used: what is not remembered is read again."""
        try:
            return self._try(work)
        except (sqlite3.DatabaseError, Integrity, OSError):
            with suppress(OSError):
                self.file.unlink(missing_ok=True)
            return otherwise

    def _try(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with closing(sqlite3.connect(self.file, isolation_level=None, timeout=10.0)) as conn:
            with suppress(OSError):
                self.file.chmod(0o600)
            conn.execute("PRAGMA synchronous=OFF")  # a cache: what a power cut tears is dropped
            conn.execute("BEGIN IMMEDIATE")
            for statement in _TABLES:
                conn.execute(statement)
            answer = work(conn)
            conn.execute("COMMIT")
            return answer


_USED = "UPDATE documents SET used = (SELECT max(used) + 1 FROM documents) WHERE id = ?"
_KEPT = "INSERT OR REPLACE INTO documents VALUES (?, (SELECT coalesce(max(used), 0) + 1 FROM documents), ?, ?)"
