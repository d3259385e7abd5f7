"""Devices without threads: real engine, journal, folder and transfer, over one shared bucket, driven step by step.

Time is simulated, jobs run when the test says so, and no watcher runs: `look` scans. A `Kill` raised anywhere ends a
device as SIGKILL would, and `restart` begins again from what is on disk.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from dorkyd.ahead import Paging
from dorkyd.buckets.memory import Fault, Faults, MemoryBucket
from dorkyd.checkout import Checkout
from dorkyd.commits import Commits
from dorkyd.core import model
from dorkyd.core.past import Outcome, Undone
from dorkyd.core.report import State, SyncResult
from dorkyd.core.settings import Project
from dorkyd.decisions import Decisions
from dorkyd.engine import Engine
from dorkyd.folder import LocalFolder
from dorkyd.journal import Journal
from dorkyd.keyring import Keyring
from dorkyd.keys import KeyHome
from dorkyd.manual_push import Pushes
from dorkyd.manual_staging import Stage
from dorkyd.news import Bytes
from dorkyd.ports import Bucket, Folder, Marks
from dorkyd.restoring import Restoring
from dorkyd.undoing import Undoing
from dorkyd.wiring import Wiring


class Kill(BaseException):
    """The process ends here."""


FOLDER_EFFECTS = frozenset({
    "write_identity", "update_identity", "stage", "stage_copy", "seal", "unstage", "swap_in", "take_out", "put_in", "rename", "set_mode",
    "drop_empty_parents", "to_trash", "trash_to_stage", "purge", "keep", "unkeep",
})  # fmt: skip
BUCKET_EFFECTS = frozenset({"begin", "put", "copy", "delete", "abandon"})


@dataclass(slots=True)
class Trap:
    """Ends a device at one call: the `at`-th of its effects (1 is the first), before or after it took effect.

    `only` picks the calls that count, by name (`swap_in`, `put`, `commit`) and first argument. Once sprung the device
    is dead: whatever it still calls does nothing.
    """

    at: int = 0
    """0: never."""
    after: bool = False
    only: Callable[[str, object], bool] = lambda _name, _first: True
    count: int = 0
    dead: bool = False
    calls: list[str] = field(default_factory=list)
    """What was called, for people."""

    def set(self, at: int, *, after: bool, only: Callable[[str, object], bool] | None = None) -> None:
        """Spring at the `at`-th call from here on."""
        self.at, self.after, self.count, self.dead = at, after, 0, False
        self.only = only or (lambda _name, _first: True)
        self.calls = []

    def unset(self) -> None:
        """Never spring; a dead device may be started again."""
        self.at, self.dead = 0, False

    @contextmanager
    def around(self, name: str, first: object) -> Iterator[None]:
        """Around one effect."""
        if self.dead:
            raise Kill
        mine = self.only(name, first)
        if mine:
            self.count += 1
            self.calls.append(f"{name} {first}")
        here = mine and self.count == self.at
        if here and not self.after:
            self._spring()
        try:
            yield
        finally:
            if here:
                self._spring()

    def _spring(self) -> None:
        self.dead = True
        raise Kill


class Trapped:
    """A folder or bucket whose effects go through a trap."""

    def __init__(self, inner: object, effects: frozenset[str], trap: Trap) -> None:
        self._inner, self._effects, self._trap = inner, effects, trap

    def __getattr__(self, name: str) -> object:
        found = getattr(self._inner, name)
        if name not in self._effects:
            return found

        def call(*args: object, **kwargs: object) -> object:
            answer: object = None
            try:
                with self._trap.around(name, args[0] if args else None):
                    answer = found(*args, **kwargs)
            except Kill:
                # The system closes the files of a process that ends.
                if hasattr(answer, "close"):
                    answer.close()
                raise
            return answer

        return call


def trap_commits(monkeypatch: pytest.MonkeyPatch, traps: dict[str, Trap]) -> None:
    """Journal commits go through the trap of the device whose journal it is, named by the journal's directory."""
    whole = Journal.atomic

    @contextmanager
    def atomic(journal: Journal) -> Iterator[None]:
        trap = traps.get(journal.file.parent.name.removesuffix("-state"))
        if trap is None or journal._conn.in_transaction:
            with whole(journal):
                yield
            return
        with whole(journal):
            yield
            if trap.dead or (trap.at == trap.count + 1 and not trap.after and trap.only("commit", None)):
                trap.count, trap.dead = trap.count + 1, True
                raise Kill
        with trap.around("commit", None):
            pass

    monkeypatch.setattr(Journal, "atomic", atomic)


