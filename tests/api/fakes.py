"""A daemon and its projects without an engine: they keep what they are told and answer from it."""

from __future__ import annotations

import dataclasses
import io
import threading
import time
from collections.abc import Callable, Sequence

from dorkyd.control import NewProject
from dorkyd.control_import import ImportedHistory, ImportWish
from dorkyd.control_prospect import Invitation, Prospect, Wish
from dorkyd.core import report
from dorkyd.core.audit import EVERYTHING, AuditItem, Filter
from dorkyd.core.differing import Compared
from dorkyd.core.model import Digest, Path, Version
from dorkyd.core.npm_plan import HistoryCopies, ImportItem, ImportPlan, Standing
from dorkyd.core.past import Content, Difference, Emptied, History, HistoryItem, Outcome, Side, Undone
from dorkyd.core.picking import FilePage, Picked
from dorkyd.core.report import (
    ConflictItem,
    FileItem,
    Finding,
    IgnoreItem,
    LogItem,
    ProblemItem,
    ProjectStatus,
    Sample,
    State,
    SyncResult,
    TrashItem,
    TreeItem,
    Why,
)
from dorkyd.core.settings import Bandwidth
from dorkyd.errors import Refused
from dorkyd.logs import Logs
from dorkyd.tables.changes import ByKey, ColumnChange, TableChanges, TableDifference
from dorkyd.tables.facts import ColumnFacts, TableFacts
from dorkyd.tables.looking import Content as TableContent
from dorkyd.tables.looking import Head, Looked

Listener = Callable[[str, ProjectStatus], None]


def digest_of(number: int) -> Digest:
    """Some digest."""
    return Digest(f"sha256:{number:064x}")


def file_item(path: str, number: int = 1, state: str = "synced") -> FileItem:
    """A synced file."""
    return FileItem(Path(path), digest_of(number), 3, Version(f"v{number}"), 0o644, state)


def log_item(seq: int, path: str = "a.txt") -> LogItem:
    """An upload."""
    return LogItem(seq, "2026-11-22T10:00:00Z", "upload", Path(path), digest_of(seq), 3, Version("v"), "laptop-7")


def conflict_item(path: str) -> ConflictItem:
    """A conflict copy of `path`."""
    return ConflictItem(
        Path(path), Path(f"{path} (conflict b 20261122-100000 abcdef)"), "b", "20261122-100000", None, 3, None
    )


def _tables_differ(key: Sequence[str]) -> TableDifference:
    """A column of each kind of change."""
    was, now = ColumnFacts("fare", "int64", 1, "1", "5"), ColumnFacts("fare", "double", 1, "1", "7.5")
    changes = TableChanges(
        (ColumnFacts("gone", "string"),), (ColumnFacts("new", "bool"),), (ColumnChange("fare", was, now),), (100, 40), (4096, 2048), False, False
    )  # fmt: skip
    changed = [{"key": [7], "differs": {"fare": [1, 2.5]}}]
    samples = {"added": [[8, "x"]], "removed": [[9, None]], "changed": changed}
    by_key = ByKey(key, [*key, "zone"], 1, 30, 1, samples) if key else None
    facts = TableFacts("parquet", 1, 0, ())
    return TableDifference(facts, facts, changes, by_key)


