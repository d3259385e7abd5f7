"""Scenario group B: both devices change something before they meet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dorkyd.buckets.memory import Fault
from dorkyd.core import model
from dorkyd.core.paths import parse_conflict
from dorkyd.errors import Transient
from tests.devices import Device, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Devices A and B over one bucket."""
    made = World(tmp_path)
    made.device("A")
    made.device("B")
    return made


def copies(world: World, original: str) -> dict[str, str]:
    """Conflict copies of a path with their content, once all agree: device of the loser to content."""
    one = world.devices[0].tree()
    for device in world.devices:
        assert device.tree() == one
    assert world.objects() == one
    found: dict[str, str] = {}
    for path, text in one.items():
        name = parse_conflict(path)  # type: ignore[arg-type]
        if name is not None and name.original == original:
            assert name.device not in found
            found[name.device] = text
    return found


def without_copies(world: World) -> dict[str, str]:
    """All but conflict copies."""
    return {p: t for p, t in world.devices[0].tree().items() if parse_conflict(p) is None}  # type: ignore[arg-type]


def forget_base(device: Device) -> None:
    """The journal is lost."""
    device.kill()
    for file in device.journals.iterdir():
        file.unlink()
    device.restart()


def test_b01_the_same_file_made_twice_is_adopted(world: World) -> None:
    """Equal bytes on both sides agree: no copy, and one body at most."""
    one, two = world.begin({})
    one.write("f", "1")
    two.write("f", "1")
    world.settle()
    world.all_hold({"f": "1"})
    assert world.moved() == {"PUT": 1}


def test_b01_the_loser_of_a_create_that_raced_adopts(world: World) -> None:
    """Both send the same new file at once: the store refuses the second, which looks and adopts."""
    one, two = world.begin({})
    one.write("f", "1")
    two.write("f", "1")
    for device in (one, two):
        device.look()
    while not (one.pool.jobs and two.pool.jobs):
        for device in (one, two):
            if not device.pool.jobs:
                device.clock.advance(0.5)
                device.engine.run_due(device.clock.monotonic())
    world.settle()
    world.all_hold({"f": "1"})
    assert world.moved() == {"PUT": 2}
    assert world.counts["B"]["GET"] == 0


def test_b02_two_new_files_of_one_name_are_both_kept(world: World) -> None:
    """The first to reach the bucket gets the name, the other becomes exactly one conflict copy."""
    one, two = world.begin({})
    one.write("f", "a")
    two.write("f", "b")
    world.settle()
    assert without_copies(world) == {"f": "a"}
    assert copies(world, "f") == {"B": "b"}
    assert world.moved("A") == {"PUT": 1, "GET": 1}
    assert world.moved("B") == {"GET": 1, "PUT": 1}


def test_b03_two_edits_of_one_file_are_both_kept(world: World) -> None:
    """As for new files; and the state both replaced is in the bucket's trash."""
    one, two = world.begin({"f": "1"})
    one.write("f", "a")
    two.write("f", "b")
    world.settle()
    assert without_copies(world) == {"f": "a"}
    assert copies(world, "f") == {"B": "b"}
    assert world.bucket_trash() == ["1"]


def test_b04_the_same_edit_twice_is_no_conflict(world: World) -> None:
    """Equal content first."""
    one, two = world.begin({"f": "1"})
    one.write("f", "2")
    two.write("f", "2")
    world.settle()
    world.all_hold({"f": "2"})
    assert world.moved() == {"PUT": 1}


def test_b05_a_reverted_edit_is_no_edit(world: World) -> None:
    """A device whose file is base's content again takes the other's edit."""
    one, two = world.begin({"f": "1"})
    one.write("f", "2")
    one.write("f", "1")
    two.write("f", "3")
    world.settle()
    world.all_hold({"f": "3"})


@pytest.mark.parametrize("first", ["edit", "deletion"])
def test_b06_an_edit_beats_a_deletion(world: World, first: str) -> None:
    """Whichever of the two reaches the bucket first; the history of who deleted it says whose edit brought it back."""
    one, two = world.begin({"f": "1", "stays": "s"})
    one.write("f", "2")
    (two.root / "f").unlink()
    for device in (one, two) if first == "edit" else (two, one):
        device.settle()
    world.settle()
    world.all_hold({"f": "2", "stays": "s"})
    deleted = [] if first == "edit" else [("delete-remote", "B")]
    assert two.history("f")[1:] == [*deleted, ("download", "A")]


