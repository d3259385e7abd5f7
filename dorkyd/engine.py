"""The engine: one project's cycle. Dirty paths in, both sides equal out.

    watcher, scans ─┐                                             ┌─ record ── announce
                    ├─ dirty ── ask ── observe ── reconcile ── vet ── journal ── carry ─┘
    log, listings ──┘

It owns the order of things and no rule: what to do is `deciding` (over `core`), how is `transfer`, what must be
remembered around it is `carrying`, what leftovers mean is `recovery`, what the two sides are is `local_side` and
`remote_side`. It is level-triggered: every mark only says *look again*, and a failure leaves its paths dirty.

`run_due(now)` does what is due and returns when it wants to be called next, so that a thread or a simulation can drive
it. All of it runs on one thread, the only writer of the journal; jobs run on a pool and come back through `_finished`.
"""

from __future__ import annotations

import logging
import math
import queue
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Protocol

from dorkyd import halts
from dorkyd.buckets.probe import ProbeResult, probe
from dorkyd.carrying import Carrier, Job
from dorkyd.core.ignore import IgnoreRules
from dorkyd.core.model import (
    Action,
    DeleteLocal,
    DeleteRemote,
    Download,
    Fetch,
    KeepBoth,
    Look,
    MoveLocal,
    MoveRemote,
    Path,
    Problem,
    Remote,
    StepAside,
    Upload,
)
from dorkyd.core.paths import is_under
from dorkyd.core.report import HaltReason, State
from dorkyd.core.safety import Delete, approval_key, vet
from dorkyd.core.settings import Project
from dorkyd.deciding import Decider, Decisions
from dorkyd.errors import AuthExpired, Blocked, Denied, DorkyError, Refused, Stale, Transient, UnsafeStore
from dorkyd.journal import Dirty, Journal
from dorkyd.local_side import IGNORE_FILE, LocalSide
from dorkyd.news import News
from dorkyd.opening import Opened, Opener
from dorkyd.ports import Bucket, Clock, Folder, Identity, Watcher
from dorkyd.recovery import settle_install, settle_intents
from dorkyd.remote_side import Emptied, RemoteSide, Rewound
from dorkyd.transfer import Transfer
from dorkyd.upkeep import Upkeep

_log = logging.getLogger("dorkyd.engine")

BATCH = 1000
"""Dirty paths decided in one cycle."""
COLLECT, COLLECT_S = 64, 0.05
"""Outcomes recorded together: so many, or those of so long."""
IN_FLIGHT = 256
"""Jobs handed to the pool at once."""
LARGE_BYTES = 32 * 1024 * 1024
LARGE_IN_FLIGHT = 4
"""At most so many jobs of more than `LARGE_BYTES` at once, so that small files keep flowing."""
RETRY_S = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0)
"""Back-off of a path that failed, and of a bucket that cannot be reached (there the last is left out)."""
TROUBLE_AFTER = 4
"""Temporary failures in a row after which a path is reported as a problem."""
ANNOUNCE_S = 0.5
"""How long recorded changes may wait for more to share a log entry with."""
STALE_S = 0.2
REOPEN_S = 2.0
"""How often a missing folder is looked for."""
LIST_S, LIST_PAGE_S, PAGE = 900.0, 30.0, 1000
"""A full listing every so often, or so long per page if that is longer."""
JITTER = 0.2
LOST = -math.inf
UNWATCHED_HINT = "sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512"
_LOCAL_CODES = frozenset({"symlink", "special", "unreadable", "mount", "bad-name"})


class Pool(Protocol):
    """Where jobs run."""

    def submit(self, run: Callable[[], None]) -> None:
        """Run it soon, on any thread. It never raises."""


@dataclass(slots=True)
class _Retry:
    attempts: int
    due: float


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A deletion that waits for the other half of a move."""

    action: Delete
    due: float
    mark: int
    """Every path dirty under this mark or a lower one must have been observed first."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the project cannot go on by itself just now."""

    state: State
    detail: str
    hint: str
    code: str


@dataclass(slots=True)
class _Schedule:
    """Monotonic deadlines of everything sync waits for."""

    open: float = LOST
    bucket: float = LOST
    """The bucket is left alone until then."""
    poll: float = LOST
    list: float = LOST
    announce: float = math.inf
    collect: float = LOST


@dataclass(slots=True)
class Counters:
    """How far the two looks are; a request to sync waits for the next of each."""

    scans: int = 0
    listings_begun: int = 0
    listings_done: int = 0
    bucket_tries: int = 0
    """Attempts at the bucket that ended, well or not."""


