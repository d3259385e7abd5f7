"""What a command costs that does next to nothing: its start-up."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial

from tests.bench.measure import Sample, Traffic
from tests.bench.stage import Run, Stage

COMMANDS = ("status", "status --json", "ls", "log", "sync", "--help")


@contextlib.contextmanager
def commands(stage: Stage) -> Iterator[Mapping[str, Run]]:
    """`dorkyctl COMMAND` from the start of the process to its end, beside a daemon with one project of no files."""
    with stage.bucket() as bucket, stage.folder("commands") as root, stage.daemon("commands") as daemon:
        daemon.add(root, bucket, 0)
        program = [sys.executable, "-c", "from dorkyd.cli import main; main()"]

        def ran(words: list[str]) -> Sample:
            begun = time.monotonic()
            process = subprocess.Popen([*program, *words], env=daemon.env, stdout=subprocess.DEVNULL)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0, (words, process.returncode)
            wall = time.monotonic() - begun
            # Not its memory: the kernel counts that of the process that it was forked from as well.
            return Sample(wall, used.ru_utime + used.ru_stime, 0, 0, Traffic())

        yield {f"dorkyd {command}": partial(ran, command.split()) for command in COMMANDS}
