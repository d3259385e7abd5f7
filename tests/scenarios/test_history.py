"""Versions, restores and undo: what was there comes back, on both sides, and nothing that changed since is touched."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dorkyd.core import model
from dorkyd.core.settings import Guard
from dorkyd.errors import Refused
from dorkyd.versions import Versions
from tests.devices import Device, Kill, World
from tests.scenarios.test_commits import become

MANY = 1000 if os.environ.get("DORKY_FULL") else 120
"""Files of a folder that is lost: a thousand where there is time."""


def _world(tmp_path: Path, **files: str) -> tuple[World, Device, Device]:
    world = World(tmp_path)
    world.device("A")
    world.device("B")
    one, two = world.begin({path.replace("__", "/"): text for path, text in files.items()})
    return world, one, two


def _pass(world: World, seconds: float) -> None:
    for device in world.devices:
        device.clock.advance(seconds)


# --- versions ---------------------------------------------------------------------------------------------------------


def test_every_state_is_told_newest_first(tmp_path: Path) -> None:
    """On the device that wrote them and on one that joined later, whose journal knows of none but the last."""
    world, one, _ = _world(tmp_path, f="1")
    for text in ("2", "3"):
        _pass(world, 60)
        one.write("f", text)
        world.settle()
    late = world.device("C")
    world.settle()
    digests = [[state.digest for state in Versions(d.engine).of(model.Path("f")).states] for d in (one, late)]
    assert digests[0] == digests[1]
    assert len(digests[0]) == 3
    assert [state.current for state in Versions(late.engine).of(model.Path("f")).states] == [True, False, False]


def test_versions_are_told_without_the_bucket(tmp_path: Path) -> None:
    """What this disk knows, and that there may be more."""
    world, one, _ = _world(tmp_path, f="1")
    one.write("f", "2")
    world.settle()
    one.restart()
    world.faults = lambda _device, _verb, _key: None
    one.step()
    journal = one.engine.journal
    assert journal is not None
    found = Versions(one.engine).of(model.Path("f"))
    assert [state.digest is not None for state in found.states] == [True, True]


# --- restore ----------------------------------------------------------------------------------------------------------


def test_the_state_before_comes_back_everywhere(tmp_path: Path) -> None:
    """Without a version: the newest that is not what stands there; asked again, the one that was put away."""
    world, one, two = _world(tmp_path, f="1")
    one.write("f", "2")
    world.settle()
    two.restore("f")
    world.settle()
    world.all_hold({"f": "1"})
    one.restore("f")
    world.settle()
    world.all_hold({"f": "2"})


def test_a_state_is_named_by_version_digest_or_time(tmp_path: Path) -> None:
    """All three find the same bytes; `PATH@VERSION` means it too, unless a file is called so."""
    world, one, two = _world(tmp_path, f="1")
    _pass(world, 7200)
    one.write("f", "2")
    world.settle()
    _pass(world, 60)
    old = Versions(two.engine).of(model.Path("f")).states[1]
    assert old.digest is not None
    for at in (old.version, old.digest, old.digest.removeprefix("sha256:")[:12], "1h"):
        two.restore("f", at)
        world.settle()
        world.all_hold({"f": "1"})
        one.write("f", "2")
        world.settle()
    two.restore(f"f@{old.digest}")
    world.settle()
    world.all_hold({"f": "1"})
    for wrong in ("nonsense", "3h", "2026"):
        with pytest.raises(Refused):
            two.restore("f", wrong)
    one.write("f@1h", "a file of that name")
    world.settle()
    with pytest.raises(Refused) as refused:
        two.restore("f@1h")
    assert refused.value.code == "nothing-to-restore"


def test_restored_to_another_place(tmp_path: Path) -> None:
    """The file stays as it is; a place that is taken is refused."""
    world, one, _ = _world(tmp_path, f="1", g="g")
    one.write("f", "2")
    world.settle()
    one.restore("f", None, "old/f")
    world.settle()
    world.all_hold({"f": "2", "g": "g", "old/f": "1"})
    with pytest.raises(Refused):
        one.restore("f", "old/f", "g")


def test_a_deleted_folder_comes_back_whole(tmp_path: Path) -> None:
    """On the device that deleted it, which has no copies of its own: all of its files, and nothing else changes."""
    files = {f"d/{n % 7}/f{n}": str(n) for n in range(MANY)}
    world = World(tmp_path)
    for name in ("A", "B"):
        world.device(name, guard=Guard(percent=100, files=10_000, max=10_000))
    one, _ = world.begin({**files, "kept": "k"})
    for path in files:
        (one.root / path).unlink()
    one.write("kept", "edited")
    world.settle()
    world.all_hold({"kept": "edited"})
    done = one.restore("d/")
    assert [len(done), all(outcome.done for outcome in done)] == [MANY, True]
    world.settle()
    world.all_hold({**files, "kept": "edited"})


def test_a_folder_as_it_was_then(tmp_path: Path) -> None:
    """Files that changed or went since are as they were; one that came since stays."""
    world, one, two = _world(tmp_path, d__a="1", d__b="1", other="1")
    _pass(world, 7200)
    one.write("d/a", "2")
    (one.root / "d/b").unlink()
    one.write("d/new", "n")
    one.write("other", "2")
    world.settle()
    two.restore("d/", "1h")
    world.settle()
    world.all_hold({"d/a": "1", "d/b": "1", "d/new": "n", "other": "2"})


# --- undo -------------------------------------------------------------------------------------------------------------


def test_a_download_is_undone_on_both_sides(tmp_path: Path) -> None:
    """The teammate's edit goes, as a new version; a second undo takes back what was before it, not the undo."""
    world, one, two = _world(tmp_path, f="1", g="1")
    two.write("g", "2")
    world.settle()
    one.write("f", "2")
    world.settle()
    undone = two.undo()
    assert [item.path for item in undone.items] == ["f"]
    world.settle()
    world.all_hold({"f": "1", "g": "2"})
    two.undo()
    world.settle()
    world.all_hold({"f": "1", "g": "1"})