@dataclass(slots=True)
class Engine:
    """One project. See the module."""

    project: Project
    folder: Folder
    open_bucket: Callable[[bool], Bucket]
    """Makes the adapter; told whether this bucket was in use before, so that a missing one is not made anew."""
    journals: FilePath
    clock: Clock
    pool: Pool
    device: str
    make_watcher: Callable[[Callable[[Path, bool], bool]], Watcher | None]
    wake: Callable[[], None] = lambda: None
    random: Callable[[], float] = lambda: 0.5
    """0 to 1, for jitter."""

    journal: Journal | None = None
    bucket: Bucket | None = None
    held: halts.Held | None = None
    trouble: Trouble | None = None
    warnings: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By code: detail and hint."""
    counters: Counters = field(default_factory=Counters)
    in_flight: dict[Path, Job] = field(default_factory=dict)
    waiting: dict[Path, _Waiting] = field(default_factory=dict)
    retries: dict[Path, _Retry] = field(default_factory=dict)
    last_success_ns: int | None = None
    _vanished: bool = False
    _identity: Identity | None = None
    opener: Opener = field(init=False)
    _local: LocalSide | None = None
    _remote: RemoteSide | None = None
    _carrier: Carrier | None = None
    _decider: Decider | None = None
    _transfer: Transfer | None = None
    upkeep: Upkeep | None = None
    _probed: ProbeResult | None = None
    _met: bool = False
    """The bucket was proved and is this project's."""
    _due: _Schedule = field(default_factory=_Schedule)
    _outage: int = 0
    _finished: queue.SimpleQueue[tuple[Job, object, BaseException | None]] = field(default_factory=queue.SimpleQueue)
    _requests: queue.SimpleQueue[tuple[Callable[[], object], Future[object]]] = field(default_factory=queue.SimpleQueue)

    def __post_init__(self) -> None:
        self.opener = Opener(self.project, self.folder, self.journals, self.clock)

    # --- being driven -------------------------------------------------------------------------------------------

    def run_due(self, now: float) -> float:
        """Do what is due; returns the monotonic time of the next call (earlier after `wake`)."""
        self._answer()
        try:
            self._cycle(now)
        except Stale:
            # The folder moved under us: the next cycle looks at it anew.
            self._due.open = now + REOPEN_S
            return now + STALE_S
        except (Transient, Blocked) as exc:
            self._bucket_failed(exc, now)
        return self._next_due(now)

    def call(self, request: Callable[[], object]) -> Future[object]:
        """Have the engine's thread do something, between two cycles. Any thread."""
        future: Future[object] = Future()
        self._requests.put((request, future))
        self.wake()
        return future

    def collect(self) -> None:
        """Record what finished, without beginning anything."""
        if self.journal is not None:
            self._collect(self.clock.monotonic())

    def close(self) -> None:
        """Let go of everything. Jobs still running are recovered at the next start."""
        if self._local is not None:
            self._local.unwatch()
        if self.journal is not None:
            self.journal.close()
            self.journal = None
        if self.bucket is not None:
            self.bucket.close()
            self.bucket = None
        self.folder.unlock()
        self._local = self._remote = self._carrier = self._decider = self._transfer = self.upkeep = None
        self._met = False

    def failed_unexpectedly(self, exc: Exception) -> None:
        """A cycle ended in what nobody foresaw, or the journal cannot be written: trust nothing in memory, and begin
        again from what is on disk.
        """
        self.in_flight.clear()
        self.waiting.clear()
        self.retries.clear()
        self.restart()
        if isinstance(exc, sqlite3.Error):
            what, hint = f"the journal cannot be used: {exc}", f"check the disk that holds {self.journals}"
            self.trouble = Trouble(State.ERROR, what, hint, "journal")
        else:
            what = f"unexpected {type(exc).__name__}; the daemon's log has the details"
            self.trouble = Trouble(State.ERROR, what, "please report it; sync tries again by itself", "internal")
        self._due.open = self.clock.monotonic() + REOPEN_S

    @property
    def journal_file(self) -> FilePath:
        """The journal's place, for readers; it need not be there."""
        return self.journal.file if self.journal is not None else self.journals / "none.db"

    def rules(self) -> IgnoreRules:
        """The ignore rules in force."""
        return self._local.rules if self._local is not None else IgnoreRules(self.project.ignore)

    # --- asked for by people (engine thread, through `call`) -------------------------------------------------------

    def look_again(self, *, scan: bool = True) -> tuple[int, int]:
        """Look at both sides now: a whole scan and a whole listing (`scan` False: only ask for news). Returns the scan
        and the listing that will have seen everything up to here.
        """
        now = self.clock.monotonic()
        self._due.poll = self._due.bucket = self._due.open = now
        self.retries.clear()
        if scan:
            self._due.list = now
            if self._remote is not None:
                self._remote.abandon_listing()
            if self._local is not None:
                self._local.scan_due = now
        return self.counters.scans + 1, self.counters.listings_begun + 1

    def quiescent(self) -> bool:
        """Nothing is under way and nothing is left to do, problems apart."""
        if self.journal is None or self._local is None or self._remote is None or self.in_flight or self.waiting:
            return False
        if self._remote.listing or self._local.trees_due or self.journal.ledger.announcements(1):
            return False
        stuck = {problem.path for problem, _ in self.journal.ledger.problems()} & self.retries.keys()
        return not self.journal.dirty(1, skip=stuck) and not self._local.pending_marks()

    def pause(self, until_ns: int) -> None:
        """Nothing moves until then (wall clock), across restarts."""
        if self.journal is None:
            raise Refused("the project is not open yet", code="not-open", hint="see `dorkyctl status`")
        with self._journal().atomic():
            self._journal().put("paused_until", str(until_ns) if until_ns else None)

    def lift_halt(self) -> None:
        """A person decided."""
        self.held = None
        if self.journal is not None:
            with self.journal.atomic():
                halts.store(self.journal, None)

    def new_past(self) -> None:
        """Take the bucket's past as it is now: forget what was read of the log and known of the objects."""
        journal = self._journal()
        assert self._remote is not None
        with journal.atomic():
            self._remote.reset()
        self._remote.found_again()
        self._due.list = LOST

    def restart(self) -> None:
        """Open the folder and its journal anew."""
        self.close()
        self.held = None
        self._vanished = False
        self._due = _Schedule()

    def open_now(self) -> None:
        """Open at once. `Refused` when the folder is still not what it should be."""
        if not self._open(self.clock.monotonic()):
            raise Refused("the folder is still not what its journal remembers", hint="see `dorkyctl status`")

    def _answer(self) -> None:
        while True:
            try:
                request, future = self._requests.get_nowait()
            except queue.Empty:
                return
            try:
                future.set_result(request())
            except Exception as exc:
                future.set_exception(exc)

    def _next_due(self, now: float) -> float:
        if self.paused_until() > self.clock.time_ns():
            return now + 1.0
        if self.journal is None:
            return self._due.open
        if self.held is not None or self._local is None:
            return now + REOPEN_S
        soonest = [self._local.next_due(now), now + 60.0]
        soonest += [retry.due for retry in self.retries.values()]
        soonest += [wait.due for path, wait in self.waiting.items() if path not in self.in_flight]
        if not self._finished.empty():
            soonest.append(self._due.collect)
        if self.upkeep is not None:
            soonest.append(self.upkeep.next_due())
        bucket = [self._due.poll, self._due.list, self._due.announce]
        if self._remote is not None and self._remote.listing:
            bucket.append(now)
        if self._has_work(now):
            bucket.append(now)
        return max(now, min(*soonest, max(min(bucket), self._due.bucket)))

    def _has_work(self, now: float) -> bool:
        assert self.journal is not None
        return IN_FLIGHT - len(self.in_flight) >= IN_FLIGHT // 4 and bool(
            self.journal.dirty(1, skip=self._not_now(now))
        )

    # --- the cycle ----------------------------------------------------------------------------------------------

    def _cycle(self, now: float) -> None:
        if self.journal is None and not self._open(now):
            return
        self._collect(now)
        if self.paused_until() > self.clock.time_ns():
            return
        if not self._folder_is_there(now) or self.held is not None:
            return
        assert self._local is not None
        assert self.upkeep is not None
        self._local.drain(now)
        for path in self._local.fresh():
            self.retries.pop(path, None)
        self._settle_installs()
        self.upkeep.run_due(now)
        self._scan(now)
        if now < self._due.bucket:
            return
        if not self._met and not self._meet_bucket(now):
            return
        self._ask_for_news(now)
        if self.held is None and self._journal().get("listed") is not None:
            self._decide(now)
            self._announce(now)
        self._bucket_answered()

    def _open(self, now: float) -> bool:
        if now < self._due.open:
            return False
        self._due.open = now + REOPEN_S
        opened = self.opener.open()
        if not isinstance(opened, Opened):
            self.held = opened
            self._vanished = True
            return False
        try:
            self._begin(opened)
        except BaseException:
            self.close()
            raise
        return True

    def _begin(self, opened: Opened) -> None:
        """Work with this folder and journal from here on: first settle what was left open."""
        self.journal, self._identity = opened.journal, opened.identity
        self.trouble = None
        self._vanished = False
        self.held = halts.stored(self.journal)
        self.bucket = self.open_bucket(self.journal.get("project_id") is not None)
        self._remote = RemoteSide(News(self.bucket), self.journal, self.clock, self.device, opened.identity.replica)
        self._transfer = Transfer(self.bucket, self.folder, self.clock, self.device)
        if opened.warning is not None:
            self.warnings["started-over"] = (opened.warning, "")
        self._local = LocalSide(self.folder, self.journal, self.project, self.make_watcher)
        self._decider = Decider(self.journal, self._local, self.project, self.device)
        self._carrier = Carrier(self.journal, self._local, self._remote, self._transfer, self.clock, self.device)
        if self._local.load_rules():
            self._rules_changed()
        self._settings_may_differ()
        self._local.watch()
        self.upkeep = Upkeep(self.journal, self.folder, self._local, self.project, self.clock, self.device)
        self.upkeep.at_start()
        self._due = _Schedule()

    def _settings_may_differ(self) -> None:
        """What another mode, or ignore rules up to a kill, left undone is decided again: no change would mark it."""
        journal = self._journal()
        with journal.atomic():
            journal.mark(journal.unagreed())
            if journal.get("mode") != self.project.mode:
                journal.mark(list(journal.base_paths()))
                journal.put("mode", self.project.mode)

    def _folder_is_there(self, now: float) -> bool:
        """The marker is read every cycle: an absence counts only in a folder that is really there."""
        assert self._identity is not None
        assert self._local is not None
        identity = self.folder.identity()
        if identity is not None and identity.replica == self._identity.replica:
            if self._vanished:
                self._vanished = False
                self.held = halts.stored(self._journal())
                self._local.scan_due = now
                self._local.watch()
            elif self._local.watcher is not None and not self._local.watcher.alive:
                self._local.scan_due = now
                self._local.watch()
            return True
        self.waiting.clear()
        if identity is not None:
            # Another folder stands here now.
            self.close()
            self._due.open = now
            return False
        if not self._vanished:
            self._vanished = True
            self._local.unwatch()
            self.held = self.opener.gone(self._journal().base_totals()[0])
        return False

    # --- the local side -----------------------------------------------------------------------------------------

    def _scan(self, now: float) -> None:
        assert self._local is not None
        local = self._local
        if now >= local.scan_due:
            local.scan_due = math.inf
            local.trees_due.clear()
            if local.load_rules():
                self._rules_changed()
                local.watch()
            scanned = local.scan(None, now)
            self._note_strange(scanned.unknown, _LOCAL_CODES)
            self.counters.scans += 1
            unwatched = local.watcher.unwatched if local.watcher is not None else frozenset()
            self._warn_unwatched(len(unwatched))
        elif local.trees_due:
            trees, local.trees_due = local.trees_due, set()
            for tree in sorted(trees):
                if any(other != tree and tree.startswith(f"{other}/") for other in trees):
                    continue
                if not local.rules.skip(tree, True):
                    scanned = local.scan(tree, now)
                    self._note_strange(scanned.unknown, frozenset())
                local.touched([tree], now)

    def _warn_unwatched(self, count: int) -> None:
        if count:
            what = f"degraded: the system refuses to watch {count} folders, which are scanned instead"
            self.warnings["degraded"] = (what, UNWATCHED_HINT)
        else:
            self.warnings.pop("degraded", None)

    def _rules_changed(self) -> None:
        """Other files are ignored now: look at all of them, and delete nothing in this cycle."""
        self.waiting.clear()
        assert self._local is not None
        journal = self._journal()
        with journal.atomic():
            journal.mark(journal.unagreed())
            self._local.rules_applied()
        bad = self._local.rules.bad_lines
        if bad:
            lines = ", ".join(str(line.line) for line in bad)
            self.warnings["ignore-file"] = (f".dorkyignore: line {lines} is not understood and left out", "correct it")
        else:
            self.warnings.pop("ignore-file", None)

    def _note_strange(self, found: Iterable[Problem], codes: frozenset[str]) -> None:
        """Problems that a complete look met; those of its kinds that it no longer met are gone."""
        journal = self._journal()
        found = list(found)
        paths = {problem.path for problem in found}
        with journal.atomic():
            for problem in found:
                journal.ledger.set_problem(problem)
            for old, _ in journal.ledger.problems():
                if old.code in codes and old.path not in paths:
                    journal.ledger.clear_problem(old.path)
                    journal.mark([old.path])
                    self.retries.pop(old.path, None)

    def _settle_installs(self) -> None:
        """Installs left open, by a kill or by a failure midway, are settled before their paths are decided."""
        journal = self._journal()
        running = {job.install.staged for job in self.in_flight.values() if job.install is not None}
        for install in journal.ledger.open_installs():
            if install.staged in running:
                continue
            carrier, transfer = self._hands()
            landed = settle_install(install, self.folder, transfer)
            with self._recording():
                carrier.landed(install, landed)
                journal.mark([install.path], remote=True)
            self._look_at_touched(carrier)

    # --- the remote side ----------------------------------------------------------------------------------------

    def _meet_bucket(self, now: float) -> bool:
        """First contact: prove that the store enforces its conditions, and that the prefix is this project's."""
        assert self._identity is not None
        assert self._remote is not None
        assert self.bucket is not None
        if self._probed is None:
            self._probed = probe(self.bucket, single_writer=self.project.single_writer, random_id=self.clock.random_id)
            for text in self._probed.warnings:
                self.warnings["store"] = (text, "")
        met = self._remote.meet()
        if not isinstance(met, str):
            self._halt_remote(met)
            return False
        if self._identity.project_id != met:
            self._write_identity(Identity(met, self._identity.replica, self._identity.counter))
        self._met = True
        self._due.list = self._due.poll = now
        return True

    def _ask_for_news(self, now: float) -> None:
        remote, journal = self._remote, self._journal()
        assert remote is not None
        if now >= self._due.list:
            # The document first: a prefix that holds nothing at all was emptied, not rewound.
            met = remote.meet()
            if not isinstance(met, str):
                self._halt_remote(met)
                return
            rewound = remote.catch_up()
            if rewound is not None:
                self._halt_remote(rewound)
                return
            remote.begin_listing()
            self.counters.listings_begun += 1
            pages = journal.remote_count() / PAGE
            self._due.list = now + (self.project.list_every_s or max(LIST_S, LIST_PAGE_S * pages))
            self._due.poll = now
        if now >= self._due.poll:
            spread = 1 + JITTER * (2 * self.random() - 1)
            self._due.poll = now + self.project.poll_s * spread
            if remote.poll():
                self._due.list = now
        if remote.listing:
            try:
                ended = remote.step_listing()
            except BaseException:
                remote.abandon_listing()
                self._due.list = now
                raise
            if ended is not None:
                self._listing_ended(*ended)

    def _listing_ended(self, lost: list[Path], strange: list[Problem]) -> None:
        journal = self._journal()
        files, _ = journal.base_totals()
        assert self._remote is not None
        # A deletion that the log told of may have been looked at already, so that its mark no longer asks.
        asked = {row.path for row in journal.dirty_rows(lost) if row.remote} | self._remote.deleted_by.keys()
        unannounced = [path for path in lost if path not in asked]
        if files and journal.listed_count() == 0 and len(unannounced) >= files and not self._approved(unannounced):
            bases = [(path, journal.base(path)) for path in unannounced]
            held = [
                DeleteLocal(path, replaces=None, base=base)  # type: ignore[arg-type]  # shown, never carried out
                for path, base in bases
                if base is not None
            ]
            self._halt(halts.deletions_held(self.project.name, held, files, self.clock.random_id()[:8]))
            return
        with journal.atomic():
            journal.mark(lost, remote=True)
            journal.put("listed", "1")
        self._note_strange(strange, frozenset({"unsafe-key", "reserved-name", "name-too-long", "bad-path"}))
        self.counters.listings_done = self.counters.listings_begun

    def _approved(self, paths: list[Path]) -> bool:
        journal = self._journal()
        for path in paths:
            base = journal.base(path)
            key = (path, base.version or base.digest) if base is not None else None
            if key is None or not journal.ledger.is_approved(key):  # type: ignore[arg-type]  # as approval_key
                return False
        return True

    def _announce(self, now: float) -> None:
        journal, remote = self._journal(), self._remote
        assert remote is not None
        if not journal.ledger.announcements(1):
            self._due.announce = math.inf
            return
        if math.isinf(self._due.announce):
            self._due.announce = now if not self.in_flight else now + ANNOUNCE_S
        if now < self._due.announce and self.in_flight:
            return
        left = remote.announce()
        self._due.announce = now if left else math.inf

    # --- deciding -----------------------------------------------------------------------------------------------

    def _not_now(self, now: float) -> set[Path]:
        """Dirty paths that are not to be decided yet."""
        assert self._local is not None
        busy = set(self.in_flight)
        busy |= {path for path, retry in self.retries.items() if retry.due > now}
        busy |= set(self._local.unsettled(now))
        if self.waiting:
            unseen = self._oldest_unseen()
            busy |= {path for path, wait in self.waiting.items() if now < wait.due or unseen <= wait.mark}
        return busy

    def _decide(self, now: float) -> None:
        assert self._decider is not None
        assert self._local is not None
        journal = self._journal()
        room = IN_FLIGHT - len(self.in_flight)
        if room < IN_FLIGHT // 4:
            return
        not_now = self._not_now(now)
        rows = journal.dirty(min(BATCH, 4 * room), skip=not_now)
        ignore_rows = [row for row in journal.dirty_rows([IGNORE_FILE]) if IGNORE_FILE not in not_now]
        if ignore_rows or IGNORE_FILE in self.in_flight:
            # An ignore file is applied before anything else.
            rows = ignore_rows
        if not rows:
            return
        self._decider.unholdable = self._carrier.unholdable if self._carrier is not None else 0
        at_ns = self.folder.now_ns()
        copies_safe = self._probed is None or self._probed.copies_safe
        busy = not_now - set(self.waiting)
        with journal.atomic():
            decided = self._decider.decide(rows, at_ns=at_ns, busy=busy, copies_safe=copies_safe)
        if ignore_rows and self._local.load_rules():
            self._rules_changed()
            self._local.watch()
            self._local.scan_due = now
            return
        if decided.absent and not self._same_folder():
            return
        if decided.gone and not self._same_bucket():
            return
        actions = self._vetted(decided, now)
        if actions is not None:
            self._carry_out(decided, actions, now)

    def _same_folder(self) -> bool:
        """Absences were seen: was it the folder that they were seen in?"""
        identity = self.folder.identity()
        return identity is not None and self._identity is not None and identity.replica == self._identity.replica

    def _same_bucket(self) -> bool:
        assert self._remote is not None
        met = self._remote.meet()
        if isinstance(met, str):
            return True
        self._halt_remote(met)
        return False

    def _vetted(self, decided: Decisions, now: float) -> list[Action] | None:
        """Deletions wait for the other half of a move, and too many at once for a person. None: halted."""
        journal = self._journal()
        go: list[Action] = []
        ready: list[Delete] = []
        leaving_now = {a.path for a in decided.actions if isinstance(a, DeleteLocal | DeleteRemote)}
        for path in decided.rows.keys() - leaving_now:
            self.waiting.pop(path, None)
        unseen = self._oldest_unseen()
        for action in decided.actions:
            if not isinstance(action, DeleteLocal | DeleteRemote):
                go.append(action)
                continue
            wait = self.waiting.get(action.path)
            if wait is None or type(wait.action) is not type(action):
                grace = max(2.0, 3 * self.project.settle_s)
                self.waiting[action.path] = _Waiting(action, now + grace, journal.highest_mark())
            elif now >= wait.due and unseen > wait.mark:
                ready.append(action)
        if not ready:
            return go
        files, _ = journal.base_totals()
        since = self.clock.time_ns() - int(self.project.guard.window_s * 1e9)
        leaving = set(self.waiting)
        vetted = vet(
            [wait.action for wait in self.waiting.values()],
            guard=self.project.guard,
            files=files,
            recent_local=journal.ledger.deletions_since(since, "local"),
            recent_remote=journal.ledger.deletions_since(since, "remote"),
            is_approved=lambda d: journal.ledger.is_approved(approval_key(d)),
            lives_elsewhere=lambda d: any(p not in leaving for p in journal.bases_with(d.base.digest)),
        )
        if vetted.held:
            token = self.clock.random_id()[:8]
            self._halt(halts.deletions_held(self.project.name, vetted.held, files, token))
            return None
        return [*go, *ready]

    def _oldest_unseen(self) -> float:
        """The lowest mark of a path that nobody has looked at since; infinity: there is none."""
        seen = set(self.waiting) | set(self.in_flight) | set(self.retries)
        first = self._journal().dirty(1, skip=seen)
        return first[0].mark if first else math.inf

    def _carry_out(self, decided: Decisions, actions: list[Action], now: float) -> None:
        journal = self._journal()
        carrier, _ = self._hands()
        jobs: list[Job] = []
        with self._recording():
            for row in decided.ignored:
                journal.set_base(row.path, None)
                journal.ledger.clear_problem(row.path)
            journal.clean([*decided.clean, *decided.ignored])
            self._fine(row.path for row in decided.clean)
            for problem in decided.problems:
                self._problem(problem, now)
            for wait in decided.waits:
                self._later(wait.path, now)
            jobs += [carrier.look(row) for row in decided.asks]
            large = sum(job.bytes > LARGE_BYTES for job in self.in_flight.values())
            leaving = set(self.waiting)
            for action in actions:
                if len(jobs) + len(self.in_flight) >= IN_FLIGHT and not isinstance(action, Look):
                    break
                rows = _rows_of(action, decided.rows)
                counted = (
                    isinstance(action, DeleteLocal | DeleteRemote)
                    and not any(p not in leaving for p in journal.bases_with(action.base.digest))
                    and not journal.ledger.is_approved(approval_key(action))
                )
                if _bytes_of(action) > LARGE_BYTES:
                    if large >= LARGE_IN_FLIGHT:
                        continue
                    large += 1
                job = carrier.begin(action, rows, counted=counted)
                if job is not None:
                    jobs.append(job)
        assert self._local is not None
        self._local.touched(decided.changing, now)
        for job in jobs:
            for path in job.paths:
                self.in_flight[path] = job
                self.waiting.pop(path, None)
            self.pool.submit(lambda job=job: self._run(job))  # type: ignore[misc]  # binds this job

    def _run(self, job: Job) -> None:
        """On the pool."""
        try:
            result = job.run()
        except BaseException as exc:  # whatever happened there is the engine's to classify
            self._finished.put((job, None, exc))
        else:
            self._finished.put((job, result, None))
        finished = self._finished.qsize()
        if finished == 1 or finished >= min(COLLECT, len(self.in_flight)):
            # The others of a batch are collected when the first one's moment is over.
            self.wake()

    # --- collecting ---------------------------------------------------------------------------------------------

    def _collect(self, now: float) -> None:
        """Record what finished, a batch at a time: while more is under way, wait a moment for it to share the fsyncs."""
        waiting = self._finished.qsize()
        if not waiting:
            return
        if waiting < min(COLLECT, len(self.in_flight)) and now < self._due.collect:
            return
        self._due.collect = now + COLLECT_S
        done: list[tuple[Job, object, BaseException | None]] = []
        while not self._finished.empty():
            done.append(self._finished.get())
        carrier, _ = self._hands()
        failure: DorkyError | None = None
        with self._recording():
            for job, result, exc in done:
                if exc is None:
                    if isinstance(job.action, Look):
                        assert result is None or isinstance(result, Remote)
                        self._looked(job.rows[0], result)
                    else:
                        carrier.finish(job, result)
                        if not isinstance(job.action, Fetch):
                            self._fine(job.paths)
                else:
                    carrier.fail(job)
                    failure = self._failed(job, exc, now) or failure
        for job, _, exc in done:
            for path in job.paths:
                self.in_flight.pop(path, None)
            gone = _leaves(job.action) if exc is None else None
            if gone is not None:
                self._place_is_free(gone)
        self._look_at_touched(carrier)
        if failure is not None:
            self._bucket_failed(failure, now)

    def _looked(self, row: Dirty, looked: Remote | None) -> None:
        """A look settles the path's open intents before anything is decided."""
        assert self._remote is not None
        journal, ledger = self._journal(), self._journal().ledger
        looked = self._remote.learn(row.path, looked)
        intents = ledger.open_intents(row.path)
        if intents:
            settled = settle_intents(intents, looked)
            if settled.rebase:
                journal.set_base(row.path, settled.base)
            for op, version in settled.effective:
                ledger.took_effect(op, version)
            for op in settled.dropped:
                ledger.dropped(op)
        elif looked is not None and looked.op is not None:
            late = ledger.late_intent(looked.op)
            base = journal.base(row.path)
            if late is not None and (base is None or base.version != looked.version):
                journal.set_base(row.path, late.wrote(looked.version, looked.modified))
                ledger.took_effect(looked.op, looked.version)
        journal.asked([row])

    def _failed(self, job: Job, exc: BaseException, now: float) -> DorkyError | None:
        """Sort a failure: look again, wait, or tell a person. Returns it when it concerns the whole bucket."""
        match exc:
            case Stale():
                # The first is an ordinary race; a store that keeps saying so is given time.
                for path in job.paths:
                    self._later(path, now, at_once=True)
                return None
            case AuthExpired():
                return exc
            case Transient():
                for path in job.paths:
                    retry = self._later(path, now)
                    if retry.attempts >= TROUBLE_AFTER and not exc.offline:
                        problem = Problem(path, exc.code, f"{exc} (tried {retry.attempts} times)", "it is tried again")
                        self._journal().ledger.set_problem(problem)
                return exc if exc.offline else None
            case Blocked():
                for path in job.paths:
                    self._problem(Problem(path, exc.code, str(exc), exc.hint), now)
                return None
            case _:
                _log.error("path=%r outcome=internal-error", job.paths[0], exc_info=exc)
                for path in job.paths:
                    what = f"unexpected {type(exc).__name__}; the daemon's log has the details"
                    self._problem(Problem(path, "internal", what, "please report it"), now)
                return None

    def _problem(self, problem: Problem, now: float) -> None:
        self._journal().ledger.set_problem(problem)
        self._later(problem.path, now)
        self.waiting.pop(problem.path, None)

    def _fine(self, paths: Iterable[Path]) -> None:
        """What was wrong with these is over."""
        for path in paths:
            self.retries.pop(path, None)
            self._journal().ledger.clear_problem(path)

    def _later(self, path: Path, now: float, *, at_once: bool = False) -> _Retry:
        """Try again after a wait that grows until it succeeds. `at_once`: the first time without one."""
        attempts = self.retries[path].attempts + 1 if path in self.retries else 1
        wait = 0.0 if at_once and attempts == 1 else RETRY_S[min(attempts, len(RETRY_S)) - 1]
        retry = _Retry(attempts, now + wait)
        self.retries[path] = retry
        return retry

    def _place_is_free(self, path: Path) -> None:
        """Something left this path: whoever wanted its name, as a file or as a folder, tries again now."""
        for other in [p for p in self.retries if is_under(p, path) or is_under(path, p)]:
            del self.retries[other]

    def _look_at_touched(self, carrier: Carrier) -> None:
        touched, carrier.touched = carrier.touched, []
        if touched:
            with self._journal().atomic():
                self._journal().mark(touched)

    # --- trouble and halts --------------------------------------------------------------------------------------

    def _bucket_failed(self, exc: DorkyError, now: float) -> None:
        self.counters.bucket_tries += 1
        self._outage += 1
        state = State.OFFLINE
        if isinstance(exc, AuthExpired | Denied):
            state = State.AUTH_EXPIRED
        elif isinstance(exc, Blocked):
            state = State.ERROR
        wait = RETRY_S[min(self._outage, len(RETRY_S) - 1) - 1]
        if isinstance(exc, Transient) and exc.retry_after_s is not None:
            wait = max(wait, exc.retry_after_s)
        self._due.bucket = now + wait
        self.trouble = Trouble(state, str(exc), exc.hint, exc.code)
        if isinstance(exc, UnsafeStore):
            self._probed = None

    def _bucket_answered(self) -> None:
        self.counters.bucket_tries += 1
        self._outage = 0
        self.trouble = None

    def _halt(self, held: halts.Held) -> None:
        self.held = held
        self.waiting.clear()
        journal = self._journal()
        with journal.atomic():
            halts.store(journal, held)

    def _halt_remote(self, met: Emptied | Rewound) -> None:
        """The bucket is not what it was. Every path both sides agreed on is shown as what would go."""
        journal = self._journal()
        files, _ = journal.base_totals()
        token = self.clock.random_id()[:8]
        if isinstance(met, Rewound):
            self._halt(halts.whole(HaltReason.REMOTE_REWOUND, met.detail, self.project.name, token))
            return
        what = f"{met.detail}; {files} files were in sync with it"
        self._halt(halts.whole(HaltReason.REMOTE_EMPTIED, what, self.project.name, token))

    # --- inside -------------------------------------------------------------------------------------------------

    def _journal(self) -> Journal:
        assert self.journal is not None
        return self.journal

    def paused_until(self) -> int:
        """Wall clock nanoseconds; 0: not paused."""
        text = self.journal.get("paused_until") if self.journal is not None else None
        return int(text) if text is not None else 0

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """One transaction, and one step of the counter: the folder's first, then the journal's own."""
        journal = self._journal()
        assert self._identity is not None
        step = self._identity.counter + 1
        counter: int | None = step
        try:
            self._write_identity(replace(self._identity, counter=step))
        except DorkyError:
            # A folder that is gone or full keeps its counter; what happened is recorded all the same.
            counter = None
        with journal.atomic():
            yield
            if counter is not None:
                journal.put("counter", str(counter))

    def _write_identity(self, identity: Identity) -> None:
        self.folder.write_identity(identity)
        self._identity = identity

    def _hands(self) -> tuple[Carrier, Transfer]:
        assert self._carrier is not None
        assert self._transfer is not None
        return self._carrier, self._transfer


def _leaves(action: Action) -> Path | None:
    """The path that the action takes a file or object away from."""
    match action:
        case DeleteLocal() | DeleteRemote() | StepAside():
            return action.path
        case MoveLocal() | MoveRemote():
            return action.delete.path
        case _:
            return None


def _rows_of(action: Action, rows: dict[Path, Dirty]) -> tuple[Dirty, ...]:
    paths = [action.path]
    if isinstance(action, MoveRemote | MoveLocal):
        paths.append(action.delete.path)
    return tuple(rows[path] for path in paths if path in rows)


def _bytes_of(action: Action) -> int:
    match action:
        case Upload():
            return action.local.size
        case Fetch() | Download() | KeepBoth():
            return action.remote.size
        case _:
            return 0
