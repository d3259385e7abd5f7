"""Calls that may block for hours, each in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from dorkyd.errors import Transient

T = TypeVar("T")

MOST_WAITS = 64
"""Clients that wait for a sync at one time."""


class Waits:
    """Runs what may block for hours, each in a thread of its own.

    The threads are daemons: a wait that does not return must not keep a stopping process alive.
    """

    def __init__(self) -> None:
        self._under_way = 0

    async def run(self, call: Callable[[], T]) -> T:
        """The result of `call`. Called on the event loop. `Transient` when too many wait already."""
        if self._under_way >= MOST_WAITS:
            raise Transient(f"{MOST_WAITS} clients wait for a sync already.", code="too-many-waits", retry_after_s=5)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def deliver(settle: Callable[[], None]) -> None:
            self._under_way -= 1
            if not answer.cancelled():
                settle()

        def work() -> None:
            settle: Callable[[], None]
            try:
                settle = partial(answer.set_result, call())
            except Exception as exc:  # raised where the answer is awaited
                settle = partial(answer.set_exception, exc)
            if not loop.is_closed():
                loop.call_soon_threadsafe(deliver, settle)

        self._under_way += 1
        threading.Thread(target=work, name="api-wait", daemon=True).start()
        return await answer
