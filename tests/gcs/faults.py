"""What goes wrong on request, and who may do what."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from threading import Event, Lock
from typing import Literal

When = Literal["before", "after", "cut", "short"]

PERMISSIONS = {
    "objects.get": ("storage.objects.get",),
    "objects.list": ("storage.objects.list",),
    "objects.insert": ("storage.objects.create",),
    "objects.update": ("storage.objects.create", "storage.objects.delete"),
    "objects.delete": ("storage.objects.delete",),
    "objects.patch": ("storage.objects.update",),
    "objects.rewrite": ("storage.objects.get", "storage.objects.create"),
    "objects.copy": ("storage.objects.get", "storage.objects.create"),
    "objects.compose": ("storage.objects.get", "storage.objects.create"),
    "uploads.begin": ("storage.objects.create",),
    "uploads.send": (),
    "uploads.status": (),
    "uploads.cancel": (),
    "buckets.insert": ("storage.buckets.create",),
    "buckets.get": ("storage.buckets.get",),
    "buckets.delete": ("storage.buckets.delete",),
}
"""Operation: what IAM asks for. `objects.update` is an insert, copy or end of upload onto a live object."""


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong with the next requests of an operation."""

    operation: str
    """A key of `PERMISSIONS`, or "*"."""
    when: When = "before"
    """`before` the effect; `after` it, so that only the reply is lost or false; `cut`: half of the reply's body, then the
    connection ends; `short`: of a piece of an upload only the first 256 KiB are kept.
    """
    status: int = 0
    """The answer; 0: none at all, the connection is closed."""
    reason: str = "backendError"
    message: str = "made to fail"
    retry_after: int | None = None
    key: str = ""
    """Only objects whose name holds this."""
    times: int = 1
    skip: int = 0
    """So many matching requests go well first."""
    hold: bool = False
    """Before it fails the request stays unanswered, until it is released: time to kill who waits for it."""


class Faults:
    """What was ordered, and how often each operation was called."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._ordered: list[Fault] = []
        self.calls: Counter[str] = Counter()
        self.denied: set[str] = set()
        """Permissions that nobody has."""
        self.held = 0
        """Requests that stay unanswered now."""
        self._released = Event()

    def order(self, fault: Fault) -> None:
        """Let the next matching requests fail."""
        with self._lock:
            self._ordered.append(fault)

    def clear(self) -> None:
        """All goes well again."""
        with self._lock:
            self._ordered.clear()
            self.denied.clear()

    def take(self, operation: str, key: str) -> Fault | None:
        """Count one request, and tell what goes wrong with it."""
        with self._lock:
            self.calls[operation] += 1
            for fault in self._ordered:
                if fault.operation in {operation, "*"} and fault.key in key:
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    if not fault.times:
                        self._ordered.remove(fault)
                    return fault
        return None

    def hold(self) -> None:
        """Wait for the release, a minute at most."""
        with self._lock:
            self.held += 1
        self._released.wait(60)
        with self._lock:
            self.held -= 1

    def release(self) -> None:
        """Let go of what is held, now and later."""
        self._released.set()

    def missing(self, operation: str) -> str | None:
        """The first permission that is denied for it."""
        return next((name for name in PERMISSIONS[operation] if name in self.denied), None)