@pytest.mark.parametrize("first", [0, 1])
def test_b08_a_file_on_one_device_and_a_folder_of_its_name_on_the_other(world: World, first: int) -> None:
    """Both keys can stand in the bucket, no folder can hold both: both contents survive, the same everywhere."""
    one, two = world.begin({})
    one.write("f", "1")
    two.write("f/x", "2")
    order = world.devices if first == 0 else list(reversed(world.devices))
    for device in order:
        device.settle()
    world.settle()
    tree = one.tree()
    assert two.tree() == tree
    assert world.objects() == tree
    assert sorted(tree.values()) == ["1", "2"]
    assert ("f" in tree) != ("f/x" in tree)


def test_b08_both_keys_reach_the_bucket_at_once(world: World) -> None:
    """Neither device could know of the other's: the file keeps the name, the children move, the same everywhere."""
    one, two = world.begin({})
    one.write("f", "1")
    two.write("f/x", "2")
    for device in (one, two):
        device.look()
    while not (one.pool.jobs and two.pool.jobs):
        for device in (one, two):
            if not device.pool.jobs:
                device.clock.advance(0.5)
                device.engine.run_due(device.clock.monotonic())
    for device in (one, two):
        device.pool.run_all()
    assert sorted(world.objects()) == ["f", "f/x"]
    world.settle()
    tree = one.tree()
    assert two.tree() == tree
    assert world.objects() == tree
    assert tree["f"] == "1"
    assert sorted(tree.values()) == ["1", "2"]
    for device in (one, two):
        assert device.problems() == {}


def test_b09_different_files_in_one_folder_do_not_meet(world: World) -> None:
    """No conflict."""
    one, two = world.begin({})
    one.write("d/x", "1")
    two.write("d/y", "2")
    world.settle()
    world.all_hold({"d/x": "1", "d/y": "2"})


def a_conflict(world: World) -> tuple[Device, Device, str]:
    """f=a and a conflict copy of B's b; returns the copy's path."""
    one, two = world.begin({"f": "1"})
    one.write("f", "a")
    two.write("f", "b")
    world.settle()
    world.forget()
    (copy,) = [path for path in one.tree() if path != "f"]
    return one, two, copy


def test_b11_a_conflict_copy_is_an_ordinary_file(world: World) -> None:
    """An edit of it is synced as any other."""
    one, _, copy = a_conflict(world)
    one.write(copy, "p")
    world.settle()
    world.all_hold({"f": "a", copy: "p"})
    assert world.moved() == {"PUT": 1, "GET": 1}


def test_b12_a_conflict_of_a_conflict_copy_is_kept_too(world: World) -> None:
    """Edited on both devices, the copy gets a copy."""
    one, two, copy = a_conflict(world)
    one.write(copy, "p")
    two.write(copy, "q")
    world.settle()
    assert copies(world, copy) == {"B": "q"}
    assert sorted(one.tree().values()) == ["a", "p", "q"]


def test_b12_what_lost_before_is_kept_once(world: World) -> None:
    """The same bytes lose once more, saved later and on any device: the copy that is there holds them."""
    one, two = world.begin({"d/f.txt": "1"})
    one.write("d/f.txt", "a")
    two.write("d/f.txt", "b")
    world.settle()
    assert copies(world, "d/f.txt") == {"B": "b"}
    for turn, (winner, loser) in enumerate([(one, two), (two, one)]):
        winner.write("d/f.txt", f"newer {turn}")
        loser.write("d/f.txt", "b")
        os.utime(loser.root / "d/f.txt", (1.7e9 + turn, 1.7e9 + turn))
        winner.settle()
        loser.settle()
        world.settle()
        assert copies(world, "d/f.txt") == {"B": "b"}
        assert without_copies(world) == {"d/f.txt": f"newer {turn}"}
        assert "b" in loser.trashed()
    # Another content, and another file, have copies of their own.
    one.write("d/f.txt", "c")
    two.write("d/f.txt", "d")
    one.write("d/g.txt", "c")
    two.write("d/g.txt", "b")
    world.settle()
    assert sorted(one.tree().values()) == ["b", "b", "c", "c", "d"]
    world.all_hold(one.tree())


def test_b12_two_devices_that_lose_the_same_bytes(world: World) -> None:
    """Whichever comes second finds the first one's copy."""
    world.device("C")
    one, *losers = world.devices
    world.begin({"f.txt": "1"})
    one.write("f.txt", "a")
    for loser in losers:
        loser.write("f.txt", "b")
    world.settle()
    assert copies(world, "f.txt") == {"B": "b"}


