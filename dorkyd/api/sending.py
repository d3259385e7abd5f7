"""A large body on its way to a client, past the event loop: a thread takes each chunk and gives it to the socket.

Chunk by chunk through the loop, each MiB costs two copies and two changes of threads, and the next is asked for only when the
last one is gone. HTTP is the protocol's as ever: it is told of so many bytes before the first of them goes, and whatever
keeps one of them from going ends the connection, so that no client can take a part for the whole.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import anyio
import h11
from anyio.to_thread import run_sync
from starlette.types import Scope

CONNECTION = "dorky-connection"
"""Where the state of a request has the connection it came on (`Connection`). A server of another make has none."""
LOOK_S = 0.25
"""How soon a thread whose client does not read notices that it is to end."""
SOCKET_BYTES = 1024 * 1024
"""So much may wait in the system for the client; the system may allow less."""


class Connection(Protocol):
    """What uvicorn's protocol has, as far as it is needed here."""

    transport: asyncio.Transport
    conn: h11.Connection
    flow: Any
    cycle: Any


class _Counted(Sequence[int]):
    """Stands for bytes that are sent elsewhere: h11 asks such data for its length alone (`send_with_data_passthrough`)."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, _index: Any) -> Any:
        raise NotImplementedError


class ClientGoneError(Exception):
    """Nobody takes the rest."""


def connection_of(scope: Scope) -> Connection | None:
    """The connection that a request came on, where one can send so."""
    found: Connection | None = scope.get("state", {}).get(CONNECTION)
    return found


class Sending:
    """One body of `count` bytes, the first that `chunks` gives. `run` once; `end` in any case, before `chunks` is closed."""

    def __init__(self, connection: Connection, chunks: Iterator[bytes | memoryview], count: int) -> None:
        self._connection = connection
        self._chunks = chunks
        self._left = count
        self._sock: socket.socket | None = None
        self._turn = threading.Lock()
        """Held by the thread while it runs."""
        self._unwanted = False

    async def run(self, limiter: anyio.CapacityLimiter) -> None:
        """After the headers: send all of it, on one thread. Raises what `chunks` raises, or `ClientGoneError`; the connection is
        at its end then.
        """
        connection = self._connection
        transport = connection.transport
        # What the protocol has written goes first: below this the buffer is empty.
        transport.set_write_buffer_limits(high=0)
        await connection.flow.drain()
        transport.set_write_buffer_limits()
        if connection.cycle.disconnected or transport.is_closing():
            raise ClientGoneError
        try:
            if transport.get_write_buffer_size():
                raise RuntimeError("what was written before has not gone yet")
            connection.conn.send_with_data_passthrough(h11.Data(data=_Counted(self._left)))  # type: ignore[arg-type]
            self._sock = transport.get_extra_info("socket").dup()
            await run_sync(self._send_all, self._sock, limiter=limiter, abandon_on_cancel=True)
        except BaseException:
            self._unwanted = True
            connection.cycle.disconnected = True
            transport.abort()
            raise

    def end(self) -> None:
        """From here on no thread uses `chunks`, one that has yet to begin included. Waits for one that runs."""
        self._unwanted = True
        with self._turn:
            if self._sock is not None:
                self._sock.close()

    def _send_all(self, sock: socket.socket) -> None:
        with self._turn:
            if self._unwanted:
                raise ClientGoneError
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
            sock.settimeout(LOOK_S)
            while self._left:
                chunk = next(self._chunks, None)
                if chunk is None:
                    raise EOFError(f"{self._left} bytes are missing")
                view = memoryview(chunk)[: self._left]
                self._send(sock, view)
                self._left -= len(view)

    def _send(self, sock: socket.socket, view: memoryview) -> None:
        while view:
            if self._unwanted:
                raise ClientGoneError
            try:
                view = view[sock.send(view) :]
            except TimeoutError:
                continue
            except OSError as exc:
                raise ClientGoneError from exc
