"""Reads that are repeated when they fail in passing.

Writes never are: the reply may have been lost after the store did as asked, and a repeated conditional write then
finds its own success in the way (a 412). The caller looks instead.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

from dorkyd.buckets.wrapped import Wrapped
from dorkyd.core.model import Version
from dorkyd.errors import Transient
from dorkyd.ports import Bucket, Listed, ObjectInfo, Reading

T = TypeVar("T")

CHANCE = random.SystemRandom().random
"""Jitter that differs between machines started at one moment."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try: exponential back-off with full jitter, which keeps a team's machines from meeting again."""

    attempts: int = 4
    """In all."""
    first_s: float = 0.25
    """The longest first wait; each further one doubles."""
    longest_s: float = 5.0
    """No wait is longer. A store that asks for more is not asked again here: the caller's own schedule waits."""
    quick_s: float = 5.0
    """A try that took longer is the last: a store that says nothing would be asked for as many times as long, while what
    the line does is the caller's to know."""


def repeated(
    ask: Callable[[], T],
    patience: Patience,
    *,
    sleep: Callable[[float], None] = time.sleep,
    chance: Callable[[], float] = CHANCE,
    now: Callable[[], float] = time.monotonic,
) -> T:
    """Ask, again after each `Transient` as long as `patience` lasts. Only for what may be asked twice.

    Not when the store cannot be reached at all (`offline`), nor when it wants a longer wait than `patience` has: both
    are for the caller's own schedule, and so is a try that took long.
    """
    for attempt in range(1, patience.attempts):
        begun = now()
        try:
            return ask()
        except Transient as error:
            if error.offline or (error.retry_after_s or 0) > patience.longest_s or now() - begun > patience.quick_s:
                raise
            jittered = chance() * min(patience.longest_s, patience.first_s * 2 ** (attempt - 1))
            sleep(max(jittered, error.retry_after_s or 0))
    return ask()


class Retrying(Wrapped):
    """A bucket whose `head`, `get` (its opening), `read` and `list` (each page) are repeated on `Transient`.

    Not when the store cannot be reached at all (`offline`): that concerns every path, and the engine waits for it. The
    rest goes through once, as it is.
    """

    def __init__(
        self,
        bucket: Bucket,
        patience: Patience | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = CHANCE,
    ) -> None:
        """`sleep` takes seconds; `chance` gives a number from 0 to 1."""
        super().__init__(bucket)
        self._patience = patience or Patience()
        self._sleep = sleep
        self._chance = chance

    def head(self, key: str) -> ObjectInfo | None:
        """Look at one object."""
        return self._repeat(lambda: self._bucket.head(key))

    @contextlib.contextmanager
    def get(
        self, key: str, *, if_match: Version | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[Reading]:
        """Open the object's bytes. What breaks later is the caller's to go on from, with `start`."""

        def enter() -> tuple[AbstractContextManager[Reading], Reading]:
            opening = self._bucket.get(key, if_match=if_match, start=start, stop=stop)
            return opening, opening.__enter__()

        opening, reading = self._repeat(enter)
        with contextlib.ExitStack() as closing:
            closing.push(opening)
            yield reading

    def read(self, key: str, *, limit: int = 16 * 1024 * 1024) -> tuple[ObjectInfo, bytes] | None:
        """One small object, whole."""
        return self._repeat(lambda: self._bucket.read(key, limit=limit))

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[Sequence[Listed]]:
        """Pages. After a page that failed the listing goes on behind the last key it gave."""
        pages = self._bucket.list(prefix, start_after=start_after)
        after = start_after

        def page() -> Sequence[Listed] | None:
            nonlocal pages
            try:
                return next(pages, None)
            except Transient:
                pages = self._bucket.list(prefix, start_after=after)
                raise

        while (found := self._repeat(page)) is not None:
            yield found
            if found:
                after = found[-1].key

    def _repeat(self, ask: Callable[[], T]) -> T:
        return repeated(ask, self._patience, sleep=self._sleep, chance=self._chance)
