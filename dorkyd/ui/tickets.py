"""Downloads that are about to begin: what a browser fetches, it asks for itself, without our key, so it gets a name that is good once.

The daemon is asked before the name is given, so that a refusal is told on the page and not in the place of a file. Until the browser
comes the answer is held open; nobody waits for it longer than `TICKET_S`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse

from dorkyd.ui.session import secret

TICKET_S = 60.0
MOST_TICKETS = 16
"""At a time; the oldest go first."""


@dataclass(frozen=True, slots=True)
class Held:
    """An answer of the daemon that is not read yet."""

    connection: HTTPConnection
    answer: HTTPResponse
    name: str
    """What the file is called, without its folders."""

    def close(self) -> None:
        """Let the daemon go."""
        self.answer.close()
        self.connection.close()


@dataclass(slots=True)
class Tickets:
    """See the module. From any thread."""

    now: Callable[[], float] = time.monotonic
    _held: dict[str, tuple[float, Held]] = field(default_factory=dict, repr=False)
    """Until when, and what; the oldest first."""
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def put(self, held: Held) -> str:
        """A name for it."""
        name = secret()
        with self._guard:
            self._held[name] = (self.now() + TICKET_S, held)
        self.sweep()
        return name

    def take(self, name: str) -> Held | None:
        """What was put under it, which is the caller's to close; None: nothing, or it was taken, or it is too late."""
        self.sweep()
        with self._guard:
            _, held = self._held.pop(name, (0.0, None))
        return held

    def sweep(self, *, all_: bool = False) -> None:
        """Let go of what nobody came for."""
        with self._guard:
            late = [name for name, (until, _) in self._held.items() if all_ or until <= self.now()]
            late += list(self._held)[: max(0, len(self._held) - MOST_TICKETS)]
            gone = [self._held.pop(name)[1] for name in dict.fromkeys(late)]
        for held in gone:
            held.close()
