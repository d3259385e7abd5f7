"""The journal's tables and how they came to be. One migration per change; a finished one is never edited."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path as FilePath

from dorkyd.errors import NewerSchema
from dorkyd.sqlite import Database, Migrations

migrations = Migrations("dorkyd.journal")

_TABLES = (
    # What is remembered of the project as a whole: identities, cursors, halts, pauses.
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # Paths that must be looked at again. `mark` rises with every marking; `remote`: the mark that
    # wants the bucket asked, 0: none does.
    "CREATE TABLE dirty (path TEXT PRIMARY KEY, remote INTEGER NOT NULL, mark INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX dirty_by_mark ON dirty (mark)",
    (
        "CREATE TABLE base (path TEXT PRIMARY KEY, digest TEXT NOT NULL, size INTEGER NOT NULL, version TEXT,"
        " mode INTEGER, modified INTEGER) WITHOUT ROWID"
    ),
    "CREATE INDEX base_by_digest ON base (digest)",
    # `row` rises with every writing, so that a listing can tell what was learned since it began.
    (
        "CREATE TABLE remote (path TEXT PRIMARY KEY, version TEXT NOT NULL, size INTEGER NOT NULL, digest TEXT,"
        " mode INTEGER, mtime_ns INTEGER, modified INTEGER, op TEXT, ancestry TEXT NOT NULL, device TEXT,"
        " looked INTEGER NOT NULL, row INTEGER NOT NULL) WITHOUT ROWID"
    ),
    # Digests of local files with the stat they were computed under.
    (
        "CREATE TABLE seen (path TEXT PRIMARY KEY, digest TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,"
        " ctime_ns INTEGER NOT NULL, inode INTEGER NOT NULL, at_ns INTEGER NOT NULL) WITHOUT ROWID"
    ),
    # Remote effects: `intended` from before they are sent, `announce` once their outcome is recorded.
    (
        "CREATE TABLE intents (seq INTEGER PRIMARY KEY AUTOINCREMENT, op TEXT NOT NULL UNIQUE, path TEXT NOT NULL,"
        " verb TEXT NOT NULL, digest TEXT, size INTEGER, mode INTEGER, replaces TEXT, version TEXT,"
        " state TEXT NOT NULL, approved INTEGER NOT NULL, at_ns INTEGER NOT NULL)"
    ),
    "CREATE INDEX intents_by_path ON intents (path)",
    # Local effects: installs and discards, from before the swap until recorded.
    (
        "CREATE TABLE installs (id INTEGER PRIMARY KEY AUTOINCREMENT, verb TEXT NOT NULL, path TEXT NOT NULL,"
        " staged TEXT NOT NULL UNIQUE, staged_digest TEXT, version TEXT, size INTEGER, mode INTEGER, modified INTEGER,"
        " expected TEXT, keep_both INTEGER NOT NULL, mtime_ns INTEGER NOT NULL)"
    ),
    # Staged bytes that we fetched, by the state they are of; proof that they may be unlinked.
    (
        "CREATE TABLE fetched (staged TEXT PRIMARY KEY, path TEXT NOT NULL, version TEXT NOT NULL, digest TEXT)"
        " WITHOUT ROWID"
    ),
    "CREATE INDEX fetched_by_path ON fetched (path)",
    # Multipart uploads under way.
    (
        "CREATE TABLE uploads (path TEXT NOT NULL, digest TEXT NOT NULL, upload_id TEXT NOT NULL, part_bytes INTEGER NOT"
        " NULL, op TEXT NOT NULL, PRIMARY KEY (path, upload_id)) WITHOUT ROWID"
    ),
    # Displaced files, looked at again for late writers: `checks` done so far.
    (
        "CREATE TABLE displaced (name TEXT PRIMARY KEY, path TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL,"
        " version TEXT, at_ns INTEGER NOT NULL, checks INTEGER NOT NULL) WITHOUT ROWID"
    ),
    "CREATE INDEX displaced_by_digest ON displaced (digest)",
    (
        "CREATE TABLE history (seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL, verb TEXT NOT NULL,"
        " path TEXT NOT NULL, digest TEXT, size INTEGER, version TEXT, device TEXT NOT NULL, detail TEXT NOT NULL)"
    ),
    "CREATE INDEX history_by_path ON history (path)",
    (
        "CREATE TABLE problems (path TEXT PRIMARY KEY, code TEXT NOT NULL, detail TEXT NOT NULL, hint TEXT NOT NULL,"
        " attempts INTEGER NOT NULL) WITHOUT ROWID"
    ),
    # Deletions a person let through, here or on a peer.
    "CREATE TABLE approvals (path TEXT NOT NULL, version TEXT NOT NULL, PRIMARY KEY (path, version)) WITHOUT ROWID",
    # Deletions done, for the guard's window.
    "CREATE TABLE deletions (at_ns INTEGER NOT NULL, side TEXT NOT NULL, path TEXT NOT NULL)",
    "CREATE INDEX deletions_by_time ON deletions (at_ns)",
)


@migrations()
def m0001_first_tables(db: Database) -> None:
    """The tables of version 0.1."""
    for statement in _TABLES:
        db.execute(statement)


@migrations()
def m0002_upload_sessions(db: Database) -> None:
    """Uploads in sessions (`dorkyd.sessions`). The table of before was never written to."""
    db.execute("DROP TABLE uploads")
    db.execute(
        "CREATE TABLE uploads (seq INTEGER PRIMARY KEY AUTOINCREMENT, op TEXT NOT NULL UNIQUE, path TEXT NOT NULL,"
        " digest TEXT NOT NULL, replaces TEXT, mode INTEGER NOT NULL, session TEXT NOT NULL, part_bytes INTEGER NOT NULL,"
        " meta TEXT NOT NULL, kept INTEGER NOT NULL)"
    )
    db.execute("CREATE INDEX uploads_by_path ON uploads (path)")


@migrations()
def m0003_md5_of_listings(db: Database) -> None:
    """What a listing told of an object's bytes, until it is looked at."""
    db.execute("ALTER TABLE remote ADD COLUMN md5 TEXT")


