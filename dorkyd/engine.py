"""The engine: one project's cycle. Dirty paths in, both sides equal out.

    watcher, scans ─┐                                              ┌─ record ─ announce
                    ├─ dirty ─ ask ─ observe ─ reconcile ─ vet ─ journal ─ carry ─┘
    log, listings ──┘

It owns the order of things and no rule. What to do is `deciding` (over `core`), what waits `deletions` and `retries`,
how it is done `transfer` (as `jobs`), what must be remembered around it `carrying`, how it ended `collecting`, what
leftovers mean `recovery`, which uploads nobody wants any more `giving_up`, what the two sides are `local_side` and
`remote_side`, when the bucket is asked `contact`, what other rules, modes or keys mean `in_force`, and how all of these are
joined `wiring`. It is level-triggered: every mark only says *look again*, and a failure leaves its paths dirty.

What people and clients ask for beside the cycle comes from desks of their own (`decisions`, `artifacts`, `freeze_desk`,
`manual` and others): through `call` they are on the engine's thread, and `ready` gives them the parts, or why not.

`run_due(now)` does what is due and returns when it wants to be called next, so that a thread or a simulation can drive
it. All of it runs on one thread, the only writer of the journal.
"""

from __future__ import annotations

import math
import queue
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath

from dorkyd import halts, in_force, schema
from dorkyd.asking import check_reachable, check_ready
from dorkyd.carrying import Job
from dorkyd.collecting import leaves
from dorkyd.contact import Counters, Listed, Trouble, trouble_of
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
    Upload,
    Version,
)
from dorkyd.core.paths import is_under, parse_conflict
from dorkyd.core.report import HaltReason, State
from dorkyd.core.settings import Mode, Project
from dorkyd.deciding import Decisions
from dorkyd.errors import Blocked, DorkyError, Refused, Stale, Transient
from dorkyd.jobs import Jobs, size_of, takes_away
from dorkyd.journal import Dirty, Journal
from dorkyd.keyring import Keyring
from dorkyd.ledger import Event
from dorkyd.local_side import IGNORE_FILE
from dorkyd.manual_cycle import ManualCycle
from dorkyd.manual_rows import PULLING
from dorkyd.opening import Opened, Opener
from dorkyd.ports import Bucket, Clock, Folder, Identity
from dorkyd.recovery import settle_install
from dorkyd.remote_side import Emptied, Rewound
from dorkyd.sessions import BegunUpload
from dorkyd.wiring import Wired, Wiring

STALE_S = 0.2
"""When a folder that moved under us is looked at again."""
STALE_TOLD = 50
"""So many cycles in a row that end so are a person's business."""
REOPEN_S = 2.0
"""How often a missing folder is looked for."""
REMEMBER_S = 10.0
"""How long a thread of the pool waits for the engine's to journal something."""
IDLE_S = 60.0
"""A cycle runs at least this often."""
UNWATCHED_HINT = "sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512"
_SUCCESS = "last_success"
"""Where the journal keeps when both sides last agreed, wall clock nanoseconds."""
_LOCAL_CODES = frozenset({"symlink", "special", "unreadable", "mount", "bad-name"})
_KEY_CODES = frozenset({"unsafe-key", "reserved-name", "name-too-long", "bad-path"})


