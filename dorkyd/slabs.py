"""Memory that bodies are received into, used again and again: fresh pages cost more CPU than the bytes put into them.

A slab begins on a page, so that a file system can take it past the page cache (`dorkyd.streams`). Nobody gives one back:
it is free once nothing refers to its memory any more, slices included, so that bytes never change under a reader.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import weakref
from collections import deque
from collections.abc import Iterator
from threading import Lock

SLAB_BYTES = 1024 * 1024
"""A chunk of a body (`dorkyd.ports.Reading`)."""
_Block = ctypes.c_char * SLAB_BYTES


class Slabs:
    """For any thread. What is free is kept only `while_in_use`."""

    def __init__(self) -> None:
        self._free: deque[mmap.mmap] = deque()
        self._lock = Lock()
        self._users = 0

    @contextlib.contextmanager
    def while_in_use(self) -> Iterator[None]:
        """Until the last of these blocks ends, free slabs are kept for the next ones to ask."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._free.clear()

    def take(self) -> memoryview:
        """Memory of `SLAB_BYTES`, with anything in it."""
        try:
            memory = self._free.pop()
        except IndexError:
            memory = mmap.mmap(-1, SLAB_BYTES)
        # Every view refers to the block, and the last of them to go frees the memory.
        block = _Block.from_buffer(memory)
        weakref.finalize(block, self._freed, memory).atexit = False
        return memoryview(block).cast("B")

    def _freed(self, memory: mmap.mmap) -> None:
        # Not under the lock: this runs wherever the last view goes, perhaps in a thread that holds it.
        if self._users:
            self._free.append(memory)
