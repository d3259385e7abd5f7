"""Both clients against a real daemon, over the socket and over TCP: every operation, and what it raises."""

from __future__ import annotations

import asyncio
import inspect
import io
import os
import random
import threading
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from dorkyd.api.failures import ApiError, BadRequest, Conflict, NotAllowed, NotFound, NotRunning, Temporary
from dorkyd.client import AsyncDorkyClient, DorkyClient, Fetched, Progress
from dorkyd.core.settings import Listen
from tests.api.serving import LEAK, collected
from tests.artifacts.place import Place, serving
from tests.daemons import wait_until
from tests.servers import free_ports

__all__ = ["collected"]
pytestmark = pytest.mark.daemon

MANY = 64


class Awaited:
    """`AsyncDorkyClient` with the calls of the other: each is awaited to its end."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self._runner = asyncio.Runner()
        self._client = self._runner.run(self._made(*args, **more))

    async def _made(self, *args: Any, **more: Any) -> AsyncDorkyClient:
        return AsyncDorkyClient(*args, **more)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*args: Any, **more: Any) -> Any:
            found = method(*args, **more)
            if inspect.isasyncgen(found):
                return self._runner.run(_listed(found))
            return self._runner.run(_ended(found)) if inspect.isawaitable(found) else found

        return call

    def done(self) -> None:
        self._runner.run(self._client.close())
        self._runner.close()


async def _listed(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


async def _ended(what: Any) -> Any:
    return await what


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """One daemon over a directory bucket, which listens on TCP as well; each test has paths of its own."""
    with serving() as up:
        listen = Listen("127.0.0.1", free_ports(1)[0])
        up.daemon.configure({**up.daemon.settings, "listen": str(listen)})
        wait_until("it listens", (up.daemon.home / "state" / "token").exists)
        with httpx2.Client(trust_env=False) as knock:
            wait_until("it answers", lambda: _answers(knock, f"http://{listen}"))
        yield up


def _answers(knock: httpx2.Client, url: str) -> bool:
    try:
        return knock.get(url).status_code == 401
    except httpx2.HTTPError:
        return False


def url_of(place: Place) -> str:
    """Where it listens."""
    return f"http://localhost:{place.daemon.settings['listen'].rpartition(':')[2]}"


@pytest.fixture
def at_home(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell of the daemon's own user."""
    monkeypatch.setenv("DORKY_HOME", str(place.daemon.home))
    monkeypatch.delenv("DORKY_TOKEN", raising=False)


@pytest.fixture(params=["blocking", "awaited", "tcp"])
def client(request: pytest.FixtureRequest, place: Place, at_home: None) -> Iterator[Any]:
    """The same tests for both, and for one of them over TCP."""
    if request.param == "awaited":
        awaited = Awaited(place.daemon.socket)
        yield awaited
        awaited.done()
        return
    with DorkyClient(url_of(place) if request.param == "tcp" else None) as blocking:
        yield blocking


# --- one artifact -----------------------------------------------------------------------------------------------------


def test_there_and_back(client: Any, place: Place, tmp_path: Path) -> None:
    """What is uploaded is told, fetched and deleted; its metadata comes back as it was."""
    item = client.upload(b"hello", "p:there/a b.txt", metadata={"note": "naïve 😀"})
    assert (item.path, item.size, item.metadata) == ("there/a b.txt", 5, {"note": "naïve 😀"})
    assert client.stat("p:there/a b.txt") == item
    fetched = client.download("p:there/a b.txt", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"hello"
    assert (fetched.path, fetched.digest, fetched.version) == (tmp_path / "out", item.digest, item.version)
    client.delete("p:there/a b.txt")
    with pytest.raises(NotFound) as missing:
        client.stat("p:there/a b.txt")
    assert missing.value.code == "no-such-artifact"
    assert missing.value.hint
    assert len(missing.value.request_id) == 16


def test_bits_of_what_a_download_makes(client: Any, tmp_path: Path) -> None:
    """A file that is replaced keeps its permission bits; a new one is for its owner alone where its name says so."""
    for path, there, wanted in (("b/.env", None, 0o600), ("b/run", 0o700, 0o700), ("b/.env", 0o640, 0o640)):
        client.upload(b"A=1", f"p:{path}")
        dest = tmp_path / f"{wanted:o}"
        if there is not None:
            dest.write_bytes(b"old")
            dest.chmod(there)
        client.download(f"p:{path}", dest)
        assert (dest.read_bytes(), dest.stat().st_mode & 0o777) == (b"A=1", wanted)


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (5 << 20) + 3])
def test_sizes(client: Any, tmp_path: Path, size: int) -> None:
    """A file of any size comes back as it was, into a folder under its own name, or into an open file."""
    (tmp_path / "f.bin").write_bytes(os.urandom(size))
    client.upload(tmp_path / "f.bin", f"p:sizes/{size}/")
    (tmp_path / "into").mkdir()
    found = client.download(f"p:sizes/{size}/f.bin", tmp_path / "into")
    stream = io.BytesIO()
    client.download(f"p:sizes/{size}/f.bin", stream)
    assert found.path == tmp_path / "into" / "f.bin"
    assert found.path.read_bytes() == stream.getvalue() == (tmp_path / "f.bin").read_bytes()


