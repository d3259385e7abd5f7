"""Group F: how programs save, what the watcher tells of it, and when a file is read."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from dorkyd.core.settings import Guard
from dorkyd.folder import LocalFolder, _Probed
from tests.devices import Device, World


def _watched(tmp_path: Path, **settings: object) -> tuple[World, Device, Device]:
    """`a` is watched and settles for a second; `b` is not and does not."""
    world = World(tmp_path)
    a, b = world.device("a", settle_s=1.0, **settings), world.device("b")
    a.watching = True
    a.write("f", "1")
    world.settle()
    world.forget()
    return world, a, b


def _run(device: Device, seconds: float, step: float = 0.1) -> None:
    for _ in range(round(seconds / step)):
        device.step(step)


def test_f01_gedit_saves(tmp_path: Path) -> None:
    """The file is one PUT, its backup another or a copy; the file is never deleted in the bucket."""
    world, a, b = _watched(tmp_path)
    a.write(".goutputstream-X", "2")
    a.watchers[-1].saw(".goutputstream-X")
    a.step(0.1)
    (a.root / "f").rename(a.root / "f~")
    a.watchers[-1].saw("f", "f~")
    a.step(0.1)
    (a.root / ".goutputstream-X").rename(a.root / "f")
    a.watchers[-1].saw(".goutputstream-X", "f")
    _run(a, 6)
    assert world.objects() == {"f": "2", "f~": "1"}
    moved = world.moved("a")
    assert moved.get("DELETE", 0) == 0
    assert moved["PUT"] + moved.get("COPY", 0) == 2
    world.settle()
    assert a.tree() == b.tree() == world.objects()


def test_f04_vim_saves(tmp_path: Path) -> None:
    """One modification; vim's own files are never sent."""
    world, a, b = _watched(tmp_path)
    seen: set[str] = set()

    def sees(_device: str, verb: str, key: str) -> None:
        if verb in {"PUT", "COPY", "DELETE"}:
            seen.add(f"{verb} {key}")

    world.faults = sees  # type: ignore[assignment]
    for name, act in (
        (".f.swp", lambda: a.write(".f.swp", "swap")),
        ("4913", lambda: a.write("4913", "")),
        ("4913", (a.root / "4913").unlink),
        ("f~", lambda: (a.root / "f").rename(a.root / "f~")),
        ("f", lambda: a.write("f", "2")),
        ("f~", (a.root / "f~").unlink),
    ):
        act()
        a.watchers[-1].saw(name, "f")
        a.step(0.05)
    _run(a, 6)
    assert {entry for entry in seen if ".dorky/" not in entry} == {"PUT f"}
    assert world.moved("a") == {"PUT": 1}
    (a.root / ".f.swp").unlink()
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"f": "2"}


def test_f06_a_file_appended_to_for_ten_seconds(tmp_path: Path) -> None:
    """It is sent whole, once, when it is quiet."""
    world, a, b = _watched(tmp_path)
    for n in range(100):
        with (a.root / "f").open("a") as file:
            file.write(f"line {n}\n")
        a.watchers[-1].saw("f")
        a.step(0.1)
    assert world.moved("a") == {}
    _run(a, 3)
    assert world.moved("a") == {"PUT": 1}
    world.settle()
    assert b.tree() == world.objects() == {"f": a.read("f")}
    assert a.read("f").endswith("line 99\n")


def test_f06_a_file_that_is_never_quiet(tmp_path: Path) -> None:
    """`hold_s` bounds how long it is held back, and so how often it is sent; what is sent is never torn."""
    world, a, _ = _watched(tmp_path, hold_s=4.0)
    for n in range(100):
        with (a.root / "f").open("a") as file:
            file.write(f"line {n}\n")
        a.watchers[-1].saw("f")
        a.step(0.1)
    puts = world.moved("a")["PUT"]
    assert 2 <= puts <= 3
    assert world.objects()["f"].endswith("\n")


