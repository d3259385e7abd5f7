"""The files that start the daemon at login are ones that the service managers understand."""

from __future__ import annotations

import configparser
import os
import pathlib
import plistlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent.parent / "systemd"
UNIT = HERE / "dorkyd.service"
AGENT = HERE / "dev.dorkyd.daemon.plist"


def verify(unit: pathlib.Path, runtime: pathlib.Path) -> str:
    """What systemd has to say against a user unit; it ends with 0 also when it ignores a setting."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    runtime.mkdir(mode=0o700, exist_ok=True)
    environment = os.environ | {"XDG_RUNTIME_DIR": str(runtime), "SYSTEMD_LOG_LEVEL": "warning"}
    done = subprocess.run(
        [analyze, "--user", "verify", str(unit)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    output = done.stdout + done.stderr
    if done.returncode and unit.name not in output:
        pytest.skip(f"systemd-analyze cannot work here: {output}")
    return output


def test_systemd_accepts_the_unit(tmp_path: pathlib.Path) -> None:
    """Nothing in the unit unknown, misspelled or ignored, says systemd."""
    text = UNIT.read_text()
    assert "%h/.local/bin/dorkyd" in text
    unit = tmp_path / "dorkyd.service"
    unit.write_text(text.replace("%h/.local/bin/dorkyd", "/bin/true"))  # it wants a program that exists
    assert verify(unit, tmp_path / "run") == ""


def test_systemd_would_say_so(tmp_path: pathlib.Path) -> None:
    """The check above can fail: a misspelled setting is told."""
    unit = tmp_path / "dorkyd.service"
    unit.write_text("[Service]\nExecStart=/bin/true\nRestartSecs=1\n")
    assert "RestartSecs" in verify(unit, tmp_path / "run")


def test_unit_promises() -> None:
    """The unit waits for readiness, watches the daemon, restarts what failed, but not a wrong configuration."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT)
    service = dict(unit["Service"])
    expected = {
        "Type": "notify",
        "WatchdogSec": "60",
        "Restart": "on-failure",
        "RestartPreventExitStatus": "78",
        "NoNewPrivileges": "yes",
    }
    assert service.items() >= expected.items()
    assert unit["Install"]["WantedBy"] == "default.target"


@pytest.mark.parametrize("setting", ["UMask", "MemoryDenyWriteExecute", "ProtectHome", "ProtectSystem", "PrivateTmp"])
def test_unit_leaves_out_what_would_harm(setting: str) -> None:
    """What would change the mode of people's files, break ctypes, or want a namespace is not set."""
    assert not any(line.startswith(f"{setting}=") for line in UNIT.read_text().splitlines())


def test_launchd_agent() -> None:
    """The agent starts at login, again after a failure, in the background, and writes a log."""
    agent = plistlib.loads(AGENT.read_bytes())
    assert agent["Label"] == AGENT.stem
    assert agent["RunAtLoad"] is True
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert agent["ProcessType"] == "Background"
    assert agent["StandardOutPath"] == agent["StandardErrorPath"] == "HOME/Library/Logs/dorkyd.log"


def test_launchd_paths_are_absolute_once_home_is_put_in() -> None:
    """Replacing HOME, as the file's comment says, leaves absolute paths alone, for launchd expands nothing."""
    agent = plistlib.loads(AGENT.read_text().replace("HOME", "/Users/me").encode())
    for path in (*agent["ProgramArguments"], agent["StandardOutPath"], agent["StandardErrorPath"]):
        assert path.startswith("/Users/me/")
