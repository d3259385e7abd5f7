"""What start-up finds: a lost, damaged, newer, older or foreign journal, a folder from elsewhere, a second daemon."""

from __future__ import annotations

import os
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from dorkyd.core.report import HaltReason
from dorkyd.errors import Blocked, Busy, NewerSchema
from tests.devices import Device, World

FILES = {"same": "1", "d/mine": "2", "theirs": "3", "gone-here": "4", "gone-there": "5", "both": "6"}


def _world(tmp_path: Path) -> tuple[World, Device, Device]:
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b")
    for path, text in FILES.items():
        a.write(path, text)
    world.settle()
    return world, a, b


def _drift(world: World, a: Device, b: Device) -> None:
    """Both sides change while `a` is down."""
    a.kill()
    a.write("d/mine", "2 here")
    (a.root / "gone-here").unlink()
    b.write("theirs", "3 there")
    b.write("both", "6 there")
    a.write("both", "6 here")
    (b.root / "gone-there").unlink()
    b.settle()


def _journal(device: Device) -> Path:
    (found,) = device.journals.glob("*.db")
    return found


def _all_kept(world: World, a: Device, b: Device) -> None:
    """Without a base: equal everywhere, no manual step, nothing deleted, unequal files kept twice."""
    world.settle()
    assert a.engine.held is None
    assert b.engine.held is None
    assert a.tree() == b.tree() == world.objects()
    texts = set(a.tree().values())
    assert {"1", "2 here", "2", "3 there", "3", "4", "5", "6 here", "6 there"} <= texts
    assert {"same", "d/mine", "theirs", "gone-here", "gone-there", "both"} <= set(a.tree())


def test_a_lost_database(tmp_path: Path) -> None:
    """Every file is compared by content; equal ones move no bytes; nothing is deleted."""
    world, a, b = _world(tmp_path)
    _drift(world, a, b)
    for file in a.journals.iterdir():
        file.unlink()
    a.restart()
    _all_kept(world, a, b)
    assert "started-over" in a.engine.warnings


def test_a_lost_database_without_changes_moves_nothing(tmp_path: Path) -> None:
    """B17: equal content is adopted."""
    world, a, _ = _world(tmp_path)
    a.kill()
    for file in a.journals.iterdir():
        file.unlink()
    a.restart()
    world.forget()
    world.settle()
    assert world.moved() == {}
    assert a.tree() == world.objects() == FILES


