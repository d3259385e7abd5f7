"""`python -m tests.kills`: every story, and what points it has. `--full`: with a kill at each of them."""

from __future__ import annotations

import argparse
import contextlib
import functools
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field
from multiprocessing.pool import ThreadPool

from tests import servers
from tests.kills.matrix import NotTheSame, Teller
from tests.kills.sites import PASSED, UNREACHED, Site, passed, sites, written
from tests.kills.stories import STORIES as SYNC
from tests.kills.stories_history import HISTORY
from tests.kills.world import Point
from tests.nursery import Nursery

STORIES = SYNC | HISTORY
"""All of them, by name."""

Place = tuple[Site, str]
"""A place of the code and when there: before, after, or while bytes flow."""


def kind_of(point: Point) -> str:
    """What it does."""
    return point.op


def place_of(point: Point) -> Place:
    """Where it does it."""
    return point.site, point.when


@dataclass
class Report:
    """What was passed, what was killed, and what went wrong."""

    sites: set[Site] = field(default_factory=set)
    kinds: set[str] = field(default_factory=set)
    """Of the points that were passed."""
    killed_kinds: set[str] = field(default_factory=set)
    killed_places: set[Place] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, what: str) -> None:
        """Remember it, and say it at once."""
        with self.lock:
            self.failures.append(what)
        _say(f"FAILED {what}")


def tell(
    nursery: Nursery,
    name: str,
    scheme: str,
    report: Report,
    *,
    choose: Callable[[Point], str] | None,
    of: Callable[[Point], Hashable] = kind_of,
    kill: bool = True,
    only: tuple[str, ...] = ("",),
    in_a_row: int = 1,
) -> None:
    """Tell one story without a kill and then with one at every point; with `choose`, only at the first point by that order
    of each kind (or place: `of`) that was not killed at yet. `only`: points whose words contain one of these.
    """
    began = time.monotonic()
    counts: Counter[str] = Counter()
    try:
        with Teller(STORIES[name], scheme, nursery) as teller:
            told = teller.plain()
            points = [(point, passed) for point, passed in told.points.values() if any(w in str(point) for w in only)]
            counts["points"] = len(points)
            with report.lock:
                report.sites |= {point.site for point, _ in points if point.when != "middle"}
                report.sites |= {("statement", statement) for statement in told.statements}
                report.kinds |= {point.op for point, _ in points}
            left = [point for point, _ in points] if kill else []
            while left:
                if choose is not None:
                    with report.lock:
                        known = {*report.killed_kinds, *report.killed_places}
                    left = _of_new(left, known, choose, of)
                row = left[:in_a_row]
                if not row:
                    break
                try:
                    died = teller.killed(*row)
                except NotTheSame as exc:
                    counts["failed"] += 1
                    report.fail(str(exc))
                    left.pop(0)
                    continue
                counts["killed"] += died
                counts["not passed again"] += died == 0
                with report.lock:
                    report.killed_kinds |= {kind_of(point) for point in row[:died]}
                    report.killed_places |= {place_of(point) for point in row[:died]}
                del left[: max(died, 1)]
    except Exception:
        counts["failed"] += 1
        report.fail(f"{name} ({scheme}): {traceback.format_exc()[-1500:]}")
    with report.lock:
        report.counts.update(counts)
    said = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    _say(f"{scheme} {name}: {said}; {time.monotonic() - began:.0f} s")


def _of_new(
    points: list[Point], known: Collection[Hashable], choose: Callable[[Point], str], of: Callable[[Point], Hashable]
) -> list[Point]:
    """The first point by that order of each kind that is not known, as they follow in the story."""
    chosen: dict[Hashable, Point] = {}
    for point in sorted(points, key=choose):
        chosen.setdefault(of(point), point)
    return [point for point in points if of(point) not in known and chosen[of(point)] is point]


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run it. Returns the exit code."""
    parser = argparse.ArgumentParser("python -m tests.kills", description=__doc__)
    parser.add_argument("--full", action="store_true", help="kill at every point of every story")
    parser.add_argument(
        "--places",
        action="store_true",
        help="kill once at every place of the code that a story passes, before and after",
    )
    parser.add_argument("--scheme", action="append", choices=["s3", "file", "gs"], help="kinds of bucket; default: all")
    parser.add_argument("--story", action="append", help="stories whose names contain this; default: all")
    parser.add_argument("--op", action="append", help="points whose words contain this; default: all")
    parser.add_argument(
        "--in-a-row", type=int, default=1, help="kills in one telling, each after the restart of the last"
    )
    parser.add_argument("--workers", type=int, default=2, help="worlds at once")
    parser.add_argument("--write", action="store_true", help="add what was passed to what the tests know")
    asked = parser.parse_args()
    work = [
        (name, scheme)
        for name, story in STORIES.items()
        for scheme in asked.scheme or ("s3", "file", "gs")
        if scheme in story.schemes and any(part in name for part in asked.story or [""])
    ]
    # Servers end with the thread that started them.
    for scheme in {scheme for _, scheme in work}:
        {"s3": servers.seaweed, "gs": servers.strict_gcs, "file": lambda: None}[scheme]()
    report = Report()
    with contextlib.closing(Nursery()) as nursery, ThreadPool(asked.workers) as pool:
        one = functools.partial(
            tell,
            nursery,
            report=report,
            choose=str if asked.places else None,
            of=place_of,
            kill=asked.full or asked.places,
            only=tuple(asked.op or [""]),
            in_a_row=asked.in_a_row,
        )
        pool.starmap(one, work, chunksize=1)
    servers.stop_all()
    _say("in all: " + ", ".join(f"{count} {what}" for what, count in sorted(report.counts.items())))
    if asked.places:
        never = {site for site in report.sites if site[0] != "statement"} - {site for site, _ in report.killed_places}
        _say(
            f"places killed at: {len(report.killed_places)}; never: {len(never)}",
            *(f"  {one}" for one in sorted(never)),
        )
    if not (asked.story or asked.op):
        for what, found in (
            ("not reached", (sites() | written()) - report.sites - UNREACHED.keys()),
            ("reached all the same", report.sites & UNREACHED.keys()),
            ("not seen in the code", report.sites - sites() - written()),
        ):
            _say(f"{what}: {len(found)}", *(f"  {one}" for one in sorted(found)))
    if asked.write and not report.failures:
        PASSED.write_text(
            "".join(f"{op}\t{place}\n" for op, place in sorted((report.sites | passed()) & (sites() | written())))
        )
    return 1 if report.failures else 0
