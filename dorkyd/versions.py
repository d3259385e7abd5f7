"""The states that paths had, asked for in every place that knows of them: this device's history, the folder's trash, the
object as it stands, the bucket's trash, and the versions that the store itself keeps.

What this disk knows is told also while the bucket cannot be asked; `missing` says so. On the thread of whoever asks.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from dorkyd import schema
from dorkyd.asking import check_reachable
from dorkyd.bucket_trash import Kept, copies_below, copies_of, kept_of
from dorkyd.contents import Wanted, keeper, states_of
from dorkyd.core import metadata
from dorkyd.core.logbook import PROJECT, decode_project
from dorkyd.core.model import Digest, Path, Remote, Version
from dorkyd.core.moments import moment_ns
from dorkyd.core.timeline import Copied, Done, Now, PathVersion, at_time, named, timeline
from dorkyd.engine import Engine
from dorkyd.errors import AuthExpired, Blocked, DorkyError, Refused, Transient
from dorkyd.journal import contents_here
from dorkyd.ports import Bucket, ObjectInfo, StoredVersion
from dorkyd.reading_history import done_below, done_to, trashed

_SECOND_NS = 10**9
OPENING_S = 10.0
"""How long a project that begins is waited for."""
LOOKS = 100
"""Copies whose digest nobody knows are looked at, up to so many."""
_TICK_S = 0.02


@dataclass(slots=True)
class Words:
    """By `Remote.sealed`: the SHA-256 of what an object holds that says so, and its size where that is known."""

    find: Callable[[], Mapping[str, tuple[Digest, int | None]]]
    """Takes a while: asked once, and not before something is encrypted."""
    _found: Mapping[str, tuple[Digest, int | None]] | None = None

    def of(self, sealed: str) -> tuple[Digest | None, int | None]:
        """Nones: nobody here knows."""
        if self._found is None:
            self._found = self.find()
        return self._found.get(sealed, (None, None))


@dataclass(frozen=True, slots=True)
class States:
    """What is known of one path."""

    path: Path
    states: list[PathVersion]
    """Newest first."""
    missing: str = ""
    """Why the bucket could not be asked, so that there may be more; empty: it was."""


@dataclass(frozen=True, slots=True)
class Versions:
    """See the module."""

    engine: Engine

    def of(self, path: Path) -> States:
        """The states of one path."""
        with self._reading() as conn:
            rows = done_to(conn, path) if conn is not None else []
            here = trashed(conn, path=path).get(path, []) if conn is not None else []
            known = _known_now(conn, path) if conn is not None else None
        now, missing, copies = known, "", list[Copied]()
        try:
            bucket = self.bucket()
            info, words = bucket.head(path), Words(self._known_words)
            now = _now(info, words) if info is not None else None
            copies = [*self._in_trash(bucket, path, words), *_in_store(bucket, lambda store: states_of(store, path))]
        except (Transient, AuthExpired) as exc:
            missing = str(exc)
        return States(path, timeline(path, rows, now, [*here, *copies]), missing)

    def below(self, folder: str) -> list[States]:
        """The states of all paths inside a folder that ever were; `""`: of all. The bucket is asked a page at a time,
        whatever their number.
        """
        with self._reading() as conn:
            rows = done_below(conn, folder) if conn is not None else []
            here = trashed(conn, folder) if conn is not None else {}
            now = dict(_all_known(conn, folder)) if conn is not None else {}
        missing = ""
        copies: dict[Path, list[Copied]] = {path: list(kept) for path, kept in here.items()}
        try:
            bucket = self.bucket()
            for kept in copies_below(bucket, folder):
                copies.setdefault(kept.path, []).append(_copied(kept))
            beginning = f"{folder}/" if folder else ""
            for path, copy in _all_in_store(bucket, beginning):
                copies.setdefault(path, []).append(copy)
        except (Transient, AuthExpired) as exc:
            missing = str(exc)
        by_path: dict[Path, list[Done]] = {}
        for row in rows:
            by_path.setdefault(row.path, []).append(row)
            if row.came_from is not None and row.came_from != row.path:
                by_path.setdefault(row.came_from, []).append(row)
        paths = sorted({*by_path, *copies, *now})
        beginning = f"{folder}/" if folder else ""
        return [
            States(path, timeline(path, by_path.get(path, ()), now.get(path), copies.get(path, ())), missing)
            for path in paths
            if path.startswith(beginning)
        ]

    def choose(self, found: States, at: str) -> PathVersion:
        """The state that `at` means: a version, a digest, a name in a trash, the beginning of one, or a time. `Refused`
        (`no-such-version`, `ambiguous`, `not-there-then`).
        """
        choices = named(found.states, at)
        if len(choices) == 1:
            return choices[0]
        if choices:
            what = f"{at!r} can mean {len(choices)} states of {found.path!r}"
            raise Refused(what, code="ambiguous", hint=f"write more of it: `dorkyctl history {found.path}` lists them")
        when_ns = moment_ns(at, self.engine.clock.time_ns())
        if when_ns is None:
            what = f"{found.path!r} has no state {at!r}" + (f"; {found.missing}" if found.missing else "")
            hint = f"`dorkyctl history {found.path}` lists them; a time is written 2h, 3d or 2026-11-20T10:00"
            raise Refused(what, code="no-such-version", hint=hint)
        then = at_time(found.states, when_ns)
        if then is None:
            what = f"{found.path!r} was not there then, as far as is known"
            raise Refused(what, code="not-there-then", hint=f"`dorkyctl history {found.path}` lists what is known")
        return then

    def knows(self, path: Path) -> bool:
        """This device ever heard of such a path."""
        with self._reading() as conn:
            if conn is None:
                return False
            tables = ("base", "seen", "remote", "history", "displaced")
            query = " UNION ALL ".join(f"SELECT 1 FROM {table} WHERE path = ?" for table in tables)  # noqa: S608 - constants
            return conn.execute(f"{query} LIMIT 1", (path,) * len(tables)).fetchone() is not None

    def retention(self) -> str:
        """How long states are kept, for people."""
        trash = self.engine.project.trash
        here = f"the folder's trash keeps files {trash.days:g} days, {_size(trash.size)} at most"
        try:
            bucket = self.bucket()
            if bucket.versioned:
                there = "the bucket keeps versions by itself, for as long as its lifecycle rules say"
            else:
                read = bucket.read(PROJECT, limit=1024 * 1024)
                document = decode_project(read[1]) if read is not None else None
                if document is None:
                    return f"{here}; nothing is known of the bucket's trash"
                limits = document.trash
                there = f"the bucket's trash keeps them {limits.days:g} days, {_size(limits.size)} at most"
        except DorkyError:
            return f"{here}; the bucket could not be asked how long it keeps any"
        return f"{here}; {there}; the newest copy of a path stays at least a day"

    def bucket(self) -> Bucket:
        """The project's bucket, waited for while it is being opened. `Transient` while it cannot be asked."""
        deadline = time.monotonic() + OPENING_S
        while True:
            check_reachable(self.engine.trouble)
            bucket = self.engine.bucket
            if bucket is not None:
                return bucket
            if self.engine.held is not None or time.monotonic() > deadline:
                raise Transient("the project is not open", code="not-open", retry_after_s=1)
            time.sleep(_TICK_S)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _known_words(self) -> Mapping[str, tuple[Digest, int | None]]:
        """What encrypted objects may say that they hold, of the contents which this device remembers."""
        keyring = self.engine.keyring
        with self._reading() as conn:
            if conn is None or keyring is None or not keyring.keys.contents:
                return {}
            known, keys = contents_here(conn), keyring.keys.contents.values()
        return {key.word(digest): (digest, size) for digest, size in known.items() for key in keys}

    def _in_trash(self, bucket: Bucket, path: Path, words: Words) -> Iterator[Copied]:
        """The copies in the bucket's trash; the newest ones are looked at, since a listing tells no digest."""
        for looks, (version, listed) in enumerate(copies_of(bucket, path).items()):
            copied = _copied(kept_of(path, version, listed))
            info = bucket.head(listed.key) if looks < LOOKS else None
            digest, size = _content(info, words) if info is not None else (None, copied.size)
            yield Copied("bucket-trash", copied.name, size, version, digest, until_ns=copied.until_ns)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        file = self.engine.journal_file
        if not file.exists():
            yield None
            return
        with closing(schema.connect_readonly(file)) as conn:
            conn.execute("BEGIN")
            yield conn


