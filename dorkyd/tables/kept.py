"""Where facts are kept: beside the object in the bucket, for everybody, and on this disk, for whoever is offline.

Both by the content's digest, so that there is nothing to agree on: what two devices write of one content is the same. Both
may be lost at any time, and cost another look then. From any thread.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import time
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import TypeVar

from dorkyd.core.metadata import hex_of
from dorkyd.core.model import Digest
from dorkyd.errors import Blocked, Denied, Stale
from dorkyd.news import Bytes
from dorkyd.ports import Bucket
from dorkyd.tables.facts import DOCUMENT_BYTES, TableFacts, dumps, loads

T = TypeVar("T")

PLACE = ".dorky/tables/"
MOST = 5000
"""Contents whose facts this disk keeps; those used longest ago go first."""
_KEY = re.compile(rf"{re.escape(PLACE)}([0-9a-f]{{64}})\.json")
_log = logging.getLogger("dorkyd.tables")


def key_of(digest: Digest) -> str:
    """Where the bucket keeps the facts of a content."""
    return f"{PLACE}{hex_of(digest)}.json"


def digest_of(key: str) -> Digest | None:
    """Whose facts such a key has; None: it is no such key."""
    found = _KEY.fullmatch(key)
    return Digest(f"sha256:{found[1]}") if found is not None else None


def read(bucket: Bucket, digest: Digest) -> TableFacts | None:
    """What the bucket keeps of a content; None: nothing, or nothing that is fit to be read."""
    try:
        found = bucket.read(key_of(digest), limit=DOCUMENT_BYTES)
    except Denied:
        return None  # whoever may not read it looks at the file
    except Blocked as exc:
        if exc.code != "too-large":
            raise
        return None
    return loads(found[1]) if found is not None else None


def write(bucket: Bucket, digest: Digest, facts: TableFacts) -> bool:
    """Keep it there, where nobody has yet. False: it may not be written, or is too large to be worth it."""
    data = dumps(facts)
    if len(data) > DOCUMENT_BYTES:
        return False
    try:
        bucket.put(key_of(digest), Bytes(data), replaces=None, meta={})
    except Stale:
        return True  # somebody was faster
    except Denied as exc:
        _log.info("verb=keep-facts outcome=denied detail=%r", str(exc))
        return False
    return True


@dataclass(frozen=True, slots=True)
class Cache:
    """A file of this machine; None: nothing is kept."""

    file: FilePath | None

    def get(self, digest: Digest) -> TableFacts | None:
        """What is kept of a content."""

        def find(conn: sqlite3.Connection) -> TableFacts | None:
            row = conn.execute("SELECT document FROM facts WHERE digest = ?", (digest,)).fetchone()
            if row is None:
                return None
            conn.execute("UPDATE facts SET used = ? WHERE digest = ?", (time.time_ns(), digest))
            return loads(zlib.decompress(row[0]))

        return self._with(find, None)

    def put(self, digest: Digest, facts: TableFacts) -> None:
        """Keep it."""

        def keep(conn: sqlite3.Connection) -> None:
            row = (digest, time.time_ns(), zlib.compress(dumps(facts), 1))
            conn.execute("INSERT OR REPLACE INTO facts (digest, used, document) VALUES (?, ?, ?)", row)
            conn.execute(
                "DELETE FROM facts WHERE digest IN (SELECT digest FROM facts ORDER BY used DESC LIMIT -1 OFFSET ?)",
                (MOST,),
            )

        self._with(keep, None)

    def note_hard(self, digest: Digest, how: str) -> None:
        """This content broke a worker: not to be tried again by itself."""

        def note(conn: sqlite3.Connection) -> None:
            conn.execute(
                "INSERT OR REPLACE INTO hard (digest, at, how) VALUES (?, ?, ?)", (digest, time.time_ns(), how)
            )
            conn.execute(
                "DELETE FROM hard WHERE digest IN (SELECT digest FROM hard ORDER BY at DESC LIMIT -1 OFFSET 1000)"
            )

        self._with(note, None)

    def is_hard(self, digest: Digest) -> bool:
        """It broke one before."""
        find = "SELECT 1 FROM hard WHERE digest = ?"
        return self._with(lambda conn: conn.execute(find, (digest,)).fetchone() is not None, False)

    def _with(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        if self.file is None:
            return otherwise
        try:
            with closing(sqlite3.connect(self.file, timeout=10)) as conn, conn:
                conn.execute("PRAGMA synchronous=OFF")
                for table in ("facts (digest TEXT PRIMARY KEY, used INTEGER NOT NULL, document BLOB NOT NULL)",
                              "hard (digest TEXT PRIMARY KEY, at INTEGER NOT NULL, how TEXT NOT NULL)"):  # fmt: skip
                    conn.execute(f"CREATE TABLE IF NOT EXISTS {table}")
                return work(conn)
        except (sqlite3.Error, zlib.error) as exc:
            _log.warning("verb=table-cache outcome=unusable detail=%r", str(exc))
            return otherwise
