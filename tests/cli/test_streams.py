"""Standard streams that are broken, full or closed: the command runs as a process, whose streams are files of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.api.serving import Served

FULL = Path("/dev/full")
COMMAND = [sys.executable, "-c", "from dorkyd.cli import main; main()"]


def run(served: Served, *words: str, stdout: int = subprocess.PIPE, close: int | None = None) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command; `close`: a descriptor that it does not have."""
    preexec: Callable[[], None] | None = None if close is None else lambda: os.close(close)
    done = subprocess.run(
        [*COMMAND, *words],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, "DORKY_HOME": str(served.home)},
        cwd=served.home,
        text=True,
        preexec_fn=preexec,
        check=False,
        timeout=30,
    )
    return done.returncode, done.stdout or "", done.stderr


def test_whoever_read_has_had_enough(served: Served) -> None:
    """`dorkyctl status | true` says nothing: it is no error of anybody's."""
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        assert run(served, "status", stdout=theirs) == (1, "", "")
    finally:
        os.close(theirs)


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
def test_the_disk_is_full(served: Served) -> None:
    """What cannot be written is told of in a line."""
    with FULL.open("w") as full:
        code, _, told = run(served, "ls", "api", "--json", stdout=full.fileno())
    assert (code, told) == (1, "dorkyctl: The output cannot be written: No space left on device.\n")


def test_without_standard_output(served: Served) -> None:
    """Who wants the exit code only may close it."""
    assert run(served, "status", close=1) == (0, "", "")


def test_without_standard_error(served: Served) -> None:
    """What is said on the way does not go to standard output instead."""
    code, out, _ = run(served, "doctor", "api", "--json", close=2)
    assert (code, out[:9]) == (0, '{"items":')


@pytest.mark.parametrize("words", [("put", "-", "api:x"), ("env", "set", "X")])
def test_without_standard_input(served: Served, words: tuple[str, ...]) -> None:
    """Where nothing can be read, nothing empty is stored."""
    told = "dorkyctl: Standard input is closed: there is nothing to read.\n"
    assert run(served, *words, close=0) == (2, "", told)
