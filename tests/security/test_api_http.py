"""Bytes that are not what HTTP means: the daemon lives, stays small, and answers others meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from starlette.types import Message, Receive, Scope, Send

from dorkyd.api.connections import HEADERS_S, MOST_CONNECTIONS
from dorkyd.api.gate import MOST_BODY_BYTES, Gate
from dorkyd.api.server import BACKLOG, ApiServer
from tests.api.fakes import FakeDaemon
from tests.api.serving import Served, eventually, http_client, serving
from tests.security.attacked import Attacked, attacked, problem_of

STATES = int(os.environ.get("DORKY_STATES", "20000"))
"""Published to a client that reads none."""
CONNECTIONS = 10_000
GROWTH_BYTES = 64 * 2**20
"""What a daemon may grow by while somebody sends it nonsense; the nonsense is far larger."""

HEAD = b"Host: x\r\n"
POST = b"POST /v1/limit HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\n"
MALFORMED: dict[str, bytes] = {
    "no http at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "only newlines": b"\r\n\r\n\r\n\r\n",
    "http/0.9": b"GET /v1/health\r\n\r\n",
    "http/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown version": b"GET /v1/health HTTP/7.3\r\n" + HEAD + b"\r\n",
    "no host": b"GET /v1/health HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /v1/health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "a space in the target": b"GET /v1/health now HTTP/1.1\r\n" + HEAD + b"\r\n",
    "raw bytes in the target": b"GET /v1/\xff\xfe HTTP/1.1\r\n" + HEAD + b"\r\n",
    "NUL in the target": b"GET /v1/\0 HTTP/1.1\r\n" + HEAD + b"\r\n",
    "NUL in a header": b"GET /v1/health HTTP/1.1\r\n" + HEAD + b"X: \0\r\n\r\n",
    "a folded header": b"GET /v1/health HTTP/1.1\r\n" + HEAD + b"X: a\r\n b\r\n Content-Length: 5\r\n\r\n",
    "a header without a colon": b"GET /v1/health HTTP/1.1\r\n" + HEAD + b"X\r\n\r\n",
    "a space before the colon": POST + b"Content-Length : 2\r\n\r\n{}",
    "a MiB of one header": b"GET /v1/health HTTP/1.1\r\n" + HEAD + b"X: " + b"a" * 2**20 + b"\r\n\r\n",
    "a MiB of headers": b"GET /v1/health HTTP/1.1\r\n" + HEAD + b"X: a\r\n" * 170_000 + b"\r\n",
    "a target of a MiB": b"GET /" + b"a" * 2**20 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    "both lengths": POST
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/x HTTP/1.1\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}",
    "a list of lengths": POST + b"Content-Length: 2, 40\r\n\r\n{}",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n{}",
    "a signed length": POST + b"Content-Length: +2\r\n\r\n{}",
    "an endless length": POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n{}",
    "an odd coding": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a hidden coding": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "two codings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk of a bad size": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk of a huge size": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n{}\r\n0\r\n\r\n",
    "a chunk without its end": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n",
    "bare newlines in chunks": POST + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n",
    "a body longer than said": POST + b"Content-Length: 2\r\n\r\n{}GET",
    "an upgrade": b"GET /v1/health HTTP/1.1\r\n" + HEAD + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "connect": b"CONNECT localhost:22 HTTP/1.1\r\n" + HEAD + b"\r\n",
    "trace": b"TRACE /v1/health HTTP/1.1\r\n" + HEAD + b"\r\n",
    "options of all": b"OPTIONS * HTTP/1.1\r\n" + HEAD + b"\r\n",
    "an unknown method": b"BREW /v1/health HTTP/1.1\r\n" + HEAD + b"\r\n",
    "an absolute target": b"GET http://elsewhere/v1/health HTTP/1.1\r\n" + HEAD + b"\r\n",
}
SERVED = {"a folded header", "an unknown version", "a body longer than said", "an upgrade"}
"""What may be answered with success: one whole request that is right, with something after or beside it that is not."""

BODIES: dict[str, tuple[bytes, str]] = {
    "not json": (b"{", "application/json"),
    "nothing": (b"", "application/json"),
    "not utf-8": (b'{"for_s": "\xff"}', "application/json"),
    "a list": (b"[]", "application/json"),
    "null": (b"null", "application/json"),
    "deep lists": (b"[" * 200_000, "application/json"),
    "deep objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "application/json"),
    "a huge number": (b'{"for_s": ' + b"9" * 10_000 + b"}", "application/json"),
    "infinity": (b'{"for_s": Infinity}', "application/json"),
    "not a number": (b'{"for_s": NaN}', "application/json"),
    "1e400": (b'{"for_s": 1e400}', "application/json"),
    "a lone surrogate as a key": (b'{"\\ud800": 1}', "application/json"),
    "the wrong type": (b'{"for_s": {"a": []}}', "application/json"),
    "many unknown fields": (json.dumps({f"k{n}": n for n in range(50_000)}).encode(), "application/json"),
    "text": (b"for_s=1", "text/plain"),
    "a form": (b"for_s=1", "application/x-www-form-urlencoded"),
    "parts": (b"--x\r\n\r\n1\r\n--x--", "multipart/form-data; boundary=x"),
    "a type that is none": (b'{"for_s": 1}', "\x7f/;;;"),
    "xml": (b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', "application/xml"),
}


@pytest.fixture(scope="module")
def there() -> Iterator[Attacked]:
    """A real daemon for the whole module: what one attack leaves behind meets the next."""
    with attacked() as up:
        yield up


@pytest.fixture
def served() -> Iterator[Served]:
    """A server in this process over a fake daemon."""
    with serving() as up:
        yield up


def exchange(place: str, sent: bytes) -> bytes:
    """What comes back until the other end closes. When nothing does for a second, it is told that no more will come."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(1)
        peer.connect(place)
        answer, ended = b"", False
        with contextlib.suppress(ConnectionError):  # refused while it is still being sent: the answer may be there
            peer.sendall(sent)
        with contextlib.suppress(ConnectionError):  # hung up on: as good an answer as any
            while True:
                try:
                    more = peer.recv(65_536)
                except TimeoutError:
                    assert not ended, "neither answered nor hung up on"
                    peer.shutdown(socket.SHUT_WR)
                    ended = True
                    continue
                if not more:
                    break
                answer += more
        return answer


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests(there: Attacked, name: str) -> None:
    """What is no HTTP request is refused or hung up on; nobody else notices, and nothing is done."""
    answer = exchange(there.socket, MALFORMED[name])
    assert b" 500 " not in answer
    status = int(answer.split()[1]) if answer else 400
    assert status == 200 if name in SERVED else 400 <= status < 500, answer[:200]
    if answer and status == 400:
        assert b"application/problem+json" in answer
    assert answer.count(b"HTTP/1.1 200") <= 1, "something hidden in a request was taken for another one"
    assert there.is_well()


