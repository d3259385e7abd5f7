"""A file of which parts are read, and each part is a request: what was fetched is kept for a moment, what is known to be wanted
is fetched ahead, several parts at one time.

Rules:

1. `fetch` gives bytes of one state, or raises: bytes of two states are never joined.
2. What is held is bounded: at most `AHEAD` parts that were announced, and `KEPT_BYTES` of others.
3. A part that was announced is given out once, and forgotten. Who asks twice pays twice.
4. Nothing that was not asked for is fetched, but for `LEAST_BYTES` at a time, and more where many small reads follow each other.
"""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock

from dorkyd.client.reading import Cursor

MIB = 1024 * 1024
LEAST_BYTES = 16 * 1024
"""A request costs as much as these."""
MOST_AHEAD_BYTES = 4 * MIB
"""So much is fetched at a time for who reads on and on in small steps."""
HOLE_BYTES = 64 * 1024
"""Wanted parts that are so near to each other come in one request, with what lies between them."""
PIECE_BYTES = 8 * MIB
"""Of one request for what is announced."""
AHEAD = 8
"""Announced parts that are on their way, or wait for their reader."""
AT_ONCE = 4
"""Requests at one time."""
KEPT_BYTES = 32 * MIB

Fetch = Callable[[int, int], bytes]
"""So many bytes from an offset; all of them are there. From any thread."""
Span = tuple[int, int]
"""First byte, and the byte after the last."""


@dataclass(slots=True)
class _Piece:
    start: int
    stop: int
    announced: bool
    left: int
    """Bytes of it that somebody still wants, if it was announced."""
    data: Future[bytes] = field(default_factory=Future)


class Pieces:
    """See the module. From any thread."""

    def __init__(self, size: int, fetch: Fetch) -> None:
        self.size = size
        """Bytes in all."""
        self._fetch = fetch
        self._held: deque[_Piece] = deque()
        """On their way or here, the newest last."""
        self._waiting: deque[_Piece] = deque()
        """Announced, and not asked for yet."""
        self._lock = Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._last_stop = -1
        self._ahead = LEAST_BYTES

    def announce(self, spans: Iterable[Span]) -> None:
        """These will be read, soon and each once: fetch them ahead, in this order of offsets."""
        pieces = [_Piece(start, stop, True, wanted) for start, stop, wanted in joined(spans)]
        with self._lock:
            self._waiting.extend(pieces)
            self._begin()

    def read(self, start: int, count: int) -> bytes:
        """At most so many bytes from an offset: fewer at the end."""
        stop = min(start + count, self.size)
        parts: list[bytes | memoryview] = []
        while start < stop:
            piece, mine = self._piece_at(start, stop)
            if mine:
                self._fill(piece)
            data = piece.data.result()
            end = min(stop, piece.stop)
            whole = (start, end) == (piece.start, piece.stop)
            parts.append(data if whole else memoryview(data)[start - piece.start : end - piece.start])
            self._given(piece, end - start)
            start = end
        return parts[0] if len(parts) == 1 and isinstance(parts[0], bytes) else b"".join(parts)

    def at_hand(self, start: int) -> bytes:
        """What is here of the bytes that follow an offset, at least one of them: fetched where none is."""
        with self._lock:
            piece = next((p for p in self._held if p.start <= start < p.stop and p.data.done()), None)
        stop = piece.stop if piece is not None and not piece.announced else start + LEAST_BYTES
        return self.read(start, min(stop, start + MIB) - start)

    def close(self) -> None:
        """Fetch nothing more, and forget what is here. May be repeated."""
        with self._lock:
            self._waiting.clear()
            held = list(self._held)
            self._held.clear()
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
            for piece in held:
                if piece.announced and not piece.data.done():
                    piece.data.set_exception(ValueError("the table's file is closed"))

    # --- inside -------------------------------------------------------------------------------------------------

    def _piece_at(self, start: int, stop: int) -> tuple[_Piece, bool]:
        """What has this byte; True: nobody fetches it yet."""
        with self._lock:
            for piece in self._held:
                if piece.start <= start < piece.stop:
                    return piece, False
            for piece in self._waiting:
                if piece.start <= start < piece.stop:
                    # Whoever reads in another order than was announced waits for nobody's turn.
                    self._waiting.remove(piece)
                    self._held.append(piece)
                    return piece, True
            follow = start == self._last_stop and stop - start <= self._ahead
            self._ahead = min(MOST_AHEAD_BYTES, self._ahead * 2) if follow else LEAST_BYTES
            next_start = min((p.start for p in (*self._held, *self._waiting) if p.start > start), default=self.size)
            stop = min(max(stop, start + self._ahead), next_start, self.size)
            self._last_stop = stop
            piece = _Piece(start, stop, False, 0)
            self._held.append(piece)
            self._drop_old()
            return piece, True

    def _fill(self, piece: _Piece) -> None:
        try:
            data = self._fetch(piece.start, piece.stop - piece.start)
            if len(data) != piece.stop - piece.start:
                raise EOFError(f"asked for {piece.stop - piece.start} bytes, got {len(data)}")
        except BaseException as exc:
            self._forget(piece)
            piece.data.set_exception(exc)
        else:
            piece.data.set_result(data)

    def _given(self, piece: _Piece, count: int) -> None:
        if not piece.announced:
            return
        with self._lock:
            piece.left -= count
            if piece.left <= 0 and piece in self._held:
                self._held.remove(piece)
                self._begin()

    def _forget(self, piece: _Piece) -> None:
        with self._lock:
            if piece in self._held:
                self._held.remove(piece)

    def _drop_old(self) -> None:
        """Called under the lock."""
        kept = 0
        for piece in [p for p in reversed(self._held) if not p.announced]:
            kept += piece.stop - piece.start
            if kept > KEPT_BYTES and piece.data.done():
                self._held.remove(piece)

    def _begin(self) -> None:
        """Ask for what is announced, as far as there is room. Called under the lock."""
        while self._waiting and sum(piece.announced for piece in self._held) < AHEAD:
            piece = self._waiting.popleft()
            self._held.append(piece)
            if self._pool is None:
                self._pool = ThreadPoolExecutor(AT_ONCE, "dorky-ranges")
            self._pool.submit(self._fill, piece)


