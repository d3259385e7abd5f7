"""What stands between a device of a story and its world: a bucket and a folder on which a bad day can be ordered.

Each order counts down: the third write from here hangs, the second effect that needs room finds none. So a story says what
happens without knowing what its devices will do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from types import TracebackType
from typing import Any, Self, TypeVar

from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.core.model import Path, Problem
from dorkyd.core.paths import is_under
from dorkyd.errors import Denied, DiskFull, DorkyError, PathProblem, RateLimited, Stale, Transient
from dorkyd.news import Bytes
from dorkyd.ports import Entry, Observation
from dorkyd.renames import AtomicRenames, StepwiseRenames
from tests.devices import FOLDER_EFFECTS
from tests.simulation.steps import Edit, Fail, FaultKind
from tests.stamps import StampedFolder, Stamps

_WRITES = frozenset({"PUT", "COPY", "DELETE"})
_NEEDS_ROOM = frozenset({
    "stage", "stage_copy", "seal", "swap_in", "put_in", "rename", "to_trash", "trash_to_stage", "update_identity",
})  # fmt: skip
_QUIET_EFFECTS = frozenset({"update_identity", "write_identity", "drop_empty_parents"})
_AT_A_PATH = frozenset({"take_out", "rename", "set_mode", "open", "stage_copy", "tree_of"})


@dataclass(slots=True)
class Orders:
    """What is going to happen to one device."""

    fails: list[tuple[int, Fail]] = field(default_factory=list)
    hangs: list[int] = field(default_factory=list)
    edits: list[tuple[int, Edit]] = field(default_factory=list)
    disk: list[int] = field(default_factory=list)
    full: bool = False
    unreadable: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    power: bool = False
    """The power goes with the next kill."""
    volatile: set[str] = field(default_factory=set)
    """Staged names whose bytes were not made durable yet."""

    def clear(self) -> None:
        """All is well, but for what may not be read or is refused."""
        self.fails.clear()
        self.hangs.clear()
        self.edits.clear()
        self.disk.clear()
        self.full = False

    @property
    def stuck(self) -> set[str]:
        """Paths that cannot sync."""
        return self.unreadable | self.refused


_What = TypeVar("_What")


def due(orders: list[tuple[int, _What]], counts: Callable[[_What], bool]) -> _What | None:
    """Count down all orders that this event counts for; the first that is due now."""
    found: _What | None = None
    for index, (left, what) in reversed(list(enumerate(orders))):
        if not counts(what):
            continue
        if left <= 1:
            del orders[index]
            found = what
        else:
            orders[index] = (left - 1, what)
    return found


def down(orders: list[int]) -> bool:
    """Count down; whether one is due now."""
    hit = any(left <= 1 for left in orders)
    orders[:] = [left - 1 for left in orders if left > 1]
    return hit


@dataclass(slots=True)
class Tally:
    """What happened, for the report and for seeing that nothing happens any more."""

    moved: int = 0
    """Requests that change the bucket or move an object's bytes, and effects in folders."""
    faults: Counter[str] = field(default_factory=Counter)


class Pipe:
    """A device's way to the bucket."""

    def __init__(
        self,
        store: MemoryBucket,
        name: str,
        orders: Orders,
        tally: Tally,
        say: Callable[[str], None],
        hanging: list[tuple[str, Callable[[], object]]],
    ) -> None:
        self.store, self.name, self.orders, self.tally, self.say = store, name, orders, tally, say
        self.hanging = hanging

    def client(self) -> Any:
        """A bucket as the engine gets it."""
        return _Writes(self.store.client(faults=self._fault), self)

    def _fault(self, verb: str, key: str) -> Fault | None:
        ours = key.startswith(".dorky/")
        if verb in _WRITES or (verb == "GET" and not ours):
            self.tally.moved += 1
        if key in self.orders.refused:
            return Fault(Denied(f"{key}: refused"), "before")
        order = due(self.orders.fails, lambda fail: _among(fail.among, verb))
        if order is None:
            return None
        when = order.when
        if verb not in _WRITES and when == "after":
            when = "before"
        if when == "midway" and verb != "GET":
            when = "before"
        self.tally.faults[f"{order.kind} {when} {'write' if verb in _WRITES else verb.lower()}"] += 1
        self.say(f"   ({self.name} {verb} {key or 'everything'}: {order.kind}, {when})")
        return Fault(_error(order.kind, verb), when)


def _among(among: str, verb: str) -> bool:
    match among:
        case "write":
            return verb in _WRITES
        case "read":
            return verb in {"HEAD", "GET"}
        case "list":
            return verb == "LIST"
        case _:
            return True


def _error(kind: FaultKind, verb: str) -> DorkyError:
    match kind:
        case "stale" if verb in _WRITES:
            return Stale("409 or 412")
        case "offline":
            return Transient("gone", offline=True)
        case "busy":
            return RateLimited("503, slow down", retry_after_s=1.0)
        case "denied":
            return Denied("403")
        case _:
            return Transient("lost")


