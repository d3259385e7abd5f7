"""`.dorky/tmp/`: files on their way into the folder or out of it, under flat names, private to us.

Nothing here is overwritten or dropped on a guess: what came out of its place may be the only copy of a person's work.
Names that begin with a dot are our own tools (the clock, probes) and are not staged files.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO

from dorkyd.core.model import PERMISSION_BITS, Digest, StatTuple
from dorkyd.dirfd import Spot, look, names_in, stat_tuple
from dorkyd.durable import fsync
from dorkyd.errors import Stale
from dorkyd.faults import faults
from dorkyd.looking import CHUNK_BYTES, digest_of, open_file, open_file_fd
from dorkyd.permissions import fchmod
from dorkyd.streams import reader, writer

TMP = "tmp"
"""Name of the staging folder in `.dorky`."""

_CLOCK = ".clock"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SECOND_NS = 1_000_000_000
_OLDEST_NS, _NEWEST_NS = -(2**31) * _SECOND_NS, (2**31 - 1) * _SECOND_NS
"""What a 32-bit time stamp holds (1901 to 2038), for file systems with no more."""
_ROUNDS, _CHANGES, _CHANGE_S = 3, 64, 0.000_15
"""So many changes, so quick that several fall into the shortest tick there is (1 ms); tried again on a busy machine."""
_CANNOT_COPY = frozenset({errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY})


def staged_spot(tmp: int, name: str) -> Spot:
    """The spot of a staged name in the open staging folder. `ValueError` for a name that is not flat: a bug of ours."""
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise ValueError(f"not a staged name: {name!r}")
    return Spot(tmp, name, name)


def present(spot: Spot) -> StatTuple | None:
    """The stat tuple of a staged file; None when there is none."""
    info = look(spot)
    return stat_tuple(info) if info is not None and stat.S_ISREG(info.st_mode) else None


def require(spot: Spot) -> StatTuple:
    """The stat tuple of a staged file. `Stale` when there is none."""
    found = present(spot)
    if found is None:
        raise Stale(f"staged file {spot.name} is not there")
    return found


def create(spot: Spot, *, resume: bool) -> BinaryIO:
    """A staged file for writing. New means new: `Stale` when the name is taken, for it may hold displaced bytes."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC if resume else _NEW
    with faults(spot.path, "write"):
        fd = os.open(spot.name, flags, 0o600, dir_fd=spot.fd)
        return writer(fd, spot.path)


def reading(spot: Spot) -> BinaryIO:
    """A staged file's bytes, as long as nobody writes to it."""
    seen = require(spot)
    return reader(open_file_fd(spot, seen), spot.path, seen)


def copy(source: Spot, expected: StatTuple, to: Spot) -> None:
    """Copy a file into a new staged one. `Stale`, and no staged file, when it is not or does not stay `expected`."""
    with open_file(source, expected) as reading, create(to, resume=False) as writing, faults(to.path, "write"):
        try:
            _copy_bytes(reading, writing.fileno())
            if stat_tuple(os.fstat(reading)) != expected or os.fstat(writing.fileno()).st_size != expected.size:
                raise Stale(f"{source.path}: changed while it was copied")
        except BaseException:
            os.unlink(to.name, dir_fd=to.fd)
            raise


def _copy_bytes(reading: int, writing: int) -> None:
    """The whole of one file into an empty one. Linux's call shares the blocks where the file system can."""
    if hasattr(os, "copy_file_range"):
        try:
            while os.copy_file_range(reading, writing, 1 << 30):
                pass
        except OSError as exc:
            if exc.errno not in _CANNOT_COPY:
                raise
    # Goes on from wherever both descriptors stand: from the start where the call did nothing.
    while chunk := os.read(reading, CHUNK_BYTES):
        view = memoryview(chunk)
        while view:
            view = view[os.write(writing, view) :]