def joined(spans: Iterable[Span]) -> Iterator[tuple[int, int, int]]:
    """Requests for these spans in the order of offsets: first byte, the byte after the last, and how many of them are wanted."""
    start = stop = wanted = 0
    for first, last in sorted(spans):
        if wanted and first - stop <= HOLE_BYTES and stop - start < PIECE_BYTES:
            wanted += max(0, last - max(first, stop))
            stop = max(stop, last)
        else:
            yield from _cut(start, stop, wanted)
            start, stop, wanted = first, last, last - first
    yield from _cut(start, stop, wanted)


def _cut(start: int, stop: int, wanted: int) -> Iterator[tuple[int, int, int]]:
    """A long request as several. Of one that has holes it is not known where they are: it is asked for as it is."""
    if wanted < stop - start or stop - start <= PIECE_BYTES:
        if stop > start:
            yield start, stop, wanted
        return
    for at in range(start, stop, PIECE_BYTES):
        end = min(at + PIECE_BYTES, stop)
        yield at, end, end - at


class TableFile(io.BufferedIOBase):
    """One state of a table, read from anywhere. By one thread at a time."""

    def __init__(self, size: int, fetch: Fetch, name: str = "", close: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.size = size
        """Bytes."""
        self.name = name
        """For people."""
        self.mode = "rb"
        self.pieces = Pieces(size, fetch)
        self._cursor = Cursor(size)
        self._close = close

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

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes; empty at the end."""
        self._check_open()
        start, count = self._cursor.next(-1 if size is None else size)
        data = self.pieces.read(start, count) if count else b""
        self._cursor.position += len(data)
        return data

    def read1(self, size: int = -1, /) -> bytes:
        """As `read`; below 0: what one request gives."""
        return self.read(len(self.peek()) if size < 0 else size)

    def peek(self, _size: int = 0, /) -> bytes:
        """Some of the bytes that follow, at least one unless it stands at the end."""
        self._check_open()
        start, count = self._cursor.next(-1)
        return self.pieces.at_hand(start) if count else b""

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill what is given, as far as there is anything."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Give back what it holds. May be repeated."""
        if not self.closed:
            self.pieces.close()
            self._close()
        super().close()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("the table's file is closed")
