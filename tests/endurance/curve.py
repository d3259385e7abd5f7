"""What a daemon uses, looked at from outside every few seconds, and whether it levels off."""

from __future__ import annotations

import contextlib
import csv
import os
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tests.daemons import RealDaemon

MiB = 1024 * 1024


@dataclass(frozen=True)
class Sample:
    """One look at one daemon. Sizes are bytes."""

    seconds: float
    device: str
    memory: int
    """Resident."""
    descriptors: int
    threads: int
    journal: int
    """Database and write-ahead log."""
    history: int
    """Rows."""
    paths: int
    """Rows of the tables with a row for each path."""
    working: int
    """Rows of all other tables: work under way, displaced files, late intents, problems."""
    trash_files: int
    trash: int


@dataclass(frozen=True)
class BucketSample:
    """One look at the bucket."""

    seconds: float
    log: int
    """Entries."""
    trash_files: int
    trash: int
    objects: int
    """The files."""
    internals: int
    """Of ours, beside log and trash."""


BOUNDS: dict[str, tuple[float, float]] = {
    "memory": (1.10, 8 * MiB),
    "descriptors": (1.0, 8),
    "threads": (1.0, 6),
    "journal": (1.15, 4 * MiB),
    "history": (1.05, 100),
    "paths": (1.05, 600),
    "working": (1.3, 400),
    "trash_files": (1.3, 200),
    "trash": (1.5, 64 * MiB),
    "log": (1.3, 50),
    "objects": (1.05, 200),
    "internals": (1.05, 300),
}
"""By measure: how many times its mean in the first half after the warm-up its mean in the last half may be, and by how much
more than that.
"""
WARM_UP = 0.3
"""The part of a run that does not count: caches, history and trash fill up first."""
_PATHS = {"base", "remote", "seen"}


def look(daemon: RealDaemon, since: float) -> Sample | None:
    """None: it does not run, or ended meanwhile."""
    process = daemon.process
    if process is None:
        return None
    proc = Path(f"/proc/{process.pid}")
    try:
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines() if ":" in line)
        if "VmRSS" not in status:
            return None
        descriptors = len(list((proc / "fd").iterdir()))
    except (FileNotFoundError, ProcessLookupError):
        return None
    journals = [p for p in _below(daemon.home / "state") if ".db" in p.name]
    rows: Counter[str] = Counter()
    for database in [p for p in journals if p.suffix == ".db"]:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as conn:
            for table in [name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]:
                kind = table if table == "history" else "paths" if table in _PATHS else "working"
                rows[kind] += _count(conn, table)
    trash = list(_sizes(_below(daemon.root / ".dorky" / "trash")))
    return Sample(
        seconds=time.monotonic() - since,
        device=daemon.name,
        memory=int(status["VmRSS"].split()[0]) * 1024,
        descriptors=descriptors,
        threads=int(status["Threads"]),
        journal=sum(_sizes(journals)),
        history=rows["history"],
        paths=rows["paths"],
        working=rows["working"],
        trash_files=len(trash),
        trash=sum(trash),
    )


def look_at_bucket(sizes: Mapping[str, int], since: float) -> BucketSample:
    """`sizes`: of every object, by its key below the prefix."""
    trash = [size for key, size in sizes.items() if key.startswith(".dorky/trash/")]
    return BucketSample(
        seconds=time.monotonic() - since,
        log=sum(key.startswith(".dorky/log/") for key in sizes),
        trash_files=len(trash),
        trash=sum(trash),
        objects=sum(not key.startswith(".dorky/") for key in sizes),
        internals=sum(
            key.startswith(".dorky/") and not key.startswith((".dorky/log/", ".dorky/trash/")) for key in sizes
        ),
    )


@dataclass
class Level:
    """One measure over a run."""

    device: str
    measure: str
    first: float
    """Mean of the first half after the warm-up."""
    last: float
    """Mean of the last half."""
    highest: float
    bound: float

    @property
    def ok(self) -> bool:
        """It levelled off."""
        return self.last <= self.bound

    def line(self) -> str:
        """For people."""
        shown = [f"{n / MiB:,.1f} MiB" if self.bytes else f"{n:,.0f}" for n in (self.first, self.last, self.highest)]
        return f"| {self.device} | {self.measure} | {' | '.join(shown)} | {'level' if self.ok else 'GROWS'} |"

    @property
    def bytes(self) -> bool:
        """It is measured in bytes."""
        return self.measure in {"memory", "journal", "trash"}


def levels(samples: Sequence[Sample], bucket: Sequence[BucketSample]) -> list[Level]:
    """Every measure of every device, and of the bucket."""
    found = [
        level
        for name in sorted({s.device for s in samples})
        for level in _of(name, [s for s in samples if s.device == name])
    ]
    return [*found, *_of("bucket", bucket)]


def _of(name: str, samples: Sequence[Sample] | Sequence[BucketSample]) -> Iterable[Level]:
    if not samples:
        return
    begin, end = samples[0].seconds, samples[-1].seconds
    warm = begin + (end - begin) * WARM_UP
    half = (warm + end) / 2
    for measure in [f.name for f in fields(samples[0]) if f.name in BOUNDS]:
        first = [float(getattr(s, measure)) for s in samples if warm <= s.seconds < half]
        last = [float(getattr(s, measure)) for s in samples if s.seconds >= half]
        if first and last:
            times, more = BOUNDS[measure]
            before = statistics.fmean(first)
            highest = max(float(getattr(s, measure)) for s in samples)
            yield Level(name, measure, before, statistics.fmean(last), highest, before * times + more)


def write(file: Path, samples: Sequence[Sample] | Sequence[BucketSample]) -> None:
    """As tab-separated values."""
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [f.name for f in fields(samples[0])], delimiter="\t")
        writer.writeheader()
        writer.writerows(asdict(sample) for sample in samples)


def _count(conn: sqlite3.Connection, table: str) -> int:
    return int(conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def _below(root: Path) -> list[Path]:
    """Its files, as far as they stay: it is at work."""
    return [Path(folder, file) for folder, _, files in os.walk(root) for file in files]


def _sizes(files: Iterable[Path]) -> Iterable[int]:
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            yield file.lstat().st_size
