"""The worker's other end: starts it when something is asked, ends it when it takes too long, and remembers what broke it.

    Workshop(...).do({"do": "facts", "path": ...}, [file], key=digest)

One process and one request at a time for each workshop; from any thread, and whoever comes second waits. Nothing is started
before the first request, and the process ends by itself when nobody asks for a while. A request that killed it (memory, CPU time,
a crash) is remembered by its key and refused from then on.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dorkyd.errors import Refused, Transient

MEMORY_BYTES = 1024 * 1024 * 1024
"""What a worker may use for data; what of its libraries is loaded counts a little."""
TIMEOUT_S = 60.0
"""CPU seconds that a request may take, and so many seconds that are waited for it; a busy machine may take as long for less."""
IDLE_S = 60.0
"""How long a worker without work stays."""
_REPLY_BYTES = 64 * 1024 * 1024
_REMEMBERED = 1000
_STARTS = 3
"""How often a request is given to a new process, when the one before had just ended by itself."""
_CODE = re.compile(r"[a-z][a-z0-9-]{0,39}")
_log = logging.getLogger("dorkyd.tables")

Fill = Callable[[int, int], None]
"""Brings these bytes of the first file (from, up to). Raises a `DorkyError` when it cannot."""


class _Ended(Exception):
    """The worker's end of the socket was closed."""


