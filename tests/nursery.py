"""Daemons and commands that start in no time: forked from a process that has imported everything and done nothing.

Most of a start is importing: for some hundred daemons and commands in a run of the tests, minutes of processor time. The
nursery is a process with one thread, so that a fork of it is a daemon like any other; it is ended by the end of its input,
and its children with it.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import json
import math
import os
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_PRELOADED = (
    "boto3", "botocore.client", "obstore.store", "google.cloud.storage", "dorkyd.buckets.fastlane", "dorkyd.buckets.gcs",
    "dorkyd.buckets.probe", "dorkyd.cli", "dorkyd.daemon", "dorkyd.doctor", "tests.kills.launch",
    "apscheduler.schedulers.background", "apscheduler.triggers.interval", "dorkyd.api.server", "dorkyd.api.tcp",
    "uvicorn.lifespan.off", "uvicorn.loops.asyncio",
    "httpcore2", "httpx2", "rich.progress", "rich.table", "typer.main", "dorkyd.api.commit_calls", "dorkyd.api.freeze_calls",
    "dorkyd.api.history_calls", "dorkyd.api.manual_calls", "dorkyd.api.table_calls", "dorkyd.cli.app", "dorkyd.cli.glance",
    "dorkyd.cli.progress", "dorkyd.cli.targets", "dorkyd.cli.told", "dorkyd.client.blocking", "dorkyd.client.brief",
    "dorkyd.client.quick",
)  # fmt: skip
"""What a daemon or a command imports, some of it only when it needs it. No module that defines commands: a command parses
by those that are there.
"""
_PROGRAMS = {"dorkyctl": "dorkyd.cli", "dorkyd": "dorkyd.daemon"}
"""Of each the module whose `main` it is."""


class Nursery:
    """The process, asked by one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[1],
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )

    def start(self, module: str, env: Mapping[str, str], log: Path) -> Child:
        """A daemon with this environment: `main` of a module. What it says is added to `log`."""
        said = {"out": str(log), "err": str(log)}
        return Child(self, self._ask({"module": module, "given": [[]], "env": dict(env), **said}))

    def command(
        self,
        arguments: Sequence[str],
        env: Mapping[str, str],
        cwd: Path | None,
        out: Path,
        err: Path,
        *,
        program: str = "dorkyctl",
    ) -> Child:
        """`dorkyctl` or `dorkyd` with these arguments. What it says is added to `out` and `err`; nobody types anything."""
        where = {"cwd": None if cwd is None else str(cwd), "out": str(out), "err": str(err)}
        argv = [program, *arguments]
        return Child(self, self._ask({"module": _PROGRAMS[program], "argv": argv, "env": dict(env), **where}))

    def status(self, pid: int) -> int:
        """How a child ended: its exit code, or minus the signal. Waits for its end."""
        return self._ask({"wait": pid})

    def close(self) -> None:
        """End it and all its children."""
        with self._lock:
            self._process.communicate(timeout=30)

    def _ask(self, question: object) -> int:
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())


@functools.cache
def nursery() -> Nursery:
    """This process's own, which ends with it."""
    made = Nursery()
    atexit.register(made.close)
    return made


class Child:
    """As `subprocess.Popen`, for a child of the nursery."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery = nursery
        self.pid = pid
        self._fd: int | None = os.pidfd_open(pid)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """How it ended; None: it lives."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("dorkyd", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """To one that has not ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        if self._fd is not None:
            # Not `select`, which takes no descriptor above 1023: a whole run of the tests has more.
            ending = select.poll()
            ending.register(self._fd, select.POLLIN)
            if not ending.poll(None if timeout is None else math.ceil(timeout * 1000)):
                return None
            self.returncode = self._nursery.status(self.pid)
            os.close(self._fd)
            self._fd = None
        return self.returncode


def _tend() -> None:
    """The nursery's own loop."""
    for name in _PRELOADED:
        importlib.import_module(name)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    # What is here lives as long as the process: no child needs to look through it again, nor to copy its pages for that.
    gc.collect()
    gc.freeze()
    children: set[int] = set()
    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            answer = os.waitstatus_to_exitcode(os.waitpid(asked["wait"], 0)[1])
            children.discard(asked["wait"])
        else:
            answer = os.fork()
            if answer == 0:
                _become(asked)
            children.add(answer)
        out.write(f"{answer}\n")
        out.flush()
    for child in children:
        os.kill(child, signal.SIGKILL)


def _become(asked: dict[str, Any]) -> None:
    """A daemon or a command, in the new process."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, file in ((1, asked["out"]), (2, asked["err"])):
        os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600), number)
    os.closerange(3, 64)
    os.setsid()
    # However the nursery ends: daemons that nobody watches would work for ever (prctl(2), Linux).
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked.get("cwd") or ".")
    sys.argv = asked.get("argv", sys.argv)
    code: object = 1
    try:
        code = importlib.import_module(asked["module"]).main(*asked.get("given", []))
    except SystemExit as ending:
        code = ending.code
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    _tend()