@dataclasses.dataclass
class FakePast:
    """A project's past: what is in the trash can be restored and undone, and all of it is audited."""

    project: FakeProject

    def history(self, path: str) -> History:
        held = HistoryItem(Path(path), digest_of(1), 3, Version("v1"), None, None, "b", 0o644, True, ["bucket"])
        return History([held], "kept 30 days", "")

    def restore(self, path: str, at: str | None, to: str | None) -> Sequence[Outcome]:
        for item in self.project.trashed:
            if item.path == path and at in (None, item.name):
                return [Outcome(Path(to or path), digest_of(1), 3, 0o644, True)]
        raise Refused(f"{path} is not in the trash.", hint="Run `dorkyctl trash`.", code="no-such-trash")

    def undo(self, *, dry_run: bool) -> Undone:
        self.project.undone.append(dry_run)
        items = [Outcome(item.path, digest_of(1), 3, 0o644, True) for item in self.project.trashed]
        left = Outcome(Path("left"), None, None, None, False, "it changed since", "changed-since")
        return Undone("a1", "2026-11-22T10:00:00Z", "b", {"delete-local": len(items)}, [*items, left])

    def trash(self, where: str, path: str | None) -> Sequence[TrashItem]:
        return self.project.trashed if where == "folder" else []

    def empty_trash(self, where: str, path: str | None, older_than_s: float | None) -> Emptied:
        self.project.emptied.append((where, path, older_than_s))
        return Emptied(2, 6, 1)

    def diff(
        self, path: str, before: str | None, after: str | None, *, reveal: bool, key: Sequence[str] = ()
    ) -> Difference:
        sides = Side(before or "v1", digest_of(1), 3, None), Side(after or "here", digest_of(2), 3, None)
        if path.endswith(".parquet"):
            return Difference(Path(path), *sides, Compared("table", ""), _tables_differ(key))
        return Difference(Path(path), *sides, Compared("text", "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-1\n+2\n"))

    def beside(self, path: str, other: str, *, reveal: bool) -> Difference:
        sides = Side(other, digest_of(1), 3, None), Side(path, digest_of(2), 3, None)
        return Difference(Path(path), *sides, Compared("text", "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-1\n+2\n"))

    def content(self, path: str, at: str, *, reveal: bool) -> Content:
        if not reveal and path.startswith(".env"):
            raise Refused("it may hold secrets", code="secret")
        return Content(Path(path), digest_of(1), 3, Version(at), io.BytesIO(b"abc"))

    def audit(self, wanted: Filter, after: str, limit: int) -> Sequence[AuditItem]:
        self.project.audits.append(wanted)
        items = [
            AuditItem(n, 0, "2026-11-22T10:00:00Z", "b", "Ann", "r", "put", Path("f"), None, 3, None, Version("v"))
            for n in range(1, 4)
        ]
        return [item for item in items if item.number > int(after.partition(".")[0] or 0)][:limit]

    def audit_retention(self) -> str:
        return "kept 90 days"


@dataclasses.dataclass
class FakeTables:
    """A project's tables: one that is wider than a terminal, with names that a terminal would obey."""

    dismissed: int = 0

    def look(self, path: str, at: str | None, *, head: int, columns: Sequence[str] | None) -> Looked:
        if not path.endswith(".parquet"):
            raise Refused(f"{path!r} is not called a table", code="no-table", hint="supported are others")
        made = tuple(ColumnFacts(f"column_{n}\x1b[31m", "int64", n, "1", "2" * 90, 2048) for n in range(60))
        facts = TableFacts(
            "parquet", 4096, 60, made, rows=1234, groups=2, raw_bytes=9000, codec="zstd", notes=("odd\n",)
        )
        content = TableContent(Path(path), at or "the file here", digest_of(1), 4096, None, "folder", False, open)
        names = list(columns) if columns is not None else [column.name for column in made]
        rows = [[n if place % 2 else f"text {n}\n" for place in range(len(names))] for n in range(head)]
        return Looked(content, facts, "kept", Head(names, rows) if head else None)

    def dismiss(self) -> None:
        self.dismissed += 1


