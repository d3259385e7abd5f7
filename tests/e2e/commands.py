"""`dorkyctl` and `dorkyd` as a person runs them: real processes, their exit codes and what they print."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import leaks
from tests.daemons import RealDaemon
from tests.nursery import nursery

POSSIBLE = (*range(10), 78)
TIMEOUT_S = 90.0


@dataclass(frozen=True, slots=True)
class Ran:
    """One command that ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """All of it."""
        return self.out + self.err


def clean_env(**more: str) -> dict[str, str]:
    """The test run's environment without what leads to somebody's real configuration."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DORKY", "XDG_", "AWS_", "NO_COLOR", "NOTIFY_"))}
    return {**kept, "PYTHONUNBUFFERED": "1", **more}


def run(program: str, *arguments: str, env: Mapping[str, str], cwd: Path | None = None) -> Ran:
    """Run `dorkyd` or `dorkyctl`; whatever happens, no traceback and a documented exit code.

    It is forked from a process that has imported it: most of what a command does is importing.
    """
    with tempfile.TemporaryDirectory(prefix="dorkyd-test-command-") as place:
        out, err = Path(place) / "out", Path(place) / "err"
        child = nursery().command(arguments, env, cwd, out, err, program=program)
        try:
            code = child.wait(TIMEOUT_S)
        finally:
            child.kill()
        ran = Ran(code, out.read_text(), err.read_text())
    leaks.saw("command", ran.said)
    assert "Traceback" not in ran.said, ran.said
    assert ran.code in POSSIBLE, ran
    return ran


def ctl(daemon: RealDaemon, *arguments: str, cwd: Path | None = None, **env: str) -> Ran:
    """`dorkyctl`, in the daemon's home."""
    return run("dorkyctl", *arguments, env={**daemon.env, **env}, cwd=cwd or daemon.home)


@contextlib.contextmanager
def running(*daemons: RealDaemon) -> Iterator[None]:
    """Start them, and end what of them still runs."""
    try:
        for daemon in daemons:
            daemon.launch()
        for daemon in daemons:
            daemon.ready()
        yield
    finally:
        for daemon in daemons:
            daemon.kill()


def halt_of(daemon: RealDaemon) -> Any:
    """The halt that status shows, or None."""
    return daemon.status().halt


def offered(said: str, verb: str) -> list[str]:
    """The words after `dorkyctl` of the command with that verb that was offered on the screen."""
    found = re.search(rf"dorkyctl ({verb} \S+(?: [0-9a-f]{{8}})?)", said)
    assert found is not None, said
    return found[1].split()


def set_aside(path: Path, aside: Path) -> None:
    """Move a whole folder away, as a person would with `mv`."""
    path.rename(aside)


def has_namespaces() -> bool:
    """Whether a child may mount a file system of its own."""
    tried = subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
    )
    return tried.returncode == 0


needs_namespaces = pytest.mark.skipif(not has_namespaces(), reason="unshare -rm with a tmpfs is refused here")