@pytest.mark.parametrize("how", ["header", "truncated", "middle"])
def test_a_corrupt_database(tmp_path: Path, how: str) -> None:
    """It is set aside, not deleted, and rebuilt by looking."""
    world, a, b = _world(tmp_path)
    _drift(world, a, b)
    file = _journal(a)
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    content = file.read_bytes()
    match how:
        case "header":
            file.write_bytes(b"not a database" + content[14:])
        case "truncated":
            file.write_bytes(content[: len(content) // 2])
        case _:
            half = len(content) // 2
            file.write_bytes(content[:4096] + os.urandom(half) + content[4096 + half :])
    a.restart()
    _all_kept(world, a, b)
    assert "started-over" in a.engine.warnings
    assert [f for f in a.journals.iterdir() if "damaged" in f.name]


def test_g18_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """A clear error and no writes, anywhere."""
    world, a, _ = _world(tmp_path)
    a.kill()
    with sqlite3.connect(_journal(a)) as conn:
        conn.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('dorkyd.journal', 'm9999', 'x')"
        )
    conn.close()
    a.restart()
    (a.root / "same").unlink()
    before = dict(world.store._store.objects)
    for _ in range(5):
        a.step(3)
    assert a.engine.trouble is not None
    assert a.engine.trouble.code == NewerSchema.code
    assert "newer dorkyd" in a.engine.trouble.detail
    assert world.store._store.objects == before
    with pytest.raises(NewerSchema):
        a.engine.opener.open()


def test_the_journal_of_another_bucket(tmp_path: Path) -> None:
    """The project's bucket was changed: base speaks of the old one, so nothing can be deleted in the new one."""
    world, a, b = _world(tmp_path)
    a.kill()
    other = World(tmp_path / "other")
    c = other.device("c")
    c.write("same", "1")
    c.write("theirs", "other")
    c.settle()
    a.project = replace(a.project, bucket="mem://other")
    a.make_bucket = c.make_bucket
    a.restart()
    other.devices.append(a)
    other.settle()
    assert a.engine.held is None
    assert a.tree() == c.tree() == other.objects()
    assert FILES.keys() <= a.tree().keys()
    assert {*FILES.values(), "other"} == set(a.tree().values())
    assert world.objects() == b.tree() == FILES


def test_a_folder_brought_from_elsewhere(tmp_path: Path) -> None:
    """A marker that no journal here knows: a new replica, nothing is deleted."""
    world, a, b = _world(tmp_path)
    old = a.engine._identity
    _drift(world, a, b)
    a.journals = tmp_path / "another-machine"
    a.restart()
    _all_kept(world, a, b)
    assert old is not None
    assert a.engine._identity is not None
    assert a.engine._identity.replica != old.replica


def test_killed_before_the_place_was_remembered(tmp_path: Path) -> None:
    """A process that ended while it made the journal leaves one that knows no place: the next start tells it, and a copy of
    the folder is noticed later on.
    """
    _, a, _b = _world(tmp_path)
    a.kill()
    with sqlite3.connect(_journal(a)) as conn:
        conn.execute("DELETE FROM meta WHERE key IN ('folder', 'marker_inode', 'bucket', 'counter')")
    conn.close()
    a.restart()
    a.settle()
    a.kill()
    aside = a.root.with_name("aside")
    a.root.rename(aside)
    shutil.copytree(aside, a.root)
    shutil.rmtree(aside)
    a.restart()
    a.step()
    assert a.engine.held is not None
    assert a.engine.held.halt.reason is HaltReason.FOLDER_COPIED


def test_what_a_killed_doctor_left(tmp_path: Path) -> None:
    """It is nobody's, and goes; what else no row explains is kept where a person finds it."""
    _, a, _b = _world(tmp_path)
    a.kill()
    for name in ("doctor-1", "other"):
        (a.root / ".dorky/tmp" / name).write_text("tried")
    a.restart()
    a.settle()
    assert os.listdir(a.root / ".dorky/tmp") == [".clock"] or not os.listdir(a.root / ".dorky/tmp")
    assert [item.path for item in a.engine.folder.trash()] == ["recovered-other"]


def test_an_old_journal_came_back(tmp_path: Path) -> None:
    """A restored journal is behind the folder's counter: as a lost database."""
    world, a, b = _world(tmp_path)
    a.kill()
    shutil.copytree(a.journals, tmp_path / "backup")
    a.restart()
    a.write("later", "7")
    (a.root / "same").unlink()
    world.settle()
    a.write("same", "8")
    world.settle()
    _drift(world, a, b)
    shutil.rmtree(a.journals)
    shutil.copytree(tmp_path / "backup", a.journals)
    a.restart()
    world.settle()
    assert a.engine.held is None
    assert a.tree() == b.tree() == world.objects()
    assert {"2 here", "3 there", "4", "5", "6 here", "6 there", "7", "8"} <= set(a.tree().values())


def test_a_counter_one_ahead_is_ours(tmp_path: Path) -> None:
    """A kill between the folder's counter and the journal's is no rewind."""
    world, a, b = _world(tmp_path)
    a.write("same", "new")
    a.settle()
    a.kill()
    marker = a.engine.folder.identity()
    assert marker is not None
    a.engine.folder.write_identity(replace(marker, counter=marker.counter + 1))
    (a.root / "theirs").unlink()
    a.restart()
    world.settle()
    assert a.engine.warnings == {}
    assert "theirs" not in a.tree()
    assert a.tree() == b.tree() == world.objects()


def test_s01_a_second_daemon_on_one_folder(tmp_path: Path) -> None:
    """Whatever its home: refused with the process's number while the first lives."""
    world, a, _ = _world(tmp_path)
    c = Device(tmp_path, "c", a.make_bucket)
    c.root = a.root
    c.project = replace(a.project)
    c.journals = tmp_path / "other-home"
    c.engine = c._engine()
    with pytest.raises(Busy, match=str(os.getpid())):
        c.engine.opener.open()
    for _ in range(5):
        c.step(3)
    assert c.engine.trouble is not None
    assert c.engine.trouble.code == "busy"
    a.write("more", "m")
    world.settle()
    assert world.objects() == {**FILES, "more": "m"}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 1}', b"\xff\xfe", b'{"format": 99}'])
def test_a_malformed_marker(tmp_path: Path, content: bytes) -> None:
    """Neither absent nor ours: everything waits, with words, and goes on when it is moved away or mended."""
    world, a, b = _world(tmp_path)
    marker = a.root / ".dorky/folder.json"
    good = marker.read_bytes()
    marker.write_bytes(content)
    (a.root / "same").unlink()
    for _ in range(5):
        a.step(3)
    assert a.engine.trouble is not None
    assert "folder.json" in a.engine.trouble.detail
    assert world.objects() == b.tree() == FILES
    a.restart()
    with pytest.raises(Blocked):
        a.engine.opener.open()
    for _ in range(5):
        a.step(3)
    assert world.objects() == b.tree() == FILES
    marker.write_bytes(good)
    for _ in range(20):
        a.step(30)
    world.settle()
    assert "same" not in a.tree()
    assert a.tree() == b.tree() == world.objects()


def test_a_malformed_marker_moved_away(tmp_path: Path) -> None:
    """What its hint says: the folder is then without its marker, and nothing is deleted."""
    world, a, b = _world(tmp_path)
    (a.root / ".dorky/folder.json").write_bytes(b"{")
    a.restart()
    a.step(3)
    (a.root / ".dorky/folder.json").unlink()
    (a.root / "same").unlink()
    for _ in range(20):
        a.step(30)
    assert a.engine.held is not None
    assert a.engine.held.halt.reason is HaltReason.ROOT_MISSING
    a.decisions.approve(a.engine.held.halt.token)
    world.settle()
    assert a.engine.held is None
    assert a.tree() == b.tree() == world.objects() == FILES
