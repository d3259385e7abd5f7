"""The harvest: after a table was uploaded or downloaded, its facts are taken down, and what changed in its schema is told.

One thread for all projects of a daemon, with a worker of its own, both begun with the first table. The engine only hands over what it recorded; the
harvest waits a moment, since who saves once saves twice, and then looks for itself: what no longer stands is passed over. It
holds nothing that a restart would have to bring back: facts that are missing are taken down when somebody asks for them or
with the next change. A backlog has a limit, past which the oldest is left out.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath

from dorkyd.asking import check_ready
from dorkyd.contents import Contents
from dorkyd.core.model import Base, Digest, Path, Version
from dorkyd.core.settings import Mode
from dorkyd.errors import DorkyError, Refused, Stale, Transient
from dorkyd.ledger import Event
from dorkyd.tables import kept, notices
from dorkyd.tables.changes import changes, notable
from dorkyd.tables.facts import TableFacts
from dorkyd.tables.formats import format_of
from dorkyd.tables.kept import Cache
from dorkyd.tables.looking import Content, Tables
from dorkyd.tables.supervisor import Workshop

LINGER_S = 1.0
"""How long after it was recorded a change is looked at; another one meanwhile begins anew."""
AGAIN_S = 60.0
NICE = 5
"""Of what a person waits for; the harvest has the lowest priority there is."""
TRIES = 5
"""While the bucket cannot be reached."""
MOST = 1000
"""Changes that wait."""
MOST_BROUGHT = 64 * 1024 * 1024
"""Of a state of before that has no facts, to compare with it."""
VERBS = frozenset({"upload", "download", "adopt", "put", "merge"})
"""After which a path holds content that may be new to it."""
OURS = frozenset({"upload", "put", "merge"})
"""Nobody can have kept facts of it before us, or hardly."""
_log = logging.getLogger("dorkyd.tables")


@dataclass(frozen=True, slots=True)
class _Change:
    """One path that may have something new."""

    tables: Tables
    path: Path
    digest: Digest
    before: Digest | None
    """What it held when it was last looked at; None: nothing, or nobody knows."""
    version: Version | None
    device: str
    ours: bool
    due: float
    """Monotonic."""
    tries: int = 0


@dataclass(slots=True)
class Harvester:
    """See the module."""

    cache: Cache
    workshop: Workshop = field(default_factory=Workshop)
    monotonic: Callable[[], float] = time.monotonic
    linger_s: float = LINGER_S
    threaded: bool = True
    """False: whoever made it calls `run_due`."""
    _waiting: OrderedDict[tuple[str, Path], _Change] = field(default_factory=OrderedDict)
    _news: threading.Condition = field(default_factory=threading.Condition)
    _thread: threading.Thread | None = None
    _closed: bool = False
    _working: bool = False

    def heard(self, tables: Tables, event: Event) -> None:
        """Something was recorded. Engine thread, in the middle of a transaction: it is handed over, and no more."""
        if event.verb not in VERBS or event.digest is None or format_of(event.path) is None:
            return
        place = (str(tables.engine.project.path), event.path)
        with self._news:
            earlier = self._waiting.pop(place, None)
            # What was in its place before all that nobody has looked at yet.
            before = event.before if earlier is None else earlier.before or earlier.digest
            self._waiting[place] = _Change(
                tables,
                event.path,
                event.digest,
                before,
                event.version,
                event.device,
                event.verb in OURS,
                self.monotonic() + self.linger_s,
            )
            if len(self._waiting) > MOST:
                self._waiting.popitem(last=False)
            if self._thread is None and self.threaded and not self._closed:
                self._thread = threading.Thread(target=self._run, name="tables", daemon=True)
                self._thread.start()
            self._news.notify_all()

    def forget(self, tables: Tables) -> None:
        """A project ends."""
        with self._news:
            for place in [place for place, change in self._waiting.items() if change.tables is tables]:
                del self._waiting[place]

    def close(self) -> None:
        """End, whatever is under way. Any thread."""
        with self._news:
            self._closed = True
            self._waiting.clear()
            self._news.notify_all()
        self.workshop.close()

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is under way."""
        with self._news:
            return not self._waiting and not self._working

    # --- its thread -------------------------------------------------------------------------------------------------

    def run_due(self) -> None:
        """Harvest what is due."""
        while (change := self._next()) is not None:
            try:
                self._harvest(change)
            except Transient as exc:
                self._again(change, exc)
            except DorkyError as exc:
                if exc.code == "hard-table":
                    self.cache.note_hard(change.digest, str(exc))
                _log.info("verb=harvest path=%r outcome=%s", change.path, exc.code)
            except Exception:  # a defect here must not end the harvest of all other tables
                _log.exception("verb=harvest path=%r outcome=internal-error", change.path)
            finally:
                with self._news:
                    self._working = False

    def _run(self) -> None:
        while not self._closed:
            self.run_due()
            with self._news:
                due = min((change.due for change in self._waiting.values()), default=None)
                wait_s = None if due is None else max(0.0, due - self.monotonic())
                if not self._closed:
                    self._news.wait(timeout=wait_s)

    def _next(self) -> _Change | None:
        """One that is due, the longest waiting first; None: there is none."""
        with self._news:
            now = self.monotonic()
            place = next((place for place, change in self._waiting.items() if change.due <= now), None)
            if place is None or self._closed:
                return None
            self._working = True
            return self._waiting.pop(place)

    def _again(self, change: _Change, exc: Transient) -> None:
        place = (str(change.tables.engine.project.path), change.path)
        with self._news:
            if change.tries + 1 < TRIES and not self._closed:
                later = replace(change, due=self.monotonic() + AGAIN_S, tries=change.tries + 1)
                self._waiting.setdefault(place, later)
        _log.debug("verb=harvest path=%r outcome=%s", change.path, exc.code)

    def _harvest(self, change: _Change) -> None:
        tables, engine = change.tables, change.tables.engine

        def agreed() -> Base | None:
            return engine.journal.base(change.path) if engine.journal is not None else None

        base = Contents(engine).ask(agreed)
        if base is None or base.digest != change.digest or self.cache.is_hard(change.digest):
            return  # something newer is on its way here, or it is of no use
        content = self._content(change)
        if content is None or content.secret:
            return
        try:
            facts, source = tables.facts(content, workshop=self.workshop, asked=not change.ours)
        except Stale:
            return
        if tables.is_secret_now(change.path, change.digest):
            return  # since it was begun
        if source != "kept" or change.tries:  # tried again, this disk has them already
            self._keep(tables, change.digest, facts)
        if change.before is not None and change.before != change.digest:
            self._tell(change, facts)

    def _content(self, change: _Change) -> Content | None:
        """Where the bytes are: here, or in the bucket alone."""
        tables = change.tables
        local = tables.local(change.path)
        if local is not None:
            return tables.of_file(change.path, local) if local.digest == change.digest else None
        try:
            artifact = tables.artifacts.stat(change.path)
        except Refused:
            return None
        return tables.of_object(artifact) if artifact.digest == change.digest else None

    def _keep(self, tables: Tables, digest: Digest, facts: TableFacts) -> None:
        engine = tables.engine
        if engine.project.mode is Mode.PULL or engine.bucket is None:
            return
        paused = Contents(engine).ask(engine.paused_until) > time.time_ns()
        try:
            check_ready(engine.project, engine.held, engine.trouble, paused=paused)
        except Refused:
            return  # a person said that nothing moves: whoever wants them looks at the file
        kept.write(engine.bucket, digest, facts)

    def _tell(self, change: _Change, facts: TableFacts) -> None:
        """Once: whoever wrote it and whoever received it each see it here."""
        engine = change.tables.engine
        assert change.before is not None
        before = change.tables.remembered(change.before, None) or self._passed_over(change, change.before)
        what = notable(changes(before, facts)) if before is not None else ""
        if not what:
            return
        notice = notices.Notice(time.time_ns(), change.path, what, change.device)

        def note() -> None:
            if engine.journal is not None:
                notices.note(engine.journal, notice, change.digest, change.version)

        Contents(engine).ask(note)
        _log.info("verb=schema path=%r detail=%r outcome=ok", change.path, what)

    def _passed_over(self, change: _Change, digest: Digest) -> TableFacts | None:
        """Of a state that was replaced before anybody looked at it; None: it is gone, or too large to be brought for this."""
        found = change.tables.state_with(change.path, digest, MOST_BROUGHT)
        if found is None or found.secret:
            return None
        try:
            return change.tables.facts(found, workshop=self.workshop)[0]
        except Refused:
            return None  # it was no table then


@dataclass(slots=True)
class Workroom:
    """What all projects of a daemon share for their tables. Costs nothing before the first one."""

    cache: Cache = field(default_factory=lambda: Cache(None))
    asked: Workshop = field(default_factory=lambda: Workshop(nice=NICE))
    """Of people, who need not wait for the harvest."""
    harvester: Harvester = field(init=False)

    def __post_init__(self) -> None:
        self.harvester = Harvester(self.cache)

    @classmethod
    def at(cls, state: FilePath) -> Workroom:
        """With what it keeps in this directory."""
        return cls(Cache(state / "tables.db"))

    def close(self) -> None:
        """End its processes."""
        self.harvester.close()
        self.asked.close()
