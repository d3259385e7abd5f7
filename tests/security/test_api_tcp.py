"""The API over TCP: off by default, on the loopback alone, behind a token, and deaf to web pages."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from dorkyd.api.tcp import TcpDoor, listen_on, token_in
from dorkyd.core.settings import Listen
from dorkyd.errors import Configuration
from tests.api.fakes import FakeDaemon
from tests.daemons import RealDaemon, wait_until
from tests.e2e.commands import running
from tests.security.attacked import problem_of
from tests.servers import free_ports

TOKEN = "t" * 40


@dataclass(slots=True)
class Listening:
    """A door that is open, and what a program knows of it."""

    door: TcpDoor
    listen: Listen
    http: httpx2.Client


def program(listen: Listen, token: str | None = TOKEN) -> httpx2.Client:
    """Some program on this machine."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx2.Client(base_url=f"http://{listen}", headers=headers, trust_env=False)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Listening]:
    """A server in this process over a fake daemon."""
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    listen = Listen("127.0.0.1", free_ports(1)[0])
    door = TcpDoor(FakeDaemon(), tmp_path / "token")
    door.follow(listen)
    assert door.trouble is None
    with program(listen) as http:
        yield Listening(door, listen, http)
    door.close()


# --- who is let in ----------------------------------------------------------------------------------------------------


def test_with_the_token(there: Listening) -> None:
    """Whoever has the token is answered, by whatever name of the loopback it was asked."""
    for host in ("127.0.0.1", "localhost", "LOCALHOST:1", "127.9.9.9:80", "[::1]", f"localhost:{there.listen.port}"):
        assert there.http.get("/v1/health", headers={"Host": host}).status_code == 200, host


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (None, "token-missing"),
        ("", "token-wrong"),
        ("Bearer", "token-wrong"),
        ("Bearer " + TOKEN[1:], "token-wrong"),
        ("Bearer " + TOKEN + "t", "token-wrong"),
        ("Bearer " + TOKEN.upper(), "token-wrong"),
        ("Bearer caf\xe9", "token-wrong"),
        ("Basic " + TOKEN, "token-wrong"),
        (TOKEN, "token-wrong"),
    ],
)
@pytest.mark.parametrize("target", ["/v1/health", "/openapi.json", "/v1/nothing", "/"])
def test_without_the_token(there: Listening, target: str, said: str | None, code: str) -> None:
    """Without it nothing is told, not even which routes there are: 401 with the scheme, and where the token is."""
    headers = {} if said is None else {b"Authorization": said.encode("latin-1")}
    answer = httpx2.get(f"http://{there.listen}{target}", headers=headers, trust_env=False)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="dorkyd"')
    problem = problem_of(answer)
    assert problem["code"] == code
    assert "token" in problem["hint"]
    assert TOKEN not in answer.text


def test_two_tokens(there: Listening) -> None:
    """Two of them, one right: which one was meant cannot be told."""
    answer = there.http.get("/v1/health", headers=[("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer x")])
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:3000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "0.0.0.0",
        "10.0.0.1",
        "",
        "::1",
        "[127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "localhost:3000@evil.example",
        "2130706433",
        "127.1",
        "[::1",
        "localhost.",
    ],
)
def test_rebinding(there: Listening, host: str) -> None:
    """A page whose name was pointed at the loopback names itself as the host: 403, the right token or not."""
    for token in (TOKEN, "wrong"):
        answer = there.http.get("/v1/health", headers={"Host": host, "Authorization": f"Bearer {token}"})
        assert answer.status_code == 403
        assert problem_of(answer)["code"] == "foreign-host"


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:8080", "file://", ""])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_pages(there: Listening, method: str, origin: str) -> None:
    """A web page, of this machine too, is refused before its token is looked at; a preflight as well."""
    answer = there.http.request(method, "/v1/stop", headers={"Origin": origin})
    assert answer.status_code == 403
    assert problem_of(answer)["code"] == "foreign-origin"
    assert "access-control-allow-origin" not in answer.headers


# --- the token's file -------------------------------------------------------------------------------------------------


