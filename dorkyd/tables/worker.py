"""The process that reads tables: `python -m dorkyd.tables`, started by `dorkyd.tables.supervisor` and by nobody else.

Its standard input is one end of a pair of Unix sockets, and all that it has: requests are lines of JSON that come with open
files, so that it needs no path, no credentials and no network, and has none. It reads what strangers wrote with libraries of a
million lines: assume that it can be made to do anything, and see to it that this is little. It runs at the lowest priority,
within limits of memory and of CPU seconds for each request, and ends when the socket does or nobody asked for a while.

    request   {"do": "facts", ...}, with files          -> {"done": {...}} or {"refused": CODE, "detail": TEXT}
    meanwhile {"need": [START, END]}, of the first file -> {"filled": true}, or the end of this process

`need` is asked where the request says `"sparse": true`: the first file has its whole size and none of its bytes, and gets
those that are asked for.

A request names what to do by a word of `DOES`: a function that takes the request and the files, and returns what is done as a
JSON object. What is wrong with the file is `Unreadable`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import queue
import resource
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

DOES: dict[str, str] = {
    "facts": "dorkyd.tables.harvest:facts",
    "head": "dorkyd.tables.rows:head",
    "compare": "dorkyd.tables.rows:compare",
}
"""Module and function by word; imported when first asked for."""
LINE_BYTES = 32 * 1024 * 1024
"""A longer line is no request."""
MOST_FILES = 8
READ_BYTES = 64 * 1024
"""What is asked for at least, of a file that comes piece by piece."""

Task = Callable[[Mapping[str, Any], Sequence["Input"]], dict[str, Any]]


class Unreadable(Exception):
    """The file is not what it is called, or is damaged. The text is for people."""

    def __init__(self, detail: str, code: str = "unreadable-table") -> None:
        super().__init__(detail)
        self.code = code


class Input(io.RawIOBase):
    """A file that was handed over, from its first byte. Reads at its own place: others may have the same open file."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.size = os.fstat(fd).st_size
        self._at = 0
        self.got = 0
        """Bytes that were read."""

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As of any file."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise ValueError("before the first byte")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        """As of any file."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """As of any file; fewer bytes than asked for only at the end."""
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self.size - self._at))
        self.ready(self._at, self._at + wanted)
        done = 0
        while done < wanted:
            piece = os.pread(self.fd, wanted - done, self._at + done)
            if not piece:
                raise Unreadable("the file became shorter while it was read", "changed")
            view[done : done + len(piece)] = piece
            done += len(piece)
        self._at += done
        self.got += done
        return done

    def ready(self, start: int, end: int) -> None:
        """See to it that these bytes are there: all are."""

    def write(self, data: Any) -> int:
        """Of a file to write to, which was handed over open for that."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            done += os.pwrite(self.fd, view[done:], self._at + done)
        self._at += done
        self.size = max(self.size, self._at)
        return done

    def writable(self) -> bool:
        """The system says no where it is not."""
        return True

    def close(self) -> None:
        """Closing twice is fine."""
        if not self.closed:
            os.close(self.fd)
        super().close()


class _Sparse(Input):
    """A file whose bytes come when they are needed."""

    def __init__(self, fd: int, need: Callable[[int, int], None]) -> None:
        super().__init__(fd)
        self._need = need
        self._there: list[tuple[int, int]] = []

    def ready(self, start: int, end: int) -> None:
        """Ask for what is missing, a little more than that: the next read is most likely beside it."""
        for gap in self._gaps(start, end):
            low, high = gap
            if high - low < READ_BYTES:
                if high == self.size:
                    low = max(0, high - READ_BYTES)
                else:
                    high = min(self.size, low + READ_BYTES)
            self._need(low, high)
            self._there = _joined([*self._there, (low, high)])

    def _gaps(self, start: int, end: int) -> list[tuple[int, int]]:
        gaps = []
        for low, high in self._there:
            if high <= start or low >= end:
                continue
            if low > start:
                gaps.append((start, low))
            start = max(start, high)
        if start < end:
            gaps.append((start, end))
        return gaps


