"""Sockets that a service manager opened for us before it started us (sd_listen_fds(3)).

It listens while the daemon does not run, so that a client's first request starts it. Such a socket is the manager's: it is not
bound again, and its file is not ours to unlink.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

from dorkyd.errors import Configuration

FIRST_FD = 3
VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
_PATHS = (socket.SOCK_STREAM, socket.AF_UNIX)


def passed_socket(environ: MutableMapping[str, str], *, first_fd: int = FIRST_FD) -> socket.socket | None:
    """The socket that was handed over, already listening; None: none was, or they were meant for another process.

    Takes the variables out of `environ`, so that no program that we start believes them. `Configuration` when what came is not
    exactly one listening stream socket with a path: clients could not find us.
    """
    pid, count = environ.get("LISTEN_PID", ""), environ.get("LISTEN_FDS", "")
    for name in VARIABLES:
        environ.pop(name, None)
    if pid != str(os.getpid()) or not count.isdecimal() or not int(count):
        return None
    for fd in range(first_fd, first_fd + int(count)):
        os.set_inheritable(fd, False)
    if int(count) > 1:
        raise _wrong(f"{count} sockets were handed over")
    try:
        given = socket.socket(fileno=first_fd)
    except OSError as exc:
        raise _wrong("what was handed over is no socket") from exc
    if (given.type, given.family) != _PATHS or not _listens(given) or not _path(given):
        given.detach()
        raise _wrong("what was handed over is not a listening Unix stream socket with a path")
    return given


def _listens(given: socket.socket) -> bool:
    try:
        return bool(given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        # macOS has no such option for Unix sockets; there a connected one is known by its peer.
        return True


def _path(given: socket.socket) -> bool:
    name = given.getsockname()
    return isinstance(name, str) and name.startswith("/")


def _wrong(what: str) -> Configuration:
    return Configuration(
        f"Socket activation: {what}.",
        hint="The socket unit needs exactly one ListenStream= with an absolute path, and Accept=no.",
        code="socket-activation",
    )