DAWN_NS = 1_790_000_000 * 10**9
"""When every simulation begins, wall clock."""


class SimClock:
    """Time that moves when told, and ids that are the same in every run."""

    def __init__(self, name: str) -> None:
        self.now = 1000.0
        self.wall_ns = DAWN_NS
        self._ids = itertools.count(1)
        self._asked = itertools.count()
        self._name = hashlib.sha256(name.encode()).hexdigest()[:24]

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return self.wall_ns

    def later_ns(self) -> int:
        """As `time_ns`, and never twice the same, as a real clock."""
        return self.wall_ns + next(self._asked)

    def random_id(self) -> str:
        return f"{self._name}{next(self._ids):08x}"

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.wall_ns += int(seconds * 1e9)


class InlinePool:
    """Jobs run when the engine's cycle is over."""

    def __init__(self) -> None:
        self.jobs: deque[Callable[[], None]] = deque()

    def submit(self, run: Callable[[], None], moved: int = 0) -> None:
        self.jobs.append(run)

    def run_all(self) -> None:
        while self.jobs:
            self.jobs.popleft()()


class FakeWatcher:
    """A watcher that notices what the test tells it."""

    def __init__(self) -> None:
        self.marks = Marks()
        self.unwatched: frozenset[model.Path] = frozenset()
        self.alive = True

    def saw(self, *paths: str, trees: tuple[str, ...] = (), everything: bool = False) -> None:
        """The operating system tells of these, true or not."""
        self.marks = Marks(
            self.marks.paths | {model.Path(path) for path in paths},
            self.marks.trees | {model.Path(tree) for tree in trees},
            self.marks.everything or everything,
        )

    @property
    def pending(self) -> bool:
        return bool(self.marks)

    def drain(self) -> Marks:
        marks, self.marks = self.marks, Marks()
        return marks

    def stop(self) -> None:
        self.alive = False


class InlineEngine(Engine):
    """Everything runs on one thread: who asks the engine's thread for something is on it."""

    def call(self, request: Callable[[], object]) -> Future[object]:
        future: Future[object] = Future()
        try:
            future.set_result(request())
        except Exception as exc:  # it belongs to whoever asked
            future.set_exception(exc)
        return future


_living: weakref.WeakSet[Device] = weakref.WeakSet()


def end_all() -> None:
    """End every device that a test has left: each holds a journal and a lock open."""
    while _living:
        _living.pop().kill()


