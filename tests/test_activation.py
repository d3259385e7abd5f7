"""Sockets handed over by a service manager: real descriptors, in this process at another number."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dorkyd.activation import passed_socket
from dorkyd.client import DorkyClient
from dorkyd.errors import Configuration
from tests.daemons import wait_until
from tests.e2e.commands import clean_env

FD = 700
"""Free here, where 3 is not."""


def handed(given: socket.socket, **changes: str) -> tuple[dict[str, str], socket.socket | None]:
    """What comes of a socket that stands at `FD`, and the environment afterwards."""
    os.dup2(given.fileno(), FD)
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x", "HOME": "/h", **changes}
    try:
        return environ, passed_socket(environ, first_fd=FD)
    finally:
        if changes:
            os.close(FD)


def listening(path: Path) -> socket.socket:
    """A socket that a client can connect to."""
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    made.listen()
    return made


def test_it_is_taken(tmp_path: Path) -> None:
    """It is the very socket, not inherited further; nobody whom we start believes the variables."""
    with listening(tmp_path / "s") as given:
        environ, found = handed(given)
        assert found is not None
        with found:
            assert (found.getsockname(), found.fileno()) == (str(tmp_path / "s"), FD)
            assert not os.get_inheritable(FD)
        assert environ == {"HOME": "/h"}


@pytest.mark.parametrize("changes", [{"LISTEN_PID": "1"}, {"LISTEN_FDS": "0"}, {"LISTEN_FDS": "x"}, {"LISTEN_PID": ""}])
def test_it_is_not_for_us(tmp_path: Path, changes: dict[str, str]) -> None:
    """Another process's, or none."""
    with listening(tmp_path / "s") as given:
        environ, found = handed(given, **changes)
    assert (environ, found) == ({"HOME": "/h"}, None)


@pytest.mark.parametrize("kind", ["connected", "datagram", "tcp", "abstract", "file", "two"])
def test_anything_else_is_refused(tmp_path: Path, kind: str) -> None:
    """Clients would not find us on it."""
    if kind == "file":
        fd = os.open(tmp_path, os.O_RDONLY)
        os.dup2(fd, FD)
        os.close(fd)
    else:
        kinds = {"tcp": (socket.AF_INET, socket.SOCK_STREAM), "datagram": (socket.AF_UNIX, socket.SOCK_DGRAM)}
        with socket.socket(*kinds.get(kind, (socket.AF_UNIX, socket.SOCK_STREAM))) as given:
            if kind == "abstract":
                given.bind(f"\0dorkyd-test-{os.getpid()}")
                given.listen()
            elif kind == "two":
                given.bind(str(tmp_path / "s"))
                given.listen()
                os.dup2(given.fileno(), FD + 1)
            os.dup2(given.fileno(), FD)
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2" if kind == "two" else "1"}
    with pytest.raises(Configuration, match="Socket activation"):
        passed_socket(environ, first_fd=FD)
    os.close(FD)
    if kind == "two":
        os.close(FD + 1)


AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.set_inheritable(3, True)
os.execve(sys.executable, [sys.executable, "-m", "dorkyd"], {**os.environ, "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})
"""


@pytest.mark.daemon
def test_a_daemon_serves_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that came before the daemon is answered; clients find it by its word; it stays when the daemon ends, and
    `stop` does not wait for it to go.
    """
    from dorkyd.cli.processes import stop

    home = tmp_path / "h"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("DORKY_HOME", str(home))
    with listening(tmp_path / "s") as given, (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", AS_SYSTEMD, str(given.fileno())],
            env=clean_env(DORKY_HOME=str(home)),
            pass_fds=[given.fileno()],
            stderr=log,
        )
        with DorkyClient(str(tmp_path / "s")) as client:
            client.health()
        word = home / "state" / "daemon.json"
        wait_until("it tells where it is", word.exists, 60)
        assert json.loads(word.read_text())["socket"] == str(tmp_path / "s")
        with DorkyClient() as client:
            assert str(client.place) == str(tmp_path / "s")
            threading.Thread(target=process.wait, daemon=True).start()
            stop(client)
        assert process.wait(30) == 0
        assert (tmp_path / "s").exists()
        assert not (home / "run" / "dorkyd.sock").exists()
