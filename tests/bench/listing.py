"""A project of a million files, listed and searched: what the daemon and the program that asks it hold in memory."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from dorkyd.core.model import Base, Digest, Remote, Version
from dorkyd.core.model import Path as InProject
from dorkyd.journal import Journal
from tests.bench.measure import Meter, Sample
from tests.bench.stage import Daemon, Run, Stage
from tests.daemons import wait_until

FILES, IN_FOLDER = 1_000_000, 1000
_PEAK = (
    "import atexit, sys; atexit.register(lambda: print([line.split()[1] for line in open('/proc/self/status')"
    " if line.startswith('VmHWM')][0], file=sys.stderr))\n"
)
_COMMAND = "from dorkyd.cli import main; main()"
_CLIENT = "import dorkyd; print(sum(1 for _ in dorkyd.DorkyClient().list('p:')))"


@contextlib.contextmanager
def listing(stage: Stage) -> Iterator[Mapping[str, Run]]:
    """1 million files of one project: all listed, as text and as JSON, some picked, one folder; the note is the asker's peak"""
    count = stage.scaled(FILES)
    with (
        stage.folder("listing") as root,
        stage.bucket() as bucket,
        stage.daemon("listing", root=root, bucket=bucket, poll_s=3600) as daemon,
    ):
        daemon.in_sync(0)
        with daemon.client() as client:
            client.pause("p")
        daemon.stop()
        (file,) = (daemon.home / "state").rglob("*.db")
        _fill(file, count)
        daemon.start()

        def run(code: str, *words: str, lines: int) -> Sample:
            meter = Meter(stage.store, bucket, daemon.pid)
            done = subprocess.run(
                [sys.executable, "-c", _PEAK + code, *words],
                env={**daemon.env, "PYTHONPATH": str(Path(__file__).parents[2])},
                capture_output=True,
                check=True,
            )
            sample = meter.done(f"{int(done.stderr.split()[-1]) / 1024:.0f} MB")
            assert done.stdout.count(b"\n") == lines, (done.stdout[:200], lines)
            return sample

        _ready(daemon, count)
        folder, in_folder = f"d{(count - 1) // IN_FOLDER:04}/", count - (count - 1) // IN_FOLDER * IN_FOLDER
        last = f"f{count - 1:07}"
        yield {
            "dorkyd: ls": lambda: run(_COMMAND, "ls", "p", lines=count),
            "dorkyd: ls --json": lambda: run(_COMMAND, "ls", "p", "--json", lines=-(-count // 100_000)),
            "dorkyd: ls --match": lambda: run(_COMMAND, "ls", "p", "--match", last, lines=1),
            "dorkyd: ls --larger": lambda: run(_COMMAND, "ls", "p", "--larger", str(count - 10), lines=10),
            "dorkyd: ls FOLDER": lambda: run(_COMMAND, "ls", "p", folder, lines=in_folder),
            "dorkyd: client.list": lambda: run(_CLIENT, lines=1),
        }


def _fill(file: Path, count: int) -> None:
    """As after a first sync of so many files, of which each has its number as size."""
    journal, digest = Journal(file), Digest(f"sha256:{'a' * 64}")
    for start in range(0, count, 50_000):
        numbers = range(start, min(start + 50_000, count))
        rows = [(number, InProject(f"d{number // IN_FOLDER:04}/f{number:07}")) for number in numbers]
        with journal.atomic():
            journal.set_bases((path, Base(digest, size, Version("1"), 0o644)) for size, path in rows)
            journal.set_remotes((path, Remote(Version("1"), size, digest)) for size, path in rows)
    journal.close()


def _ready(daemon: Daemon, count: int) -> None:
    """Wait until it tells of all of them."""
    with daemon.client() as client:
        wait_until("it knows its files", lambda: client.status("p").projects[0].files == count)
