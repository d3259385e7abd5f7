"""The ports: what the engine asks of a bucket, a folder, a watcher and a clock. These docstrings are the specification.

Adapters (`dorkyd.buckets`, `dorkyd.folder`, `dorkyd.watcher`) implement them and convert every foreign error into one of
`dorkyd.errors` at their edge. Tests fake at this line and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple, Protocol, runtime_checkable

from dorkyd.core.model import Digest, Local, Path, Problem, ReplicaId, StatTuple, Version
from dorkyd.core.settings import Bandwidth

# --- bucket ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object state, as a HEAD or GET tells it."""

    version: Version
    size: int
    """Bytes."""
    modified: int | None
    """The store's LastModified, whole seconds since the epoch; None where the store has none."""
    meta: Mapping[str, str]
    """User metadata, raw, keys in lower case (`dorkyd.core.metadata` reads it)."""
    md5: str | None = None
    """As `Listed.md5`: the store's own word on the bytes, which proves that they are whole when they have it."""
    stored_otherwise: bool = False
    """What a reading yields is not the stored bytes (`dorkyd.sealing`): `size` is theirs, and says nothing of what comes."""


class Listed(NamedTuple):
    """One object state, as a listing tells it: without metadata."""

    key: str
    version: Version
    size: int
    modified: int | None
    md5: str | None = None
    """MD5 of the bytes, 32 lower-case hexadecimal digits, where the listing may be read so; None: it tells none. A claim
    that proves equality when it and the size match, and nothing when they do not.
    """


@dataclass(frozen=True, slots=True)
class Session:
    """An upload in several requests that was begun: nobody sees it before its end, and it outlives this process."""

    id: str = field(repr=False)
    """The store's own name for it, opaque. May be a capability: it never reaches a log."""
    part_bytes: int
    """Every request but the last carries so many bytes."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a write made."""

    version: Version
    modified: int | None = None
    """As `ObjectInfo.modified`; None: the reply did not say."""
    sealed: str | None = None
    """As `Remote.sealed`."""


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests sent since the adapter was made. Parts count as PUT; bytes are bodies of the project's own objects, not of
    what lies under `.dorky/`.
    """

    GET: int = 0
    PUT: int = 0
    LIST: int = 0
    HEAD: int = 0
    COPY: int = 0
    DELETE: int = 0
    bytes_up: int = 0
    bytes_down: int = 0


class Body(Protocol):
    """Bytes to send. `open` may be called again for a retry, and yields the same bytes or raises `Stale`."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def digest(self) -> Digest:
        """Computed when the file was observed, never on the way: the store or adapter refuses bytes that differ."""

    def open(self) -> BinaryIO:
        """A fresh readable stream from the first byte. Raises `Stale` when the file is no longer what was observed."""


_LONG_NS = 3_600_000_000_000
"""Longer than any doubt about a stamp."""
_LAST_NS = 2**63 - 1
"""What the journal can hold. A file of the year 2262 is hashed again."""

AHEAD_NS = 86_400_000_000_000
"""An mtime so far ahead was set by a program. A write sets it to its own time, and who sets it back leaves another ctime."""

Chunk = bytes | memoryview
"""Some bytes of a body."""


class Reading(Protocol):
    """An open download: what the object is, and its bytes in order."""

    @property
    def info(self) -> ObjectInfo:
        """The state being read; every byte belongs to it."""

    def __iter__(self) -> Iterator[Chunk]:
        """Chunks of at most 1 MiB. Raises `Transient` when the connection breaks."""


@runtime_checkable
class Proving(Reading, Protocol):
    """A reading that hashes what it yields, so that nobody else has to."""

    @property
    def proved(self) -> Digest | None:
        """SHA-256 of all that was yielded, once it has ended well; None before, and where it was not all."""


