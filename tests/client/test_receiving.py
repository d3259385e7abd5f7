"""Large bodies straight from the socket, from a server that cuts them anyhow."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dorkyd.api.failures import BadBytes, Failed, NotRunning, Temporary
from dorkyd.client import DorkyClient, artifacts, bodies
from dorkyd.client.receiving import LARGE_BYTES

WHOLE = os.urandom(LARGE_BYTES * 3 + 4097)
TOLD = f"Repr-Digest: sha-256=:{base64.b64encode(hashlib.sha256(WHOLE).digest()).decode()}:\r\n"

Answer = Callable[[socket.socket, dict[str, str]], None]


@dataclass(slots=True)
class Script:
    """A server that answers each connection's first request by the next of its answers, and hangs up."""

    socket_path: str
    answers: list[Answer] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    """The headers of each request."""

    def run(self, listening: socket.socket) -> None:
        """Until it is closed."""
        while True:
            peer, _ = listening.accept()
            with peer, contextlib.suppress(ConnectionError):
                head = b""
                while b"\r\n\r\n" not in head:
                    head += peer.recv(4096)
                lines = head.decode().split("\r\n")[1:]
                self.asked.append({name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)})
                self.answers.pop(0)(peer, self.asked[-1])


@pytest.fixture
def script() -> Iterator[Script]:
    """A server on a Unix socket."""
    home = tempfile.mkdtemp(prefix="dk")
    made = Script(f"{home}/s")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(made.socket_path)
        listening.listen()
        thread = threading.Thread(target=_quietly, args=(made, listening))
        thread.start()
        yield made
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
    shutil.rmtree(home)


def _quietly(script: Script, listening: socket.socket) -> None:
    with contextlib.suppress(OSError):
        script.run(listening)


def body(first: int, step: int, *, anew: bool = False, stop: int = len(WHOLE), told: str = TOLD) -> Answer:
    """Some of it: so many bytes with the headers, the others in steps, and none from `stop` on. `anew`: from the beginning,
    whatever was asked for.
    """

    def answer(peer: socket.socket, asked: dict[str, str]) -> None:
        start = 0 if anew else int(asked.get("range", "bytes=0-")[len("bytes=") : -1])
        status = "206 Partial Content" if start else "200 OK"
        head = f'HTTP/1.1 {status}\r\nETag: "v"\r\n{told}Content-Length: {len(WHOLE) - start}\r\n\r\n'.encode()
        peer.sendall(head + WHOLE[start : start + first])
        for at in range(start + first, stop, step):
            peer.sendall(WHOLE[at : min(at + step, stop)])

    return answer


@pytest.mark.parametrize(
    ("first", "step"),
    [(0, 2**20), (1, 70_001), (5_000, 3 * 2**20), (65_536, 4096), (300_000, len(WHOLE)), (len(WHOLE), 1)],
)
def test_however_it_comes(script: Script, tmp_path: Path, first: int, step: int) -> None:
    """Into a file and into a sink, all bytes once and in order."""
    script.answers = [body(first, step), body(first, step)]
    kept: list[bytes] = []

    class Sink:
        def write(self, data: bytes) -> None:
            assert isinstance(data, bytes)
            kept.append(data)

    with DorkyClient(script.socket_path, retry_for_s=0) as client:
        found = client.download("p:x", tmp_path / "x")
        client.download("p:x", Sink())
    assert (tmp_path / "x").read_bytes() == WHOLE == b"".join(kept)
    assert (found.size, found.version) == (len(WHOLE), "v")
    assert os.listdir(tmp_path) == ["x"]


def test_goes_on_where_it_broke_off(script: Script, tmp_path: Path) -> None:
    """Twice, in the middle of a page; then all of it is what was promised."""
    one, two = 9 * 2**20 + 5, 21 * 2**20 + 1
    script.answers = [body(5, 2**20, stop=one), body(5, 2**20, stop=two), body(5, 2**20)]
    with DorkyClient(script.socket_path) as client:
        client.download("p:x", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == WHOLE
    asked = [request.get("range") for request in script.asked]
    assert asked[:2] == [None, f"bytes={one}-"]
    assert int(asked[2][len("bytes=") : -1]) > two - 2**20
    assert [request.get("if-range") for request in script.asked] == [None, '"v"', '"v"']


def test_begins_anew(script: Script, tmp_path: Path) -> None:
    """The daemon sends all of it again, since the artifact changed: what came before is forgotten."""
    script.answers = [body(0, 2**20, stop=10 * 2**20), body(0, 2**20, anew=True)]
    with DorkyClient(script.socket_path) as client:
        client.download("p:x", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == WHOLE


def test_other_bytes(script: Script, tmp_path: Path) -> None:
    """What is not what was promised is not put in place."""
    (tmp_path / "x").write_bytes(b"before")
    wrong = f"Repr-Digest: sha-256=:{base64.b64encode(hashlib.sha256(b'other').digest()).decode()}:\r\n"
    script.answers = [body(0, 2**20, told=wrong)]
    with DorkyClient(script.socket_path) as client, pytest.raises(BadBytes):
        client.download("p:x", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["x"]


def test_ends_early_and_stands_still(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that ends is told apart from one on which nothing comes."""
    monkeypatch.setattr(artifacts, "BODY_S", 0.2)
    released = threading.Event()

    def still(peer: socket.socket, asked: dict[str, str]) -> None:
        body(0, 2**20, stop=10 * 2**20)(peer, asked)
        assert released.wait(20)

    script.answers = [body(0, 2**20, stop=10 * 2**20), still]
    with DorkyClient(script.socket_path, retry_for_s=0) as client:
        with pytest.raises(NotRunning) as lost:
            client.download("p:x", tmp_path / "x")
        with pytest.raises(Temporary) as late:
            client.download("p:x", tmp_path / "x")
    released.set()
    assert (lost.value.code, late.value.code) == ("connection-lost", "timeout")
    assert os.listdir(tmp_path) == []


def test_a_full_disk(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written beside its coming is told, once, and no thread stays."""
    before = threading.active_count()
    write = os.write
    full = OSError(28, "No space left on device")

    def refuse(fd: int, data: bytes) -> int:
        if os.fstat(fd).st_size >= 4 * 2**20:
            raise full
        return write(fd, data)

    monkeypatch.setattr(os, "write", refuse)
    script.answers = [body(0, 2**20)]
    with DorkyClient(script.socket_path) as client, pytest.raises(Failed) as failed:
        client.download("p:x", tmp_path / "x")
    assert failed.value.code == "unwritable-file"
    assert len(script.asked) == 1
    assert os.listdir(tmp_path) == []
    assert threading.active_count() == before


def test_no_write_after_the_end(tmp_path: Path) -> None:
    """A thread that a cancelled caller left behind writes nothing, least of all into a file that has the descriptor next."""
    staged, out = bodies.beside(tmp_path / "x")
    into = bodies.FileDownload(out, bodies.Counter("x", None, None))
    into.begin(200, {"Content-Length": str(LARGE_BYTES)})
    into.write(b"some")
    into.close()
    fd = out.fileno()
    out.close()
    other = os.open(tmp_path / "other", os.O_WRONLY | os.O_CREAT)
    if other != fd:
        os.dup2(other, fd)
        os.close(other)
    for late in (lambda: into.write(b"late"), lambda: into.begin(200, {})):
        with pytest.raises(ValueError, match="given up"):
            late()
    os.close(fd)
    assert (tmp_path / "other").read_bytes() == b""
    assert staged.read_bytes() == b"some"