class _Writes:
    """Every write is checked against what the bucket held, and may hang."""

    def __init__(self, inner: MemoryBucket, pipe: Pipe) -> None:
        self._inner, self._pipe = inner, pipe

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in {"put", "delete", "copy"}:
            return found
        pipe = self._pipe

        def call(*args: Any, **kwargs: Any) -> object:
            key = args[0] if name != "copy" else args[1]
            if down(pipe.orders.hangs):
                if name == "put" and kwargs.get("session") is None:
                    # The bytes left this machine before the connection broke.
                    with args[1].open() as stream:
                        args = (args[0], Bytes(stream.read()), *args[2:])
                pipe.tally.faults["hanging write"] += 1
                pipe.say(f"   ({pipe.name} {name} {key}: hangs in the network)")
                pipe.hanging.append((pipe.name, lambda: self._checked(key, found, args, kwargs)))
                raise Transient("timed out")
            return self._checked(key, found, args, kwargs)

        return call

    def _checked(self, key: str, found: Callable[..., object], args: Any, kwargs: Any) -> object:
        objects = self._inner._store.objects
        before = objects.get(key)
        try:
            return found(*args, **kwargs)
        finally:
            if objects.get(key) is not before:
                held = before.info.version if before is not None else None
                assert "replaces" in kwargs, f"a write of {key} without a condition"
                assert kwargs["replaces"] == held, (
                    f"a write of {key} that was to replace {kwargs['replaces']}, not {held}"
                )


class _Filling:
    """A staged file on a disk that is full after half of the first chunk."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inner.close()

    def write(self, data: bytes) -> int:
        self._inner.write(data[: len(data) // 2])
        raise DiskFull("no space left")

    def close(self) -> None:
        self._inner.close()


class SimFolder(StampedFolder):
    """Its `.dorky` is the same in every run."""

    def marker_inode(self) -> int:
        super().marker_inode()
        return 1


class Disk:
    """A device's folder, as the engine gets it: with the disk's and the system's refusals."""

    def __init__(self, inner: SimFolder, orders: Orders, tally: Tally, say: Callable[[str], None], name: str) -> None:
        self._inner, self._orders, self._tally, self._say, self._name = inner, orders, tally, say, name

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        effect = name in FOLDER_EFFECTS
        if not effect and name not in _AT_A_PATH:
            return found

        def call(*args: Any, **kwargs: Any) -> object:
            orders = self._orders
            if effect and name not in _QUIET_EFFECTS:
                self._tally.moved += 1
            if orders.unreadable and name in _AT_A_PATH and (where := self._refused(args[0])) is not None:
                raise where
            if name in _NEEDS_ROOM and (down(orders.disk) or orders.full):
                self._tally.faults[f"full disk at {name}"] += 1
                self._say(f"   ({self._name} {name} {args[0]}: no space left)")
                if name == "stage":
                    orders.volatile.add(args[0])
                    return _Filling(found(*args, **kwargs))
                raise DiskFull("no space left")
            answer = found(*args, **kwargs)
            if name in {"stage", "stage_copy", "trash_to_stage"} and kwargs.get("keep", True):
                orders.volatile.add(args[0] if name == "stage" else args[-1])
            elif name in {"seal", "unstage"}:
                orders.volatile.discard(args[0])
            return answer

        return call

    @property
    def folds(self) -> bool:
        return self._inner.folds

    def _refused(self, path: str) -> PathProblem | None:
        for bad in self._orders.unreadable:
            if path == bad or is_under(Path(path), Path(bad)):
                self._tally.faults["unreadable"] += 1
                return PathProblem(path, f"{path}: may not be read", code="unreadable")
        return None

    def observe(self, path: Path, known: Any) -> Observation:
        if self._orders.unreadable and (refused := self._refused(path)) is not None:
            return Problem(path, refused.code, str(refused))
        return self._inner.observe(path, known)

    def scan(self, skip: Callable[[Path, bool], bool], under: Path | None = None) -> Iterator[Entry | Problem]:
        told: set[str] = set()
        for met in self._inner.scan(skip, under):
            bad = next((b for b in self._orders.unreadable if met.path == b or is_under(met.path, Path(b))), None)
            if bad is None:
                yield met
            elif bad not in told:
                told.add(bad)
                yield Problem(Path(bad), "unreadable", f"{bad}: may not be read")


def folder(
    root: FilePath, stamps: Stamps, orders: Orders, tally: Tally, *, stepwise: bool, between: Callable[[str], None],
    say: Callable[[str], None], name: str,
) -> Disk:  # fmt: skip
    """One device's."""
    renames = StepwiseRenames() if stepwise else AtomicRenames()
    return Disk(SimFolder(str(root), stamps, renames=renames, between=between), orders, tally, say, name)