def test_a_pipe(client: Any) -> None:
    """A body whose length nobody knows is stored whole."""
    data = os.urandom(3 << 20)
    read, write = os.pipe()

    def feed() -> None:
        with os.fdopen(write, "wb") as end:
            end.write(data)

    feeding = threading.Thread(target=feed)
    feeding.start()
    with os.fdopen(read, "rb") as pipe:
        assert client.upload(pipe, "p:pipe").size == len(data)
    feeding.join()
    stream = io.BytesIO()
    client.download("p:pipe", stream)
    assert stream.getvalue() == data


def test_conditions(client: Any) -> None:
    """A version or digest that is replaced, or nothing; otherwise `Conflict`, and nothing is changed."""
    first = client.upload(b"1", "p:cond", if_none_match="*" if _absent(client, "p:cond") else None)
    with pytest.raises(Conflict) as refused:
        client.upload(b"2", "p:cond", if_none_match="*")
    assert refused.value.code == "precondition-failed"
    second = client.upload(b"2", "p:cond", if_match=first.version)
    with pytest.raises(Conflict):
        client.upload(b"3", "p:cond", if_match=first.version)
    with pytest.raises(Conflict):
        client.delete("p:cond", if_match=first.digest)
    client.delete("p:cond", if_match=second.digest)


def _absent(client: Any, path: str) -> bool:
    try:
        client.stat(path)
    except NotFound:
        return True
    return False


def test_metadata(client: Any) -> None:
    """It is merged without the bytes: None takes a name away."""
    client.upload(b"1", "p:meta", metadata={"a": "1", "b": "2"})
    assert client.update_metadata("p:meta", {"a": None, "c": "3"}).metadata == {"b": "2", "c": "3"}
    assert client.metadata("p:meta") == {"b": "2", "c": "3"}
    with pytest.raises(BadRequest) as refused:
        client.update_metadata("p:meta", {"big": "x" * 5000})
    assert refused.value.code == "metadata-too-large"


def test_list(client: Any) -> None:
    """What is below a prefix, a page at a time, and what has all of some metadata."""
    client.upload_many([(b"x", f"p:list/{n}") for n in range(5)], metadata={"of": "five"})
    client.update_metadata("p:list/3", {"odd": "yes"})
    assert [item.path for item in client.list("p:list/", page=2)] == [f"list/{n}" for n in range(5)]
    (item,) = client.list("p:", meta={"of": "five", "odd": "yes"})
    assert (item.path, item.metadata) == ("list/3", {"of": "five", "odd": "yes"})
    assert [item.path for item in client.list("list/4")] == ["list/4"]
    assert list(client.list("p:nothing/")) == []


def test_versions(client: Any) -> None:
    """Each state that was replaced is told, newest first."""
    items = [client.upload(content, "p:versions/v") for content in (b"1", b"22", b"333")]
    found = client.versions("p:versions/v")[:3]
    assert [each.version for each in found] == [item.version for item in reversed(items)]
    assert [each.current for each in found] == [True, False, False]


def test_errors(client: Any) -> None:
    """A project that is none, and a path that can be none, are told as what they are."""
    with pytest.raises(NotFound) as missing:
        client.upload(b"1", "nobody:a")
    assert missing.value.code == "no-such-project"
    with pytest.raises(BadRequest):
        client.upload(b"1", "p:../a")


# --- where to ---------------------------------------------------------------------------------------------------------


def test_a_file_in_the_folder_is_awaited(client: Any, place: Place) -> None:
    """Without `to`, sync sends it; the upload returns when the bucket has these very bytes, with its metadata."""
    file = place.daemon.root / "sub" / "mine.txt"
    file.parent.mkdir(exist_ok=True)
    for turn in range(2):
        content = f"mine {turn} {random.random()}"
        file.write_text(content)
        item = client.upload(file, metadata={"turn": str(turn)})
        assert place.objects()["sub/mine.txt"] == content.encode()
        assert (item.path, item.metadata["turn"]) == ("sub/mine.txt", str(turn))


