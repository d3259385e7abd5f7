"""Stories: what persons do to a few paths on several real devices while their daemons work, all of it on record.

One thread does everything, so that the order of the record is the order of the events; the daemons are processes of
their own and meet every operation at whatever point they are. Every value is new (a rename alone carries one to
another path), so what is read tells which write it came from. Of one device's file nothing but this thread and its daemon
writes.

A person who edits a file in place, exchanges it or moves it out knows what was replaced; one who truncates it or renames
another over it, as many programs do, does not, and the record says so.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dorkyd.core.model import Path as Name
from dorkyd.core.paths import parse_conflict
from dorkyd.renames import AtomicRenames, Place
from tests.blackbox.model import ABSENT, Event, Late, Open, Read, Stable, Started, Stopped, Value, Write
from tests.daemons import RealDaemon, settle

PATHS = ("a.txt", "b", "d/.env")
"""In the story's own folder."""
PAUSES_S = (0.0, 0.0, 0.0, 0.01, 0.03, 0.1, 0.25, 0.4, 0.7, 1.2)
"""Between two operations: from back to back to long enough for a value to travel."""
CHASE_S = 6.0
"""How long a program with an open file waits for sync to bring it, and to swap it out."""
READY_S = 240.0
"""A long run in the background is short of a processor at times."""
OPERATIONS = (
    *("write",) * 10,
    *("meet",) * 3,
    *("look",) * 6,
    *("delete",) * 3,
    *("rename",) * 3,
    *("open",) * 3,
    *("close",) * 4,
    *("chase",) * 2,
    "kill",
    "stop",
    *("start",) * 3,
)


class Uncertain(Exception):
    """Sync was quicker in a way that leaves open what was done: the story ends here and is not judged."""


@dataclass(slots=True)
class Handle:
    """A file that a program keeps open."""

    fd: int
    value: str


