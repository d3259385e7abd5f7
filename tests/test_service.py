"""The unit and the agent that are written here, and what the managers are asked: commands go to a stand-in."""

from __future__ import annotations

import os
import plistlib
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dorkyd.service import Service, Unwritable, agent_home, agent_plist, model, service_here, unit_home, unit_text
from dorkyd.service_managers import Failed, Launchd, Ran, Systemd, Unreachable
from tests.test_service_files import verify

ODD = {"DORKY_HOME": '/home/ana/my 100% "home" \\ $x', "PATH": "/usr/bin:/home/ana/b in"}


class Asked:
    """Answers commands and remembers them; what is not foreseen succeeds."""

    def __init__(self, **answers: Ran | Callable[[], Ran]) -> None:
        self.answers = answers
        self.words: list[str] = []

    def __call__(self, words: Sequence[str]) -> Ran:
        self.words.append(shlex.join(words))
        verb = words[2] if words[0] == "systemctl" else words[1]
        answer = self.answers.get(verb.replace("-", "_"), Ran(0))
        return answer if isinstance(answer, Ran) else answer()


NO_BUS = Ran(1, err="Failed to connect to bus: No medium found")


def service(**changes: str) -> Service:
    """One of no installation in particular."""
    return Service(("/opt/d/bin/dorkyd",), {"PATH": "/usr/bin", **changes}, Path("/s/dorkyd.log"))


def systemd(tmp_path: Path, asked: Asked, **changes: str) -> Systemd:
    """Units in a folder that is not there yet."""
    return Systemd(service(**changes), tmp_path / "c" / "user", "ana", asked, tmp_path / "linger")


def launchd(tmp_path: Path, asked: Asked) -> Launchd:
    """Agents, and a clock that moves by sleeping."""
    passed = [0.0]
    made = Service(("/opt/d/bin/dorkyd",), {"PATH": "/usr/bin", "DORKY_HOME": "/h"}, tmp_path / "s" / "dorkyd.log")
    return Launchd(
        made, tmp_path / "Agents", 501, asked, lambda s: passed.__setitem__(0, passed[0] + s), lambda: passed[0]
    )


# --- what is written --------------------------------------------------------------------------------------------------


def test_systemd_reads_our_unit(tmp_path: Path) -> None:
    """Odd values and all, systemd has nothing against it."""
    unit = tmp_path / "dorkyd.service"
    unit.write_text(unit_text(Service(("/bin/true", "-P", "-m", "a b%c"), ODD, Path("/l"))))
    assert verify(unit, tmp_path / "run") == ""


def test_unit_differs_from_the_model_only_where_it_must() -> None:
    """The program's absolute path and the variables, quoted; all else is the model's."""
    ours, models = unit_text(service(DORKY_HOME="/h")).splitlines(), model("dorkyd.service").splitlines()
    added = [line for line in ours if line not in models and not line.startswith("#")]
    assert added == ["ExecStart=/opt/d/bin/dorkyd", 'Environment="PATH=/usr/bin"', 'Environment="DORKY_HOME=/h"']
    gone = [line for line in models if line not in ours and not line.startswith("#")]
    assert gone == ["ExecStart=%h/.local/bin/dorkyd"]


@pytest.mark.parametrize("home", ["/h", ODD["DORKY_HOME"], None])
def test_the_home_is_read_back(home: str | None) -> None:
    """As it was written, from the unit and from the agent."""
    made = service(**({} if home is None else {"DORKY_HOME": home}))
    assert unit_home(unit_text(made)) == agent_home(agent_plist(made)) == home


def test_agent_is_whole() -> None:
    """Absolute paths, our variables, one log; and what the model says of the rest."""
    agent = plistlib.loads(agent_plist(Service(("/v/bin/dorkyd",), ODD, Path("/s/dorkyd.log"))))
    assert agent["ProgramArguments"] == ["/v/bin/dorkyd"]
    assert agent["EnvironmentVariables"] == ODD
    assert agent["StandardErrorPath"] == agent["StandardOutPath"] == "/s/dorkyd.log"
    assert (
        agent.items()
        >= {"Label": "dev.dorkyd.daemon", "RunAtLoad": True, "KeepAlive": {"SuccessfulExit": False}}.items()
    )
    assert "HOME" not in agent_plist(service()).decode()


