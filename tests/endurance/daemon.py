"""The daemon with a short memory: every limit that is days long in earnest is seconds long here.

`DORKY_TEST_LIMITS` is a JSON object of `Limits`. Nothing else differs from `python -m dorkyd`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from dataclasses import dataclass

from dorkyd import bucket_trash, bucket_upkeep, compaction, daemon, pool, upkeep

VARIABLE = "DORKY_TEST_LIMITS"


@dataclass(frozen=True)
class Limits:
    """What takes how long, in seconds, unless it says otherwise."""

    purge_every_s: float = 10.0
    """How often slow upkeep runs."""
    keep_s: float = 120.0
    """The age at which trash goes, of folders and of the bucket."""
    log_s: float = 120.0
    """The age at which entries of the log go. Longer than any device goes without a poll."""
    keep_bytes: int = 256 * 1024 * 1024
    """How much either trash may hold."""
    newest_stays_s: float = 30.0
    """How long the newest copy of a path stays at least."""
    history_rows: int = 5000
    idle_thread_s: float = 2.0
    """How long a thread without work lives on."""

    def text(self) -> str:
        """For `DORKY_TEST_LIMITS`."""
        return json.dumps(dataclasses.asdict(self))

    def settings(self) -> dict[str, object]:
        """The project's own."""
        limits = {"days": round(self.keep_s / 86_400, 6), "size": self.keep_bytes}
        return {"trash": limits, "bucket_trash": limits}


def shorten(limits: Limits) -> None:
    """Make them hold in this process."""
    daemon.PURGE_EVERY_S = limits.purge_every_s  # type: ignore[assignment]
    upkeep.NEWEST_STAYS_NS = round(limits.newest_stays_s * 10**9)
    upkeep.HISTORY_ROWS = limits.history_rows
    upkeep.DROPPED_NS = round(limits.keep_s * 10**9)
    bucket_upkeep.EVERY_S = limits.purge_every_s
    bucket_trash.NEWEST_STAYS_S = round(limits.newest_stays_s)
    bucket_trash.SLACK_S = 0
    compaction.LIVE_S = round(limits.log_s)
    compaction.SLACK_S = 0
    pool.IDLE_S = limits.idle_thread_s


if __name__ == "__main__":
    shorten(Limits(**json.loads(os.environ[VARIABLE])))
    sys.exit(daemon.main())
