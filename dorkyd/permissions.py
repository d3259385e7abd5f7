"""Setting permission bits on exactly the file that was looked at, even one that we cannot open."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from dorkyd.core.model import PERMISSION_BITS, Local
from dorkyd.dirfd import Spot, look, same_bytes, stat_tuple
from dorkyd.durable import fsync
from dorkyd.errors import PathProblem, Stale
from dorkyd.faults import faults
from dorkyd.looking import open_file

_CANNOT_HOLD = frozenset({errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})


def set_mode(spot: Spot, mode: int, expected: Local) -> Local:
    """As `Folder.set_mode`."""
    bits = mode & PERMISSION_BITS
    try:
        with open_file(spot, expected.stat) as fd, faults(spot.path, "write"):
            fchmod(fd, bits)
            fsync(fd)
    except PathProblem as exc:
        if exc.code != "unreadable":
            raise
        # Its bits keep even its owner from reading it, and bits are what we are about to change.
        _set_unopened(spot, bits, expected)
    now = look(spot)
    if now is None or not same_bytes(stat_tuple(now), expected.stat):
        raise Stale(f"{spot.path}: changed while its permission bits were set")
    return Local(expected.digest, now.st_mode & PERMISSION_BITS, stat_tuple(now))


def fchmod(fd: int, bits: int) -> None:
    """Set the bits of an open file of ours, or leave them as they are where the file system cannot hold these."""
    try:
        os.fchmod(fd, bits)
    except OSError as exc:
        # To a file's owner this refusal can only mean that the file system (FAT) does not hold such bits.
        if exc.errno not in _CANNOT_HOLD or os.fstat(fd).st_uid != os.geteuid():
            raise


def _set_unopened(spot: Spot, bits: int, expected: Local) -> None:
    """Set the bits of a file that cannot be opened for reading."""
    with faults(spot.path, "write"):
        if hasattr(os, "O_PATH"):
            # Linux: a descriptor that allows nothing but naming the file; chmod follows the link in /proc to it.
            fd = os.open(spot.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=spot.fd)
            try:
                if stat_tuple(os.fstat(fd)) != expected.stat:
                    raise Stale(f"{spot.path}: was replaced while it was opened")
                os.chmod(f"/proc/self/fd/{fd}", bits)
            finally:
                os.close(fd)
        else:
            os.chmod(spot.name, bits, dir_fd=spot.fd, follow_symlinks=False)
        # Bits that still forbid reading leave no way to sync the file: after a power cut they may be the old ones,
        # which looking then finds. Nothing of its content depends on it.
        with suppress(PermissionError):
            fd = os.open(spot.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=spot.fd)
            try:
                fsync(fd)
            finally:
                os.close(fd)