@migrations()
def m0004_what_clients_store(db: Database) -> None:
    """Intents that a client of the API asked for: base is not to become what they wrote. Bodies on their way in."""
    db.execute("ALTER TABLE intents ADD COLUMN asked INTEGER NOT NULL DEFAULT 0")
    db.execute("CREATE TABLE incoming (staged TEXT PRIMARY KEY) WITHOUT ROWID")


@migrations()
def m0005_mode_of_the_file(db: Database) -> None:
    """The permission bits a file had when its content was sent with bits that were merged from another's."""
    db.execute("ALTER TABLE intents ADD COLUMN local_mode INTEGER")


@migrations()
def m0006_repeated_requests(db: Database) -> None:
    """Requests that clients may repeat (`dorkyd.repeats`), and a person's own keys of each object."""
    db.execute("ALTER TABLE remote ADD COLUMN own TEXT")
    db.execute(
        "CREATE TABLE repeats (key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, op TEXT NOT NULL UNIQUE,"
        " creates INTEGER NOT NULL, at_ns INTEGER NOT NULL, answer TEXT) WITHOUT ROWID"
    )
    db.execute("CREATE INDEX repeats_by_time ON repeats (at_ns)")


@migrations()
def m0007_batches(db: Database) -> None:
    """Atomic batches (`dorkyd.batches`): of which one an object and an intent are, and those that are complete."""
    db.execute("ALTER TABLE remote ADD COLUMN batch TEXT")
    db.execute("ALTER TABLE intents ADD COLUMN batch TEXT")
    db.execute(
        "CREATE TABLE batches (id TEXT PRIMARY KEY, members TEXT NOT NULL, at_ns INTEGER NOT NULL) WITHOUT ROWID"
    )


@migrations()
def m0008_actions(db: Database) -> None:
    """What `undo` needs of the history: which rows are one action, and what each path held before."""
    db.execute("ALTER TABLE history ADD COLUMN action TEXT NOT NULL DEFAULT ''")
    for column in ("before TEXT", "replaces TEXT", "mode INTEGER", "mode_before INTEGER", "came_from TEXT"):
        db.execute(f"ALTER TABLE history ADD COLUMN {column}")
    db.execute("CREATE INDEX history_by_action ON history (action)")
    db.execute("ALTER TABLE approvals ADD COLUMN decided TEXT NOT NULL DEFAULT ''")


@migrations()
def m0010_merges(db: Database) -> None:
    """Installs of what was merged (`dorkyd.merging`): base becomes the object merged in, not what is put in place."""
    db.execute("ALTER TABLE installs ADD COLUMN agreed TEXT")
    db.execute("ALTER TABLE installs ADD COLUMN agreed_size INTEGER")


@migrations()
def m0011_mode_manual(db: Database) -> None:
    """What mode manual remembers (`dorkyd.manual_rows`)."""
    db.execute("CREATE TABLE apart (path TEXT PRIMARY KEY, here TEXT NOT NULL, there TEXT NOT NULL) WITHOUT ROWID")
    db.execute(
        "CREATE TABLE staged (path TEXT PRIMARY KEY, name TEXT UNIQUE, digest TEXT, size INTEGER NOT NULL, mode INTEGER,"
        " mtime_ns INTEGER, over TEXT) WITHOUT ROWID"
    )
    db.execute(
        "CREATE TABLE pushes (id TEXT PRIMARY KEY, seq INTEGER NOT NULL, plan TEXT NOT NULL, state TEXT NOT NULL)"
        " WITHOUT ROWID"
    )


