"""`python -m tests.endurance --minutes 60 --devices 4 --files 20000`: prints docs/reliability.md's table of what levels off.

Ends with 1 when something grows, differs or is lost. Samples go to `samples.tsv` and `bucket.tsv` below `--out`.
"""
# ruff: noqa: T201 - a table on a terminal is what it is for

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path

from tests import servers
from tests.e2e.places import SEED, directory_place, s3_place
from tests.endurance.course import Course, directory_sizes, s3_sizes
from tests.endurance.curve import levels, write
from tests.endurance.daemon import Limits


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser("python -m tests.endurance", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--devices", type=int, default=4)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between two edits, on average")
    parser.add_argument("--keep", type=float, default=120.0, help="seconds that trash and log are kept")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--seaweed", action="store_true", help="over a SeaweedFS of the tests, not a directory")
    parser.add_argument("--out", type=Path, default=None)
    asked = parser.parse_args()
    out = asked.out or Path(tempfile.mkdtemp(prefix="endurance-"))
    out.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="endurance-")))
        if asked.seaweed:
            server = servers.seaweed()
            stack.callback(servers.stop_all)
            place = stack.enter_context(s3_place(base, server))
            bucket, _, prefix = place.bucket.removeprefix("s3://").partition("/")
            sizes = lambda: s3_sizes(server, bucket, f"{prefix}/")
        else:
            place = stack.enter_context(directory_place(base))
            sizes = lambda: directory_sizes(base / "bucket")
        limits = Limits(
            keep_s=asked.keep, log_s=asked.keep, newest_stays_s=asked.keep / 4, history_rows=max(200, asked.files // 4)
        )
        begun = time.monotonic()
        course = Course(
            place, sizes, limits, asked.devices, asked.files, asked.seed, say=lambda line: print(line, flush=True)
        )
        course.begin()
        print(f"all hold {asked.files} files after {time.monotonic() - begun:.0f} s", flush=True)
        course.work(asked.minutes * 60, pause_s=asked.pause, look_s=5.0, restart_s=90.0)
        write(out / "samples.tsv", course.samples)
        write(out / "bucket.tsv", course.bucket)
        found = levels(course.samples, course.bucket)
        print("| device | measure | first half | last half | highest | |\n|---|---|---|---|---|---|")
        for level in found:
            print(level.line())
        done = course.end()
        print(
            f"equal everywhere, nothing lost of {len(course.day.account.written)} contents; done: {done}; samples: {out}"
        )
        return 0 if all(level.ok for level in found) else 1


if __name__ == "__main__":
    sys.exit(main())
