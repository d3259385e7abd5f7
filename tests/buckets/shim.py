"""A server on 127.0.0.1 that answers what it is told: errors that no local store gives.

with shim() as server:
    server.answer = lambda asked: error(403, "AccessDenied")
    bucket = S3Bucket("s3://team/api", endpoint_url=server.url)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as it came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    """`Date` is now unless it stands here."""


@dataclass(slots=True)
class Shim:
    """The running server."""

    url: str
    answer: Callable[[Asked], Reply] = lambda _asked: Reply()
    asked: list[Asked] = field(default_factory=list)

    @property
    def methods(self) -> list[str]:
        """What was asked, in order."""
        return [one.method for one in self.asked]


def error(
    status: int, code: str, message: str = "no", *, extra: str = "", headers: dict[str, str] | None = None
) -> Reply:
    """An error of S3."""
    body = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message>{extra}</Error>".encode()
    return Reply(status, body, headers or {})


@contextlib.contextmanager
def shim() -> Iterator[Shim]:
    """Run one until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            where = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, where.path, parse_qs(where.query, keep_blank_values=True), headers, body)
            made.asked.append(asked)
            reply = made.answer(asked)
            content = b"" if self.command == "HEAD" else reply.body
            self.send_response_only(reply.status)
            for name, value in {"Date": self.date_time_string(), **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = True

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815  the names are http.server's

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Shim(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
