"""One project in the daemon: an engine on its own thread, and what the API may ask of it."""

from __future__ import annotations

import dataclasses
import logging
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path as FilePath

from dorkyd import doctor, reinstating
from dorkyd.artifacts import Artifacts
from dorkyd.buckets.probe import layers
from dorkyd.commits import Commits
from dorkyd.committing import Committing
from dorkyd.control_import import ImportedHistory
from dorkyd.core import costs
from dorkyd.core.audit import EVERYTHING, Filter
from dorkyd.core.ignore import IgnoreRules
from dorkyd.core.model import DeleteLocal, DeleteRemote, Download, Fetch, KeepBoth, MoveLocal, Path
from dorkyd.core.picking import FilePage, Picked
from dorkyd.core.report import (
    ConflictItem,
    ConflictSeen,
    Cost,
    Finding,
    IgnoreItem,
    LogItem,
    ManualStatus,
    Pending,
    ProblemItem,
    ProjectStatus,
    RequestCounts,
    State,
    SyncResult,
    TreeItem,
    Warning,
    Why,
)
from dorkyd.core.settings import Mode
from dorkyd.core.speed import Pacing
from dorkyd.core.states import NO_FILES
from dorkyd.decisions import Decisions, checked
from dorkyd.engine import Engine
from dorkyd.errors import DorkyError, Refused, Stale, Transient
from dorkyd.freeze_desk import FreezeDesk
from dorkyd.histories import Histories
from dorkyd.manual import Manual, status_of, told_of
from dorkyd.manual import warn as warn_of_pushes
from dorkyd.manual_push import Pushes
from dorkyd.npm_history import HistoryImport
from dorkyd.opening import retire
from dorkyd.placing import BUSY
from dorkyd.ports import Bucket, TellsIdentity, Throttle
from dorkyd.reading import Reader
from dorkyd.standing import Standing
from dorkyd.tables.desk import TableDesk
from dorkyd.tables.harvesting import Workroom
from dorkyd.tables.looking import Tables
from dorkyd.tables.notices import Notice, noted
from dorkyd.tables.notices import warnings as told_in_status
from dorkyd.tables.sidecar import Sidecar
from dorkyd.team import TeamDesk

_log = logging.getLogger("dorkyd.project")

_FOREVER = 2**62
_ANSWER_S = 60.0
"""How long an API thread waits for the engine's thread to answer."""
SETTLE_S = 600.0
"""How long a commit waits for both sides to agree."""
RESTART_S = 5.0
WIND_DOWN_S = 8.0
"""How long a stop waits for transfers under way."""
BUSY_TICK_S = 0.02
"""How often a path is asked for again that is being synced."""
_EVERYDAY = {State.IN_SYNC, State.SYNCING}
"""States whose coming and going is no news."""
_BACKLOG_SHARE = 20
"""Of an engine's time, counting its backlog takes no more than one part in so many."""
_MOST_IGNORED = 1000
"""Ignored entries of one folder that are told: they matter little, and a build's folder has many."""
_IDENTITY_S = 60.0
"""How long an identity that was looked up is told."""
_COUNT_S = 2.0
"""How often totals are counted anew while things change."""


@dataclass(slots=True)
class _Ticket:
    """Somebody waits until both sides were looked at from here on and nothing is left to do."""

    scan: int
    listing: int
    tries: int
    done: threading.Event
    result: SyncResult | None = None


