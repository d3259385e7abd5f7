"""Who may speak to the daemon: this user alone, whatever was there before it and whatever the umask says."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import platform
import shutil
import socket
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import httpx2
import pytest

from dorkyd.api.failures import NotAllowed
from dorkyd.api.server import ApiServer
from dorkyd.client import AsyncDorkyClient, DorkyClient
from dorkyd.errors import Configuration
from dorkyd.private import make_private
from tests.api.fakes import FakeDaemon
from tests.api.serving import Served, http_client, serving
from tests.e2e.commands import clean_env, run

T = TypeVar("T")

NOBODY = 65_534
SETRESUID = {"x86_64": 117, "aarch64": 147}.get(platform.machine())
"""Linux's number of setresuid(2), which as a bare system call is one thread's (nptl(7))."""
as_root = pytest.mark.skipif(
    os.geteuid() != 0 or SETRESUID is None, reason="only root on Linux can be another user as well"
)


def as_nobody(call: Callable[[], T]) -> T:
    """The result of `call` in a thread whose effective user is nobody: no interpreter need be in that user's reach."""

    def work() -> T:
        assert ctypes.CDLL(None).syscall(SETRESUID, -1, NOBODY, -1) == 0
        return call()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(30)


@pytest.fixture
def served() -> Iterator[Served]:
    """A server over a fake daemon."""
    with serving() as up:
        yield up


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[tuple[str, list[bytes]]]:
    """A socket that answers nothing and keeps what it is sent."""
    heard: list[bytes] = []
    place = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(place)
        server.listen()

        def hear() -> None:
            peer, _ = server.accept()
            with peer:
                heard.append(peer.recv(100))

        thread = threading.Thread(target=hear, daemon=True)
        thread.start()
        yield place, heard
        with socket.socket(socket.AF_UNIX) as last:
            last.connect_ex(place)
        thread.join(10)


# --- the daemon's side ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_another_user_is_refused(tmp_path: Path, method: str) -> None:
    """A peer whose uid is not the allowed one is hung up on before a byte is read, whatever it asks."""
    daemon = FakeDaemon()
    server = ApiServer(daemon, str(tmp_path / "s"), os.getuid() + 1)
    server.start()
    try:
        with http_client(str(tmp_path / "s")) as http, pytest.raises(httpx2.TransportError):
            http.request(method, "/v1/stop")
    finally:
        server.stop()
    assert not daemon.stopped.is_set()


@as_root
def test_a_real_other_user_is_refused(served: Served) -> None:
    """Even where directory and socket were opened to all by mistake, the kernel's word on the peer decides."""
    for place, mode in ((served.home, 0o755), (served.home / "run", 0o755), (Path(served.socket), 0o666)):
        place.chmod(mode)

    def ask() -> bytes:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(served.socket)
            try:
                peer.sendall(b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
                return peer.recv(100)
            except ConnectionError:
                return b""

    assert as_nobody(ask) == b""
    assert served.http.get("/v1/health").status_code == 200


def test_modes_under_an_open_umask(tmp_path: Path) -> None:
    """With umask 000 a daemon's directories, socket and files are open to nobody else; neither is a new home."""
    (tmp_path / "folder").mkdir()
    top = Path(tempfile.mkdtemp(prefix="dk"))  # short, as sockets want it
    home = top / "new" / "home"
    env = clean_env(DORKY_HOME=str(home))
    try:
        before = os.umask(0)
        try:
            assert run("dorkyctl", "up", str(tmp_path / "folder"), env=env).code == 0
        finally:
            os.umask(before)
        private = [home.parent, home, home / "run", home / "state", home / "state" / "journals"]
        assert {place: oct(stat.S_IMODE(place.stat().st_mode)) for place in private} == dict.fromkeys(private, "0o700")
        files = [home / "run" / "dorkyd.sock", home / "config.yaml", home / "state" / "daemon.json"]
        assert {file: oct(stat.S_IMODE(file.stat().st_mode)) for file in files} == dict.fromkeys(files, "0o600")
    finally:
        assert run("dorkyctl", "stop", env=env).code == 0
        shutil.rmtree(top)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user(tmp_path: Path) -> None:
    """A run directory that somebody else made first is refused, and nothing is put into it."""
    run = tmp_path / "run"
    run.mkdir()
    os.chown(run, NOBODY, NOBODY)
    with pytest.raises(Configuration, match="another user"):
        ApiServer(FakeDaemon(), str(run / "s"), os.getuid()).start()
    assert list(run.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a socket away")
def test_a_socket_of_another_user(tmp_path: Path) -> None:
    """A socket that somebody else left in our directory is neither taken for a daemon of ours nor removed."""
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(str(tmp_path / "s"))
        os.chown(tmp_path / "s", NOBODY, NOBODY)
        with pytest.raises(Configuration, match="another user"):
            ApiServer(FakeDaemon(), str(tmp_path / "s"), os.getuid()).start()
    assert (tmp_path / "s").exists()


def test_a_link_in_place_of_the_directory(tmp_path: Path) -> None:
    """A run directory that is a symlink is refused: its target keeps its mode and gets no socket."""
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Configuration, match="symlink"):
        ApiServer(FakeDaemon(), str(tmp_path / "run" / "s"), os.getuid()).start()
    assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) == 0o755
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_in_place_of_the_socket(tmp_path: Path) -> None:
    """A symlink under the socket's name is refused, and what it leads to is left alone."""
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "s").symlink_to(tmp_path / "mine")
    with pytest.raises(Configuration, match="not a socket"):
        ApiServer(FakeDaemon(), str(tmp_path / "s"), os.getuid()).start()
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_home_open_to_all_is_closed(tmp_path: Path) -> None:
    """Nobody else may move our directory away and put another in its place: the home of ours loses `o+w`."""
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o777)
    make_private(home / "run")
    assert stat.S_IMODE(home.stat().st_mode) == 0o775
    assert stat.S_IMODE((home / "run").stat().st_mode) == 0o700


