"""A daemon whose converter meets what a test wants: `STRANGE_TASK`, a task for its worker; `STRANGE_KILL`, a file that is made
when the daemon is killed, once, after a conversion and before a byte of it is stored.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from dorkyd import daemon
from dorkyd.tables import sidecar


def main() -> None:
    """Entry point."""
    if task := os.environ.get("STRANGE_TASK"):
        whole = sidecar.Workshop
        sidecar.Workshop = lambda **how: whole(**{**how, "tasks": {"convert": task}, "timeout_s": 60.0})  # type: ignore[assignment,misc]
    if marker := os.environ.get("STRANGE_KILL"):
        store = sidecar.Sidecar._store

        def die(*arguments: Any, **more: Any) -> None:
            if not Path(marker).exists():
                Path(marker).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            store(*arguments, **more)

        sidecar.Sidecar._store = die  # type: ignore[method-assign,assignment]
    sys.exit(daemon.main([]))


if __name__ == "__main__":
    main()
