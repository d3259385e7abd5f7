"""The two service managers: what is asked of each to have the daemon run, and what it says of it.

Each writes its file and then runs the manager's own command. Where the manager cannot be reached (no session bus under `su`,
`cron` or in a container; no graphical login over ssh on a Mac) the file stands all the same, and `Unreachable` says what a
person does next.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dorkyd.service import LABEL, UNIT, Service, agent_home, agent_plist, same_agent, same_unit, unit_home, unit_text

COMMAND_S = 200.0
"""A start waits for readiness (`TimeoutStartSec=120`), after a stop (`TimeoutStopSec=30`)."""
GONE_S, TICK_S = 30.0, 0.1
"""How long launchd is given to take an agent down before it is loaded anew."""


class Unreachable(Exception):
    """The manager does not answer. `then`: lines to run, once it does."""

    def __init__(self, message: str, then: Sequence[str]) -> None:
        super().__init__(message)
        self.then = tuple(then)


class Failed(Exception):
    """The manager answered, and refused. `code`: how the daemon ended, if it did."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    code: int
    out: str = ""
    err: str = ""


Run = Callable[[Sequence[str]], Ran]


def run(words: Sequence[str]) -> Ran:
    """Run a manager's command. One that is not installed ends with 127."""
    environment = {**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    try:
        done = subprocess.run(  # noqa: S603  our own words, and no shell
            words, capture_output=True, text=True, errors="replace", check=False, timeout=COMMAND_S, env=environment
        )
    except FileNotFoundError:
        return Ran(127, err=f"{words[0]}: not installed")
    except subprocess.TimeoutExpired:
        return Ran(124, err=f"{words[0]} did not end within {COMMAND_S:.0f} s")
    return Ran(done.returncode, done.stdout, done.stderr.strip())


@dataclass(frozen=True, slots=True)
class Standing:
    """How the service is."""

    manager: str
    """`systemd` or `launchd`."""
    file: str
    """The unit or agent."""
    installed: bool
    current: bool
    """It is what this version would write here. False as well when there is none."""
    running: bool = False
    state: str = ""
    """In the manager's words; empty: it was not reached."""
    pid: int | None = None
    exit_code: int | None = None
    """How the daemon last ended; None: it runs, or never did."""
    at_login: bool = False
    """It is started by itself."""
    lingers: bool | None = None
    """It goes on while its user is logged out; None: there is no such thing here."""
    trouble: str = ""
    """Why the manager was not reached."""


class Manager(Protocol):
    """What the commands ask."""

    @property
    def name(self) -> str:
        """`systemd` or `launchd`."""

    @property
    def file(self) -> Path:
        """Where the unit or agent stands."""

    def text(self) -> bytes:
        """What this version would write there."""

    def installed(self) -> bytes | None:
        """What stands there; None: nothing."""

    def write(self) -> bool:
        """Write it. True: it was not so before."""

    def start(self) -> None:
        """Have what was written run, also after an upgrade, and at every login. Returns when the daemon is ready.
        `Unreachable`, `Failed`.
        """

    def wake(self) -> bool:
        """Start what is installed, as it is. False: nothing is, it is for another home, or the manager did not do it."""

    def remove(self) -> bool:
        """End it and take the file away. True: there was one. `Unreachable` when the file is gone and nothing else is known."""

    def standing(self) -> Standing:
        """How it is."""


@dataclass(frozen=True, slots=True)
class Systemd:
    """User units."""

    service: Service
    folder: Path
    """`systemd/user` of the user's configuration."""
    user: str
    run: Run = run
    linger: Path = Path("/var/lib/systemd/linger")
    name: str = "systemd"

    @property
    def file(self) -> Path:
        """See `Manager`."""
        return self.folder / UNIT

    def text(self) -> bytes:
        """See `Manager`."""
        return unit_text(self.service).encode()

    def installed(self) -> bytes | None:
        """See `Manager`."""
        return _read(self.file)

    def write(self) -> bool:
        """See `Manager`."""
        return _write(self.file, self.text())

    def start(self) -> None:
        """See `Manager`."""
        then = ("systemctl --user daemon-reload", f"systemctl --user enable {UNIT}", f"systemctl --user restart {UNIT}")
        # A user manager that is there answers this at once; everything else is about our unit.
        asked = self._ask("daemon-reload")
        if asked.code:
            raise Unreachable(_last(asked), then)
        for verb in ("reset-failed", "enable", "restart"):
            done = self._ask(verb, UNIT)
            if done.code and verb != "reset-failed":  # which fails for a unit that never ran
                code = self._shown().get("ExecMainStatus", "")
                raise Failed(_last(done), int(code) if code.isdigit() else None)

    def wake(self) -> bool:
        """See `Manager`."""
        have = self.installed()
        if have is None or unit_home(have.decode(errors="replace")) != self.service.environment.get("DORKY_HOME"):
            return False
        return self._ask("start", UNIT).code == 0

    def remove(self) -> bool:
        """See `Manager`."""
        there = self.file.exists()
        done = self._ask("disable", "--now", UNIT) if there else Ran(0)
        self.file.unlink(missing_ok=True)
        wanted = self.folder / "default.target.wants" / UNIT
        if wanted.is_symlink():
            wanted.unlink()
        reloaded = self._ask("daemon-reload")
        if reloaded.code and there:
            raise Unreachable(_last(reloaded), ("systemctl --user daemon-reload", f"systemctl --user stop {UNIT}"))
        if done.code:
            raise Failed(_last(done))
        return there

    def standing(self) -> Standing:
        """See `Manager`."""
        have = self.installed()
        current = have is not None and same_unit(have.decode(errors="replace"), self.text().decode())
        shown = self._shown()
        trouble = shown.pop("", "")
        pid, code = shown.get("MainPID", "0"), shown.get("ExecMainStatus", "0")
        running = shown.get("ActiveState") in {"active", "reloading", "activating"} and pid != "0"
        return Standing(
            manager=self.name,
            file=str(self.file),
            installed=have is not None,
            current=current,
            running=running,
            state=" ".join(word for word in (shown.get("ActiveState"), shown.get("SubState")) if word),
            pid=int(pid) if pid.isdigit() and pid != "0" else None,
            exit_code=int(code) if not running and code.isdigit() and shown.get("ExecMainExitTimestamp") else None,
            at_login=shown.get("UnitFileState") == "enabled",
            lingers=(self.linger / self.user).exists(),
            trouble=trouble,
        )

    def _ask(self, *words: str) -> Ran:
        return self.run(("systemctl", "--user", *words))

    def _shown(self) -> dict[str, str]:
        """Properties of the unit; under an empty name, why there are none."""
        names = "ActiveState,SubState,MainPID,ExecMainStatus,ExecMainExitTimestamp,UnitFileState"
        done = self._ask("show", f"--property={names}", UNIT)
        if done.code:
            return {"": _last(done)}
        return dict(line.split("=", 1) for line in done.out.splitlines() if "=" in line)


@dataclass(frozen=True, slots=True)
class Launchd:
    """Agents of a user's login on a Mac. No Mac has seen this: it is made from launchctl(1) and launchd.plist(5)."""

    service: Service
    folder: Path
    """`~/Library/LaunchAgents`."""
    uid: int
    run: Run = run
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    name: str = "launchd"

    @property
    def file(self) -> Path:
        """See `Manager`."""
        return self.folder / f"{LABEL}.plist"

    @property
    def domain(self) -> str:
        """The user's graphical login."""
        return f"gui/{self.uid}"

    def text(self) -> bytes:
        """See `Manager`."""
        return agent_plist(self.service)

    def installed(self) -> bytes | None:
        """See `Manager`."""
        return _read(self.file)

    def write(self) -> bool:
        """See `Manager`."""
        # launchd opens the log before we can make its folder, and it is private.
        self.service.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _write(self.file, self.text())

    def start(self) -> None:
        """See `Manager`."""
        load = ("launchctl", "bootstrap", self.domain, str(self.file))
        if self.run(("launchctl", "print", self.domain)).code:
            raise Unreachable("nobody is logged in at this Mac's screen as you", (" ".join(load),))
        self._take_down()
        # One that was disabled by hand would be loaded and not started.
        self.run(("launchctl", "enable", f"{self.domain}/{LABEL}"))
        done = self.run(load)
        if done.code:
            raise Failed(_last(done))

    def wake(self) -> bool:
        """See `Manager`."""
        have = self.installed()
        if have is None or agent_home(have) != self.service.environment.get("DORKY_HOME"):
            return False
        return self.run(("launchctl", "kickstart", f"{self.domain}/{LABEL}")).code == 0

    def remove(self) -> bool:
        """See `Manager`."""
        there = self.file.exists()
        self._take_down()
        self.file.unlink(missing_ok=True)
        return there

    def standing(self) -> Standing:
        """See `Manager`."""
        have = self.installed()
        done = self._print()
        state = re.search(r"^\s*state = (.+)$", done.out, re.MULTILINE)
        pid = re.search(r"^\s*pid = (\d+)$", done.out, re.MULTILINE)
        code = re.search(r"^\s*last exit code = (\d+)", done.out, re.MULTILINE)
        return Standing(
            manager=self.name,
            file=str(self.file),
            installed=have is not None,
            current=have is not None and same_agent(have, self.text()),
            running=pid is not None,
            state=state[1].strip() if state else "",
            pid=int(pid[1]) if pid else None,
            exit_code=int(code[1]) if code and not pid else None,
            at_login=have is not None,
            trouble=_last(done) if done.code and have is not None else "",
        )

    def _print(self) -> Ran:
        return self.run(("launchctl", "print", f"{self.domain}/{LABEL}"))

    def _take_down(self) -> None:
        """End the agent, and wait until launchd no longer knows it: it refuses to load what it still takes down."""
        if self._print().code:
            return
        self.run(("launchctl", "bootout", f"{self.domain}/{LABEL}"))
        deadline = self.monotonic() + GONE_S
        while not self._print().code:
            if self.monotonic() > deadline:
                raise Failed(f"launchd did not end {LABEL} within {GONE_S:.0f} s")
            self.sleep(TICK_S)


def manager_here(service: Service, environ: Mapping[str, str], platform: str, home: Path, user: str) -> Manager:
    """This system's. `home`: the user's home folder."""
    if platform == "darwin":
        return Launchd(service, home / "Library" / "LaunchAgents", os.getuid())
    told = environ.get("XDG_CONFIG_HOME", "")
    settings = Path(told) if os.path.isabs(told) else home / ".config"
    return Systemd(service, settings / "systemd" / "user", user)


def _last(done: Ran) -> str:
    """Why, in a line."""
    lines = (done.err or done.out).strip().splitlines()
    return lines[0] if lines else f"it ended with {done.code}"


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def _write(file: Path, content: bytes) -> bool:
    if _read(file) == content:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    staged = file.with_name(f".{file.name}.new")
    staged.write_bytes(content)
    staged.chmod(0o644)
    staged.replace(file)
    return True