def test_f06_a_write_while_the_file_is_sent(tmp_path: Path) -> None:
    """Bytes that are no longer those observed are refused whole, and the file is sent when it is quiet."""
    world, a, b = _watched(tmp_path)
    torn = iter([True])

    def writes(_device: str, verb: str, key: str) -> None:
        if (verb, key) == ("PUT", "f") and next(torn, False):
            a.write("f", "newer, and longer")

    a.write("f", "22")
    a.watchers[-1].saw("f")
    world.faults = writes  # type: ignore[assignment]
    _run(a, 3)
    a.watchers[-1].saw("f")
    _run(a, 3)
    assert world.objects() == {"f": "newer, and longer"}
    world.settle()
    assert b.tree() == a.tree() == {"f": "newer, and longer"}


def test_f07_eight_remote_writes(tmp_path: Path) -> None:
    """The last one is here in the end, and no conflict is seen."""
    world, a, b = _watched(tmp_path)
    for n in range(8):
        b.write("f", f"write {n}")
        b.settle()
        a.look(whole=False)
        a.step(0.3)
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"f": "write 7"}


@pytest.mark.parametrize("order", [1, -1])
def test_f13_events_that_are_not_true(tmp_path: Path, order: int) -> None:
    """Events of the wrong kind, about names that never were, in any order: looking tells that nothing happened."""
    world, a, b = _watched(tmp_path)
    a.write("d/x", "1")
    world.settle()
    world.forget()
    marks: list[dict[str, object]] = [
        {"paths": ("d", "f", "d/x", "never", "d/never/was")},
        {"trees": ("d", "f", "never", "d/x")},
        {"everything": True},
    ]
    for mark in marks[::order]:
        a.watchers[-1].saw(*mark.pop("paths", ()), **mark)  # type: ignore[arg-type,misc]
        _run(a, 4)
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"f": "1", "d/x": "1"}
    assert world.moved() == {}
    assert a.problems() == {}


@pytest.mark.timeout(150)
def test_f14_ten_thousand_deletes(tmp_path: Path) -> None:
    """A deep tree of 10,000 files deleted: gone everywhere, little work. Work that grows with the square takes far longer than
    the test may.
    """
    world = World(tmp_path)
    guard = Guard(percent=100, files=100_000, max=100_000)
    a = world.device("a", guard=guard)
    a.watching = True
    for n in range(10_000):
        a.write(f"d/{n // 1000}/{n // 100 % 10}/{n}", f"{n}")
    a.settle(2000)
    for folder, folders, files in os.walk(a.root / "d", topdown=False):
        for file in files:
            os.unlink(os.path.join(folder, file))
        for name in folders:
            os.rmdir(os.path.join(folder, name))
    (a.root / "d").rmdir()
    a.watchers[-1].saw(trees=("d",))
    for _ in range(3000):
        a.step(0.5)
        if a.engine.quiescent():
            break
    assert world.objects() == {}


class _Exact(LocalFolder):
    """On a file system with exact stamps, wherever the test runs."""

    def _probe(self) -> _Probed:
        return replace(super()._probe(), exact=True)


@pytest.mark.parametrize("early", [False, True])
def test_what_came_from_the_bucket_need_not_be_quiet(tmp_path: Path, *, early: bool) -> None:
    """The event of our own install, before it was recorded or after, is looked at without waiting: nothing is read."""
    world = World(tmp_path)
    a, b = world.device("a", settle_s=5.0, wrap=lambda _: _Exact(str(tmp_path / "a"))), world.device("b")
    a.watching = True
    world.settle()
    b.write("f", "theirs")
    b.settle()

    a.look()
    began = a.clock.now
    while "f" not in a.tree():
        a.step(0.1)
    a.watchers[-1].saw("f")
    if early:
        a.engine.opened.local.drain(a.clock.now)  # type: ignore[union-attr]
    for _ in range(10):
        a.step(0.1)
    assert a.engine.quiescent()
    assert a.clock.now - began < 4
    a.write("f", "mine")
    a.watchers[-1].saw("f")
    _run(a, 4)
    assert world.objects() == {"f": "theirs"}
    _run(a, 4)
    assert world.objects() == {"f": "mine"}
