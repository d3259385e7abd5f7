"""Where a client finds the daemon: its own word first, then the default place. And the token for TCP.

This says again what `dorkyd.config.find_homes` says, because a command line should not pay for reading YAML and
gitignore rules to find a socket; a test holds the two together.
"""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Mapping
from pathlib import Path


def state_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Where the daemon keeps its state. `environ` None: the process's own."""
    env = os.environ if environ is None else environ
    if top := _top(env):
        return top / "state"
    return (_xdg(env, "XDG_STATE_HOME") or _home(env) / ".local" / "state") / "dorky"


def log_file(environ: Mapping[str, str] | None = None) -> Path:
    """The daemon's log, where no service manager keeps one."""
    return state_directory(environ) / "dorkyd.log"


def default_socket(environ: Mapping[str, str] | None = None) -> Path:
    """Where the socket stands when nobody says otherwise."""
    env = os.environ if environ is None else environ
    if top := _top(env):
        return top / "run" / "dorkyd.sock"
    runtime = _xdg(env, "XDG_RUNTIME_DIR")
    return (runtime / "dorky" if runtime else state_directory(env)) / "dorkyd.sock"


def find_socket() -> str:
    """The socket that `state/daemon.json` names, else the default: a service's environment may differ from a shell's."""
    try:
        told = json.loads((state_directory() / "daemon.json").read_text(encoding="utf-8"))["socket"]
    except (OSError, ValueError, KeyError, TypeError):
        # No daemon wrote it, or one died over it: then the default place is asked, and says whether one runs.
        return str(default_socket())
    return str(told)


def socket_stays() -> bool:
    """Whether a service manager goes on listening on the socket when the daemon ends, as its own word says: connecting then
    would start it again.
    """
    try:
        return bool(json.loads((state_directory() / "daemon.json").read_text(encoding="utf-8"))["stays"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def find_token() -> str | None:
    """What is sent over TCP: `DORKY_TOKEN`, else the token that the daemon made. None: there is none."""
    if told := os.environ.get("DORKY_TOKEN"):
        return told.strip()
    try:
        return (state_directory() / "token").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        # Nobody asked for it yet, or it is another user's: the daemon says what is missing.
        return None


def _top(env: Mapping[str, str]) -> Path | None:
    ours = env.get("DORKY_HOME")
    if not ours:
        return None
    if ours == "~" or ours.startswith("~/"):
        ours = str(_home(env)) + ours[1:]
    return Path(ours).absolute()


def _home(env: Mapping[str, str]) -> Path:
    return Path(env.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir)


def _xdg(env: Mapping[str, str], name: str) -> Path | None:
    """A relative one counts as unset, as the XDG Base Directory specification says."""
    told = env.get(name)
    return Path(told) if told and Path(told).is_absolute() else None
