"""Tables made while others are written, on one thread that stays: what is made on a new thread each time (`dorkyd.ahead`) leaves
its memory with each of them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import Empty, Full, Queue
from typing import TypeVar

T = TypeVar("T")
_TICK_S = 0.2


def one_made_ahead(made: Iterator[T]) -> Iterator[T]:
    """The same, and in its place the same exception. Whoever gives up ends the thread."""
    ready: Queue[tuple[T | None, BaseException | None]] = Queue(maxsize=1)
    over = threading.Event()

    def hand(item: T | None, failure: BaseException | None) -> None:
        while not over.is_set():
            try:
                ready.put((item, failure), timeout=_TICK_S)
            except Full:
                continue
            return

    def run() -> None:
        try:
            for item in made:
                hand(item, None)
                if over.is_set():
                    return
                del item
        except BaseException as exc:
            hand(None, exc)
        else:
            hand(None, None)

    thread = threading.Thread(target=run, name="convert", daemon=True)
    thread.start()
    try:
        while True:
            item, failure = ready.get()
            if failure is not None:
                raise failure
            if item is None:
                return
            yield item
            del item
    finally:
        over.set()
        try:
            while True:
                ready.get_nowait()
        except Empty:
            pass
        thread.join()
