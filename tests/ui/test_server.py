"""The page's server over a daemon's socket: what it hands out, and what it does while no daemon answers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection

import pytest

from dorkyd.ui import door, pages
from dorkyd.ui.server import MOST_BODY_BYTES, PageServer
from tests.api.fakes import conflict_item, file_item
from tests.api.serving import DEADLINE_S, Served, eventually, serving


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """Of a problem document."""
        return str(json.loads(self.body)["code"])


@dataclass
class Browser:
    """Asks as our page does, in a browser that has come with the token."""

    served: Served
    server: PageServer
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, target: str, body: bytes | None = None, **headers: str | None) -> Answer:
        """One request; a header that is None is left out."""
        named = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        connection = HTTPConnection("127.0.0.1", self.server.session.port, timeout=DEADLINE_S)
        try:
            connection.request(
                method, target, body, {name: value for name, value in named.items() if value is not None}
            )
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read())
        finally:
            connection.close()

    def post(self, target: str, document: object, **headers: str | None) -> Answer:
        """A changing request of the page."""
        return self.ask("POST", target, json.dumps(document).encode(), **headers)

    def start(self, token: str) -> Answer:
        """Follow the link, from a file: as a stranger."""
        return self.ask(
            "GET", f"{door.START}?token={token}", cookie=None, x_dorky_key=None, sec_fetch_site="cross-site"
        )


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """A page served over a fake daemon with one project, and a browser that has come."""
    with serving() as served, PageServer() as server:
        monkeypatch.setenv("DORKY_HOME", str(served.home))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            here = Browser(served, server)
            begun = here.start(server.session.token)
            assert begun.status == 200
            here.headers = {
                "cookie": begun.headers["set-cookie"].partition(";")[0],
                "x-dorky-key": server.session.key,
                "origin": f"http://127.0.0.1:{server.session.port}",
                "sec-fetch-site": "same-origin",
                "content-type": "application/json",
            }
            yield here
        finally:
            server.shutdown()
            thread.join()


def test_the_link_works_once(browser: Browser) -> None:
    """It gives the cookie and the key; a second time it says to start again, and gives nothing."""
    again = browser.start(browser.server.session.token)
    assert again.status == 403
    assert b"dorkyctl ui" in again.body
    assert "set-cookie" not in again.headers
    assert browser.server.session.key.encode() not in again.body
    assert browser.server.opened.is_set()


def test_the_page_and_its_files(browser: Browser) -> None:
    """With the cookie; without it a page that says what to do, which is no part of ours. Every answer has all the headers."""
    answers = [browser.ask("GET", path, x_dorky_key=None) for path in browser.server.assets]
    assert {answer.status for answer in answers} == {200}
    stranger = browser.ask("GET", "/", cookie=None, accept="text/html")
    assert (stranger.status, b"dorkyctl ui" in stranger.body) == (403, True)
    nothing = browser.ask("GET", "/nothing")
    assert (nothing.status, nothing.code) == (404, "no-such-route")
    for answer in (*answers, stranger, nothing, browser.start("x"), browser.ask("GET", "/v1/status")):
        for name, value in pages.HEADERS.items():
            assert answer.headers[name.lower()] == value
    assert browser.server.session.key.encode() not in b"".join(answer.body for answer in answers)


def test_what_is_no_request_at_all(browser: Browser) -> None:
    """The library's own answer has the headers too, and shows no version."""
    with socket.create_connection(("127.0.0.1", browser.server.session.port), DEADLINE_S) as raw:
        raw.sendall(b"<script> / nonsense\r\n\r\n")
        said = raw.makefile("rb").read()
    assert b"400" in said
    assert b"<script>" not in said
    assert pages.POLICY.encode() in said
    assert b"Python" not in said


def test_data_is_the_daemons(browser: Browser) -> None:
    """Bodies, errors and their status pass unchanged; what is in no list does not reach it."""
    browser.served.project.files_held = [file_item("a"), file_item("b")]
    page = json.loads(browser.ask("GET", "/v1/projects/api/tree?limit=1").body)
    assert [item["path"] for item in page["items"]] == ["a"]
    missing = browser.ask("GET", "/v1/projects/nobody/tree")
    assert (missing.status, missing.code) == (404, "no-such-project")
    assert browser.post("/v1/stop", {}).status == 404
    assert not browser.served.daemon.stopped.is_set()
    assert browser.ask("GET", "/v1/projects/api/diff?path=.env&reveal=true").status == 404


