"""The line between a daemon and its store: a TCP proxy on 127.0.0.1 that breaks in every way that lines do.

    with wire(server.endpoint_url) as line:
        line.state = "silent"                            # or "refused", "reset"; "up" again when it is over
        line.pace = 40_000                               # bytes a second, either way, all connections together
        line.rule = lambda asked: Cut(at="reply")        # what happens to single requests
        daemon = RealDaemon(..., endpoint_url=line.url)

It understands as much HTTP/1.1 as it takes to know where a message's body begins. Signatures stay true, since the client
signs the line's own address, which is passed on as it is.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

_PIECE = 64 * 1024
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends RST."""

State = Literal["up", "refused", "reset", "silent"]
"""`refused`: nobody listens. `reset`: every connection ends at once with RST. `silent`: connections are accepted, and from
here on no byte passes, on those of before neither."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as it passes."""

    method: str
    path: str
    """Bucket and key, decoded."""
    query: dict[str, str]
    headers: dict[str, str]
    """Names in lower case."""

    @property
    def kind(self) -> str:
        """What a store does when it is asked this, by S3's names; the method alone where that tells."""
        match self.method:
            case "PUT" if "partNumber" in self.query:
                return "UploadPart"
            case "PUT" if "x-amz-copy-source" in self.headers:
                return "Copy"
            case "POST" if "uploads" in self.query:
                return "CreateMultipartUpload"
            case "POST" if "uploadId" in self.query:
                return "CompleteMultipartUpload"
            case "GET" if "list-type" in self.query:
                return "LIST"
            case _:
                return self.method

    @property
    def of_file(self) -> bool:
        """It is about an object that is somebody's file."""
        return "/.dorky/" not in self.path

    @property
    def size(self) -> int:
        """Bytes of its body."""
        return int(self.headers.get("content-length", 0))


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection ends. `up`, `down`: after so many bytes (`after`) of the body that goes that way; `reply`: once the
    store has done all that was asked and begins to say so, none of which passes.
    """

    at: Literal["up", "down", "reply"]
    after: int = 0
    rst: bool = True
    """Otherwise it ends in order (FIN)."""

    @property
    def name(self) -> str:
        """For the counts."""
        return f"cut {self.at} {'rst' if self.rst else 'fin'}"


@dataclass(frozen=True, slots=True)
class Flip:
    """One byte of a body is another on the other side."""

    way: Literal["up", "down"]
    offset: int = 0

    @property
    def name(self) -> str:
        """For the counts."""
        return f"flip {self.way}"


@dataclass(frozen=True, slots=True)
class Hush:
    """The connection stays open and says nothing more, `at` as for `Cut`."""

    at: Literal["up", "down", "reply"]
    after: int = 0

    @property
    def name(self) -> str:
        """For the counts."""
        return f"hush {self.at}"


@dataclass(frozen=True, slots=True)
class Wait:
    """The request is held for so long before it passes."""

    seconds: float
    name: str = "delay"


Fault = Cut | Flip | Hush | Wait
Rule = Callable[[Asked], Fault | None]
"""None: the request passes. Called once for each."""


class _Ended(Exception):
    """The connection was ended on purpose."""


@dataclass(slots=True)
class Wire:
    """A running line. Every attribute may be changed at any time, from any thread."""

    url: str
    target: tuple[str, int]
    rule: Rule = field(default=lambda _: None)
    pace: int | None = None
    injected: Counter[str] = field(default_factory=Counter)
    """Faults that happened, by name."""
    asked: list[Asked] = field(default_factory=list)
    """Every request, in the order in which they came."""
    _state: State = "up"
    _listener: socket.socket | None = None
    _port: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _paced: float = 0.0
    _open: set[socket.socket] = field(default_factory=set)
    _closing: threading.Event = field(default_factory=threading.Event)

    # --- the line as a whole ------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """As last set."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        before, self._state = self._state, state
        if state != "up":
            self.injected[state] += 1
        if state in {"refused", "reset"}:
            self.hang_up()
        if before == "silent":
            # What was swallowed is gone: such a connection can never be right again.
            self.hang_up()
        if state == "refused":
            self._stop_listening()
        elif self._listener is None:
            self._listen()

    def hang_up(self, *, rst: bool = True) -> None:
        """End every connection that is open now."""
        with self._lock:
            there, self._open = self._open, set()
        for each in there:
            _end(each, rst=rst)

    def begin(self) -> None:
        """Listen, on a free port."""
        self._listen()

    def close(self) -> None:
        """End."""
        self._closing.set()
        self._stop_listening()
        self.hang_up()

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self._port), backlog=256)
        self._port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            # A thread that waits in accept is woken by shutdown, not by close.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # closed
                return
            if self._state == "reset":
                self.injected["reset"] += 1
                _end(client, rst=True)
                continue
            try:
                server = socket.create_connection(self.target, timeout=30)
            except OSError:  # the server is down: so is what stands for it
                _end(client, rst=True)
                continue
            server.settimeout(None)
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open |= {client, server}
            both = _Exchange(self, client, server)
            for work in (both.up, both.down):
                threading.Thread(target=work, daemon=True).start()

    # --- for the connections ------------------------------------------------------------------------------------

    def judge(self, asked: Asked) -> Fault | None:
        """What happens to this request."""
        self.asked.append(asked)
        return self.rule(asked)

    def count(self, fault: Fault) -> None:
        """It happened."""
        with self._lock:
            self.injected[fault.name] += 1

    def hold(self, count: int) -> None:
        """Wait until so many bytes may pass."""
        pace = self.pace
        if pace is None:
            return
        with self._lock:
            now = time.monotonic()
            self._paced = max(self._paced, now) + count / pace
            until = self._paced
        self._closing.wait(max(0.0, until - now))

    def gone(self, *sockets: socket.socket) -> None:
        """A connection ended."""
        with self._lock:
            self._open -= set(sockets)