def test_a_file_that_is_ignored(client: Any, place: Place) -> None:
    """What sync never sends would be awaited for ever: it is refused by the rule's name."""
    file = place.daemon.root / "x.part"
    file.write_text("x")
    with pytest.raises(BadRequest) as refused:
        client.upload(file)
    assert refused.value.code == "ignored"


def test_the_only_project(client: Any, place: Place, tmp_path: Path) -> None:
    """Without a project's name, the only one is meant; a file from elsewhere has its base name there."""
    (tmp_path / "elsewhere.txt").write_text("x")
    assert client.upload(str(tmp_path / "elsewhere.txt")).path == "elsewhere.txt"
    assert client.upload(b"x", "d/plain.txt").path == "d/plain.txt"
    assert client.stat("d/plain.txt").size == 1
    with pytest.raises(BadRequest) as refused:
        client.upload(b"x")
    assert refused.value.code == "name_required"


def test_two_projects(place: Place, tmp_path: Path) -> None:
    """With several there is no guessing; inside a folder its project is meant."""
    with DorkyClient(place.daemon.socket) as client:
        (tmp_path / "second").mkdir()
        client.add(str(tmp_path / "second"), name="second")
        try:
            (tmp_path / "f").write_text("x")
            for attempt in (lambda: client.upload(tmp_path / "f"), lambda: client.stat("f")):
                with pytest.raises(BadRequest) as refused:
                    attempt()
                assert refused.value.code == "project_required"
                assert "p, second" in str(refused.value)
            (tmp_path / "second" / "g").write_text("x")
            client.upload(tmp_path / "second" / "g")
            assert client.stat("second:g").size == 1
        finally:
            client.remove("second")


# --- reading ----------------------------------------------------------------------------------------------------------


def test_open(client: Any, place: Place) -> None:
    """Any part can be read, and only that is fetched; once the object is another, reading says so."""
    data = os.urandom(3 << 20)
    item = client.upload(data, "p:open")
    opened = client.open("p:open")
    read = opened.read if isinstance(client, DorkyClient) else lambda n=-1: client._runner.run(opened.read(n))
    assert read(10) == data[:10]
    assert opened.seek(-5, os.SEEK_END) == item.size - 5
    assert read() == data[-5:]
    assert read() == b""
    opened.seek(1_234_567)
    assert read(100) == data[1_234_567:1_234_667]
    assert opened.tell() == 1_234_667
    with pytest.raises(ValueError, match="before the beginning"):
        opened.seek(-1)
    client.upload(b"another", "p:open")
    opened.seek(0)
    with pytest.raises(Conflict):
        read(3 << 20)


def test_path(client: Any, place: Place) -> None:
    """The file in the folder, once it holds what was stored."""
    client.upload(b"as a file", "p:file/f")
    file = client.path("p:file/f", timeout_s=60)
    assert file == place.daemon.root / "file" / "f"
    assert file.read_bytes() == b"as a file"
    with pytest.raises((NotFound, Temporary)):
        client.path("p:nothing/there", timeout_s=0.2)


def test_wait(client: Any, place: Place) -> None:
    """Until the bucket has a file, and until the folder has an object; a paused project says that it stands still."""
    file = place.daemon.root / "waited"
    file.write_text(str(random.random()))
    client.wait(str(file), "uploaded", timeout_s=60)
    assert place.objects()["waited"] == file.read_bytes()
    file.write_text(str(random.random()))
    client.wait("p:waited", timeout_s=60)
    assert place.objects()["waited"] == file.read_bytes(), "by its name too it is the file as it is now"
    client.upload(b"down", "p:waited-down")
    client.wait("p:waited-down", "downloaded", timeout_s=60)
    assert (place.daemon.root / "waited-down").read_bytes() == b"down"
    client.pause("p")
    try:
        file.write_text(str(random.random()))
        with pytest.raises(Conflict) as stuck:
            client.wait(str(file), timeout_s=60)
        assert stuck.value.code == "paused"
    finally:
        client.resume("p")


# --- many -------------------------------------------------------------------------------------------------------------


