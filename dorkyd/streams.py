"""Open files handed to the engine: a full disk or a failing one is an error of ours there too."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import io
import os
from typing import Any, BinaryIO, cast

from dorkyd.core.model import StatTuple
from dorkyd.dirfd import stat_tuple
from dorkyd.errors import Stale
from dorkyd.faults import faults

LOOK_BYTES = 32 * 1024 * 1024
"""After so many bytes a file that is being read is looked at again."""
PAGE_BYTES = 4096
"""What memory, place and length of a write past the page cache must be multiples of: no disk's blocks are larger."""
_DIRECT: int = getattr(os, "O_DIRECT", 0)
"""Linux."""
_NOT_SO = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})
"""How a file system says that it knows no such writes, or wants other multiples (open(2), O_DIRECT)."""


class _Converting(io.FileIO):
    """A descriptor whose errors are `dorkyd.errors`. A buffer around it passes them on as they are."""

    def __init__(self, fd: int, mode: str, path: str) -> None:
        super().__init__(fd, mode)
        self._path = path

    def write(self, data: Any, /) -> int:
        with faults(self._path, "write"):
            return super().write(data) or 0

    def readinto(self, buffer: Any, /) -> int:
        with faults(self._path, "read"):
            return super().readinto(buffer) or 0

    def readall(self) -> bytes:
        with faults(self._path, "read"):
            return super().readall() or b""


class _Writing(_Converting):
    """A file that is written in order, each time all that is given. Whole pages of memory go to the disk at once, past the
    page cache: what is staged counts only once it is durable, so that the cache would cost a copy and save no waiting.
    Where the file system does not take them so, they go the ordinary way.
    """

    def __init__(self, fd: int, path: str) -> None:
        super().__init__(fd, "wb", path)
        self._at = os.lseek(fd, 0, os.SEEK_END)
        self._flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        self._past_cache = _DIRECT != 0
        """The file system is not known to refuse it."""

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            left = view[done:]
            count = self._write_pages(left) or super().write(left)
            self._at += count
            done += count
        return done

    def _write_pages(self, view: memoryview) -> int:
        """How many bytes went to the disk; 0: they must go the ordinary way."""
        direct = self._past_cache and self._at % PAGE_BYTES == 0 and _is_pages(view)
        with faults(self._path, "write"):
            try:
                self._turn(self._flags | _DIRECT if direct else self._flags & ~_DIRECT)
                return os.write(self.fileno(), view) if direct else 0
            except OSError as exc:
                if exc.errno not in _NOT_SO or not direct:
                    raise
                self._past_cache = False
                self._turn(self._flags & ~_DIRECT)
                return 0

    def _turn(self, flags: int) -> None:
        if flags != self._flags:
            fcntl.fcntl(self.fileno(), fcntl.F_SETFL, flags)
            self._flags = flags


class _Unchanged(_Converting):
    """A file that is read only as long as it is what was looked at: written to, replaced or removed, its stamps move.

    Early word, not proof: what a digest covers is proved by the digest. It spares sending the rest of a large file.
    """

    def __init__(self, fd: int, path: str, expected: StatTuple) -> None:
        super().__init__(fd, "rb", path)
        self._expected = expected
        self._unlooked = 0

    def readinto(self, buffer: Any, /) -> int:
        count = super().readinto(buffer)
        self._unlooked += count
        if self._unlooked >= LOOK_BYTES:
            self._unlooked = 0
            if stat_tuple(os.fstat(self.fileno())) != self._expected:
                raise Stale(f"{self._path}: changed while it was read")
        return count


def reader(fd: int, path: str, expected: StatTuple) -> BinaryIO:
    """The bytes of an open file, from where it stands. Closing it closes the descriptor. `Stale` soon after it is no longer
    what `expected` says.
    """
    return cast("BinaryIO", io.BufferedReader(_Unchanged(fd, path, expected)))


def writer(fd: int, path: str) -> BinaryIO:
    """A stream that appends to what an open file holds. Closing it closes the descriptor."""
    return cast("BinaryIO", _Writing(fd, path))


def _is_pages(view: memoryview) -> bool:
    """It begins and ends with a page of memory."""
    if view.readonly or not view or len(view) % PAGE_BYTES:
        return False
    return ctypes.addressof(ctypes.c_char.from_buffer(view)) % PAGE_BYTES == 0