def test_a_token_is_made_once(tmp_path: Path) -> None:
    """The first asking makes it, mode 0600; later ones find it; no two are alike."""
    token = token_in(tmp_path / "token")
    assert len(token) >= 40
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    assert token_in(tmp_path / "token") == token
    assert token_in(tmp_path / "other") != token
    assert sorted(os.listdir(tmp_path)) == ["other", "token"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_token_that_others_could_read(tmp_path: Path, mode: int) -> None:
    """A file that is open to others holds no secret any more."""
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(mode)
    with pytest.raises(Configuration, match="others may have read it"):
        token_in(tmp_path / "token")


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 40, b"two words " * 5, b"a" * 2000])
def test_what_is_no_token(tmp_path: Path, content: bytes) -> None:
    """An empty or short token would be guessed; what is none is told, and not shown."""
    (tmp_path / "token").write_bytes(content)
    (tmp_path / "token").chmod(0o600)
    with pytest.raises(Configuration, match="it holds no token"):
        token_in(tmp_path / "token")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Where a token's file should be, a link or a pipe is refused at once."""
    (tmp_path / "other").write_text(TOKEN)
    (tmp_path / "link").symlink_to(tmp_path / "other")
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("link", "pipe"):
        with pytest.raises(Configuration):
            token_in(tmp_path / name)


# --- the door ---------------------------------------------------------------------------------------------------------


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """It is a warning, and served as soon as the port is free."""
    listen = Listen("127.0.0.1", free_ports(1)[0])
    door = TcpDoor(FakeDaemon(), tmp_path / "token")
    with listen_on(listen):
        door.follow(listen)
        assert door.trouble is not None
        assert str(listen) in door.trouble.detail
        assert "`listen`" in door.trouble.hint
    door.follow(listen)
    assert door.trouble is None
    with program(listen, token_in(tmp_path / "token")) as http:
        assert http.get("/v1/health").status_code == 200
    door.close()


def test_it_moves_and_closes(there: Listening) -> None:
    """Another setting moves it, and none closes it: nobody listens there any more."""
    moved = Listen("127.0.0.1", free_ports(1, taken={there.listen.port})[0])
    there.door.follow(moved)
    with program(moved) as http:
        assert http.get("/v1/health").status_code == 200
    there.door.follow(None)
    for gone in (there.listen, moved):
        with socket.socket() as knock:
            assert knock.connect_ex((gone.host, gone.port)) != 0


def test_six(tmp_path: Path) -> None:
    """The loopback of IPv6 is served like the other."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
            listen = Listen("::1", probe.getsockname()[1])
    except OSError as exc:
        pytest.skip(f"no IPv6 here: {exc}")
    door = TcpDoor(FakeDaemon(), tmp_path / "token")
    door.follow(listen)
    with program(listen, token_in(tmp_path / "token")) as http:
        assert http.get("/v1/health").status_code == 200
    door.close()


# --- a real daemon ----------------------------------------------------------------------------------------------------


@pytest.mark.daemon
def test_a_daemon_listens_when_told(quick_path: Path) -> None:
    """By default there is no listener and no token. One setting opens it in the running daemon; taking it away closes it."""
    (quick_path / "bucket").mkdir()
    daemon = RealDaemon(quick_path, "a", f"file://{quick_path}/bucket")
    token = daemon.home / "state" / "token"
    listen = Listen("127.0.0.1", free_ports(1)[0])

    def answers() -> bool:
        with socket.socket() as knock:
            return knock.connect_ex((listen.host, listen.port)) == 0

    with running(daemon):
        before: dict[str, Any] = dict(daemon.settings)
        assert not token.exists()
        assert not answers()
        daemon.configure({**before, "listen": str(listen)})
        wait_until("it listens", answers)
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        with program(listen, token.read_text().strip()) as http:
            assert http.get("/v1/status").json()["projects"][0]["name"] == "p"
        with program(listen, None) as http:
            assert http.get("/v1/status").status_code == 401
        daemon.configure(before)
        wait_until("it listens no longer", lambda: not answers())
        assert token.read_text().strip() not in daemon.log.read_text()
