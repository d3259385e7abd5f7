"""The journal: what the engine remembers between two looks, in SQLite.

One per replica, in `<state>/journals/<replica>.db`. The engine's thread is the only writer. `Journal` holds the three
sides and what is dirty; `dorkyd.ledger.Ledger`, in the same database, holds the work under way and its traces. Whatever
belongs together is written in one `atomic()` block, which is one fsync.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path as FilePath
from typing import Any

from dorkyd import schema
from dorkyd.batch_rows import BatchRows
from dorkyd.core.model import Base, Digest, Op, Path, Remote, StatTuple, Version
from dorkyd.ledger import Ledger
from dorkyd.manual_rows import ManualRows
from dorkyd.ports import AHEAD_NS, Entry, Known
from dorkyd.repeats import Repeats
from dorkyd.sessions import Sessions
from dorkyd.sqlite import Database

SECRETS_MET = "secrets_met"
"""Here, once every encrypted object that a pattern covers was asked what it holds, since nothing was known of any."""
JOINING = "joining"
"""Here, until folder and bucket agreed for the first time since nothing was known of either."""
RACY_NS = 2_000_000_000
"""A file whose stamps are within this of when it was hashed is looked at again by the next scan."""


@dataclass(frozen=True, slots=True)
class Dirty:
    """A path to be looked at again."""

    path: Path
    remote: bool
    """The bucket must be asked before deciding; False: what the journal knows of the object still stands."""
    mark: int
    """Rises with every marking: a path is clean only if it was not marked again meanwhile."""


Shown = tuple[Path, Version, int | None]
"""What a listing tells of an object: path, version, and time."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan met, beside what is known."""

    met: int
    """Regular files."""
    changed: list[Path]
    """Those that changed or were never agreed on."""
    missing: list[Path]
    """Known to base or seen, and not met."""


@dataclass(slots=True)
class _Ahead:
    """Rows that were read together, kept true by every write."""

    base: dict[Path, Base | None] = field(default_factory=dict)
    remote: dict[Path, Remote | None] = field(default_factory=dict)
    known: dict[Path, Known | None] = field(default_factory=dict)
    seen: dict[Path, Known | None] = field(default_factory=dict)
    """What of `known` is to be written at the end."""
    leaves: set[Path] = field(default_factory=set)
    """Paths below which no object is known."""


