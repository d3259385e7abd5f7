"""A bucket in a plain directory: the embedded default, and whatever disk or share a team mounts.

The object `d/f.txt` is the file `<root>/d/f.txt`, which any person can read and any tool may write. What a file
cannot carry stands below `<root>/.dorky/directory/` (`dorkyd.buckets.directory_internals`).

*Versions* are the text of inode, size, mtime and ctime. A listing therefore reads no sidecar, and what another tool
edits in place, copies over or moves in shows as a new version. Inodes are used again and a ctime may be as coarse as
4 ms, so each file we write gets random nanoseconds in its mtime: no two of our writes have one version. The version
is read after the last step that changes a ctime (the rename, or the unlink of the staged name), under the lock.

*Writes* stage the body, check its digest, make it durable, lock the key, look, write the metadata, and give the file
its name. A create uses link(2), which never overwrites, so a file that another tool puts there in between is safe. A
replace or delete looks and then acts: a tool that keeps to no lock and writes within those microseconds loses that
write, as does one that goes on writing to a file it opened before. Readers take no lock.

*Sharing.* Every process of one machine, in every container that mounts the same file system. Over NFS from Linux
clients too (flock is a byte-range lock on the server since 2.6.12), if it is not mounted `nolock` or `local_lock=`, and
with `lookupcache=positive`: otherwise a client may take a file that another just made for absent, for up to a minute.
Not over NFS from macOS, and not over SMB or a FUSE file system unless its documentation promises flock between
clients. Users who share it need a umask that lets them write each other's files.

*Limits.* On a file system that folds case, keys that differ only by case are one file: the second create is `Stale`.
Names that are not UTF-8 are not seen. `f` and `f/g` cannot both be keys. Left-over sidecars of files that another tool
deleted are harmless and stay until the key is written again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from io import FileIO
from itertools import islice
from pathlib import Path

from dorkyd.buckets.counting import Counter
from dorkyd.buckets.directory_files import (
    CHUNK_BYTES,
    FileState,
    Root,
    converted,
    copy_bytes,
    digest_of,
    folder,
    open_file,
    sync,
    write_all,
)
from dorkyd.buckets.directory_internals import INTERNALS, Locks, Recorded, Sidecars, mark, staged, sweep
from dorkyd.buckets.directory_place import Stage, clash, make_room, move_to_free, stamp
from dorkyd.buckets.directory_walk import Walk
from dorkyd.core.metadata import sha256
from dorkyd.core.model import Digest, Version
from dorkyd.errors import Blocked, DorkyError, Stale, Transient, Unsupported
from dorkyd.ports import Body, Listed, ObjectInfo, Requests, Session, Written

_PAGE_KEYS = 1000
_TRIES = 100
"""How often a step is tried whose folder others make and remove at the same time."""


@dataclass(frozen=True, slots=True)
class _FileReading:
    """An open data file, standing at the offset asked for. No byte is given out that the state may not hold."""

    key: str
    info: ObjectInfo
    state: FileState
    file: FileIO
    counter: Counter
    digest: Digest | None = None
    """SHA-256 of the whole, where that is known."""
    wanted: int | None = None
    """How many bytes are wanted; None: all that there are."""

    def __iter__(self) -> Iterator[bytes]:
        more, left = True, self.wanted
        while more:
            with converted(self.key):
                chunk = self.file.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left)) or b""
                self.check()
            left = None if left is None else left - len(chunk)
            self.counter.moved(self.key, down=len(chunk))
            if chunk:
                yield chunk
            more = bool(chunk)

    def check(self) -> None:
        """Raise `Stale` when the file was edited in place since it was opened.

        A ctime that rose is none such once the file has lost its name: then we replaced or deleted it.
        """
        found = os.fstat(self.file.fileno())
        now = FileState.of(found)
        if now.bond != self.state.bond or (now.ctime_ns != self.state.ctime_ns and found.st_nlink):
            raise Stale(f"{self.key}: edited while it was read")


@dataclass(frozen=True, slots=True)
class _Coming:
    """A state that a key is to get."""

    key: str
    parts: Sequence[bytes]
    """The names the key is made of."""
    stage: Stage
    """Its bytes."""
    replaces: Version | None
    meta: Mapping[str, str]
    digest: Digest | None
    """As `Recorded.digest`."""


class DirectoryBucket:
    """Objects as files below `path`. `create`: make a missing directory with all its parents, private to this user
    (the embedded bucket). Otherwise one is made only where its parent exists: a missing parent may be a disk that is
    not mounted. Later nothing makes the directory again: while it is not there, or another one stands there (`Root`),
    everything is `Transient`, offline.
    """

    versioned = False
    sessions_over = None

    def __init__(self, path: str | os.PathLike[str], create: bool = False) -> None:
        root = Path(path).absolute()
        self._root = Root(str(root))
        self._counter = Counter()
        self._locks = Locks(self._root)
        self._sidecars = Sidecars(self._root)
        self._swept = False
        with converted(str(root)):
            if create or root.parent.is_dir():
                # When a file stands there `open_root` says so, at the first use.
                with suppress(FileExistsError):
                    root.mkdir(0o700 if create else 0o777, parents=create)
                    with folder(Root(str(root.parent)), []) as fd:
                        sync(fd)

    @property
    def url(self) -> str:
        """As configured."""
        return f"file://{self._root.path}"

    @property
    def requests(self) -> Requests:
        """A snapshot of the counters."""
        return self._counter.snapshot()

    def close(self) -> None:
        """Nothing is held between calls."""

    def head(self, key: str) -> ObjectInfo | None:
        """As `Bucket.head`. `Unsupported`, code `special`: there is a symlink or the like, which is not absence."""
        self._counter.add("HEAD")
        with self._opened(key) as reading:
            return reading.info if reading else None

    @contextmanager
    def get(
        self, key: str, *, if_match: Version | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[_FileReading]:
        """As `Bucket.get`. Iterating raises `Stale` when another tool edits the file in place meanwhile."""
        self._counter.add("GET")
        with self._opened(key) as reading:
            if reading is None or if_match not in {None, reading.state.version}:
                raise Stale(f"{key}: not the version expected")
            if start > reading.info.size:  # some file systems refuse to go far past an end
                raise Stale(f"{key}: it has no byte {start} any more")
            reading.file.seek(start)
            yield reading if stop is None else replace(reading, wanted=stop - start)

    def read(self, key: str, *, limit: int = 16 * 1024 * 1024) -> tuple[ObjectInfo, bytes] | None:
        """As `Bucket.read`."""
        self._counter.add("GET")
        with self._opened(key) as reading:
            if reading is None:
                return None
            if reading.info.size > limit:
                raise Blocked(f"{key} has {reading.info.size} bytes, more than {limit}", code="too-large")
            return reading.info, b"".join(reading)

    def begin(self, key: str, size: int, *, replaces: Version | None, meta: Mapping[str, str]) -> Session:
        """Never called: no body here takes a session."""
        raise AssertionError((key, size, replaces, meta))

    def abandon(self, key: str, session: Session) -> None:
        """Never called, as `begin`."""
        raise AssertionError((key, session))

    def put(
        self,
        key: str,
        body: Body,
        *,
        replaces: Version | None,
        meta: Mapping[str, str],
        session: Session | None = None,
    ) -> Written:
        """As `Bucket.put`. `Unsupported`, code `clash`: a file and a folder would have one name."""
        assert session is None
        parts = _parts(key)
        self._counter.add("PUT")
        with converted(key), self._staged() as stage:
            size, digest = self._fill(stage, key, body)
            if size != body.size or digest != body.digest:
                raise Stale(f"{key}: the bytes are not those observed")
            stamp(stage.file)
            with self._locks.held([key]):
                return self._install(_Coming(key, parts, stage, replaces, meta, digest))

    def copy(
        self,
        source: str,
        key: str,
        *,
        source_version: Version,
        replaces: Version | None,
        meta: Mapping[str, str] | None,
    ) -> Written:
        """As `Bucket.copy`. A change of metadata alone writes the file anew too, so that it has a new version."""
        parts = _parts(key)
        self._counter.add("COPY")
        with converted(key), self._staged() as stage:
            with self._opened(source) as reading:
                if reading is None or reading.state.version != source_version:
                    raise Stale(f"{source}: not the version expected")
                copy_bytes(reading.file.fileno(), stage.file)
                reading.check()
            stamp(stage.file)
            with self._locks.held([source, key]):
                found = self._state(_parts(source))
                if found is None or found.version != source_version:
                    raise Stale(f"{source}: not the version expected")
                told = reading.info.meta if meta is None else meta
                return self._install(_Coming(key, parts, stage, replaces, told, reading.digest))

    def delete(self, key: str, *, replaces: Version) -> None:
        """As `Bucket.delete`. Folders that this empties are removed."""
        parts = _parts(key)
        self._counter.add("DELETE")
        with converted(key), self._locks.held([key]):
            found = self._state(parts)
            if found is None or found.version != replaces:
                raise Stale(f"{key}: not the version expected")
            try:
                with folder(self._root, parts[:-1]) as fd:
                    os.unlink(parts[-1], dir_fd=fd)
                    sync(fd)
            except FileNotFoundError as exc:
                raise Stale(f"{key}: another tool deleted it") from exc
            self._sidecars.drop(key)
            self._drop_empty(parts)

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[Sequence[Listed]]:
        """As `Bucket.list`, see `Walk`. The folders still to come are read when their page is asked for."""
        walk = Walk(self._root, prefix.encode("utf-8", "surrogatepass"), start_after.encode("utf-8", "surrogatepass"))
        with closing(walk.items()) as items:
            full = True
            while full:
                self._counter.add("LIST")
                with converted(prefix):
                    page = [*islice(items, _PAGE_KEYS)]
                yield page
                full = len(page) == _PAGE_KEYS

    # looking

    def _state(self, parts: Sequence[bytes]) -> FileState | None:
        """The state of the data file; None: there is none."""
        found = self._find(parts)
        if found is None:
            return None
        os.close(found[0])
        return found[1]

    def _find(self, parts: Sequence[bytes]) -> tuple[int, FileState] | None:
        try:
            with folder(self._root, parts[:-1]) as fd:
                opened = open_file(fd, parts[-1], b"/".join(parts))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        return (opened[0], FileState.of(opened[1])) if opened else None

    @contextmanager
    def _opened(self, key: str) -> Iterator[_FileReading | None]:
        """The data file, open, with its metadata; None: proven absent."""
        with converted(key):
            reading = self._open(key)
        if reading is None:
            yield None
            return
        with reading.file:
            yield reading

    def _open(self, key: str) -> _FileReading | None:
        """Invariant: state and metadata belong together. A sidecar without an entry for the state may be one that was
        written after the file was replaced, so "no metadata", or those of a copy, are believed only if the state still stands afterwards.
        """
        parts = _parts(key)
        for _ in range(_TRIES):
            found = self._find(parts)
            if found is None:
                return None
            fd, state = found
            file = FileIO(fd)
            try:
                recorded = self._sidecars.find(key, state, partial(digest_of, fd))
                bound = recorded is not None and recorded.bond == state.bond
                settled = bound or self._state(parts) == state
            except BaseException:
                file.close()
                raise
            if settled:
                told = recorded or Recorded(state.bond, {})
                info = ObjectInfo(state.version, state.size, state.modified, told.meta)
                return _FileReading(key, info, state, file, self._counter, told.digest)
            file.close()
        raise Transient(f"{key}: changes all the time")

    # writing

    @contextmanager
    def _staged(self) -> Iterator[Stage]:
        if not self._swept:
            sweep(self._root)
            self._swept = True
        mark(self._root)
        with staged(self._root) as (tmp, fd, name):
            yield Stage(tmp, fd, name)

    def _fill(self, stage: Stage, key: str, body: Body) -> tuple[int, Digest]:
        """Bring the body into its staged file; its real size and digest."""
        seen = hashlib.sha256()
        size = 0
        with body.open() as stream:
            while chunk := _next_chunk(stream.read, key):
                seen.update(chunk)
                size += len(chunk)
                write_all(stage.file, chunk)
        self._counter.moved(key, up=size)
        return size, sha256(seen.hexdigest())

    def _install(self, new: _Coming) -> Written:
        """Give the staged file the key's name, if the state there is the expected one. Under the key's lock.

        Other writers make and remove the folders above at the same time, so a folder that vanished and a name that
        was taken mean: look once more.
        """
        try:
            for _ in range(_TRIES):
                with suppress(FileNotFoundError, FileExistsError, IsADirectoryError):
                    return self._try_install(new)
        except BaseException:
            self._drop_empty(new.parts)
            raise
        raise Transient(f"{new.key}: its folder changes all the time")

    def _try_install(self, new: _Coming) -> Written:
        key, parts, stage = new.key, new.parts, new.stage
        present = self._state(parts)
        if (present.version if present else None) != new.replaces:
            raise Stale(f"{key}: not the version expected")
        try:
            with folder(self._root, parts[:-1], make=present is None) as fd:
                if present is None:
                    make_room(key, fd, parts[-1])
                self._sidecars.record(key, FileState.of(os.fstat(stage.file)), new.meta, new.digest, present=present)
                if present is None:
                    move_to_free(stage, fd, parts[-1])
                else:
                    os.rename(stage.name, parts[-1], src_dir_fd=stage.folder, dst_dir_fd=fd)
                # From here on nothing changes the ctime: this is the version that every look will tell.
                state = FileState.of(os.fstat(stage.file))
                sync(fd)
        except NotADirectoryError as exc:
            raise clash(key, "a file stands where it needs a folder") from exc
        return Written(state.version, state.modified)

    def _drop_empty(self, parts: Sequence[bytes]) -> None:
        """Remove the folders above a key that are empty, never the root; `.dorky` holds our own files, so it stays.

        A folder that cannot be removed is not empty, or in use, or another's: it may stay, it is no object.
        """
        with suppress(OSError, DorkyError):
            for depth in range(len(parts) - 1, 0, -1):
                with folder(self._root, parts[: depth - 1]) as fd:
                    os.rmdir(parts[depth - 1], dir_fd=fd)


def _parts(key: str) -> Sequence[bytes]:
    """The names a key is made of. Raises `Unsupported` for one that can be no file here."""
    try:
        raw = key.encode()
    except UnicodeEncodeError as exc:
        raise Unsupported(key, f"{key!r} is not text", code="bad-key") from exc
    parts = raw.split(b"/")
    if {b"", b".", b".."} & set(parts) or b"\0" in raw:
        raise Unsupported(key, f"{key!r} is no path below a directory", code="bad-key")
    if any(len(part) > 255 for part in parts):
        raise Unsupported(key, f"{key!r} has a name of more than 255 bytes", code="name-too-long")
    # In any case of letters, since some file systems fold it.
    if b"/".join(parts[:2]).lower() == INTERNALS:
        raise Unsupported(key, f"{key!r} is where the directory bucket keeps its own files", code="bad-key")
    return parts


def _next_chunk(read: Callable[[int], bytes], key: str) -> bytes:
    try:
        return read(CHUNK_BYTES)
    except OSError as exc:  # not to be mistaken for trouble of the bucket's directory
        raise Transient(f"{key}: the bytes to send cannot be read ({exc.strerror})") from exc
