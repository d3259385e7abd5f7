"""Files written in order, whole pages of memory past the page cache (docs/decisions/0035-past-the-page-cache.md)."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os

PAGE_BYTES = 4096
"""What memory, place and length of a write past the page cache must be multiples of: no disk's blocks are larger."""
_DIRECT: int = getattr(os, "O_DIRECT", 0)
"""Linux."""
_NOT_SO = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})
"""How a file system says that it knows no such writes, or wants other multiples (open(2), O_DIRECT)."""


class PageWriter:
    """Appends to an open file, each time all that is given. Whole pages of memory go to the disk at once, past the page cache:
    what must be durable before it counts would pay the cache a copy and save no waiting. Where the file system does not take
    them so, they go the ordinary way.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._at = os.lseek(fd, 0, os.SEEK_END)
        self._flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        self._past_cache = _DIRECT != 0
        """The file system is not known to refuse it."""

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """All of it. Raises `OSError`."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            left = view[done:]
            count = self._write_pages(left) or os.write(self._fd, left)
            self._at += count
            done += count
        return done

    def _write_pages(self, view: memoryview) -> int:
        """How many bytes went to the disk; 0: they must go the ordinary way."""
        direct = self._past_cache and self._at % PAGE_BYTES == 0 and _is_pages(view)
        try:
            self._turn(self._flags | _DIRECT if direct else self._flags & ~_DIRECT)
            return os.write(self._fd, view) if direct else 0
        except OSError as exc:
            if exc.errno not in _NOT_SO or not direct:
                raise
            self._past_cache = False
            self._turn(self._flags & ~_DIRECT)
            return 0

    def _turn(self, flags: int) -> None:
        if flags != self._flags:
            fcntl.fcntl(self._fd, fcntl.F_SETFL, flags)
            self._flags = flags


def _is_pages(view: memoryview) -> bool:
    """It begins and ends with a page of memory."""
    if view.readonly or not view or len(view) % PAGE_BYTES:
        return False
    return ctypes.addressof(ctypes.c_char.from_buffer(view)) % PAGE_BYTES == 0
