"""Contact with the bucket over time: the first meeting, polls, full listings, announcements, outages.

Everything here is a monotonic deadline. The bucket side of a cycle either ends well (`answered`) or with an error
(`failed`), after which the bucket is left alone for a while that grows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from dorkyd.buckets.probe import ProbeResult, probe
from dorkyd.core.model import Path, Problem
from dorkyd.core.report import State
from dorkyd.core.settings import Mode, Project
from dorkyd.errors import AuthExpired, Blocked, Denied, DorkyError, Transient, UnsafeStore
from dorkyd.journal import Journal
from dorkyd.ports import Bucket, Clock
from dorkyd.remote_side import Emptied, RemoteSide, Rewound

OUTAGE_S = (1.0, 2.0, 5.0, 15.0, 60.0)
"""How long a bucket that failed is left alone, seconds; the last again and again."""
ANNOUNCE_S = 0.5
"""How long recorded changes may wait for more to share a log entry with."""
LIST_S, LIST_PAGE_S, PAGE = 900.0, 30.0, 1000
"""A full listing every so often, or so long per page if that is longer."""
JITTER = 0.2
"""Polls spread by this part of their interval, so that devices do not ask in step."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the project cannot go on by itself just now."""

    state: State
    detail: str
    hint: str
    code: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A full listing ended."""

    lost: list[Path]
    """Paths known before that it did not show: absence that still needs proof."""
    strange: list[Problem]
    """Keys that can never be files here."""


@dataclass(slots=True)
class Counters:
    """How far the two looks are; a request to sync waits for the next of each."""

    scans: int = 0
    listings_begun: int = 0
    listings_done: int = 0
    bucket_tries: int = 0
    """Attempts at the bucket that ended, well or not."""


@dataclass(slots=True)
class Contact:
    """For one project; engine thread only."""

    project: Project
    bucket: Bucket
    remote: RemoteSide
    journal: Journal
    clock: Clock
    random: Callable[[], float]
    counters: Counters
    probed: ProbeResult | None = None
    met: bool = False
    """The bucket was proved and is this project's."""
    trouble: Trouble | None = None
    _quiet_until: float = -math.inf
    _poll: float = -math.inf
    _list: float = -math.inf
    _announce: float = math.inf
    _outage: int = 0
    warnings: dict[str, tuple[str, str]] = field(default_factory=dict)

    def due(self, now: float) -> bool:
        """It is not being left alone."""
        return now >= self._quiet_until

    def next_due(self, now: float, *, decide: float) -> float:
        """When there is something to ask of it; `decide`: when there are paths to decide, which needs it too."""
        listing = now if self.remote.listing else math.inf
        return max(min(listing, decide, self._poll, self._list, self._announce), self._quiet_until)

    def ask_now(self, now: float, *, whole: bool) -> None:
        """Somebody wants to know: ask for news at once, and (`whole`) list from the start."""
        self._poll = self._quiet_until = now
        if whole:
            self._list = now
            self.remote.abandon_listing()

    @property
    def copies_safe(self) -> bool:
        """The store's server-side copies keep their conditions."""
        return self.probed is None or self.probed.copies_safe

    def meet(self, now: float) -> str | Emptied | Rewound:
        """First contact: prove that the store enforces its conditions, and that the prefix is this project's.

        A mode that never writes needs no conditions, and an identity that may only read could not prove them.
        """
        if self.probed is None and self.project.mode is not Mode.PULL:
            self.probed = probe(self.bucket, single_writer=self.project.single_writer, random_id=self.clock.random_id)
            if self.probed.warnings:
                self.warnings["store"] = ("; ".join(self.probed.warnings), "")
        found = self.remote.meet()
        if isinstance(found, str):
            self.met = True
            self._poll = self._list = now
        return found

    def news(self, now: float) -> Emptied | Rewound | Listed | None:
        """Ask for what is due: the log, and a full listing page by page."""
        if now >= self._list or self.remote.unsure:
            strayed = self._begin_listing(now)
            if strayed is not None:
                return strayed
        if now >= self._poll:
            self.remote.poll()
            self._poll = now + self.project.poll_s * (1 + JITTER * (2 * self.random() - 1))
        return self._step_listing(now) if self.remote.listing else None

    def _begin_listing(self, now: float) -> Emptied | Rewound | None:
        found = self.remote.meet()
        if not isinstance(found, str):
            return found
        rewound = self.remote.catch_up()
        if rewound is not None:
            return rewound
        self.remote.begin_listing()
        self.counters.listings_begun += 1
        pages = self.journal.remote_count() / PAGE
        self._list = now + (self.project.list_every_s or max(LIST_S, LIST_PAGE_S * pages))
        self._poll = now
        return None

    def _step_listing(self, now: float) -> Listed | None:
        try:
            ended = self.remote.step_listing()
        except BaseException:
            self.remote.abandon_listing()
            self._list = now
            raise
        return None if ended is None else Listed(*ended)

    @property
    def untold(self) -> bool:
        """Changes wait to be announced. What a mode that never writes finds untold waits for another mode: to others it is
        a change that a listing finds.
        """
        return self.project.mode is not Mode.PULL and bool(self.journal.ledger.announcements(1))

    def announce(self, now: float, *, more_coming: bool) -> None:
        """Put recorded changes into the log, several together while more are coming."""
        if not self.untold:
            self._announce = math.inf
            return
        if math.isinf(self._announce):
            self._announce = now + ANNOUNCE_S if more_coming else now
        if now < self._announce and more_coming:
            return
        left = self.remote.announce()
        self._announce = now if left else math.inf

    def failed(self, exc: DorkyError, now: float) -> None:
        """Leave it alone for a while, and say why."""
        self.counters.bucket_tries += 1
        self._outage += 1
        wait = OUTAGE_S[min(self._outage, len(OUTAGE_S)) - 1]
        if isinstance(exc, Transient) and exc.retry_after_s is not None:
            wait = max(wait, exc.retry_after_s)
        self._quiet_until = now + wait
        self._poll = now
        self.trouble = trouble_of(exc)
        if isinstance(exc, UnsafeStore):
            self.probed = None

    def answered(self) -> None:
        """A cycle's dealings with it ended well."""
        self.counters.bucket_tries += 1
        self._outage = 0
        self.trouble = None


def trouble_of(exc: DorkyError) -> Trouble:
    """What a failure means for the project's state."""
    state = State.OFFLINE
    if isinstance(exc, AuthExpired | Denied):
        state = State.AUTH_EXPIRED
    elif isinstance(exc, Blocked):
        state = State.ERROR
    return Trouble(state, str(exc), exc.hint, exc.code)
