"""Push never writes the folder, pull never writes the bucket, and a pause moves nothing."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dorkyd.core.settings import Mode
from tests.devices import Device, World


def _world(tmp_path: Path, mode: Mode, **files: str) -> tuple[World, Device, Device]:
    world = World(tmp_path)
    a, b = world.device("a", mode=mode), world.device("b")
    for path, text in files.items():
        b.write(path, text)
        if mode is Mode.PUSH:
            a.write(path, text)
    world.settle()
    return world, a, b


def test_push_never_writes_the_folder(tmp_path: Path) -> None:
    """Edits and deletions go up; what others add, edit or delete does not come down."""
    world, a, b = _world(tmp_path, Mode.PUSH, f="1", g="2", h="3", i="4")
    a.write("f", "mine")
    (a.root / "g").unlink()
    b.write("h", "theirs")
    (b.root / "i").unlink()
    b.write("new", "n")
    world.settle()
    assert a.tree() == {"f": "mine", "h": "3", "i": "4"}
    assert world.objects() == b.tree() == {"f": "mine", "h": "theirs", "new": "n"}
    assert a.trashed() == []


def test_push_both_edited_is_a_problem(tmp_path: Path) -> None:
    """Neither side is written until a person makes them equal."""
    world, a, b = _world(tmp_path, Mode.PUSH, f="1")
    b.write("f", "theirs")
    b.settle()
    a.write("f", "mine")
    world.settle()
    assert a.problems() == {"f": "conflict-in-push-mode"}
    assert a.tree() == {"f": "mine"}
    assert world.objects() == b.tree() == {"f": "theirs"}
    a.write("f", "theirs")
    world.settle()
    assert a.problems() == {}
    a.write("f", "mine again")
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"f": "mine again"}


def test_push_of_permission_bits(tmp_path: Path) -> None:
    """The object's bits change with the file's, the file's not with the object's."""
    world, a, b = _world(tmp_path, Mode.PUSH, f="1", g="2")
    (b.root / "f").chmod(0o700)
    (a.root / "g").chmod(0o700)
    world.settle()
    assert (a.root / "f").stat().st_mode & 0o777 == 0o644
    assert (b.root / "g").stat().st_mode & 0o777 == 0o700


def test_pull_never_writes_the_bucket(tmp_path: Path) -> None:
    """Edits and deletions come down; local ones stay local and are kept."""
    world, a, b = _world(tmp_path, Mode.PULL, f="1", g="2", h="3", i="4")
    b.write("f", "theirs")
    (b.root / "g").unlink()
    b.write("new", "n")
    b.settle()
    a.write("h", "mine")
    (a.root / "i").unlink()
    a.write("only", "o")
    objects = dict(world.store._store.objects)
    a.settle()
    assert world.store._store.objects == objects
    assert a.tree() == {"f": "theirs", "h": "mine", "new": "n", "only": "o"}
    assert world.objects() == b.tree() == {"f": "theirs", "h": "3", "i": "4", "new": "n"}
    assert a.trashed() == ["1", "2"]


def test_pull_both_edited_keeps_both_here(tmp_path: Path) -> None:
    """The object gets the name, the local bytes a copy that stays local."""
    world, a, b = _world(tmp_path, Mode.PULL, f="1")
    a.write("f", "mine")
    b.write("f", "theirs")
    world.settle()
    assert sorted(a.tree().values()) == ["mine", "theirs"]
    assert a.read("f") == "theirs"
    assert world.objects() == b.tree() == {"f": "theirs"}


def test_pull_with_credentials_that_only_read(tmp_path: Path) -> None:
    """It comes down and stays in step, and not one write is tried: no probe, no document, no log entry."""
    world = World(tmp_path)
    b = world.device("b")
    world.put("f", "1")
    a = world.device("a", mode=Mode.PULL)
    a.settle()
    assert a.tree() == {"f": "1"}
    assert world.keys() == ["f"]
    assert {verb.lstrip(".") for verb in world.counts["a"]} <= {"GET", "HEAD", "LIST"}
    b.write("g", "2")
    world.settle()
    a.write("mine", "stays")
    a.restart()
    world.settle()
    assert a.tree() == {"f": "1", "g": "2", "mine": "stays"}
    assert a.engine.held is None
    assert b.tree() == world.objects() == {"f": "1", "g": "2"}
    assert {verb.lstrip(".") for verb in world.counts["a"]} <= {"GET", "HEAD", "LIST"}


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(("gone", "made"), [("d", "d"), ("f", "f/y")])
def test_pull_lets_a_file_and_a_folder_change_places(tmp_path: Path, gone: str, made: str, *, later: bool) -> None:
    """Nothing waits for a deletion that mode pull never sends; and when the bucket's file changes ours steps aside."""
    world = World(tmp_path)
    a, b = world.device("a", mode=Mode.PULL), world.device("b")
    b.write("d/x", "1")
    b.write("f", "1")
    world.settle()
    shutil.rmtree(a.root / gone) if gone == "d" else (a.root / gone).unlink()
    a.write(made, "mine")
    world.settle()
    assert a.read(made) == "mine"
    assert world.objects() == b.tree() == {"d/x": "1", "f": "1"}
    if later:
        b.write("d/x", "2")
        b.write("f", "2")
        world.settle()
        assert {"d/x": "2", "f": "2"}.items() <= a.tree().items()
        assert sorted(a.tree().values()) == ["2", "2", "mine"]
        assert world.objects() == b.tree() == {"d/x": "2", "f": "2"}
    else:
        a.project = replace(a.project, mode=Mode.TWO_WAY)
        a.restart()
        world.settle()
        assert a.tree() == b.tree() == world.objects()
        assert a.read(made) == "mine"


def test_a_mode_changed_back(tmp_path: Path) -> None:
    """What a mode took away is done when the mode allows it, by the same table."""
    world, a, b = _world(tmp_path, Mode.PUSH, f="1", i="4")
    b.write("f", "theirs")
    (b.root / "i").unlink()
    b.write("new", "n")
    world.settle()
    a.project = replace(a.project, mode=Mode.TWO_WAY)
    a.restart()
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"f": "theirs", "new": "n"}


def test_s05_a_pause_moves_nothing(tmp_path: Path) -> None:
    """Nothing moves, across a restart too; afterwards both sides merge as ever."""
    world, a, b = _world(tmp_path, Mode.TWO_WAY, f="1", g="2", h="3")
    a.engine.pause(2**62)
    a.write("f", "mine")
    (a.root / "g").unlink()
    b.write("f", "theirs")
    b.write("h", "edited")
    b.write("new", "n")
    b.settle()
    bucket = world.objects()
    world.forget()
    for n in range(10):
        if n == 5:
            a.restart()
        a.look()
        a.step(20)
    assert world.counts["a"].total() == 0
    assert a.tree() == {"f": "mine", "h": "3"}
    assert world.objects() == bucket
    a.engine.pause(0)
    world.settle()
    assert a.tree() == b.tree() == world.objects()
    assert a.read("f") == "theirs"
    assert sorted(a.tree().values()) == ["edited", "mine", "n", "theirs"]


def test_s05_a_pause_ends_by_itself(tmp_path: Path) -> None:
    """`--for`: the time is over, sync goes on."""
    world, a, b = _world(tmp_path, Mode.TWO_WAY, f="1")
    a.engine.pause(a.clock.time_ns() + 60 * 10**9)
    a.write("f", "2")
    a.look()
    a.step(30)
    assert world.objects() == {"f": "1"}
    a.clock.advance(31)
    world.settle()
    assert b.tree() == world.objects() == {"f": "2"}
