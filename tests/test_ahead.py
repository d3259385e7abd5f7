"""Pages that are asked for one ahead: the same pages, the same failure, and the store at work meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from dorkyd.ahead import Ask, in_two, on_a_thread, one_ahead, when_wanted
from dorkyd.errors import Transient

DEADLINE_S = 20.0


def test_the_same_pages() -> None:
    """All of them, in order, an empty one among them."""
    assert list(one_ahead(iter([[1, 2], [], [3]]), on_a_thread)) == [[1, 2], [], [3]]
    assert list(one_ahead(iter([]), on_a_thread)) == []


def test_the_next_is_asked_for_meanwhile() -> None:
    """While a page is in somebody's hands the one behind it has been asked for, and none behind that."""
    asked = [threading.Event() for _ in range(3)]

    def pages() -> Iterator[int]:
        for number, event in enumerate(asked):
            event.set()
            yield number

    taken = one_ahead(pages(), on_a_thread)
    assert next(taken) == 0
    assert asked[1].wait(DEADLINE_S)
    assert not asked[2].is_set()
    assert list(taken) == [1, 2]


def test_a_page_that_fails() -> None:
    """Those before it are given first, and the exception is the store's own."""

    def pages() -> Iterator[int]:
        yield 1
        raise Transient("the store is busy")

    taken = one_ahead(pages(), on_a_thread)
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

    taken = one_ahead(pages(), on_a_thread)
    assert next(taken) == 1
    taken.close()  # type: ignore[attr-defined]
    answers.set()


def _two(first: list[list[int]], second: list[list[int]], ask: Ask = when_wanted) -> list[int]:
    found: list[int] = []
    for page in in_two(iter(first), iter(second), str, ask):
        found += page
    return found


@pytest.mark.parametrize("ask", [when_wanted, on_a_thread])
def test_a_listing_in_two(ask: Ask) -> None:
    """Each once, whichever of the two has more pages, and wherever in a page they meet."""
    for size in (1, 2, 3, 7):
        for middle in range(10):
            first = [list(range(at, min(at + size, 10))) for at in range(0, 10, size)]
            second = [list(range(at, min(at + 2, 10))) for at in range(middle, 10, 2)]
            assert sorted(_two(first, second, ask)) == list(range(10))


def test_where_they_do_not_meet() -> None:
    """What the second began with was removed, or nothing was there any more: the first is all of it, by itself."""
    assert set(_two([[1, 2], [4], [5, 6]], [[3, 4], [5, 6]])) == {1, 2, 3, 4, 5, 6}
    assert _two([[1, 2], [3]], []) == [1, 2, 3]
    assert _two([[1, 2], [3]], [[], []]) == [1, 2, 3]
    assert _two([], [[3]]) == [3]


def test_the_order_is_the_stores() -> None:
    """Keys that a store lists in an order of its own: they meet by the key, so that none is left out."""
    assert sorted(_two([["b"], ["z"], ["a"], ["y"]], [["a"], ["y"]])) == ["a", "b", "y", "z"]  # type: ignore[list-item]


def test_either_fails() -> None:
    """What one of the two raises is raised: an incomplete listing proves nothing."""

    def failing() -> Iterator[list[int]]:
        yield [1]
        raise Transient("the store is busy")

    for first, second in ((failing(), iter([[5], [6]])), (iter([[1], [2], [3]]), failing())):
        with pytest.raises(Transient, match="the store is busy"):
            list(in_two(first, second, str, on_a_thread))