class Bucket(Protocol):
    """A team's store below one prefix. Keys are relative to that prefix, exact strings, never starting with `/`.

    Every method may be called from any thread, several at once. Every write states what it replaces and the store
    enforces that in the same step as the write; an adapter never falls back to an unconditional write. An adapter
    retries nothing that may have happened: it raises `Transient` and the caller looks (the reply may have been lost).
    Reads may be retried inside.

    Errors: `Stale` when a precondition failed (412, 409, and 404 on a conditional write or read); `Transient` for
    what will pass (`offline=True` when the store cannot be reached at all); `Denied` (403), which for a look means
    unknown, never missing; `AuthExpired`; `Unsupported` for a key this store cannot hold; `Blocked` for the rest a
    person must mend (bucket missing, disk full, quota).
    """

    @property
    def url(self) -> str:
        """As configured, for people."""

    @property
    def versioned(self) -> bool:
        """The store keeps replaced and deleted states by itself (S3 versioning is on). Known after the probe."""

    @property
    def requests(self) -> Requests:
        """A snapshot of the counters."""

    def head(self, key: str) -> ObjectInfo | None:
        """Look at one object. None is the store's own 404: proof of absence."""

    def get(
        self, key: str, *, if_match: Version | None = None, start: int = 0, stop: int | None = None
    ) -> AbstractContextManager[Reading]:
        """Open the object's bytes from offset `start` to the end, or to `stop` (not included, above `start`; behind the end it
        is the end). Bytes behind `stop` are not asked for.

        `if_match` None takes whatever is there. `Stale` when the version differs or the object is gone, and when `start` is
        behind its end (at its end: no bytes).
        """

    def read(self, key: str, *, limit: int = 16 * 1024 * 1024) -> tuple[ObjectInfo, bytes] | None:
        """One small object, whole; None is a proven 404. `Blocked` (code `too-large`) past `limit` bytes."""

    @property
    def sessions_over(self) -> int | None:
        """Bodies of more bytes than this are sent in a `Session`, to go on after a restart. None: never."""

    def begin(self, key: str, size: int, *, replaces: Version | None, meta: Mapping[str, str]) -> Session:
        """Begin an upload of so many bytes that will end as `put` with the same `replaces` and `meta` would."""

    def abandon(self, key: str, session: Session) -> None:
        """Give up a session and free what the store holds of it. One that ended or is unknown is fine."""

    def put(
        self,
        key: str,
        body: Body,
        *,
        replaces: Version | None,
        meta: Mapping[str, str],
        session: Session | None = None,
    ) -> Written:
        """Write an object with exactly this user metadata. `replaces` None: there must be none.

        Large bodies go in parts with the same condition at the end. When the bytes sent turn out not to be
        `body.digest` nothing is stored and `Stale` is raised.

        With a `session` that `begin` made for the same arguments, perhaps in another process, only what the store does
        not hold yet is sent. It stays open whatever fails, so that a later call goes on; `SessionGone` when the store
        does not know it (any more): it may have ended as intended, or never will. Without one, a large body's parts are
        removed when it fails.
        """

    def delete(self, key: str, *, replaces: Version) -> None:
        """Delete exactly this state. `Stale` when it is another or gone."""

    def copy(
        self,
        source: str,
        key: str,
        *,
        source_version: Version,
        replaces: Version | None,
        meta: Mapping[str, str] | None,
    ) -> Written:
        """Copy inside the store, no bytes through us. `meta` None keeps the source's, else replaces it whole.

        `source_version` must be the source's state; `replaces` as in `put`. `source == key` with
        `replaces == source_version` is a change of metadata alone.
        """

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[Sequence[Listed]]:
        """Pages of keys that begin with `prefix` and sort after `start_after`, in the store's order (UTF-8 bytes).

        A page that fails raises; a listing that ended without an exception was complete.
        """

    def close(self) -> None:
        """Free connections. May be repeated."""


class Throttle(Protocol):
    """What holds a project's transfers to its bandwidth limits. From any thread."""

    @property
    def bandwidth(self) -> Bandwidth:
        """The project's own limits, as they hold now."""

    def hold(self) -> None:
        """Transfers that wait for a limit end with `Transient`, as does each that would have to pay to one, until
        `go`. Those without a limit are let be. May be repeated.
        """

    def go(self) -> None:
        """Let them pay again. May be repeated."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How a bucket is set up in one respect, for people."""

    name: str
    """`identity`, `versioning`, `lifecycle` or `public-access`."""
    ok: bool | None
    """None: not known, and `detail` says what it would need."""
    detail: str
    hint: str = ""
    """What to run or change; advice where `ok`."""
    code: str = ""
    """Stable for programs; empty when there is nothing to say."""


@runtime_checkable
class Inspectable(Protocol):
    """What a bucket may have beside the port: looks at how it is set up, which sync never needs and only `doctor` asks."""

    def inspect(self) -> Sequence[Setting]:
        """Ask, as far as this identity may. What was refused or is not built there is unknown, not an error."""