class FakeProject:
    """One project's control. Tests set its fields and look at them."""

    def __init__(self, daemon: FakeDaemon, status: ProjectStatus) -> None:
        self._daemon = daemon
        self._status = status
        self.files_held: list[FileItem] = []
        self.undone: list[bool] = []
        self.emptied: list[tuple[str, str | None, float | None]] = []
        self.audits: list[Filter] = []
        self.log_filters: list[Filter] = []
        self.conflicts_held: list[ConflictItem] = []
        self.problems_held: list[ProblemItem] = []
        self.history: list[LogItem] = []
        self.log_reads = 0
        self.trashed: list[TrashItem] = []
        self.findings = [Finding("folder", True, "The folder can be read.")]
        self.result = SyncResult(True, State.IN_SYNC, "Both sides are equal.")
        self.syncs: list[tuple[bool, float | None]] = []
        self.hold = threading.Event()
        """A waiting sync returns once this is set."""
        self.hold.set()
        self.waiting = threading.Semaphore(0)
        """Released once for each sync that began to wait."""
        self.error: Exception | None = None
        """What every reading call raises; None: nothing."""
        self.paused_for: float | None = None
        self.table_desk = FakeTables()
        self.histories = 0
        """How often one was imported."""

    @property
    def name(self) -> str:
        return self._status.name

    def status(self) -> ProjectStatus:
        return self._status

    def publish(self, **changes: object) -> ProjectStatus:
        """A new status, told to every listener."""
        self._status = dataclasses.replace(self._status, **changes)  # type: ignore[arg-type]
        self._daemon.tell(self._status)
        return self._status

    def sync(self, *, wait: bool, timeout_s: float | None) -> SyncResult:
        self.syncs.append((wait, timeout_s))
        if wait:
            self.waiting.release()
            if not self.hold.wait(timeout_s):
                return SyncResult(False, State.SYNCING, "2 paths are still under way.")
        return self.result

    def pause(self, for_s: float | None) -> ProjectStatus:
        self.paused_for = for_s
        return self.publish(state=State.PAUSED)

    def resume(self) -> ProjectStatus:
        return self.publish(state=State.IN_SYNC)

    def files(self, prefix: str, after: str, limit: int, *, remote: bool, pick: Picked | None = None) -> FilePage:
        self._fail()
        wanted = [f for f in self.files_held if f.path.startswith(prefix) and f.path > after]
        found = [f for f in wanted if (not remote or f.state != "local") and (pick is None or pick.takes(f))]
        return FilePage(found[:limit], found[limit - 1].path if len(found) > limit else None)

    def tree(self, folder: str, after: str, limit: int, *, match: str, unsettled: bool) -> Sequence[TreeItem]:
        self._fail()
        wanted = [f for f in self.files_held if f.path.startswith(folder) and f.path > after and match in f.path]
        items = [TreeItem(f.path, f.digest, f.size, f.version, f.state) for f in wanted]
        return [item for item in items if not unsettled or item.state != "synced"][:limit]

    def why(self, path: str) -> Why:
        self._fail()
        held = next((f for f in self.files_held if f.path == path), None)
        state = held.state if held else "unknown"
        return Why(Path(path), state, None, held, held, held, None, None, f"{path} is {state}.")

    def check_ignore(self, paths: Sequence[str]) -> Sequence[IgnoreItem]:
        return [IgnoreItem(Path(p), p.endswith(".tmp"), "*.tmp" if p.endswith(".tmp") else None) for p in paths]

    def conflicts(self) -> Sequence[ConflictItem]:
        return self.conflicts_held

    def problems(self) -> Sequence[ProblemItem]:
        return self.problems_held

    @property
    def tables(self) -> FakeTables:
        return self.table_desk

    @property
    def past(self) -> FakePast:
        return FakePast(self)

    def log(self, after: int, limit: int, wanted: Filter = EVERYTHING) -> Sequence[LogItem]:
        self.log_filters.append(wanted)
        history, self.log_reads = list(self.history), self.log_reads + 1
        if after < 0:
            return history[-limit:]
        return [item for item in history if item.seq > after][:limit]

    def resolve(self, path: str, keep: str) -> Sequence[ConflictItem]:
        left = [c for c in self.conflicts_held if path not in (c.path, c.copy)]
        if len(left) == len(self.conflicts_held):
            raise Refused(f"{path} is not in conflict.", hint="Run `dorkyctl conflicts`.", code="no-such-conflict")
        self.conflicts_held = left
        self.publish(conflicts=len(left))
        return left

    def approve(self, token: str) -> ProjectStatus:
        return self._unhalt(token)

    def reject(self, token: str) -> ProjectStatus:
        return self._unhalt(token)

    def _unhalt(self, token: str) -> ProjectStatus:
        if self._status.halt is None or self._status.halt.token != token:
            raise Refused("That halt is over.", hint="Run `dorkyctl status`.", code="refused-by-guard")
        return self.publish(state=State.IN_SYNC, halt=None)

    def import_history(self) -> ImportedHistory:
        self.histories += 1
        return ImportedHistory(3, 2, 1, 4, 5, "ab" * 32)

    def doctor(self, shell: Sequence[str] = ()) -> Sequence[Finding]:
        return self.findings

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


