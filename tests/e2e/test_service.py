"""The daemon as a service manager sees it: sd_notify, signals, exit codes, and what it leaves in the log."""

from __future__ import annotations

import os
import signal
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dorkyd.client import DorkyClient
from tests.daemons import RealDaemon
from tests.e2e.commands import clean_env, ctl, run

pytestmark = pytest.mark.daemon

WATCHDOG_S = 4.0
ENDS_S = 30.0
"""What the unit gives it to end (TimeoutStopSec)."""


class Manager:
    """The end of `NOTIFY_SOCKET` that systemd holds."""

    def __init__(self, address: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(address))
        self.heard: list[str] = []

    def until(self, word: str, deadline_s: float = 30.0) -> str:
        """Wait for a message that begins with the word."""
        end = time.monotonic() + deadline_s
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                message = self.socket.recv(4096).decode()
            except TimeoutError:
                break
            self.heard += message.splitlines()
            for line in message.splitlines():
                if line.startswith(word):
                    return line
        raise AssertionError(f"no {word} within {deadline_s:g} s: {self.heard}")


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """A service manager that listens."""
    made = Manager(tmp_path / "notify")
    yield made
    made.socket.close()


@pytest.fixture
def daemon(request: pytest.FixtureRequest, tmp_path: Path, manager: Manager) -> Iterator[RealDaemon]:
    """A daemon started by the manager, a watchdog of so many seconds; not waited for. The parameter: what a new interpreter
    runs, as a service manager starts it; without one the daemon is forked.
    """
    (tmp_path / "bucket").mkdir()
    watchdog = str(int(WATCHDOG_S * 1e6))
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": watchdog, "SECRET_OF_ENV": "sesame-in-env"}
    module = getattr(request, "param", None)
    made = RealDaemon(tmp_path, "a", f"file://{tmp_path}/bucket", env=env, module=module)
    (made.root / ".env").write_text("PASSWORD=sesame-in-file")
    made.launch()
    yield made
    made.kill()


@pytest.mark.parametrize("daemon", ["dorkyd"], indirect=True)
def test_ready_means_ready(daemon: RealDaemon, manager: Manager) -> None:
    """READY=1 comes when the socket answers and the journal stands; nothing before it says so."""
    manager.until("READY=1")
    with DorkyClient(daemon.socket) as client:
        client.health()
    assert list((daemon.home / "state/journals").glob("*.db"))
    assert (daemon.home / "state/daemon.json").exists()
    assert "WATCHDOG=1" not in manager.heard[: manager.heard.index("READY=1")]


def test_status_and_watchdog_are_fed(daemon: RealDaemon, manager: Manager) -> None:
    """STATUS tells a person how it goes, and WATCHDOG=1 comes at least twice in its time."""
    manager.until("READY=1")
    daemon.sync()
    assert manager.until("STATUS=1 of 1 projects in sync")
    manager.until("WATCHDOG=1")
    since = time.monotonic()
    for _ in range(3):
        manager.until("WATCHDOG=1")
    assert time.monotonic() - since < 3 * WATCHDOG_S


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_ends_within_seconds(daemon: RealDaemon, manager: Manager, by: signal.Signals) -> None:
    """A signal ends it with code 0 and STOPPING=1; nothing of it is left that would mislead a client."""
    manager.until("READY=1")
    assert daemon.process is not None
    asked = time.monotonic()
    daemon.process.send_signal(by)
    manager.until("STOPPING=1")
    assert daemon.process.wait(ENDS_S) == 0
    assert time.monotonic() - asked < ENDS_S
    assert not Path(daemon.socket).exists()
    assert not (daemon.home / "state/daemon.json").exists()
    assert ctl(daemon, "status").code == 6


def test_ends_while_clients_follow(daemon: RealDaemon, manager: Manager) -> None:
    """Open event streams do not hold a stop up."""
    manager.until("READY=1")
    with socket.socket(socket.AF_UNIX) as follower:
        follower.connect(daemon.socket)
        follower.sendall(b"GET /v1/events HTTP/1.1\r\nHost: dorky\r\n\r\n")
        assert follower.recv(100).startswith(b"HTTP/1.1 200")
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(ENDS_S) == 0


def test_a_configuration_error_is_not_restarted(tmp_path: Path, manager: Manager) -> None:
    """Exit 78, which the unit names in RestartPreventExitStatus, and READY never."""
    (tmp_path / "config.yaml").write_text("projects: 3\n")
    ran = run("dorkyd", env=clean_env(DORKY_HOME=str(tmp_path), NOTIFY_SOCKET=str(tmp_path / "notify")))
    assert ran.code == 78
    unit = Path(__file__).parents[2] / "systemd/dorkyd.service"
    assert "RestartPreventExitStatus=78" in unit.read_text().split()
    manager.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        manager.socket.recv(4096)


def test_what_others_may_see(daemon: RealDaemon, manager: Manager) -> None:
    """The socket is 0600 in a 0700 folder, all state is private, and the log has no content and no environment."""
    manager.until("READY=1")
    daemon.sync()
    ctl(daemon, "status")
    for path, mode in (
        (Path(daemon.socket), 0o600),
        (Path(daemon.socket).parent, 0o700),
        (daemon.home / "state", 0o700),
        (daemon.home / "state/daemon.json", 0o600),
        (daemon.root / ".dorky", 0o700),
    ):
        assert stat.S_IMODE(path.stat().st_mode) == mode, path
    assert stat.S_ISSOCK(os.stat(daemon.socket).st_mode)
    for file in (daemon.home / "state/journals").iterdir():
        assert b"sesame" not in file.read_bytes()
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGTERM)
    daemon.process.wait(ENDS_S)
    log = daemon.log.read_text()
    assert "verb=start" in log
    assert "sesame" not in log