class ProjectRunner:
    """See the module; `control.ProjectControl` says what each method promises."""

    def __init__(
        self,
        engine: Engine,
        publish: Callable[[ProjectStatus], None],
        throttle: Throttle,
        workroom: Workroom | None = None,
    ) -> None:
        """`workroom` None: nothing is harvested from tables."""
        self._engine = engine
        self._throttle = throttle
        self._publish = publish
        self._standing = Standing(engine)
        self._decisions = Decisions(engine)
        self._artifacts = Artifacts.of(engine)
        self._team = TeamDesk(engine)
        self._workroom = workroom or Workroom()
        self._tables = Tables(engine, self._artifacts, self._workroom.asked, self._workroom.cache)
        self._histories = Histories(engine, self._tables)
        if workroom is not None:
            engine.recorded = lambda event: workroom.harvester.heard(self._tables, event)
        self._table_desk = TableDesk(self._tables, self._tell_now)
        self._noticed: Sequence[Notice] = ()
        self._committing = Committing(engine, lambda: self.sync(wait=True, timeout_s=SETTLE_S))
        self._pushes = Pushes(engine)
        self._manual = Manual(engine, self._pushes, self._wait_for, self._tell_now)
        engine.manual.finish = self._pushes.settle
        self._sidecar = Sidecar(engine, self._artifacts) if engine.project.convert else None
        self._sidecar_told = -1
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._tickets: list[_Ticket] = []
        self._totals = (0, 0, 0, 0)
        self._apart: ManualStatus | None = None
        self._counted = -1e9
        self._counting: tuple[Bucket | None, float] = (None, 0.0)
        """The bucket whose requests are counted, and since when."""
        self._settled: State | None = None
        self._changes = -1
        self._recount = math.inf
        self._backlog = (0, 0)
        self._backlog_due = -math.inf
        self._pacing = Pacing()
        self._identity: tuple[str, str | None] = ("", None)
        self._identity_due = -math.inf
        self._status = self._empty()
        self._beat = time.monotonic()
        engine.wake = self._wake.set
        self._last_journal: FilePath | None = None
        self._thread = threading.Thread(target=self._run, name=f"engine-{engine.project.name}", daemon=True)

    # --- the thread ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        if self._sidecar is not None:
            self._sidecar.start()

    def ask_to_stop(self) -> None:
        """Begin nothing new."""
        self._workroom.harvester.forget(self._tables)
        self._stopping.set()
        if self._sidecar is not None:
            self._sidecar.stop()
        # What waits for its bandwidth limit would wait far longer than anybody who stops wants to.
        self._throttle.hold()
        self._wake.set()

    def stop(self, patience_s: float = 3 * WIND_DOWN_S) -> None:
        """End. What is still under way then is recovered at the next start. The engine's own thread may wait in a request
        for as long as a store may be silent: by default that is waited for.
        """
        self.ask_to_stop()
        if self._thread.ident is not None:
            self._thread.join(timeout=patience_s)

    def look_again(self) -> None:
        """Something outside changed that the status tells: publish it soon."""
        self._wake.set()

    def retire(self) -> None:
        """The project was removed: its journal no longer speaks for the folder's place. After `stop`."""
        if self._last_journal is not None:
            retire(self._last_journal)

    @property
    def beat(self) -> float:
        """Monotonic time of the last cycle, for the watchdog."""
        return self._beat

    @property
    def opened(self) -> bool:
        """The journal is open, or there is a reason why not that status tells."""
        engine = self._engine
        return engine.journal is not None or engine.held is not None or engine.trouble is not None

    @property
    def asked(self) -> bool:
        """The bucket answered for the first time, or there is a reason why not that status tells."""
        return self._standing.met or self._status.state is not State.SYNCING

    def _run(self) -> None:
        engine = self._engine
        while not self._stopping.is_set():
            self._wake.clear()
            now = engine.clock.monotonic()
            self._beat = time.monotonic()
            try:
                self._hold_while_paused()
                due = engine.run_due(now)
                self._hold_while_paused()
                self._observe()
            except Exception as exc:  # a defect must not end sync without a word: start over from the journal
                _log.exception("project=%s outcome=cycle-failed", engine.project.name)
                self._wind_down()
                engine.failed_unexpectedly(exc)
                self._observe()
                due = now + RESTART_S
            self._wake.wait(timeout=max(0.0, min(min(due, self._recount) - engine.clock.monotonic(), 30.0)))
        for ticket in self._tickets:
            ticket.result = SyncResult(False, self._status.state, "the daemon stops")
            ticket.done.set()
        self._wind_down()
        self._last_journal = engine.journal.file if engine.journal is not None else None
        engine.close()

    def _hold_while_paused(self) -> None:
        """Nothing moves in a pause, and no restart waits for hours: what waits for its bandwidth limit ends then, and
        is taken up again afterwards.
        """
        engine = self._engine
        if self._stopping.is_set() or engine.winding_down or engine.paused_until() > engine.clock.time_ns():
            self._throttle.hold()
        else:
            self._throttle.go()

    def _wind_down(self) -> None:
        """Let what is under way end and be recorded, for a while. A write still on its way after that is journalled,
        and the next start looks whether it happened.
        """
        engine = self._engine
        deadline = time.monotonic() + WIND_DOWN_S
        while engine.jobs and time.monotonic() < deadline:
            self._wake.wait(timeout=0.2)
            self._wake.clear()
            try:
                engine.collect()
            except (DorkyError, sqlite3.Error):
                _log.warning("project=%s outcome=not-recorded", engine.project.name, exc_info=True)
                return
        engine.remember_success()

    def _observe(self) -> None:
        """Publish what a cycle left, and answer those who wait for it."""
        status = self._look()
        if status != self._status:
            before, self._status = self._status, status
            news = (status.state, _told(status)) != (before.state, _told(before))
            if news and not {status.state, before.state} <= _EVERYDAY:
                _log.info("project=%s state=%s detail=%r", status.name, status.state, _told(status))
            self._publish(status)
        for ticket in list(self._tickets):
            result = self._result(ticket)
            if result is not None:
                ticket.result = result
                self._tickets.remove(ticket)
                ticket.done.set()

    def _tell_now(self) -> None:
        """Count anew and publish, for whoever looks at the status right after what they asked for. Engine thread."""
        self._changes, self._counted = -1, -1e9
        self._observe()

    def _result(self, ticket: _Ticket) -> SyncResult | None:
        engine, status = self._engine, self._status
        if status.state is State.HALTED and status.halt is not None:
            return SyncResult(False, status.state, status.halt.detail)
        if status.state is State.PAUSED:
            hint = f"dorkyctl resume {status.name}"
            return SyncResult(False, status.state, "the project is paused", hint)
        if engine.trouble is not None and engine.counters.bucket_tries > ticket.tries:
            return SyncResult(False, engine.trouble.state, engine.trouble.detail, engine.trouble.hint)
        counters = engine.counters
        looked = counters.scans >= ticket.scan and counters.listings_done >= ticket.listing
        if looked and engine.quiescent() and not engine.pulling:
            return self._settled_result()
        return None

    def _settled_result(self) -> SyncResult:
        """Nothing is left to do for now: both sides agree, unless some file could not be carried, is frozen, or waits for the
        rest of its batch.
        """
        frozen, half = self._standing.frozen, self._standing.half_told
        if frozen is not None:
            return SyncResult(False, self._status.state, *frozen)
        if half is not None:
            pulled = self._engine.project.mode is Mode.MANUAL
            again = f"dorkyctl pull {self.name} once it is complete" if pulled else "it goes on by itself"
            return SyncResult(False, self._status.state, half, again)
        assert self._engine.journal is not None
        found = [problem for problem, _ in self._engine.journal.ledger.problems() if problem.code not in NO_FILES]
        if not found:
            manual = status_of(self._engine)
            detail = told_of(manual) if manual is not None else "both sides agree"
            return SyncResult(True, self._status.state, detail)
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        what = f"{found[0].path!r} cannot sync{more}: {found[0].detail}"
        return SyncResult(False, State.ERROR, what, f"dorkyctl problems {self.name}")

    # --- status -------------------------------------------------------------------------------------------------

    def _empty(self) -> ProjectStatus:
        project = self._engine.project
        return ProjectStatus(project.name, project.path, project.bucket, project.mode, State.SYNCING)

    def _look(self) -> ProjectStatus:
        engine = self._engine
        project = engine.project
        state, detail, hint = self._state()
        if state not in {State.IN_SYNC, State.SYNCING}:
            engine.remember_success()
        now = engine.clock.monotonic()
        changes = engine.journal.changes if engine.journal is not None else -1
        self._recount = math.inf
        if self._sidecar is not None and changes != self._sidecar_told:
            self._sidecar_told = changes
            self._sidecar.look()
        if changes != self._changes:
            if state is not self._settled or now - self._counted >= _COUNT_S:
                self._counted, self._settled, self._changes = now, state, changes
                self._totals = self._count()
                self._apart = status_of(engine)
                self._noticed = noted(engine.journal) if engine.journal is not None else ()
                warn_of_pushes(engine)
            else:
                self._recount = self._counted + _COUNT_S
        files, size, conflicts, problems = self._totals
        requests = engine.bucket.requests if engine.bucket is not None else None
        if engine.bucket is not self._counting[0]:
            self._counting = (engine.bucket, now)
        counts = RequestCounts(**dataclasses.asdict(requests)) if requests is not None else RequestCounts()
        pending = self._pending()
        return ProjectStatus(
            name=project.name,
            path=project.path,
            bucket=project.bucket,
            mode=project.mode,
            state=state,
            files=files,
            bytes=size,
            pending=pending,
            conflicts=conflicts,
            problems=problems,
            last_success=_rfc3339(engine.last_success_ns),
            halt=engine.held.halt if engine.held is not None else None,
            warnings=(
                *(Warning(code, what, todo) for code, (what, todo) in sorted(engine.warnings.items())),
                *(self._sidecar.notices if self._sidecar is not None else ()),
                *told_in_status(self._noticed, project.name, engine.clock.time_ns()),
            ),
            requests=counts,
            cost=self._cost(counts, now - self._counting[1]),
            bandwidth=self._throttle.bandwidth,
            detail=detail,
            hint=hint,
            speed=self._pacing.look(
                now,
                up=counts.bytes_up,
                down=counts.bytes_down,
                paths=pending.upload + pending.download + pending.delete_local + pending.delete_remote,
                size=pending.bytes,
            ),
            identity=self._asked_as(now)[0],
            credentials_until=self._asked_as(now)[1],
            manual=self._apart
            and dataclasses.replace(self._apart, pulling=engine.pulling, pushing=engine.manual.pushing),
        )

    def _asked_as(self, now: float) -> tuple[str, str | None]:
        """Looked up now and then, once the bucket answered: credentials change while we run."""
        if self._engine.bucket is not None and now >= self._identity_due and self._engine.counters.bucket_tries:
            told = next((each for each in layers(self._engine.bucket) if isinstance(each, TellsIdentity)), None)
            self._identity = ("", None) if told is None else told.asked_as()
            self._identity_due = now + _IDENTITY_S
        return self._identity

    def _cost(self, counts: RequestCounts, uptime_s: float) -> Cost:
        project = self._engine.project
        schedule = costs.Schedule(
            project.poll_s, self._standing.list_every_s(), self._totals[0], project.push is not None
        )
        scheme = project.bucket.partition(":")[0]
        return costs.estimate(counts, uptime_s, schedule, scheme=scheme, own_endpoint=project.endpoint_url is not None)

    def _state(self) -> tuple[State, str, str]:
        engine = self._engine
        if engine.held is not None:
            return State.HALTED, "", ""
        if engine.paused_until() > engine.clock.time_ns():
            return State.PAUSED, "", f"dorkyctl resume {engine.project.name}"
        if engine.trouble is not None:
            return engine.trouble.state, engine.trouble.detail, engine.trouble.hint
        frozen, half = self._standing.frozen, self._standing.half_told
        if frozen is not None:
            return State.SYNCING, *frozen
        if half is not None:
            return State.SYNCING, half, ""
        if engine.counters.listings_done and engine.quiescent():
            engine.last_success_ns = engine.clock.time_ns() // 1_000_000_000 * 1_000_000_000
            return State.IN_SYNC, "", ""
        return State.SYNCING, "", ""

    def _count(self) -> tuple[int, int, int, int]:
        engine = self._engine
        journal = engine.journal
        if journal is None:
            return self._totals
        files, size = journal.base_totals()
        return files, size, self._reader().conflict_count(rules=engine.rules()), len(journal.ledger.problems())

    def _pending(self) -> Pending:
        engine = self._engine
        journal = engine.journal
        if journal is None:
            return Pending()
        under_way = engine.jobs
        now = engine.clock.monotonic()
        if now >= self._backlog_due or not journal.dirty(1):
            begun = time.perf_counter()
            self._backlog = journal.backlog(self._standing.stuck)
            # Counting a long backlog in every cycle would take longer than working it off.
            self._backlog_due = now + _BACKLOG_SHARE * (time.perf_counter() - begun)
        else:
            self._recount = min(self._recount, self._backlog_due)
        upload, download = self._backlog
        deletes = self._standing.deletions
        deletes += [job.action for job in under_way if isinstance(job.action, DeleteLocal | DeleteRemote)]
        down = (Download, Fetch, KeepBoth, MoveLocal)
        moving = sum(job.bytes for job in under_way)
        downloading = sum(isinstance(job.action, down) for job in under_way)
        local = sum(isinstance(action, DeleteLocal) for action in deletes)
        remote = len(deletes) - local
        for path, _ in engine.held.items if engine.held is not None else ():
            # What a halt holds back is still to do, should a person say so.
            gone_there = journal.remote(path) is None
            local, remote = local + gone_there, remote + (not gone_there)
        return Pending(
            upload=max(0, upload - remote - local if upload >= remote + local else upload),
            download=max(download, downloading),
            delete_local=local,
            delete_remote=remote,
            bytes=moving,
        )

    # --- control ------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """As the configuration has it."""
        return self._engine.project.name

    @property
    def artifacts(self) -> Artifacts:
        """Its objects, for clients."""
        return self._artifacts

    @property
    def team(self) -> TeamDesk:
        """Its keys, for clients."""
        return self._team

    @property
    def commits(self) -> Committing:
        """Its commits."""
        return self._committing

    @property
    def freezing(self) -> FreezeDesk:
        """Its freeze, for clients."""
        return FreezeDesk(self._engine)

    @property
    def manual(self) -> Manual:
        """Mode manual, for clients."""
        return self._manual

    @property
    def tables(self) -> TableDesk:
        """Its tables, for clients."""
        return self._table_desk

    @property
    def past(self) -> Histories:
        """Its past."""
        return self._histories

    def status(self) -> ProjectStatus:
        """The last published."""
        return self._status

    def sync(self, *, wait: bool, timeout_s: float | None) -> SyncResult:
        """As `ProjectControl.sync`."""
        if not wait:
            self._ask(self._engine.look_again)
            return SyncResult(False, self._status.state, "looking at both sides")
        return self._wait_for(self._engine.look_again, timeout_s)

    def _wait_for(self, begin: Callable[[], tuple[int, int]], timeout_s: float | None) -> SyncResult:
        ticket = self._ask(lambda: self._wait_ticket(begin))
        assert isinstance(ticket, _Ticket)
        self._wake.set()
        if not ticket.done.wait(timeout=timeout_s):
            return SyncResult(False, self._status.state, f"not done after {timeout_s:g} s", "it goes on by itself")
        assert ticket.result is not None
        return ticket.result

    def _wait_ticket(self, begin: Callable[[], tuple[int, int]]) -> _Ticket:
        tries = self._engine.counters.bucket_tries
        scan, listing = begin()
        ticket = _Ticket(scan, listing, tries, threading.Event())
        self._tickets.append(ticket)
        return ticket

    def pause(self, for_s: float | None) -> ProjectStatus:
        """As `ProjectControl.pause`."""
        until = _FOREVER if for_s is None else self._engine.clock.time_ns() + int(for_s * 1e9)
        return self._decide(lambda: self._engine.pause(until))

    def resume(self) -> ProjectStatus:
        """As `ProjectControl.resume`."""
        self._decide(lambda: self._engine.pause(0))
        return self._decide(lambda: self._engine.look_again(scan=False))

    def files(self, prefix: str, after: str, limit: int, *, remote: bool, pick: Picked | None = None) -> FilePage:
        """As `ProjectControl.files`."""
        return self._reader().page(prefix, after, limit, remote=remote, rules=self._engine.rules(), pick=pick)

    def tree(self, folder: str, after: str, limit: int, *, match: str, unsettled: bool) -> Sequence[TreeItem]:
        """As `ProjectControl.tree`."""
        rules = self._engine.rules()
        # Counted every few seconds while anything changes: whoever shows a tree asks again when that count does.
        clashes = self._status.conflicts > 0
        found = self._reader().tree(folder, after, limit, rules, match=match, unsettled=unsettled, clashes=clashes)
        if match or unsettled or len(found) >= limit:
            return found
        above = f"{folder.rstrip('/')}/" if folder else ""
        return [*found, *islice(self._ignored_in(above, rules), _MOST_IGNORED)]

    def _ignored_in(self, above: str, rules: IgnoreRules) -> Iterator[TreeItem]:
        """What lies on disk in a folder and is not synced. `above`: "" or with a closing `/`."""
        for name, is_folder in self._engine.folder.entries(Path(above.rstrip("/")) if above else None):
            path = Path(above + name)
            if rules.skip(path, is_folder):
                yield TreeItem(Path(f"{path}/") if is_folder else path, None, None, None, "ignored")

    def why(self, path: str) -> Why:
        """As `ProjectControl.why`."""
        waits = self._standing.waits_for_batch(Path(path)) or ""
        keyring = self._engine.keyring
        covers = (lambda _path: False) if keyring is None else keyring.covers
        return self._reader().why(path, self._engine.rules(), self._standing.next_tries(), stopped=waits, covers=covers)

    def check_ignore(self, paths: Sequence[str]) -> Sequence[IgnoreItem]:
        """As `ProjectControl.check_ignore`."""
        rules = self._engine.rules()
        return [_ignored(text, rules) for text in paths]

    def conflicts(self) -> Sequence[ConflictItem]:
        """As `ProjectControl.conflicts`."""
        return self._reader().conflicts(rules=self._engine.rules())

    def problems(self) -> Sequence[ProblemItem]:
        """As `ProjectControl.problems`."""
        return self._reader().problems(self._standing.next_tries())

    def log(self, after: int, limit: int, wanted: Filter = EVERYTHING) -> Sequence[LogItem]:
        """As `ProjectControl.log`."""
        # Whoever follows it goes on when the project is opened again.
        reader = Reader(self._engine.journal_file, self._engine.project, self._engine.device)
        return reader.log(after, limit, wanted)

    def resolve(self, path: str, keep: str, seen: ConflictSeen | None = None) -> Sequence[ConflictItem]:
        """As `ProjectControl.resolve`."""
        deadline = time.monotonic() + reinstating.BUSY_S
        while True:
            try:
                self._decide(lambda: self._decisions.resolve(path, keep, seen))
                break
            except Stale as exc:
                if exc.code != BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(BUSY_TICK_S)
        return self._reader().conflicts(rules=self._engine.rules())

    def approve(self, token: str) -> ProjectStatus:
        """As `ProjectControl.approve`."""
        return self._decide(lambda: self._decisions.approve(token))

    def reject(self, token: str) -> ProjectStatus:
        """As `ProjectControl.reject`."""
        return self._decide(lambda: self._decisions.reject(token))

    def import_history(self) -> ImportedHistory:
        """As `ProjectControl.import_history`."""
        commits = Commits(self._engine, lambda: self.sync(wait=True, timeout_s=None))
        return HistoryImport(commits, self._engine.project.path).run()

    def purge_trash(self) -> None:
        """Keep the trash to its limits: slow upkeep, asked for by the daemon's scheduler."""
        engine = self._engine

        def purge() -> None:
            engine.purge()

        engine.call(purge)

    def doctor(self, shell: Sequence[str] = ()) -> Sequence[Finding]:
        """As `ProjectControl.doctor`."""
        engine = self._engine
        return doctor.examine(
            engine.project,
            engine.folder,
            engine.bucket,
            state_dir=engine.journals,
            clock=engine.clock,
            rules=engine.rules(),
            shell=shell,
        )

    # --- inside -------------------------------------------------------------------------------------------------

    def _reader(self) -> Reader:
        """Raises why nobody can tell what there is, while the journal is not open."""
        return Reader(self._engine.open_journal(), self._engine.project, self._engine.device)

    def _ask(self, request: Callable[[], object]) -> object:
        """Have the engine's thread do it, and answer with what came of it."""
        if self._stopping.is_set():
            raise Transient(
                "the project is being stopped",
                hint="try again: it may be started anew",
                code="stopping",
                retry_after_s=1.0,
            )
        try:
            return self._engine.call(request).result(timeout=_ANSWER_S)
        except TimeoutError as exc:
            raise DorkyError(
                "the engine is busy and has not answered",
                code="busy",
                hint="try again; `dorkyctl status` shows what it does",
            ) from exc

    def _decide(self, request: Callable[[], object]) -> ProjectStatus:
        """A person's decision, and the status after it."""
        self._ask(request)
        self._ask(self._observe)
        return self._status


def _told(status: ProjectStatus) -> str:
    return status.halt.detail.partition("\n")[0] if status.halt is not None else status.detail


def _ignored(text: str, rules: IgnoreRules) -> IgnoreItem:
    try:
        path = checked(text.rstrip("/"))
    except Refused as exc:
        if exc.code != "reserved-name":
            raise
        return IgnoreItem(Path(text), True, "built in: .git and .dorky are never synced")
    rule = rules.rule(path, text.endswith("/"))
    return IgnoreItem(path, rule is not None, rule)


def _rfc3339(time_ns: int | None) -> str | None:
    if time_ns is None:
        return None
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
