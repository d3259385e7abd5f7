"""Open files handed to the engine: a full disk or a failing one is an error of ours there too."""

from __future__ import annotations

import io
import os
from typing import Any, BinaryIO, cast

from dorkyd.core.model import StatTuple
from dorkyd.dirfd import stat_tuple
from dorkyd.errors import Stale
from dorkyd.faults import faults
from dorkyd.pages import PageWriter

LOOK_BYTES = 32 * 1024 * 1024
"""After so many bytes a file that is being read is looked at again."""


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
    """A file that is written in order, each time all that is given (`dorkyd.pages`)."""

    def __init__(self, fd: int, path: str) -> None:
        super().__init__(fd, "wb", path)
        self._pages = PageWriter(fd)

    def write(self, data: Any, /) -> int:
        with faults(self._path, "write"):
            return self._pages.write(data)


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