class _Exchange:
    """One connection: requests one way, replies the other. `fault` is that of the request under way."""

    def __init__(self, line: Wire, client: socket.socket, server: socket.socket) -> None:
        self._line, self._client, self._server = line, client, server
        self._fault: Fault | None = None
        self._asked: Asked | None = None

    def up(self) -> None:
        """Carry requests."""
        self._carry(self._client, self._server, self._up)

    def down(self) -> None:
        """Carry replies."""
        self._carry(self._server, self._client, self._down)

    def _carry(
        self, source: socket.socket, goal: socket.socket, work: Callable[[_Stream, socket.socket], None]
    ) -> None:
        rst = False
        try:
            work(_Stream(source), goal)
        except _Ended as ended:
            rst = ended.args[0]
        except OSError:  # either side may go at any time: that is what it is for
            rst = True
        except ValueError:  # not the HTTP that we know: nobody should rest a test on it
            self._line.injected["misread"] += 1
            rst = True
        for each in (source, goal):
            _end(each, rst=rst)
        self._line.gone(source, goal)

    def _up(self, stream: _Stream, goal: socket.socket) -> None:
        while head := stream.head():
            asked = _asked(head)
            self._asked, self._fault = asked, self._line.judge(asked)
            if isinstance(self._fault, Wait):
                self._line.count(self._fault)
                self._line._closing.wait(self._fault.seconds)
            self._send(goal, head)
            self._body(stream, goal, asked.size, "up", self._fault)
            if stream.ended:
                return

    def _down(self, stream: _Stream, goal: socket.socket) -> None:
        while head := stream.head():
            status = int(head.split(b" ", 2)[1])
            if status < 200:
                self._send(goal, head)
                continue
            # Now: whoever has this head, or the body's last byte, may send the next request.
            asked, fault = self._asked, self._fault
            if isinstance(fault, Cut | Hush) and fault.at == "reply":
                self._break(fault)
            self._send(goal, head)
            headers = _headers(head)
            if (asked is not None and asked.method == "HEAD") or status in {204, 304}:
                continue
            if "chunked" in headers.get("transfer-encoding", ""):
                self._chunks(stream, goal, fault)
            else:
                self._body(stream, goal, int(headers.get("content-length", 0)), "down", fault)
            if stream.ended:
                return

    def _chunks(self, stream: _Stream, goal: socket.socket, fault: Fault | None) -> None:
        while True:
            line = stream.line()
            self._send(goal, line)
            left = int(line.split(b";")[0], 16)
            self._body(stream, goal, left + 2, "down", fault)
            if left == 0:
                return

    def _body(self, stream: _Stream, goal: socket.socket, length: int, way: str, fault: Fault | None) -> None:
        at = 0
        while at < length:
            piece = stream.some(min(_PIECE, length - at))
            if not piece:
                return
            end = at + len(piece)
            if isinstance(fault, Cut | Hush) and fault.at == way and at <= fault.after < end:
                self._send(goal, piece[: fault.after - at])
                self._break(fault)
            if isinstance(fault, Flip) and fault.way == way and at <= fault.offset < end:
                self._line.count(fault)
                changed = bytearray(piece)
                changed[fault.offset - at] ^= 0x20
                piece = bytes(changed)
            self._send(goal, piece)
            at = end

    def _send(self, goal: socket.socket, data: bytes) -> None:
        if self._line.state == "silent":
            self._line.injected["swallowed"] += 1
            self._hush()
        self._line.hold(len(data))
        goal.sendall(data)

    def _break(self, fault: Cut | Hush) -> None:
        self._line.count(fault)
        if isinstance(fault, Cut):
            raise _Ended(fault.rst)
        self._hush()

    def _hush(self) -> None:
        """Until the line is closed, or this connection by either end."""
        while not self._line._closing.wait(0.1):
            if self._client not in self._line._open:
                break
        raise _Ended(True)


