"""Pages of a listing, asked for one ahead: the store works on the next while the one before is taken in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeAlias, TypeVar

T = TypeVar("T")

Ahead: TypeAlias = Callable[[Iterator[T]], Iterator[T]]


def one_ahead(pages: Iterator[T]) -> Iterator[T]:
    """The same pages, and in their place the same exception. `pages` runs on threads of its own, one at a time; whoever
    gives up leaves at most one page behind, which ends by itself.
    """
    coming = _ask(pages)
    while (page := coming.result()) is not None:
        coming = _ask(pages)
        yield page


def _ask(pages: Iterator[T]) -> Future[T | None]:
    answer: Future[T | None] = Future()

    def ask() -> None:
        try:
            answer.set_result(next(pages, None))
        except BaseException as exc:
            answer.set_exception(exc)

    # As a daemon thread: nobody waits for a page at the end of the process.
    threading.Thread(target=ask, name="listing", daemon=True).start()
    return answer
