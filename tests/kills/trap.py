"""Kill points: every step of a daemon that changes something outside its own memory, and the process's end at one of them.

A step is what may take effect and not be known to have: a call of a port's method that changes something, a commit of the
journal, a request that writes, a system call that changes a file system. `around` is put around each of them by
`tests.kills.launch`. A point is a step at one place of the code, told by the functions of dorkyd on the stack, before
it, after it or (where bytes flow) in its middle.

Steps are written to the file `trace`, a line each; the file `arm` names the point at whose n-th passing from now on the
process ends by SIGKILL. Both lie in `DORKY_KILLS`, and the harness may change `arm` while the daemon runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType

import dorkyd

PACKAGE = os.path.dirname(os.path.abspath(dorkyd.__file__)) + os.sep
MECHANISM = ("buckets.wrapped.", "buckets.limits.", "buckets.retry.")
"""Places that only hand a port's call on."""
SEALING = "sealing."
"""Hands a bucket's calls on, with other bytes; what it stages is its own doing."""
SENDING = ("buckets.s3_calls.", "buckets.gcs_calls.")
"""Places that only send what others ask for."""
JOURNALLING = ("journal.", "ledger.", "sessions.", "engine.Engine._recording")
"""Places that only wrap a transaction."""

_open, _read, _write, _close = (
    os.open,
    os.read,
    os.write,
    os.close,
)  # from before `launch` puts traps around some of them


def point_id(op: str, chain: str, when: str) -> str:
    """The name of a point, short."""
    return hashlib.sha256(f"{op} {chain} {when}".encode()).hexdigest()[:12]


class Trap:
    """See the module."""

    def __init__(self, directory: Path) -> None:
        self._arm = os.fspath(directory / "arm")
        self._trace = _open(
            os.fspath(directory / "trace"), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        self._lock = threading.Lock()
        self._armed = b""
        self._left = 0
        self._point = ""

    @contextmanager
    def around(self, op: str, *whens: str) -> Iterator[None]:
        """Around one step, with points at `whens` (`before`, `after`). One that raised has no after."""
        chain = stack()
        if "before" in whens:
            self.pass_(op, chain, "before")
        yield
        if "after" in whens:
            self.pass_(op, chain, "after")

    def middle(self, op: str) -> None:
        """Bytes of this step have flowed."""
        self.pass_(op, stack(), "middle")

    def wrote(self, kind: str) -> None:
        """A statement was executed in a transaction: not a point, but what a commit is made of."""
        _write(self._trace, f"statement\t{kind}\n".encode())

    def pass_(self, op: str, chain: str, when: str) -> None:
        """Pass a point, perhaps not alive. What other libraries do for themselves is none."""
        if not chain:
            return
        point = point_id(op, chain, when)
        _write(self._trace, f"point\t{point}\t{when}\t{op}\t{chain}\n".encode())
        with self._lock:
            self._rearm()
            if self._point not in (point, f"{when} {op}", f"{when} {op} in {site(op, chain)}"):
                return
            self._left -= 1
            if self._left == 0:
                _write(self._trace, b"killed\n")
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()

    def _rearm(self) -> None:
        try:
            fd = _open(self._arm, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._armed, self._point = b"", ""
            return
        try:
            armed = _read(fd, 4096)
        finally:
            _close(fd)
        if armed != self._armed:
            self._armed = armed
            wanted = json.loads(armed)
            self._point, self._left = wanted["point"], wanted["nth"]


def stack() -> str:
    """The functions of dorkyd on this thread's stack, innermost first, each once."""
    found: list[str] = []
    frame = sys._getframe(2)
    while frame is not None:
        name = _place(frame.f_code)
        if name and name not in found:
            found.append(name)
        frame = frame.f_back  # type: ignore[assignment]
    return " < ".join(found)


_places: dict[CodeType, str] = {}


def _place(code: CodeType) -> str:
    """`module.Class.function` below dorkyd; empty elsewhere."""
    name = _places.get(code)
    if name is None:
        name = ""
        if code.co_filename.startswith(PACKAGE):
            module = code.co_filename.removeprefix(PACKAGE).removesuffix(".py").replace(os.sep, ".")
            name = f"{module}.{outer(code.co_qualname)}"
        _places[code] = name
    return name


def outer(qualname: str) -> str:
    """A function defined in another counts as that one."""
    return qualname.partition(".<locals>")[0]


def site(op: str, chain: str) -> str:
    """The place in the code where a step is taken: the innermost that does more than hand it on."""
    if op.startswith("sql "):
        passing: tuple[str, ...] = JOURNALLING
    elif op.startswith("bucket."):
        passing = (*MECHANISM, SEALING)
    else:
        passing = MECHANISM if op.startswith("folder.") else SENDING if op.startswith(("s3 ", "gcs")) else ()
    for place in chain.split(" < "):
        if not place.startswith(passing):
            return place
    return chain.partition(" < ")[0]
