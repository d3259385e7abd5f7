"""How a staged file gets its name, so that it never takes another's."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from contextlib import suppress
from dataclasses import dataclass

from dorkyd.buckets.directory_files import sync
from dorkyd.errors import Unsupported

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""What link(2) says where the file system has no hard links (FAT, some FUSE and SMB mounts)."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A body on its way in: the folder it is staged in, the open file, and its name there."""

    folder: int
    file: int
    name: bytes


def stamp(file: int) -> None:
    """Make a staged file ready for its place: an mtime that no other write has, and durable."""
    seconds = time.time_ns() // 1_000_000_000
    mtime_ns = seconds * 1_000_000_000 + secrets.randbelow(1_000_000_000)
    os.utime(file, ns=(mtime_ns, mtime_ns))
    sync(file)


def make_room(key: str, fd: int, name: bytes) -> None:
    """Before a create: an empty folder of the name is removed, one that holds something is a clash."""
    try:
        if stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
            os.rmdir(name, dir_fd=fd)
    except FileNotFoundError:
        return
    except OSError as exc:
        if exc.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise
        raise clash(key, "a folder of this name holds other objects") from exc


def move_to_free(stage: Stage, fd: int, name: bytes) -> None:
    """Move a staged file to a name that nobody has. `FileExistsError` when somebody has it after all."""
    try:
        os.link(stage.name, name, src_dir_fd=stage.folder, dst_dir_fd=fd, follow_symlinks=False)
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        # Without links only the lock protects: a tool that keeps to none may create the name before the rename.
        with suppress(FileNotFoundError):
            os.stat(name, dir_fd=fd, follow_symlinks=False)
            raise FileExistsError(errno.EEXIST, "the name was taken") from exc
        os.rename(stage.name, name, src_dir_fd=stage.folder, dst_dir_fd=fd)
    else:
        os.unlink(stage.name, dir_fd=stage.folder)


def clash(key: str, why: str) -> Unsupported:
    """The error for a file and a folder that want one name."""
    hint = "rename one of the two: a directory cannot hold a file and a folder of one name"
    return Unsupported(key, f"{key!r}: {why}", code="clash", hint=hint)
