"""Ending what other threads wait for: a daemon that took a body whole says nothing until the bucket has it, which may be hours."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dorkyd.api.failures import ApiError
from dorkyd.cli.progress import shown
from dorkyd.client import DorkyClient
from tests.daemons import wait_until

DEADLINE_S = 20.0


class Silent:
    """Takes connections and requests, and never answers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[socket.socket] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _take(self) -> None:
        while True:
            try:
                taken, _ = self._listening.accept()
            except OSError:
                return
            taken.recv(65536)
            self.asked.append(taken)

    def close(self) -> None:
        """Gone, and its socket with it."""
        self.path.unlink(missing_ok=True)
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()
        for each in self.asked:
            each.close()


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Silent]:
    """A daemon that says nothing."""
    server = Silent(tmp_path / "s")
    yield server
    server.close()


@pytest.mark.parametrize(
    "work",
    [
        lambda client, to: client.upload(b"x", to="p:f"),
        lambda client, to: client.upload_many([(b"x", "p:f"), (b"y", "p:g")], return_exceptions=True)[1],
        lambda client, to: client.download("p:f", to),
    ],
    ids=["upload", "upload_many", "download"],
)
def test_nobody_waits_any_longer(silent: Silent, tmp_path: Path, work: Callable[[DorkyClient, Path], object]) -> None:
    """It fails at once, is not tried again, and leaves no half of a file."""
    found: list[object] = []
    (tmp_path / "to").mkdir()

    def run() -> None:
        try:
            found.append(work(client, tmp_path / "to" / "f"))
        except ApiError as exc:
            found.append(exc)

    with DorkyClient(str(silent.path)) as client:
        thread = threading.Thread(target=run)
        thread.start()
        wait_until("it was asked", lambda: bool(silent.asked))
        client.interrupt()
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
    assert [exc.code for exc in found if isinstance(exc, ApiError)] == ["interrupted"]
    assert list((tmp_path / "to").iterdir()) == []


def test_nothing_is_tried_again(silent: Silent) -> None:
    """Where the daemon was away for a moment, which is waited out otherwise."""
    found: list[str] = []

    def run() -> None:
        with pytest.raises(ApiError) as caught:
            client.upload(b"x", to="p:f")
        found.append(caught.value.code)

    with DorkyClient(str(silent.path), retry_for_s=600) as client:
        thread = threading.Thread(target=run)
        thread.start()
        wait_until("it was asked", lambda: bool(silent.asked))
        silent.asked.pop().close()
        wait_until("it was asked again", lambda: bool(silent.asked))
        silent.asked.pop().close()
        client.interrupt()
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
    assert found == ["interrupted"]


def test_ctrl_c_interrupts_the_client(silent: Silent) -> None:
    """A command's own thread waits for the transfers, which must have ended by then."""

    def ended() -> ApiError:
        with pytest.raises(ApiError) as caught:
            client.upload(b"x", to="p:f")
        outcome.append(caught.value.code)
        return caught.value

    outcome: list[str] = []
    before = signal.getsignal(signal.SIGINT)

    def press() -> None:
        wait_until("it was asked", lambda: bool(silent.asked))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    pressing = threading.Thread(target=press)
    pressing.start()
    with (
        DorkyClient(str(silent.path)) as client,
        pytest.raises(KeyboardInterrupt),
        shown("storing", 1, client) as totals,
    ):
        totals.watched(ended)
    pressing.join()
    assert outcome == ["interrupted"]
    assert signal.getsignal(signal.SIGINT) is before
