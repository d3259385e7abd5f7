"""The SHA-256 of what comes in, computed beside whoever brings and stores it."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from queue import SimpleQueue
from threading import Semaphore, Thread
from types import TracebackType
from typing import Self

from dorkyd.ports import Chunk

AHEAD = 8
"""Chunks that wait to be hashed at most: some MiB."""


class Hashing:
    """On a thread of its own, while the block lasts. Chunks must stay as they are."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._waiting: SimpleQueue[Chunk | None] = SimpleQueue()
        self._room = Semaphore(AHEAD)
        self._thread = Thread(target=self._run, name="hashing", daemon=True)

    def __enter__(self) -> Self:
        # Where the system has no more threads, whoever brings a chunk hashes it.
        with suppress(RuntimeError):
            self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._thread.ident is not None:
            self._waiting.put(None)
            self._thread.join()

    def update(self, chunk: Chunk) -> None:
        """Hash it soon. Waits while too many are waiting."""
        if self._thread.ident is None:
            self._hash.update(chunk)
            return
        self._room.acquire()
        self._waiting.put(chunk)

    def hexdigest(self) -> str:
        """Of all, after the block."""
        return self._hash.hexdigest()

    def _run(self) -> None:
        while (chunk := self._waiting.get()) is not None:
            self._hash.update(chunk)
            del chunk  # its memory is free for the next ones
            self._room.release()
