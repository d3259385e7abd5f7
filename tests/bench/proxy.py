"""A TCP proxy in front of a server that counts what clients send, and can keep back the reply to a completed upload."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_PIECE = 256 * 1024


class Proxy:
    """A context manager; listens on 127.0.0.1 while inside."""

    def __init__(self, endpoint_url: str) -> None:
        target = urlsplit(endpoint_url)
        assert target.hostname is not None
        assert target.port is not None
        self._target = (target.hostname, target.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent = 0
        """Bytes clients sent so far: bodies, headers and all."""
        self.hold_completion_of: str | None = None
        """Keep back everything the server says on a connection that asked it to complete an upload to this path."""
        self.held = threading.Event()
        """A reply was kept back: the server has done it, and the client does not know."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None, _at: TracebackType | None
    ) -> None:
        # A thread that waits in accept is woken by shutdown, not by close.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._end()

    def stop_holding(self) -> int:
        """The client is gone: forget its connections, and hold nothing from here on. Returns `sent` until now."""
        self.hold_completion_of = None
        self._end()
        return self.sent

    def _end(self) -> None:
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):  # it ended by itself
                    each.shutdown(socket.SHUT_RDWR)
            self._open.clear()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            server = socket.create_connection(self._target)
            with self._lock:
                self._open |= {client, server}
            completing = threading.Event()
            for work in (self._up, self._down):
                threading.Thread(target=work, args=(client, server, completing), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket, completing: threading.Event) -> None:
        with contextlib.suppress(OSError):  # either side may go at any time: that is what it is for
            while piece := client.recv(_PIECE):
                with self._lock:
                    self.sent += len(piece)
                key = self.hold_completion_of
                if key is not None and re.search(
                    rb"^POST %s\?\S*uploadId=" % re.escape(key.encode()), piece, re.MULTILINE
                ):
                    completing.set()
                server.sendall(piece)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_WR)

    def _down(self, client: socket.socket, server: socket.socket, completing: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while piece := server.recv(_PIECE):
                if completing.is_set():
                    # A server may send blanks while it completes: only an ending is an answer.
                    if b"</CompleteMultipartUploadResult>" in piece:
                        self.held.set()
                    continue
                client.sendall(piece)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_WR)
        with self._lock:
            self._open -= {client, server}
        client.close()
        server.close()