@pytest.mark.parametrize("name", BODIES)
def test_wrong_bodies(there: Attacked, name: str) -> None:
    """A body that is no document of the route is a problem document, whatever its type claims."""
    body, kind = BODIES[name]
    response = there.http.post("/v1/projects/p/pause", content=body, headers={"Content-Type": kind})
    assert response.status_code in (400, 422)
    assert len(response.content) < 100_000
    problem_of(response)
    assert there.daemon.state() != "paused"


def test_huge_json(there: Attacked) -> None:
    """A document past the limit is refused by its length, or once it is past it; the rest is not kept."""
    before = there.rss_bytes()
    answer = exchange(there.socket, POST + b"Content-Length: 4000000000\r\n\r\n")
    assert b" 413 " in answer

    def endless() -> Iterator[bytes]:
        yield b'{"a": "'
        for _ in range(64):
            yield b"x" * 2**20

    try:
        response = there.http.post(
            "/v1/projects/p/pause", content=endless(), headers={"Content-Type": "application/json"}
        )
    except httpx2.TransportError:
        pass  # hung up on before all was sent
    else:
        assert problem_of(response)["code"] == "too-large"
    assert there.rss_bytes() - before < GROWTH_BYTES
    fits = b'{"for_s": 1, "x": "' + b"y" * (MOST_BODY_BYTES - 100) + b'"}'
    assert there.http.post("/v1/projects/p/pause", content=fits).status_code == 422


