"""Reads that are repeated when they fail in passing.

Writes never are: the reply may have been lost after the store did as asked, and a repeated conditional write then
finds its own success in the way (a 412). The caller looks instead.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

from dorkyd.core.model import Version
from dorkyd.errors import Transient
from dorkyd.ports import Body, Bucket, Listed, ObjectInfo, Reading, Requests, Session, Written

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


def repeated(
    ask: Callable[[], T],
    patience: Patience,
    *,
    sleep: Callable[[float], None] = time.sleep,
    chance: Callable[[], float] = CHANCE,
) -> T:
    """Ask, again after each `Transient` as long as `patience` lasts. Only for what may be asked twice.

    Not when the store cannot be reached at all (`offline`), nor when it wants a longer wait than `patience` has: both
    are for the caller's own schedule.
    """
    for attempt in range(1, patience.attempts):
        try:
            return ask()
        except Transient as error:
            if error.offline or (error.retry_after_s or 0) > patience.longest_s:
                raise
            jittered = chance() * min(patience.longest_s, patience.first_s * 2 ** (attempt - 1))
            sleep(max(jittered, error.retry_after_s or 0))
    return ask()


class Retrying:
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
        self._bucket = bucket
        self._patience = patience or Patience()
        self._sleep = sleep
        self._chance = chance

    def __repr__(self) -> str:
        return f"Retrying({self._bucket!r})"

    @property
    def bucket(self) -> Bucket:
        """The one below, whose requests these are."""
        return self._bucket

    @property
    def url(self) -> str:
        """As configured."""
        return self._bucket.url

    @property
    def versioned(self) -> bool:
        """As the bucket below."""
        return self._bucket.versioned

    @property
    def requests(self) -> Requests:
        """Every request, repeated ones too."""
        return self._bucket.requests

    def head(self, key: str) -> ObjectInfo | None:
        """Look at one object."""
        return self._repeat(lambda: self._bucket.head(key))

    @contextlib.contextmanager
    def get(self, key: str, *, if_match: Version | None = None, start: int = 0) -> Iterator[Reading]:
        """Open the object's bytes. What breaks later is the caller's to go on from, with `start`."""

        def enter() -> tuple[AbstractContextManager[Reading], Reading]:
            opening = self._bucket.get(key, if_match=if_match, start=start)
            return opening, opening.__enter__()

        opening, reading = self._repeat(enter)
        with contextlib.ExitStack() as closing:
            closing.push(opening)
            yield reading

    def read(self, key: str, *, limit: int = 16 * 1024 * 1024) -> tuple[ObjectInfo, bytes] | None:
        """One small object, whole."""
        return self._repeat(lambda: self._bucket.read(key, limit=limit))

    @property
    def sessions_over(self) -> int | None:
        """As the bucket below."""
        return self._bucket.sessions_over

    def begin(self, key: str, size: int, *, replaces: Version | None, meta: Mapping[str, str]) -> Session:
        """Once."""
        return self._bucket.begin(key, size, replaces=replaces, meta=meta)

    def abandon(self, key: str, session: Session) -> None:
        """Once."""
        self._bucket.abandon(key, session)

    def put(
        self,
        key: str,
        body: Body,
        *,
        replaces: Version | None,
        meta: Mapping[str, str],
        session: Session | None = None,
    ) -> Written:
        """Once."""
        return self._bucket.put(key, body, replaces=replaces, meta=meta, session=session)

    def delete(self, key: str, *, replaces: Version) -> None:
        """Once."""
        self._bucket.delete(key, replaces=replaces)

    def copy(
        self,
        source: str,
        key: str,
        *,
        source_version: Version,
        replaces: Version | None,
        meta: Mapping[str, str] | None,
    ) -> Written:
        """Once."""
        return self._bucket.copy(source, key, source_version=source_version, replaces=replaces, meta=meta)

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

    def close(self) -> None:
        """Close the bucket below."""
        self._bucket.close()

    def _repeat(self, ask: Callable[[], T]) -> T:
        return repeated(ask, self._patience, sleep=self._sleep, chance=self._chance)