def test_a_sticky_directory_stays(tmp_path: Path) -> None:
    """Where everybody may make files but only owners remove them, as in /tmp, nothing is changed."""
    tmp_path.chmod(0o1777)
    make_private(tmp_path / "run")
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


def test_a_file_in_place_of_the_directory(tmp_path: Path) -> None:
    """A plain file under the directory's name is refused with the remedy."""
    (tmp_path / "run").write_text("mine")
    with pytest.raises(Configuration) as refused:
        make_private(tmp_path / "run")
    assert "DORKY_HOME" in refused.value.hint


# --- the client's side ------------------------------------------------------------------------------------------------


def test_nothing_is_sent_to_a_stranger(listener: tuple[str, list[bytes]]) -> None:
    """A client asks the kernel who answers, and sends another user's process not one byte."""
    place, heard = listener
    with DorkyClient(place, uid=os.getuid() + 1) as client, pytest.raises(NotAllowed) as refused:
        client.status()
    assert refused.value.code == "foreign-daemon"
    with DorkyClient(place, uid=os.getuid() + 1) as client, pytest.raises(NotAllowed):
        next(client.events())
    assert heard in ([], [b""])


def test_nothing_is_sent_to_a_stranger_from_asyncio(listener: tuple[str, list[bytes]]) -> None:
    """The asyncio client holds itself to the same."""
    place, heard = listener

    async def ask() -> None:
        async with AsyncDorkyClient(place, uid=os.getuid() + 1) as client:
            with pytest.raises(NotAllowed):
                await client.add("/x", "s3://b/x")
            with pytest.raises(NotAllowed):
                await anext(client.events())

    asyncio.run(ask())
    assert heard in ([], [b""])


@as_root
def test_daemon_json_that_names_a_strangers_socket(tmp_path: Path) -> None:
    """`daemon.json` may lead a command to another user's socket; the command says so and sends nothing."""
    where = Path(tempfile.mkdtemp(prefix="dk"))
    where.chmod(0o777)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "daemon.json").write_text(json.dumps({"pid": 1, "socket": str(where / "s")}))
    with socket.socket(socket.AF_UNIX) as theirs:

        def listen() -> None:
            theirs.bind(str(where / "s"))
            (where / "s").chmod(0o777)
            theirs.listen()

        as_nobody(listen)
        ran = run("dorkyctl", "status", env=clean_env(DORKY_HOME=str(tmp_path)))
        peer, _ = theirs.accept()
        with peer:
            assert peer.recv(100) == b""
    shutil.rmtree(where)
    assert ran.code == 8
    assert "another user" in ran.err
