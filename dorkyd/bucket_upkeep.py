"""Slow upkeep of the bucket: its log is kept short, its trash within the limits of the project's document, and facts about
tables go with the contents that they are of.

All devices try, each about once a day, at times that chance spreads: what the first has done is nothing to do for the
others, and no device needs to know who else there is. It runs on another thread and may break off at any point.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from dorkyd.bucket_trash import purge
from dorkyd.compaction import compact
from dorkyd.core.settings import Mode, Project
from dorkyd.errors import DorkyError
from dorkyd.journal import Journal
from dorkyd.news import News
from dorkyd.ports import Bucket, Clock
from dorkyd.tables.dropping import Known, drop_facts

EVERY_S = 86_400.0
"""How often a device looks whether there is something to do, up to twice as long, so that a team's devices spread."""
_LOOKED = "log_shortened_at"
"""Where the journal keeps when this device last looked, wall clock."""
_ASKED_FOR = "bucket_trash"
"""Where it keeps the limits that were last asked for here and written into the project's document."""
_log = logging.getLogger("dorkyd.bucket_upkeep")

Submit = Callable[[Callable[[], None]], None]


@dataclass(slots=True)
class _Left:
    """What a run leaves for the next. Written by its thread, read by the engine's after it."""

    asked_for: str | None = None
    """The limits it wrote; None: none."""
    go_on_after: str = ""
    more: bool = False
    running: bool = False


@dataclass(slots=True)
class BucketUpkeep:
    """For one project; everything but the runs on the engine's thread."""

    project: Project
    bucket: Bucket
    news: News
    journal: Journal
    clock: Clock
    random: Callable[[], float]
    _left: _Left = field(default_factory=_Left)

    def run_due(self, cursor: int, submit: Submit) -> None:
        """Have `submit` run what is due on another thread. `cursor`: a number that was read of the log, as high as is
        known.
        """
        left, limits = self._left, self.project.bucket_trash
        wall_s = self.clock.time_ns() / 1e9
        project_id = self.journal.get("project_id")
        if left.running or project_id is None or self.project.mode is Mode.PULL:
            return
        if left.asked_for is not None:
            with self.journal.atomic():
                self.journal.put(_ASKED_FOR, left.asked_for)
        # Only what a person changed here is asked for, once: two devices with different settings do not fight.
        asked_for = f"{limits.days:g} {limits.size}" if limits is not None else ""
        new = asked_for != (self.journal.get(_ASKED_FOR) or "")
        looked_s = float(self.journal.get(_LOOKED) or -math.inf)
        soon = 0 <= wall_s - looked_s < EVERY_S * (1 + self.random())
        if soon and not new and not left.more:
            return
        with self.journal.atomic():
            self.journal.put(_LOOKED, str(wall_s))
        left.running = True
        known = {*self.journal.contents_here(), *(found[3] for found in self.journal.objects() if found[3] is not None)}
        secret = frozenset(self.journal.ever_sealed())
        contents = Known(frozenset(known - secret), secret)

        def run() -> None:
            try:
                if new:
                    if limits is not None:
                        self.news.limit_trash(limits, project_id=project_id)
                    left.asked_for = asked_for
                self._tidy(project_id, cursor, left, contents)
            except DorkyError as exc:
                _log.warning("verb=tidy-bucket project=%s outcome=%s", self.project.name, exc.code)
            finally:
                left.running = False

        submit(run)

    def _tidy(self, project_id: str, cursor: int, left: _Left, contents: Known) -> None:
        name = self.project.name
        done = compact(self.news, project_id=project_id, cursor=cursor)
        if done.floor is not None:
            _log.info("verb=compact project=%s floor=%d removed=%d outcome=ok", name, done.floor, done.removed)
        document = self.news.project()
        if document is None or document.project_id != project_id:
            return
        now = done.now or 0
        if not self.bucket.versioned:
            purged = purge(self.bucket, document.trash, now=now, go_on_after=left.go_on_after)
            left.go_on_after, left.more = purged.go_on_after, purged.more
            if purged.removed:
                _log.info(
                    "verb=purge-bucket project=%s removed=%d bytes=%d outcome=ok", name, purged.removed, purged.bytes
                )
        # Last, since least depends on it.
        dropped = drop_facts(self.bucket, contents, now=now, days=document.trash.days)
        if dropped:
            _log.info("verb=drop-facts project=%s removed=%d outcome=ok", name, dropped)
