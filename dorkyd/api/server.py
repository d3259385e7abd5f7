"""Serving: one socket, one thread, one event loop. And our own Unix socket, which is always served.

Only this user may speak to that. It is 0600 in a 0700 directory, and each connection's peer is asked for its uid,
because a directory's mode can be changed by mistake and a kernel's answer cannot. Nothing here forks.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import stat
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from starlette.types import ASGIApp
from uvicorn import Config, Server

from dorkyd.api.connections import HEADERS_S, only_from
from dorkyd.api.gate import Gate
from dorkyd.api.routes import build_app
from dorkyd.api.streams import Feeds
from dorkyd.control import DaemonControl
from dorkyd.errors import Busy, Configuration, DorkyError
from dorkyd.private import make_private

_log = logging.getLogger("dorkyd.api")

LONGEST_SOCKET_BYTES = 100
"""The kernel refuses paths over about 107 bytes (104 on macOS), with a message that helps nobody."""
BACKLOG = 512
"""Connections that the kernel holds until they are accepted: so many come at once."""
START_S = 10.0
STOP_S = 10.0
GRACE_S = 2
"""How long requests under way may still take when the server stops."""


class Serving:
    """Serves `control` on one socket. Started once, stopped once (again does nothing).

    `admit` stands before the application: whoever it turns away has reached nothing.
    """

    def __init__(
        self,
        control: DaemonControl,
        protocol: type[asyncio.Protocol],
        *,
        name: str = "api",
        admit: Callable[[ASGIApp], ASGIApp] = lambda app: app,
    ) -> None:
        self._feeds = Feeds(control)
        config = Config(
            admit(Gate(build_app(control, self._feeds))),
            http=protocol,
            ws="none",
            backlog=BACKLOG,
            timeout_keep_alive=int(HEADERS_S),
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._server = _Announcing(config, self._feeds)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._socket: socket.socket | None = None
        self._failure: BaseException | None = None

    def bind(self) -> socket.socket:
        """A bound socket that nobody listens on yet."""
        raise NotImplementedError

    def start(self) -> None:
        """Bind and serve; returns when requests are answered. Raises what `bind` does."""
        self._socket = self.bind()
        self._thread.start()
        if not self._server.announced.wait(START_S) or self._failure is not None:
            self.stop()
            raise DorkyError("The API server did not start.", code="api-start") from self._failure

    def stop(self) -> None:
        """End streams, let requests finish for `GRACE_S`, and close the socket."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(STOP_S)
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self.closed()

    def closed(self) -> None:
        """The socket was just closed."""

    def _run(self) -> None:
        assert self._socket is not None
        try:
            self._server.run(sockets=[self._socket])
        except (Exception, SystemExit) as exc:  # handed to start(), which waits for it
            self._failure = exc
        finally:
            self._server.announced.set()


class ApiServer(Serving):
    """Serves on `socket_path` to `allowed_uid`."""

    def __init__(
        self,
        control: DaemonControl,
        socket_path: str,
        allowed_uid: int,
        *,
        headers_s: float = HEADERS_S,
        given: socket.socket | None = None,
    ) -> None:
        """`given`: a socket that a service manager listens on, instead of one at `socket_path`; it stays the manager's."""
        super().__init__(control, only_from(allowed_uid, headers_s=headers_s))
        self._given = given
        self._socket_path = socket_path
        self._identity: tuple[int, int] | None = None

    @property
    def path(self) -> str:
        """Where clients connect. Before it is stopped."""
        return self._socket_path if self._given is None else str(self._given.getsockname())

    def bind(self) -> socket.socket:
        """Raises `Busy` when a daemon answers on the socket, `Configuration` when the path cannot be a socket."""
        if self._given is not None:
            return self._given
        bound = bind(self._socket_path)
        self._identity = _identity(self._socket_path)
        return bound

    @property
    def is_there(self) -> bool:
        """Whether clients find it where they look. A service manager sees to its own."""
        return self._given is not None or _identity(self._socket_path) == self._identity

    def closed(self) -> None:
        """Unlink it. Whatever stands there now and is not ours belongs to a daemon that started since."""
        if self._given is None and _identity(self._socket_path) == self._identity:
            Path(self._socket_path).unlink()


