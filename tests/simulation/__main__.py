"""The long mode: `python -m tests.simulation --histories 100000 --jobs 2`.

Plays the seeds of a range, several processes at once, and counts what happened. Stopped by Ctrl-C or SIGTERM it tells what was
played, and `--from` goes on there. Ends with 1 when a history broke a rule.
"""

from __future__ import annotations

import argparse
import gc
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.util import Finalize

from tests.simulation import beginnings, run

GROUP = 20


def main() -> int:
    """Play, count, and tell what failed."""
    asked = _arguments()
    if asked.seed is not None:
        return _one(asked.seed, told=asked.told)
    first, last = asked.first, asked.first + asked.histories
    groups = [range(seed, min(seed + GROUP, last)) for seed in range(first, last, GROUP)]
    counts: Counter[str] = Counter()
    failed: list[int] = []
    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with get_context("fork").Pool(asked.jobs, initializer=_begin) as pool, suppress(KeyboardInterrupt):
        for done, bad in pool.imap(_group, groups):
            counts += done
            for seed, text in bad:
                failed.append(seed)
                _say(text)
            if counts["histories"] % 1000 == 0:
                _say(
                    f"{counts['histories']} histories from seed {first}, {time.monotonic() - began:.0f} s, failed: {failed}"
                )
    _say(f"go on with --from {first + counts['histories']}; failed: {failed}")
    for name, count in sorted(counts.items()):
        _say(f"{count:9} {name}")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--told", action="store_true", help="with --seed: all that the devices decide and do")
    return parser.parse_args()


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.disable()
    Finalize(None, beginnings.leave, exitpriority=1)


def _group(seeds: range) -> tuple[Counter[str], list[tuple[int, str]]]:
    counts: Counter[str] = Counter()
    bad: list[tuple[int, str]] = []
    for seed in seeds:
        report = run.play_seed(seed)
        counts["histories"] += 1
        counts["steps"] += len(report.story.steps)
        counts.update({f"fault: {kind}": count for kind, count in report.faults.items()})
        counts.update(type(step).__name__.lower() + "s" for step in report.story.steps)
        if report.failure is not None:
            bad.append((seed, run.told(seed, report)))
    gc.collect()
    return counts, bad


def _one(seed: int, *, told: bool) -> int:
    report = run.play_seed(seed)
    if told:
        run.play_story(report.story, _say)
    if report.failure is not None:
        _say(run.told(seed, report))
    return 1 if report.failure is not None else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
