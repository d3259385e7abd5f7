"""How an adapter counts what it asks of its store."""

from __future__ import annotations

from threading import Lock
from typing import Literal

from dorkyd.ports import Requests

Verb = Literal["GET", "PUT", "LIST", "HEAD", "COPY", "DELETE"]
"""The kinds of request, named as the fields of `Requests`."""


class Counter:
    """Counts requests and body bytes from any thread. Counts only rise."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: dict[str, int] = {}

    def add(self, verb: Verb | None, *, up: int = 0, down: int = 0) -> None:
        """Count one request of this kind, and body bytes sent and received.

        `verb` None counts bytes alone: those of a request that was counted when it was sent.
        """
        with self._lock:
            if verb is not None:
                self._counts[verb] = self._counts.get(verb, 0) + 1
            self._counts["bytes_up"] = self._counts.get("bytes_up", 0) + up
            self._counts["bytes_down"] = self._counts.get("bytes_down", 0) + down

    def moved(self, key: str, *, up: int = 0, down: int = 0) -> None:
        """Count bytes of an object's body. What lies under `.dorky/` (log, probe) is bookkeeping, not the project's
        objects: its requests count, its bytes do not.
        """
        if not key.startswith(".dorky/"):
            self.add(None, up=up, down=down)

    def snapshot(self) -> Requests:
        """What was counted so far, all fields of one instant."""
        with self._lock:
            return Requests(**self._counts)
