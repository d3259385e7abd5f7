"""Seconds, CPU, memory, requests and bytes of one run, for dorkyd and for other tools alike.

Requests and bytes are counted by the server, per bucket, so that all are counted by the same clock and none by itself.
CPU is user and system time of a process and of the children it waited for. Memory is the largest resident size since the
run began (Linux counts it as VmHWM, and it can be reset).
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests import servers
from tests.servers import Server

Peer = subprocess.Popen[bytes]

_TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLE_S = 0.02
"""How often another tool's memory is read: its peak is lost only in the last so many seconds before its end."""
_LINE = re.compile(r'^SeaweedFS_s3_(\w+)\{bucket="([^"]+)"(?:,code="(\d+)")?(?:,type="(\w+)")?\} (\S+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a bucket was asked for."""

    requests: Mapping[str, int] = field(default_factory=dict)
    """By kind, as SeaweedFS names them: a HEAD counts as GET, a part as PUT."""
    bytes_up: int = 0
    bytes_down: int = 0
    """Of objects' bodies, as the server received and sent them: bookkeeping such as logs included."""

    def since(self, before: Traffic) -> Traffic:
        """What was added."""
        kinds = {kind: count - before.requests.get(kind, 0) for kind, count in self.requests.items()}
        return Traffic(
            {kind: count for kind, count in sorted(kinds.items()) if count},
            self.bytes_up - before.bytes_up,
            self.bytes_down - before.bytes_down,
        )


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one contender."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    """Largest resident size during the run; 1 MB is 2**20 bytes."""
    server_cpu_s: float
    """What it cost the server."""
    traffic: Traffic
    note: str = ""


@dataclass(frozen=True, slots=True)
class Store:
    """A SeaweedFS of this run, and its counters."""

    server: Server
    metrics_url: str

    def cpu_s(self) -> float:
        """CPU the server used since it started."""
        return cpu_s(self.server.process.pid)

    def traffic(self, bucket: str) -> Traffic:
        """What this bucket was asked for until now."""
        with urllib.request.urlopen(self.metrics_url, timeout=10) as reply:
            text = reply.read().decode()
        requests: dict[str, int] = {}
        moved = {"received": 0, "sent": 0}
        for name, of, _code, kind, value in _LINE.findall(text):
            if of != bucket:
                continue
            if name == "request_total":
                requests[kind] = requests.get(kind, 0) + int(float(value))
            for way in moved:
                if name == f"bucket_traffic_{way}_bytes_total":
                    moved[way] += int(float(value))
        return Traffic(requests, moved["received"], moved["sent"])


def start_store() -> Store:
    """A SeaweedFS with counters, the caller's to `servers.stop`."""
    (port,) = servers.free_ports(1)
    return Store(servers.private_seaweed(f"-metricsPort={port}"), f"http://127.0.0.1:{port}/metrics")


def cpu_s(pid: int) -> float:
    """User and system time of a process and of its children that ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / _TICKS


def memory_mb(pid: int, kind: str = "VmHWM") -> float:
    """The peak (`VmHWM`) or present (`VmRSS`) resident size."""
    found = re.search(rf"^{kind}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def forget_peak(pid: int) -> None:
    """Let VmHWM begin anew at the present size (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


class Meter:
    """Measures a process that lives on: begins when made, ends with `done`.

    `pid` None: of one that is about to be started; set `pid` before `done`.
    """

    def __init__(self, store: Store, bucket: str, pid: int | None) -> None:
        self.pid = pid
        self._store, self._bucket = store, bucket
        if pid is not None:
            forget_peak(pid)
        self._traffic, self._server = store.traffic(bucket), store.cpu_s()
        self._cpu = 0.0 if pid is None else cpu_s(pid)
        self._begun = time.monotonic()

    def done(self, note: str = "", *, wall_s: float | None = None, watched: Traffic | None = None) -> Sample:
        """The run is over. `wall_s`: when it was timed more finely. `watched`: what the suite itself asked meanwhile."""
        took = time.monotonic() - self._begun
        assert self.pid is not None
        return Sample(
            took if wall_s is None else wall_s,
            cpu_s(self.pid) - self._cpu,
            memory_mb(self.pid),
            self._store.cpu_s() - self._server,
            self._store.traffic(self._bucket).since(self._traffic).since(watched or Traffic()),
            note,
        )


class PeerFailedError(Exception):
    """Another tool ended with an error: its command and its last words."""


def run_peer(
    store: Store, bucket: str, command: Sequence[str], env: Mapping[str, str], scratch: Path, *, cwd: Path | None = None
) -> Sample:
    """Run a program from its start to its end. Raises `PeerFailedError` unless it exits with 0."""
    traffic, server = store.traffic(bucket), store.cpu_s()
    log = scratch / f"{Path(command[0]).name}.log"
    with log.open("wb") as words:
        begun = time.monotonic()
        process = start_peer(command, env, cwd or scratch, words)
        try:
            with _sampling(process.pid) as peak:
                _, status, usage = os.wait4(process.pid, 0)
                took = time.monotonic() - begun
        except BaseException:
            kill_peer(process)
            process.wait()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        said = log.read_text(errors="replace")[-3000:]
        raise PeerFailedError(f"{' '.join(command)} ended with {process.returncode}:\n{said}")
    return Sample(
        took,
        usage.ru_utime + usage.ru_stime,
        max(peak),
        store.cpu_s() - server,
        store.traffic(bucket).since(traffic),
    )


def start_peer(command: Sequence[str], env: Mapping[str, str], cwd: Path, words: IO[bytes] | int) -> Peer:
    """Start a program in a process group of its own: some of them are a script that starts the real one."""
    return subprocess.Popen(
        command,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=words,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def kill_peer(process: Peer) -> None:
    """SIGKILL to all of the group."""
    with contextlib.suppress(ProcessLookupError):  # it ended by itself
        os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def _sampling(pid: int) -> Iterator[list[float]]:
    """Peaks of a process and its descendants together. ru_maxrss will not do: it begins at the size of whoever forked."""
    peaks = [0.0]
    over = threading.Event()

    def sample() -> None:
        while not over.wait(_SAMPLE_S):
            with contextlib.suppress(OSError):  # it ended between two looks
                peaks.append(sum(memory_mb(each) for each in _family(pid)))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        over.set()
        thread.join()


def _family(pid: int) -> Iterator[int]:
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from _family(int(child))
