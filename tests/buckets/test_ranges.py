"""Downloads by ranges, over a store that is none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from dorkyd.buckets.ranges import Piece, Ranges, Shape
from dorkyd.core.model import Version
from dorkyd.ports import Chunk, ObjectInfo

CONTENT = bytes(range(64))
SHAPE = Shape(first_bytes=16, piece_bytes=8, ahead=3, workers=2, held_bytes=64)


class Bytes:
    """An object in memory that tells which ranges were asked for, and gives them out byte by byte."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    @contextlib.contextmanager
    def open(self, _key: str, _version: Version | None, start: int, stop: int) -> Iterator[Piece]:
        """As `Opened`."""
        self.asked.append((start, stop))
        yield _Piece(CONTENT[start:stop])


class _Piece:
    info = ObjectInfo(Version("1"), len(CONTENT), None, {})

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def left(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[Chunk]:
        return (self._data[at : at + 1] for at in range(len(self._data)))


def test_whole() -> None:
    """All bytes come in order, whatever was fetched ahead."""
    ranges = Ranges(Bytes().open, SHAPE)
    with ranges.open("k", None, 3) as reading:
        assert b"".join(reading) == CONTENT[3:]
    ranges.close()


def test_to_a_stop() -> None:
    """What lies behind the stop is not asked for, also where it takes several ranges to get there."""
    store = Bytes()
    ranges = Ranges(store.open, SHAPE)
    with ranges.open("k", None, 3, 37) as reading:
        assert b"".join(reading) == CONTENT[3:37]
    with ranges.open("k", None, 5, 6) as reading:
        assert b"".join(reading) == CONTENT[5:6]
    ranges.close()
    assert sorted(store.asked) == [(3, 19), (5, 6), (19, 24), (24, 32), (32, 37)]


def test_a_store_without_ranges() -> None:
    """A store that answers a range with all that follows is read no further than was asked."""
    whole = contextlib.nullcontext(_Piece(CONTENT[3:]))
    ranges = Ranges(Bytes().open, SHAPE)
    with ranges.open("k", None, 3, 37, opened=lambda *_: whole) as reading:
        assert b"".join(reading) == CONTENT[3:37]
    ranges.close()


def test_a_few_bytes() -> None:
    """Who reads less than a piece has nothing fetched ahead: many clients read some bytes of a large object."""
    store = Bytes()
    ranges = Ranges(store.open, SHAPE)
    with ranges.open("k", None, 0) as reading:
        chunks = iter(reading)
        assert b"".join(next(chunks) for _ in range(SHAPE.piece_bytes - 1)) == CONTENT[: SHAPE.piece_bytes - 1]
    ranges.close()
    assert store.asked == [(0, SHAPE.first_bytes)]
