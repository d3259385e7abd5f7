"""The page's server: on 127.0.0.1, a thread for each connection, for as long as the command runs.

Every request passes `door` before anything is read of it but its head. What goes to the daemon goes over its socket, and only
what `forwarding` lists. While the daemon does not answer, that is told as its own answers are (a problem document), so that the
page can say so and go on when it is back.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from dorkyd.api.failures import TYPE_PREFIX, ApiError
from dorkyd.client.quick import OverSocket
from dorkyd.locate import find_socket
from dorkyd.ui import door, pages
from dorkyd.ui.forwarding import Forward, content, forward
from dorkyd.ui.session import Session
from dorkyd.ui.tickets import Held, Tickets

HEAD_S = 30
"""How long a client may be silent."""
MOST_BODY_BYTES = 64 * 1024
MOST_CONNECTIONS = 64
"""At a time; whoever else comes, e.g. another user of this machine, is turned away."""
CHUNK_BYTES = 256 * 1024
_TOLD_ON = ("Content-Type", "Content-Length", "Retry-After", "X-Request-Id")
"""Of the daemon's answers."""


class PageServer(ThreadingHTTPServer):
    """See the module. `port` 0: any that is free. `OSError` where it is taken."""

    daemon_threads = True
    block_on_close = False
    # A page that was just closed leaves its connections behind for a while, and its port shall be free all the same.
    allow_reuse_address = True

    def __init__(self, port: int = 0) -> None:
        self.tickets = Tickets()
        super().__init__(("127.0.0.1", port), _Handler)
        self.session = Session(self.server_address[1])
        self.assets = pages.assets()
        self.opened = threading.Event()
        """Some browser has come."""
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)

    @property
    def url(self) -> str:
        """Opens the page, once."""
        return f"http://127.0.0.1:{self.session.port}{door.START}?token={self.session.token}"

    def service_actions(self) -> None:
        """Now and then."""
        self.tickets.sweep()

    def server_close(self) -> None:
        """Also of what is held open."""
        super().server_close()
        self.tickets.sweep(all_=True)

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own, where there is place."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """As the library does it; then its place is free."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left says nothing to anybody. Defects are told as ever."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = default_request_version = "HTTP/1.1"
    """Also of what names no version: an answer without headers would be one without a policy."""
    timeout = HEAD_S

    def do_GET(self) -> None:
        """Also what the library calls for HEAD."""
        self._answer()

    do_POST = do_HEAD = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_GET  # noqa: N815  the library's names

    def version_string(self) -> str:
        """No version of anything."""
        return "dorkyd"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """Targets hold the token and names of files: nothing is written."""

    # --- one request ------------------------------------------------------------------------------------------------

    def _answer(self) -> None:
        try:
            parts = urlsplit(self.path)
        except ValueError:
            self.close_connection = True
            self._problem(400, "invalid-request", "bad-target", "That is no address.")
            return
        session = self.server.session
        wrong = door.refusal(door.Asked(self.command, parts.path, self._headers()), session)
        if wrong is not None:
            self._refuse(wrong)
        elif parts.path == door.START:
            self._start(parse_qs(parts.query).get("token", [""])[0])
        elif self.command == "POST":
            self._post(parts.path, parts.query)
        elif parts.path in self.server.assets:
            asset = self.server.assets[parts.path]
            self._send(200, asset.media_type, asset.body)
        elif parts.path.startswith("/download/"):
            self._download(parts.path.removeprefix("/download/"))
        else:
            self._forward(forward(self.command, parts.path, parts.query), None)

    def _headers(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for name, value in self.headers.items():
            # A name that came twice: both values, which is none that a rule takes.
            found[name.lower()] = f"{found[name.lower()]}, {value}" if name.lower() in found else value
        return found

    def _refuse(self, wrong: door.Refusal) -> None:
        self.close_connection = True  # its body, if it has one, is not read
        if self.command == "GET" and "text/html" in self.headers.get("Accept", ""):
            self._send(403, "text/html; charset=utf-8", pages.refused(wrong.detail))
        else:
            self._problem(403, "denied", wrong.code, wrong.detail, "Begin again: dorkyctl ui")

    def _start(self, token: str) -> None:
        session = self.server.session
        if not session.spend(token):
            self._send(403, "text/html; charset=utf-8", pages.spent())
            return
        cookie = {"Set-Cookie": session.set_cookie()}
        self._send(200, "text/html; charset=utf-8", pages.begun(session.key), cookie)
        self.server.opened.set()

    def _post(self, path: str, query: str) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > MOST_BODY_BYTES:
            self.close_connection = True
            self._problem(413, "invalid-request", "too-large", "The request has no length, or is too large.")
            return
        body = self.rfile.read(int(length))
        if self.headers.get_content_type() != "application/json":
            self._problem(415, "invalid-request", "not-json", "A request is JSON.")
        elif path == "/tickets":
            self._ticket(body)
        else:
            self._forward(forward("POST", path, query), body)

    def _ticket(self, body: bytes) -> None:
        try:
            wanted = json.loads(body)
            project, path, at = (wanted[name] for name in ("project", "path", "at"))
        except (ValueError, KeyError, TypeError):
            project = path = at = None
        if not (isinstance(project, str) and isinstance(path, str) and isinstance(at, str)):
            self._problem(400, "invalid-request", "bad-ticket", "A download is of a project, a path and a state.")
            return
        asked = self._ask(content(project, path, at), None)
        if asked is None:
            return
        connection, answer = asked
        if answer.status != HTTPStatus.OK:
            with contextlib.closing(connection):
                self._relay(answer)
            return
        name = self.server.tickets.put(Held(connection, answer, path.rpartition("/")[2]))
        self._send(200, "application/json", json.dumps({"url": f"/download/{name}"}).encode())

    def _download(self, ticket: str) -> None:
        held = self.server.tickets.take(ticket)
        if held is None:
            self._send(403, "text/html; charset=utf-8", pages.refused("This download was begun before, or long ago."))
            return
        # A browser takes no folder from it and shows nothing of the file in place of the page.
        disposition = f"attachment; filename*=UTF-8''{quote(held.name, safe='')}"
        with contextlib.closing(held):
            self._relay(held.answer, {"Content-Disposition": disposition})

    # --- to the daemon ----------------------------------------------------------------------------------------------

    def _forward(self, wanted: Forward | None, body: bytes | None) -> None:
        if wanted is None:
            self._problem(404, "not-found", "no-such-route", "The page has no such thing.")
            return
        asked = self._ask(wanted, body)
        if asked is None:
            return
        connection, answer = asked
        with contextlib.closing(connection):
            if wanted.stream:
                self._stream(connection, answer)
            else:
                self._relay(answer)

    def _ask(self, wanted: Forward, body: bytes | None) -> tuple[OverSocket, HTTPResponse] | None:
        """The daemon's answer, whose body is to be read; None: it gave none, and the page was told so."""
        connection = OverSocket(find_socket(), None)
        try:
            connection.request(wanted.method, wanted.target, body, {"Content-Type": "application/json"} if body else {})
            return connection, connection.getresponse()
        except ApiError as exc:
            told = exc.code, str(exc), exc.hint
        except (OSError, HTTPException):
            hint = "Run `dorkyctl up`. This page goes on by itself then."
            told = "daemon-not-running", "The daemon is not running.", hint
        connection.close()
        self._problem(503, "temporary", *told)
        return None

    def _relay(self, answer: HTTPResponse, more: Mapping[str, str] | None = None) -> None:
        told = {name: value for name in _TOLD_ON if (value := answer.headers.get(name)) is not None}
        if "Content-Length" not in told:
            self.close_connection = True  # the end of the connection tells the end of the answer
            told["Connection"] = "close"
        self._head(answer.status, {**told, **(more or {})})
        try:
            while chunk := answer.read(CHUNK_BYTES):
                self.wfile.write(chunk)
        except HTTPException:
            self.close_connection = True  # less than was promised: the browser sees that its download broke off

    def _stream(self, connection: OverSocket, answer: HTTPResponse) -> None:
        """Events, until either side ends. This thread waits for the browser, another for the daemon."""
        self.close_connection = True
        self._head(answer.status, {"Content-Type": answer.headers.get("Content-Type", ""), "Connection": "close"})
        self.wfile.flush()
        self.connection.settimeout(None)
        daemon = connection.sock
        pump = threading.Thread(target=self._pump, args=(answer,), name="events", daemon=True)
        pump.start()
        with contextlib.suppress(OSError):
            while self.connection.recv(1024):
                pass  # a browser says nothing more on this connection
        if daemon is not None:
            with contextlib.suppress(OSError):
                daemon.shutdown(socket.SHUT_RDWR)
        pump.join()

    def _pump(self, answer: HTTPResponse) -> None:
        try:
            while data := answer.read1(CHUNK_BYTES):
                self.connection.sendall(data)
        except (OSError, HTTPException, ValueError):
            pass  # the daemon or the browser is gone: either way this stream has ended
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    # --- answers ----------------------------------------------------------------------------------------------------

    def _problem(self, status: int, kind: str, code: str, detail: str, hint: str = "") -> None:
        told = {
            "type": TYPE_PREFIX + kind,
            "title": kind,
            "status": status,
            "detail": detail,
            "hint": hint,
            "code": code,
        }
        self._send(status, "application/problem+json", json.dumps(told).encode())

    def _send(self, status: int, media_type: str, body: bytes, more: Mapping[str, str] | None = None) -> None:
        self._head(status, {"Content-Type": media_type, "Content-Length": str(len(body)), **(more or {})})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def end_headers(self) -> None:
        """With what every answer has, those of the library about requests that are none too."""
        for name, value in pages.HEADERS.items():
            self.send_header(name, value)
        super().end_headers()