class Journal:
    """See the module. Opened by, and used from, one thread."""

    def __init__(self, file: FilePath, *, doubtful: bool = False) -> None:
        """Open or create. `NewerSchema` when a later dorkyd wrote it; `sqlite3.DatabaseError` when it is corrupt, for which
        all of it is read when it is `doubtful`.
        """
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.file = file
        with suppress(OSError):  # SQLite meets the same, and is asked for the reason
            # Before SQLite makes it: the write-ahead log beside it takes its permission bits from it.
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            file.chmod(0o600)
        self._conn = schema.connect(file)
        self._db = Database(self._conn)
        self._changes = 0
        self._ahead = _Ahead()
        self._sealed_known = True
        try:
            answer = self._conn.execute("PRAGMA quick_check(1)").fetchone()
            if answer is None or answer[0] != "ok":
                raise sqlite3.DatabaseError(f"{file}: integrity check failed")
            found = schema.damage(self._conn) if doubtful else None
            if found is not None:
                raise sqlite3.DatabaseError(f"{file}: {found}")
            schema.prepare(self._db, str(file))
            self._rising = self._highest()
            self._sealed_known = self.any_sealed()
        except UnicodeDecodeError as exc:
            self._conn.close()
            raise sqlite3.DatabaseError(f"{file}: text that is none") from exc
        except BaseException:
            self._conn.close()
            raise
        self.ledger = Ledger(self._conn)
        self.sessions = Sessions(self._conn)
        self.repeats = Repeats(self._conn)
        self.batches = BatchRows(self._conn)
        self.manual = ManualRows(self._conn)

    def close(self) -> None:
        """Free the database."""
        self._conn.close()

    @property
    def changes(self) -> int:
        """Rises with every transaction: equal, nothing changed."""
        return self._changes

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """All or nothing, durable when it ends without an exception."""
        self._changes += 1
        with self._db.atomic():
            yield

    @contextmanager
    def ahead(self, paths: Collection[Path], above: Collection[Path]) -> Iterator[None]:
        """Inside the block `base`, `remote` and `known` of these paths and of the folders `above` them, and
        `remotes_below` of the paths, cost no statement each.
        """
        self._fill_temp("ahead", {*paths, *above})
        found = _Ahead()
        rows = self._conn.execute(
            f"SELECT a.path, b.digest IS NOT NULL, {_columns('b', _BASE)}, r.version IS NOT NULL, {_columns('r', _REMOTE)},"
            f" s.digest IS NOT NULL, {_columns('s', _KNOWN)} FROM temp.ahead a LEFT JOIN base b ON b.path = a.path"
            " LEFT JOIN remote r ON r.path = a.path LEFT JOIN seen s ON s.path = a.path"
        )
        at_remote = 2 + _BASE.count(",") + 1
        at_known = at_remote + 1 + _REMOTE.count(",") + 1
        for row in rows:
            path = row[0]
            found.base[path] = _base(row[2:at_remote]) if row[1] else None
            found.remote[path] = _remote(row[at_remote + 1 : at_known]) if row[at_remote] else None
            found.known[path] = _known(row[at_known + 1 :]) if row[at_known] else None
        leaves = self._conn.execute(
            "SELECT path FROM temp.ahead a WHERE NOT EXISTS"
            " (SELECT 1 FROM remote WHERE path >= a.path || '/' AND path < a.path || '0')"
        )
        found.leaves = {Path(row[0]) for row in leaves}
        self._ahead = found
        try:
            yield
        finally:
            self._ahead = _Ahead()
        self._conn.executemany("DELETE FROM seen WHERE path = ?", ((p,) for p, k in found.seen.items() if k is None))
        self._set_seen((path, known) for path, known in found.seen.items() if known is not None)

    # --- meta ---------------------------------------------------------------------------------------------------

    def get(self, key: str) -> str | None:
        """A remembered word about the project as a whole."""
        row = self._conn.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def put(self, key: str, value: str | None) -> None:
        """Remember it; None forgets."""
        if value is None:
            self._conn.execute("DELETE FROM meta WHERE key = ?", (key,))
        else:
            self._conn.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    # --- dirty --------------------------------------------------------------------------------------------------

    def mark(self, paths: Iterable[Path], *, remote: bool = False) -> None:
        """These must be looked at again. A mark that asks for the bucket stays until the bucket was asked."""
        self._rising += 1
        mark = self._rising
        self._conn.executemany(
            "INSERT INTO dirty VALUES (?, ?, ?) ON CONFLICT (path) DO UPDATE"
            " SET remote = max(remote, excluded.remote), mark = excluded.mark",
            ((path, mark if remote else 0, mark) for path in paths),
        )

    def mark_clashing(self, paths: Collection[Path], above: Collection[Path]) -> None:
        """All that base, remote or seen knows inside these, and what remote or seen knows of the folders `above` them,
        must be looked at again.
        """
        self._rising += 1
        self._fill_temp("wanted", paths)
        known = " UNION ".join(
            f"SELECT t.path FROM temp.wanted w CROSS JOIN {table} t"
            " ON t.path >= w.path || '/' AND t.path < w.path || '0'"
            for table in ("base", "remote", "seen")
        )
        self._mark_all(f"SELECT path FROM ({known})")
        self._fill_temp("wanted", above)
        self._mark_all(
            "SELECT path FROM temp.wanted w WHERE EXISTS (SELECT 1 FROM remote r WHERE r.path = w.path)"
            " OR EXISTS (SELECT 1 FROM seen s WHERE s.path = w.path)"
        )

    def _mark_all(self, select: str) -> None:
        self._conn.execute(
            f"INSERT INTO dirty SELECT path, 0, ? FROM ({select}) WHERE true"
            " ON CONFLICT (path) DO UPDATE SET mark = excluded.mark",
            (self._rising,),
        )

    def dirty(self, limit: int, *, skip: Iterable[Path] = ()) -> list[Dirty]:
        """The longest marked paths, without those in `skip`."""
        left_out = skip if isinstance(skip, AbstractSet) else frozenset(skip)
        # Not by a table of what to skip: to fill one costs more than to pass over these rows.
        rows = self._conn.execute("SELECT path, remote, mark FROM dirty ORDER BY mark, path")
        found = (Dirty(Path(path), bool(remote), mark) for path, remote, mark in rows if path not in left_out)
        return list(islice(found, limit))

    def dirty_count(self) -> int:
        """How many paths are dirty."""
        return int(self._conn.execute("SELECT count(*) FROM dirty").fetchone()[0])

    def backlog(self, skip: Iterable[Path]) -> tuple[int, int]:
        """How many dirty paths look like uploads and like downloads, without those in `skip`: an estimate."""
        self._fill_temp("skipped", skip)
        row = self._conn.execute(
            "SELECT coalesce(sum(r.path IS NULL OR b.path IS NOT NULL), 0),"
            " coalesce(sum(r.path IS NOT NULL AND b.path IS NULL), 0) FROM dirty d"
            " LEFT JOIN remote r ON r.path = d.path LEFT JOIN base b ON b.path = d.path"
            " WHERE d.path NOT IN (SELECT path FROM temp.skipped)"
        ).fetchone()
        return int(row[0]), int(row[1])

    def dirty_rows(self, paths: Iterable[Path]) -> list[Dirty]:
        """The dirty ones among `paths`."""
        self._fill_temp("wanted", paths)
        rows = self._conn.execute("SELECT path, remote, mark FROM dirty WHERE path IN (SELECT path FROM temp.wanted)")
        return [Dirty(Path(path), bool(remote), mark) for path, remote, mark in rows]

    def dirty_with_content(self, digests: Iterable[Digest]) -> list[Dirty]:
        """Dirty paths whose base holds one of these contents: the other halves of possible moves."""
        self._fill_temp("wanted", digests)
        rows = self._conn.execute(
            "SELECT d.path, d.remote, d.mark FROM temp.wanted w JOIN base b ON b.digest = w.path"
            " JOIN dirty d ON d.path = b.path"
        )
        return [Dirty(Path(path), bool(remote), mark) for path, remote, mark in rows]

    def highest_mark(self) -> int:
        """The latest marking."""
        return self._rising

    def asked(self, rows: Iterable[Dirty]) -> None:
        """The bucket was asked about these, under the marks given: they stay dirty, for the decision only."""
        self._conn.executemany(
            "UPDATE dirty SET remote = 0 WHERE path = ? AND remote <= ?", ((row.path, row.mark) for row in rows)
        )

    def ask_again(self) -> None:
        """Whatever was learned of dirty paths is old: the bucket must be asked about each before it is decided."""
        self._conn.execute("UPDATE dirty SET remote = mark")

    def clean(self, rows: Iterable[Dirty]) -> None:
        """These are settled, unless they were marked again since."""
        self._conn.executemany("DELETE FROM dirty WHERE path = ? AND mark <= ?", ((row.path, row.mark) for row in rows))

    # --- base ---------------------------------------------------------------------------------------------------

    def base(self, path: Path) -> Base | None:
        """What both sides last agreed on."""
        if path in self._ahead.base:
            return self._ahead.base[path]
        row = self._conn.execute(f"SELECT {_BASE} FROM base WHERE path = ?", (path,)).fetchone()
        return _base(row) if row else None

    def set_base(self, path: Path, base: Base | None) -> None:
        """Record an agreement; None: there is none any more."""
        if path in self._ahead.base:
            self._ahead.base[path] = base
        if base is None:
            self._conn.execute("DELETE FROM base WHERE path = ?", (path,))
        else:
            self.set_bases([(path, base)])

    def set_bases(self, bases: Iterable[tuple[Path, Base]]) -> None:
        """Record many agreements. Not inside `ahead`."""
        self._conn.executemany(
            "INSERT OR REPLACE INTO base VALUES (?, ?, ?, ?, ?, ?)",
            ((path, base.digest, base.size, base.version, base.mode, base.modified) for path, base in bases),
        )

    def base_totals(self) -> tuple[int, int]:
        """Paths agreed on, and their bytes."""
        files, size = self._conn.execute("SELECT count(*), coalesce(sum(size), 0) FROM base").fetchone()
        return int(files), int(size)

    def base_paths(self, under: Path | None = None) -> Iterator[Path]:
        """Paths agreed on, in order; below a folder only, if one is named."""
        where, values = _range(under)
        for (path,) in self._conn.execute(f"SELECT path FROM base{where} ORDER BY path", values):
            yield Path(path)

    def base_paths_with(self, text: str) -> list[Path]:
        """Paths agreed on that have this text in them."""
        return [Path(row[0]) for row in self._conn.execute("SELECT path FROM base WHERE instr(path, ?) > 0", (text,))]

    def bases_with(self, digest: Digest) -> list[Path]:
        """Where both sides hold this content."""
        return [Path(row[0]) for row in self._conn.execute("SELECT path FROM base WHERE digest = ?", (digest,))]

    def conflict_copies(self) -> list[Path]:
        """Files here whose name may be a conflict copy's."""
        rows = self._conn.execute("SELECT path FROM seen WHERE path LIKE '% (conflict %' ORDER BY path")
        return [Path(row[0]) for row in rows]

    def unagreed(self) -> list[Path]:
        """Known objects that base does not have."""
        rows = self._conn.execute("SELECT path FROM remote WHERE path NOT IN (SELECT path FROM base)")
        return [Path(row[0]) for row in rows]

    def drop_all_bases(self) -> None:
        """As after a lost database: nothing was ever agreed, so nothing can be deleted."""
        self._ahead = _Ahead()
        self._conn.execute("DELETE FROM base")

    # --- remote -------------------------------------------------------------------------------------------------

    def remote(self, path: Path) -> Remote | None:
        """The object as last learned. None: none is known, which proves nothing."""
        if path in self._ahead.remote:
            return self._ahead.remote[path]
        row = self._conn.execute(f"SELECT {_REMOTE} FROM remote WHERE path = ?", (path,)).fetchone()
        return _remote(row) if row else None

    def set_remote(self, path: Path, remote: Remote | None) -> None:
        """Remember what a look told; None: a proven absence."""
        self._ahead.leaves.clear()
        if path in self._ahead.remote:
            self._ahead.remote[path] = remote
        if remote is None:
            self._keep_sealed([path])
            self._conn.execute("DELETE FROM remote WHERE path = ?", (path,))
        else:
            self.set_remotes([(path, remote)])

    def set_remotes(self, remotes: Iterable[tuple[Path, Remote]]) -> None:
        """Remember what many looks told. Not inside `ahead`."""
        remotes = list(remotes)
        self._keep_sealed(path for path, _ in remotes)
        self._sealed_known = self._sealed_known or any(remote.sealed is not None for _, remote in remotes)
        self._rising += 1
        self._conn.executemany(
            "INSERT OR REPLACE INTO remote VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    path,
                    remote.version,
                    remote.size,
                    remote.digest,
                    remote.mode,
                    remote.mtime_ns,
                    remote.modified,
                    remote.op,
                    " ".join(remote.ancestry),
                    remote.device,
                    int(remote.looked),
                    self._rising,
                    remote.md5,
                    remote.own or None,
                    remote.batch,
                    remote.sealed,
                )
                for path, remote in remotes
            ),
        )

    def prove(self, path: Path, remote: Remote) -> None:
        """A listed object was proved equal by what the listing told. It is no newer knowledge of the bucket than before:
        a listing under way may replace it.
        """
        self._ahead.remote.pop(path, None)
        self._conn.execute(
            "UPDATE remote SET digest = ?, ancestry = ? WHERE path = ? AND version = ?",
            (remote.digest, " ".join(remote.ancestry), path, remote.version),
        )

    def _keep_sealed(self, paths: Iterable[Path]) -> None:
        """These rows are about to be replaced: what their encrypted objects held is remembered for ever, so that it never
        leaves in plain under another name.
        """
        if not self._sealed_known:
            return  # nothing is encrypted here, and no statement is spent on it
        self._conn.executemany(
            "INSERT OR IGNORE INTO once_sealed SELECT r.path, coalesce(r.digest, b.digest)"
            " FROM remote r LEFT JOIN base b ON b.path = r.path WHERE r.path = ? AND r.sealed IS NOT NULL",
            ((path,) for path in paths),
        )

    def sealed_contents(self) -> list[Digest]:
        """What the encrypted objects that are known hold, as far as that is known."""
        rows = self._conn.execute(
            "SELECT b.digest FROM base b JOIN remote r ON r.path = b.path WHERE r.sealed IS NOT NULL"
            " UNION SELECT digest FROM remote WHERE sealed IS NOT NULL AND digest IS NOT NULL"
        )
        return [Digest(row[0]) for row in rows]

    def ever_sealed(self) -> list[Digest]:
        """The same, and what such objects held before."""
        rows = self._conn.execute("SELECT DISTINCT digest FROM once_sealed WHERE digest IS NOT NULL")
        return [*self.sealed_contents(), *(Digest(digest) for (digest,) in rows)]

    def contents_here(self) -> list[Digest]:
        """What this disk is remembered to hold, in the folder and in its trash, and what was ever known of encrypted objects."""
        return list(contents_here(self._conn))

    def is_sealed_content(self, digest: Digest) -> bool:
        """Some encrypted object that is known holds this, or ever held it."""
        rows = self._conn.execute(
            IS_SEALED,
            (digest,),
        )
        return rows.fetchone() is not None

    def tells_of_sealed(self, words: Collection[str]) -> bool:
        """An encrypted object says one of these (`Remote.sealed`) of its content, which is not known otherwise."""
        wanted = ", ".join("?" * len(words))
        rows = self._conn.execute(
            f"SELECT 1 FROM remote WHERE sealed IS NOT NULL AND digest IS NULL AND sealed IN ({wanted}) LIMIT 1",
            tuple(words),
        )
        return rows.fetchone() is not None

    def unread_dirty(self) -> Iterator[Path]:
        """Objects that are to be decided and of which a listing alone told, so that nobody knows how they are stored."""
        rows = self._conn.execute("SELECT d.path FROM dirty d JOIN remote r ON r.path = d.path WHERE r.looked = 0")
        for (path,) in rows:
            yield Path(path)

    def keep_sealed(self, path: Path, digest: Digest | None) -> None:
        """What comes back in this place is encrypted content of before; None: whatever it is."""
        self._conn.execute("INSERT OR IGNORE INTO once_sealed VALUES (?, ?)", (path, digest))

    def was_sealed(self, path: Path) -> bool:
        """The object of this name was encrypted once, or such content was brought back under it."""
        rows = self._conn.execute("SELECT 1 FROM once_sealed WHERE path = ? LIMIT 1", (path,))
        return rows.fetchone() is not None

    def sealed_otherwise(self, epoch: str) -> list[Path]:
        """Encrypted objects of other epochs."""
        rows = self._conn.execute(
            "SELECT path FROM remote WHERE sealed IS NOT NULL AND sealed NOT LIKE ? || ':%'", (epoch,)
        )
        return [Path(row[0]) for row in rows]

    def any_sealed(self) -> bool:
        """Some encrypted object is known."""
        return self._conn.execute("SELECT 1 FROM remote WHERE sealed IS NOT NULL LIMIT 1").fetchone() is not None

    def known_paths(self) -> Iterator[Path]:
        """Paths of base and of objects that are known."""
        for (path,) in self._conn.execute("SELECT path FROM base UNION SELECT path FROM remote"):
            yield Path(path)

    def remotes_below(self, folder: Path, limit: int) -> list[tuple[Path, Remote]]:
        """Known objects inside a folder."""
        if folder in self._ahead.leaves:
            return []
        where, values = _range(folder)
        rows = self._conn.execute(f"SELECT path, {_REMOTE} FROM remote{where} LIMIT ?", (*values, limit))
        return [(Path(row[0]), _remote(row[1:])) for row in rows]

    def objects(self) -> Iterator[tuple[Path, Version, int, Digest | None, int | None, str | None]]:
        """All objects that are known, in order: version, size, digest, permission bits, and `Remote.sealed`. What nobody looked
        at in the bucket is what base says of the same version, and so is the size of what is packed there. None: not known.
        """
        rows = self._conn.execute(
            "SELECT r.path, r.version, CASE WHEN b.version = r.version OR b.digest = r.digest THEN b.size ELSE r.size END,"
            " coalesce(r.digest, CASE WHEN b.version = r.version THEN b.digest END), coalesce(r.mode, b.mode), r.sealed"
            " FROM remote r LEFT JOIN base b ON b.path = r.path ORDER BY r.path"
        )
        for path, version, size, digest, mode, sealed in rows:
            yield Path(path), Version(version), int(size), Digest(digest) if digest is not None else None, mode, sealed

    def unread_objects(self) -> list[Path]:
        """Those of which a listing alone told, in a state that base does not know."""
        rows = self._conn.execute(
            "SELECT r.path FROM remote r LEFT JOIN base b ON b.path = r.path"
            " WHERE r.looked = 0 AND r.digest IS NULL AND r.sealed IS NULL AND b.version IS NOT r.version"
        )
        return [Path(path) for (path,) in rows]

    def remote_count(self) -> int:
        """How many objects are known."""
        return int(self._conn.execute("SELECT count(*) FROM remote").fetchone()[0])

    def middle_object(self) -> Path | None:
        """Of the known ones, in order."""
        half = self.remote_count() // 2
        row = self._conn.execute("SELECT path FROM remote ORDER BY path LIMIT 1 OFFSET ?", (half,)).fetchone()
        return Path(row[0]) if row else None

    def drop_all_remotes(self) -> None:
        """Forget what is known of the bucket: it must be listed before anything is decided. What was encrypted there stays
        known: it leaves encrypted, wherever it goes.
        """
        self._ahead = _Ahead()
        self._keep_sealed([path for path, *_ in self._conn.execute("SELECT path FROM remote WHERE sealed IS NOT NULL")])
        self.put(SECRETS_MET, None)
        self._conn.execute("DELETE FROM remote")

    # --- listing: temporary tables, so that a large one needs no memory ---------------------------------------------

    def listing_begins(self) -> int:
        """Start a complete listing; returns what `listing_page` and `listing_ends` need to know."""
        self._conn.execute("CREATE TEMP TABLE IF NOT EXISTS listed (path TEXT PRIMARY KEY) WITHOUT ROWID")
        self._conn.execute("DELETE FROM temp.listed")
        self._rising += 1
        return self._rising

    def listing_shows(self, began: int, shown: Sequence[Shown]) -> list[Path]:
        """Take in what a page shows. Returns the paths for `listing_page`, which would change nothing for the others: nearly
        all, nearly always.
        """
        self._conn.executemany("INSERT OR IGNORE INTO temp.listed VALUES (?)", [(path,) for path, _, _ in shown])
        known = self._between(shown)
        differ: list[Path] = []
        for path, version, modified in shown:
            row = known.get(path)
            if row is not None:
                was, was_modified, learned = row
                # A time that one of the two does not know matches any.
                other_time = was_modified != modified and was_modified is not None and modified is not None
                if learned >= began or (was == version and not other_time):
                    continue
            differ.append(path)
        return differ

    def _between(self, shown: Sequence[Shown]) -> dict[str, tuple[str, int | None, int]]:
        """Version, time and row of the objects that are known of a page, which nearly always are all that are known between
        its first and its last key.
        """
        names = [path for path, _, _ in shown]
        if not names:
            return {}
        columns, most = "SELECT path, version, modified, row FROM remote WHERE path", 2 * len(names)
        rows = self._conn.execute(
            f"{columns} BETWEEN ? AND ? ORDER BY path LIMIT ?", (min(names), max(names), most + 1)
        ).fetchall()
        if len(rows) > most:
            rows = [row for name in names for row in self._conn.execute(f"{columns} = ?", (name,))]
        return {path: (version, modified, row) for path, version, modified, row in rows}

    def listing_page(self, began: int, page: Sequence[tuple[Path, Remote]]) -> list[Path]:
        """Take in a page. Rows learned since the listing began stand; all others that differ are replaced and
        marked. Returns the paths marked.
        """
        changed: list[tuple[Path, Remote]] = []
        for path, listed in page:
            self._conn.execute("INSERT OR IGNORE INTO temp.listed VALUES (?)", (path,))
            row = self._conn.execute(
                "SELECT version, modified, row, op, ancestry FROM remote WHERE path = ?", (path,)
            ).fetchone()
            if row is None:
                changed.append((path, listed))
                continue
            version, modified, learned, op, ancestry = row
            same_time = modified is None or listed.modified is None or modified == listed.modified
            if learned < began and (version != listed.version or not same_time):
                known = tuple(Op(word) for word in ancestry.split())
                if version == listed.version:
                    changed.append((path, replace(listed, op=op, ancestry=known)))
                else:
                    # A state after that of the op last known: a look that finds the same op knows it for a claim
                    # that another tool kept (`RemoteSide.learn`).
                    changed.append((path, replace(listed, ancestry=(*((op,) if op else ()), *known))))
        for path, listed in changed:
            self.set_remote(path, listed)
        paths = [path for path, _ in changed]
        self.mark(paths)
        return paths

    def listing_ends(self, began: int) -> list[Path]:
        """Paths agreed on or known that a complete listing did not show: absence that still needs proof."""
        rows = self._conn.execute(
            "SELECT path FROM remote WHERE row < ? AND path NOT IN (SELECT path FROM temp.listed)"
            " UNION SELECT path FROM base WHERE path NOT IN (SELECT path FROM temp.listed)"
            " AND path NOT IN (SELECT path FROM remote)",
            (began,),
        )
        return [Path(row[0]) for row in rows]

    def listed_count(self) -> int:
        """Objects the listing has shown so far."""
        return int(self._conn.execute("SELECT count(*) FROM temp.listed").fetchone()[0])

    # --- seen ---------------------------------------------------------------------------------------------------

    def known(self, path: Path) -> Known | None:
        """What is remembered of a file's content."""
        if path in self._ahead.known:
            return self._ahead.known[path]
        row = self._conn.execute(f"SELECT {_KNOWN} FROM seen WHERE path = ?", (path,)).fetchone()
        return _known(row) if row else None

    def remembered(self, paths: Iterable[Path]) -> dict[Path, tuple[Known | None, Digest | None]]:
        """Of many files at once, what `known` says and which content both sides agreed on."""
        self._fill_temp("wanted", paths)
        rows = self._conn.execute(
            f"SELECT w.path, b.digest, s.digest IS NOT NULL, {_columns('s', _KNOWN)} FROM temp.wanted w"
            " LEFT JOIN base b ON b.path = w.path LEFT JOIN seen s ON s.path = w.path"
        )
        return {
            Path(path): (_known(known) if seen else None, Digest(agreed) if agreed is not None else None)
            for path, agreed, seen, *known in rows
        }

    def set_known(self, path: Path, known: Known | None) -> None:
        """Remember a file's content; None: the file is gone."""
        if path in self._ahead.known:
            self._ahead.known[path] = self._ahead.seen[path] = known
        elif known is None:
            self._conn.execute("DELETE FROM seen WHERE path = ?", (path,))
        else:
            self._set_seen([(path, known)])

    def _set_seen(self, seen: Iterable[tuple[Path, Known]]) -> None:
        self._conn.executemany(
            "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (path, k.digest, k.stat.size, k.stat.mtime_ns, k.stat.ctime_ns, k.stat.inode, k.at_ns)
                for path, k in seen
            ),
        )

    # --- scans: the folder and what is known of it, read side by side in one order ------------------------------------

    def scanned(self, entries: Iterable[Entry], under: Path | None) -> Scan:
        """Compare what a scan of the folder (or of the folder `under` in it) meets, in the order of the paths, with what is
        known. What comes out of order is told of needlessly. Nothing may be written meanwhile.
        """
        where, values = _range(under)
        rows = self._conn.execute(
            "SELECT k.path, k.size, k.mtime_ns, k.ctime_ns, k.inode, k.at_ns, k.digest = b.digest"
            f" FROM seen k LEFT JOIN base b ON b.path = k.path{where.replace('path', 'k.path')}"
            " UNION ALL SELECT b.path, NULL, NULL, NULL, NULL, 0, 0 FROM base b"
            f" WHERE b.path NOT IN (SELECT path FROM seen){where.replace(' WHERE', ' AND').replace('path', 'b.path')}"
            " ORDER BY 1",
            values * 2,
        )
        changed: list[Path] = []
        missing: list[Path] = []
        met = 0
        with closing(rows):
            row = next(rows, None)
            for path, stat, _ in entries:
                met += 1
                while row is not None and row[0] < path:
                    missing.append(Path(row[0]))
                    row = next(rows, None)
                if row is None or row[0] != path:
                    changed.append(path)
                    continue
                # As `Known.stamped_since`, written out: there may be a hundred thousand.
                since_ns = row[5] - RACY_NS
                racy = stat.ctime_ns >= since_ns or since_ns <= stat.mtime_ns < row[5] + AHEAD_NS
                if racy or stat != row[1:5] or not row[6]:
                    changed.append(path)
                row = next(rows, None)
            if row is not None:
                missing.append(Path(row[0]))
            missing += [Path(row[0]) for row in rows]
        return Scan(met, changed, missing)

    # --- inside -------------------------------------------------------------------------------------------------

    def _fill_temp(self, table: str, values: Iterable[str]) -> None:
        self._conn.execute(f"CREATE TEMP TABLE IF NOT EXISTS {table} (path TEXT PRIMARY KEY) WITHOUT ROWID")
        self._conn.execute(f"DELETE FROM temp.{table}")
        self._conn.executemany(f"INSERT OR IGNORE INTO temp.{table} VALUES (?)", ((value,) for value in values))

    def _highest(self) -> int:
        rows = self._conn.execute(
            "SELECT max(coalesce((SELECT max(mark) FROM dirty), 0), coalesce((SELECT max(row) FROM remote), 0))"
        )
        return int(rows.fetchone()[0])


