"""Where a client finds the daemon: its own word first, then the default place."""

from __future__ import annotations

import json
import os
from pathlib import Path


def state_directory() -> Path:
    """Where the daemon keeps its state."""
    if home := os.environ.get("DORKY_HOME"):
        return Path(home).expanduser().absolute() / "state"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "dorky"


def default_socket() -> Path:
    """Where the socket stands when nobody says otherwise."""
    if home := os.environ.get("DORKY_HOME"):
        return Path(home).expanduser().absolute() / "run" / "dorkyd.sock"
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "dorky" / "dorkyd.sock"
    return state_directory() / "dorkyd.sock"


def find_socket() -> str:
    """The socket that `state/daemon.json` names, else the default: a service's environment may differ from a shell's."""
    try:
        told = json.loads((state_directory() / "daemon.json").read_text())["socket"]
    except (OSError, ValueError, KeyError, TypeError):
        # No daemon wrote it, or one died over it: then the default place is asked, and says whether one runs.
        return str(default_socket())
    return str(told)
