"""Bytes held to so many a second, up and down, for one project and for all together.

`Rate` is one allowance (a token bucket): whoever moves bytes pays for them and waits while the allowance is used up.
`Limits` are the rates that one project pays to. `Limited` is a bucket whose object bodies pay; requests, listings and
what lies under `.dorky/` (the log, the probe) do not.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Condition, Event, Lock
from typing import Any, BinaryIO, cast

from dorkyd.buckets.wrapped import Wrapped
from dorkyd.core.model import Digest, Version
from dorkyd.core.settings import Bandwidth
from dorkyd.errors import Transient
from dorkyd.ports import Body, Bucket, Chunk, ObjectInfo, Reading, Session, Written

_LEAST_STEP, _MOST_STEP, _STEPS_PER_S = 1024, 256 * 1024, 16
BURST_S = 1.0
"""An allowance that nobody used grows for so long: a small file after a quiet second goes at once."""
WHOLE_BYTES = 1024 * 1024
"""A body up to this size is paid for before it is opened, so that no request stands open while it waits: a store ends one
that is silent for some seconds.
"""


class Rate:
    """So many bytes a second, or any number. Thread-safe; may be changed at any time, also for those who wait.

    Who waits is served in steps, each in turn, so that a transfer of a few bytes passes one of many.
    """

    def __init__(
        self,
        per_s: int | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wait: Callable[[Condition, float | None], object] = Condition.wait,
    ) -> None:
        """`per_s` None: no limit. `wait` waits on a condition, its lock held, for so many seconds or until notified."""
        self._monotonic = monotonic
        self._wait = wait
        self._lock = Lock()
        self._line: deque[Condition] = deque()
        """Those who wait, the next one first: only that one watches the clock."""
        self._per_s = per_s
        self._level = float(per_s or 0) * BURST_S
        self._at = monotonic()

    @property
    def per_s(self) -> int | None:
        """Bytes a second; None: no limit."""
        return self._per_s

    @property
    def waiting(self) -> int:
        """Threads that wait."""
        return len(self._line)

    def change(self, per_s: int | None) -> None:
        """From now on."""
        with self._lock:
            self._refill()
            self._per_s = per_s
            self._level = min(self._level, (per_s or 0) * BURST_S)
            self._wake_next()

    def wake(self) -> None:
        """Have those who wait look whether they still should."""
        with self._lock:
            for waiter in self._line:
                waiter.notify()

    def pay(self, count: int, given_up: Callable[[], bool]) -> bool:
        """Wait until `count` bytes may move. False: they may not, since `given_up` said so meanwhile."""
        while count > 0:
            if self._per_s is None:
                return True
            paid = self._pay_step(count, given_up)
            if not paid:
                return False
            count -= paid
        return True

    def _pay_step(self, count: int, given_up: Callable[[], bool]) -> int:
        """Pay for a part; how many bytes it was, 0: given up."""
        with self._lock:
            mine = Condition(self._lock)
            self._line.append(mine)
            try:
                while not given_up():
                    if self._line[0] is not mine:
                        self._wait(mine, None)
                        continue
                    if self._per_s is None:
                        return count
                    step = min(count, max(_LEAST_STEP, min(_MOST_STEP, self._per_s // _STEPS_PER_S)))
                    self._refill()
                    # A step may be more than a whole burst of a very low rate; what it owes delays the next.
                    lacking = min(step, self._per_s * BURST_S) - self._level
                    if lacking < 1:  # of a byte: no sum of floats is exact
                        self._level -= step
                        return step
                    self._wait(mine, lacking / self._per_s)
                return 0
            finally:
                self._line.remove(mine)
                self._wake_next()

    def _refill(self) -> None:
        now = self._monotonic()
        if self._per_s is not None:
            self._level = min(self._per_s * BURST_S, self._level + (now - self._at) * self._per_s)
        self._at = now

    def _wake_next(self) -> None:
        if self._line:
            self._line[0].notify()


@dataclass(frozen=True, slots=True)
class Pair:
    """An allowance each way."""

    up: Rate = field(default_factory=Rate)
    down: Rate = field(default_factory=Rate)

    @property
    def bandwidth(self) -> Bandwidth:
        """What holds now."""
        return Bandwidth(self.up.per_s, self.down.per_s)

    def change(self, bandwidth: Bandwidth) -> None:
        """From now on, also for what is under way."""
        for rate, per_s in ((self.up, bandwidth.up), (self.down, bandwidth.down)):
            if rate.per_s != per_s:
                rate.change(per_s)


class Limits:
    """What one project's transfers pay to: its own pair of rates and the one all projects share.

    As `dorkyd.ports.Throttle`, from any thread.
    """

    def __init__(self, own: Pair, shared: Pair) -> None:
        self.own = own
        self._shared = shared
        self._held = Event()

    @property
    def bandwidth(self) -> Bandwidth:
        """The project's own limits."""
        return self.own.bandwidth

    def hold(self) -> None:
        """As `Throttle.hold`."""
        if not self._held.is_set():
            self._held.set()
            for pair in (self.own, self._shared):
                pair.up.wake()
                pair.down.wake()

    def go(self) -> None:
        """As `Throttle.go`."""
        self._held.clear()

    def pay_up(self, count: int) -> None:
        """Wait until so many bytes may be sent. `Transient` while held."""
        self._pay(count, self.own.up, self._shared.up)

    def pay_down(self, count: int) -> None:
        """Wait until so many received bytes may be used. `Transient` while held."""
        self._pay(count, self.own.down, self._shared.down)

    def _pay(self, count: int, *rates: Rate) -> None:
        for rate in rates:
            if not rate.pay(count, self._held.is_set):
                raise Transient("the transfer waited for its bandwidth limit when the project stopped", code="held")