IS_SEALED = (
    "SELECT 1 FROM remote WHERE sealed IS NOT NULL AND digest = ?1"
    " UNION ALL SELECT 1 FROM base b JOIN remote r ON r.path = b.path WHERE b.digest = ?1 AND r.sealed IS NOT NULL"
    " UNION ALL SELECT 1 FROM once_sealed WHERE digest = ?1 LIMIT 1"
)
"""Asked for every upload and every file of a commit: each part is found by an index."""
_BASE = "digest, size, version, mode, modified"
_KNOWN = "digest, size, mtime_ns, ctime_ns, inode, at_ns"
_REMOTE = "version, size, digest, mode, mtime_ns, modified, op, ancestry, device, looked, md5, own, batch, sealed"


def _columns(table: str, names: str) -> str:
    return ", ".join(f"{table}.{name}" for name in names.split(", "))


def _known(row: Sequence[Any]) -> Known:
    digest, size, mtime_ns, ctime_ns, inode, at_ns = row
    return Known(StatTuple(size, mtime_ns, ctime_ns, inode), Digest(digest), at_ns)


def _base(row: Sequence[Any]) -> Base:
    digest, size, version, mode, modified = row
    return Base(Digest(digest), size, Version(version) if version is not None else None, mode, modified)


def _remote(row: Sequence[object]) -> Remote:
    version, size, digest, mode, mtime_ns, modified, op, ancestry, device, looked, md5, own, batch, sealed = row
    return Remote(
        version=Version(str(version)),
        size=int(str(size)),
        digest=Digest(str(digest)) if digest is not None else None,
        mode=mode if isinstance(mode, int) else None,
        mtime_ns=mtime_ns if isinstance(mtime_ns, int) else None,
        modified=modified if isinstance(modified, int) else None,
        op=Op(str(op)) if op is not None else None,
        ancestry=tuple(Op(word) for word in str(ancestry).split()),
        device=str(device) if device is not None else None,
        looked=bool(looked),
        md5=str(md5) if md5 is not None else None,
        own=str(own or ""),
        batch=str(batch) if batch is not None else None,
        sealed=str(sealed) if sealed is not None else None,
    )


def _range(folder: Path | None) -> tuple[str, tuple[str, ...]]:
    """SQL for the paths inside a folder: they begin with `folder/`, and `0` is the character after `/`."""
    if folder is None:
        return "", ()
    return " WHERE path >= ? AND path < ?", (f"{folder}/", f"{folder}0")


def contents_here(conn: sqlite3.Connection) -> dict[Digest, int | None]:
    """As `Journal.contents_here`, on any connection, with the size of each where that is known too."""
    rows = conn.execute(
        "SELECT digest, max(size) FROM (SELECT digest, size FROM seen UNION ALL SELECT digest, size FROM displaced"
        " UNION ALL SELECT digest, size FROM base UNION ALL SELECT digest, size FROM history"
        " UNION ALL SELECT digest, NULL FROM once_sealed"
        " UNION ALL SELECT digest, NULL FROM remote WHERE sealed IS NOT NULL) WHERE digest IS NOT NULL GROUP BY digest"
    )
    return {Digest(digest): size for digest, size in rows}
