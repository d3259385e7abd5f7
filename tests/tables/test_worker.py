"""The worker and who starts it: whatever a file makes of the process, it stays there."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dorkyd.errors import Refused, Transient
from dorkyd.tables.supervisor import Workshop, _Running

WORDS = ["echo", "piece", "eat", "hang", "spin", "crash", "babble", "call_home", "secrets", "nest", "huge", "forge"]
TASKS = {word: f"tests.tables.misbehaving:{word}" for word in WORDS}


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    """One that can be made to misbehave."""
    made = Workshop(memory=400 * 1024 * 1024, nice=0, tasks=TASKS)
    yield made
    made.close()


def echo(workshop: Workshop) -> dict[str, object]:
    """Any request that is answered."""
    return workshop.do({"do": "echo", "word": "x"}, [])


def test_files_are_handed_over_open_and_a_process_answers_more_than_once(workshop: Workshop, tmp_path: Path) -> None:
    """It needs no path: not even a name that is still there."""
    file = tmp_path / "f"
    file.write_bytes(b"abc")
    with open(file, "rb") as stream:
        file.unlink()
        first = workshop.do({"do": "echo", "word": "x"}, [stream.fileno(), stream.fileno()])
    assert (first["asked"], first["held"], first["nice"]) == ("x", ["616263", "616263"], os.nice(0))
    assert echo(workshop)["pid"] == first["pid"] == workshop.pid


def test_nothing_runs_before_something_is_asked(workshop: Workshop) -> None:
    """A daemon without tables has no such process."""
    assert workshop.pid is None


@pytest.mark.parametrize("word", ["eat", "crash"])
def test_what_ends_the_worker_is_refused_and_the_next_request_is_answered(workshop: Workshop, word: str) -> None:
    """Another process takes its place."""
    with pytest.raises(Refused) as caught:
        workshop.do({"do": word}, [])
    assert caught.value.code in {"hard-table", "out-of-memory"}
    assert echo(workshop)["asked"] == "x"


def test_what_breaks_it_is_never_tried_again(workshop: Workshop) -> None:
    """The content is remembered, for what was asked of it: the second time no process is started for it."""
    for what in ("signal 11", "not tried again"):
        with pytest.raises(Refused, match=what):
            workshop.do({"do": "crash"}, [], key="sha256:1")
        assert workshop.pid is None
    assert workshop.do({"do": "echo", "word": "y"}, [], key="sha256:1")["asked"] == "y"


def test_what_computes_too_long_is_ended(workshop: Workshop) -> None:
    """By the system, after its CPU seconds."""
    with pytest.raises(Refused, match="CPU"):
        workshop.do({"do": "spin", "cpu_s": 0}, [], key="sha256:1")


def test_what_waits_too_long_is_ended_and_may_be_tried_again(workshop: Workshop) -> None:
    """A busy machine says nothing of a table."""
    with pytest.raises(Transient, match=r"longer than 0\.5 s"):
        workshop.do({"do": "hang"}, [], key="sha256:1", timeout_s=0.5)
    assert workshop.pid is None
    with pytest.raises(Transient):
        workshop.do({"do": "hang"}, [], key="sha256:1", timeout_s=0.1)


def test_a_worker_that_somebody_killed_is_replaced(workshop: Workshop) -> None:
    """Between two requests nothing is lost by it."""
    pid = echo(workshop)["pid"]
    assert isinstance(pid, int)
    os.kill(pid, 9)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert echo(workshop)["pid"] != pid


def test_what_a_library_prints_is_no_answer(workshop: Workshop) -> None:
    """The protocol has a way of its own."""
    assert workshop.do({"do": "babble"}, []) == {"said": True}


def test_the_worker_has_no_secrets(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of the daemon's environment stay there."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "placeholder")
    names = workshop.do({"do": "secrets"}, [])["names"]
    assert isinstance(names, list)
    assert "PYTHONPATH" in names
    assert not {"AWS_SECRET_ACCESS_KEY", "HOME", "PATH"} & set(names)


def test_the_worker_reaches_nobody(workshop: Workshop) -> None:
    """Where the system lets it have a network of its own, there is nobody in it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        answer = workshop.do({"do": "call_home", "port": server.getsockname()[1]}, [])
    if answer["reached"]:
        pytest.skip("this system lets nobody have a network namespace")
    assert answer["reached"] is False


def test_bytes_come_when_they_are_needed(workshop: Workshop) -> None:
    """Of a large file that is elsewhere, only some are brought, and each once."""
    asked: list[tuple[int, int]] = []
    with tempfile.TemporaryFile() as file:
        file.truncate(10_000_000)

        def fill(start: int, end: int) -> None:
            asked.append((start, end))
            os.pwrite(file.fileno(), b"z" * (end - start), start)

        request = {"do": "piece", "at": 5_000_000, "count": 3}
        assert workshop.do(request, [file.fileno()], fill=fill) == {"held": "7a7a7a"}
    assert asked == [(5_000_000, 5_065_536)]


def test_what_cannot_be_brought_is_said_by_whoever_could_not(workshop: Workshop) -> None:
    """The bucket's own error comes through, and the next request is answered."""
    with tempfile.TemporaryFile() as file:
        file.truncate(1000)

        def fill(start: int, end: int) -> None:
            raise Transient("the store cannot be reached", offline=True)

        with pytest.raises(Transient, match="cannot be reached"):
            workshop.do({"do": "piece", "at": 0, "count": 3}, [file.fileno()], fill=fill)
    assert echo(workshop)["asked"] == "x"


def test_the_end_of_the_daemon_ends_a_worker_in_the_middle_of_work(workshop: Workshop) -> None:
    """Nobody waits for a table when the daemon stops."""
    raised: list[BaseException] = []

    def ask() -> None:
        try:
            workshop.do({"do": "hang"}, [])
        except BaseException as exc:
            raised.append(exc)

    echo(workshop)
    thread = threading.Thread(target=ask)
    thread.start()
    while not workshop._turn.locked():
        pass
    workshop.close()
    thread.join(timeout=10)
    assert [type(exc) for exc in raised] == [Transient]


def test_a_worker_without_work_ends_by_itself() -> None:
    """And is there again when something is asked."""
    workshop = Workshop(idle_s=0.05, nice=3, tasks=TASKS)
    try:
        first = echo(workshop)
        pid = first["pid"]
        assert isinstance(pid, int)
        assert first["nice"] == min(19, os.nice(0) + 3)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert echo(workshop)["pid"] != pid
    finally:
        workshop.close()


def test_what_asks_for_bytes_for_ever_is_ended() -> None:
    """However busy it keeps us, past its time it is asked no more: each piece may be a request to a store."""
    asked: list[tuple[int, int]] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b'{"need": [0, 1]}\n' * 1000)
        running = _Running(None, ours)  # type: ignore[arg-type]
        with pytest.raises(TimeoutError):
            Workshop()._answer(running, lambda start, end: asked.append((start, end)), time.monotonic() - 1)
    assert asked == []


@pytest.mark.parametrize("word", ["nest", "huge", "forge"])
def test_what_is_no_answer_is_refused(workshop: Workshop, word: str) -> None:
    """A worker that a file turned says what it likes: nothing of it is an error of ours, or a line of the log."""
    with pytest.raises(Refused) as caught:
        workshop.do({"do": word}, [], timeout_s=30)
    assert caught.value.code == "hard-table"
    assert echo(workshop)["asked"] == "x"