def wanted_of(state: PathVersion) -> Wanted:
    """What brings a state back."""
    return Wanted(
        state.path,
        state.digest,
        state.version,
        state.mode,
        trashed=state.name_in("trash"),
        stored=state.name_in("versions"),
    )


def _known_now(conn: sqlite3.Connection, path: Path) -> Now | None:
    row = conn.execute(f"{_NOW} WHERE r.path = ?", (path,)).fetchone()
    return _row_now(row[1:]) if row is not None else None


def _all_known(conn: sqlite3.Connection, folder: str) -> Iterator[tuple[Path, Now]]:
    where, values = (" WHERE r.path >= ? AND r.path < ?", (f"{folder}/", f"{folder}0")) if folder else ("", ())
    for path, *row in conn.execute(f"{_NOW}{where}", values):
        yield path, _row_now(tuple(row))


_NOW = (
    "SELECT r.path, r.version, r.size, coalesce(r.digest, CASE WHEN r.version = b.version THEN b.digest END), r.modified,"
    " r.device, coalesce(r.mode, b.mode) FROM remote r LEFT JOIN base b ON b.path = r.path"
)


def _row_now(row: tuple[Any, ...]) -> Now:
    version, size, digest, modified, device, mode = row
    at_ns = modified * _SECOND_NS if modified is not None else None
    return Now(Version(version), size, Digest(digest) if digest is not None else None, at_ns, device, mode)


