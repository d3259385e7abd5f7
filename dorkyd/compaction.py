"""Shortening the bucket's log without stranding a device that was away.

What holds at every instant, so that a kill anywhere and two devices at once do no harm:

1. *The floor first.* `floor` in `.dorky/project.json` is raised by a conditional update before any entry below it goes. A
   device that misses the last entry it read reads the floor after that, so it knows compaction from a rewound bucket.
2. *Entries live at least `LIVE_S`*, by the store's clock alone: an entry's LastModified against that of the log's last
   entry. A store that tells no LastModified keeps its log.
3. *The last entry stays*, so that there is always a number to go on from.
4. The floor never falls, and removing is conditional on the entry's version: whoever comes second finds nothing to do.

Nothing of a run is remembered: the next one, of any device, goes on from what is in the bucket.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dorkyd.errors import Stale
from dorkyd.news import Logged, News

LIVE_S = 90 * 86_400
"""Seconds an entry lives at least."""
SLACK_S = 86_400
"""Older than that by so much: a day's entries go together, and most looks find nothing to do."""
PAGES = 10
"""Pages of the log that one run takes in; what is beyond them is for the next."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a run did."""

    floor: int | None = None
    """The log's floor from here on; None: there was nothing to do."""
    removed: int = 0
    """Entries."""
    now: int | None = field(default=None, compare=False)
    """LastModified of the log's last entry, by the store's clock; None: the log is empty, or the store tells none."""


def compact(news: News, *, project_id: str, cursor: int) -> Compacted:
    """Remove what is old enough. Any thread; touches nothing but the bucket. Two requests when there is nothing to do.

    `cursor`: a number that was read of this log, as high as is known. Raises what the bucket raises: a run that breaks off
    leaves the log sound.
    """
    last = news.log_from(cursor).highest if cursor else None
    if last is None or last.modified is None:
        return Compacted()
    now = last.modified
    old = _old(news, last, last.modified - LIVE_S)
    if not old or old[0].modified is None or old[0].modified > last.modified - LIVE_S - SLACK_S:
        return Compacted(now=now)
    try:
        floor = news.raise_floor(old[-1].number + 1, project_id=project_id)
    except Stale:
        return Compacted(now=now)
    removed = 0
    for entry in old:
        try:
            news.remove(entry)
            removed += 1
        except Stale:
            continue  # somebody was faster
    return Compacted(floor, removed, now)


def _old(news: News, last: Logged, until: int) -> list[Logged]:
    """The first entries of the log, up to the first that is too young, and never the last."""
    old: list[Logged] = []
    for taken, page in enumerate(news.log_pages(), start=1):
        for entry in page:
            if entry.number >= last.number or entry.modified is None or entry.modified > until:
                return old
            old.append(entry)
        if taken == PAGES:
            break
    return old
