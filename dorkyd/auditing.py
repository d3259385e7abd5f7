"""Who changed what in the bucket: every mutation by anyone running dorkyd, in order, from the bucket's own log.

Entries never change, so each is read once by this device and kept in a database of its own beside the journal
(`<journal>.audit`), which is a cache: it may be lost at any time. What is told is what the log lists now: an entry whose
version is not the one that was kept is read again, and entries that were compacted away are told no more. On the thread of
whoever asks, one at a time.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from dorkyd.compaction import LIVE_S
from dorkyd.core.audit import AuditItem, Filter, items_of
from dorkyd.core.logbook import Entry
from dorkyd.core.model import Version
from dorkyd.engine import Engine
from dorkyd.news import Logged, News
from dorkyd.reading_rows import rfc3339
from dorkyd.versions import Versions

AT_ONCE = 8
"""Entries that are read at one time."""
SLICE = 256
"""Entries that are kept in one transaction."""
RETENTION = f"the bucket's log keeps every change at least {LIVE_S // 86_400} days; older ones are compacted away"
_TABLES = (
    "CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY, version TEXT NOT NULL)",
    (
        "CREATE TABLE IF NOT EXISTS changes (number INTEGER NOT NULL, place INTEGER NOT NULL, at TEXT NOT NULL,"
        " device TEXT NOT NULL, author TEXT NOT NULL, replica TEXT NOT NULL, verb TEXT NOT NULL, path TEXT NOT NULL,"
        " digest TEXT, size INTEGER, replaces TEXT, version TEXT, approved INTEGER NOT NULL, batch TEXT,"
        " PRIMARY KEY (number, place)) WITHOUT ROWID"
    ),
    "CREATE INDEX IF NOT EXISTS changes_by_path ON changes (path)",
)
_COLUMNS = "number, place, at, device, author, replica, verb, path, digest, size, replaces, version, approved, batch"


@dataclass(slots=True)
class Auditing:
    """See the module. One for each project."""

    engine: Engine
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def audit(self, wanted: Filter, after: str, limit: int) -> list[AuditItem]:
        """Changes behind the cursor `after` (`""`: from the first), oldest first."""
        with self._lock, closing(self._connected()) as conn:
            self._catch_up(conn)
            where, values = _where(wanted, after)
            rows = conn.execute(
                f"SELECT {_COLUMNS} FROM changes{where} ORDER BY number, place LIMIT ?",  # noqa: S608 - constants
                (*values, limit),
            )
            return [AuditItem(*row) for row in rows]

    # --- inside ---------------------------------------------------------------------------------------------------

    def _connected(self) -> sqlite3.Connection:
        file = self.engine.journal_file
        kept = FilePath(f"{file}.audit")
        try:
            return _opened(kept)
        except sqlite3.DatabaseError:
            kept.unlink(missing_ok=True)
            return _opened(kept)

    def _catch_up(self, conn: sqlite3.Connection) -> None:
        """Read what the log has and is not kept here, and forget what it no longer has."""
        news = News(Versions(self.engine).bucket())
        listed = {entry.number: entry for page in news.log_pages() for entry in page}
        kept = dict(conn.execute("SELECT number, version FROM entries"))
        gone = [number for number, version in kept.items() if number not in listed or listed[number].version != version]
        for table in ("entries", "changes"):
            conn.executemany(f"DELETE FROM {table} WHERE number = ?", ((number,) for number in gone))  # noqa: S608 - constants
        missing = [entry for number, entry in sorted(listed.items()) if kept.get(number) != entry.version]
        for start in range(0, len(missing), SLICE):
            self._read(conn, news, missing[start : start + SLICE])

    def _read(self, conn: sqlite3.Connection, news: News, missing: Sequence[Logged]) -> None:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="audit") as threads:
            read = list(threads.map(lambda entry: news.entry(entry.number), missing))
        conn.execute("BEGIN")
        for entry, found in zip(missing, read, strict=True):
            if found is not None:
                _keep(conn, entry.number, *found)
        conn.execute("COMMIT")


def _keep(conn: sqlite3.Connection, number: int, entry: Entry, version: Version) -> None:
    conn.execute("INSERT OR REPLACE INTO entries VALUES (?, ?)", (number, version))
    conn.executemany(
        f"INSERT OR REPLACE INTO changes ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constants
        (
            (i.number, i.place, i.at, i.device, i.author, i.replica, i.verb, i.path, i.digest, i.size, i.replaces,
             i.version, int(i.approved), i.batch)
            for i in items_of(number, entry)
        ),
    )  # fmt: skip


def _opened(file: FilePath) -> sqlite3.Connection:
    conn = sqlite3.connect(file, isolation_level=None, timeout=10.0)
    try:
        # A cache: what a power cut takes is read again.
        conn.execute("PRAGMA journal_mode=WAL")
        conn.execute("PRAGMA synchronous=NORMAL")
        for table in _TABLES:
            conn.execute(table)
    except BaseException:
        conn.close()
        raise
    return conn


def _where(wanted: Filter, after: str) -> tuple[str, list[str | int]]:
    parts, values = list[str](), list[str | int]()

    def add(part: str, *given: str | int) -> None:
        parts.append(part)
        values.extend(given)

    if after:
        number, _, place = after.partition(".")
        add("(number > ? OR number = ? AND place > ?)", int(number), int(number), int(place or 0))
    if wanted.path is not None and wanted.path.endswith("/"):
        add("path >= ? AND path < ?", wanted.path, f"{wanted.path[:-1]}0")
    elif wanted.path is not None:
        add("path = ?", wanted.path)
    if wanted.who is not None:
        add(
            "(device = ? OR author = ? OR author LIKE ? ESCAPE '!')",
            wanted.who,
            wanted.who,
            f"%{_escaped(wanted.who)}%",
        )
    if wanted.verbs:
        add(f"verb IN ({', '.join('?' for _ in wanted.verbs)})", *wanted.verbs)
    if wanted.since_ns is not None:
        add("at >= ?", rfc3339(wanted.since_ns))
    if wanted.until_ns is not None:
        add("at < ?", rfc3339(wanted.until_ns))
    return (f" WHERE {' AND '.join(parts)}" if parts else ""), values


def _escaped(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