def test_many(client: Any, place: Place, tmp_path: Path) -> None:
    """64 uploads and downloads of mixed sizes at one time lose and corrupt nothing."""
    sizes = [random.Random(7).choice([0, 1, 4096, 70_000, 1 << 20, 3 << 20]) for _ in range(MANY)]
    sent = {f"many/{n}.bin": os.urandom(size) for n, size in enumerate(sizes)}
    seen: dict[str, Progress] = {}
    items = client.upload_many([(data, f"p:{path}") for path, data in sent.items()], concurrency=MANY)
    assert [item.path for item in items] == list(sent)
    fetched = client.download_many(
        [f"p:{path}" for path in sent], tmp_path, concurrency=MANY, progress=lambda p: seen.__setitem__(p.name, p)
    )
    assert all(isinstance(each, Fetched) for each in fetched)
    assert {path: (tmp_path / path).read_bytes() for path in sent} == sent
    assert {name: p.moved for name, p in seen.items()} == {f"p:{path}": len(data) for path, data in sent.items()}


def test_some_of_many_fail(client: Any, tmp_path: Path) -> None:
    """One that fails keeps no other; all failures are raised together, or told in their places."""
    client.upload_many([(b"1", "p:some/1"), (b"2", "p:some/2")])
    paths = ["p:some/1", "p:some/none", "p:some/2"]
    with pytest.raises(ExceptionGroup) as failed:
        client.download_many(paths, tmp_path)
    assert [type(each) for each in failed.value.exceptions] == [NotFound]
    assert (tmp_path / "some" / "2").read_bytes() == b"2"
    found = client.download_many(paths, tmp_path, return_exceptions=True)
    assert [isinstance(each, ApiError) for each in found] == [False, True, False]
    with pytest.raises(ExceptionGroup):
        client.download_many(["p:../../etc/passwd"], tmp_path)


def test_two_of_many_for_one_place(client: Any, tmp_path: Path) -> None:
    """What goes to one place does not overwrite each other: the first is carried out, the others are refused."""
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same").write_text(folder)
    sources = [tmp_path / "a" / "same", tmp_path / "b" / "same"]
    found = client.upload_many(sources, "p:once/", return_exceptions=True, concurrency=1)
    assert [getattr(each, "code", None) for each in found] == [None, "same-place"]
    client.upload_many([(b"1", "p:one/x"), (b"2", "p:two/x")])
    found = client.download_many(
        [("p:one/x", tmp_path / "x"), ("p:two/x", tmp_path / "a" / ".." / "x")], return_exceptions=True, concurrency=1
    )
    assert [getattr(each, "code", None) for each in found] == [None, "same-place"]
    assert (tmp_path / "x").read_bytes() == b"1"


# --- over TCP ---------------------------------------------------------------------------------------------------------


def test_the_predecessors_quick_start(place: Place, at_home: None, tmp_path: Path) -> None:
    """What its documentation shows works as it stands, with the token from the file that the daemon made."""
    (tmp_path / "quick-start").write_text("note")
    client = DorkyClient(url_of(place))
    assert client.upload(str(tmp_path / "quick-start"), metadata={"note": "example"}).metadata == {"note": "example"}
    client.close()  # only for this test run, which counts what is left open


def test_the_token_from_the_environment(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program elsewhere gets it by `DORKY_TOKEN`; without one it is told what is missing."""
    monkeypatch.setenv("DORKY_HOME", str(tmp_path))
    with DorkyClient(url_of(place)) as client, pytest.raises(NotAllowed) as refused:
        client.health()
    assert refused.value.code == "token-missing"
    assert "DORKY_TOKEN" in "".join(traceback.format_exception(refused.value)), "also where nobody catches it"
    monkeypatch.setenv("DORKY_TOKEN", (place.daemon.home / "state" / "token").read_text())
    with DorkyClient(url_of(place)) as client:
        assert client.health().status == "ok"
        assert "Bearer" not in repr(client.place)


@pytest.mark.parametrize("where", ["http://dorky.example:3000", "http://10.0.0.1:3000", "ftp://localhost", "http://"])
def test_addresses_that_are_refused(where: str) -> None:
    """A token never crosses a network in the clear."""
    with pytest.raises(BadRequest) as refused:
        DorkyClient(where)
    assert refused.value.code in ("not-loopback", "bad-address")


def test_the_daemons_token_stays_on_this_machine(at_home: None) -> None:
    """Elsewhere only a token is sent that somebody named, and over TLS."""
    with DorkyClient("https://dorky.example") as client:
        assert not client.place.headers
    with DorkyClient("https://dorky.example", token="t" * 40) as client:
        assert client.place.headers


@LEAK
@pytest.mark.usefixtures("collected")
def test_nobody_listens(at_home: None) -> None:
    """It says where nobody answers, and what opens it."""
    with DorkyClient(f"http://127.0.0.1:{free_ports(1)[0]}") as client, pytest.raises(NotRunning) as caught:
        client.upload(b"x", "p:x")
    assert "`listen`" in caught.value.hint