def _remote(info: ObjectInfo) -> Remote:
    return metadata.remote_of(info.version, info.size, info.modified, info.meta)


def _content(info: ObjectInfo, words: Words) -> tuple[Digest | None, int | None]:
    """Digest and size of what an object holds. What is encrypted tells them to who has the key and knows such content."""
    remote = _remote(info)
    return (remote.digest, remote.size) if remote.sealed is None else words.of(remote.sealed)


def _now(info: ObjectInfo, words: Words) -> Now:
    remote, (digest, size) = _remote(info), _content(info, words)
    at_ns = info.modified * _SECOND_NS if info.modified is not None else None
    return Now(info.version, size, digest, at_ns, remote.device, remote.mode)


def _copied(kept: Kept) -> Copied:
    until_ns = kept.until_s * _SECOND_NS if kept.until_s is not None else None
    return Copied("bucket-trash", kept.listed.key, kept.listed.size, kept.of, until_ns=until_ns)


def _in_store(bucket: Bucket, ask: Callable[..., Iterable[StoredVersion]]) -> list[Copied]:
    store = keeper(bucket)
    if store is None:
        return []
    try:
        return [_stored(state) for state in ask(store) if not state.deleted and not state.current]
    except Blocked:
        return []  # what may not be listed is not there for us


def _all_in_store(bucket: Bucket, beginning: str) -> Iterator[tuple[Path, Copied]]:
    store = keeper(bucket)
    if store is None:
        return
    try:
        for page in store.versions(beginning):
            for state in page:
                if not state.deleted and not state.current and not state.key.startswith(".dorky/"):
                    yield Path(state.key), _stored(state)
    except Blocked:
        return


def _stored(state: StoredVersion) -> Copied:
    at_ns = state.modified * _SECOND_NS if state.modified is not None else None
    return Copied("versions", state.id, state.size, state.version, at_ns=at_ns)


def _size(count: int) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:g} {unit}"
        count //= 1024
    return f"{count} TiB"