class SocketDoor:
    """The server on the socket, which comes back when its file is removed: a logout takes the runtime directory along, and a cleaner
    what it thinks old. Without it nobody could reach the daemon, nor end it, nor start another. From one thread.
    """

    def __init__(
        self, control: DaemonControl, socket_path: str, allowed_uid: int, *, given: socket.socket | None = None
    ) -> None:
        self._make = partial(ApiServer, control, socket_path, allowed_uid, given=given)
        self._server = self._make()
        self._trouble = ""

    @property
    def path(self) -> str:
        """Where clients connect."""
        return self._server.path

    def start(self) -> None:
        """As `Serving.start`."""
        self._server.start()

    def stop(self) -> None:
        """As `Serving.stop`."""
        self._server.stop()

    def follow(self) -> None:
        """Serve where clients look. What failed is told in the log once, and tried again with the next call."""
        if self._server.is_there:
            return
        former, successor = self._server, self._make()
        try:
            successor.start()
        except (DorkyError, OSError) as exc:
            if str(exc) != self._trouble:
                _log.warning("verb=serve outcome=failed detail=%s", exc)
            self._trouble = str(exc)
            return
        self._server, self._trouble = successor, ""
        _log.warning("verb=serve outcome=again socket=%s detail=its file was removed", successor.path)
        former.stop()


class _Announcing(Server):
    """Says when it serves, and ends the streams before it waits for requests to finish."""

    def __init__(self, config: Config, feeds: Feeds) -> None:
        super().__init__(config)
        self._feeds = feeds
        self.announced = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.announced.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._feeds.end()
        await super().shutdown(sockets)


def bind(path: str) -> socket.socket:
    """A bound socket at `path`, mode 0600, in a directory of mode 0700; a dead daemon's socket is cleared away."""
    if len(os.fsencode(path)) > LONGEST_SOCKET_BYTES:
        raise Configuration(
            f"The socket's path is longer than {LONGEST_SOCKET_BYTES} bytes, which the system refuses: {path}",
            hint="Set DORKY_HOME or XDG_RUNTIME_DIR to a shorter directory.",
            code="socket-path-too-long",
        )
    make_private(Path(path).parent)
    _clear_stale(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(path)
        # Not by umask, which other threads share: until listen() nobody can connect, and only we can reach it here.
        Path(path).chmod(0o600)
    except OSError as exc:
        bound.close()
        raise Configuration(
            f"The socket cannot be made at {path}: {exc.strerror}",
            hint="Set DORKY_HOME or XDG_RUNTIME_DIR to a directory that can hold sockets.",
            code="socket-path",
        ) from exc
    return bound


def _clear_stale(path: str) -> None:
    try:
        seen = os.lstat(path)
    except FileNotFoundError:
        return
    if seen.st_uid != os.geteuid():
        raise Configuration(
            f"Something of another user stands at {path}",
            hint="Remove it, then start the daemon again.",
            code="socket-path",
        )
    if not stat.S_ISSOCK(seen.st_mode):
        raise Configuration(
            f"Something that is not a socket stands at {path}",
            hint="Move it away, then start the daemon again.",
            code="socket-path",
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(START_S)
        refused = probe.connect_ex(path)
    if refused == errno.ECONNREFUSED:
        with contextlib.suppress(FileNotFoundError):
            Path(path).unlink()
    elif refused != errno.ENOENT:
        # Anything but a refusal may be a daemon that is only slow: its socket is not ours to remove.
        raise Busy(
            f"A dorkyd already answers on {path}",
            hint="Run `dorkyctl status` to see it, or `dorkyctl stop` to end it.",
            code="already-running",
        )


def _identity(path: str) -> tuple[int, int] | None:
    try:
        seen = os.lstat(path)
    except OSError:
        return None  # whoever looks for it does not find it either
    return seen.st_dev, seen.st_ino
