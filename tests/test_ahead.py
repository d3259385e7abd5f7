"""Pages that are asked for one ahead: the same pages, the same failure, and the store at work meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from dorkyd.ahead import one_ahead
from dorkyd.errors import Transient

DEADLINE_S = 20.0


def test_the_same_pages() -> None:
    """All of them, in order, an empty one among them."""
    assert list(one_ahead(iter([[1, 2], [], [3]]))) == [[1, 2], [], [3]]
    assert list(one_ahead(iter([]))) == []


def test_the_next_is_asked_for_meanwhile() -> None:
    """While a page is in somebody's hands the one behind it has been asked for, and none behind that."""
    asked = [threading.Event() for _ in range(3)]

    def pages() -> Iterator[int]:
        for number, event in enumerate(asked):
            event.set()
            yield number

    taken = one_ahead(pages())
    assert next(taken) == 0
    assert asked[1].wait(DEADLINE_S)
    assert not asked[2].is_set()
    assert list(taken) == [1, 2]


def test_a_page_that_fails() -> None:
    """Those before it are given first, and the exception is the store's own."""

    def pages() -> Iterator[int]:
        yield 1
        raise Transient("the store is busy")

    taken = one_ahead(pages())
    assert next(taken) == 1
    with pytest.raises(Transient, match="the store is busy"):
        next(taken)


def test_given_up() -> None:
    """Whoever gives up while the store does not answer waits for nothing."""
    answers = threading.Event()

    def pages() -> Iterator[int]:
        yield 1
        assert answers.wait(DEADLINE_S)
        yield 2

    taken = one_ahead(pages())
    assert next(taken) == 1
    taken.close()  # type: ignore[attr-defined]
    answers.set()
