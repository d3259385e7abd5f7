"""Contact with the bucket over time: the first meeting, polls, full listings, announcements, outages.

Everything here is a monotonic deadline. The bucket side of a cycle either ends well (`answered`) or with an error
(`failed`), after which the bucket is left alone for a while that grows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from dorkyd.buckets.probe import ORDINARY, PROBE, ProbeResult, probe
from dorkyd.core.logbook import LAST_NUMBER, entry_key
from dorkyd.core.model import Path, Problem, Version
from dorkyd.core.pace import Pace
from dorkyd.core.report import HaltReason, State
from dorkyd.core.settings import Mode, Project
from dorkyd.errors import AuthExpired, Blocked, Denied, DorkyError, RateLimited, Transient, UnsafeStore
from dorkyd.halts import Held
from dorkyd.journal import Journal
from dorkyd.ports import Bucket, Clock, Pushed
from dorkyd.remote_side import Emptied, RemoteSide, Rewound

OUTAGE_S = (1.0, 2.0, 5.0, 15.0, 60.0)
"""How long a bucket that failed is left alone, seconds; the last again and again."""
ANNOUNCE_S = 0.5
"""How long recorded changes may wait for more to share a log entry with."""
PROVED_NS = 7 * 86_400 * 10**9
"""How long a proof of what the store does holds over restarts."""
_PROVED = "proved"
"""Where the journal keeps when the store was proved, and which one it was."""
OFFLINE_S = 15.0
"""How long a bucket that cannot be reached is left alone at most, or the poll's interval if that is longer: a try costs
nothing, and people look at the line when they come home.
"""
JITTER = 0.2
"""Polls spread by this part of their interval, so that devices do not ask in step."""

_LOG_FULL = (
    f"the bucket's log holds its last number, {entry_key(LAST_NUMBER)}: others find changes by full listings only",
    "find out who wrote it, delete it, and approve what the projects then ask",
)


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
    file_time_ns: Callable[[], int]
    """The time that the folder's file system gives a change made now. It may raise, as `Folder.now_ns`."""
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
    _pace: Pace = field(init=False)
    _every_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._pace = Pace(self.project.list_every_s)
        self._every_s = self._pace.interval_s(0)

    def due(self, now: float) -> bool:
        """It is not being left alone."""
        return now >= self._quiet_until

    def next_due(self, now: float, *, decide: float) -> float:
        """When there is something to ask of it; `decide`: when there are paths to decide, which needs it too."""
        listing = now if self.remote.listing else math.inf
        return max(min(listing, decide, self._poll, self._list, self._announce), self._quiet_until)

    def ask_now(self, now: float, *, whole: bool) -> None:
        """Somebody wants to know: ask for news at once, and (`whole`) list. A listing under way goes on to its end first:
        who asks faster than a listing takes would never see the end of one.
        """
        self._poll = self._quiet_until = now
        if whole:
            self._list = now

    def pushed(self, told: Pushed, now: float) -> None:
        """The bucket's own events told of these: ask now what a poll or a listing would have found later. What is known
        already, our own writes among it, costs no request.
        """
        new = [path for path, version in told.paths.items() if not self._knows(path, version)]
        if new:
            with self.journal.atomic():
                self.journal.mark(new, remote=True)
        if new or told.number > self.remote.cursor:
            self._poll = min(self._poll, now)
        if told.everything:
            self._list = min(self._list, now)

    def _knows(self, path: Path, version: Version | None) -> bool:
        row = self.journal.remote(path)
        if row is None:
            return version is None and self.journal.base(path) is None
        return version == row.version

    @property
    def copies_safe(self) -> bool:
        """The store's server-side copies keep their conditions."""
        return self.probed is None or self.probed.copies_safe

    def meet(self, now: float) -> str | Emptied | Rewound:
        """First contact: prove that the store enforces its conditions, and that the prefix is this project's.

        A mode that never writes needs no conditions, and an identity that may only read could not prove them. One that was
        met before is asked who it is first: nothing is written, for a proof neither, to what stands in its place.
        """
        found = self.remote.meet() if self.journal.get("project_id") is not None else None
        if isinstance(found, Emptied | Rewound):
            return found
        if self.probed is None and self.project.mode is not Mode.PULL:
            self.probed = self._proof()
            if self.probed.warnings:
                self.warnings["store"] = ("; ".join(self.probed.warnings), "")
        if found is None:
            found = self.remote.meet()
        if isinstance(found, str):
            self.met = True
            self._poll = self._list = now
        return found

    def _proof(self) -> ProbeResult:
        """What the store was found to do: by a probe, or at an earlier start not long ago. Remembered only where nothing
        is out of the ordinary, since an adapter learns from the probe what is.
        """
        project, wall = self.project, self.clock.time_ns()
        store = f"{PROBE} {project.bucket} {project.endpoint_url or ''} {project.region or ''} {project.profile or ''}"
        known = self.journal.get(_PROVED)
        if known is not None:
            at_ns, _, of = known.partition(" ")
            if of == store and abs(wall - int(at_ns)) < PROVED_NS:
                return ORDINARY
        found = probe(self.bucket, single_writer=project.single_writer, random_id=self.clock.random_id)
        with self.journal.atomic():
            self.journal.put(_PROVED, f"{wall} {store}" if found == ORDINARY else None)
        return found

    def ends(self, held: Held, now: float) -> bool:
        """Whether nobody need decide any more: the bucket that was not there, as a disk that is not mounted, is back; or its
        log tells by now of every deletion that is held back. Asked no more often than for news.
        """
        about_bucket = held.halt.reason is HaltReason.REMOTE_EMPTIED or held.items
        if not about_bucket or now < max(self._poll, self._quiet_until):
            return False
        self._poll = now + self.project.poll_s
        ends = self.remote.is_back() and self._all_told(held, now)
        self.answered()
        return ends

    def _all_told(self, held: Held, now: float) -> bool:
        if held.items and self.remote.poll():
            self._poll = now
        if held.untold:
            self.remote.recall()
            if all(path in self.remote.deleted_by for path, _ in held.items):
                return True
        return all(self.journal.ledger.is_approved(key) for key in held.items)

    def news(self, now: float) -> Emptied | Rewound | Listed | None:
        """Ask for what is due: the log, and a full listing page by page."""
        if self.remote.out_of_touch and (now < self._list or self.remote.listing):
            rewound = self.remote.catch_up()
            if rewound is not None:
                return rewound
        # One under way goes on to its end: begun anew whenever the next is due, a long one would never have any.
        if (now >= self._list or self.remote.unsure) and not self.remote.listing:
            strayed = self._begin_listing(now)
            if strayed is not None:
                return strayed
        if now >= self._poll:
            self.remote.try_keys_again()
            if self.remote.poll():
                # Hints first, approvals among them: a listing alone would show deletions that nobody vouches for.
                self._poll = now
                return None
            if self.remote.full:
                self.warnings["log-full"] = _LOG_FULL
            else:
                self.warnings.pop("log-full", None)
            self._poll = now + self.project.poll_s * (1 + JITTER * (2 * self.random() - 1))
        return self._step_listing(now) if self.remote.listing else None

    def _begin_listing(self, now: float) -> Emptied | Rewound | None:
        found = self.remote.meet()
        if not isinstance(found, str):
            return found
        rewound = self.remote.catch_up()
        if rewound is not None:
            return rewound
        if self.remote.unexplained is not None:
            self._pace.judge(now, untold=self.remote.unexplained)
        self.remote.begin_listing(self.file_time_ns())
        self.counters.listings_begun += 1
        self._every_s = self._pace.interval_s(self.journal.remote_count())
        self._list = now + self._every_s
        self._poll = now
        return None

    def list_every_s(self) -> float:
        """Seconds from the last full listing's beginning to the next one's."""
        return self._every_s

    def _step_listing(self, now: float) -> Listed | None:
        try:
            ended = self.remote.step_listing()
        except BaseException:
            self.remote.abandon_listing()
            self._list = now
            raise
        if ended is None:
            return None
        if self.remote.unexplained:
            # The log may tell of it yet. If not, listings are what finds this tool's writes: the next is soon.
            self._list = min(self._list, now + self._pace.usual_s(self.journal.remote_count()))
        return Listed(*ended)

    @property
    def untold(self) -> bool:
        """Changes wait to be announced. What a mode that never writes finds untold waits for another mode: to others it is
        a change that a listing finds.
        """
        if self.project.mode is Mode.PULL:
            return False
        return self.remote.keys_untold or bool(self.journal.ledger.announcements(1))

    def announce(self, now: float, *, more_coming: bool) -> None:
        """Put recorded changes into the log, several together while more are coming."""
        if not self.untold:
            self._announce = math.inf
            return
        if math.isinf(self._announce):
            self._announce = now + ANNOUNCE_S if more_coming else now
        if now < self._announce and more_coming:
            return
        if self.remote.out_of_touch:
            # A number that is free here may be one that was removed: nobody reads below the floor.
            self._poll = self._announce = now
            return
        left = self.remote.announce()
        self._announce = now if left else math.inf

    def failed(self, exc: DorkyError, now: float) -> None:
        """Leave it alone for a while, and say why."""
        self.counters.bucket_tries += 1
        self._outage += 1
        wait = OUTAGE_S[min(self._outage, len(OUTAGE_S)) - 1]
        if isinstance(exc, Transient):
            if not isinstance(exc, RateLimited):
                wait = min(wait, max(OFFLINE_S, self.project.poll_s))
            wait = max(wait, exc.retry_after_s or 0.0)
        self._quiet_until = now + wait
        self._poll = now
        self.trouble = trouble_of(exc)
        if isinstance(exc, UnsafeStore):
            self.probed = None
            with self.journal.atomic():
                self.journal.put(_PROVED, None)

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