@pytest.mark.parametrize("who", [0, 1])
def test_a_deletion_an_upload_and_a_move_are_undone(tmp_path: Path, who: int) -> None:
    """Whichever device asks: the one whose action it was, or the one that followed."""
    world, one, two = _world(tmp_path, f="1", g="1")
    asks = (one, two)[who]
    (one.root / "f").unlink()
    world.settle()
    asks.undo()
    world.settle()
    world.all_hold({"f": "1", "g": "1"})
    one.write("new", "n")
    world.settle()
    asks.undo()
    world.settle()
    world.all_hold({"f": "1", "g": "1"})
    (one.root / "g").rename(one.root / "moved")
    world.settle()
    world.all_hold({"f": "1", "moved": "1"})
    asks.undo()
    world.settle()
    world.all_hold({"f": "1", "g": "1"})


def test_a_moved_file_stays_where_its_old_name_is_taken(tmp_path: Path) -> None:
    """Undoing the half that is left would take it away from everybody."""
    world, one, _ = _world(tmp_path, f="1", g="2")
    (one.root / "g").rename(one.root / "moved")
    world.settle()
    one.write("g", "another file by now")
    with pytest.raises(Refused) as refused:
        one.undo()
    assert refused.value.code == "changed-since"
    world.settle()
    world.all_hold({"f": "1", "g": "another file by now", "moved": "2"})


def test_nothing_is_undone_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """What cannot be seen has not changed since: the same undo works when the disk is back."""
    world, one, _ = _world(tmp_path, f="1")
    one.write("f", "2")
    world.settle()
    away = one.root.with_name("away")
    one.root.rename(away)
    one.root.mkdir()
    with pytest.raises(Refused):
        one.undo()
    one.root.rmdir()
    away.rename(one.root)
    one.undo()
    world.settle()
    world.all_hold({"f": "1"})


def test_permission_bits_are_undone(tmp_path: Path) -> None:
    """Bits alone, on the device that set them."""
    world, one, two = _world(tmp_path, f="1")
    (one.root / "f").chmod(0o755)
    world.settle()
    assert two.modes() == {"f": 0o755}
    two.undo()
    world.settle()
    assert one.modes() == two.modes() == {"f": 0o644}


def test_a_conflict_is_undone(tmp_path: Path) -> None:
    """Our edit has the name again, the copy is gone, and the other edit is in the history."""
    world, one, two = _world(tmp_path, f="0")
    one.write("f", "theirs")
    one.settle()
    two.write("f", "mine")
    world.settle()
    assert len(two.tree()) == 2
    two.undo()
    world.settle()
    world.all_hold({"f": "mine"})
    assert "theirs" in two.trashed()


