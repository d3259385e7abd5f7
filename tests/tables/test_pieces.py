"""Parts of a file that are requests: what is asked for, how often, and what is kept."""

from __future__ import annotations

import io
import random
import threading

import pytest

from dorkyd.tables import pieces
from dorkyd.tables.pieces import AHEAD, HOLE_BYTES, LEAST_BYTES, MIB, PIECE_BYTES, Pieces, TableFile, joined

CONTENT = random.Random(1).randbytes(3 * MIB)


class Store:
    """Tells what was asked for."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.asked: list[tuple[int, int]] = []

    def fetch(self, start: int, count: int) -> bytes:
        """As `Fetch`."""
        self.asked.append((start, count))
        return self.content[start : start + count]


def test_any_reads_give_the_bytes() -> None:
    """Announced or not, in any order, across the borders of requests."""
    rng, store = random.Random(2), Store()
    file = TableFile(len(CONTENT), store.fetch)
    file.pieces.announce([(rng.randrange(0, MIB), rng.randrange(MIB, 2 * MIB))])
    for _ in range(300):
        start, count = rng.randrange(len(CONTENT) + 10), rng.randrange(100_000)
        file.seek(start)
        assert file.read(count) == CONTENT[start : start + count]
        assert file.tell() == min(start + count, max(start, len(CONTENT)))
    file.close()


def test_only_what_is_asked_for() -> None:
    """A read of some bytes is one request for as many, and again none while they are kept."""
    store = Store()
    file = TableFile(len(CONTENT), store.fetch)
    for _ in range(2):
        file.seek(500_000)
        file.read(200_000)
        file.seek(600_000)
        file.read(50)
    assert store.asked == [(500_000, 200_000)]
    file.seek(-8, io.SEEK_END)
    file.read(8)
    assert store.asked[1:] == [(len(CONTENT) - 8, 8)]


def test_small_steps_become_long_ones() -> None:
    """Who reads on and on is not a request for every line."""
    store = Store(b"a line of text\n" * 100_000)
    file = TableFile(len(store.content), store.fetch)
    assert sum(1 for _ in io.TextIOWrapper(file)) == 100_000
    assert len(store.asked) < 12
    assert store.asked[0][1] == LEAST_BYTES


def test_announced_parts_come_at_once_and_are_given_out_once() -> None:
    """Several at one time; each of their bytes is fetched once, and what was read is forgotten."""
    store, together = Store(), threading.Barrier(3, timeout=20)

    def fetch(start: int, count: int) -> bytes:
        together.wait()  # breaks unless three are under way at one time
        return store.fetch(start, count)

    spans = [(n * 500_000, n * 500_000 + 1000) for n in range(3)]
    parts = Pieces(len(CONTENT), fetch)
    parts.announce(spans)
    for start, stop in spans:
        assert parts.read(start, stop - start) == CONTENT[start:stop]
    assert sorted(store.asked) == [(start, 1000) for start, _ in spans]
    assert not parts._held
    parts.close()


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a thousand announced parts only so many are fetched before somebody reads; of the others the oldest go."""
    monkeypatch.setattr(pieces, "KEPT_BYTES", 4 * LEAST_BYTES)
    store = Store()
    parts = Pieces(len(CONTENT), store.fetch)
    parts.announce((n * 2 * HOLE_BYTES, n * 2 * HOLE_BYTES + 10) for n in range(24))
    assert len(parts._held) == AHEAD
    for start in range(1_000_000, 2_000_000, 100_000):
        parts.read(start, 10)
    assert sum(p.stop - p.start for p in parts._held if not p.announced) <= 5 * LEAST_BYTES
    parts.close()


def test_near_spans_are_one_request() -> None:
    """With the hole between them; a far one is another, and a long one several."""
    assert list(joined([(100, 200), (0, 50), (200, 300), (HOLE_BYTES + 300, HOLE_BYTES + 301)])) == [
        (0, HOLE_BYTES + 301, 251)
    ]
    assert list(joined([(0, 1), (HOLE_BYTES + 2, HOLE_BYTES + 3)])) == [(0, 1, 1), (HOLE_BYTES + 2, HOLE_BYTES + 3, 1)]
    assert [stop - start for start, stop, _ in joined([(0, 2 * PIECE_BYTES + 1)])] == [PIECE_BYTES, PIECE_BYTES, 1]
    assert list(joined([])) == []


def test_a_failure_is_told_and_asked_again() -> None:
    """Whoever waits for a part hears why it did not come; the next read tries anew."""
    store = Store()
    failures: list[Exception] = [ConnectionError("gone")]

    def fetch(start: int, count: int) -> bytes:
        if failures:
            raise failures.pop()
        return store.fetch(start, count)

    parts = Pieces(len(CONTENT), fetch)
    with pytest.raises(ConnectionError):
        parts.read(0, 10)
    assert parts.read(0, 10) == CONTENT[:10]
    short = Pieces(10, lambda _start, count: b"x" * (count - 1))
    with pytest.raises(EOFError):
        short.read(0, 10)


def test_closed() -> None:
    """A file that was closed says so."""
    file = TableFile(len(CONTENT), Store().fetch)
    file.pieces.announce([(0, len(CONTENT))])
    file.close()
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.read(1)
