"""Open a project's folder and the journal that belongs to it, or say why not.

The marker in the folder names a replica; the journal is kept by that name and remembers where the folder stood. Whatever
does not fit is settled here, before anything is decided:

* no marker, no journal that knows this place: a new folder;
* no marker, but a journal knows this place: the folder is missing, unmounted, or lost its marker: a halt;
* a marker without a journal, or with a corrupt one: a lost database: nothing was agreed, so nothing can be deleted;
* a journal that remembers another place or another `.dorky`: the folder was copied or moved: a halt;
* counters that disagree: an old journal came back (as a lost database) or an old folder (a halt).
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path as FilePath

from dorkyd import halts, schema
from dorkyd.core.model import ReplicaId
from dorkyd.core.report import HaltReason
from dorkyd.core.settings import Project
from dorkyd.errors import Stale
from dorkyd.journal import JOINING, Journal
from dorkyd.ports import Clock, Folder, Identity


@dataclass(frozen=True, slots=True)
class Opened:
    """A folder that is what its journal remembers."""

    journal: Journal
    identity: Identity
    warning: str | None = None
    """What a person should know about how it was opened."""
    started_over: bool = False
    """What the journal believed was agreed is void, also what its open installs would say."""


@dataclass(frozen=True, slots=True)
class Opener:
    """Opens one project's folder and journal. Engine thread only."""

    project: Project
    folder: Folder
    journals: FilePath
    """The directory of all journals."""
    clock: Clock

    def open(self, *, doubtful: bool = False) -> Opened | halts.Held:
        """See the module. `Busy` when another daemon has the folder; `NewerSchema`; `Stale` when it moves under us.
        `doubtful`: a cycle over this journal ended in what nobody foresaw, so that all of it is read before it is used.
        """
        if not self.folder.root_exists():
            return self.gone(0)
        identity = self.folder.identity()
        if identity is None:
            known = self._journal_of_place()
            files = _files_of(known) if known is not None else 0
            if files:
                return self.gone(files)
            return self._new(self._fresh_identity(), None)
        file = self._file(identity.replica)
        if not file.exists():
            return self._new(self._fresh_identity(), "no journal knew this folder: every file is compared by content")
        moved = self._moved(file, identity)
        if moved is not None:
            return moved
        self.folder.lock()
        try:
            journal = Journal(file, doubtful=doubtful)
        except sqlite3.DatabaseError as exc:
            if _is_busy(exc):
                raise
            self._set_aside(file)
            return self._new(identity, "the journal was damaged and set aside: every file is compared by content")
        return self._checked(journal, identity)

    def gone(self, files: int) -> halts.Held:
        """The halt for a folder without its marker, which held `files` files that were in sync. Its token lasts as
        long as the halt does.
        """
        name = self.project.name
        if not self.folder.root_exists():
            what = f"the folder is missing or cannot be listed: {self.project.path}"
            return halts.missing(what, name, self._token("missing"))
        if files and not self.folder.root_names():
            what = (
                f"the folder is empty and its marker is gone; {files} files were in sync. Deleting them from the bucket"
                " and every other device too waits for you"
            )
            return halts.whole(HaltReason.ROOT_EMPTIED, what, name, self._token("emptied"))
        what = f"the folder's marker .dorky/folder.json is gone: {self.project.path}"
        return halts.whole(HaltReason.ROOT_MISSING, what, name, self._token("marker"))

    def adopt(self) -> None:
        """A person says: this folder is a device of its own. Every file is compared by content."""
        self.folder.lock()
        self.folder.write_identity(self._fresh_identity())

    def reclaim(self) -> None:
        """A person says: this is the folder, only its marker was lost. `Stale` when there is no folder at all."""
        file = self._journal_of_place()
        if file is None:
            raise Stale("no journal remembers this place")
        counter = int(_meta(file, "counter") or 0)
        self.folder.write_identity(Identity(_meta(file, "project_id") or "", ReplicaId(file.stem), counter))
        conn = schema.connect(file)
        try:
            inode = str(self.folder.marker_inode())
            conn.execute("INSERT OR REPLACE INTO meta VALUES ('marker_inode', ?)", (inode,))
        finally:
            conn.close()

    def moved_here(self) -> None:
        """A person says: the folder was moved here. Its journal goes on."""
        identity = self.folder.identity()
        if identity is None:
            raise Stale("the folder's marker is gone")
        self.folder.lock()
        journal = Journal(self._file(identity.replica))
        try:
            self._remember_place(journal)
        finally:
            journal.close()

    # --- inside -------------------------------------------------------------------------------------------------

    def _checked(self, journal: Journal, identity: Identity) -> Opened:
        remembered = int(journal.get("counter") or 0)
        warning = None
        with journal.atomic():
            if journal.get("bucket") != self.project.bucket:
                _forget_bucket(journal)
                journal.put("bucket", self.project.bucket)
                warning = "the bucket changed: every file is compared by content"
            if identity.counter > remembered + 1:
                # An old journal came back: what it believes was agreed may be long past.
                _forget_bucket(journal)
                warning = "an older journal came back: every file is compared by content"
            if identity.counter < remembered and halts.stored(journal) is None:
                held = halts.whole(
                    HaltReason.FOLDER_REWOUND,
                    f"the folder is an older copy (its counter is {identity.counter}, the journal's {remembered}),"
                    " as after a restored backup",
                    self.project.name,
                    self.clock.random_id()[:8],
                )
                halts.store(journal, held)
            journal.put("retired", None)
            journal.ask_again()
        if journal.get("folder") is None:
            # Whoever made it ended before it could say.
            self._remember_place(journal)
        return Opened(journal, identity, warning, started_over=warning is not None)

    def _new(self, identity: Identity, warning: str | None) -> Opened:
        with suppress(Stale):
            # Before the marker is touched: another daemon's home may have this folder, and its journal go by the marker.
            self.folder.lock()
        self.folder.write_identity(identity)
        self.folder.lock()
        journal = Journal(self._file(identity.replica))
        with journal.atomic():
            journal.put("counter", str(identity.counter))
            journal.put("bucket", self.project.bucket)
            journal.put(JOINING, "1")
        self._remember_place(journal)
        return Opened(journal, identity, warning)

    def _remember_place(self, journal: Journal) -> None:
        with journal.atomic():
            journal.put("folder", self.project.path)
            journal.put("marker_inode", str(self.folder.marker_inode()))
            journal.put("retired", None)

    def _fresh_identity(self) -> Identity:
        return Identity("", ReplicaId(self.clock.random_id()), 0)

    def _file(self, replica: ReplicaId) -> FilePath:
        # The id comes from a file anybody may have written.
        safe = replica if replica.isalnum() else hashlib.sha256(replica.encode()).hexdigest()
        return self.journals / f"{safe}.db"

    def _moved(self, file: FilePath, identity: Identity) -> halts.Held | None:
        folder, inode = _meta(file, "folder"), _meta(file, "marker_inode")
        if folder is None:
            return None
        here = str(self.folder.marker_inode())
        if folder == self.project.path and inode == here:
            return None
        name, token = self.project.name, self._token(f"{identity.replica}{folder}{inode}{here}")
        if self.was_moved():
            return halts.moved(f"this folder was moved here from {folder}", name, token)
        if folder != self.project.path:
            what = f"this folder is a copy of {folder}"
        else:
            what = "this folder was replaced by a copy of itself (its .dorky is another)"
        return halts.whole(HaltReason.FOLDER_COPIED, what, name, token)

    def was_moved(self) -> bool:
        """The folder's marker is the very one the journal remembers, at another place, and the old place has it no
        more: moved, not copied.
        """
        identity = self.folder.identity()
        if identity is None:
            return False
        file = self._file(identity.replica)
        folder, inode = _meta(file, "folder"), _meta(file, "marker_inode")
        if folder is None or folder == self.project.path or inode != str(self.folder.marker_inode()):
            return False
        return not os.path.lexists(os.path.join(folder, ".dorky"))

    def _token(self, text: str) -> str:
        return hashlib.sha256(f"{self.project.path}\0{text}".encode()).hexdigest()[:8]

    def _journal_of_place(self) -> FilePath | None:
        """The journal that remembers a folder at this place."""
        for file in sorted(self.journals.glob("*.db")):
            if _meta(file, "folder") == self.project.path and _meta(file, "retired") is None:
                return file
        return None

    def _set_aside(self, file: FilePath) -> None:
        stamp = self.clock.time_ns() // 1_000_000_000
        for suffix in ("", "-wal", "-shm"):
            part = file.with_name(file.name + suffix)
            if part.exists():
                part.rename(file.with_name(f"{file.name}.damaged-{stamp}{suffix}"))