@pytest.mark.parametrize("value", ["/a\nExecStartPre=/bin/x", "/a\x00"])
def test_what_cannot_be_written_is_refused(value: str) -> None:
    """A line break in a variable would be a line of the unit."""
    with pytest.raises(Unwritable):
        unit_text(service(DORKY_HOME=value))


def test_the_environment_that_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where our files are, and PATH; no credential. DORKY_HOME alone says where, absolutely."""
    monkeypatch.chdir(tmp_path)
    given = {"PATH": "/b", "XDG_STATE_HOME": "/s", "AWS_SECRET_ACCESS_KEY": "x", "HOME": "/home/a"}
    assert service_here(given, Path("/l")).environment == {"PATH": "/b", "XDG_STATE_HOME": "/s"}
    here = service_here({**given, "DORKY_HOME": "d"}, Path("/l"))
    assert here.environment == {"DORKY_HOME": str(tmp_path / "d"), "PATH": "/b"}


def test_the_program_beside_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The `dorkyd` beside the `dorkyctl` that runs, a link not followed; else beside Python; else by its module."""
    real, links = tmp_path / "venv", tmp_path / "bin"
    for folder in (real, links):
        folder.mkdir()
    (real / "dorkyd").write_text("#!/bin/sh\n")
    (real / "dorkyd").chmod(0o755)
    (links / "dorkyd").symlink_to(real / "dorkyd")
    monkeypatch.setattr(sys, "argv", [str(links / "dorkyctl")])
    assert service_here({}, Path("/l")).program == (str(links / "dorkyd"),)
    monkeypatch.setattr(sys, "argv", ["/nowhere/x"])
    monkeypatch.setattr(sys, "executable", str(real / "python"))
    assert service_here({}, Path("/l")).program == (str(real / "dorkyd"),)
    (real / "dorkyd").chmod(0o644)
    assert service_here({}, Path("/l")).program == (str(real / "python"), "-P", "-m", "dorkyd")


# --- systemd ----------------------------------------------------------------------------------------------------------


def test_systemd_starts_what_was_written(tmp_path: Path) -> None:
    """Reloaded, enabled, and restarted: so an upgrade runs the new program. Written once, mode 0644."""
    asked = Asked()
    at = systemd(tmp_path, asked)
    assert (at.write(), at.write()) == (True, False)
    at.start()
    assert [line.split(" ", 2)[2] for line in asked.words] == [
        "daemon-reload",
        "reset-failed dorkyd.service",
        "enable dorkyd.service",
        "restart dorkyd.service",
    ]
    assert os.stat(at.file).st_mode & 0o777 == 0o644


def test_systemd_without_a_bus(tmp_path: Path) -> None:
    """What to run is told; the unit stands; nothing else was asked."""
    asked = Asked(daemon_reload=NO_BUS)
    at = systemd(tmp_path, asked)
    at.write()
    with pytest.raises(Unreachable, match="connect to bus") as told:
        at.start()
    assert "systemctl --user enable dorkyd.service" in told.value.then
    assert len(asked.words) == 1
    assert at.file.exists()


def test_systemd_where_the_daemon_fails(tmp_path: Path) -> None:
    """How it ended is known: a wrong configuration keeps its exit code."""
    asked = Asked(restart=Ran(1, err="Job for dorkyd.service failed"), show=Ran(0, "ExecMainStatus=78\n"))
    with pytest.raises(Failed, match="Job for") as told:
        systemd(tmp_path, asked).start()
    assert told.value.code == 78


SHOWN = "ActiveState=active\nSubState=running\nMainPID=42\nExecMainStatus=0\nUnitFileState=enabled\nExecMainExitTimestamp=\n"


def test_systemd_standing(tmp_path: Path) -> None:
    """An upgrade that writes another unit is seen; another shell's PATH alone is no difference."""
    at = systemd(tmp_path, Asked(show=Ran(0, SHOWN)), PATH="/elsewhere")
    assert (at.standing().installed, at.standing().current) == (False, False)
    systemd(tmp_path, Asked()).write()
    standing = at.standing()
    assert (standing.current, standing.running, standing.pid, standing.at_login) == (True, True, 42, True)
    assert standing.lingers is False
    (tmp_path / "linger").mkdir()
    (tmp_path / "linger" / "ana").touch()
    assert at.standing().lingers
    at.file.write_text(at.file.read_text().replace("WatchdogSec=60", "WatchdogSec=30"))
    assert not at.standing().current


