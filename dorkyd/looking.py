"""Reading one file, and knowing that what was read is what is there."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dorkyd.core.metadata import sha256
from dorkyd.core.model import PERMISSION_BITS, Digest, Local, Path, Problem, StatTuple
from dorkyd.dirfd import Spot, look, stat_tuple
from dorkyd.errors import PathProblem, Stale
from dorkyd.faults import faults
from dorkyd.ports import ABSENT, Known, Observation
from dorkyd.recent import SMALL_BYTES, Recent

CHUNK_BYTES = 1024 * 1024
"""Read at a time: memory stays flat however large the file."""

TICK_NS = 50_000_000
"""A stamp may lag by the kernel's tick, 10 ms at the slowest (HZ=100). This is a few of them."""

COARSE_NS = 2_000_000_000
"""The same where stamps are whole seconds: HFS+ and ext3 count in one, FAT in two."""

_SECOND_NS = 1_000_000_000
# O_NONBLOCK: should a FIFO be swapped in after the look, opening it must not wait for a writer.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def observe(
    spot: Spot, known: Known | None, between: Callable[[str], None], recent: Recent | None = None
) -> Observation:
    """As `Folder.observe`. `between` is called with `looked` before reading and with `read` after it; what was read of a
    small file goes to `recent`.
    """
    info = look(spot)
    if info is None or stat.S_ISDIR(info.st_mode):
        # A folder at the path is no file: the file is proven absent. Clashes are somebody else's job.
        return ABSENT
    path = Path(spot.path)
    if not stat.S_ISREG(info.st_mode):
        return special(path, info.st_mode)
    seen = stat_tuple(info)
    mode = info.st_mode & PERMISSION_BITS
    if known is not None and known.stat == seen and not racy(known):
        return Local(known.digest, mode, seen)
    between("looked")
    small: bytes | None = None
    fd = open_file_fd(spot, seen, looked=True)
    try:
        if recent is not None and seen.size <= SMALL_BYTES:
            small = read_small(fd, spot.path, seen.size)
        digest = digest_of(fd, spot.path, seen.size) if small is None else sha256(hashlib.sha256(small).hexdigest())
    finally:
        os.close(fd)
    between("read")
    # The name is looked at, not the descriptor: a file moved over this one meanwhile is a change too.
    after = look(spot)
    if after is None or stat_tuple(after) != seen:
        raise Stale(f"{spot.path}: changed while it was read")
    if recent is not None and small is not None:
        recent.keep(path, seen, small)
    return Local(digest, mode, seen)


def read_small(fd: int, path: str, size: int) -> bytes:
    """All that a descriptor holds, of a file that had so many bytes. `Stale` when it has another number of them."""
    with faults(path, "read"):
        # One byte more than the size: one read tells the end by being that much short.
        data = os.read(fd, size + 1)
    if len(data) != size:
        raise Stale(f"{path}: changed while it was read")
    return data


def racy(known: Known) -> bool:
    """A write just after the hash could have left the same stamps: the tuple proves nothing.

    Only ctime tells how fine the file system's stamps are, since programs set mtime to whole seconds as they please.
    """
    fine = known.stat.ctime_ns % _SECOND_NS != 0
    return known.stamped_since(known.at_ns - (TICK_NS if fine else COARSE_NS))


def require(spot: Spot, expected: StatTuple) -> None:
    """The spot holds exactly the regular file that was looked at, or `Stale`."""
    info = look(spot)
    if info is None or not stat.S_ISREG(info.st_mode) or stat_tuple(info) != expected:
        raise Stale(f"{spot.path}: is no longer the file that was looked at")


@contextmanager
def open_file(spot: Spot, expected: StatTuple) -> Iterator[int]:
    """A descriptor of the regular file at the spot. `Stale` when its stat tuple is not `expected`."""
    fd = open_file_fd(spot, expected)
    try:
        yield fd
    finally:
        os.close(fd)


def open_file_fd(spot: Spot, expected: StatTuple, *, looked: bool = False) -> int:
    """As `open_file`, for a caller that closes. `looked`: the spot was looked at just now and is a regular file."""
    # Opening a device can act on it (a tape rewinds, a modem dials): nothing but a regular file is opened.
    if not looked:
        require(spot, expected)
    with faults(spot.path, "read"):
        fd = os.open(spot.name, _READ, dir_fd=spot.fd)
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode) or stat_tuple(info) != expected:
        os.close(fd)
        raise Stale(f"{spot.path}: was replaced while it was opened")
    return fd


def digest_of(fd: int, path: str, size: int | None = None) -> Digest:
    """SHA-256 of all that the descriptor still holds. `size`: what it holds, as far as is known; None: ask."""
    hashed = hashlib.sha256()
    known = os.fstat(fd).st_size if size is None else size
    # One byte more than the size: a small file is then one read, which tells its end by being that much short.
    want = min(CHUNK_BYTES, known + 1)
    with faults(path, "read"):
        while chunk := os.read(fd, want):
            hashed.update(chunk)
            if len(chunk) == known < want:
                break
    return Digest(f"sha256:{hashed.hexdigest()}")


def special(path: Path, mode: int) -> Problem:
    """What stands at the path is neither file nor folder."""
    if stat.S_ISLNK(mode):
        return Problem(
            path, "symlink", f"{path} is a symlink; links are never followed", "ignore it, or copy its target"
        )
    kind = {stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket"}.get(stat.S_IFMT(mode), "device")
    return Problem(path, "special", f"{path} is a {kind}; only regular files are synced", "ignore it or move it away")


def problem(path: Path, exc: PathProblem) -> Problem:
    """The error as a value: one path's trouble is not the end of a scan."""
    return Problem(path, exc.code, str(exc), exc.hint)
