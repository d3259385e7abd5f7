"""Large bodies past the event loop: whole or visibly broken, and nobody who leaves or stalls keeps anything."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from dorkyd.control import Chunk
from dorkyd.core.artifact import Artifact, artifact_of
from dorkyd.core.model import Path, Version
from dorkyd.errors import Stale, Transient
from tests.api.serving import Served, eventually, serving

MIB = 2**20
WHOLE = os.urandom(20 * MIB + 3)
URL = "/v1/projects/api/artifacts/large"


class Desk:
    """One object, whose bytes come as a test has them come."""

    def __init__(self) -> None:
        self.chunks: Callable[[int], Iterator[Chunk]] = pieces
        self.open_readings = 0
        self.begun = 0

    def stat(self, path: str) -> Artifact:
        return artifact_of(Path(path), Version("v"), len(WHOLE), None, {})

    @contextlib.contextmanager
    def open(self, _artifact: Artifact, start: int = 0, stop: int | None = None) -> Iterator[Iterator[Chunk]]:
        self.open_readings += 1
        self.begun += 1
        try:
            yield self.chunks(start)
        finally:
            self.open_readings -= 1

    @contextlib.contextmanager
    def open_now(
        self, path: str, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[Artifact, Iterator[Chunk]]]:
        if start > len(WHOLE):
            raise Stale("it ends before")
        artifact = self.stat(path)
        with self.open(artifact, start) as chunks:
            yield artifact, chunks


def pieces(start: int) -> Iterator[Chunk]:
    """All of it, in pieces of different kinds and sizes."""
    for number, at in enumerate(range(start, len(WHOLE), 777_777)):
        piece = memoryview(WHOLE)[at : at + 777_777]
        yield piece if number % 2 else bytes(piece)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Served, Desk]]:
    """A server whose one project has that object."""
    desk = Desk()
    with serving() as up:
        monkeypatch.setattr(up.project, "artifacts", desk, raising=False)
        yield up, desk


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ({}, 0, len(WHOLE)),
        ({"Range": "bytes=5-"}, 5, len(WHOLE)),
        ({"Range": f"bytes=5-{3 * MIB}"}, 5, 3 * MIB + 1),
        ({"Range": f"bytes=-{2 * MIB}"}, len(WHOLE) - 2 * MIB, len(WHOLE)),
    ],
)
def test_exactly_what_was_asked_for(
    served: tuple[Served, Desk], asked: Mapping[str, str], first: int, last: int
) -> None:
    """All bytes, in order and no more; the connection serves the next request too."""
    up, desk = served
    for _ in range(2):
        answer = up.http.get(URL, headers=asked)
        assert (answer.status_code, len(answer.content)) == (206 if asked else 200, last - first)
        assert hashlib.sha256(answer.content).digest() == hashlib.sha256(WHOLE[first:last]).digest()
        assert up.http.get("/v1/health").status_code == 200
    assert len(up.http._transport._pool.connections) == 1  # type: ignore[attr-defined]
    eventually(lambda: not desk.open_readings, "the readings are closed")


def test_behind_other_answers(served: tuple[Served, Desk]) -> None:
    """Asked for in one breath with others that the client has not read yet, more than the system takes and fewer than have the
    server wait: its bytes come after theirs.
    """
    up, desk = served
    target = "/v1/projects/none/artifacts/x"
    before = 170
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(up.socket)
        asked = [f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"] * before
        peer.sendall("".join([*asked, f"GET {URL} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]).encode())
        eventually(lambda: desk.open_readings == 1, "the last one is being answered")
        got = bytearray()
        while data := peer.recv(65536):
            got += data
    for content in [None] * before + [WHOLE]:
        head, _, rest = bytes(got[:2000]).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404" if content is None else b"HTTP/1.1 200")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        del got[: len(head) + 4]
        assert content is None or bytes(got[:length]) == content
        del got[:length], rest
    assert not got


@pytest.mark.parametrize("failure", [None, Transient("the bucket went away")])
def test_what_breaks_off_is_broken(served: tuple[Served, Desk], failure: Exception | None) -> None:
    """A reading that fails, or ends too soon, ends the connection: nobody takes what came for the whole."""
    up, desk = served

    def some(_start: int) -> Iterator[Chunk]:
        yield WHOLE[: 9 * MIB]
        if failure is not None:
            raise failure

    desk.chunks = some
    got = bytearray()
    with pytest.raises(httpx2.HTTPError), up.http.stream("GET", URL) as answer:  # noqa: PT012 - it fails while it is read
        for chunk in answer.iter_raw():
            got += chunk
    assert answer.status_code == 200
    assert len(got) <= 9 * MIB
    assert WHOLE.startswith(got)
    eventually(lambda: not desk.open_readings, "the reading is closed")
    assert up.http.get("/v1/health").status_code == 200


def test_a_client_that_leaves(served: tuple[Served, Desk]) -> None:
    """Its download ends, and its thread is free."""
    up, desk = served
    for _ in range(70):
        with up.http.stream("GET", URL) as answer:
            next(answer.iter_raw())
    eventually(lambda: not desk.open_readings, "the readings are closed")
    assert desk.begun == 70


def test_a_client_that_does_not_read(served: tuple[Served, Desk]) -> None:
    """It keeps nobody waiting, and ends with the server."""
    up, desk = served
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(up.socket)
        peer.sendall(f"GET {URL} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert peer.recv(1)
        for _ in range(3):
            assert up.http.get("/v1/health").status_code == 200
        assert desk.open_readings == 1
        with ThreadPoolExecutor(1) as pool:
            pool.submit(up.server.stop).result(20)
        eventually(lambda: not desk.open_readings, "the reading is closed")
        rest = bytearray()
        with contextlib.suppress(ConnectionError):
            while data := peer.recv(MIB):
                rest += data
        assert len(rest) < len(WHOLE)
