"""The ground `DirectoryBucket` stands on: files and folders opened name by name, never through a symlink.

Names are bytes here, the UTF-8 of the key, so that no locale has a say in them. A folder is held open while its
entries are used: what another program swaps under its path meanwhile cannot send us elsewhere.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from dorkyd.core.metadata import sha256
from dorkyd.core.model import Digest, Version
from dorkyd.errors import Blocked, Denied, DiskFull, Transient, Unsupported

CHUNK_BYTES = 1024 * 1024
ID = (b".dorky", b"directory", b"id")
"""What tells a bucket's directory from any other that comes to stand at its path."""
_ID_BYTES = 64

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not blocking: opening a FIFO would wait for its writer. Without NOCTTY a terminal would become ours.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_NOT_A_FOLDER = {errno.ENOTDIR, errno.ELOOP, errno.EMLINK}
"""What systems say when O_DIRECTORY and O_NOFOLLOW meet a file or a symlink."""
_NOT_A_FILE = {errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.EOPNOTSUPP}
"""What they say when O_NOFOLLOW meets a symlink, or an open a socket."""
_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
# ENOENT where a caller did not expect it: somebody removed a folder of ours while we used it.
_PASSING = {errno.ENOENT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EBUSY, errno.EINTR, errno.EAGAIN}
_AWAY = {errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENOTCONN, errno.ENODEV}