@dataclass(slots=True)
class _Running:
    process: subprocess.Popen[bytes]
    sock: socket.socket
    data: bytes = b""

    def send(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        whole = json.dumps(message).encode() + b"\n"
        try:
            sent = socket.send_fds(self.sock, [whole], list(fds)) if fds else 0
            self.sock.sendall(whole[sent:])
        except (BrokenPipeError, ConnectionResetError) as exc:
            raise _Ended from exc

    def receive(self, deadline: float) -> dict[str, Any]:
        """The next line. `TimeoutError`; `ValueError` when it is none that JSON allows."""
        while (left := deadline - time.monotonic()) > 0 and b"\n" not in self.data:
            self.sock.settimeout(left)
            try:
                more = self.sock.recv(256 * 1024)
            except ConnectionResetError as exc:
                raise _Ended from exc
            if not more:
                raise _Ended
            self.data += more
            if len(self.data) > _REPLY_BYTES:
                raise ValueError("an answer without end")
        if left <= 0:
            raise TimeoutError  # also of one that keeps us busy
        line, _, self.data = self.data.partition(b"\n")
        try:
            message = json.loads(line, parse_float=_number, parse_constant=_number)
        except RecursionError as exc:
            raise ValueError("an answer without bottom") from exc
        return message if isinstance(message, dict) else {}

    def end(self) -> int:
        """Kill it, and say how it ended: negative, the signal."""
        self.sock.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            # One that ended of its own accord tells why.
            return self.process.wait(timeout=0.2)
        self.process.kill()
        return self.process.wait()


@dataclass(slots=True)
class Workshop:
    """See the module."""

    memory: int = MEMORY_BYTES
    timeout_s: float = TIMEOUT_S
    idle_s: float = IDLE_S
    nice: int = 19
    tasks: Mapping[str, str] = field(default_factory=dict)
    """`MODULE:FUNCTION` by word, beside `dorkyd.tables.worker.DOES`."""
    _running: _Running | None = None
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _broke: OrderedDict[str, str] = field(default_factory=OrderedDict)
    """By key of the request: how the worker ended."""
    _closed: bool = False

    def do(
        self,
        request: Mapping[str, Any],
        files: Sequence[int],
        *,
        key: str | None = None,
        fill: Fill | None = None,
        timeout_s: float | None = None,
    ) -> dict[str, Any]:
        """Have it done; `files` are descriptors, which stay the caller's. `key` stands for the content that is worked on.
        `fill`: the first file is sparse, see `dorkyd.tables.worker`.

        The answer comes from a process that strangers' files may have turned: believe no more of it than of the file.
        `Refused`: `unreadable-table`, the worker's own codes, and `hard-table` where it had to be ended.
        `Transient`: `stopping` when the daemon ends, `slow-table` when it took too long without using its CPU seconds. What
        `fill` raises is raised on.
        """
        with self._turn:
            known = f"{request.get('do')} {key}" if key is not None else None
            if known is not None and known in self._broke:
                raise _hard(self._broke[known])
            patience = timeout_s if timeout_s is not None else self.timeout_s
            asked = {"cpu_s": patience, **request, "sparse": fill is not None}
            for _ in range(_STARTS):
                running = self._ready()
                try:
                    running.send(asked, files)
                    return self._answer(running, fill, time.monotonic() + patience)
                except _Ended:
                    how = self._end()
                    if self._closed:
                        raise Transient("the daemon stops", code="stopping") from None
                    if how == 0:
                        continue  # it had nothing to do for a while, just now
                    self._break(known, _told(how))
                except TimeoutError:
                    self._end()
                    # No word about the table: the machine is busy, or what it asked for was slow to come.
                    what = f"looking at the table took longer than {patience:g} s"
                    raise Transient(what, code="slow-table", hint="try again when the machine is less busy") from None
                except ValueError:
                    self._end()
                    self._break(known, "it answered what is no answer")
                except BaseException:
                    self._end()  # in the middle of a request: what comes next would be its answer
                    raise
            raise Transient("the worker for tables does not start", code="no-worker", hint="see the daemon's log")

    def close(self) -> None:
        """End the worker, whatever it does. May be repeated. Any thread."""
        self._closed = True
        running = self._running
        if running is not None:
            running.process.kill()
        with self._turn:
            self._end()

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        running = self._running
        return running.process.pid if running is not None else None

    # --- inside ---------------------------------------------------------------------------------------------------

    def _answer(self, running: _Running, fill: Fill | None, deadline: float) -> dict[str, Any]:
        while True:
            message = running.receive(deadline)
            match message:
                case {"need": [int(start), int(end)]} if fill is not None and 0 <= start < end:
                    fill(start, end)
                    running.send({"filled": True})
                case {"done": dict(done)}:
                    return done
                case {"refused": str(code), "detail": str(detail)} if _CODE.fullmatch(code):
                    raise Refused(detail[:500], code=code)
                case _:
                    raise ValueError("no answer")

    def _ready(self) -> _Running:
        if self._closed:
            raise Transient("the daemon stops", code="stopping")
        if self._running is not None and self._running.process.poll() is not None:
            self._end()
        if self._running is None:
            self._running = self._start()
        return self._running

    def _start(self) -> _Running:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        command = [sys.executable, "-P", "-m", "dorkyd.tables"]
        command += [f"--memory={self.memory}", f"--idle={self.idle_s}", f"--nice={self.nice}"]
        command += [f"--task={word}={where}" for word, where in self.tasks.items()]
        # Nothing of ours but where Python's modules are: no credentials, no proxies.
        environment = {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PYTHONDONTWRITEBYTECODE": "1",
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            "OMP_NUM_THREADS": "1",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
        }
        with theirs:
            end, nothing = theirs.fileno(), subprocess.DEVNULL
            process = subprocess.Popen(command, stdin=end, stdout=nothing, stderr=nothing, env=environment, cwd="/")  # noqa: S603
        _log.debug("verb=start-worker pid=%d outcome=ok", process.pid)
        return _Running(process, ours)

    def _end(self) -> int:
        running, self._running = self._running, None
        return running.end() if running is not None else 0

    def _break(self, known: str | None, how: str) -> None:
        _log.warning("verb=table-worker outcome=ended detail=%r", how)
        if known is not None:
            self._broke[known] = how
            while len(self._broke) > _REMEMBERED:
                self._broke.popitem(last=False)
        raise _hard(how)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("JSON has no such number")
    return number


def _told(how: int) -> str:
    if how in {-9, -24}:
        return "the system ended it: too much memory or CPU time"
    return f"it ended with signal {-how}" if how < 0 else f"it ended with code {how}"


def _hard(how: str) -> Refused:
    what = f"this table breaks the process that reads tables ({how}); it is not tried again"
    return Refused(what, code="hard-table", hint="sync goes on; look at the file with a tool of your own")