@runtime_checkable
class TellsIdentity(Protocol):
    """What a bucket has beside the port when its store knows who asks."""

    def asked_as(self) -> tuple[str, str | None]:
        """As whom, as far as a person may see it, and until when the credentials in use are good (RFC 3339; None: not known).
        Asks nobody. From any thread.
        """


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One state of an object that the store itself keeps (S3 versioning, GCS generations)."""

    key: str
    version: Version
    """As `ObjectInfo.version`: on S3 two states of equal bytes have the same."""
    id: str
    """The store's own name for exactly this state, opaque: what `open_version` takes."""
    size: int
    modified: int | None
    """When it was written, whole seconds."""
    current: bool
    """It is what stands there now."""
    deleted: bool = False
    """A mark that the object was deleted: it has no bytes."""


@runtime_checkable
class Versioned(Protocol):
    """What a bucket may have beside the port, where the store keeps replaced and deleted states by itself."""

    def versions(self, prefix: str) -> Iterator[Sequence[StoredVersion]]:
        """Pages of all states that are kept of objects whose key begins with `prefix`, in the order of keys, each one's
        newest first; none where the store keeps none. `Denied` where this identity may not list them.
        """

    def open_version(self, key: str, id: str) -> AbstractContextManager[Reading]:  # noqa: A002 - the store's word
        """Open the bytes of exactly this state. `Stale` when the store no longer has it."""


# --- folder ----------------------------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """A regular file met by a scan: its stat, not its content."""

    path: Path
    stat: StatTuple
    mode: int
    """Permission bits."""


@dataclass(frozen=True, slots=True)
class Absent:
    """Proven: the directory that would hold the name was read, or does not exist itself, and the name is not there."""


ABSENT = Absent()

Observation = Local | Absent | Problem
"""What looking at one local path gave. A `Problem` is neither presence nor absence."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered of a file's content, to spare a hash."""

    stat: StatTuple
    digest: Digest
    at_ns: int
    """File-system time from before it was hashed. A tuple with mtime or ctime this recent is racy and hashed again."""

    def stamped_since(self, since_ns: int) -> bool:
        """A write at that time or later could have left these stamps."""
        return self.stat.ctime_ns >= since_ns or since_ns <= self.stat.mtime_ns < self.at_ns + AHEAD_NS

    @classmethod
    def proved(cls, stat: StatTuple, digest: Digest) -> Known:
        """Of a file system where every later change shows: however recent, it is not racy."""
        return cls(stat, digest, min(max(stat.mtime_ns, stat.ctime_ns) + _LONG_NS, _LAST_NS))


@dataclass(frozen=True, slots=True)
class Identity:
    """`.dorky/folder.json`: the marker that proves the folder is really there."""

    project_id: str
    replica: ReplicaId
    counter: int
    """Rises with every recorded batch; written and fsynced before the journal's own."""


@dataclass(frozen=True, slots=True)
class Trashed:
    """One displaced file in `.dorky/trash/`."""

    name: str
    """Its id inside the trash."""
    path: Path
    """Where it came from."""
    size: int
    mode: int
    """Permission bits."""
    mtime_ns: int
    at_ns: int
    """When it was displaced, wall clock."""


TRIED = "doctor-"
"""How names begin in staging of what is only tried: it is nobody's."""