@dataclass(slots=True)
class Engine:
    """One project. See the module."""

    wiring: Wiring
    """What its parts are made of."""
    journals: FilePath
    wake: Callable[[], None] = lambda: None
    at_once: int = 8
    """How many files are fetched, put in place or taken out together where a person asked for many; 1: one after the other, in
    the same order each time.
    """

    project: Project = field(init=False)
    folder: Folder = field(init=False)
    clock: Clock = field(init=False)
    device: str = field(init=False)
    manual: ManualCycle = field(init=False)
    held: halts.Held | None = None
    warnings: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By code: detail and hint."""
    counters: Counters = field(default_factory=Counters)
    last_success_ns: int | None = None
    """When both sides were last seen to agree, wall clock."""
    opener: Opener = field(init=False)
    opened: Wired | None = None
    """None while the folder is not open. Engine thread, or read once."""
    _identity: Identity | None = None
    _vanished: bool = False
    """The folder or its marker is not there."""
    _trouble: Trouble | None = None
    """Why the folder cannot be opened, or why the last cycle failed."""
    _reopen: float = -math.inf
    _doubtful: bool = False
    """A cycle ended in what nobody foresaw: the journal may be damaged where no quick look tells."""
    _stale: int = 0
    """Cycles in a row that met a folder which moved under them."""
    _outliving: Jobs | None = None
    """Jobs of before the last `close`."""
    recorded: Callable[[Event], None] = lambda _event: None
    """Told of each thing done, as `Ledger.heard`."""
    _requests: queue.SimpleQueue[tuple[Callable[[], object], Future[object]]] = field(default_factory=queue.SimpleQueue)

    def __post_init__(self) -> None:
        self.project, self.folder = self.wiring.project, self.wiring.folder
        self.clock, self.device = self.wiring.clock, self.wiring.device
        self.manual = ManualCycle(self.project.mode, self.wiring.pool, lambda: self.wake())  # noqa: PLW0108 - it may be set later
        self.opener = Opener(self.project, self.folder, self.journals, self.clock)

    # --- being driven -------------------------------------------------------------------------------------------

    def run_due(self, now: float) -> float:
        """Do what is due; returns the monotonic time of the next call (earlier after `wake`)."""
        self._answer()
        try:
            self._cycle(now)
        except Stale as exc:
            # The folder moved under us: the next cycle looks at it anew.
            self._reopen = now + REOPEN_S
            self._stale += 1
            if self._stale >= STALE_TOLD:
                self._tell_stale(exc)
            return now + STALE_S
        except (Transient, Blocked) as exc:
            self._stale = 0
            if self.opened is not None:
                self.opened.contact.failed(exc, now)
            else:
                self._trouble = trouble_of(exc)
                self.counters.bucket_tries += 1
        else:
            self._stale = 0
        return self._next_due(now)

    def _tell_stale(self, exc: Stale) -> None:
        """No cycle comes to its end: whoever looks at the status shall know why."""
        hint = "see that the folder can be listed; sync goes on by itself"
        found = Trouble(State.ERROR, str(exc), hint, exc.code)
        if self.opened is not None:
            self.opened.contact.trouble = found
        else:
            self._trouble = found

    def call(self, request: Callable[[], object]) -> Future[object]:
        """Have the engine's thread do something, between two cycles. Any thread."""
        future: Future[object] = Future()
        self._requests.put((request, future))
        self.wake()
        return future

    def collect(self) -> None:
        """Record what finished, without beginning anything."""
        if self.opened is not None:
            self._collect(self.opened, self.clock.monotonic())

    def close(self) -> None:
        """Let go of everything. What jobs still running will have done is recovered at the next start, which cannot be
        before the last of them has ended: until then the folder stays locked.
        """
        opened, self.opened = self.opened, None
        if opened is None:
            if not self.winding_down:
                self.folder.unlock()
            return
        opened.asking.abandon()
        opened.local.unwatch()
        if opened.push is not None:
            opened.push.stop()
        opened.journal.close()
        self._outliving = opened.jobs

        def let_go() -> None:
            self.folder.unlock()
            # Only now: it waits for requests under way, on a bad line for minutes, and the jobs need its threads.
            opened.contact.bucket.close()

        opened.jobs.when_idle(let_go)

    def restart(self) -> None:
        """Open the folder and its journal anew."""
        self.close()
        self.held = None
        self._vanished = False
        self._reopen = -math.inf

    def failed_unexpectedly(self, exc: Exception) -> None:
        """A cycle ended in what nobody foresaw, or the journal cannot be written: trust nothing in memory, and begin
        again from what is on disk.
        """
        self.restart()
        self._doubtful = not (isinstance(exc, sqlite3.Error) and schema.will_pass(exc))
        if isinstance(exc, sqlite3.Error):
            what, hint = f"the journal cannot be used: {exc}", f"check the disk that holds {self.journals}"
            self._trouble = trouble_of(Blocked(what, hint=hint, code="journal"))
        else:
            what = f"unexpected {type(exc).__name__}; the daemon's log has the details"
            hint = "please report it; sync tries again by itself"
            self._trouble = trouble_of(Blocked(what, hint=hint, code="internal"))
        self._reopen = self.clock.monotonic() + REOPEN_S

    def _answer(self) -> None:
        # Only those that are here: clients that wait for a path ask again and again, and what they wait for is a cycle's work.
        for _ in range(self._requests.qsize()):
            request, future = self._requests.get_nowait()
            try:
                future.set_result(request())
            except Exception as exc:  # it belongs to whoever asked
                future.set_exception(exc)
        self._begin_asked()

    def _next_due(self, now: float) -> float:
        if self.opened is None:
            return self._reopen
        if self.paused_until() > self.clock.time_ns():
            return now + 1.0
        if self.held is not None:
            return now + REOPEN_S
        o = self.opened
        soonest = [o.local.next_due(now), now + IDLE_S, o.jobs.next_due(), o.upkeep.next_due()]
        # What has waited long enough and is still dirty is work; nothing is decided while the bucket is left alone.
        waits = [
            *o.retries.next_due(),
            *o.batches.next_due(),
            *o.freezing.next_due(),
            *o.deletions.next_due(o.jobs.in_flight),
            *o.local.next_settled(),
        ]
        decide = min((due for due in waits if due > now), default=math.inf)
        if o.jobs.room > 0 and not o.local.rules_changing(now) and o.journal.dirty(1, skip=self._not_now(o, now)):
            decide = now
        decide = min(decide, self.manual.next_due())
        return max(now, min(*soonest, o.contact.next_due(now, decide=decide)))

    # --- what others may see (engine thread, but for `rules` and `journal_file`) ------------------------------------

    @property
    def trouble(self) -> Trouble | None:
        """Why the project cannot go on by itself just now."""
        opened = self.opened  # once: other threads ask, and the engine's may close it meanwhile
        return opened.contact.trouble if opened is not None else self._trouble

    @property
    def journal(self) -> Journal | None:
        """None while the folder is not open."""
        opened = self.opened
        return opened.journal if opened is not None else None

    @property
    def bucket(self) -> Bucket | None:
        """None while the folder is not open."""
        opened = self.opened
        return opened.contact.bucket if opened is not None else None

    @property
    def keyring(self) -> Keyring | None:
        """None while the folder is not open, and where nothing can be encrypted."""
        opened = self.opened
        return opened.keyring if opened is not None else None

    @property
    def jobs(self) -> list[Job]:
        """What is under way."""
        return list({id(job): job for job in self.opened.jobs.in_flight.values()}.values()) if self.opened else []

    @property
    def winding_down(self) -> bool:
        """Jobs of before the last `close` are still under way, and nothing begins before they have ended."""
        return self._outliving is not None and self._outliving.running

    @property
    def unholdable(self) -> int:
        """Permission bits that this file system was seen not to hold."""
        return self.opened.carrier.unholdable if self.opened is not None else 0

    @property
    def journal_file(self) -> FilePath:
        """The journal's place, for readers; it need not be there."""
        opened = self.opened
        return opened.journal.file if opened is not None else self.journals / "none.db"

    def open_journal(self) -> FilePath:
        """The journal's place, for whoever tells what there is. Raises why nobody can tell while it is not open: what is not known
        is not absent. Any thread.
        """
        opened, held = self.opened, self.held
        if opened is not None:
            return opened.journal.file
        name = self.project.name
        if held is not None:
            what = f"{name} is halted ({held.halt.reason}), and what it holds is not known meanwhile"
            raise Refused(what, code="halted", hint=f"dorkyctl status {name}")
        check_reachable(self._trouble)
        raise Transient(f"the project {name} is being opened", code="not-open", retry_after_s=1)

    def rules(self) -> IgnoreRules:
        """The ignore rules in force."""
        opened = self.opened
        return opened.local.rules if opened is not None else IgnoreRules(self.project.ignore)

    def quiescent(self) -> bool:
        """Nothing is under way and nothing is left to do, problems and what is frozen apart."""
        o = self.opened
        if o is None or o.jobs.in_flight or o.deletions.waiting or o.local.trees_due or o.remote.tells_more:
            return False
        if o.contact.untold or o.local.pending_marks():
            return False
        return not o.journal.dirty(1, skip=o.retries.stuck() | o.batches.incomplete() | o.freezing.not_now())

    @property
    def pulling(self) -> bool:
        """Mode manual: a person asked for what the bucket holds, and not all of it is here yet."""
        return self.opened is not None and self.opened.journal.get(PULLING) is not None

    def paused_until(self) -> int:
        """Wall clock nanoseconds; 0: not paused."""
        text = self.opened.journal.get("paused_until") if self.opened is not None else None
        return int(text) if text is not None else 0

    # --- asked for (engine thread, through `call`) ------------------------------------------------------------------

    def ready(self) -> Wired:
        """What there is to work with, if the bucket may be written now. Raises why it may not. Engine thread."""
        check_ready(self.project, self.held, self.trouble, paused=self.paused_until() > self.clock.time_ns())
        if self.opened is None or not self.opened.contact.met:
            raise Transient(f"the project {self.project.name} is being opened", code="not-open", retry_after_s=1)
        return self.opened

    def look_again(self, *, scan: bool = True) -> tuple[int, int]:
        """Look at both sides now: a whole scan and a whole listing (`scan` False: only ask for news). Returns the scan
        and the listing that will have seen everything up to here.
        """
        now = self.clock.monotonic()
        self._reopen = now
        if self.opened is not None:
            self.opened.retries.waits.clear()
            self.opened.contact.ask_now(now, whole=scan)
            if scan:
                self.opened.local.scan_due = now
        return self.counters.scans + 1, self.counters.listings_begun + 1

    @contextmanager
    def recording(self) -> Iterator[Journal]:
        """One transaction that changes what both sides agreed on, for whoever decides beside the cycle. Engine thread."""
        o = self.ready()
        with self._recording(o):
            yield o.journal

    def pause(self, until_ns: int) -> None:
        """Nothing moves until then (wall clock), across restarts. `Refused` while the folder is not open."""
        if self.opened is None:
            raise Refused("the project is not open yet", code="not-open", hint="see `dorkyctl status`")
        with self.opened.journal.atomic():
            self.opened.journal.put("paused_until", str(until_ns) if until_ns else None)

    def remember_success(self) -> None:
        """Have the next start know when both sides last agreed. It is only told to people: so not once a cycle, but when
        something comes in between, and a journal that cannot be written says so when it matters.
        """
        if self.opened is None or self.last_success_ns is None:
            return
        journal, told = self.opened.journal, str(self.last_success_ns)
        with suppress(sqlite3.Error):
            if journal.get(_SUCCESS) != told:
                with journal.atomic():
                    journal.put(_SUCCESS, told)

    def lift_halt(self) -> None:
        """A person decided."""
        self.held = None
        if self.opened is not None:
            with self.opened.journal.atomic():
                halts.store(self.opened.journal, None)

    def purge(self) -> None:
        """Slow upkeep: keep the trash, the bucket's log and its trash to their limits."""
        if self.opened is not None and self.held is None and self.same_folder():
            self.opened.upkeep.purge()
            if not self.opened.jobs.in_flight:
                self.opened.merging.purge()
            if self.opened.contact.met:
                self.opened.bucket_upkeep.run_due(self.opened.remote.cursor, self.wiring.pool.submit)

    def open_now(self) -> None:
        """Open at once. `Refused` when the folder is still not what it should be."""
        if not self._try_to_open(self.clock.monotonic()):
            raise Refused("the folder is still not what its journal remembers", hint="see `dorkyctl status`")

    # --- for clients ------------------------------------------------------------------------------------------------

    def _begin_asked(self) -> None:
        """Begin all that clients asked for since the last time: one fsync for many."""
        o = self.opened
        if o is None or not o.asking.waiting:
            return
        with self._recording(o):
            jobs = [o.asking.begin(*waiting) for waiting in o.asking.waiting.values()]
        o.asking.waiting.clear()
        for job in jobs:
            o.jobs.begin(job)

    def _remember(self, begun: BegunUpload) -> None:
        """Journal a client's session. From a thread of the pool, which waits for it."""

        def journalled() -> None:
            if self.opened is None:
                raise Transient("the project is started anew", code="restarting", retry_after_s=1)
            with self.opened.journal.atomic():
                self.opened.journal.sessions.begun(begun)

        try:
            self.call(journalled).result(timeout=REMEMBER_S)
        except TimeoutError as exc:
            raise Transient("the engine is busy and has not answered", code="busy", retry_after_s=1) from exc

    # --- the cycle ----------------------------------------------------------------------------------------------

    def _cycle(self, now: float) -> None:
        if self.opened is None and not self._try_to_open(now):
            return
        assert self.opened is not None
        o = self.opened
        self._collect(o, now)
        if self.paused_until() > self.clock.time_ns():
            return
        if not self._folder_is_there(o, now) or not self._halt_ended(o, now):
            return
        # Before what may take long: renewals that came during the last cycle were heard just now.
        o.freezing.expire()
        o.local.drain(now)
        self._hear(o, now)
        o.retries.changed(o.local.fresh())
        self._settle_installs(o, now)
        o.upkeep.run_due(now)
        # First, so that pages of a listing come in while the folder is scanned.
        failure = self._asked_bucket(o, now) if o.contact.due(now) else None
        self._scan(o, now)
        if failure is not None:
            raise failure
        if not o.contact.due(now):
            return
        in_force.follow_keys(o, self.warnings)
        if not o.asking.waiting:
            o.batches.expire(now)
        if self.held is None and o.contact.met and o.journal.get("listed") is not None:
            self._decide(o, now)
            if o.batches.incomplete() and o.remote.passed_over:
                # In this cycle still: nobody is to take it for one that has nothing left to do.
                o.remote.read_back()
            self._thaw(o, now)
            o.contact.announce(now, more_coming=bool(o.jobs.in_flight))
            o.giving_up.run_due(o.jobs.in_flight.keys(), now)
            if o.carrier.joining and self.quiescent():
                o.carrier.joined()
            if self.pulling and self.quiescent():
                self.manual.end_pull(o.journal, self.counters)
            self.manual.finish_pushes(o.journal, o.remote.news.plans, now)
        self._warn("batch-open", o.batches.told())
        o.contact.answered()

    def _try_to_open(self, now: float) -> bool:
        if now < self._reopen:
            return False
        self._reopen = now + REOPEN_S
        if self.winding_down:
            return False
        self._outliving = None
        found = self.opener.open(doubtful=self._doubtful)
        if not isinstance(found, Opened):
            self.held = found
            self._vanished = True
            return False
        try:
            self._begin(found)
        except BaseException:
            if self.opened is None:
                found.journal.close()
            self.close()
            raise
        return True

    def _begin(self, found: Opened) -> None:
        """Work with this folder and journal from here on: first find what happened while nobody looked."""
        journal = found.journal
        journal.ledger.heard = self.recorded
        self._identity = found.identity
        wake = lambda: self.wake()  # noqa: PLW0108 - it may be set later
        o = self.opened = self.wiring.join(found, self.counters, self.warnings, wake, self._remember)
        self._trouble = None
        self._vanished = self._doubtful = False
        self.held = halts.stored(journal)
        if found.warning is not None:
            self.warnings["started-over"] = (found.warning, "")
        self.last_success_ns = self.last_success_ns or int(journal.get(_SUCCESS) or 0) or None
        if o.local.load_rules(self.clock.monotonic()):
            in_force.rules_changed(o, self.warnings)
        if journal.get("mode") != self.project.mode:
            in_force.mode_changed(journal, self.project.mode)
        if found.started_over:
            self._settle_installs(o, self.clock.monotonic())
            with journal.atomic():
                journal.drop_all_bases()
        o.asking.at_start(started_over=found.started_over)
        o.batches.at_start()
        o.freezing.at_start()
        o.upkeep.at_start()
        o.merging.at_start()
        o.giving_up.at_start(f"{self.project.bucket} {self.project.endpoint_url or ''}")
        if o.push is not None:
            o.push.start(wake)

    def _folder_is_there(self, o: Wired, now: float) -> bool:
        """The marker is read every cycle: an absence counts only in a folder that is really there."""
        assert self._identity is not None
        identity = self.folder.identity()
        if identity is not None and identity.replica == self._identity.replica:
            lost_sight = o.local.watcher is not None and not o.local.watcher.alive
            if self._vanished:
                self.held = halts.stored(o.journal)
            # At the moment when it was to be watched it may have been no folder: nobody else would try again.
            blind = o.local.watcher is None and o.local.scan_due == math.inf and self.project.mode is not Mode.BUCKET
            if self._vanished or lost_sight or blind:
                o.local.watch()
                if self._vanished or lost_sight or o.local.watcher is not None:
                    o.local.scan_due = now
            self._vanished = False
            return True
        o.deletions.clear()
        if identity is not None:
            # Another folder stands here now.
            self.close()
            self._reopen = now
            return False
        if not self._vanished:
            self._vanished = True
            o.local.unwatch()
        # Anew each time: while a folder is being emptied, its marker may go before its last file.
        self.held = self.opener.gone(o.journal.base_totals()[0])
        return False

    # --- the local side -----------------------------------------------------------------------------------------

    def _scan(self, o: Wired, now: float) -> None:
        local = o.local
        if now >= local.scan_due:
            if local.load_rules(now):
                in_force.rules_changed(o, self.warnings)
                local.unwatch()
            if local.watcher is None:
                local.watch()
            unknown = local.scan(None, now).unknown
            o.retries.complete_look(unknown, _LOCAL_CODES)
            o.retries.strange_here = {problem.path for problem in unknown}
            o.collector.look_at_kept_folders()
            # Only now: a scan that broke off is done again.
            local.scan_due = math.inf
            local.trees_due.clear()
            self.counters.scans += 1
            self._warn("degraded", _told_unwatched(len(local.watcher.unwatched) if local.watcher is not None else 0))
        elif local.trees_due:
            for tree in sorted(local.trees_due):
                if not local.rules.skip(tree, True) and not any(is_under(tree, other) for other in local.trees_due):
                    o.retries.complete_look(local.scan(tree, now).unknown, frozenset())
                local.touched([tree], now)
            local.trees_due.clear()

    def _hear(self, o: Wired, now: float) -> None:
        """Take in what the bucket's own events told."""
        if o.push is None:
            return
        self._warn("push", o.push.trouble)
        told = o.push.drain()
        if told:
            o.contact.pushed(told, now)

    def _settle_installs(self, o: Wired, now: float) -> None:
        """Installs left open, by a kill or by a failure midway, are settled before their paths are decided."""
        running = o.jobs.staged_names()
        waiting = o.retries.not_now(now)
        for install in o.journal.ledger.open_installs():
            if install.staged in running or install.path in waiting:
                continue
            try:
                landed = settle_install(install, self.folder, o.transfer)
            except Stale:
                o.retries.later(install.path, now)
                continue
            except (Transient, Blocked) as exc:
                with o.journal.atomic():
                    o.retries.problem(Problem(install.path, exc.code, str(exc), exc.hint), now)
                continue
            with self._recording(o):
                o.carrier.landed(install, landed)
                o.journal.mark([install.path], remote=True)

    # --- the remote side ----------------------------------------------------------------------------------------

    def _asked_bucket(self, o: Wired, now: float) -> DorkyError | None:
        """Ask for news. Returns why that failed: the folder is looked at all the same."""
        try:
            self._ask_bucket(o, now)
        except (Transient, Blocked) as exc:
            return exc
        return None

    def _ask_bucket(self, o: Wired, now: float) -> None:
        if not o.contact.met:
            found = o.contact.meet(now)
            if not isinstance(found, str):
                self._halt_remote(o, found)
                return
            assert self._identity is not None
            if self._identity.project_id != found:
                self._write_identity(replace(self._identity, project_id=found))
        news = o.contact.news(now)
        if isinstance(news, Listed):
            self._listed(o, news)
        elif news is not None:
            self._halt_remote(o, news)

    def _listed(self, o: Wired, listed: Listed) -> None:
        journal = o.journal
        files, _ = journal.base_totals()
        # Nothing is left, and not all of it was announced: an accident looks like that.
        empty = journal.listed_count() == 0
        if empty and any(path not in o.remote.deleted_by for path in listed.lost):
            with suppress(Transient, Blocked):  # then a halt asks again
                o.remote.recall()
        untold = [path for path in listed.lost if path not in o.remote.deleted_by]
        bases = [(path, base) for path in untold if (base := journal.base(path)) is not None]
        if bases and empty:
            keys = [(path, base.version or Version(base.digest)) for path, base in bases]
            if not all(journal.ledger.is_approved(key) for key in keys):
                self._halt(o, halts.remote_emptied(self.project.name, keys, files, self._token()))
                return
        with journal.atomic():
            journal.mark(listed.lost, remote=True)
            journal.put("listed", str(o.remote.listed_from_ns))
        o.retries.complete_look(listed.strange, _KEY_CODES, still_there=o.retries.strange_here)
        self.counters.listings_done = self.counters.listings_begun

    # --- deciding -----------------------------------------------------------------------------------------------

    def _not_now(self, o: Wired, now: float) -> set[Path]:
        """Dirty paths that are not to be decided yet."""
        return (
            self._busy(o, now) | o.batches.not_now(now) | o.freezing.not_now() | o.deletions.not_now(now, self._seen(o))
        )

    def _busy(self, o: Wired, now: float) -> set[Path]:
        """Paths in somebody's hands: a job's, an unsettled install's, or a person's who is still writing."""
        unsettled = {install.path for install in o.journal.ledger.open_installs()}
        return {*o.jobs.in_flight, *o.retries.not_now(now), *o.local.unsettled(now), *unsettled}

    def _seen(self, o: Wired) -> set[Path]:
        """Dirty paths that were looked at since they were marked."""
        return {*o.jobs.in_flight, *o.retries.waits, *o.retries.queued, *o.batches.held, *o.freezing.held}

    def _decide(self, o: Wired, now: float) -> None:
        room = o.jobs.room
        if not room:
            return
        not_now = self._not_now(o, now)
        # No more than can begin: what is decided and has no room would only be decided again.
        rows = o.journal.dirty(room, skip=not_now)
        ignore_rows = [row for row in o.journal.dirty_rows([IGNORE_FILE]) if IGNORE_FILE not in not_now]
        if ignore_rows or IGNORE_FILE in o.jobs.in_flight or o.local.rules_changing(now):
            # An ignore file is applied before anything else.
            rows = ignore_rows
        if not rows:
            if not o.jobs.in_flight and not o.deletions.waiting:
                o.carrier.rests()
            return
        o.decider.unholdable = o.carrier.unholdable
        o.decider.pulling = self.pulling
        at_ns, busy = self.folder.now_ns(), self._busy(o, now)
        with o.journal.atomic():
            decided = o.decider.decide(
                rows, at_ns=at_ns, busy=busy, failing=o.retries.waits.keys(), copies_safe=o.contact.copies_safe
            )
        if ignore_rows and o.local.load_rules():
            in_force.rules_changed(o, self.warnings)
            o.local.watch()
            o.local.scan_due = now
            return
        if decided.absent and not self.same_folder():
            return
        if decided.gone and not self._same_bucket(o):
            return
        # A path that the bucket is asked about again first keeps its place: listings may ask faster than a wait ends.
        looked_at = decided.rows.keys() - {row.path for row in decided.asks}
        under_way = [
            job.action for job in self.jobs if isinstance(job.action, DeleteLocal | DeleteRemote) and job.counted
        ]
        wanted = o.freezing.hold(decided.actions, decided.rows)
        passed = o.deletions.passed(wanted, looked_at, now, self.clock.time_ns(), self._seen(o), under_way)
        if passed.held:
            files, _ = o.journal.base_totals()
            self._halt(o, halts.deletions_held(self.project.name, passed.held, files, self._token()))
            return
        self._carry_out(o, decided, passed.actions, now)

    def same_folder(self) -> bool:
        """Absences were seen: was it the folder that they were seen in? Engine thread."""
        identity = self.folder.identity()
        return identity is not None and self._identity is not None and identity.replica == self._identity.replica

    def _same_bucket(self, o: Wired) -> bool:
        """Absences were seen: was it the project's bucket that they were seen in?"""
        found = o.remote.meet()
        if not isinstance(found, str):
            self._halt_remote(o, found)
        return isinstance(found, str)

    def _thaw(self, o: Wired, now: float) -> None:
        """Let a freeze go that is over, once the folder was looked at again and all of it has been quiet."""
        freezing = o.freezing
        if freezing.released_at is not None and freezing.seen_with is None:
            o.local.scan_due = now
            freezing.seen_with = self.counters.scans + 1
        if freezing.seen_with is not None:
            seen = self.counters.scans >= freezing.seen_with and not o.local.pending_marks()
            waits = {*freezing.not_now(), *o.retries.stuck(), *o.batches.incomplete()}
            freezing.thaw(all_seen=seen and not o.jobs.in_flight and not o.journal.dirty(1, skip=waits))
        freezing.settle(o.jobs.in_flight.keys(), o.retries.stuck())
        self._warn("frozen", freezing.told())

    def _carry_out(self, o: Wired, decided: Decisions, actions: tuple[Action, ...], now: float) -> None:
        """Journal everything that is about to happen, then let it happen."""
        jobs: list[Job] = []
        room, of_size = o.jobs.room, o.jobs.room_by_size()
        counts = o.deletions.counts()
        in_hands = {*o.jobs.in_flight, *(action.path for action in actions)}
        with self._recording(o):
            for row in decided.ignored:
                o.journal.set_base(row.path, None)
            o.journal.clean([*decided.clean, *decided.ignored])
            o.retries.fine(row.path for row in (*decided.clean, *decided.ignored))
            for row in decided.clean:
                o.journal.ledger.unapprove(row.path)
                o.merging.forget(row.path)
            for problem in decided.problems:
                o.retries.problem(problem, now)
            for wait in decided.waits:
                o.retries.later(wait.path, now)
            jobs += [o.carrier.look(row) for row in decided.asks]
            for action in actions:
                size = size_of(0 if action.path in decided.ready else _bytes_of(action))
                if len(jobs) >= room or of_size[size] <= 0 or _original_of(action) in in_hands:
                    o.retries.queued.add(action.path)
                    continue
                of_size[size] -= 1
                counted = isinstance(action, DeleteLocal | DeleteRemote) and counts(action)
                job = o.carrier.begin(action, _rows_of(action, decided.rows), counted=counted)
                if job is not None:
                    jobs.append(job)
        self._warn_late(decided.late)
        o.local.touched(decided.changing, now)
        for job in jobs:
            if not isinstance(job.action, Look):
                for path in job.paths:
                    o.deletions.forget(path)
            o.jobs.begin(job)
        if any(isinstance(job.action, Look) for job in o.jobs.in_flight.values()):
            o.retries.queued.update(decided.held_back)
        else:
            # Held back for a file that a person is still writing, or that is sent for long: no look's end tells when that
            # is over.
            for path in decided.held_back:
                o.retries.later(path, now)
        if not o.jobs.in_flight:
            o.retries.queued.clear()

    # --- collecting ---------------------------------------------------------------------------------------------

    def _collect(self, o: Wired, now: float) -> None:
        """Record what finished, a batch at a time."""
        outcomes = o.jobs.finished(now)
        if not outcomes:
            return
        failure: DorkyError | None = None
        with self._recording(o):
            for outcome in outcomes:
                failure = o.collector.record(outcome, now) or failure
        o.jobs.ended(outcomes)
        o.asking.answer()
        o.retries.queued.clear()
        o.batches.arrived()
        for outcome in outcomes:
            free = leaves(outcome.job.action) if outcome.failure is None else None
            if free is not None:
                o.retries.place_is_free(free)
        self._warn_came_back(o.carrier.came_back)
        if failure is not None:
            o.contact.failed(failure, now)

    def _warn_late(self, paths: list[Path]) -> None:
        if paths:
            some = ", ".join(repr(path) for path in paths[:5]) + (", …" if len(paths) > 5 else "")
            what = f"files of an atomic batch that nobody completed were put in place one by one, the last ones: {some}"
            self.warnings["batch"] = (what, "ask who stored them whether the rest is missing, and to publish it again")

    def _warn_came_back(self, paths: list[Path]) -> None:
        if paths:
            some = ", ".join(repr(path) for path in paths[:5]) + (", …" if len(paths) > 5 else "")
            what = f"{len(paths)} files that were deleted elsewhere are back, since a lost journal knew of that: {some}"
            self.warnings["came-back"] = (
                what,
                "delete again what nobody wants; `dorkyctl log` says who had deleted it",
            )

    # --- halts --------------------------------------------------------------------------------------------------

    def _halt(self, o: Wired, held: halts.Held) -> None:
        self.held = held
        o.deletions.clear()
        with o.journal.atomic():
            halts.store(o.journal, held)

    def _halt_remote(self, o: Wired, met: Emptied | Rewound) -> None:
        """The bucket is not what it was."""
        if isinstance(met, Rewound):
            self._halt(o, halts.whole(HaltReason.REMOTE_REWOUND, met.detail, self.project.name, self._token()))
            return
        files, _ = o.journal.base_totals()
        what = f"{met.detail}; {files} files were in sync with it. If it comes back, sync goes on by itself"
        self._halt(o, halts.whole(HaltReason.REMOTE_EMPTIED, what, self.project.name, self._token()))

    def _token(self) -> str:
        return self.clock.random_id()[:8]

    def _halt_ended(self, o: Wired, now: float) -> bool:
        """The halt has ended by itself, if there was one: nobody need decide."""
        if self.held is None:
            return True
        if not o.contact.ends(self.held, now):
            return False
        self.lift_halt()
        self.look_again()
        return True

    # --- inside -------------------------------------------------------------------------------------------------

    def _warn(self, code: str, told: tuple[str, str] | None) -> None:
        """None: no longer."""
        if told is not None:
            self.warnings[code] = told
        else:
            self.warnings.pop(code, None)

    @contextmanager
    def _recording(self, o: Wired) -> Iterator[None]:
        """One transaction, and one step of the counter: the folder's first, then the journal's own."""
        assert self._identity is not None
        # From the journal's count: a recording that failed leaves the folder one ahead, never two.
        step = int(o.journal.get("counter") or 0) + 1
        counter: int | None = step
        try:
            self._write_identity(replace(self._identity, counter=step))
        except DorkyError:
            # A folder that is gone or full keeps its counter; what happened is recorded all the same.
            counter = None
        with o.journal.atomic():
            o.carrier.begin_batch()
            yield
            o.carrier.end_batch()
            if counter is not None:
                o.journal.put("counter", str(counter))

    def _write_identity(self, identity: Identity) -> None:
        self.folder.update_identity(identity)
        self._identity = identity


def _told_unwatched(count: int) -> tuple[str, str] | None:
    what = f"degraded: the system refuses to watch {count} folders, which are scanned instead"
    return (what, UNWATCHED_HINT) if count else None


def _rows_of(action: Action, rows: dict[Path, Dirty]) -> tuple[Dirty, ...]:
    paths = [action.path]
    if isinstance(action, MoveRemote | MoveLocal):
        paths.append(action.delete.path)
    return tuple(rows[path] for path in paths if path in rows)


def _original_of(action: Action) -> Path | None:
    """Of a conflict copy that is to be taken away or replaced: the file that it was made of. What comes out of that one's place
    meanwhile may be found to be in this copy (`dorkyd.transfer.conflict_copy`).
    """
    copy = parse_conflict(action.path) if takes_away(action) else None
    return copy.original if copy is not None else None


def _bytes_of(action: Action) -> int:
    match action:
        case Upload():
            return action.local.size
        case Fetch() | Download() | KeepBoth():
            return action.remote.size
        case _:
            return 0
