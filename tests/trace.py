"""What devices of a simulation decide and do, told line by line, so that a story that fails can be understood."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from dorkyd.deciding import Decider, Decisions
from dorkyd.journal import Dirty
from tests.devices import FOLDER_EFFECTS, Device

BUCKET_CALLS = frozenset({"head", "get", "read", "begin", "abandon", "put", "delete", "copy", "list"})

_TABLES = ("base", "remote", "seen", "dirty", "intents", "installs", "fetched", "uploads", "problems", "history")
_SHORTER = (
    (re.compile(r"<[^<>]* object [^<>]*>"), "_"),
    (re.compile(r"\d{8}T\d{6}\.\d{9}Z-[0-9a-f]{8}"), "TRASHED"),
    (re.compile(r"FileBody\(folder=_, path='[^']*', local=(.*)\), replaces"), r"\1, replaces"),
    (re.compile(r"'dorky-(sha256|mtime-ns|device|ancestry)': '[^']*',? ?"), ""),
    (re.compile(r"sha256:([0-9a-f]{6})[0-9a-f]{58}"), r"#\1"),
    (re.compile(r"\b[0-9a-f]{24}(?=[0-9a-f]{8}\b)"), "~"),
    (
        re.compile(r"StatTuple\(size=(\d+), mtime_ns=\d+?(\d{9}), ctime_ns=\d+?(\d{9}), inode=(\d+)\)"),
        r"<\1B \2 \3 i\4>",
    ),
    (re.compile(r"\b(mtime_ns|at_ns)=\d+?(\d{9})\b"), r"\1=\2"),
    (re.compile(r"\b(modified|ancestry|device|approved)=(None|\(\)|False),? ?"), ""),
)


def brief(thing: object) -> str:
    """A value as text, without what only programs tell apart."""
    text = repr(thing)
    for pattern, short in _SHORTER:
        text = pattern.sub(short, text)
    return text


class Told:
    """A folder or bucket whose calls are told with their outcome."""

    def __init__(self, inner: object, name: str, calls: frozenset[str], tell: Callable[[str], None]) -> None:
        self._inner, self._name, self._calls, self._tell = inner, name, calls, tell

    def __getattr__(self, name: str) -> object:
        found = getattr(self._inner, name)
        if name not in self._calls:
            return found

        def call(*args: object, **kwargs: object) -> object:
            asked = ", ".join([*(brief(a) for a in args), *(f"{k}={brief(v)}" for k, v in kwargs.items())])
            try:
                answer = found(*args, **kwargs)
            except BaseException as exc:
                self._tell(f"    {self._name} {name} {asked} -> {type(exc).__name__} {exc}")
                raise
            self._tell(f"    {self._name} {name} {asked} -> {brief(answer)[:300]}")
            return answer

        return call


def told_folder(inner: object, name: str, tell: Callable[[str], None]) -> object:
    """Its effects."""
    return Told(inner, name, FOLDER_EFFECTS - {"update_identity"}, tell)


def told_bucket(inner: object, name: str, tell: Callable[[str], None]) -> object:
    """Its requests."""
    return Told(inner, name, BUCKET_CALLS, tell)


def tell_decisions(monkeypatch: pytest.MonkeyPatch, tell: Callable[[str], None]) -> None:
    """Every decision of every device that is not `nothing`."""
    whole = Decider.decide

    def decide(decider: Decider, rows: list[Dirty], **how: object) -> Decisions:
        done = whole(decider, rows, **how)  # type: ignore[arg-type]
        who = decider.device
        for what in (*done.actions, *done.waits, *done.problems):
            tell(f"  {who} decides {brief(what)}")
        for name in ("asks", "clean", "changing", "held_back"):
            if found := getattr(done, name):
                tell(f"  {who} {name}: {', '.join(getattr(row, 'path', row) for row in found)}")
        return done

    monkeypatch.setattr(Decider, "decide", decide)


def journal_lines(device: Device) -> Iterator[str]:
    """What a device remembers of its files, as a last resort."""
    journal = device.engine.journal
    if journal is None:
        return
    for table in _TABLES:
        for row in journal._conn.execute(f"SELECT * FROM {table}"):
            yield f"{device.name} {table}: {brief(row)}"


@contextmanager
def told_on_failure(lines: Callable[[], Iterator[str]]) -> Iterator[None]:
    """Print these when what is inside fails."""
    try:
        yield
    except BaseException:
        print("\n".join(lines()))  # noqa: T201
        raise
