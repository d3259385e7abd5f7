"""What is done with the chunks of a body on a thread of its own, beside whoever brings them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Semaphore, Thread
from types import TracebackType
from typing import Self

Chunk = bytes | memoryview

AHEAD = 8
"""Chunks that wait at most: some MiB."""


class Beside:
    """Does one thing with each chunk, in order, while the block lasts. Chunks must stay as they are.

    What fails is raised to whoever brings the next chunk, and by `end`; nothing is done with later chunks.
    """

    def __init__(self, take: Callable[[Chunk], object], name: str) -> None:
        self._take = take
        self._waiting: SimpleQueue[Chunk | None] = SimpleQueue()
        self._room = Semaphore(AHEAD)
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        # Where the system has no more threads, whoever brings a chunk does it.
        with suppress(RuntimeError):
            self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join()

    def update(self, chunk: Chunk) -> None:
        """Do it soon. Waits while too many are waiting."""
        if self._thread.ident is None:
            self._take(chunk)
            return
        self._room.acquire()
        self._check()
        self._waiting.put(chunk)

    def end(self) -> None:
        """All that was brought is done. As the end of the block, and raises what failed."""
        self.__exit__(None, None, None)
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        while (chunk := self._waiting.get()) is not None:
            if self._failure is None:
                try:
                    self._take(chunk)
                except BaseException as exc:
                    self._failure = exc
            del chunk  # its memory is free for the next ones
            self._room.release()
