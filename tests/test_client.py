"""The Python clients: typed answers, typed errors, streams, and where they look for the daemon."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

import dorkyd
from dorkyd.api import calls
from dorkyd.api.failures import (
    ApiError,
    BadConfiguration,
    BadRequest,
    Failed,
    GuardRefused,
    NotAllowed,
    NotFound,
    NotRunning,
    Temporary,
)
from dorkyd.client import AsyncDorkyClient, DorkyClient
from dorkyd.config import find_homes
from dorkyd.core.report import State
from dorkyd.errors import AuthExpired, Configuration, DiskFull, Refused, Transient, UnsafeStore
from dorkyd.locate import default_socket, find_socket, state_directory
from tests.api.fakes import conflict_item, file_item, log_item
from tests.api.serving import LEAK, Served, collected, serving

__all__ = ["collected"]


@pytest.fixture
def served() -> Iterator[Served]:
    """A server over a fake daemon with one project, `api`."""
    with serving() as up:
        yield up


def test_answers(served: Served) -> None:
    """Answers are typed values."""
    served.project.files_held = [file_item("a"), file_item("b")]
    served.project.conflicts_held = [conflict_item("a")]
    with DorkyClient(served.socket) as client:
        assert client.health().daemon.pid == os.getpid()
        assert client.status("api").projects[0].state is State.IN_SYNC
        page = client.files("api", limit=1)
        assert ([item.path for item in page.items], page.next) == (["a"], "a")
        assert client.conflicts("api")[0].copy_.startswith("a (conflict")
        assert client.check_ignore("api", ["x.tmp"])[0].rule == "*.tmp"
        assert client.sync("api", wait=True, timeout_s=3).converged
        assert client.add("/x/data", "s3://b/data", mode="pull").mode == "pull"
        assert client.remove("data").name == "data"


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (Refused("no"), BadRequest),
        (Refused("no", code="no-such-path"), NotFound),
        (Refused("no", code="refused-by-guard"), GuardRefused),
        (UnsafeStore("no"), GuardRefused),
        (Configuration("no", code="whatever"), BadConfiguration),
        (AuthExpired("no"), NotAllowed),
        (Transient("no", retry_after_s=7), Temporary),
        (DiskFull("no"), Failed),
    ],
)
def test_errors(served: Served, error: Exception, raised: type[ApiError]) -> None:
    """An error is raised as its kind, whatever its code, with message, hint and status."""
    error.hint = "Do this."  # type: ignore[attr-defined]
    served.project.error = error
    with DorkyClient(served.socket) as client, pytest.raises(ApiError) as caught:
        client.files("api")
    assert type(caught.value) is raised
    assert (str(caught.value), caught.value.hint) == ("no", "Do this.")
    assert caught.value.status is not None
    if raised is Temporary:
        assert caught.value.retry_after_s == 7


@LEAK
@pytest.mark.usefixtures("collected")
def test_not_running(tmp_path: Path) -> None:
    """Without a daemon every call says how to start one."""
    with DorkyClient(str(tmp_path / "s")) as client, pytest.raises(NotRunning) as caught:
        client.status()
    assert "dorkyctl up" in caught.value.hint


def test_patience(served: Served) -> None:
    """A daemon that does not answer in time is a temporary error."""
    served.project.hold.clear()
    call = calls.Call("POST", "/v1/projects/api/sync", calls.m.SyncResult, body={"wait": True}, patience_s=0.1)
    with DorkyClient(served.socket) as client, pytest.raises(Temporary) as caught:
        client.send(call)
    assert caught.value.code == "timeout"


def test_streams(served: Served) -> None:
    """Streams yield typed values, and end when the daemon does."""
    served.project.history = [log_item(1), log_item(2)]
    with DorkyClient(served.socket) as client:
        log = client.follow_log("api")
        assert [next(log).seq, next(log).seq] == [1, 2]
        events = client.events()
        assert next(events).name == "api"
        served.server.stop()
        assert list(events) == []


def test_async_client(served: Served) -> None:
    """The asyncio client has the same calls, answers and errors."""
    served.project.files_held = [file_item("a")]

    async def use() -> None:
        async with AsyncDorkyClient(served.socket) as client:
            assert [item.path for item in (await client.files("api")).items] == ["a"]
            assert (await client.sync("api", wait=True)).converged
            async with aclosing(client.events()) as events:
                assert (await anext(events)).name == "api"
            with pytest.raises(NotFound):
                await client.files("nobody")

    asyncio.run(use())


def test_both_clients_have_the_same_calls() -> None:
    """Nothing is missing from one of the two. What a task does is ended by cancelling it, threads want a call for that."""
    sync = {name for name in vars(DorkyClient) if not name.startswith("_")} - {"interrupt"}
    assert sync == {name for name in vars(AsyncDorkyClient) if not name.startswith("_")}


def test_names_are_quoted(served: Served) -> None:
    """A project's name with characters of a URL reaches the daemon as it is."""
    with DorkyClient(served.socket) as client:
        client.add("/x/y", "s3://b/y", name="a b?c#d")
        assert client.files("a b?c#d").items == []


def test_lazy_exports() -> None:
    """`dorkyd` exports the clients, and importing it alone imports no HTTP client."""
    assert dorkyd.DorkyClient is DorkyClient
    script = "import dorkyd, sys; print('httpx2' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


@pytest.mark.parametrize(
    "environ",
    [
        {"DORKY_HOME": "/d"},
        {"DORKY_HOME": "~/d", "HOME": "/h"},
        {"HOME": "/h"},
        {"HOME": "/h", "XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/r"},
        {"HOME": "/h", "XDG_STATE_HOME": "relative", "XDG_RUNTIME_DIR": "relative"},
    ],
)
def test_places(environ: dict[str, str]) -> None:
    """Clients look where the configuration says that the daemon is."""
    homes = find_homes(environ)
    assert state_directory(environ) == homes.state_dir
    assert default_socket(environ) == homes.socket


def test_daemons_own_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`state/daemon.json` goes before the default; a broken one does not stop a client."""
    monkeypatch.setenv("DORKY_HOME", str(tmp_path))
    (tmp_path / "state").mkdir()
    told = tmp_path / "state" / "daemon.json"
    told.write_text(json.dumps({"pid": 1, "socket": "/elsewhere/s"}))
    assert find_socket() == "/elsewhere/s"
    told.write_text('{"pid": 1, "so')
    assert find_socket() == str(tmp_path / "run" / "dorkyd.sock")
