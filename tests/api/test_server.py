"""The socket: who may speak, what stands in the way, what stopping leaves."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from starlette.types import Message, Receive, Scope, Send

from dorkyd.api.gate import Gate
from dorkyd.api.server import ApiServer, SocketDoor
from dorkyd.errors import Busy, Configuration
from dorkyd.peer import peer_uid
from tests.api.fakes import FakeDaemon, file_item
from tests.api.serving import DEADLINE_S, Served, eventually, http_client


def test_modes(served: Served) -> None:
    """The socket is 0600 in a 0700 directory."""
    assert stat.S_IMODE(Path(served.socket).stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(served.socket).parent.stat().st_mode) == 0o700


def test_loose_directory_is_tightened(tmp_path: Path) -> None:
    """A socket directory that others could enter is closed to them, whatever the umask says."""
    run = tmp_path / "r"
    run.mkdir()
    run.chmod(0o777)
    server = ApiServer(FakeDaemon(), str(run / "s"), os.getuid())
    server.start()
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    server.stop()


def test_another_uid_is_refused(tmp_path: Path) -> None:
    """A peer with another uid is hung up on without an answer."""
    server = ApiServer(FakeDaemon(), str(tmp_path / "s"), os.getuid() + 1)
    server.start()
    try:
        with http_client(str(tmp_path / "s")) as http, pytest.raises(httpx2.TransportError):
            http.get("/v1/health")
    finally:
        server.stop()


def test_peer_uid() -> None:
    """The kernel tells the uid of the other end."""
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        assert peer_uid(left) == os.getuid()


def test_stale_socket_is_cleared(tmp_path: Path) -> None:
    """The socket of a daemon that died is cleared away at start."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = ApiServer(FakeDaemon(), str(path), os.getuid())
    server.start()
    with http_client(str(path)) as http:
        assert http.get("/v1/health").status_code == 200
    server.stop()


def test_live_socket_is_left_alone(served: Served) -> None:
    """A second server on a live socket is `Busy`, and the first goes on."""
    with pytest.raises(Busy):
        ApiServer(FakeDaemon(), served.socket, os.getuid()).start()
    assert served.http.get("/v1/health").status_code == 200


def test_other_file_is_left_alone(tmp_path: Path) -> None:
    """Something that is not a socket is never removed."""
    (tmp_path / "s").write_text("mine")
    with pytest.raises(Configuration):
        ApiServer(FakeDaemon(), str(tmp_path / "s"), os.getuid()).start()
    assert (tmp_path / "s").read_text() == "mine"


def test_long_path(tmp_path: Path) -> None:
    """A socket path over 100 bytes is refused with the remedy."""
    with pytest.raises(Configuration) as refused:
        ApiServer(FakeDaemon(), str(tmp_path / ("x" * 100)), os.getuid()).start()
    assert "DORKY_HOME" in refused.value.hint


def test_stop_unlinks_and_ends_streams(served: Served) -> None:
    """Stopping ends an open stream in an orderly way, unsubscribes it and unlinks the socket."""
    with served.http.stream("GET", "/v1/events") as response:
        lines = response.iter_lines()
        assert next(lines) == "event: status"
        stopping = threading.Thread(target=served.server.stop)
        stopping.start()
        rest = list(lines)
        stopping.join(DEADLINE_S)
    assert rest[0].startswith("data: ")
    assert not Path(served.socket).exists()
    assert served.daemon.listeners == []