def test_what_changed_since_is_left_alone(tmp_path: Path) -> None:
    """Its neighbours of the same action are undone; where nothing is left to undo, undo says so."""
    world, one, two = _world(tmp_path, f="1", g="1")
    one.write("f", "2")
    one.write("g", "2")
    world.settle()
    two.write("f", "3")
    undone = two.undo()
    assert {item.path: item.done for item in undone.items} == {"f": False, "g": True}
    world.settle()
    world.all_hold({"f": "3", "g": "1"})


def test_nothing_to_undo_is_refused_with_a_reason(tmp_path: Path) -> None:
    """On a device that did nothing yet."""
    world = World(tmp_path)
    one = world.device("A")
    one.settle()
    with pytest.raises(Refused) as refused:
        one.undo()
    assert refused.value.code == "nothing-to-undo"


def test_an_approved_mass_deletion_is_undone_whole(tmp_path: Path) -> None:
    """Files that were deleted and approved by mistake are back on both devices, whoever asks, and nothing that
    was done beside it is touched.
    """
    files = {f"d{n % 9}/f{n}": f"content {n}" for n in range(MANY)}
    world = World(tmp_path)
    for name in ("A", "B"):
        world.device(name)
    one, _ = world.begin({**files, "kept": "k"})
    for path in files:
        (one.root / path).unlink()
    one.settle()
    assert one.engine.held is not None
    one.decisions.approve(one.engine.held.halt.token)
    world.settle()
    world.all_hold({"kept": "k"})
    undone = one.undo()
    assert [len(undone.items), all(item.done for item in undone.items)] == [MANY, True]
    world.settle()
    world.all_hold({**files, "kept": "k"})


def test_an_undo_that_was_killed_is_no_edit(tmp_path: Path) -> None:
    """Killed between placing and telling, what it placed goes to the bucket; the next undo goes on with it, and does not take
    it back.
    """
    world, one, two = _world(tmp_path, f="1", g="1")
    two.write("f", "2")
    two.write("g", "2")
    world.settle()
    one.trap.set(1, after=True, only=lambda name, _first: name == "to_trash")
    with pytest.raises(Kill):
        one.undo()
    one.restart()
    world.settle()
    assert sorted(one.tree().values()) == ["1", "2"]
    one.undo()
    world.settle()
    world.all_hold({"f": "1", "g": "1"})


def test_what_a_halt_holds_back_is_not_undone(tmp_path: Path) -> None:
    """It is no action yet: an undo would take back the one before, and with it the files that are left."""
    files = {f"f{n}": str(n) for n in range(20)}
    world, one, _ = _world(tmp_path, first="before")
    for path, text in files.items():
        one.write(path, text)
    world.settle()
    for path in list(files)[1:]:
        (one.root / path).unlink()
    one.settle()
    assert one.engine.held is not None
    with pytest.raises(Refused) as refused:
        one.undo()
    assert (refused.value.code, "dorkyctl status" in refused.value.hint) == ("halted", True)
    one.decisions.reject(one.engine.held.halt.token)
    world.settle()
    world.all_hold({**files, "first": "before"})


def test_joining_is_not_undone(tmp_path: Path) -> None:
    """Neither what came to a newcomer, which would take it from everybody, nor what the first one sent, also where the first
    look was cut short. What comes after it is.
    """
    files = {f"f{n}": str(n) for n in range(5)}
    world, one, two = _world(tmp_path, **files)
    three = world.device("C")
    three.trap.set(3, after=True, only=lambda name, _first: name == "swap_in")
    with pytest.raises(Kill):
        three.settle()
    three.restart()
    world.settle()
    for device in (one, two, three):
        with pytest.raises(Refused, match="did nothing") as refused:
            device.undo()
        assert refused.value.code == "nothing-to-undo"
    two.write("f0", "new")
    world.settle()
    three.undo()
    world.settle()
    world.all_hold(files)
    with pytest.raises(Refused, match="did nothing"):
        three.undo()


def test_the_first_edit_after_joining_is_undone(tmp_path: Path) -> None:
    """As soon as both sides agreed for once."""
    world = World(tmp_path)
    one = world.device("A")
    one.write("f", "1")
    one.settle()
    one.write("f", "2")
    one.settle()
    one.undo()
    one.settle()
    world.all_hold({"f": "1"})