@migrations()
def m0012_sealed_objects(db: Database) -> None:
    """Of an encrypted object: its key's epoch and its keyed digest. All are looked at again for that."""
    db.execute("ALTER TABLE remote ADD COLUMN sealed TEXT")


@migrations()
def m0012_sealed_by_digest(db: Database) -> None:
    """Asked for every upload: whether something encrypted holds its content."""
    db.execute("CREATE INDEX remote_sealed_by_digest ON remote (digest) WHERE sealed IS NOT NULL")


@migrations()
def m0013_once_sealed(db: Database) -> None:
    """Encrypted objects that are gone: what each held, where that is known."""
    db.execute("CREATE TABLE once_sealed (path TEXT PRIMARY KEY, digest TEXT) WITHOUT ROWID")
    db.execute("CREATE INDEX once_sealed_by_digest ON once_sealed (digest)")


@migrations()
def m0014_all_that_was_sealed(db: Database) -> None:
    """All that the encrypted object of a name ever held, as far as it was known, not only the last of it."""
    db.execute("ALTER TABLE once_sealed RENAME TO sealed_last")
    db.execute("DROP INDEX once_sealed_by_digest")
    db.execute("CREATE TABLE once_sealed (path TEXT NOT NULL, digest TEXT)")
    db.execute("CREATE UNIQUE INDEX once_sealed_once ON once_sealed (path, coalesce(digest, ''))")
    db.execute("CREATE INDEX once_sealed_by_digest ON once_sealed (digest)")
    db.execute("INSERT INTO once_sealed SELECT path, digest FROM sealed_last")
    db.execute("DROP TABLE sealed_last")


def prepare(db: Database, file: str) -> None:
    """Bring a database to this schema. `NewerSchema` when a later dorkyd wrote it; nothing is written then."""
    known = {migration.name for migration in migrations.pending(Database(memory=True))}
    unknown = [applied.name for applied in migrations.applied(db) if applied.name not in known]
    if unknown:
        raise NewerSchema(
            f"{file} was written by a newer dorkyd (it has {', '.join(unknown)}, unknown to this one)",
            hint="install that version again; nothing was changed",
        )
    migrations.apply(db)


_NUMBERS = ("counter", "log_cursor", "marker_inode", "paused_until", "listed", "last_success")
"""What `meta` holds as text and is a number."""
_DOCUMENTS = ("halt",)
"""What it holds in JSON."""


def damage(conn: sqlite3.Connection) -> str | None:
    """Read everything: what of it no journal can hold. None: nothing. `PRAGMA quick_check`, at every start, sees what
    holds the rows together, and not what stands in them. Raises `sqlite3.Error` and `UnicodeDecodeError`.
    """
    answer = conn.execute("PRAGMA integrity_check(1)").fetchone()
    if answer is None or answer[0] != "ok":
        return "integrity check failed"
    # Tables of SQLite's own have columns without a type.
    tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
    for (table,) in conn.execute(tables).fetchall():
        columns = conn.execute("SELECT name, type FROM pragma_table_info(?)", (table,)).fetchall()
        for row in conn.execute(f"SELECT * FROM {_quoted(table)}"):  # noqa: S608  a name of its own
            for (name, kind), value in zip(columns, row, strict=True):
                right = value is None or isinstance(value, int if kind == "INTEGER" else str)
                if not right or (name == "digest" and value is not None and not _DIGEST.fullmatch(value)):
                    return f"{table}.{name} holds what it cannot"
    for key, value in conn.execute("SELECT key, value FROM meta"):
        if key in _NUMBERS and not (value.isascii() and value.isdigit()):
            return f"{key} is no number"
        if key in _DOCUMENTS:
            try:
                json.loads(value)
            except ValueError:
                return f"{key} is no document"
    return None


def will_pass(exc: sqlite3.Error) -> bool:
    """Trouble of the disk or of a lock, which says nothing about what the database holds."""
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF in _PASSING


_PASSING = frozenset({
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
})  # fmt: skip


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def connect(file: FilePath) -> sqlite3.Connection:
    """A writing connection with the settings that safety rests on: WAL, and a sync at every commit."""
    conn = sqlite3.connect(file, isolation_level=None, timeout=10.0)
    return _set(conn, "journal_mode=WAL", "synchronous=FULL", "temp_store=MEMORY", "cache_size=-8000")


def connect_readonly(file: FilePath) -> sqlite3.Connection:
    """A connection for one reading thread."""
    conn = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=10.0)
    return _set(conn, "query_only=ON", "cache_size=-2000")


def _set(conn: sqlite3.Connection, *pragmas: str) -> sqlite3.Connection:
    try:
        for pragma in pragmas:
            conn.execute(f"PRAGMA {pragma}")
    except UnicodeDecodeError as exc:
        # SQLite quotes a damaged schema in its message, and Python cannot read that.
        conn.close()
        raise sqlite3.DatabaseError("the schema is damaged") from exc
    except BaseException:
        conn.close()
        raise
    return conn