def test_a_request_that_the_end_cuts_off() -> None:
    """A stopping server cancels what is under way: that is a problem document, and may be asked again."""
    told: list[Message] = []

    async def under_way(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await asyncio.Event().wait()

    async def said(message: Message) -> None:
        told.append(message)

    async def nothing() -> Message:
        return {"type": "http.request"}

    async def ask() -> None:
        scope = {"type": "http", "method": "PUT", "raw_path": b"/", "query_string": b"", "headers": []}
        asking = asyncio.create_task(Gate(under_way)(scope, nothing, said))
        await asyncio.sleep(0)
        asking.cancel()
        await asking

    asyncio.run(ask())
    start, body = told
    headers = dict(start["headers"])
    assert (start["status"], headers[b"content-type"]) == (503, b"application/problem+json")
    assert int(headers[b"retry-after"]) > 0
    assert json.loads(body["body"])["code"] == "stopping"


def test_a_successor_keeps_its_socket(served: Served) -> None:
    """Stopping leaves a socket alone that another daemon put in the place of ours."""
    Path(served.socket).unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(served.socket)
        served.server.stop()
        assert Path(served.socket).exists()


def test_a_socket_that_is_removed_comes_back(tmp_path: Path) -> None:
    """A logout removes the runtime directory: a daemon that lives on must be found again, or nobody could even end it."""
    path = tmp_path / "run" / "s"
    door = SocketDoor(FakeDaemon(), str(path), os.getuid())
    door.start()
    try:
        door.follow()
        path.unlink()
        path.parent.rmdir()
        path.parent.write_text("in the way")
        door.follow()
        path.parent.unlink()
        door.follow()
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        with http_client(str(path)) as http:
            assert http.get("/v1/health").json()["status"] == "ok"
    finally:
        door.stop()
    assert not path.exists()


def test_many_at_once(served: Served) -> None:
    """64 requests at one time are all answered."""
    served.project.files_held = [file_item(f"f{n:03}") for n in range(100)]

    def ask(_: int) -> int:
        with http_client(served.socket) as http:
            return len(http.get("/v1/projects/api/files").json()["items"])

    with ThreadPoolExecutor(64) as pool:
        assert list(pool.map(ask, range(64))) == [100] * 64


def test_status_while_all_wait(served: Served) -> None:
    """60 clients waiting for a sync keep nobody from reading files or status."""
    served.project.hold.clear()

    def wait(_: int) -> bool:
        with http_client(served.socket) as http:
            return bool(http.post("/v1/projects/api/sync", json={"wait": True}).json()["converged"])

    with ThreadPoolExecutor(60) as pool:
        waits = [pool.submit(wait, n) for n in range(60)]
        for _ in waits:
            assert served.project.waiting.acquire(timeout=DEADLINE_S)
        assert served.http.get("/v1/projects/api/files").status_code == 200
        assert served.http.get("/v1/status").status_code == 200
        served.project.hold.set()
        assert all(each.result(DEADLINE_S) for each in waits)


def test_too_many_waits(served: Served) -> None:
    """The 65th client that would wait is told to try again."""
    served.project.hold.clear()

    def wait(_: int) -> int:
        with http_client(served.socket) as http:
            return http.post("/v1/projects/api/sync", json={"wait": True}).status_code

    with ThreadPoolExecutor(64) as pool:
        waits = [pool.submit(wait, n) for n in range(64)]
        for _ in waits:
            assert served.project.waiting.acquire(timeout=DEADLINE_S)
        refused = served.http.post("/v1/projects/api/sync", json={"wait": True})
        served.project.hold.set()
        assert [each.result(DEADLINE_S) for each in waits] == [200] * 64
    assert (refused.status_code, refused.json()["code"]) == (503, "too-many-waits")
    assert int(refused.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("url", ["/v1/events", "/v1/projects/api/log?follow=true"])
def test_a_client_that_leaves(served: Served, url: str) -> None:
    """Clients that leave in the middle of a stream leave no subscription and no thread."""
    served.project.publish(files=1)
    served.http.get("/v1/projects/api/files")
    before = threading.active_count()
    for _ in range(5):
        with http_client(served.socket) as http, http.stream("GET", url):
            eventually(lambda: len(served.daemon.listeners) == 1, "the stream subscribed")
        eventually(lambda: served.daemon.listeners == [], "the stream unsubscribed")
    eventually(lambda: threading.active_count() <= before + 1, "threads ended")


@pytest.mark.parametrize(
    ("said", "kept"), [("0123abcd", True), ("a" * 64, True), ("a" * 65, False), ("two words", False), ("", False)]
)
def test_every_answer_has_an_id(served: Served, said: str, kept: bool) -> None:
    """The client's own when it is one, else a new one; of answers and of refusals."""
    for target in ("/v1/health", "/v1/nothing", "/v1/projects/%ff/files"):
        told = served.http.get(target, headers={"X-Request-Id": said}).headers["x-request-id"]
        assert (told == said) is kept
        assert kept or len(told) == 16
