"""Open files handed to the engine: a full disk or a failing one is an error of ours there too."""

from __future__ import annotations

import io
import os
from typing import Any, BinaryIO, cast

from dorkyd.faults import faults


class _Converting(io.FileIO):
    """A descriptor whose errors are `dorkyd.errors`. The buffer around it passes them on as they are."""

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


def reader(fd: int, path: str) -> BinaryIO:
    """The bytes of an open file, from where it stands. Closing it closes the descriptor."""
    return cast("BinaryIO", io.BufferedReader(_Converting(fd, "rb", path)))


def writer(fd: int, path: str) -> BinaryIO:
    """A stream that appends to what an open file holds. Closing it closes the descriptor."""
    os.lseek(fd, 0, os.SEEK_END)
    return cast("BinaryIO", io.BufferedWriter(_Converting(fd, "wb", path)))