class Folder(Protocol):
    """A project's folder. Nothing outside it, nothing in a path component `.git` or `.dorky` (any case), nothing
    through a symlink is ever read or written, whatever other programs swap under it while we work.

    `stage*` names are flat file names inside `.dorky/tmp/`, which is on the folder's file system and mode 0700.
    Effects that move bytes never overwrite: what would be replaced comes out whole, under a staged name.
    Every effect is durable (file and directory fsynced) when it returns. `Stale` means the folder is no longer as
    expected and nothing was done. `DiskFull` and `PathProblem` (code `unreadable`, `unwritable`, `symlink`,
    `special`, `reserved-name`, `name-too-long`, `not-a-folder`, `case-clash`) are the other errors of effects.
    Effects are called from one thread at a time per path; scanning and reading from any thread.
    """

    @property
    def folds(self) -> bool:
        """Probed: this file system cannot hold two names that differ only by case or Unicode form."""

    # identity
    def identity(self) -> Identity | None:
        """The marker, read fresh; None when the root or the marker is not there. `Blocked` when it is malformed."""

    def write_identity(self, identity: Identity) -> None:
        """Replace the marker atomically and fsync it, making `.dorky/` and its fixed contents when missing."""

    def update_identity(self, identity: Identity) -> None:
        """As `write_identity`, only where the marker is there and names the same replica; `Stale` otherwise: whatever
        stands at the root now is not ours to mark.
        """

    def marker_inode(self) -> int:
        """Inode of `.dorky`."""

    def root_exists(self) -> bool:
        """The root is a directory we can list."""

    def root_names(self) -> Sequence[str]:
        """The names in the root, without `.dorky`. Empty when there is none or it cannot be listed."""

    def lock(self) -> None:
        """Take `.dorky/lock` until `unlock`. `Busy` names the holder's pid."""

    def unlock(self) -> None:
        """Give the lock up. May be repeated."""

    # looking
    def scan(self, skip: Callable[[Path, bool], bool], under: Path | None = None) -> Iterator[Entry | Problem]:
        """Every regular file below the root (or the folder `under`) in the order of the paths, and a Problem for all else that
        is no folder.

        `skip(path, is_folder)` True leaves the path, and all below it, out. An unreadable folder and another
        file system's mount point are each one Problem with the folder's path: all below it is unknown, not absent.
        """

    def observe(self, path: Path, known: Known | None) -> Observation:
        """Stat, hash, stat again. An unchanged stat tuple reuses `known.digest` unless racily recent.

        Raises `Stale` when the file changed while it was read.
        """

    def stands(self, path: Path, stat: StatTuple) -> bool:
        """One quick look says that the file is the one that was so. False proves nothing."""

    def now_ns(self) -> int:
        """The file system's own time, for the racy rule."""

    def open(self, path: Path, expected: Local) -> BinaryIO:
        """The file's bytes. `Stale` when its stat tuple is no longer `expected.stat`."""

    def peek(self, path: Path, expected: Local, limit: int) -> bytes:
        """The file's first bytes, at most `limit`. `Stale` as for `open`."""

    def taken_by(self, path: Path) -> str | None:
        """Where names fold: the name, here or in a folder above, that stands where one of this path's would have to
        be. None: none does, or this file system does not fold names.
        """

    def entries(self, path: Path | None) -> Sequence[tuple[str, bool]]:
        """The names in the folder at `path` (None: the root) with whether each is a folder, in order, without `.dorky` and what is
        not UTF-8. Empty when there is none or it cannot be listed.
        """

    def tree_of(self, path: Path) -> Sequence[str]:
        """When a folder stands at `path`: the names in it. Empty when it does not exist or is no folder."""

    # staging
    def stage(self, name: str, *, resume: bool = False) -> BinaryIO:
        """Open a staged file for writing, mode 0600: new and empty, or (`resume`) positioned at its end.

        `Stale` when a new name is taken: it may hold what came out of the folder, so it is never truncated.
        """

    def stage_copy(self, path: Path, expected: Local, name: str) -> None:
        """Copy a file of the folder into staging (by reference where the file system can)."""

    def seal(self, name: str, *, mode: int | None, mtime_ns: int | None) -> int:
        """Make a staged file ready for its place: permission bits, mtime, fsync. None: the default. Returns the
        permission bits it has now, which are others where the file system cannot hold those asked for.
        """

    def staged(self) -> Sequence[str]:
        """The names in staging."""

    def open_staged(self, name: str) -> BinaryIO:
        """A staged file's bytes. `Stale` when there is none."""

    def staged_size(self, name: str) -> int | None:
        """Bytes; None when there is no such staged file."""

    def staged_digest(self, name: str) -> Digest | None:
        """Hash a staged file; None when there is none."""

    def unstage(self, name: str) -> None:
        """Remove a staged file, which the caller can prove we fetched. Absent is fine."""

    # what both sides held
    def keep(self, digest: Digest, data: bytes) -> None:
        """Keep the bytes of a small file, named by their digest, mode 0600. Not durable, and need not be."""

    def kept(self, digest: Digest) -> bytes | None:
        """Bytes that were kept, proved by their digest; None: they are not here, or damaged."""

    def all_kept(self) -> Sequence[Digest]:
        """What is kept."""

    def unkeep(self, digest: Digest) -> None:
        """Keep it no longer. Absent is fine."""

    # effects
    def swap_in(self, name: str, path: Path, expected: Local | None) -> StatTuple | None:
        """Put a staged file in place, making parent folders. Returns its stat tuple there if any later change will differ
        from it; None: it may not, so that what stands there is known by reading it alone.

        `expected` None: nothing may be there, not even a folder (an empty one is removed first). Otherwise the two
        exchange names: afterwards the staged name holds what stood there. `Stale` when what is there is not that.
        """

    def take_out(self, path: Path, name: str, expected: Local) -> None:
        """Move a file out of its place to a staged name. `Stale` when its stat tuple differs."""

    def put_in(self, name: str, path: Path) -> bool:
        """Move a staged file to a free place, making parent folders. False when the place is taken."""

    def rename(self, path: Path, to: Path, expected: Local) -> None:
        """Rename inside the folder to a free place, making parent folders, dropping folders this emptied. A folder
        without files in that place gives way, as for `swap_in`.

        `Stale` when the file is not as expected or the place is taken.
        """

    def set_mode(self, path: Path, mode: int, expected: Local) -> Local:
        """Set permission bits; returns the file as it is now (bits the file system cannot hold stay as they were)."""

    def drop_empty_parents(self, path: Path) -> None:
        """Remove the folders above `path` that are empty now, never the root. Stops at the first that is not."""

    # trash
    def to_trash(self, name: str, path: Path) -> Trashed:
        """Move a staged file to the trash, remembered as having been `path`."""

    def trash(self) -> Sequence[Trashed]:
        """What the trash holds, oldest first; readable without a journal."""

    def trash_digest(self, name: str) -> Digest | None:
        """Hash a trashed file; None when it is gone."""

    def trash_to_stage(self, trashed: str, name: str, *, keep: bool) -> None:
        """Bring a trashed file into staging: a copy (`keep`) or the file itself."""

    def purge(self, name: str) -> None:
        """Remove a trashed file for good. Absent is fine."""