def test_joining_anew_is_not_undone(tmp_path: Path) -> None:
    """After a lost journal, too; what a conflict made of a file that was here can be."""
    world, one, two = _world(tmp_path, f="1", g="1")
    two.kill()
    shutil.rmtree(two.journals)
    one.write("g", "2")
    one.write("new", "n")
    one.settle()
    two.restart()
    world.settle()
    two.undo()
    world.settle()
    assert one.read("g") == "1"
    assert one.read("new") == "n"
    with pytest.raises(Refused, match="did nothing"):
        two.undo()


FILE, FOLDER = {"d": "file", "kept": "k"}, {"d/x": "x", "d/e/y": "y", "kept": "k"}
MOVED = {"d/x": "file", "kept": "k"}


@pytest.mark.parametrize(("before", "after"), [(FILE, FOLDER), (FOLDER, FILE), (FILE, MOVED), (MOVED, FILE)])
@pytest.mark.parametrize("who", [0, 1])
def test_a_file_and_a_folder_that_changed_places_change_back(
    tmp_path: Path, before: dict[str, str], after: dict[str, str], who: int
) -> None:
    """What stands in the way goes first, once what comes back is here."""
    world = World(tmp_path)
    for name in ("A", "B"):
        world.device(name)
    one, _ = world.begin(before)
    become(one, after)
    world.settle()
    world.all_hold(after)
    asked = world.devices[who]
    assert all(item.done for item in asked.undo().items)
    world.settle()
    world.all_hold(before)


def test_a_folder_with_other_files_gives_no_place_back(tmp_path: Path) -> None:
    """Not even what the action brought leaves it then; and once they are away, the same undo does it."""
    world = World(tmp_path)
    for name in ("A", "B"):
        world.device(name)
    one, two = world.begin({"d": "file"})
    become(one, {"d/x": "x"})
    world.settle()
    two.write("d/.DS_Store", "of nobody's interest")
    with pytest.raises(Refused) as refused:
        two.undo()
    assert (refused.value.code, "'d/.DS_Store'" in str(refused.value)) == ("clash", True)
    world.settle()
    assert world.objects() == {"d/x": "x"}
    (two.root / "d" / ".DS_Store").unlink()
    two.undo()
    world.settle()
    world.all_hold({"d": "file"})


def test_where_what_stood_there_is_gone_the_folder_stays(tmp_path: Path) -> None:
    """No copy of the file is left anywhere."""
    world = World(tmp_path)
    for name in ("A", "B"):
        world.device(name)
    one, two = world.begin({"d": "file"})
    become(one, {"d/x": "x"})
    world.settle()
    world.remove(*world.keys(".dorky/trash/"))
    shutil.rmtree(two.root / ".dorky" / "trash")
    with pytest.raises(Refused) as refused:
        two.undo()
    assert refused.value.code == "content-gone"
    world.settle()
    world.all_hold({"d/x": "x"})


@pytest.mark.parametrize(("before", "after"), [(FOLDER, FILE), (FILE, MOVED)])
@pytest.mark.parametrize("effect", ["take_out", "to_trash", "swap_in"])
def test_killed_while_a_file_and_a_folder_change_places(
    tmp_path: Path, before: dict[str, str], after: dict[str, str], effect: str
) -> None:
    """Asked again, the undo does the rest; nothing was lost."""
    world = World(tmp_path)
    for name in ("A", "B"):
        world.device(name)
    one, two = world.begin(before)
    become(one, after)
    world.settle()
    two.trap.set(1, after=True, only=lambda name, _first: name == effect)
    with pytest.raises(Kill):
        two.undo()
    two.restart()
    world.settle()
    if two.tree() != before:
        two.undo()
    world.settle()
    world.all_hold(before)


def test_a_file_whose_old_name_is_taken_keeps_a_folders_name(tmp_path: Path) -> None:
    """It was moved to where a folder was, and has no other name: the folder does not come back."""
    world = World(tmp_path)
    for name in ("A", "B"):
        world.device(name)
    one, _ = world.begin({"f": "moved", "d/x": "x"})
    become(one, {"f": "moved"})
    one.look()
    while "d/x" in world.objects():
        one.step(0.5)
    (one.root / "f").rename(one.root / "d")
    world.settle()
    one.write("f", "taken")
    with pytest.raises(Refused) as refused:
        one.undo()
    assert refused.value.code == "changed-since"
    world.settle()
    world.all_hold({"d": "moved", "f": "taken"})