PLAN = ImportPlan(
    name="api",
    path="/home/ana/api",
    bucket="s3://acme/api",
    storage="aws",
    items=(
        ImportItem(Path(".env"), Standing.SAME, 3, f"md5:{'0' * 32}", Version("v"), tracked=True),
        ImportItem(Path("b"), Standing.DIFFERS, 4, None, Version("w"), tracked=True, detail="changed here"),
    ),
    history=HistoryCopies(1, 1, 1, 3, (), (), 0, 0),
    untracked=1,
    untracked_bytes=9,
    everything=False,
    ignore=("/*", "!/.env"),
    region="eu-west-1",
    moves=("metadata.json",),
    token="0123abcd",
    warnings=(report.Warning("shared-prefix", "others push there too", "sort it out"),),
    counts={"same": 1, "differs": 1},
)


class FakeImports:
    """It keeps what it is told, and has one plan."""

    def __init__(self) -> None:
        self.planned: list[ImportWish] = []
        self.carried_out: list[ImportWish] = []

    def plan(self, wish: ImportWish) -> ImportPlan:
        self.planned.append(wish)
        return PLAN

    def carry_out(self, wish: ImportWish) -> ImportPlan:
        self.carried_out.append(wish)
        return PLAN


class FakeProspects:
    """One bucket, whatever is asked for."""

    def __init__(self) -> None:
        self.wishes: list[tuple[Wish, bool]] = []
        self.project: str | None = "p1"
        self.fingerprint: str | None = None
        self.findings: list[Finding] = [Finding("bucket", True, "it answers")]

    def look(self, wish: Wish, *, try_it: bool) -> Prospect:
        self.wishes.append((wish, try_it))
        findings = self.findings if try_it else []
        return Prospect(wish.bucket.rstrip("/"), self.project, self.fingerprint, 3, 4096, False, ["a"], None, findings)

    def invitation(self, name: str) -> Invitation:
        return Invitation("s3://acme/api", self.project, self.fingerprint)


class FakeDaemon:
    """The daemon's control."""

    version = "0.1.0"
    device = "laptop-7"

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.held: dict[str, FakeProject] = {}
        self.imports = FakeImports()
        self.prospects = FakeProspects()
        self.logs = Logs("file", "/nowhere/dorkyd.log")
        self.shared = Bandwidth()
        self.allowed: list[str] = []
        self.notices: list[report.Warning] = []
        self.stopped = threading.Event()
        self.on_stop: Callable[[], None] = lambda: None
        self.listeners: list[Listener] = []
        self._lock = threading.Lock()

    def projects(self) -> Sequence[FakeProject]:
        return list(self.held.values())

    def project(self, name: str) -> FakeProject:
        if name not in self.held:
            raise Refused(
                f"There is no project {name!r}.",
                hint=f"There are: {', '.join(self.held) or 'none'}.",
                code="no-such-project",
            )
        return self.held[name]

    def add(self, new: NewProject) -> FakeProject:
        name = new.name or new.path.rpartition("/")[2]
        if name in self.held:
            raise Refused(f"A project {name!r} exists.", hint="Give another --name.", code="name-taken")
        project = FakeProject(
            self,
            ProjectStatus(
                name, new.path, new.bucket or f"file:///embedded/{name}", new.mode or "two-way", State.IN_SYNC
            ),
        )
        self.held[name] = project
        return project

    def remove(self, name: str) -> None:
        del self.held[self.project(name).name]

    @property
    def bandwidth(self) -> Bandwidth:
        return self.shared

    def limit(self, name: str | None, *, up: int | None, down: int | None) -> Bandwidth:
        project = None if name is None else self.project(name)
        had = self.shared if project is None else project.status().bandwidth
        now = Bandwidth(had.up if up is None else up or None, had.down if down is None else down or None)
        if project is None:
            self.shared = now
        else:
            project.publish(bandwidth=now)
        return now

    def allow(self, name: str, patterns: Sequence[str]) -> Sequence[str]:
        self.allowed += [pattern for pattern in patterns if pattern not in self.allowed]
        return self.allowed if self.project(name) else []

    def samples(self, name: str) -> Sequence[Sample]:
        self.project(name)
        return [Sample(60, 5, 0, 1, 9), Sample(120, 0, 7, 0, 0)]

    def warnings(self) -> Sequence[report.Warning]:
        return self.notices

    def stop(self) -> None:
        self.stopped.set()
        self.on_stop()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        with self._lock:
            self.listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock:
                self.listeners.remove(listener)

        return unsubscribe

    def tell(self, status: ProjectStatus) -> None:
        with self._lock:
            listeners = list(self.listeners)
        for listener in listeners:
            listener(status.name, status)
