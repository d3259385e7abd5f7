"""What a project's requests to its bucket will cost: an estimate, from what was measured and what is scheduled.

A month has the requests of the schedule (polls, listings, a queue's questions), which are known, and those of changes, of
which so many a month are expected as there were since the project started. Less than a day is taken for a day: a first
sync is not repeated all month. Storage, and bytes that leave the cloud, are not counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dorkyd.core.pace import PAGE
from dorkyd.core.report import Cost, RequestCounts

DAY_S, MONTH_S = 86_400.0, 30 * 86_400.0
QUEUE_POLL_S = 20.0
"""A queue that has nothing to tell is asked so often (`dorkyd.push`)."""


@dataclass(frozen=True, slots=True)
class Prices:
    """List prices in US dollars for 1,000 requests. Deleting is free in both stores."""

    what: str
    """Whose, of which class and place, and of when."""
    writes: float
    """PUT, COPY and LIST (GCS: class A)."""
    reads: float
    """GET and HEAD (GCS: class B)."""


PRICES = {
    # https://aws.amazon.com/s3/pricing/, requests to S3 Standard in US East (N. Virginia)
    "s3": Prices("S3 Standard, us-east-1, November 2026", writes=0.005, reads=0.0004),
    # https://cloud.google.com/storage/pricing, operations on Standard storage in one region
    "gs": Prices("Google Cloud Storage Standard, one region, November 2026", writes=0.005, reads=0.0004),
}
"""By the scheme of a bucket's URL, at its own cloud's endpoint. Other stores have other prices, or none."""
QUEUE_PRICE = 0.0004
"""SQS standard queue, 1,000 requests: https://aws.amazon.com/sqs/pricing/, November 2026. A million a month are free to each
account, which is not taken off.
"""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What a project asks whether anything changes or not."""

    poll_s: float
    list_every_s: float
    objects: int
    queue: bool = False
    """It asks a queue for events, too."""


def estimate(measured: RequestCounts, uptime_s: float, schedule: Schedule, *, scheme: str, own_endpoint: bool) -> Cost:
    """A month's requests and their price. `own_endpoint`: the store is not the cloud that the scheme stands for."""
    listings = MONTH_S / schedule.list_every_s
    # A listing takes its pages, jumps over our own keys, looks at the log and reads the project's document.
    scheduled = {
        "GET": MONTH_S / schedule.poll_s + 2 * listings,
        "LIST": listings * (math.ceil(schedule.objects / PAGE) + 2),
    }
    month = {
        verb: scheduled.get(verb, 0.0)
        + max(0.0, getattr(measured, verb) - scheduled.get(verb, 0.0) * uptime_s / MONTH_S)
        * (MONTH_S / max(uptime_s, DAY_S))
        for verb in ("GET", "PUT", "LIST", "HEAD", "COPY", "DELETE")
    }
    queued = MONTH_S / QUEUE_POLL_S if schedule.queue else 0.0
    total = _rounded(sum(month.values()) + queued)
    prices = PRICES.get(scheme) if not own_endpoint else None
    if prices is None:
        return Cost(total, None, "")
    writes = month["PUT"] + month["COPY"] + month["LIST"]
    reads = month["GET"] + month["HEAD"]
    usd = (writes * prices.writes + reads * prices.reads + queued * QUEUE_PRICE) / 1000
    return Cost(total, round(usd, 2), prices.what)


def _rounded(count: float) -> int:
    """To two digits: it is an estimate, and status need not change with every second."""
    if count < 100:
        return round(count)
    digits = math.floor(math.log10(count)) - 1
    return int(round(count, -digits))