def test_systemd_standing_without_a_bus(tmp_path: Path) -> None:
    """The file is told all the same."""
    at = systemd(tmp_path, Asked(show=NO_BUS))
    at.write()
    standing = at.standing()
    assert (standing.installed, standing.current, standing.running) == (True, True, False)
    assert "bus" in standing.trouble


def test_systemd_remove(tmp_path: Path) -> None:
    """Ended, disabled, and the file gone with the link that starts it; without a bus the files go as well."""
    asked = Asked()
    at = systemd(tmp_path, asked)
    assert at.remove() is False
    at.write()
    assert at.remove() is True
    assert "systemctl --user disable --now dorkyd.service" in asked.words
    at = systemd(tmp_path, Asked(disable=NO_BUS, daemon_reload=NO_BUS))
    at.write()
    (at.folder / "default.target.wants").mkdir()
    (at.folder / "default.target.wants" / "dorkyd.service").symlink_to(at.file)
    with pytest.raises(Unreachable):
        at.remove()
    assert [str(left) for left in at.folder.rglob("dorkyd.service")] == []


def test_waking(tmp_path: Path) -> None:
    """What is installed for this home is started, and nothing of another's."""
    asked = Asked()
    here, other = systemd(tmp_path, asked, DORKY_HOME="/a"), systemd(tmp_path, asked, DORKY_HOME="/b")
    assert not here.wake()
    here.write()
    assert (other.wake(), asked.words) == (False, [])
    assert (here.wake(), asked.words) == (True, ["systemctl --user start dorkyd.service"])


# --- launchd ----------------------------------------------------------------------------------------------------------


def test_launchd_takes_down_before_it_loads(tmp_path: Path) -> None:
    """Over one that runs: booted out, waited for, enabled, bootstrapped into the user's graphical login."""
    answers = iter([Ran(0), Ran(0), Ran(0), Ran(113)])  # the domain; the agent there, there still, and gone
    asked = Asked(print=lambda: next(answers))
    at = launchd(tmp_path, asked)
    assert at.write()
    at.start()
    assert asked.words == [
        "launchctl print gui/501",
        "launchctl print gui/501/dev.dorkyd.daemon",
        "launchctl bootout gui/501/dev.dorkyd.daemon",
        "launchctl print gui/501/dev.dorkyd.daemon",
        "launchctl print gui/501/dev.dorkyd.daemon",
        "launchctl enable gui/501/dev.dorkyd.daemon",
        f"launchctl bootstrap gui/501 {at.file}",
    ]
    assert (tmp_path / "s").is_dir()


def test_launchd_that_never_ends_it(tmp_path: Path) -> None:
    """Waited for half a minute, then told."""
    with pytest.raises(Failed, match="did not end"):
        launchd(tmp_path, Asked()).start()


def test_launchd_over_ssh(tmp_path: Path) -> None:
    """Nobody at the screen: what to run then."""
    with pytest.raises(Unreachable) as told:
        launchd(tmp_path, Asked(print=Ran(112, err="Could not find domain"))).start()
    assert told.value.then[0].startswith("launchctl bootstrap gui/501 ")


def test_launchd_standing(tmp_path: Path) -> None:
    """Read from what `launchctl print` says of the agent."""
    at = launchd(tmp_path, Asked(print=Ran(0, "gui/501/dev.dorkyd.daemon = {\n\tstate = running\n\tpid = 77\n}\n")))
    at.write()
    standing = at.standing()
    assert (standing.running, standing.pid, standing.current, standing.state) == (True, 77, True, "running")
    at.file.write_bytes(b"no plist")
    assert not at.standing().current
    ended = launchd(tmp_path, Asked(print=Ran(0, "\tstate = not running\n\tlast exit code = 78: EX_CONFIG\n")))
    assert (ended.standing().running, ended.standing().exit_code) == (False, 78)
