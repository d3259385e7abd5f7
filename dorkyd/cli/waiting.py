"""Waiting for a sync, with progress on a terminal."""

from __future__ import annotations

import queue
import sys
import threading
from typing import TYPE_CHECKING

from dorkyd.api import calls
from dorkyd.api.failures import ApiError
from dorkyd.api.messages import Pending, Speed, SyncResult
from dorkyd.cli.units import length, plural, size
from dorkyd.client.replies import Reply
from dorkyd.core.printable import printable

if TYPE_CHECKING:
    from dorkyd.client import DorkyClient
    from dorkyd.client.brief import BriefClient

TICK_S = 0.5
_CLEAR = "\r\x1b[K"


def wait_for_sync(client: DorkyClient | BriefClient, project: str, timeout_s: float | None) -> Reply[SyncResult]:
    """Ask for a sync and wait for its end. Interrupting the wait leaves the sync to the daemon."""
    ended: queue.SimpleQueue[Reply[SyncResult] | ApiError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            ended.put(client.send(calls.sync(project, wait=True, timeout_s=timeout_s)))
        except ApiError as exc:
            ended.put(exc)

    # A daemon thread, so that Ctrl-C need not wait for an answer that may be hours away.
    threading.Thread(target=ask, daemon=True).start()
    drawn = False
    while True:
        try:
            result = ended.get(timeout=TICK_S)
        except queue.Empty:
            if sys.stderr.isatty():
                drawn = True
                _draw(client, project)
            continue
        if drawn:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
        if isinstance(result, ApiError):
            raise result
        return result


def _draw(client: DorkyClient | BriefClient, project: str) -> None:
    status = client.status(project).projects[0]
    line = f"{project}: {status.state.value}, {plural(status.files, 'file')}{_left(status.pending, status.speed)}"
    sys.stderr.write(_CLEAR + printable(line))
    sys.stderr.flush()


def _left(work: Pending, speed: Speed) -> str:
    paths = work.upload + work.download + work.delete_local + work.delete_remote
    soon = "" if speed.left_s is None else f", {length(speed.left_s)} left"
    return f", {plural(paths, 'path')} ({size(work.bytes)}) to go{soon}" if paths else ""
