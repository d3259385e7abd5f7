"""Mode manual in the engine's cycle: a pull that goes on until nothing is left to do, and pushes that were cut short.

A pull is remembered in the journal, so that a restart goes on with it; when it may end is known here alone. What a cut-short
push left is carried out on the pool (`dorkyd.manual_push`), in every mode that writes the bucket: others push too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

from dorkyd.contact import Counters
from dorkyd.core.settings import Mode
from dorkyd.errors import Transient
from dorkyd.jobs import Pool
from dorkyd.journal import Journal
from dorkyd.manual_rows import PULLING

GRACE_S, AGAIN_S = 5.0, 1.0
"""How long a push of another device's is left to whoever began it; when it is tried again to end what is known here."""
SELDOM_S = 60.0
"""It is tried again at least this often."""


@dataclass(slots=True)
class ManualCycle:
    """For one project, for as long as its engine lives; engine thread only, but for the plain values."""

    mode: Mode
    pool: Pool
    wake: Callable[[], None]
    finish: Callable[[], None] = lambda: None
    """Carries out what is left of pushes that were cut short, ours and others'; on the pool."""
    stuck: frozenset[str] = frozenset()
    """Commits of pushes that cannot be brought to their end here, as far as was last tried."""
    pushing: bool = False
    """A push works with what is staged."""
    _pulled_with: tuple[int, int] = (1, 1)
    """The scan and the listing that a pull waits for; a start has one of each."""
    _finishing: bool = False
    _due: float = math.inf
    _tries: int = 0

    def check_not_pushing(self) -> None:
        """`Transient` (`pushing`) while a push works: its own files would meet edits made since."""
        if self.pushing:
            raise Transient("a push is under way", code="pushing", hint="try again when it is over", retry_after_s=1)

    def pull_ends_with(self, scan: int, listing: int) -> None:
        """The pull that was begun is over no sooner than these."""
        self._pulled_with = (scan, listing)

    def end_pull(self, journal: Journal, counters: Counters) -> None:
        """Nothing is left to do: a pull ends if both sides were looked at since it began."""
        scan, listing = self._pulled_with
        if counters.scans >= scan and counters.listings_done >= listing:
            with journal.atomic():
                journal.put(PULLING, None)

    def finish_pushes(self, journal: Journal, plans: Collection[object], now: float) -> None:
        """Have what others or an earlier start left of pushes carried out, a moment after it was seen: whoever pushes is most
        likely still at it. `plans`: those that the news told of.
        """
        if self.mode is Mode.PULL or self.pushing or self._finishing:
            return
        own = bool(journal.manual.pushes())
        if not plans and not own:
            self._due, self._tries = math.inf, 0
            return
        if math.isinf(self._due):
            self._due = now + (0.0 if own else GRACE_S)
        if now < self._due:
            return
        self._tries += 1
        self._due = now + min((AGAIN_S if own else GRACE_S) * 2 ** (self._tries - 1), SELDOM_S)
        self._finishing = True

        def finish() -> None:
            try:
                self.finish()
            finally:
                self._finishing = False
                self.wake()

        self.pool.submit(finish)

    def next_due(self) -> float:
        """When pushes are to be finished; infinity: there are none, or somebody is at it."""
        return math.inf if self._finishing or self.pushing else self._due
