"""Scenario group C: deletions, and what they must not take with them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dorkyd.core.report import HaltReason
from tests.devices import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Devices A and B over one bucket."""
    made = World(tmp_path)
    made.device("A")
    made.device("B")
    return made


def test_c02_a_new_child_survives_the_deletion_of_its_folder(world: World) -> None:
    """Folders are nothing of their own: files are deleted, and only those."""
    one, two = world.begin({"d/a": "1", "stays": "s"})
    shutil.rmtree(one.root / "d")
    two.write("d/n", "2")
    world.settle()
    world.all_hold({"d/n": "2", "stays": "s"})


def test_c04_ignored_files_are_never_deleted(tmp_path: Path) -> None:
    """The folder that holds one stays, which is a problem told of until a person has emptied it."""
    world = World(tmp_path)
    one = world.device("A", ignore=("*.o",))
    two = world.device("B", ignore=("*.o",))
    world.begin({"d/a": "1", "stays": "s"})
    two.write("d/x.o", "ignored")
    shutil.rmtree(one.root / "d")
    world.settle()
    assert one.tree() == world.objects() == {"stays": "s"}
    assert two.tree() == {"d/x.o": "ignored", "stays": "s"}
    assert two.problems() == {"d": "kept-folder"}
    assert two.engine.held is None
    two.restart()
    world.settle()
    assert two.problems() == {"d": "kept-folder"}
    (two.root / "d/x.o").unlink()
    world.settle()
    assert one.problems() == two.problems() == {}


def test_c06_deleted_and_made_again_is_one_edit(world: World) -> None:
    """No deletion is ever seen in the bucket."""
    one, _ = world.begin({"f": "1"})
    (one.root / "f").unlink()
    one.step(0.5)
    one.step(0.5)
    one.write("f", "2")
    world.settle()
    world.all_hold({"f": "2"})
    assert world.moved() == {"PUT": 1, "GET": 1}


def test_c06_a_deletion_waits_for_the_other_half_of_a_save(world: World) -> None:
    """Even when the scan found the file gone before it was made again."""
    one, _ = world.begin({"f": "1"})
    (one.root / "f").unlink()
    one.look()
    for _ in range(3):
        one.step(0.5)
    assert world.objects() == {"f": "1"}
    assert not one.engine.quiescent()
    one.write("f", "2")
    world.settle()
    world.all_hold({"f": "2"})
    assert world.moved() == {"PUT": 1, "GET": 1}


def test_c07_an_old_deletion_does_not_take_a_new_file(world: World) -> None:
    """B hears of the deletion and of the new file at once."""
    one, two = world.begin({"f": "1", "stays": "s"})
    (one.root / "f").unlink()
    one.settle()
    one.write("f", "2")
    one.settle()
    world.settle()
    world.all_hold({"f": "2", "stays": "s"})
    assert two.trashed() == ["1"]


def test_c09_a_late_save_brings_a_deleted_file_back(world: World) -> None:
    """The editor had it open; what was deleted is in the trash."""
    one, two = world.begin({"f": "1", "stays": "s"})
    (one.root / "f").unlink()
    world.settle()
    two.write("f", "new")
    world.settle()
    world.all_hold({"f": "new", "stays": "s"})
    assert two.trashed() == ["1"]


def test_c11_many_deletions_wait_for_a_person_and_the_approval_travels(world: World) -> None:
    """Past the guard nothing is deleted anywhere; approved once, it goes through everywhere."""
    files = {f"f{n}": str(n) for n in range(20)}
    one, two = world.begin(files)
    for n in range(11):
        (one.root / f"f{n}").unlink()
    world.settle()
    assert one.engine.held is not None
    assert one.engine.held.halt.reason is HaltReason.MASS_DELETE
    assert len(two.tree()) == 20
    assert len(world.objects()) == 20
    assert world.moved() == {}
    one.decisions.approve(one.engine.held.halt.token)
    world.settle()
    assert two.engine.held is None
    world.all_hold({f"f{n}": str(n) for n in range(11, 20)})


def test_c13_a_rename_is_no_deletion(tmp_path: Path) -> None:
    """The only file may be renamed with the strictest guard."""
    from dorkyd.core.settings import Guard

    world = World(tmp_path)
    for name in ("A", "B"):
        world.device(name, guard=Guard(percent=0, files=0, max=0))
    one, _ = world.begin({"hello": "1"})
    (one.root / "hello").rename(one.root / "bye")
    world.settle()
    world.all_hold({"bye": "1"})
    assert world.moved() == {"COPY": 1, "DELETE": 1}


def test_c13_what_is_elsewhere_too_is_no_loss(tmp_path: Path) -> None:
    """One of two equal files may be deleted with the strictest guard, in either direction."""
    from dorkyd.core.settings import Guard

    world = World(tmp_path)
    for name in ("A", "B"):
        world.device(name, guard=Guard(percent=0, files=0, max=0))
    one, two = world.begin({"f": "1", "g": "1"})
    (one.root / "f").unlink()
    world.settle()
    assert one.engine.held is two.engine.held is None
    world.all_hold({"g": "1"})


def test_c14_a_missing_root_halts_and_resumes_by_itself(world: World, tmp_path: Path) -> None:
    """Nothing is deleted while the folder is away."""
    one, two = world.begin({"f": "1"})
    one.root.rename(tmp_path / "away")
    for _ in range(4):
        one.step(3.0)
    assert one.engine.held is not None
    assert one.engine.held.halt.reason is HaltReason.ROOT_MISSING
    two.settle()
    assert two.tree() == world.objects() == {"f": "1"}
    (tmp_path / "away").rename(one.root)
    one.step(3.0)
    assert one.engine.held is None
    one.write("f", "2")
    world.settle()
    world.all_hold({"f": "2"})


def test_c16_an_empty_listing_is_not_believed(world: World) -> None:
    """All objects gone at once without any news of it: a halt, and nothing is deleted."""
    one, two = world.begin({"f": "1", "g": "2"})
    world.remove("f", "g")
    world.settle()
    for device in (one, two):
        assert device.engine.held is not None
        assert device.engine.held.halt.reason is HaltReason.REMOTE_EMPTIED
        assert device.tree() == {"f": "1", "g": "2"}


def test_c16_another_projects_prefix_is_not_this_one(world: World) -> None:
    """A prefix without the project's document proves no absence."""
    one, two = world.begin({"f": "1"})
    world.remove("f", ".dorky/project.json")
    world.settle()
    for device in (one, two):
        assert device.engine.held is not None
        assert device.tree() == {"f": "1"}
