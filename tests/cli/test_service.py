"""`dorkyctl service` with a `systemctl` of the test's: a program on PATH that writes down what it was asked."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.api.serving import LEAK, Served
from tests.cli.conftest import Ctl

pytestmark = [
    pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has launchd: tests/test_service.py"),
    LEAK,
    pytest.mark.usefixtures("collected"),
]


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stand-in writes its words; a file `fails` beside it makes the verb in it fail."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    asked = tmp_path / "asked"
    program = bin_folder / "systemctl"
    program.write_text(
        f'#!/bin/sh\necho "$*" >> {asked}\n[ "$2" = "$(cat {tmp_path}/fails 2>/dev/null)" ] && echo "no bus" >&2 && exit 1\n'
        f'[ "$2" = show ] && cat {tmp_path}/shown 2>/dev/null\nexit 0\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("DORKY_HOME", str(tmp_path / "home"))
    return asked


def unit(asked: Path) -> Path:
    """Where it is written."""
    return asked.parent / "config" / "systemd" / "user" / "dorkyd.service"


def test_install_status_uninstall(systemctl: Path, ctl: Ctl) -> None:
    """Written and started; told when this version would write otherwise, and made right by installing again; removed."""
    assert ctl("service", "status").code == 6
    first = ctl("service", "install")
    assert (first.code, f"Wrote {unit(systemctl)}" in first.err) == (0, True)
    assert f'Environment="DORKY_HOME={systemctl.parent}/home"' in unit(systemctl).read_text()
    (systemctl.parent / "shown").write_text("ActiveState=active\nSubState=running\nMainPID=7\nUnitFileState=enabled\n")
    good = ctl("service", "status")
    assert (good.code, "active running, process 7" in good.out) == (0, True)
    unit(systemctl).write_text("[Service]\nExecStart=/old/dorkyd\n")
    old = ctl("service", "status")
    assert (old.code, "differs from what this version would write" in old.out) == (4, True)
    assert json.loads(ctl("service", "install", "--json").out)["current"] is True
    assert ctl("service", "print").out == unit(systemctl).read_text()
    assert ctl("service", "uninstall").code == 0
    assert not unit(systemctl).exists()


def test_install_without_a_bus(systemctl: Path, ctl: Ctl) -> None:
    """The unit is printed and in place, and what to run then is told."""
    (systemctl.parent / "fails").write_text("daemon-reload")
    done = ctl("service", "install")
    assert (done.code, done.out) == (5, unit(systemctl).read_text())
    assert "systemctl --user enable dorkyd.service" in done.err
    assert "no bus" in done.err


def test_install_ends_another_daemon(systemctl: Path, ctl: Ctl, at_home: Served) -> None:
    """One that `up` started would keep the service's from starting."""
    at_home.daemon.on_stop = at_home.server.stop
    done = ctl("service", "install")
    assert at_home.daemon.stopped.is_set()
    assert "the service takes over" in done.err


def test_up_starts_the_service(systemctl: Path, ctl: Ctl, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where it is installed for this home, nothing else is started first."""
    (tmp_path / "code").mkdir()
    ctl("service", "install")
    systemctl.write_text("")
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexit 78\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    assert ctl("up", str(tmp_path / "code")).code == 78  # the stand-in started nothing, so `up` did it itself
    assert systemctl.read_text().splitlines()[0] == "--user start dorkyd.service"
