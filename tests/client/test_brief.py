"""What most commands ask with: the same answers and errors as `DorkyClient`, without its library."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dorkyd.api import calls, history_calls
from dorkyd.api.calls import Call
from dorkyd.api.failures import ApiError, NotFound, NotRunning
from dorkyd.client import DorkyClient
from dorkyd.client.brief import BriefClient
from tests.api.fakes import log_item
from tests.api.serving import Served, serving


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A served fake daemon, which is the one that clients find."""
    with serving() as up:
        monkeypatch.setenv("DORKY_HOME", str(up.home))
        yield up


CALLS: list[Callable[[], Call[Any]]] = [
    calls.health,
    calls.projects,
    lambda: calls.status("api"),
    lambda: calls.files("api", "d/ä &=?", limit=3),
    lambda: calls.why("api", "d/ä +.csv"),
    lambda: calls.check_ignore("api", ["a b", "c&d", "ü"]),
    lambda: calls.pause("api", 60),
    lambda: calls.why("nobody", "x"),
    lambda: calls.resolve("api", "no-such", "mine"),
    lambda: history_calls.history("api", "a"),
]


def told(client: BriefClient | DorkyClient, call: Call[Any]) -> tuple[object, ...]:
    """What came of a call."""
    try:
        reply = client.send(call)
    except ApiError as exc:
        return type(exc), str(exc), exc.code, exc.hint, exc.status, exc.body
    return (type(reply.value),) if call.path in {"/v1/health", "/v1/status"} else (reply.body, reply.value)


@pytest.mark.parametrize("call", CALLS)
def test_as_the_other_client(served: Served, call: Callable[[], Call[Any]]) -> None:
    """The same call, the same body or the same error."""
    with BriefClient() as brief, DorkyClient() as other:
        assert told(brief, call()) == told(other, call())


def test_projects_and_status(served: Served) -> None:
    """What commands ask to know which project is meant."""
    with BriefClient() as client:
        assert [each.name for each in client.projects()] == ["api"]
        assert client.status("api").projects[0].name == "api"


def test_a_stream(served: Served) -> None:
    """Each line as it comes; closing it ends the request."""
    served.project.history.append(log_item(1, "a"))
    with BriefClient() as client:
        lines = client.lines(calls.follow_log("api", limit=5))
        assert next(lines).value.path == "a"
        lines.close()


def test_in_chunks(served: Served) -> None:
    """They make up the same body, and an error is raised as for any call."""
    with BriefClient() as brief, DorkyClient() as other:
        whole = b"".join(brief.chunks(calls.files("api")))
        assert whole == b"".join(other.chunks(calls.files("api")))
        assert whole.startswith(b"{")
        with pytest.raises(NotFound):
            next(brief.chunks(calls.files("nobody")))


def test_nothing_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """As for any client."""
    monkeypatch.setenv("DORKY_HOME", str(tmp_path))
    with BriefClient() as client, pytest.raises(NotRunning) as failed:
        client.send(calls.health())
    assert "dorkyctl up" in failed.value.hint
