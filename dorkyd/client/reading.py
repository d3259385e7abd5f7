"""An artifact as a file that is read from anywhere: where it stands, and what is fetched next."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass

BUFFER_BYTES = 1024 * 1024
"""Fetched at a time when a reader asks for less."""


@dataclass(slots=True)
class Cursor:
    """A place in an artifact of `size` bytes."""

    size: int
    position: int = 0

    def move(self, offset: int, whence: int) -> int:
        """As `io.IOBase.seek`. Past the end there is nothing to read; before the beginning is nothing."""
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.size}
        if whence not in bases:
            raise ValueError(f"whence must be 0, 1 or 2, not {whence}")
        if bases[whence] + offset < 0:
            raise ValueError(f"a position before the beginning: {bases[whence] + offset}")
        self.position = bases[whence] + offset
        return self.position

    def next(self, count: int) -> tuple[int, int]:
        """Where and how many bytes to read, of at most `count` (below 0: all that are left)."""
        left = max(0, self.size - self.position)
        return self.position, left if count < 0 else min(count, left)


class RangeReader(io.RawIOBase):
    """One version of an artifact, read by ranges. `fetch` gives so many bytes from an offset."""

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        super().__init__()
        self._cursor = Cursor(size)
        self._fetch = fetch

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move; nothing is asked for."""
        self._check_open()
        return self._cursor.move(offset, whence)

    def tell(self) -> int:
        """Where it stands."""
        self._check_open()
        return self._cursor.position

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill what is given, as far as there is anything."""
        self._check_open()
        view = memoryview(buffer).cast("B")
        start, count = self._cursor.next(len(view))
        data = self._fetch(start, count) if count else b""
        view[: len(data)] = data
        self._cursor.position += len(data)
        return len(data)

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("the artifact is closed")
