"""Pages of a listing, asked for one ahead, and of a long one in two places at once: the store works while they are taken in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T")


class Ask(Protocol):
    """Asks for the next of some pages. What it answers waits for that page, and returns None after the last."""

    def __call__(self, pages: Iterator[T], /) -> Callable[[], T | None]:
        """Ask."""


def when_wanted(pages: Iterator[T]) -> Callable[[], T | None]:
    """Nothing is asked for before somebody waits for it."""
    return lambda: next(pages, None)


def on_a_thread(pages: Iterator[T]) -> Callable[[], T | None]:
    """It is asked for now. `pages` runs on threads of its own, one at a time."""
    answer: Future[T | None] = Future()

    def ask() -> None:
        try:
            answer.set_result(next(pages, None))
        except BaseException as exc:
            answer.set_exception(exc)

    # As a daemon thread: nobody waits for a page at the end of the process.
    threading.Thread(target=ask, name="listing", daemon=True).start()
    return answer.result


@dataclass(frozen=True, slots=True)
class Paging:
    """How the pages of whole listings are asked for."""

    ask: Ask = when_wanted
    in_two_over: int | None = None
    """Where more objects are known than this, a second listing begins in their middle. None: never."""


def one_ahead(pages: Iterator[T], ask: Ask) -> Iterator[T]:
    """The same pages, and in their place the same exception. The first is asked for now. Whoever gives up leaves at most one
    page behind, which ends by itself.
    """
    first = ask(pages)

    def come() -> Iterator[T]:
        coming = first
        while (page := coming()) is not None:
            coming = ask(pages)
            yield page

    return come()


def in_two(
    first: Iterator[Sequence[T]], second: Iterator[Sequence[T]], key: Callable[[T], str], ask: Ask
) -> Iterator[Sequence[T]]:
    """Pages of a listing from its beginning and of the same from a later place on, by turns: together the whole.

    `first` ends where it meets the key that `second` began with, by that very key and not by its order, which is the
    store's own business. If it does not meet it (somebody removed it meanwhile), it is the whole by itself.
    """
    beginnings, later = one_ahead(first, ask), one_ahead(second, ask)
    return _meeting(beginnings, later, key)


def _meeting(
    beginnings: Iterator[Sequence[T]], later: Iterator[Sequence[T]], key: Callable[[T], str]
) -> Iterator[Sequence[T]]:
    begun = next((page for page in later if page), None)
    if begun is None:
        yield from beginnings
        return
    meets = key(begun[0])
    yield begun
    for page in beginnings:
        at = next((place for place, item in enumerate(page) if key(item) == meets), None)
        if at is not None:
            yield page[:at]
            yield from later
            return
        yield page
        beside = next(later, None)
        if beside is not None:
            yield beside
