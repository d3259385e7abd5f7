"""Bytes of small files between their look and their upload."""

from __future__ import annotations

from dorkyd.core.model import Path, StatTuple
from dorkyd.recent import Recent

ONE, OTHER = StatTuple(3, 1, 1, 7), StatTuple(3, 1, 2, 7)


def test_given_once() -> None:
    """What was kept is given for exactly the state it is of, and not twice."""
    recent = Recent()
    recent.keep(Path("f"), ONE, b"abc")
    assert recent.take(Path("f"), ONE) == b"abc"
    assert recent.take(Path("f"), ONE) is None
    recent.keep(Path("f"), ONE, b"abc")
    assert recent.take(Path("f"), OTHER) is None


def test_bounded() -> None:
    """The oldest make room, and one that is kept anew counts once."""
    recent = Recent(most_bytes=6)
    for name in ("a", "b", "b", "c"):
        recent.keep(Path(name), ONE, b"abc")
    assert [recent.take(Path(name), ONE) for name in "abc"] == [None, b"abc", b"abc"]
