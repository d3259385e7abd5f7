"""Scenario group A: one change on one side, and exactly the requests it costs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dorkyd.core import metadata
from tests.devices import Device, World

T_NS = 1_600_000_000_123_456_789


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Devices A and B over one bucket."""
    made = World(tmp_path)
    made.device("A")
    made.device("B")
    return made


def pair(world: World) -> tuple[Device, Device]:
    """A and B."""
    one, two = world.devices
    return one, two


def meta(world: World, path: str) -> metadata.Remote:
    """What the object says."""
    info = world.store.client().head(path)
    assert info is not None
    return metadata.remote_of(info.version, info.size, info.modified, info.meta)


def mode(device: Device, path: str) -> int:
    """A file's permission bits."""
    return (device.root / path).stat().st_mode & 0o777


def test_a01_a_created_file_costs_one_put_and_one_get(world: World) -> None:
    """A new file is created in the bucket once and fetched once."""
    one, _ = pair(world)
    world.settle()
    world.forget()
    one.write("f", "1")
    world.settle()
    world.all_hold({"f": "1"})
    assert world.moved("A") == {"PUT": 1}
    assert world.moved("B") == {"GET": 1}


def test_a02_an_edit_replaces_exactly_the_version_it_was_made_from(world: World) -> None:
    """An edit is one PUT over the old version, which the bucket's trash keeps."""
    one, two = world.begin({"f": "1"})
    one.write("f", "2")
    world.settle()
    world.all_hold({"f": "2"})
    assert world.moved("A") == {"PUT": 1}
    assert world.moved("B") == {"GET": 1}
    assert world.bucket_trash() == ["1"]
    assert two.trashed() == ["1"]


def test_a03_a_deletion_reaches_the_other_device_and_both_keep_the_bytes(world: World) -> None:
    """A deletion is one conditional DELETE; the other device's file goes to its trash."""
    one, two = world.begin({"f": "1", "stays": "s"})
    (one.root / "f").unlink()
    world.settle()
    world.all_hold({"stays": "s"})
    assert world.moved() == {"DELETE": 1}
    assert world.bucket_trash() == ["1"]
    assert two.trashed() == ["1"]


def test_a03_the_only_file_may_be_deleted_too(world: World) -> None:
    """With news of the deletion no device takes the bucket for emptied."""
    one, two = world.begin({"f": "1"})
    (one.root / "f").unlink()
    world.settle()
    world.all_hold({})
    assert two.trashed() == ["1"]
    assert one.engine.held is None
    assert two.engine.held is None


def test_a04_an_empty_folder_stays_where_it_was_made(world: World) -> None:
    """Empty folders are not synced, and sync never removes one."""
    one, two = world.begin({"f": "1"})
    (one.root / "d").mkdir()
    world.settle()
    assert (one.root / "d").is_dir()
    assert not (two.root / "d").exists()
    assert world.moved() == {}


def test_a05_parents_are_made_for_a_nested_file(world: World) -> None:
    """A file three levels down arrives with its folders."""
    one, _ = world.begin({})
    one.write("d/e/f", "1")
    world.settle()
    world.all_hold({"d/e/f": "1"})
    assert world.moved() == {"PUT": 1, "GET": 1}


def test_a06_a_deleted_folder_is_gone_everywhere(world: World) -> None:
    """Its files and, once emptied by sync, the folder itself are removed on the other device."""
    one, two = world.begin({"d/f": "1", "d/g": "2", "stays": "s"})
    for name in ("f", "g"):
        (one.root / "d" / name).unlink()
    (one.root / "d").rmdir()
    world.settle()
    world.all_hold({"stays": "s"})
    assert not (two.root / "d").exists()
    assert world.moved() == {"DELETE": 2}


def test_a07_touching_a_file_moves_nothing(world: World) -> None:
    """Times are carried, never compared."""
    one, _ = world.begin({"f": "1"})
    os.utime(one.root / "f")
    world.settle()
    world.all_hold({"f": "1"})
    assert world.moved() == {}
    world.settle()
    assert one._dirty() == []


def test_a08_a_change_with_its_old_size_and_mtime_is_found(world: World) -> None:
    """Other bytes of the same length under a restored mtime show in ctime."""
    one, _ = world.begin({"f": "0123456789"})
    before = (one.root / "f").stat()
    one.write("f", "abcdefghij")
    os.utime(one.root / "f", ns=(before.st_atime_ns, before.st_mtime_ns))
    world.settle()
    world.all_hold({"f": "abcdefghij"})
    assert world.moved() == {"PUT": 1, "GET": 1}


def test_a09_an_older_file_moved_over_while_stopped_is_found(world: World) -> None:
    """The scan at start compares stat tuples, not times with the last sync."""
    one, _ = world.begin({"f": "1"})
    one.kill()
    one.write("older", "2")
    os.utime(one.root / "older", ns=(10**18, 10**18))
    (one.root / "older").rename(one.root / "f")
    one.restart()
    world.settle()
    world.all_hold({"f": "2"})


def test_a10_permission_bits_travel_without_the_body(world: World) -> None:
    """chmod is one metadata copy with a precondition."""
    one, two = world.begin({"f": "1"})
    (one.root / "f").chmod(0o755)
    world.settle()
    assert mode(two, "f") == 0o755
    assert meta(world, "f").mode == 0o755
    assert world.moved() == {"COPY": 1}


def test_a11_a_device_keeps_its_own_bits_when_only_content_changed(world: World) -> None:
    """Bits are a field of their own: an edit elsewhere does not take back a chmod here."""
    one, two = world.begin({"f": "1"})
    (two.root / "f").chmod(0o744)
    one.write("f", "2")
    one.settle()
    world.settle()
    world.all_hold({"f": "2"})
    assert mode(two, "f") == 0o744
    assert meta(world, "f").mode == 0o744


def test_a12_mtime_is_restored_and_causes_no_second_upload(world: World) -> None:
    """The receiver's file has the writer's mtime to the nanosecond."""
    one, two = world.begin({})
    one.write("f", "1")
    os.utime(one.root / "f", ns=(T_NS, T_NS))
    world.settle()
    assert (two.root / "f").stat().st_mtime_ns == T_NS
    assert meta(world, "f").mtime_ns == T_NS
    assert world.moved() == {"PUT": 1, "GET": 1}


@pytest.mark.parametrize("year", [1600, 2300])
def test_a12_times_that_are_far_away(quick_path: Path, year: int) -> None:
    """A file of a year that nanoseconds in 64 bits cannot tell syncs like any other, and does not keep the others waiting."""
    world = World(quick_path)
    one, two = world.device("A"), world.device("B")
    world.begin({"g": "1"})
    one.write("f", "1")
    at_ns = (year - 1970) * 365 * 86_400 * 10**9
    os.utime(one.root / "f", ns=(at_ns, at_ns))
    one.write("g", "2")
    world.settle()
    world.all_hold({"f": "1", "g": "2"})
    one.write("f", "here")
    two.write("f", "there")
    os.utime(two.root / "f", ns=(at_ns, at_ns))
    world.forget()
    world.settle()
    assert sorted(two.tree().values()) == ["2", "here", "there"]
    world.all_hold(two.tree())
    world.forget()
    world.settle()
    assert world.moved() == {}


def test_a13_a_second_look_moves_nothing(world: World) -> None:
    """In sync, whole scans and whole listings lead to no request that changes or fetches anything."""
    world.begin({"f": "1", "d/g": "2"})
    world.settle()
    for device in world.devices:
        device.restart()
    world.settle()
    world.settle()
    assert world.moved() == {}
