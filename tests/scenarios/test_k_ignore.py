"""Group K: ignored files are invisible, and a change of the rules deletes nothing."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.devices import Device, World


def _world(tmp_path: Path) -> tuple[World, Device, Device]:
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b")
    for path, text in {"f": "1", "x.log": "2", "d/y.log": "3", "keep/z": "4"}.items():
        a.write(path, text)
    world.settle()
    return world, a, b


def test_k03_the_ignore_file_is_synced_and_edited_elsewhere(tmp_path: Path) -> None:
    """The rules apply everywhere, and what became ignored stays wherever it is: nothing is deleted."""
    world, a, b = _world(tmp_path)
    everything = a.tree()
    b.write(".dorkyignore", "*.log\n")
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {**everything, ".dorkyignore": "*.log\n"}
    # From here on they go their own ways.
    a.write("x.log", "mine")
    (b.root / "d/y.log").unlink()
    world.settle()
    assert a.tree()["d/y.log"] == "3"
    assert b.tree()["x.log"] == "2"
    assert world.objects()["x.log"] == "2"
    assert world.objects()["d/y.log"] == "3"
    assert a.trashed() == b.trashed() == []


def test_k03_rules_and_deletions_in_one_batch(tmp_path: Path) -> None:
    """A teammate ignores files and deletes them in one go: the deletion is invisible here and in the bucket."""
    world, a, b = _world(tmp_path)
    b.write(".dorkyignore", "*.log\n")
    (b.root / "x.log").unlink()
    (b.root / "d/y.log").unlink()
    world.settle()
    assert (
        a.tree()
        == world.objects()
        == {".dorkyignore": "*.log\n", "f": "1", "x.log": "2", "d/y.log": "3", "keep/z": "4"}
    )
    assert b.tree() == {".dorkyignore": "*.log\n", "f": "1", "keep/z": "4"}


def test_k03_rules_and_deletions_that_the_watcher_saw(tmp_path: Path) -> None:
    """Without any scan: the rules hold before the deletions beside them are believed."""
    world, a, b = _world(tmp_path)
    a.watching = True
    a.restart()
    a.settle()
    everything = world.objects()
    a.write(".dorkyignore", "*.log\n")
    (a.root / "x.log").unlink()
    a.watchers[-1].saw(".dorkyignore", "x.log")
    for _ in range(20):
        a.step(1.0)
    assert world.objects() == {**everything, ".dorkyignore": "*.log\n"}
    world.settle()
    assert b.tree() == world.objects() == {**everything, ".dorkyignore": "*.log\n"}


def test_rules_lifted(tmp_path: Path) -> None:
    """What is no longer ignored is compared by content: equal files move no bytes, unequal ones are kept twice."""
    world, a, b = _world(tmp_path)
    b.write(".dorkyignore", "*.log\n")
    world.settle()
    a.write("x.log", "mine")
    (b.root / "d/y.log").unlink()
    b.write("new.log", "n")
    world.settle()
    (b.root / ".dorkyignore").unlink()
    world.settle()
    assert a.tree() == b.tree() == world.objects()
    assert a.tree()["x.log"] == "2"
    assert a.tree()["d/y.log"] == "3"
    assert a.tree()["new.log"] == "n"
    assert "mine" in a.tree().values()
    assert len(a.tree()) == 6


@pytest.mark.parametrize("killed", [False, True])
def test_the_settings_ignore(tmp_path: Path, killed: bool) -> None:
    """Local patterns hide files of this device alone, also when they change while the daemon is down."""
    world, a, b = _world(tmp_path)
    a.project = replace(a.project, ignore=("*.log",))
    if killed:
        a.restart()
    else:
        a.engine.close()
        a.restart()
    world.settle()
    (a.root / "x.log").unlink()
    b.write("d/y.log", "theirs")
    b.write("new.log", "n")
    world.settle()
    assert b.tree() == world.objects() == {"f": "1", "x.log": "2", "d/y.log": "theirs", "new.log": "n", "keep/z": "4"}
    assert a.tree() == {"f": "1", "d/y.log": "3", "keep/z": "4"}
    a.project = replace(a.project, ignore=())
    a.restart()
    world.settle()
    assert a.tree() == b.tree() == world.objects()
    assert {"x.log": "2", "d/y.log": "theirs", "new.log": "n"}.items() <= a.tree().items()
    assert "3" in a.tree().values()


def test_the_ignore_file_cannot_lift_what_is_built_in(tmp_path: Path) -> None:
    """Only local settings can."""
    world, a, b = _world(tmp_path)
    a.write("node_modules/m", "m")
    b.write(".dorkyignore", "!node_modules\n!*.log\n")
    world.settle()
    assert "node_modules/m" not in world.objects()
    a.project = replace(a.project, ignore=("!node_modules",))
    a.restart()
    world.settle()
    assert world.objects()["node_modules/m"] == "m"
    assert "node_modules/m" not in b.tree()


def test_an_ignored_file_keeps_its_folder(tmp_path: Path) -> None:
    """C04: the deletion of a folder elsewhere leaves what is ignored here."""
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b", ignore=("*.o",))
    a.write("d/a", "1")
    world.settle()
    b.write("d/x.o", "mine")
    (a.root / "d/a").unlink()
    (a.root / "d").rmdir()
    world.settle()
    assert b.tree() == {"d/x.o": "mine"}
    assert world.objects() == a.tree() == {}


def test_a_line_that_is_not_understood(tmp_path: Path) -> None:
    """It is left out with a warning; the other lines hold."""
    world, a, _ = _world(tmp_path)
    a.write(".dorkyignore", "*.tmp\n[z-a]\n")
    a.write("t.tmp", "t")
    world.settle()
    assert "t.tmp" not in world.objects()
    if a.engine.rules().bad_lines:
        assert "ignore-file" in a.engine.warnings


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("restarted", [False, True])
def test_an_ignore_file_in_the_middle_of_a_save(tmp_path: Path, away: bool, restarted: bool) -> None:
    """It is empty, or not there, for a moment, and that is when the folder is looked at: what it keeps private stays here."""
    a = World(tmp_path).device("a", settle_s=1.0)
    _private(a)
    (a.root / ".dorkyignore").unlink()
    if not away:
        a.write(".dorkyignore", "")
    if restarted:
        a.restart()
    a.look()
    for _ in range(3):
        a.step(0.25)
    a.write(".dorkyignore", "secret\nother\n")
    for _ in range(20):
        a.step(0.25)
    assert _sent(a) == {".dorkyignore", "f"}


def test_nothing_is_sent_while_an_ignore_file_is_written(tmp_path: Path) -> None:
    """A private file comes, and is quiet before the line is that shall keep it here."""
    a = World(tmp_path).device("a", settle_s=1.0)
    a.watching = True
    _private(a)
    a.write("other", "o")
    os.utime(a.root / "other", (1, 1))
    a.watchers[-1].saw("other")
    a.step(0.5)
    a.write(".dorkyignore", "secret\nother\n")
    a.watchers[-1].saw(".dorkyignore")
    for _ in range(20):
        a.step(0.25)
    assert _sent(a) == {".dorkyignore", "f"}


def test_an_ignore_file_that_is_gone_for_good(tmp_path: Path) -> None:
    """It keeps nothing private any more."""
    a = World(tmp_path).device("a", settle_s=1.0)
    _private(a)
    (a.root / ".dorkyignore").unlink()
    a.restart()
    a.settle()
    assert _sent(a) == {"f", "secret"}


def _private(device: Device) -> None:
    """It holds an ignore file, what that names, and something else, all of long ago and in sync."""
    for path, text in {".dorkyignore": "secret\n", "secret": "s", "f": "1"}.items():
        device.write(path, text)
        os.utime(device.root / path, (1, 1))
    device.settle()
    assert _sent(device) == {".dorkyignore", "f"}


def _sent(device: Device) -> set[str]:
    found = {listed.key for page in device.make_bucket().list() for listed in page}
    return {key for key in found if not key.startswith(".dorky/")}
