"""The service under a real user manager of systemd, from its installation to its end. The long mode alone (`DORKY_FULL=1`), as
root: such a manager begins only where `/run/systemd/system` is, which is made in a mount namespace of its own, and it
takes the root of the control groups for its own. Elsewhere the protocols are spoken by stand-ins (`test_service.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.commands import clean_env, run
from tests.e2e.places import FULL

MANAGER = "/lib/systemd/systemd"
BEGIN = f"mount -t tmpfs -o mode=755 tmpfs /run && mkdir -p /run/systemd/system && exec {MANAGER} --user --log-target=console"
DEADLINE_S = 60.0
GROUPS = Path("/sys/fs/cgroup/systemd")

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.skipif(not FULL, reason="DORKY_FULL=1: it works on this machine's control groups"),
    pytest.mark.skipif(os.geteuid() != 0, reason="a user manager cannot be begun here without root"),
    pytest.mark.skipif(not os.path.exists(MANAGER) or not shutil.which("unshare"), reason="no systemd here"),
]


@pytest.fixture
def env(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a session that a user manager serves."""
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    env = clean_env(XDG_RUNTIME_DIR=str(runtime), HOME=str(tmp_path / "home"))
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", BEGIN]
    manager = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _until(lambda: (runtime / "systemd" / "private").exists() or manager.poll() is not None)
        assert manager.poll() is None, "the manager did not begin"
        yield env
    finally:
        manager.send_signal(signal.SIGTERM)
        manager.wait(DEADLINE_S)
        _back_to_the_root()


def test_from_installation_to_removal(env: dict[str, str], tmp_path: Path) -> None:
    """It runs, is started anew when it is killed, and by a second installation, which is how an upgrade is taken up; and goes."""
    folder = tmp_path / "home" / "project"
    folder.mkdir(parents=True)
    (folder / "a").write_text("kept")
    assert run("dorkyctl", "service", "install", env=env).code == 0
    assert run("dorkyctl", "up", str(folder), "--yes", env=env).code == 0
    first = _standing(env)
    assert (first["running"], first["at_login"], first["current"]) == (True, True, True)
    _until(lambda: "1 of 1 projects in sync" in _property(env, "StatusText"))
    os.kill(int(str(first["pid"])), signal.SIGKILL)
    _until(lambda: _standing(env)["pid"] not in (0, None, first["pid"]))
    _until(lambda: "1 of 1 projects in sync" in _property(env, "StatusText"))
    assert run("dorkyctl", "status", env=env).code == 0
    again = _standing(env)["pid"]
    assert "Unchanged" in run("dorkyctl", "service", "install", env=env).err
    _until(lambda: _standing(env)["pid"] not in (0, None, again))
    assert run("dorkyctl", "service", "uninstall", env=env).code == 0
    assert not _standing(env)["installed"]
    assert run("dorkyctl", "status", env=env).code == 6
    assert (folder / "a").read_text() == "kept"


def _standing(env: dict[str, str]) -> dict[str, object]:
    answer: dict[str, object] = json.loads(run("dorkyctl", "service", "status", "--json", env=env).out)
    return answer


def _property(env: dict[str, str], name: str) -> str:
    command = ["systemctl", "--user", "show", "-p", name, "--value", "dorkyd"]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)


def _back_to_the_root() -> None:
    """The manager moved what stood in the root of the control groups into a scope of its own."""
    scope = GROUPS / "init.scope"
    with contextlib.suppress(FileNotFoundError):
        for pid in (scope / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                (GROUPS / "cgroup.procs").write_text(pid)
    for left in ("init.scope", "app.slice"):
        with contextlib.suppress(OSError):
            (GROUPS / left).rmdir()
