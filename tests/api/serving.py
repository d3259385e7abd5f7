"""A real server on a real socket, over a fake daemon."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from dorkyd.api.server import ApiServer
from dorkyd.control import NewProject
from tests.api.fakes import FakeDaemon, FakeProject

DEADLINE_S = 20.0


@dataclass(slots=True)
class Served:
    """What a test talks to."""

    home: Path
    daemon: FakeDaemon
    project: FakeProject
    server: ApiServer
    http: httpx2.Client

    @property
    def socket(self) -> str:
        return str(self.home / "run" / "dorkyd.sock")


def http_client(socket_path: str) -> httpx2.Client:
    """A plain HTTP client, as any other program would be."""
    return httpx2.Client(
        transport=httpx2.HTTPTransport(uds=socket_path, verify=False),
        base_url="http://dorkyd",
        timeout=DEADLINE_S,
    )


@contextlib.contextmanager
def serving() -> Iterator[Served]:
    """One project `api` whose folder is `<home>/code`; the home's path is short, as sockets want it."""
    home = Path(os.path.realpath(tempfile.mkdtemp(prefix="dk")))
    (home / "code").mkdir()
    daemon = FakeDaemon()
    project = daemon.add(NewProject(str(home / "code"), "s3://acme/api", "api"))
    server = ApiServer(daemon, str(home / "run" / "dorkyd.sock"), os.getuid())
    server.start()
    try:
        with http_client(str(home / "run" / "dorkyd.sock")) as http:
            yield Served(home, daemon, project, server, http)
    finally:
        project.hold.set()
        server.stop()
        shutil.rmtree(home)


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition that another thread brings about."""
    tick = threading.Event()
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        tick.wait(0.01)


LEAK = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""For tests that connect to nothing: httpcore2 2.16 leaves the socket of a refused connection to the collector."""


@pytest.fixture
def collected() -> Iterator[None]:
    """Collect such sockets while their warning is ignored, not in whatever test comes next."""
    yield
    gc.collect()
