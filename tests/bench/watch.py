"""Seeing from outside when something has arrived: in the bucket, or in a folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.bench import raw
from tests.bench.measure import Traffic
from tests.bench.stage import Stage

PAUSE_S = 0.004
"""Between two looks."""
DEADLINE_S = 600.0


def until(what: str, arrived: Callable[[], bool], pause_s: float = PAUSE_S) -> float:
    """The monotonic time at which it was seen to be so."""
    end = time.monotonic() + DEADLINE_S
    while not arrived():
        if time.monotonic() > end:
            raise AssertionError(f"not within {DEADLINE_S:g} s: {what}")
        time.sleep(pause_s)
    return time.monotonic()


class Watched:
    """One bucket, and what watching it asked of the server."""

    def __init__(self, stage: Stage, bucket: str) -> None:
        self._store: Any = raw.store(bucket, stage.peers.env)
        self._asked = {"GET": 0, "LIST": 0}

    @property
    def traffic(self) -> Traffic:
        """To be taken off what was measured."""
        return Traffic(dict(self._asked))

    def tag(self, path: str) -> str | None:
        """The ETag of a file's object now; None: there is none."""
        import obstore

        self._asked["GET"] += 1
        try:
            return str(obstore.head(self._store, f"p/{path}")["e_tag"])
        except FileNotFoundError:
            return None

    def changed(self, path: str, before: str | None) -> float:
        """When the object was there with another state."""
        return until(f"{path} in the bucket", lambda: self.tag(path) not in {before, None})

    def count(self, folder: str) -> int:
        """Objects directly below a folder, up to a thousand."""
        import obstore

        self._asked["LIST"] += 1
        return len(next(iter(obstore.list(self._store, f"p/{folder}", chunk_size=1000)), []))
