"""What a daemon costs at rest.

    python tests/bench/idle.py [FILES] [directory|s3] [SECONDS]

Makes so many small files in one project, syncs them, then measures the daemon after it settled and after a restart:
resident memory, and CPU over so many seconds (60) with the default poll. Prints a small table. Nothing is left behind.
"""

# ruff: noqa: T201 - a table on a terminal is what it is for

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests import servers
from tests.daemons import RealDaemon

PER_FOLDER = 100
_TICKS = os.sysconf("SC_CLK_TCK")


def make_files(root: Path, files: int) -> None:
    """Small files, so many a folder."""
    for number in range(files):
        folder = root / f"d{number // PER_FOLDER // 100}" / f"e{number // PER_FOLDER % 100}"
        if number % PER_FOLDER == 0:
            folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file-{number}.txt").write_text(f"{number}\n")


def resident_mb(pid: int, kind: str = "VmRSS") -> float:
    """Linux counts it in `/proc`."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) / 1024


def cpu_s(pid: int) -> float:
    """User and system time since it started."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def at_rest(daemon: RealDaemon, seconds: float) -> tuple[float, float, dict[str, int]]:
    """Resident MB and percent of a core over so long, and the requests made meanwhile."""
    assert daemon.process is not None
    pid = daemon.process.pid
    wait = threading.Event()
    wait.wait(5)
    before, used = daemon.requests(), cpu_s(pid)
    wait.wait(seconds)
    percent = 100 * (cpu_s(pid) - used) / seconds
    resident = resident_mb(pid)
    after = daemon.requests()
    return resident, percent, {verb: after[verb] - before[verb] for verb in after if after[verb] != before[verb]}


def main(files: int, kind: str, seconds: float) -> None:
    """See the module."""
    base = Path(tempfile.mkdtemp(prefix="dorky-idle-"))
    daemon = None
    try:
        settings: dict[str, object] = {"poll_s": 15, "settle_s": 1}
        bucket = f"file://{base}/bucket"
        if kind == "s3":
            server = servers.seaweed()
            bucket = f"s3://{server.new_bucket()}/team/p"
            settings |= {"env": server.env, "endpoint_url": server.endpoint_url}
        else:
            (base / "bucket").mkdir()
        daemon = RealDaemon(base, "a", bucket, module="dorkyd", **settings)  # type: ignore[arg-type]
        make_files(daemon.root, files)
        print(f"{files} files, {kind} bucket")
        print(f"{'':24}{'seconds':>9}{'resident MB':>13}{'peak MB':>9}{'CPU %':>8}  requests")
        begun = time.monotonic()
        daemon.start()
        daemon.sync(timeout_s=7200)
        row("first sync, then rest", time.monotonic() - begun, daemon, seconds)
        daemon.stop()
        begun = time.monotonic()
        daemon.start()
        daemon.sync(timeout_s=7200)
        row("restart, then rest", time.monotonic() - begun, daemon, seconds)
        begun = time.monotonic()
        daemon.sync(timeout_s=7200)
        row("second look, then rest", time.monotonic() - begun, daemon, seconds)
        assert daemon.status().files == files
    finally:
        if daemon is not None:
            daemon.kill()
        servers.stop_all()
        shutil.rmtree(base)


def row(what: str, took_s: float, daemon: RealDaemon, seconds: float) -> None:
    """One line of the table."""
    resident, percent, asked = at_rest(daemon, seconds)
    assert daemon.process is not None
    peak = resident_mb(daemon.process.pid, "VmHWM")
    asked_text = " ".join(f"{verb} {count}" for verb, count in asked.items())
    print(f"{what:24}{took_s:9.1f}{resident:13.1f}{peak:9.1f}{percent:8.2f}  {asked_text}", flush=True)


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    main(number, sys.argv[2] if len(sys.argv) > 2 else "directory", float(sys.argv[3]) if len(sys.argv) > 3 else 60.0)