def seal(spot: Spot, *, mode: int, mtime_ns: int | None) -> int:
    """Permission bits, mtime, fsync of the file and of its name. Returns the bits that it took."""
    with open_file(spot, require(spot)) as fd, faults(spot.path, "write"):
        # Nothing is touched that is right already: a file that was sealed so before is clean, and its sync costs nothing.
        info = os.fstat(fd)
        if mtime_ns is not None and info.st_mtime_ns != mtime_ns:
            _set_mtime(fd, mtime_ns)
        if info.st_mode & PERMISSION_BITS != mode & PERMISSION_BITS:
            fchmod(fd, mode & PERMISSION_BITS)
        held = os.fstat(fd).st_mode & PERMISSION_BITS
        fsync(fd)
        fsync(spot.fd)
    return held


def _set_mtime(fd: int, mtime_ns: int) -> None:
    """The mtime, or the nearest that the file system holds: a bucket can say anything."""
    try:
        os.utime(fd, ns=(mtime_ns, mtime_ns))
    except (OverflowError, OSError) as exc:
        if isinstance(exc, OSError) and exc.errno not in {errno.EINVAL, errno.EOVERFLOW}:
            raise
        nearest = max(_OLDEST_NS, min(_NEWEST_NS, mtime_ns))
        os.utime(fd, ns=(nearest, nearest))


def digest(spot: Spot) -> Digest | None:
    """Hash a staged file; None when there is none. `Stale` when it changes meanwhile."""
    seen = present(spot)
    if seen is None:
        return None
    with open_file(spot, seen) as fd:
        found = digest_of(fd, spot.path)
        if stat_tuple(os.fstat(fd)) != seen:
            raise Stale(f"staged file {spot.name}: changed while it was read")
    return found


def unstage(spot: Spot) -> None:
    """Remove a staged file for good. Absent is fine."""
    with faults(spot.path, "write"), suppress(FileNotFoundError):
        os.unlink(spot.name, dir_fd=spot.fd)


def names(tmp: int) -> Sequence[str]:
    """The staged names, in order: all of them, so that nothing that came out of the folder is overlooked."""
    return [name for name in names_in(tmp, TMP) if not name.startswith(".")]


def now_ns(tmp: int) -> int:
    """The time that the file system gives a change made now; on NFS the server's."""
    with faults(f"{TMP}/{_CLOCK}", "write"):
        fd = os.open(_CLOCK, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=tmp)
        try:
            os.utime(fd)
            info = os.fstat(fd)
        finally:
            os.close(fd)
    # The smaller is the safer: a time too early makes a file look racy, and it is hashed once more.
    return min(info.st_mtime_ns, info.st_ctime_ns)


def probe(tmp: int) -> tuple[bool, int, bool]:
    """Try the file system: does it fold names, what permission bits does a new file get (umask, default ACL), and are its
    stamps exact?

    Two pairs are tried, since vfat folds case alone: upper and lower, and the two Unicode forms of one letter.
    """
    name = f".probe-{secrets.token_hex(8)}-a\u00e9"
    with faults(f"{TMP}/{name}", "write"):
        fd = os.open(name, _NEW, 0o666, dir_fd=tmp)
        try:
            mode = os.fstat(fd).st_mode & PERMISSION_BITS
            twins = (name.replace("-a", "-A"), name.replace("\u00e9", "e\u0301"))
            folds = any(look(Spot(tmp, twin, twin)) is not None for twin in twins)
            exact = any(_exact(fd) for _ in range(_ROUNDS))
        finally:
            os.close(fd)
            os.unlink(name, dir_fd=tmp)
    return folds, mode, exact


def _exact(fd: int) -> bool:
    """Every change after a look moves ctime, as Linux does it since 6.13 on its own file systems. Elsewhere a stamp is the
    kernel's tick, and two changes within one tick look the same.
    """
    began = time.monotonic()
    stamps: set[int] = set()
    for _ in range(_CHANGES):
        os.utime(fd)
        stamps.add(os.fstat(fd).st_ctime_ns)
    # Changes that took long fall into different ticks anyhow: they prove nothing.
    return len(stamps) == _CHANGES and time.monotonic() - began < _CHANGES * _CHANGE_S