@dataclass(slots=True)
class Story:
    """One folder's record. The daemons may tell many, one after another."""

    daemons: Sequence[RealDaemon]
    rng: random.Random
    folder: str
    lines: int = 1
    """How often a value's line stands in its file: large files are open to races for longer."""
    rests: bool = True
    """Operations leave pauses."""
    record: list[tuple[str | None, Event, str]] = field(default_factory=list)
    """Path (None: all of them), event, and how it was done."""
    done: Counter[str] = field(default_factory=Counter)
    handles: dict[tuple[int, str], Handle] = field(default_factory=dict)
    writers: dict[str, set[str]] = field(default_factory=dict)
    """Who wrote or moved a value."""
    stopped: set[int] = field(default_factory=set)
    _serial: int = 0

    # --- what persons do ----------------------------------------------------------------------------------------

    def tell(self, operations: int) -> None:
        """So many operations, then everything is closed and started. `Uncertain` ends it early."""
        wait = threading.Event()
        try:
            for _ in range(operations):
                self._operation()
                if self.rests:
                    wait.wait(self.rng.choice(PAUSES_S))
        finally:
            for n, path in list(self.handles):
                self._close(n, path)
            for n in sorted(self.stopped):
                self._start(n)
            for daemon in self.daemons:
                daemon.ready(READY_S)

    def _operation(self) -> None:
        n, path = self.rng.randrange(len(self.daemons)), self.rng.choice(PATHS)
        kind = self.rng.choice(OPERATIONS)
        held = (n, path) in self.handles
        match kind:
            case "write" if not held:
                self._write(n, path)
            case "meet":
                for other in self.rng.sample(range(len(self.daemons)), len(self.daemons)):
                    if (other, path) not in self.handles:
                        self._write(other, path)
            case "look":
                self._look(n, path)
            case "delete" if not held:
                self._delete(n, path)
            case "rename" if not held:
                self._rename(n, path, self.rng.choice(PATHS))
            case "open" if not held:
                self._open(n, path)
            case "close" if self.handles:
                self._close(*self.rng.choice(list(self.handles)))
            case "chase" if not held and n not in self.stopped:
                self._chase(n, path)
            case "kill" | "stop" if n not in self.stopped:
                self._end(n, kind)
            case "start" if self.stopped:
                self._start(self.rng.choice(sorted(self.stopped)))
            case _:
                return
        self.done[kind] += 1

    def _write(self, n: int, path: str) -> None:
        self.rng.choice((self._in_place, self._in_place, self._truncating, self._renaming, self._exchanging))(n, path)

    def _in_place(self, n: int, path: str) -> None:
        """Through the handle that it was read from."""
        try:
            fd = os.open(self._full(n, path), os.O_RDWR)
        except FileNotFoundError:
            self._create(n, path)
            return
        with contextlib.closing(_Fd(fd)):
            old, new = self._value(_all(fd)), self._new(n)
            os.pwrite(fd, self._bytes(new), 0)
        self._note(path, Write(n, new, True, old), "in place")

    def _create(self, n: int, path: str) -> None:
        new = self._new(n)
        try:
            with self._made(n, path, "x") as stream:
                stream.write(self._bytes(new))
        except FileExistsError:
            return  # it came just now
        self._note(path, Write(n, new, True, ABSENT), "created")

    def _truncating(self, n: int, path: str) -> None:
        """As a shell's `>`."""
        new = self._new(n)
        with self._made(n, path, "w") as stream:
            stream.write(self._bytes(new))
        self._note(path, Write(n, new, False), "truncated")

    def _renaming(self, n: int, path: str) -> None:
        """As most editors: another file, renamed over it."""
        new = self._new(n)
        self._put_over(n, path, new, lambda temporary, full: temporary.replace(full))
        self._note(path, Write(n, new, False), "renamed over")

    def _exchanging(self, n: int, path: str) -> None:
        """Another file trades names with it, so that it is known what was replaced."""
        new = self._new(n)
        try:
            temporary = self._put_over(n, path, new, lambda one, two: _atomically(one, two, exchange=True))
        except FileNotFoundError:
            self._create(n, path)
            return
        old = self._value(temporary.read_bytes())
        temporary.unlink()
        self._note(path, Write(n, new, True, old), "exchanged")

    def _put_over(self, n: int, path: str, value: str, put: Callable[[Path, Path], object]) -> Path:
        full = self._full(n, path)
        temporary = full.with_name(f".{secrets.token_hex(4)}.swp")
        with self._made(n, str(Path(path).with_name(temporary.name)), "x") as stream:
            stream.write(self._bytes(value))
        try:
            put(temporary, full)
        except FileNotFoundError:
            temporary.unlink()
            raise
        return temporary

    def _look(self, n: int, path: str) -> None:
        value = self._read(n, path)
        self._note(path, Read(n, value, frozenset(self.copies(n)[path])), "looked")

    def _delete(self, n: int, path: str) -> None:
        full = self._full(n, path)
        out = self._away(n)
        blind = self.rng.random() < 0.5
        try:
            if blind:
                full.unlink()
            else:
                full.rename(out)
        except FileNotFoundError:
            self._note(path, Read(n, ABSENT), "nothing to delete")
            return
        if blind:
            self._note(path, Write(n, ABSENT, False), "unlinked")
        else:
            self._note(path, Write(n, ABSENT, True, self._value(out.read_bytes())), "taken away")

    def _rename(self, n: int, path: str, to: str) -> None:
        if path == to or (n, to) in self.handles:
            return
        full, target = self._full(n, path), self._full(n, to)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            fd = os.open(full, os.O_RDONLY)
        except FileNotFoundError:
            return
        with contextlib.closing(_Fd(fd)):
            try:
                _atomically(full, target, exchange=False)
            except (FileExistsError, FileNotFoundError):
                return
            try:
                moved = os.stat(target).st_ino == os.fstat(fd).st_ino
            except FileNotFoundError:
                moved = False
            value = self._value(_all(fd))
        if not moved:
            raise Uncertain(f"{path} -> {to}: which file was renamed?")
        self.writers[value].add(self.daemons[n].name)
        self._note(path, Write(n, ABSENT, True, value), f"renamed to {to}")
        self._note(to, Write(n, value, True, ABSENT), f"renamed from {path}")

    def _open(self, n: int, path: str) -> None:
        try:
            fd = os.open(self._full(n, path), os.O_RDWR)
        except FileNotFoundError:
            self._note(path, Read(n, ABSENT), "nothing to open")
            return
        value = self._value(_all(fd))
        self.handles[n, path] = Handle(fd, value)
        self._note(path, Open(n, value), "opened")

    def _close(self, n: int, path: str) -> None:
        handle = self.handles.pop((n, path))
        new = self._new(n)
        with contextlib.closing(_Fd(handle.fd)):
            displaced = self._inode(n, path) != os.fstat(handle.fd).st_ino
            os.pwrite(handle.fd, self._bytes(new), 0)
        if displaced:
            self.done["late writes"] += 1
        self._note(path, Late(n, new), "written late and closed" if displaced else "written and closed")

    def _chase(self, n: int, path: str) -> None:
        """Two devices agree, the other one writes, and as soon as sync swaps the file out here, or soon after, somebody
        who had it open writes into the old one.
        """
        others = [
            m for m in range(len(self.daemons)) if m != n and m not in self.stopped and (m, path) not in self.handles
        ]
        if not others:
            return
        other = self.rng.choice(others)
        if self._inode(n, path) == 0:
            self._create(n, path)
        self._within(CHASE_S, lambda: self._read(n, path) == self._read(other, path))
        self._open(n, path)
        if (n, path) in self.handles:
            self._write(other, path)
            inode = os.fstat(self.handles[n, path].fd).st_ino
            self._within(CHASE_S, lambda: self._inode(n, path) != inode)
            # At once, sync still has to look at what came out; later, it lies in the trash.
            threading.Event().wait(self.rng.choice((0.0, 0.002, 0.5, 1.0)))
            self._close(n, path)

    def _within(self, seconds: float, happened: Callable[[], bool]) -> None:
        """Wait for it, but no longer than that."""
        end, wait = time.monotonic() + seconds, threading.Event()
        while not happened() and time.monotonic() < end:
            wait.wait(0.001)

    def _end(self, n: int, kind: str) -> None:
        if kind == "kill":
            self.daemons[n].kill()
        else:
            self.daemons[n].stop()
        self.stopped.add(n)
        self._note(None, Stopped(n), kind)

    def _start(self, n: int) -> None:
        self.stopped.discard(n)
        self._note(None, Started(n), "start")
        self.daemons[n].launch()

    # --- what is seen -------------------------------------------------------------------------------------------

    def rest(self) -> dict[str, Stable]:
        """Let all daemons come to rest; what each path is then."""
        settle(*self.daemons)
        copies = [self.copies(n) for n in range(len(self.daemons))]
        return {
            path: Stable(tuple((self._read(n, path), frozenset(copies[n][path])) for n in range(len(self.daemons))))
            for path in PATHS
        }

    def trace(self, path: str) -> list[tuple[Event, str]]:
        """What concerns one path."""
        return [(event, how) for where, event, how in self.record if where in {path, None}]

    def copies(self, n: int) -> dict[str, list[str]]:
        """The values in conflict copies on a device, by the path that they are copies of."""
        found: dict[str, list[str]] = {path: [] for path in PATHS}
        root = self.daemons[n].root / self.folder
        for full in root.rglob("* (conflict *"):
            path, device = str(full.relative_to(root)), ""
            while (told := parse_conflict(Name(path))) is not None:
                path, device = told.original, device or told.device
            value = self._value(full.read_bytes())
            assert path in found, f"a copy of nothing: {full}"
            known = self.writers.get(value, {device})
            assert device in known, f"{full} holds what {known} wrote"
            found[path].append(value)
        return found

    def _read(self, n: int, path: str) -> Value:
        try:
            return self._value(self._full(n, path).read_bytes())
        except FileNotFoundError:
            return ABSENT

    def _inode(self, n: int, path: str) -> int:
        try:
            return os.stat(self._full(n, path)).st_ino
        except FileNotFoundError:
            return 0

    # --- inside -------------------------------------------------------------------------------------------------

    def _note(self, path: str | None, event: Event, how: str) -> None:
        self.record.append((path, event, how))

    def _new(self, n: int) -> str:
        self._serial += 1
        value = f"{self.folder}.{self._serial:04}"
        self.writers[value] = {self.daemons[n].name}
        return value

    def _bytes(self, value: str) -> bytes:
        return f"{value}\n".encode() * self.lines

    def _value(self, data: bytes) -> str:
        """Which value a file's content is; one that nobody wrote tells itself."""
        value = data.partition(b"\n")[0].decode(errors="replace")
        return value if data == self._bytes(value) else f"torn: {len(data)} bytes that begin with {value[:40]!r}"

    def _full(self, n: int, path: str) -> Path:
        return self.daemons[n].root / self.folder / path

    def _away(self, n: int) -> Path:
        root = self.daemons[n].root
        away = root.with_name(f"away-{root.name}")
        away.mkdir(exist_ok=True)
        return away / secrets.token_hex(8)

    def _made(self, n: int, path: str, mode: str) -> io.FileIO:
        """A file, opened where sync may just be removing its folder."""
        full = self._full(n, path)
        for _ in range(100):
            full.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                return io.FileIO(full, mode)
        raise AssertionError(f"{full.parent} is removed again and again")


class _Fd:
    """Something that can be closed."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        os.close(self.fd)


def _all(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size + 1, 0)


def _atomically(one: Path, two: Path, *, exchange: bool) -> None:
    with contextlib.ExitStack() as closing:
        places = []
        for full in (one, two):
            folder = os.open(full.parent, os.O_RDONLY | os.O_DIRECTORY)
            closing.callback(os.close, folder)
            places.append(Place(folder, full.name))
        renames = AtomicRenames()
        (renames.exchange if exchange else renames.place)(*places)