def test_what_a_person_decides(browser: Browser) -> None:
    """A changing request reaches the daemon with its body; from another page, or without the key, it does not."""
    browser.served.project.conflicts_held = [conflict_item("a"), conflict_item("b")]
    wanted = {"path": "a", "keep": "mine"}
    for wrong in ({"origin": "http://127.0.0.1:1"}, {"x_dorky_key": None}, {"cookie": None}, {"host": "evil.example"}):
        assert browser.post("/v1/projects/api/resolve", wanted, **wrong).status == 403
    assert browser.post("/v1/projects/api/resolve", wanted, content_type="text/plain").code == "not-json"
    assert len(browser.served.project.conflicts_held) == 2
    left = browser.post("/v1/projects/api/resolve", wanted)
    assert [item["path"] for item in json.loads(left.body)["items"]] == ["b"]
    assert browser.post("/v1/projects/api/resolve", {**wanted, "keep": "none"}).status == 422


def test_a_body_has_an_end(browser: Browser) -> None:
    """None that is large or of unknown length is read."""
    assert browser.post("/v1/projects/api/sync", "x" * MOST_BODY_BYTES).code == "too-large"
    with socket.create_connection(("127.0.0.1", browser.server.session.port), DEADLINE_S) as raw:
        lines = [f"{name}: {value}" for name, value in browser.headers.items()]
        head = ["POST /v1/projects/api/sync HTTP/1.1", f"host: 127.0.0.1:{browser.server.session.port}", *lines]
        raw.sendall("\r\n".join([*head, "transfer-encoding: chunked", "", "0", "", ""]).encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 413")


def test_a_download(browser: Browser) -> None:
    """By a ticket that is good once; the browser saves it and shows nothing of it. What the daemon refuses is told on the page."""
    wanted = {"project": "api", "path": 'd/e "\r\nü', "at": "v1"}
    url = json.loads(browser.post("/tickets", wanted).body)["url"]
    got = browser.ask("GET", url, x_dorky_key=None, origin=None)
    assert (got.status, got.body) == (200, b"abc")
    assert got.headers["content-disposition"] == "attachment; filename*=UTF-8''e%20%22%0D%0A%C3%BC"
    assert browser.ask("GET", url).status == 403
    refused = browser.post("/tickets", {**wanted, "path": ".env"})
    assert (refused.status, refused.code) == (400, "secret")
    assert browser.post("/tickets", {"project": "api"}).code == "bad-ticket"
    assert browser.ask("GET", "/v1/projects/api/content?path=f&at=v").status == 404


def test_events(browser: Browser) -> None:
    """They come as they happen. When the browser goes, the daemon is let go of; when the daemon ends, so does the stream."""
    connection = HTTPConnection("127.0.0.1", browser.server.session.port, timeout=DEADLINE_S)
    connection.request("GET", "/v1/events", headers=browser.headers)
    answer = connection.getresponse()
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.readline() == b"event: status\n"
    assert b'"name":"api"' in answer.readline()
    answer.readline()
    browser.served.project.publish(files=77)
    answer.readline()
    assert b'"files":77' in answer.readline()
    answer.close()
    connection.close()
    eventually(lambda: not browser.served.daemon.listeners, "the daemon has no listener any more")
    connection.request("GET", "/v1/events", headers=browser.headers)
    answer = connection.getresponse()
    assert answer.readline() == b"event: status\n"
    browser.served.server.stop()
    assert b"data" in answer.read()
    answer.close()
    connection.close()


def test_no_daemon(browser: Browser) -> None:
    """What it cannot answer is told as a problem with what to do; the page itself is still there."""
    browser.served.server.stop()
    for answer in (
        browser.ask("GET", "/v1/status"),
        browser.ask("GET", "/v1/events"),
        browser.post("/v1/projects/api/sync", {}),
    ):
        assert (answer.status, answer.code) == (503, "daemon-not-running")
        assert "dorkyctl up" in json.loads(answer.body)["hint"]
    assert browser.ask("GET", "/").status == 200


def test_a_target_that_is_none(browser: Browser, capfd: pytest.CaptureFixture[str]) -> None:
    """Whoever sends it gets an answer, and the terminal of the person nothing to read."""
    port = browser.server.session.port
    with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as raw:
        raw.sendall(f"GET http://[/x HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
        said = raw.makefile("rb").read()
    assert b" 400 " in said
    assert capfd.readouterr().err == ""
