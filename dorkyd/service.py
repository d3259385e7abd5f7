"""What starts the daemon at login, as text: a systemd user unit or a launchd agent. No process is started here.

The two files of `systemd/` are the models; only what differs from one machine to the next is put in: the program's absolute
path, and the variables that a service manager would not know. Neither manager expands anything for us.
"""

from __future__ import annotations

import os
import plistlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.parsers.expat import ExpatError

UNIT = "dorkyd.service"
LABEL = "dev.dorkyd.daemon"
KEPT = ("DORKY_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "PATH")
"""Variables that the service gets as they are now: where our files are, and where a credential process is found."""
HEAD = """\
# A user unit, written by `dorkyctl service install`, which writes it anew. What you would have otherwise belongs in
# `systemctl --user edit dorkyd`, which keeps it in a file of its own.

"""
_PATH_LINE = re.compile(r'^Environment="PATH=.*"$', re.MULTILINE)


class Unwritable(ValueError):
    """Something of it cannot stand in such a file; the message says what."""


@dataclass(frozen=True, slots=True)
class Service:
    """What is put into the models."""

    program: tuple[str, ...]
    """The command of the daemon; the first word is an absolute path."""
    environment: Mapping[str, str]
    """Variables of the service, in order."""
    log: Path
    """The daemon's own log file, for a manager that keeps none."""


def service_here(environ: Mapping[str, str], log: Path) -> Service:
    """The daemon of this very installation, with this environment."""
    kept = {name: environ[name] for name in KEPT if environ.get(name)}
    if "DORKY_HOME" in kept:
        kept["DORKY_HOME"] = os.path.abspath(os.path.expanduser(kept["DORKY_HOME"]))
        # It holds everything, whatever these say.
        kept = {name: value for name, value in kept.items() if not name.startswith("XDG_")}
    return Service(_program(), kept, log)


def _program() -> tuple[str, ...]:
    """`dorkyd` as it stands beside what runs now: the name that survives an upgrade, links not followed."""
    for beside in (sys.argv[0], sys.executable):
        found = Path(os.path.abspath(beside)).with_name("dorkyd")
        if found.is_file() and os.access(found, os.X_OK):
            return (str(found),)
    # -P: the manager starts it in a folder where something else may be called dorkyd.
    return (sys.executable, "-P", "-m", "dorkyd")


def model(name: str) -> str:
    """A file of `systemd/`: from inside the installed package, else from the clone that it runs from."""
    here = Path(__file__).parent
    inside = here / "models" / name
    return (inside if inside.exists() else here.parent / "systemd" / name).read_text(encoding="utf-8")


# --- systemd ----------------------------------------------------------------------------------------------------------


def unit_text(service: Service) -> str:
    """The unit. Raises `Unwritable`."""
    command = " ".join(_word(word) for word in service.program)
    lines = [f"ExecStart={command}"]
    lines += [f"Environment={_word(f'{name}={value}', always=True)}" for name, value in service.environment.items()]
    text = model(UNIT)
    head, mark, rest = text.partition("[Unit]\n")
    # With the comment above it, which is about the model's own path.
    rest, count = re.subn(r"(?:^#[^\n]*\n)*^ExecStart=[^\n]*$", lambda _: "\n".join(lines), rest, flags=re.MULTILINE)
    assert (mark, count) == ("[Unit]\n", 1), "the model has one ExecStart"
    assert head.startswith("#")
    return HEAD + mark + rest


def same_unit(one: str, other: str) -> bool:
    """Whether two units differ in nothing but the `PATH` of the shells that wrote them."""
    return _PATH_LINE.sub("", one) == _PATH_LINE.sub("", other)


def unit_home(text: str) -> str | None:
    """The `DORKY_HOME` of a unit that we wrote; None: it has none."""
    found = re.search(r'^Environment="DORKY_HOME=(.*)"$', text, re.MULTILINE)
    return None if found is None else re.sub(r"\\(.)", r"\1", found[1]).replace("%%", "%")


def _word(text: str, *, always: bool = False) -> str:
    """One word of systemd.syntax(7); `%` and `$` are not expanded (systemd.unit(5), systemd.service(5))."""
    if not text.isprintable():
        raise Unwritable(f"a control character cannot stand in a unit: {text!r}")
    told = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    if always:
        return f'"{told}"'
    if "$" in text:
        raise Unwritable(f"a program whose path has a `$` cannot stand in a unit: {text}")
    return told if re.fullmatch(r"[\w./%+@:,=-]+", text) else f'"{told}"'


# --- launchd ----------------------------------------------------------------------------------------------------------


def agent_plist(service: Service) -> bytes:
    """The agent's property list. Raises `Unwritable`."""
    agent = plistlib.loads(model(f"{LABEL}.plist").encode())
    agent["ProgramArguments"] = list(service.program)
    agent["EnvironmentVariables"] = dict(service.environment)
    # What goes wrong before there is a log, and then the log itself, which the daemon keeps short.
    agent["StandardOutPath"] = agent["StandardErrorPath"] = str(service.log)
    try:
        return plistlib.dumps(agent, sort_keys=False)
    except (ValueError, TypeError, UnicodeEncodeError) as exc:
        raise Unwritable(f"it cannot stand in a property list: {exc}") from exc


def agent_home(agent: bytes) -> str | None:
    """As `unit_home`."""
    try:
        found = plistlib.loads(agent)["EnvironmentVariables"]["DORKY_HOME"]
    except (ValueError, ExpatError, KeyError, TypeError):
        return None
    return str(found)


def same_agent(one: bytes, other: bytes) -> bool:
    """As `same_unit`. Bytes that are no property list equal nothing."""
    try:
        first, second = plistlib.loads(one), plistlib.loads(other)
    except (ValueError, ExpatError):
        return False
    for each in (first, second):
        if isinstance(each, dict) and isinstance(each.get("EnvironmentVariables"), dict):
            each["EnvironmentVariables"].pop("PATH", None)
    return bool(first == second)
