"""The daemon as a process: starting it, and seeing it go."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from dorkyd.api import calls
from dorkyd.api.failures import NotRunning
from dorkyd.api.messages import Stopping
from dorkyd.cli.app import Exit, Failure, say
from dorkyd.client import DorkyClient, Reply
from dorkyd.locate import log_file, socket_stays
from dorkyd.private import make_parents
from dorkyd.service import service_here
from dorkyd.service_managers import Manager, manager_here

START_S = 30.0
STOP_S = 60.0
TICK_S = 0.05
LAST_WORDS = 5
"""Lines of a failed daemon's log that are shown."""


def running_daemon() -> DorkyClient:
    """A client of the daemon, which is started when none answers. Raises `Failure` when it does not start."""
    client = _answering()
    if client is not None:
        return client
    say("Starting the daemon …")
    if service_manager().wake():
        client = _answering()
        if client is not None:
            return client
    log = log_file()
    make_parents(log)
    with open(log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as words:
        said_before = words.tell()
        # A session of its own: closing the terminal or Ctrl-C here must not end it.
        process = subprocess.Popen(
            [sys.executable, "-m", "dorkyd"],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        ended = process.poll()
        # Asked after the poll: one that ended because another was quicker leaves that other to answer.
        client = _answering()
        if client is not None:
            return client
        if ended is not None:
            raise _did_not_start(ended, log, said_before)
        time.sleep(TICK_S)
    raise Failure(
        f"The daemon (pid {process.pid}) did not answer within {START_S:.0f} s.",
        hint=f"See {log}",
        exit_code=Exit.TEMPORARY,
    )


def service_manager() -> Manager:
    """This system's service manager, about the daemon of this installation."""
    service = service_here(os.environ, log_file())
    return manager_here(service, os.environ, sys.platform, Path.home(), getpass.getuser())


def _answering() -> DorkyClient | None:
    # A new client each time: where the socket is may have changed.
    client = DorkyClient()
    try:
        client.health()
    except NotRunning:
        client.close()
        return None
    return client


def _did_not_start(code: int, log: Path, said_before: int) -> Failure:
    with log.open("rb") as words:
        words.seek(said_before)
        lines = [line for line in words.read().decode(errors="replace").splitlines() if line.strip()]
    said = "\n  ".join(lines[-LAST_WORDS:]) or "It said nothing."
    known = code in set(Exit) and code != Exit.OK
    return Failure(
        f"The daemon did not start (exit code {code}):\n  {said}",
        hint=f"Its whole log is {log}",
        exit_code=code if known else Exit.ERROR,
    )


def stop(client: DorkyClient) -> Reply[Stopping]:
    """End the daemon, and return once the process has ended and nothing answers on its socket, unless that is a service
    manager's, which listens on. Raises `Failure` after a minute.
    """
    stays = socket_stays()
    reply = client.send(calls.stop())
    pid, socket_path = reply.value.pid, str(client.place)
    deadline = time.monotonic() + STOP_S
    while _alive(pid) or (not stays and _answers(socket_path)):
        if time.monotonic() > deadline:
            raise Failure(
                f"The daemon (pid {pid}) has not ended within {STOP_S:.0f} s.",
                hint="It is finishing what is under way; look again with `dorkyctl status`.",
                exit_code=Exit.TEMPORARY,
            )
        time.sleep(TICK_S)
    return reply


def _answers(socket_path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(socket_path) == 0


def _alive(pid: int) -> bool:
    """Whether the process still runs. One that ended and waits for its parent to notice has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # Another user's: the number was given to somebody else since.
        return False
    return not _process_state(pid).startswith("Z")


def _process_state(pid: int) -> str:
    """Its letter in ps(1); `Z` too when it is gone. Where there is /proc, ps may not be installed."""
    if Path("/proc/self/stat").exists():
        try:
            # The name before the state is in parentheses, and may hold some itself.
            return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].strip()
        except (FileNotFoundError, ProcessLookupError):
            return "Z"
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return told.stdout.strip() or "Z"
