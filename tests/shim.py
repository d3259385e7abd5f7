"""A shim in front of a real S3 server: passes requests on, and does to some of them what no local server does.

    with shim(server) as front:
        front.rule = lambda asked: error(503, "SlowDown") if asked.method == "PUT" else None
        bucket = S3Bucket(..., endpoint_url=front.url)

Signatures stay true, since the client signs the shim's own address and the shim passes it on.
"""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import parse_qs, urlsplit

from tests.servers import Server


@dataclass(frozen=True)
class Asked:
    """One request, as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""

    @property
    def part(self) -> int | None:
        """The number of the part that is uploaded or copied; None: it is another request."""
        return int(self.query["partNumber"]) if self.method == "PUT" and "partNumber" in self.query else None

    @property
    def completes(self) -> bool:
        """It is a CompleteMultipartUpload."""
        return self.method == "POST" and "uploadId" in self.query


@dataclass(frozen=True)
class Reply:
    """What the client gets."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Break:
    """The connection is cut without a reply; `after`: once the server has done what was asked."""

    after: bool = False


Rule = Callable[[Asked], "Reply | Break | None"]
"""None: the request passes."""


def error(status: int, code: str, *, extra: str = "", message: str = "", **headers: str) -> Reply:
    """An S3 error; `headers` with underscores for hyphens."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message>{extra}</Error>".encode()
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def times(count: int, fault: Reply | Break, when: Callable[[Asked], bool]) -> Rule:
    """The first `count` requests of that kind go wrong."""
    left = [fault] * count
    lock = Lock()

    def rule(asked: Asked) -> Reply | Break | None:
        with lock:
            return left.pop() if when(asked) and left else None

    return rule


@dataclass
class Front:
    """A running shim."""

    url: str
    rule: Rule = field(default=lambda _: None)
    edit: Callable[[Asked, Reply], Reply] = field(default=lambda _, reply: reply)
    """Alters what the server replied."""
    asked: list[Asked] = field(default_factory=list)
    """Every request, in the order in which they came."""


@contextlib.contextmanager
def shim(server: Server) -> Iterator[Front]:
    """One in front of `server`, over http."""
    goal = urlsplit(server.endpoint_url).netloc
    front = Front("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, url.path, query, headers)
            front.asked.append(asked)
            fault = front.rule(asked)
            if isinstance(fault, Reply):
                self.answer(fault)
                return
            if fault is None or fault.after:
                reply = front.edit(asked, self.passed_on(body))
                if fault is None:
                    self.answer(reply)
                    return
            self.close_connection = True

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815  the names are http.server's

        def passed_on(self, body: bytes) -> Reply:
            with contextlib.closing(http.client.HTTPConnection(goal, timeout=60)) as connection:
                headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
                connection.request(self.command, self.path, body, headers)
                reply = connection.getresponse()
                hop = {"transfer-encoding", "connection", "date", "server"}
                kept = {name: value for name, value in reply.getheaders() if name.lower() not in hop}
                return Reply(reply.status, kept, reply.read())

        def answer(self, reply: Reply) -> None:
            self.send_response(reply.status)
            length = {} if any(name.lower() == "content-length" for name in reply.headers) else {"Content-Length": ""}
            for name, value in {**reply.headers, **length}.items():
                self.send_header(name, value or str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                with contextlib.suppress(ConnectionError):  # the client stopped reading
                    self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that went away is what some tests are about."""

    with Quiet(("127.0.0.1", 0), Handler) as listening:
        front.url = f"http://127.0.0.1:{listening.server_port}"
        thread = Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield front
        finally:
            listening.shutdown()
            thread.join()