def test_b12_a_copy_that_holds_an_edit_anew_outlives_the_end_of_the_first_conflict(world: World) -> None:
    """One person ends the conflict while the same bytes lose again elsewhere: that edit is nowhere else."""
    one, two = world.begin({"f": "1"})
    one.write("f", "a")
    two.write("f", "b")
    world.settle()
    (copy,) = (path for path in one.tree() if path != "f")
    (one.root / copy).unlink()
    one.write("f", "newer")
    one.settle()
    two.write("f", "b")
    world.settle()
    assert copies(world, "f") == {"B": "b"}
    assert without_copies(world) == {"f": "newer"}


def test_b13_deleting_the_copy_ends_the_conflict_everywhere(world: World) -> None:
    """The copy is the record: without it no device counts a conflict."""
    one, two, copy = a_conflict(world)
    (one.root / copy).unlink()
    world.settle()
    world.all_hold({"f": "a"})
    for device in (one, two):
        assert device.journal.conflict_copies() == []


def test_b15_an_edit_that_lands_first_wins_in_the_same_cycle(world: World) -> None:
    """A's decided upload is refused by the store; A looks at once and keeps both."""
    one, two = world.begin({"f": "1"})
    one.write("f", "2")
    one.look()
    while not one.pool.jobs:
        one.clock.advance(0.5)
        one.engine.run_due(one.clock.monotonic())
    two.write("f", "r")
    two.settle()
    one.pool.run_all()
    now = one.clock.monotonic()
    for _ in range(6):
        one.step(0.0)
    assert one.clock.monotonic() == now
    assert one.read("f") == "r"
    world.settle()
    assert without_copies(world) == {"f": "r"}
    assert copies(world, "f") == {"A": "2"}


def test_b16_text_is_never_merged(world: World) -> None:
    """Edits of different lines are a conflict like any other."""
    lines = [str(n) for n in range(1, 10)]
    one, two = world.begin({"f": "\n".join(lines)})
    one.write("f", "\n".join(["one", *lines[1:]]))
    two.write("f", "\n".join([*lines[:-1], "nine"]))
    world.settle()
    assert without_copies(world) == {"f": "\n".join(["one", *lines[1:]])}
    assert copies(world, "f") == {"B": "\n".join([*lines[:-1], "nine"])}


def test_b17_a_lost_journal_adopts_equal_files_without_bytes(world: World) -> None:
    """Every file is compared by content."""
    _, two = world.begin({"f": "1"})
    forget_base(two)
    world.settle()
    world.all_hold({"f": "1"})
    assert world.moved() == {}


def test_b18_a_lost_journal_never_lets_an_old_file_win(world: World) -> None:
    """Without a base unequal files are a conflict, never an overwrite."""
    one, two = world.begin({"f": "1"})
    two.kill()
    one.write("f", "2")
    one.settle()
    forget_base(two)
    world.settle()
    assert without_copies(world) == {"f": "2"}
    assert copies(world, "f") == {"B": "1"}


def test_b19_a_lost_journal_deletes_nothing(world: World) -> None:
    """A file that the bucket lacks may come back, never vanish; where the log tells who deleted it, a warning says so."""
    one, two = world.begin({"f": "1", "g": "1"})
    two.kill()
    (one.root / "g").unlink()
    one.settle()
    forget_base(two)
    two.write("new", "n")
    world.settle()
    world.all_hold({"f": "1", "g": "1", "new": "n"})
    assert "'g'" in two.engine.warnings["came-back"][0]
    assert "'new'" not in two.engine.warnings["came-back"][0]
    assert "came-back" not in one.engine.warnings


@pytest.mark.parametrize("left_s", [0.25, 0.5, 0.75])
def test_a_copy_that_is_being_taken_away_keeps_nothing(world: World, left_s: float) -> None:
    """A copy is taken as the place of an edit that loses again, while a teammate's deletion of that very copy is carried out."""
    one, two = world.begin({"f": "0"})
    one.write("f", "one")
    two.write("f", "two")
    two.settle()
    world.settle()
    (copy,) = [path for path in one.tree() if parse_conflict(model.Path(path)) is not None]
    assert one.read(copy) == "one"
    (two.root / copy).unlink()
    two.write("f", "three")
    two.settle()
    slow = [True]
    world.faults = lambda who, verb, key: (
        Fault(Transient("slow")) if slow[0] and (who, verb, key) == ("A", "GET", "f") else None
    )
    one.look()
    assert one.engine.opened is not None
    waiting = one.engine.opened.deletions.waiting
    while copy not in waiting or waiting[model.Path(copy)].due - one.clock.now > left_s:
        one.step(0.25)
    assert copy in one.tree()
    slow[0] = False
    one.write("f", "one")
    one.look()
    for _ in range(20):
        one.step(0.25)
    world.settle()
    assert sorted(one.tree().values()) == ["one", "three"]
