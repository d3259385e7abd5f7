"""Downloads: one request for what is small, ranges fetched ahead of the reader for what is large.

Every range names the version that the first reply told, so that the bytes are of one state. They are given out in order,
and what waits for the reader is bounded: per download, and over all downloads of the bucket. When others have taken all that
may be held, a download goes on without holding anything: its next range streams through, so that none ever waits for
another's reader. A store that answers a range with everything is read as one stream.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from threading import Event
from typing import Protocol

from dorkyd.buckets.budget import Budget
from dorkyd.buckets.retry import Patience, repeated
from dorkyd.core.model import Version
from dorkyd.errors import Stale, Transient
from dorkyd.ports import Chunk, ObjectInfo

MIB = 1024 * 1024


class Piece(Protocol):
    """Bytes of one state that are coming in."""

    @property
    def info(self) -> ObjectInfo:
        """The state, as far as the reply tells it: version and size at least."""

    @property
    def left(self) -> int:
        """How many are still to come."""

    def __iter__(self) -> Iterator[Chunk]:
        """They, in order."""


Opened = Callable[[str, Version | None, int, int], AbstractContextManager[Piece]]
"""Asks a store for an object's bytes: key, version (None: whatever is there), first byte, and the byte after the last, which
may lie behind the object's end. Raises what the adapter raises.
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a large object comes down."""

    first_bytes: int = 16 * MIB
    """What the first request asks for: an object of no more takes no other."""
    piece_bytes: int = 8 * MIB
    """What each further request asks for, up to a multiple of it: stores keep an object in blocks, and read whole ones."""
    ahead: int = 5
    """How many of these one download may have on their way or waiting for its reader."""
    workers: int = 5
    """Threads that fetch them, for all downloads of the bucket together."""
    held_bytes: int = 48 * MIB
    """What all downloads of the bucket may hold together."""


class Ranges:
    """Downloads from one bucket, several at once from any thread."""

    def __init__(
        self,
        opened: Opened,
        shape: Shape | None = None,
        *,
        patience: Patience | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._opened = opened
        self._shape = shape or Shape()
        self._patience = patience or Patience()
        self._sleep = sleep
        self._pool = ThreadPoolExecutor(self._shape.workers, thread_name_prefix="range")
        self._budget = Budget(self._shape.held_bytes)

    @contextlib.contextmanager
    def open(
        self, key: str, version: Version | None, start: int, stop: int | None = None, *, opened: Opened | None = None
    ) -> Iterator[Ranged]:
        """The object's bytes from `start`, to `stop` (not included; None: to its end). `opened`: asks for the first of them in a
        way of its own.
        """
        with (opened or self._opened)(key, version, start, self.first_stop(start, stop)) as first:
            ranged = Ranged(self, key, first, start, stop)
            try:
                yield ranged
            finally:
                ranged.close()

    def first_stop(self, start: int, stop: int | None = None) -> int:
        """Where the first request for bytes from `start` ends."""
        end = start + self._shape.first_bytes
        return end if stop is None else min(end, stop)

    def close(self) -> None:
        """End the threads once they are idle. May be repeated."""
        self._pool.shutdown(wait=True)

    @property
    def shape(self) -> Shape:
        """As given."""
        return self._shape

    def take(self) -> bool:
        """Hold one more piece. False: there is no room."""
        return self._budget.take_now(self._shape.piece_bytes)

    def give(self) -> None:
        """A piece that was taken is not held any more."""
        self._budget.give(self._shape.piece_bytes)

    def fetch(self, key: str, info: ObjectInfo, start: int, stop: int, unwanted: Event) -> Future[list[Chunk]]:
        """Fetch a piece on one of the threads."""
        return self._pool.submit(self._fetch, key, info, start, stop, unwanted)

    @contextlib.contextmanager
    def piece(self, key: str, info: ObjectInfo, start: int, stop: int) -> Iterator[Piece]:
        """Bytes `start` to `stop` (not included) of exactly this state."""

        def enter() -> tuple[AbstractContextManager[Piece], Piece]:
            opening = self._opened(key, info.version, start, stop)
            return opening, opening.__enter__()

        opening, reading = repeated(enter, self._patience, sleep=self._sleep)
        with contextlib.ExitStack() as closing:
            closing.push(opening)
            if reading.info.version != info.version or reading.info.size != info.size:
                raise Stale(f"{key!r} changed while it was read")
            if reading.left != stop - start:
                raise Transient(f"{key!r}: asked for {stop - start} bytes, offered {reading.left}")
            yield reading

    def _fetch(self, key: str, info: ObjectInfo, start: int, stop: int, unwanted: Event) -> list[Chunk]:
        chunks: list[Chunk] = []
        if unwanted.is_set():
            return chunks
        with self.piece(key, info, start, stop) as reading:
            for chunk in reading:
                chunks.append(chunk)
                if unwanted.is_set():
                    break  # leaving closes the connection
        return chunks


class Ranged:
    """An open download, to be iterated once, by one thread."""

    def __init__(self, ranges: Ranges, key: str, first: Piece, start: int, stop: int | None) -> None:
        """`first` is open and begins at byte `start`; whoever opened it closes it."""
        self.info = first.info
        self._ranges = ranges
        self._key = key
        self._first = first
        self._begin = start
        self._end = self.info.size if stop is None else min(stop, self.info.size)
        """The byte after the last that is wanted. A store that does not know ranges offers more."""
        self._at = min(start + first.left, self._end)
        """What comes after the pieces on their way."""
        self._pieces: deque[tuple[int, Future[list[Chunk]]]] = deque()
        """Where each ends, in order. Each is held in the budget."""
        self._unwanted = Event()

    def __iter__(self) -> Iterator[Chunk]:
        # Who wants some bytes of a large object goes after the first of them: what follows is fetched for who reads on.
        read, since = 0, self._ranges.shape.piece_bytes
        for chunk in self._first:
            wanted = self._end - self._begin - read
            read += len(chunk)
            if read >= since:
                self._look_ahead()
            yield chunk[:wanted]
            if read >= self._end - self._begin:
                break
        self._look_ahead()
        while self._pieces or self._at < self._end:
            if not self._pieces:
                yield from self._streamed()
            else:
                yield from self._next_piece()
            self._look_ahead()

    def close(self) -> None:
        """Give up what is on its way. May be repeated."""
        self._unwanted.set()
        while self._pieces:
            _, piece = self._pieces.popleft()
            piece.cancel()
            piece.add_done_callback(lambda _: self._ranges.give())

    def _look_ahead(self) -> None:
        shape = self._ranges.shape
        while len(self._pieces) < shape.ahead and self._at < self._end and self._ranges.take():
            stop = self._end_of_next()
            try:
                piece = self._ranges.fetch(self._key, self.info, self._at, stop, self._unwanted)
            except BaseException:
                self._ranges.give()
                raise
            self._pieces.append((stop, piece))
            self._at = stop

    def _next_piece(self) -> Iterator[Chunk]:
        chunks = deque(self._pieces[0][1].result())
        try:
            while chunks:
                yield chunks.popleft()
        finally:
            if self._pieces:  # else `close` has given it
                self._pieces.popleft()
                self._ranges.give()

    def _streamed(self) -> Iterator[Chunk]:
        stop = self._end_of_next()
        with self._ranges.piece(self._key, self.info, self._at, stop) as reading:
            yield from reading
        self._at = stop

    def _end_of_next(self) -> int:
        piece = self._ranges.shape.piece_bytes
        return min((self._at // piece + 1) * piece, self._end)