def _joined(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], high))
        else:
            joined.append((low, high))
    return joined


class _Line:
    """The socket: lines in through a thread of their own, so that its end is noticed in the middle of work."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lines: queue.SimpleQueue[tuple[dict[str, Any], list[int]]] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name="listen", daemon=True).start()

    def _listen(self) -> None:
        data, files = b"", list[int]()
        while True:
            try:
                more, fds, _, _ = socket.recv_fds(self._sock, 64 * 1024, MOST_FILES)
            except OSError:
                more, fds = b"", []
            if not more or len(data) > LINE_BYTES:
                os._exit(0)  # whoever asked is gone: nobody wants what is under way
            data += more
            files += fds
            while b"\n" in data:
                line, _, data = data.partition(b"\n")
                self._lines.put((json.loads(line), files))
                files = []

    def next(self, patience_s: float | None) -> tuple[dict[str, Any], list[int]]:
        """The next line with its files. `queue.Empty` after so many seconds."""
        return self._lines.get(timeout=patience_s)

    def send(self, message: Mapping[str, Any]) -> None:
        """A line back."""
        self._sock.sendall(json.dumps(message, allow_nan=False).encode() + b"\n")

    def need(self, start: int, end: int) -> None:
        """Have bytes of the first file brought."""
        self.send({"need": [start, end]})
        self.next(None)


def limit(memory: int, nice: int) -> None:
    """Take as little of the machine as possible. What a system does not know is left out."""
    with contextlib.suppress(OSError):
        os.nice(nice)
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    soft = memory if most == resource.RLIM_INFINITY else min(memory, most)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (soft, soft))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _cut_off()


def _cut_off() -> None:
    """A network of its own, with nobody in it, where the system lets anybody have one (Linux)."""
    import ctypes

    new_user, new_net = 0x10000000, 0x40000000
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).unshare(new_user | new_net)


def _cpu(seconds: float) -> None:
    """So many CPU seconds from here on, or the system ends this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))


def _task(does: Mapping[str, str], word: object) -> Task:
    module, _, name = does[str(word)].partition(":")
    found: Task = getattr(importlib.import_module(module), name)
    return found


def _answer(line: _Line, does: Mapping[str, str], request: Mapping[str, Any], fds: Sequence[int]) -> dict[str, Any]:
    files: list[Input] = []
    try:
        for fd in fds:
            files.append(_Sparse(fd, line.need) if request.get("sparse") and not files else Input(fd))
        return {"done": _task(does, request.get("do"))(request, files)}
    except Unreadable as exc:
        return {"refused": exc.code, "detail": str(exc)}
    except MemoryError:
        # What was held may be let go again, or not: a fresh process knows.
        return {"refused": "out-of-memory", "detail": "it takes more memory than the worker may use", "ends": True}
    except Exception as exc:
        # Whatever a library says of a file that it cannot read. Only the first line, and not its bytes.
        what = (str(exc).strip().splitlines() or [""])[0][:200]
        return {"refused": "unreadable-table", "detail": f"it cannot be read: {what or type(exc).__name__}"}
    finally:
        for file in files:
            file.close()


def serve(sock: socket.socket, does: Mapping[str, str], *, idle_s: float) -> None:
    """Answer one request after the other, until nobody asks for so long."""
    line = _Line(sock)
    while True:
        try:
            request, fds = line.next(idle_s)
        except queue.Empty:
            return
        _cpu(float(request.get("cpu_s", 60)))
        answer = _answer(line, does, request, fds)
        line.send(answer)
        if answer.get("ends"):
            return


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser("dorkyd.tables")
    parser.add_argument("--memory", type=int, required=True)
    parser.add_argument("--nice", type=int, default=19)
    parser.add_argument("--idle", type=float, default=60.0)
    parser.add_argument("--task", action="append", default=[], help="WORD=MODULE:FUNCTION, beside those it knows")
    given = parser.parse_args()
    sock = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    limit(given.memory, given.nice)
    more = dict(each.split("=", 1) for each in given.task)
    serve(sock, {**DOES, **more}, idle_s=given.idle)
    sys.stderr.flush()
    os._exit(0)