@dataclass(frozen=True, slots=True)
class FileState:
    """What the file system says of a data file: enough to tell any two states apart."""

    inode: int
    size: int
    """Bytes."""
    mtime_ns: int
    """Of files we wrote: the second is that of the write, the nanoseconds are random."""
    ctime_ns: int
    """Rises with every write, rename and chmod, even when a tool restores the mtime."""

    @classmethod
    def of(cls, found: os.stat_result) -> FileState:
        """From a stat."""
        return cls(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    @property
    def version(self) -> Version:
        """The state's identity, as text."""
        return Version(f"{self.inode:x}-{self.size:x}-{self.mtime_ns:x}-{self.ctime_ns:x}")

    @property
    def modified(self) -> int:
        """Whole seconds since the epoch."""
        return self.mtime_ns // 1_000_000_000

    @property
    def bond(self) -> tuple[int, int, int]:
        """What is known before the file gets its name and stays when it has it: binds metadata to it."""
        return self.inode, self.size, self.mtime_ns


@contextmanager
def converted(key: str) -> Iterator[None]:
    """Turn what the file system says into the project's errors. What is not known here is raised on."""
    try:
        yield
    except OSError as exc:
        said = exc.strerror or str(exc)
        if exc.errno in _FULL:
            raise DiskFull(f"{key}: no space left in the bucket's directory ({said})", hint="make room there") from exc
        if exc.errno in _DENIED:
            hint = "check owner and permissions of the bucket's directory, and that it is not mounted read-only"
            raise Denied(f"{key}: the bucket's directory refuses it ({said})", hint=hint) from exc
        if exc.errno in _PASSING:
            raise Transient(f"{key}: the bucket's directory failed ({said})") from exc
        if exc.errno in _AWAY:
            raise Transient(f"{key}: the bucket's file system is not there ({said})", offline=True) from exc
        if exc.errno == errno.ENAMETOOLONG:
            raise Unsupported(key, f"{key!r}: this file system's names are shorter", code="name-too-long") from exc
        if exc.errno in {errno.EILSEQ, errno.EINVAL}:
            raise Unsupported(key, f"{key!r}: this file system refuses the name", code="bad-key") from exc
        if exc.errno == errno.EXDEV:
            why = f"{key!r}: another file system is mounted inside the bucket's directory"
            raise Unsupported(key, why, code="mount", hint="mount it elsewhere") from exc
        if exc.errno == errno.ENOTDIR:
            hint = "move that file away"
            raise Blocked(f"{key}: a file stands where the bucket's directory needs a folder", hint=hint) from exc
        if exc.errno == errno.ENOLCK:
            hint = "mount it with locking (NFS: without nolock)"
            raise Blocked(f"{key}: the bucket's file system has no locks", hint=hint) from exc
        raise


def open_root(root: str) -> int:
    """The bucket's directory, which may itself be a symlink."""
    try:
        return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as exc:
        hint = "mount the disk it is on, or make the directory"
        raise Transient(f"the bucket's directory {root} is not there", hint=hint, offline=True) from exc
    except NotADirectoryError as exc:
        raise Blocked(f"the bucket's directory {root} is not a directory", hint="correct `bucket`") from exc


class Root:
    """The bucket's directory, by its path and by the id that lies in it.

    Invariant: whatever this opens is the directory that was first opened, so far as that had an id. A disk is unmounted
    and leaves its empty mount point, or another one is mounted in its place: what is written there would be hidden
    or foreign, and every object seems deleted. The directory that comes back is known by its id, since its inode and
    its device may be others.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.id: bytes | None = None
        """Of the directory in use; None: none was read or written yet."""
        self._at: tuple[int, int] | None = None
        """Device and inode of what was last found to be it."""
        self._looking = threading.Lock()

    def open(self) -> int:
        """Raises `Transient`, offline, while there is no directory or another one."""
        fd = open_root(self.path)
        try:
            found = os.fstat(fd)
            if (found.st_dev, found.st_ino) != self._at:
                self._look(fd, (found.st_dev, found.st_ino))
        except BaseException:
            os.close(fd)
            raise
        return fd

    def look_again(self) -> None:
        """The id may be another than was read last: look at the next opening."""
        self._at = None

    def _look(self, fd: int, at: tuple[int, int]) -> None:
        with self._looking:
            found = _read_id(fd)
            if self.id is not None and found != self.id:
                hint = (
                    "mount the disk it is on, or bring the directory back; if what stands there now shall be used, start"
                    " the daemon again: `dorkyctl stop`, then `dorkyctl up`"
                )
                raise Transient(f"another directory stands at {self.path} than the bucket's", hint=hint, offline=True)
            self.id, self._at = found, at


def _read_id(root: int) -> bytes | None:
    """The id in an open directory; None: it has none."""
    opened: list[int] = []
    try:
        for part in ID[:-1]:
            opened.append(os.open(part, _FOLDER, dir_fd=opened[-1] if opened else root))
        opened.append(os.open(ID[-1], _FILE, dir_fd=opened[-1]))
        return os.read(opened[-1], _ID_BYTES) or None
    except OSError as exc:
        if exc.errno in {errno.ENOENT, *_NOT_A_FOLDER, *_NOT_A_FILE}:
            return None
        raise
    finally:
        for fd in opened:
            os.close(fd)


@contextmanager
def folder(root: Root, parts: Sequence[bytes], *, make: bool = False) -> Iterator[int]:
    """A folder below the root, held open. `make` makes what is missing of it, durably.

    `FileNotFoundError`: there is none (with `make`: it was removed meanwhile, try again). `NotADirectoryError`: a file
    is in the way. `Unsupported`, code `special`: a symlink or something stranger is.
    """
    fd = root.open()
    try:
        for depth, part in enumerate(parts, 1):
            below = _enter(fd, part, b"/".join(parts[:depth]), make=make)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def _enter(fd: int, part: bytes, path: bytes, *, make: bool) -> int:
    try:
        return _open_folder(fd, part, path)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):  # somebody else made it: fine
        os.mkdir(part, dir_fd=fd)
        sync(fd)
    return _open_folder(fd, part, path)


def _open_folder(fd: int, part: bytes, path: bytes) -> int:
    try:
        return os.open(part, _FOLDER, dir_fd=fd)
    except OSError as exc:
        if exc.errno not in _NOT_A_FOLDER:
            raise
        if stat.S_ISREG(os.stat(part, dir_fd=fd, follow_symlinks=False).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "a file is in the way") from exc
        raise special(path) from exc


def special(path: bytes) -> Unsupported:
    """The error for what is neither file nor folder. Never taken for absence, which would be acted on."""
    name = path.decode("utf-8", "replace")
    hint = "remove it from the bucket's directory, or put the file itself there"
    return Unsupported(
        name, f"{name!r} in the bucket's directory is a symlink or special file", code="special", hint=hint
    )


def open_file(fd: int, name: bytes, path: bytes) -> tuple[int, os.stat_result] | None:
    """A regular file in an open folder, and its stat. None: there is no such name.

    `IsADirectoryError`: a folder has the name. `Unsupported`, code `special`: something else has. An open and not a
    mere stat, because on NFS only an open is sure to ask the server.
    """
    try:
        opened = os.open(name, _FILE, dir_fd=fd)
    except FileNotFoundError:
        return None
    except OSError as exc:
        if exc.errno in _NOT_A_FILE:
            raise special(path) from exc
        raise
    try:
        found = os.fstat(opened)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, "a folder has this name")
        if not stat.S_ISREG(found.st_mode):
            raise special(path)
    except BaseException:
        os.close(opened)
        raise
    return opened, found


def sync(fd: int) -> None:
    """Make a file or folder durable. macOS needs more than fsync to reach the medium."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        try:
            fcntl.fcntl(fd, full)
        except OSError as exc:
            # File systems without it say so in these ways; fsync is what they have.
            if exc.errno not in {errno.ENOTSUP, errno.EINVAL, errno.ENOTTY}:
                raise
        else:
            return
    os.fsync(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write every byte, however little the system takes at a time."""
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def digest_of(fd: int) -> Digest:
    """SHA-256 of an open file's bytes, wherever it stands."""
    seen, at = hashlib.sha256(), 0
    while chunk := os.pread(fd, CHUNK_BYTES, at):
        seen.update(chunk)
        at += len(chunk)
    return sha256(seen.hexdigest())


def copy_bytes(source: int, target: int) -> None:
    """The rest of one open file to the end of another: shared or copied by the kernel where it can."""
    if hasattr(os, "copy_file_range"):
        try:
            while os.copy_file_range(source, target, 1024 * CHUNK_BYTES):
                pass
        except OSError as exc:
            # Not between these two: both offsets stand where it stopped, and the loop below goes on from there.
            if exc.errno not in {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF}:
                raise
    while chunk := os.read(source, CHUNK_BYTES):
        write_all(target, chunk)