def retire(file: FilePath) -> None:
    """This journal's folder is no longer at its place."""
    conn = schema.connect(file)
    try:
        conn.execute("INSERT OR REPLACE INTO meta VALUES ('retired', '1')")
    finally:
        conn.close()


def _forget_bucket(journal: Journal) -> None:
    """As after a lost database. In a transaction of the caller's."""
    journal.drop_all_bases()
    journal.drop_all_remotes()
    journal.ledger.forget_bucket()
    journal.repeats.forget()
    journal.put(JOINING, "1")
    for key in ("project_id", "log_cursor", "log_version", "log_said", "listed", "probed"):
        journal.put(key, None)


def _meta(file: FilePath, key: str) -> str | None:
    """A word of a journal that is not open, and may be damaged."""
    try:
        conn = schema.connect_readonly(file)
    except sqlite3.DatabaseError:
        return None
    try:
        row = conn.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return None
    finally:
        conn.close()
    return str(row[0]) if row is not None else None


def _files_of(file: FilePath) -> int:
    """How many files a journal that is not open had in sync."""
    conn = schema.connect_readonly(file)
    try:
        return int(conn.execute("SELECT count(*) FROM base").fetchone()[0])
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return 0
    finally:
        conn.close()


def _is_busy(exc: sqlite3.DatabaseError) -> bool:
    """Trouble that a later try may not have: no damage. What has no code of SQLite's is Python's own word of text that is none."""
    code = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return isinstance(exc, sqlite3.OperationalError) and code & 0xFF not in {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    }
