"""What the journal holds of paths, joined over its tables, for `dorkyd.reading`. Read-only; nothing here writes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dorkyd.core.audit import LOCAL_VERBS, Filter
from dorkyd.core.ignore import IgnoreRules
from dorkyd.core.model import Digest, Path, Version
from dorkyd.core.paths import ConflictName, name, parse_conflict, split_extension
from dorkyd.core.report import FileItem, LogItem, ProblemItem

_SECOND_NS = 1_000_000_000
TABLES = frozenset({"apart", "base", "dirty", "displaced", "history", "intents", "problems", "remote", "seen"})
"""All that is read."""
SIDES = ("base", "seen", "remote")
"""The tables whose paths are files, here or there."""
_JOINED = (
    "SELECT p.path, b.digest, b.size, b.version, b.mode, s.digest, s.size, r.digest, r.size, r.version, r.mode,"
    " d.remote, q.code, q.detail, q.hint, q.attempts"
    " FROM p LEFT JOIN base b ON b.path = p.path LEFT JOIN seen s ON s.path = p.path"
    " LEFT JOIN remote r ON r.path = p.path LEFT JOIN dirty d ON d.path = p.path"
    " LEFT JOIN problems q ON q.path = p.path ORDER BY p.path"
)
HISTORY = "SELECT seq, at_ns, verb, path, digest, size, version, device, detail FROM history"
"""For `log_item`."""

Values = tuple[str | bytes | int, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """What one side holds, or both agreed on."""

    digest: Digest | None
    size: int
    version: Version | None
    mode: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """All that the journal holds of one path."""

    path: Path
    base: Side | None = None
    local: Side | None = None
    remote: Side | None = None
    dirty: bool = False
    ask: bool = False
    """The bucket must be asked before anything is decided."""
    problem: tuple[str, str, str, int] | None = None
    """Code, detail, hint, attempts."""

    @property
    def state(self) -> str:
        """As `FileItem.state`. What is only on one side is said to be so, though it is dirty until it moves."""
        if self.problem is not None:
            return "problem"
        if self.base is not None:
            return "changing" if self.dirty else "synced"
        if self.local is not None:
            return "local" if self.remote is None else "changing"
        return "remote"

    @property
    def known(self) -> bool:
        """Some side holds it, or did when it was last looked at."""
        return (self.base or self.local or self.remote) is not None

    def item(self, side: Side | None) -> FileItem | None:
        """One side as the API shows it."""
        if side is None:
            return None
        return FileItem(self.path, side.digest, side.size, side.version, side.mode, self.state)

    @property
    def agreed(self) -> Side | None:
        """The side to show when one stands for all: its digest and version are of one state."""
        return self.base or self.local or self.remote


def page_of(conn: sqlite3.Connection, tables: Sequence[str], prefix: str, after: str, limit: int) -> list[Row]:
    """The next rows of the union of the tables. Each is read in the order of its key, and only as far as the page."""
    return joined(conn, *_next_paths(tables, prefix, after, limit))


def paths_of(conn: sqlite3.Connection, tables: Sequence[str], prefix: str, after: str, limit: int) -> list[Path]:
    """As `page_of`, their paths alone: a tenth of the work."""
    return [path for (path,) in conn.execute(*_next_paths(tables, prefix, after, limit))]


def rows_of(conn: sqlite3.Connection, paths: Sequence[Path]) -> list[Row]:
    """All that is known of these paths, in their order."""
    return joined(conn, "SELECT value FROM json_each(?)", (json.dumps(paths),))


def _next_paths(tables: Sequence[str], prefix: str, after: str, limit: int) -> tuple[str, Values]:
    # One lower bound, the tighter: given two, SQLite may seek by the other and read its way up.
    lower = ("path > ?", after) if after >= prefix else ("path >= ?", prefix)
    part = f"WHERE {lower[0]} AND path < ?"
    union = " UNION ".join(f"SELECT path FROM {table} {part}" for table in tables)  # noqa: S608 - constant
    return f"{union} ORDER BY path LIMIT ?", (*(lower[1], behind(prefix)) * len(tables), limit)


def behind(prefix: str) -> str | bytes:
    """What sorts right behind every text that begins with the prefix."""
    for end in range(len(prefix), 0, -1):
        point = ord(prefix[end - 1])
        if point < 0x10FFFF:
            return prefix[: end - 1] + chr(0xE000 if point == 0xD7FF else point + 1)  # surrogates are no characters
    return b""  # SQLite sorts every BLOB behind every text


def joined(conn: sqlite3.Connection, paths: str, values: Values) -> list[Row]:
    """All that is known of the paths that a query names, in the order of paths."""
    return [_row(row) for row in conn.execute(f"WITH p (path) AS ({paths}) {_JOINED}", values)]


def _row(row: tuple[Any, ...]) -> Row:
    path, b_digest, b_size, b_version, b_mode, s_digest, s_size, r_digest, r_size, r_version, r_mode, ask, *told = row
    base = None if b_digest is None else Side(b_digest, b_size, b_version, b_mode)
    local = None if s_digest is None else Side(s_digest, s_size, None, None)
    if local is None and base is not None and ask is None:
        # Nothing was marked since both sides agreed: a file that was installed is not hashed again to be known.
        local = Side(b_digest, b_size, None, b_mode)
    if r_digest is None and base is not None and r_version == b_version:
        r_digest = b_digest  # a listing tells no digests, but this is the state that was agreed on
    remote = None if r_version is None else Side(r_digest, r_size, r_version, r_mode)
    code, detail, hint, attempts = told
    problem = None if code is None else (code, detail, hint, attempts)
    return Row(path, base, local, remote, ask is not None, bool(ask), problem)


def rfc3339(at_ns: int) -> str:
    """Wall-clock nanoseconds as UTC text, to the millisecond: `2026-11-03T14:15:30.250Z`."""
    seconds, rest = divmod(at_ns, _SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"


def conflict_copies(conn: sqlite3.Connection, rules: IgnoreRules | None) -> list[tuple[Path, ConflictName]]:
    """Every conflict copy that waits for a person, in order, without those that rules ignore. One that both sides held
    and this folder no longer does is settled; its deletion is on the way.
    """
    named_so = "WHERE path LIKE '% (conflict %'"
    found = conn.execute(
        f"SELECT path FROM seen {named_so} UNION SELECT path FROM remote {named_so}"  # noqa: S608 - constant
        " AND path NOT IN (SELECT path FROM base) ORDER BY path"
    )
    paths = [Path(path) for (path,) in found]
    return [
        (path, named)
        for path in paths
        if (named := parse_conflict(path)) is not None and (rules is None or not rules.skip(path, False))
    ]


def copies_of(conn: sqlite3.Connection, original: Path) -> list[Path]:
    """Conflict copies beside a path, by their names. One whose name had to be trimmed names another original."""
    last = name(original)
    beginning = f"{original[: len(original) - len(last)]}{split_extension(last)[0]} (conflict "
    part = " UNION ".join(f"SELECT path FROM {table} WHERE path >= ? AND path < ?" for table in SIDES)  # noqa: S608 - constant
    found = conn.execute(f"{part} ORDER BY path", (beginning, behind(beginning)) * len(SIDES))
    named = [(Path(path), parse_conflict(path)) for (path,) in found]
    return [path for path, copy in named if copy is not None and copy.original == original]


def count_below(conn: sqlite3.Connection, folder: Path) -> int:
    """How many files inside a folder either side holds."""
    part = " UNION ".join(f"SELECT path FROM {table} WHERE path >= ? AND path < ?" for table in SIDES)  # noqa: S608 - constant
    row = conn.execute(f"SELECT count(*) FROM ({part})", (f"{folder}/", f"{folder}0") * len(SIDES)).fetchone()  # noqa: S608 - constant
    return int(row[0])


def is_sealed(conn: sqlite3.Connection, path: Path) -> bool:
    """Whether the object is known to be encrypted."""
    row = conn.execute("SELECT sealed FROM remote WHERE path = ?", (path,)).fetchone()
    return row is not None and row[0] is not None


def is_sent(conn: sqlite3.Connection, path: Path) -> bool:
    """A write of it to the bucket was sent, perhaps, and its outcome is not recorded."""
    found = conn.execute("SELECT 1 FROM intents WHERE path = ? AND state = 'intended'", (path,))
    return found.fetchone() is not None


def is_apart(conn: sqlite3.Connection, path: Path) -> bool:
    """Mode manual: its sides differ, and nothing but a person's word changes that."""
    return conn.execute("SELECT 1 FROM apart WHERE path = ?", (path,)).fetchone() is not None