class Device:
    """One folder on one machine."""

    def __init__(
        self,
        base: Path,
        name: str,
        bucket: Callable[[], Bucket],
        *,
        wrap: Callable[[Folder], Folder] = lambda folder: folder,
        keys: bool = False,
        in_two_over: int | None = None,
        **settings: object,
    ) -> None:
        self.name = name
        self.root = base / name
        self.root.mkdir(parents=True, exist_ok=True)
        self.journals = base / f"{name}-state"
        self.clock = SimClock(name)
        self.trap = Trap()
        self.pool = InlinePool()
        self.make_bucket = bucket
        self.wrap = wrap
        self.paging = Paging(in_two_over=in_two_over)
        self.watchers: list[FakeWatcher] = []
        self.watching = False
        """True: a `FakeWatcher` is made, the last of `watchers`."""
        self.project = replace(
            Project(name="p", path=str(self.root), bucket="mem://b", settle_s=0.0),
            **settings,  # type: ignore[arg-type]
        )
        self.key_home = KeyHome(base / f"{name}-keys") if keys else None
        self.engine = self._engine()
        _living.add(self)

    def _engine(self) -> Engine:
        engine = self._new_engine()
        self.pushes = Pushes(engine, tick=lambda: self.step(0.5), at_once=1)
        engine.manual.finish = self.pushes.settle
        self.stage = Stage(engine)
        return engine

    def _new_engine(self) -> Engine:
        wiring = Wiring(
            project=self.project,
            folder=self._trapped(self.wrap(LocalFolder(str(self.root), time_ns=self.clock.later_ns)), FOLDER_EFFECTS),  # type: ignore[arg-type]
            open_bucket=lambda _known: self._trapped(self.make_bucket(), BUCKET_EFFECTS),  # type: ignore[arg-type,return-value]
            clock=self.clock,
            pool=self.pool,
            device=self.name,
            author=f"{self.name}'s owner",
            make_watcher=lambda _skip: self._watcher(),
            key_home=self.key_home,
            paging=self.paging,
        )
        return InlineEngine(wiring, self.journals, at_once=1)

    def _watcher(self) -> FakeWatcher | None:
        if not self.watching:
            return None
        self.watchers.append(FakeWatcher())
        return self.watchers[-1]

    def _trapped(self, inner: object, effects: frozenset[str]) -> object:
        return Trapped(inner, effects, self.trap)

    # --- what happens to it ---------------------------------------------------------------------------------------

    def step(self, seconds: float = 0.0) -> None:
        """One cycle and the jobs it begins."""
        self.clock.advance(seconds)
        try:
            self.engine.run_due(self.clock.monotonic())
            self.pool.run_all()
        except Kill:
            self.kill()
            raise
        if self.trap.dead:
            # A job met it: whatever the engine made of that never happened.
            self.kill()
            raise Kill

    def look(self, *, whole: bool = True) -> None:
        """Ask for a look at both sides."""
        self.engine.look_again(scan=whole)

    def settle(self, limit: int = 400) -> None:
        """Look at both sides and go on until nothing is left to do, or it is halted."""
        scan, listing = self.engine.look_again()
        for _ in range(limit):
            self.step(0.5)
            if self.engine.held is not None:
                return
            done = self.engine.counters
            opened = self.engine.opened
            # Sessions that nothing wants are given up one a cycle, which nobody waits for but a test that counts them.
            idle = self.engine.quiescent() and opened is not None and not opened.giving_up.next((), self.clock.now)
            if idle and done.scans >= scan and done.listings_done >= listing:
                return
        msg = f"{self.name} did not settle: dirty {self._dirty()}, trouble {self.engine.trouble}"
        raise AssertionError(msg)

    def modes(self) -> dict[str, int]:
        """Permission bits of every file outside `.dorky`."""
        return {path: os.stat(f"{self.root}/{path}").st_mode & 0o777 for path, _ in self._walk()}

    def _dirty(self) -> object:
        return self.engine.journal and self.engine.journal.dirty(10)

    def kill(self) -> None:
        """End as SIGKILL does: nothing is tidied up, uncommitted rows are lost."""
        self.pool.jobs.clear()
        if self.engine.journal is not None:
            self.engine.journal.close()
        self.engine.folder.unlock()

    def restart(self) -> None:
        """Begin again from what is on disk."""
        self.kill()
        self.trap.unset()
        self.engine = self._engine()

    @property
    def journal(self) -> Journal:
        assert self.engine.journal is not None
        return self.engine.journal

    @property
    def keyring(self) -> Keyring:
        """Of a device that was made with `keys`."""
        assert self.engine.opened is not None
        assert self.engine.opened.keyring is not None
        return self.engine.opened.keyring

    @property
    def decisions(self) -> Decisions:
        return Decisions(self.engine)

    def restore(self, path: str, at: str | None = None, to: str | None = None) -> list[Outcome]:
        return Restoring(self.engine).restore(path, at, to)

    def undo(self) -> Undone:
        return Undoing(self.engine).undo(dry_run=False)

    @property
    def commits(self) -> Commits:
        """Commits, asked for by a person at this device."""
        return Commits(self.engine, self._settled, at_once=1, wait=lambda _seconds: None)

    @property
    def checkout(self) -> Checkout:
        """Commits brought back, as above."""
        return Checkout(self.commits)

    def _settled(self) -> SyncResult:
        self.settle()
        return SyncResult(self.engine.held is None, State.IN_SYNC if self.engine.held is None else State.HALTED, "")

    # --- what a person does and sees ------------------------------------------------------------------------------

    def write(self, path: str, text: str | bytes) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def tree(self) -> dict[str, str]:
        """Every file outside `.dorky`, with its content."""
        return dict(self._walk())

    def _walk(self) -> Iterator[tuple[str, str]]:
        # Strings throughout: this is done all the time, and objects for paths take most of what it takes then.
        above = len(f"{self.root}/")
        for folder, folders, files in os.walk(str(self.root)):
            folders[:] = sorted(f for f in folders if f != ".dorky")
            for file in sorted(files):
                full = f"{folder}/{file}"
                if not os.path.isfile(full):
                    continue  # opening a FIFO would wait for ever
                with open(full, errors="replace") as reading:
                    yield full[above:], reading.read()

    def problems(self) -> dict[str, str]:
        assert self.engine.journal is not None
        return {problem.path: problem.code for problem, _ in self.engine.journal.ledger.problems()}

    def history(self, path: str) -> list[tuple[str, str]]:
        """What was done to a path, oldest first: the verb, and whose change it was."""
        rows = self.journal._conn.execute("SELECT verb, device FROM history WHERE path = ? ORDER BY seq", (path,))
        return [(verb, device) for verb, device in rows]

    def trashed(self) -> list[str]:
        """Contents of the trash."""
        trash = self.root / ".dorky" / "trash"
        return sorted(f.read_text() for f in trash.rglob("*") if f.is_file())