class _Stream:
    """Bytes of one direction, by heads and bodies."""

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._held = b""
        self.ended = False

    def _more(self) -> bool:
        data = self._source.recv(_PIECE)
        self._held += data
        self.ended = not data
        return bool(data)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._held:
            if not self._more():
                return b""
        at = self._held.index(mark) + len(mark)
        found, self._held = self._held[:at], self._held[at:]
        return found

    def head(self) -> bytes:
        """A message's first line and headers; empty when the connection ended."""
        return self._until(b"\r\n\r\n")

    def line(self) -> bytes:
        """Up to the end of the line."""
        return self._until(b"\r\n")

    def some(self, most: int) -> bytes:
        """What is there, at least one byte; empty when the connection ended."""
        if not self._held and not self._more():
            return b""
        found, self._held = self._held[:most], self._held[most:]
        return found


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}


def _asked(head: bytes) -> Asked:
    method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
    url = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
    return Asked(method, unquote(url.path), query, _headers(head))


def _end(connection: socket.socket, *, rst: bool) -> None:
    with contextlib.suppress(OSError):  # it ended by itself
        if rst:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        # Another thread may wait in it, and keeps it open for so long: only shutdown wakes that.
        connection.shutdown(socket.SHUT_RD if rst else socket.SHUT_RDWR)
    connection.close()


def once(kind: str, fault: Fault, *, of_file: bool | None = None) -> Rule:
    """The first request of that kind goes wrong; all others pass."""
    return first(1, fault, lambda asked: asked.kind == kind and of_file in {None, asked.of_file})


def first(count: int, fault: Fault, when: Callable[[Asked], bool]) -> Rule:
    """The first so many requests of that kind go wrong."""
    left, lock = [fault] * count, threading.Lock()

    def rule(asked: Asked) -> Fault | None:
        with lock:
            return left.pop() if left and when(asked) else None

    return rule


@contextlib.contextmanager
def wire(endpoint_url: str) -> Iterator[Wire]:
    """Run one in front of a server until the block ends."""
    target = urlsplit(endpoint_url)
    assert target.hostname is not None
    assert target.port is not None
    line = Wire("", (target.hostname, target.port))
    line.begin()
    try:
        yield line
    finally:
        line.close()
