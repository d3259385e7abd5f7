"""Notifications reach a real datagram socket, and never disturb the daemon."""

from __future__ import annotations

import os
import pathlib
import socket
import sys
import uuid
from collections.abc import Iterator

import pytest

from dorkyd.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def ear(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[tuple[socket.socket, str]]:
    """What systemd listens on, and what it calls it."""
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("abstract names are Linux's")
    name = str(tmp_path / "notify") if request.param == "path" else f"@dorkyd-{uuid.uuid4().hex}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0", 1) if request.param == "abstract" else name)
        sock.settimeout(10)
        yield sock, name


def test_messages(ear: tuple[socket.socket, str]) -> None:
    """Each call sends its assignment as one datagram."""
    sock, name = ear
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready()
    notifier.status("3 projects, all in sync")
    notifier.watchdog()
    notifier.stopping()
    assert [sock.recv(999) for _ in range(4)] == [
        b"READY=1",
        b"STATUS=3 projects, all in sync",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]


def test_reloading_tells_the_time(ear: tuple[socket.socket, str]) -> None:
    """Reloading carries the monotonic time in microseconds, as Type=notify-reload wants it."""
    sock, name = ear
    Notifier({"NOTIFY_SOCKET": name}).reloading()
    first, second = sock.recv(999).decode().split("\n")
    assert first == "RELOADING=1"
    assert second.removeprefix("MONOTONIC_USEC=").isdigit()


def test_status_is_one_assignment(ear: tuple[socket.socket, str]) -> None:
    """A text with line breaks, as from a file's name, cannot smuggle in another assignment; odd characters may come."""
    sock, name = ear
    Notifier({"NOTIFY_SOCKET": name}).status("in sync\nSTOPPING=1 \udcff")
    assert sock.recv(999) == b"STATUS=in sync STOPPING=1 ?"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/notify"}])
def test_nobody_listens(environment: dict[str, str]) -> None:
    """Without a socket, or with a dead one, nothing happens."""
    notifier = Notifier(environment)
    notifier.ready()
    notifier.reloading()
    notifier.status("x")
    notifier.watchdog()
    notifier.stopping()


def test_a_full_queue_does_not_block(ear: tuple[socket.socket, str]) -> None:
    """When systemd does not read, messages are dropped and the daemon goes on."""
    notifier = Notifier({"NOTIFY_SOCKET": ear[1]})
    for _ in range(2000):  # the default queue of a datagram socket holds some ten
        notifier.watchdog()


@pytest.mark.parametrize(
    ("watch", "interval_s"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_watchdog_interval(watch: dict[str, str], interval_s: float | None) -> None:
    """The interval is half of WATCHDOG_USEC, when that is meant for this process."""
    assert Notifier({"NOTIFY_SOCKET": "/run/notify"} | watch).watchdog_interval_s == interval_s
    assert Notifier(watch).watchdog_interval_s is None