class World:
    """Devices that share one bucket in memory."""

    def __init__(self, base: Path, store: MemoryBucket | None = None) -> None:
        """`store`: the bucket, with other habits than the usual ones."""
        self.base = base
        self.store = store or MemoryBucket()
        self.devices: list[Device] = []
        self.counts: dict[str, Counter[str]] = {}
        self.faults: Callable[[str, str, str], Fault | None] = lambda _device, _verb, _key: None

    def device(self, name: str, **settings: object) -> Device:
        made = Device(self.base, name, lambda: self.store.client(faults=self._seen_by(name)), **settings)  # type: ignore[arg-type]
        self.devices.append(made)
        return made

    def _seen_by(self, name: str) -> Faults:
        """Counts a device's requests for objects, and asks `faults` what becomes of each request."""
        counts = self.counts.setdefault(name, Counter())

        def ask(verb: str, key: str) -> Fault | None:
            if not key.startswith(".dorky/"):
                counts[verb] += 1
            else:
                counts[f".{verb}"] += 1
            return self.faults(name, verb, key)

        return ask

    def moved(self, name: str | None = None) -> dict[str, int]:
        """Requests since `forget` that move or change objects outside `.dorky/`: PUT, GET, COPY and DELETE."""
        counts = self.counts.values() if name is None else [self.counts[name]]
        total: Counter[str] = sum(counts, Counter())
        return {verb: total[verb] for verb in ("PUT", "GET", "COPY", "DELETE") if total[verb]}

    def forget(self) -> None:
        """Count from here on."""
        for counts in self.counts.values():
            counts.clear()

    def settle(self, rounds: int = 6) -> None:
        """Let every device settle, until a round changes no folder."""
        before: object = None
        for _ in range(rounds):
            for device in self.devices:
                device.settle()
            now = ([(d.tree(), d.modes()) for d in self.devices], self.objects(), self.ops())
            if now == before:
                return
            before = now
        msg = "the devices do not come to rest"
        raise AssertionError(msg)

    def ops(self) -> dict[str, str | None]:
        """Which write made each of the project's objects what it is: a change of metadata alone is one."""
        bucket = self.store.client()
        infos = {path: bucket.head(path) for path in self.objects()}
        return {path: info.meta.get("dorky-op") for path, info in infos.items() if info is not None}

    def begin(self, files: dict[str, str]) -> tuple[Device, Device]:
        """All devices hold these files, and nothing was counted yet. Returns the first two."""
        one, two = self.devices[:2]
        for path, text in files.items():
            one.write(path, text)
        self.settle()
        self.forget()
        return one, two

    def all_hold(self, files: dict[str, str]) -> None:
        """Every folder and the bucket hold exactly these."""
        for device in self.devices:
            assert device.tree() == files, device.name
        assert self.objects() == files

    def put(self, key: str, text: str) -> None:
        """Another tool writes an object, without metadata of ours."""
        bucket = self.store.client()
        found = bucket.head(key)
        bucket.put(key, Bytes(text.encode()), replaces=found.version if found is not None else None, meta={})

    def remove(self, *keys: str) -> None:
        """Another tool deletes objects."""
        bucket = self.store.client()
        for key in keys:
            found = bucket.head(key)
            if found is not None:
                bucket.delete(key, replaces=found.version)

    def bucket_trash(self) -> list[str]:
        """Contents of the bucket's trash."""
        return sorted(self._content(key) for key in self.keys(".dorky/trash/"))

    def keys(self, prefix: str = "") -> list[str]:
        """Every key, ours too."""
        return [listed.key for page in self.store.client().list(prefix) for listed in page]

    def _content(self, key: str) -> str:
        with self.store.client().get(key) as reading:
            return b"".join(reading).decode(errors="replace")

    def objects(self) -> dict[str, str]:
        """The project's objects, with their content."""
        found: dict[str, str] = {}
        bucket = self.store.client()
        for page in bucket.list():
            for listed in page:
                if not listed.key.startswith(".dorky/"):
                    with bucket.get(listed.key) as reading:
                        found[listed.key] = b"".join(reading).decode(errors="replace")
        return found