# --- watcher ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Marks:
    """What the watcher noticed since it was last asked. Hints: the truth comes from looking."""

    paths: frozenset[Path] = frozenset()
    """Look at exactly these."""
    trees: frozenset[Path] = frozenset()
    """Folders to scan: new ones, moved ones, ones whose events were lost."""
    everything: bool = False
    """Events were lost, nobody knows where: scan the whole folder."""

    def __bool__(self) -> bool:
        return bool(self.paths or self.trees or self.everything)


class Watcher(Protocol):
    """Turns the operating system's events into marks. Starts when made; `wake` is called from its own thread."""

    def drain(self) -> Marks:
        """Take what was noticed. Called from the engine thread."""

    @property
    def pending(self) -> bool:
        """`drain` has something to give."""

    @property
    def unwatched(self) -> frozenset[Path]:
        """Folders the system refused to watch (limit reached), to be scanned now and then; empty when all is well."""

    @property
    def alive(self) -> bool:
        """False once the root it watches is gone or the watcher failed: make a new one."""

    def stop(self) -> None:
        """End the thread. May be repeated."""


# --- push ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a bucket's own events told since it was last asked. Hints, as all marks are."""

    paths: Mapping[Path, Version | None]
    """Objects that changed, with the version made; None: deleted, or not told."""
    number: int = 0
    """The highest entry of the log that was told of; 0: none."""
    everything: bool = False
    """So many that a listing costs less."""

    def __bool__(self) -> bool:
        return bool(self.paths or self.number or self.everything)


class Push(Protocol):
    """Hears of changes to the bucket sooner than a poll would."""

    def start(self, wake: Callable[[], None]) -> None:
        """Begin, once. `wake` is called from its own thread when there is something to drain, or trouble."""

    def drain(self) -> Pushed:
        """Take what came in. Called from the engine thread."""

    @property
    def trouble(self) -> tuple[str, str] | None:
        """What is wrong and what to do about it, while nothing comes in; sync does without."""

    def stop(self) -> None:
        """End. May be repeated."""


# --- time and chance -------------------------------------------------------------------------------------------------


class Clock(Protocol):
    """Time and chance, so that a simulation can own both."""

    def monotonic(self) -> float:
        """Seconds that only rise: every deadline."""

    def time_ns(self) -> int:
        """Wall clock, for names and history. No decision between machines rests on it."""

    def random_id(self) -> str:
        """32 hexadecimal digits that nobody else has."""
