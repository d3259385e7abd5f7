"""The API over TCP: off unless configured, on the loopback alone, and behind a token that lies in a file of ours."""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
import stat
from pathlib import Path

from dorkyd.api.admission import only_with
from dorkyd.api.connections import only_from
from dorkyd.api.server import BACKLOG, Serving
from dorkyd.control import DaemonControl
from dorkyd.core.report import Warning
from dorkyd.core.settings import Listen
from dorkyd.errors import Configuration, DorkyError

_log = logging.getLogger("dorkyd.api.tcp")

TOKEN_BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{32,512}=*")
"""What a bearer token may be (RFC 6750, section 2.1), and long enough that nobody guesses it."""


class TcpServer(Serving):
    """Serves on a socket that listens already, to whoever has `token`."""

    def __init__(self, control: DaemonControl, listening: socket.socket, token: str) -> None:
        super().__init__(control, only_from(None), name="api-tcp", admit=only_with(token))
        self._listening = listening

    def bind(self) -> socket.socket:
        """It is."""
        return self._listening


class TcpDoor:
    """The TCP server as the configuration wants it now. From one thread.

    Files go on being synced whatever becomes of it: what is wrong with it is a warning.
    """

    def __init__(self, control: DaemonControl, token_file: Path) -> None:
        self._control = control
        self._token_file = token_file
        self._server: TcpServer | None = None
        self._listen: Listen | None = None
        """Where it is served."""
        self.trouble: Warning | None = None
        """Why it is not served though it should be; None: all is well. Read from any thread."""

    def follow(self, listen: Listen | None) -> None:
        """Serve there, or (None) nowhere. What failed is tried again with the next call."""
        if listen == self._listen and self._server is not None:
            return
        self.close()
        try:
            if listen is not None:
                self._server = self._serving(listen)
                self._listen = listen
                _log.info("verb=listen address=%s outcome=done", listen)
            self.trouble = None
        except DorkyError as exc:
            self.trouble = Warning("listen", str(exc), exc.hint)

    def _serving(self, listen: Listen) -> TcpServer:
        token = token_in(self._token_file)
        # First of all: this is what fails, and is tried again every few seconds.
        listening = listen_on(listen)
        server = TcpServer(self._control, listening, token)
        server.start()
        return server

    def close(self) -> None:
        """Serve no longer."""
        if self._server is not None:
            self._server.stop()
        self._server, self._listen = None, None


def listen_on(listen: Listen) -> socket.socket:
    """A socket that listens. `Configuration` when the address is taken, or is none of this machine's."""
    bound = socket.socket(socket.AF_INET6 if ":" in listen.host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        # Connections of a daemon that just ended linger; without this nobody could listen for a minute.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((listen.host, listen.port))
        bound.listen(BACKLOG)
    except OSError as exc:
        bound.close()
        raise Configuration(
            f"The API cannot be served on {listen}: {exc.strerror}",
            hint="Set `listen` to another port in the configuration, or end what uses this one.",
            code="listen",
        ) from exc
    return bound


def token_in(file: Path) -> str:
    """The token in `file`, which is made with mode 0600 when there is none. In a directory of ours.

    `Configuration` when others could have read it, or when it is no token.
    """
    try:
        return _read(file)
    except FileNotFoundError:
        pass
    # Whole before it has its name: a client may read it at any time.
    staged = file.with_name(f"{file.name}.tmp")
    try:
        staged.unlink(missing_ok=True)
        fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as out:
            out.write(secrets.token_urlsafe(TOKEN_BYTES) + "\n")
        staged.replace(file)
    except OSError as exc:
        raise Configuration(
            f"The token cannot be made at {file}: {exc.strerror}", hint="Make room there.", code="token"
        ) from exc
    return _read(file)


def _read(file: Path) -> str:
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise _unusable(file, exc.strerror or "it cannot be read") from exc
    with os.fdopen(fd, "rb") as opened:
        seen = os.fstat(fd)
        if not stat.S_ISREG(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & 0o077:
            raise _unusable(file, "others may have read it; it must be a file of yours with mode 0600")
        text = opened.read(1024).decode("ascii", "replace").strip()
    if not _TOKEN.fullmatch(text):
        raise _unusable(file, "it holds no token, which is one line of at least 32 letters and digits")
    return text


def _unusable(file: Path, why: str) -> Configuration:
    return Configuration(
        f"The token in {file} cannot be used: {why}",
        hint="Remove the file: a new token is made.",
        code="token",
    )
