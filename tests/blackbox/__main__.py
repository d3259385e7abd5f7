"""`python -m tests.blackbox`: stories for as long as you like.

    python -m tests.blackbox --minutes 30 --bucket both

A failure prints the trace, what of it matters, and the seed. `--seed S --only N` tells one story again: the same operations with the
same pauses, but daemons are not deterministic, so it may need some tries.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests import servers
from tests.blackbox.judge import Tally, tell, world
from tests.e2e.places import Place, directory_place, s3_place

STORIES = 12
"""In one world, before its daemons and homes are made anew."""


@contextlib.contextmanager
def a_place(kind: str) -> Iterator[Place]:
    """An empty bucket and a short path for homes. After a failure everything is left in place."""
    base = Path(os.path.realpath(tempfile.mkdtemp(prefix="dk")))
    with directory_place(base) if kind == "directory" else s3_place(base, servers.seaweed()) as place:
        yield place
    shutil.rmtree(base)


def say(line: str) -> None:
    """At once, also into a file."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """0: everything was explained."""
    parser = argparse.ArgumentParser(prog="python -m tests.blackbox")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--bucket", choices=("directory", "s3", "both"), default="both")
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(10**6)))
    parser.add_argument("--only", type=int, help="number of the one story to tell, again and again")
    parser.add_argument("--operations", type=int, default=40, help="in each story, at most")
    asked = parser.parse_args()
    kinds = ("directory", "s3") if asked.bucket == "both" else (asked.bucket,)
    tallies = {kind: Tally() for kind in kinds}
    end, told, failed = time.monotonic() + asked.minutes * 60, 0, 0
    say(f"seed {asked.seed}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no daemon is left behind
    while time.monotonic() < end:
        kind = kinds[told // STORIES % len(kinds)]
        try:
            with a_place(kind) as place:
                rng = random.Random(f"{asked.seed} {told}")
                daemons = world(place, rng, rng.choice((2, 3, 3)))
                for _ in range(STORIES):
                    story = told if asked.only is None else asked.only
                    told += 1
                    operations = random.Random(story).randrange(5, asked.operations + 1)
                    tell(place, daemons, f"{asked.seed} {story}", f"s{told}", operations, tallies[kind])
                    if time.monotonic() > end:
                        break
        except AssertionError as error:
            failed += 1
            say(f"FAILED {error}\nkept: {place.base}")
            told += -told % STORIES
        say(f"{kind}: {tallies[kind]}")
    for kind, tally in tallies.items():
        say(f"all on {kind}: {tally}")
    say(f"{failed} failed")
    servers.stop_all()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