def last_of(conn: sqlite3.Connection, path: Path) -> LogItem | None:
    """The last thing that was done to a path."""
    row = conn.execute(f"{HISTORY} WHERE path = ? AND verb != 'schema' ORDER BY seq DESC LIMIT 1", (path,)).fetchone()
    return None if row is None else log_item(row)


def history_of(conn: sqlite3.Connection, path: Path) -> list[LogItem]:
    """All that was done to a path, newest first."""
    return [log_item(row) for row in conn.execute(f"{HISTORY} WHERE path = ? ORDER BY seq DESC", (path,))]


def log_of(conn: sqlite3.Connection, after: int, limit: int, wanted: Filter) -> list[LogItem]:
    """History with seq above `after`, oldest first; -1: the last `limit` of what is wanted."""
    parts, values = ["seq > ?"], list[str | int]([after])
    if wanted.path is not None and wanted.path.endswith("/"):
        parts.append("path >= ? AND path < ?")
        values += [wanted.path, f"{wanted.path[:-1]}0"]
    elif wanted.path is not None:
        parts.append("path = ?")
        values.append(wanted.path)
    if wanted.who is not None:
        parts.append("device = ?")
        values.append(wanted.who)
    if wanted.verbs:
        verbs = [word for verb in wanted.verbs for word in LOCAL_VERBS.get(verb, (verb,))]
        parts.append(f"verb IN ({', '.join('?' for _ in verbs)})")
        values += verbs
    for bound, at_ns in (("at_ns >= ?", wanted.since_ns), ("at_ns < ?", wanted.until_ns)):
        if at_ns is not None:
            parts.append(bound)
            values.append(at_ns)
    order = "DESC" if after < 0 else "ASC"
    rows = conn.execute(
        f"{HISTORY} WHERE {' AND '.join(parts)} ORDER BY seq {order} LIMIT ?", (*values, limit)
    ).fetchall()
    return [log_item(row) for row in (rows[::-1] if after < 0 else rows)]


def log_item(row: tuple[Any, ...]) -> LogItem:
    """A row of history as the API shows it."""
    seq, at_ns, verb, path, digest, size, version, device, detail = row
    return LogItem(seq, rfc3339(at_ns), verb, path, digest, size, version, device, detail)


def problem_of(row: Row, next_try: Mapping[Path, float]) -> ProblemItem | None:
    """The row's problem as the API shows it. `next_try`: seconds until each path is tried again."""
    if row.problem is None:
        return None
    code, detail, hint, attempts = row.problem
    soon = next_try.get(row.path)
    side = row.agreed
    if side is None:
        return ProblemItem(row.path, code, detail, hint, attempts, soon)
    return ProblemItem(row.path, code, detail, hint, attempts, soon, side.digest, side.size, side.version)