def test_ten_thousand_connections(there: Attacked) -> None:
    """Ten thousand connections that ask for nothing cost a bounded number of descriptors, and nobody waits for them."""
    held: list[socket.socket] = []
    begun = there.descriptors()
    most = begun + MOST_CONNECTIONS + BACKLOG + 50
    before = there.rss_bytes()
    try:
        for n in range(CONNECTIONS):
            held.append(peer := socket.socket(socket.AF_UNIX))
            peer.connect(there.socket)
            if n % 3 == 0:
                with contextlib.suppress(ConnectionError):  # it gave way to another one already
                    peer.sendall(b"GET /v1/health HTTP/1.1\r\nX: ")
            if len(held) == 500:
                assert there.descriptors() <= most
                assert there.is_well()
                for old in held[:250]:
                    old.close()
                del held[:250]
    finally:
        for peer in held:
            peer.close()
    assert there.rss_bytes() - before < GROWTH_BYTES
    eventually(lambda: there.descriptors() < begun + 20, "the connections are gone")


def test_slow_headers(tmp_path: Path) -> None:
    """A connection that sends a byte now and then, but never a whole request, is hung up on in time."""
    server = ApiServer(FakeDaemon(), str(tmp_path / "s"), os.getuid(), headers_s=0.3)
    server.start()
    try:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(tmp_path / "s"))
            peer.settimeout(0.02)
            peer.sendall(b"GET")
            dripped, hung_up = 0, False
            while not hung_up and dripped < 500:
                try:
                    peer.sendall(b" ")
                    dripped += 1
                    hung_up = peer.recv(1) == b""
                except TimeoutError:
                    continue
                except ConnectionError:
                    hung_up = True
        assert hung_up
        assert dripped > 5, "not at once"
        with http_client(str(tmp_path / "s")) as http:
            assert http.get("/v1/health").status_code == 200
    finally:
        server.stop()


def test_slow_bodies(there: Attacked) -> None:
    """Clients that announce a body and never send it keep nobody from being served."""
    peers = []
    for _ in range(100):
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(there.socket)
        peer.sendall(POST + b"Content-Length: 100\r\n\r\n{")
        peers.append(peer)
    assert there.is_well()
    assert there.http.get("/v1/projects/p/files").status_code == 200
    for peer in peers:
        peer.close()
    assert there.is_well()


def test_a_body_that_never_ends_is_given_up() -> None:
    """A document must arrive within its time; then its route is told that the client is gone."""
    heard: list[str] = []
    parts: list[Message] = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        heard.extend([(await receive())["type"], (await receive())["type"]])

    async def receive() -> Message:
        if not parts:
            await asyncio.Event().wait()
        return parts.pop()

    async def send(_message: Message) -> None:
        raise AssertionError("nobody answers")

    scope = {"type": "http", "method": "POST", "raw_path": b"/", "query_string": b"", "headers": []}
    asyncio.run(Gate(app, body_s=0.05)(scope, receive, send))
    assert heard == ["http.request", "http.disconnect"]


def test_an_event_stream_that_nobody_reads(served: Served) -> None:
    """A client that subscribes and never reads is kept the newest state for, not every state."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(served.socket)
        peer.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually(lambda: len(served.daemon.listeners) == 1, "subscribed")
        before = own_rss()
        for n in range(STATES):
            served.project.publish(files=n, detail="x" * 2000)
        eventually(lambda: served.http.get("/v1/health").status_code == 200, "others are answered")
        # Even twenty thousand of them would be over 40 MB.
        assert own_rss() - before < 30 * 2**20
    eventually(lambda: served.daemon.listeners == [], "unsubscribed")


def own_rss() -> int:
    """Resident memory of this process."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) * 1024


def test_a_connection_outlives_what_clients_keep(served: Served) -> None:
    """A client that uses a connection again as late as it may never meets one that the server is closing."""
    kept = httpx2.Limits().keepalive_expiry
    assert kept is not None
    assert served.server._server.config.timeout_keep_alive > kept
    assert kept < HEADERS_S
