"""`python -m tests.kills`: what the points are. `--full`: a kill at each of them. See `--help`."""

from __future__ import annotations

import argparse
import contextlib
import functools
import time
import traceback
from collections import Counter
from multiprocessing.pool import ThreadPool

from tests import servers
from tests.kills.matrix import NotTheSame, Teller
from tests.kills.nursery import Nursery
from tests.kills.stories import STORIES


def main() -> int:
    """Run it. Returns the exit code."""
    parser = argparse.ArgumentParser("python -m tests.kills", description=__doc__)
    parser.add_argument("--full", action="store_true", help="kill at every point of every story")
    parser.add_argument("--scheme", action="append", choices=["s3", "file", "gs"], help="kinds of bucket; default: all")
    parser.add_argument("--story", action="append", help="stories whose names contain this; default: all")
    parser.add_argument("--op", action="append", default=[], help="points whose operation and place contain this")
    parser.add_argument("--passings", type=int, default=1, help="how many passings of each point are tried")
    parser.add_argument("--workers", type=int, default=1, help="worlds at once")
    asked = parser.parse_args()
    work = [
        (scheme, name, asked.full, tuple(asked.op), asked.passings)
        for scheme in asked.scheme or ("s3", "file", "gs")
        for name, story in STORIES.items()
        if scheme in story.schemes and any(part in name for part in asked.story or [""])
    ]
    total: Counter[str] = Counter()
    # Servers end with the thread that started them.
    for scheme in {scheme for scheme, *_ in work}:
        {"s3": servers.seaweed, "gs": servers.strict_gcs, "file": lambda: None}[scheme]()
    with contextlib.closing(Nursery()) as nursery, ThreadPool(asked.workers) as pool:
        _tell_one = functools.partial(_tell, nursery)
        for _lines, counts in pool.imap_unordered(_tell_one, work, chunksize=1):
            total.update(counts)
    return 1 if total["failed"] else 0


def _tell(nursery: Nursery, work: tuple[str, str, bool, tuple[str, ...], int]) -> tuple[list[str], Counter[str]]:
    scheme, name, full, ops, passings = work
    counts: Counter[str] = Counter()
    lines: list[str] = []
    began = time.monotonic()
    try:
        with Teller(STORIES[name], scheme, nursery) as teller:
            told = teller.plain()
            counts["points"] = len(told.points)
            for point, passed in told.points.values():
                if not full or not any(part in str(point) for part in ops or [""]):
                    continue
                for nth in range(1, min(passed, passings) + 1):
                    try:
                        counts["killed" if teller.killed(point, nth) else "not passed again"] += 1
                    except NotTheSame as exc:
                        counts["failed"] += 1
                        lines.append(f"FAILED {exc}")
    except Exception:
        counts["failed"] += 1
        lines.append(f"FAILED {name} ({scheme}): {traceback.format_exc()}")
    said = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    lines.append(f"{scheme} {name}: {said}; {time.monotonic() - began:.0f} s")
    return lines, counts