class Limited(Wrapped):
    """A bucket whose object bodies pay to `Limits`, byte by byte as they are read, each byte once."""

    def __init__(self, bucket: Bucket, limits: Limits) -> None:
        super().__init__(bucket)
        self._limits = limits

    @contextlib.contextmanager
    def get(
        self, key: str, *, if_match: Version | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[Reading]:
        """The bytes pay as they come."""
        with self._bucket.get(key, if_match=if_match, start=start, stop=stop) as reading:
            yield reading if _is_ours(key) else _Paying(reading, self._limits)

    def read(self, key: str, *, limit: int = 16 * 1024 * 1024) -> tuple[ObjectInfo, bytes] | None:
        """The bytes pay when they are there."""
        found = self._bucket.read(key, limit=limit)
        if found is not None and not _is_ours(key):
            self._limits.pay_down(len(found[1]))
        return found

    def put(
        self,
        key: str,
        body: Body,
        *,
        replaces: Version | None,
        meta: Mapping[str, str],
        session: Session | None = None,
    ) -> Written:
        """The body pays as it is read."""
        paying = body if _is_ours(key) else _PayingBody(body, self._limits)
        return self._bucket.put(key, paying, replaces=replaces, meta=meta, session=session)


def held_already(body: Body, count: int) -> None:
    """An adapter tells that its store holds so many bytes of this body: they are read, and not sent, so that they cost
    nothing. For an upload that goes on in its session; once for each `put`, before anything is read.
    """
    if isinstance(body, _PayingBody):
        body.free = count


def _is_ours(key: str) -> bool:
    """Bookkeeping, which nothing may delay: a limit of the files' bytes must not make the device deaf."""
    return key.startswith(".dorky/")


class _PayingBody:
    """A body that pays for each byte when it is first read. Reading it again, for a checksum or a signature, is free."""

    def __init__(self, body: Body, limits: Limits) -> None:
        self._body = body
        self._limits = limits
        self._paid = 0
        """What lies before this was paid, or passed over."""
        self.free = 0
        """The next so many bytes cost nothing."""

    @property
    def size(self) -> int:
        return self._body.size

    @property
    def digest(self) -> Digest:
        return self._body.digest

    def open(self) -> BinaryIO:
        if self.size <= WHOLE_BYTES:
            self.pay(0, self.size)
        return cast("BinaryIO", _PayingStream(self._body.open(), self))

    def pay(self, start: int, end: int) -> None:
        """These bytes were read. One thread reads a body; what it passes over by seeking costs nothing."""
        if end > self._paid:
            count = end - max(start, self._paid)
            spared = min(count, self.free)
            self._limits.pay_up(count - spared)
            self.free -= spared
            self._paid = end


class _PayingStream(io.BufferedIOBase):
    def __init__(self, stream: BinaryIO, body: _PayingBody) -> None:
        self._stream = stream
        self._body = body

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._stream.seekable()

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._stream.seek(offset, whence)

    def read(self, size: int | None = -1, /) -> bytes:
        start = self._stream.tell()
        data = self._stream.read(-1 if size is None else size)
        self._body.pay(start, start + len(data))
        return data

    def read1(self, size: int = -1, /) -> bytes:
        return self.read(size)

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Paying:
    def __init__(self, reading: Reading, limits: Limits) -> None:
        self._reading = reading
        self._limits = limits

    @property
    def info(self) -> ObjectInfo:
        return self._reading.info

    def __iter__(self) -> Iterator[Chunk]:
        for chunk in self._reading:
            self._limits.pay_down(len(chunk))
            yield chunk
