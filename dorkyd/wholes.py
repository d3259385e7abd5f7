"""Plain bytes of encrypted and packed objects, read to their end before any of them is told, and kept for a moment.

Nothing that is decrypted may be used before all of it was verified (`dorkyd.codecs`), so that a part of an object costs all of
it. Whoever reads a table by its ranges asks for hundreds of parts: what was verified stays at hand for `KEPT_S` after its last
use. In memory up to `SMALL_BYTES`; what is larger in a file of the folder's staging that has no name any more once it is
whole, so that it ends with this process however that ends. From any thread.
"""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

from dorkyd.core import metadata
from dorkyd.core.model import Digest, Path, Version
from dorkyd.ports import Folder, Reading
from dorkyd.sealing import SEALED

SMALL_BYTES = 1024 * 1024
"""So much is held in memory."""
KEPT_S = 20.0
SEEN = 1000
"""States of which a look is remembered."""
MOST = 4
"""Kept at one time at most, beside those in use."""


@dataclass(slots=True)
class Whole:
    """All of one object state."""

    digest: Digest
    size: int
    """Bytes."""
    _stream: BinaryIO
    users: int = 0
    until: float = 0.0
    """Monotonic seconds: nobody needs it after, unless somebody uses it."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, start: int) -> Iterator[bytes]:
        """Its bytes from an offset on."""
        while True:
            with self._lock:
                self._stream.seek(start)
                piece = self._stream.read(SMALL_BYTES)
            if not piece:
                return
            start += len(piece)
            yield piece

    def close(self) -> None:
        """Give the room back."""
        self._stream.close()


@dataclass(slots=True)
class Wholes:
    """See the module."""

    folder: Folder
    random_id: Callable[[], str]
    _kept: dict[tuple[Path, Version], Whole] = field(default_factory=dict)
    _seen: dict[tuple[Path, Version], None] = field(default_factory=dict)
    """States that are stored otherwise, the last looked at last."""
    _waits: bool = False
    """Something will look whether anything is idle."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def use(
        self, path: Path, version: Version, opening: Callable[[], AbstractContextManager[Reading]]
    ) -> Iterator[Whole]:
        """This state, read from `opening` where it is not at hand. `Integrity` when it is not what it claims to be."""
        place, whole = (path, version), self._taken((path, version))
        if whole is None:
            whole = self._read(opening)
            whole.users = 1
            with self._lock:
                other = self._kept.get(place)
                if other is None:
                    self._kept[place] = whole
        try:
            yield whole
        finally:
            self._released(place, whole)

    def seen(self, path: Path, version: Version) -> None:
        """A look told that this state is stored otherwise."""
        with self._lock:
            self._seen[(path, version)] = None
            while len(self._seen) > SEEN:
                del self._seen[next(iter(self._seen))]

    def is_seen(self, path: Path, version: Version) -> bool:
        """A look told so, not long ago. False says nothing."""
        with self._lock:
            return (path, version) in self._seen

    # --- inside -------------------------------------------------------------------------------------------------

    def _taken(self, place: tuple[Path, Version]) -> Whole | None:
        with self._lock:
            whole = self._kept.get(place)
            if whole is not None:
                whole.users += 1
            return whole

    def _released(self, place: tuple[Path, Version], whole: Whole) -> None:
        with self._lock:
            whole.users -= 1
            whole.until = time.monotonic() + KEPT_S
            mine = self._kept.get(place) is whole
        if not mine:
            whole.close()  # two read it at one time
        self.drop_idle(most=MOST)
        with self._lock:
            if not self._waits:
                self._wait()

    def _wait(self) -> None:
        """Look again when the time of what is idle now is over: one thread at a time, and none when nothing is kept."""
        self._waits = bool(self._kept)
        if self._waits:
            timer = threading.Timer(KEPT_S + 0.1, self._look)
            timer.daemon = True
            timer.start()

    def _look(self) -> None:
        self.drop_idle()
        with self._lock:
            self._wait()

    def drop_idle(self, *, most: int | None = None) -> None:
        """Those whose time is over, and the ones used longest ago of more than `most`."""
        now = time.monotonic()
        with self._lock:
            idle = sorted((w.until, place) for place, w in self._kept.items() if not w.users)
            over = len(idle) - most if most is not None else 0
            gone = [self._kept.pop(place) for at, (until, place) in enumerate(idle) if until <= now or at < over]
        for whole in gone:
            whole.close()

    def _read(self, opening: Callable[[], AbstractContextManager[Reading]]) -> Whole:
        hashing, held, size = hashlib.sha256(), bytearray(), 0
        name, out = f"{SEALED}{self.random_id()}.read.", None
        with ExitStack() as closing:
            reading = closing.enter_context(opening())
            closing.callback(self.folder.unstage, name)
            for chunk in reading:
                hashing.update(chunk)
                size += len(chunk)
                if out is None and size > SMALL_BYTES:
                    out = closing.enter_context(self.folder.stage(name))
                    out.write(held)
                    held.clear()
                if out is None:
                    held += chunk
                else:
                    out.write(chunk)
            if out is None:
                return Whole(metadata.sha256(hashing.hexdigest()), size, io.BytesIO(bytes(held)))
            out.flush()
            return Whole(metadata.sha256(hashing.hexdigest()), size, self.folder.open_staged(name))
