"""Two persons edit one `.env`: different keys come together, on every device and wherever a device is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.devices import Device, Kill, World, trap_commits

BASE = "# ours\nA=1\nB=1\n"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two devices that hold the same `.env`."""
    world = World(tmp_path)
    world.device("ann")
    world.device("ben")
    world.begin({".env": BASE, "stays": "stays"})
    return world


def both(world: World) -> tuple[Device, Device]:
    """The two, after each added a key offline and ben's came first."""
    one, two = world.devices
    one.write(".env", BASE + "FROM_ANN=1\n")
    two.write(".env", BASE + "FROM_BEN=1\n")
    two.settle()
    return one, two


MERGED = BASE + "FROM_BEN=1\nFROM_ANN=1\n"


def test_two_keys_added_offline_come_together(world: World) -> None:
    """Both folders and the bucket end with both keys, and there is no conflict."""
    both(world)
    world.settle()
    world.all_hold({".env": MERGED, "stays": "stays"})


def test_what_was_merged_is_in_the_trash_as_it_was(world: World) -> None:
    """The file that the merge replaced is not lost, and the history says whose keys came together."""
    one, _ = both(world)
    world.settle()
    assert BASE + "FROM_ANN=1\n" in one.trashed()
    assert ("merge", "ben") in one.history(".env")
    row = one.journal._conn.execute("SELECT detail FROM history WHERE verb = 'merge'").fetchone()
    assert row[0] == "FROM_ANN changed here; FROM_BEN changed there"


def test_one_key_in_two_ways_stays_a_conflict(world: World) -> None:
    """As for any file: whoever came first keeps the name, and nobody's value is lost."""
    one, two = world.devices
    one.write(".env", BASE.replace("A=1", "A=ann"))
    two.write(".env", BASE.replace("A=1", "A=ben"))
    two.settle()
    world.settle()
    tree = one.tree()
    assert tree[".env"] == BASE.replace("A=1", "A=ben")
    (copy,) = [text for path, text in tree.items() if "(conflict ann" in path]
    assert copy == BASE.replace("A=1", "A=ann")


def test_a_key_deleted_there_and_changed_here_stays_a_conflict(world: World) -> None:
    """Nobody can tell which of the two was meant."""
    one, two = world.devices
    one.write(".env", "# ours\nA=1\nB=2\n")
    two.write(".env", "# ours\nA=1\n")
    two.settle()
    world.settle()
    assert len(one.tree()) == 3


def test_without_a_common_past_both_are_kept(tmp_path: Path) -> None:
    """Two files that were never one have nothing to be merged over."""
    world = World(tmp_path)
    one, two = world.device("ann"), world.device("ben")
    one.write(".env", "A=1\n")
    two.write(".env", "B=1\n")
    world.settle()
    assert len(one.tree()) == 2


def test_without_the_bytes_of_base_both_are_kept(world: World) -> None:
    """Somebody emptied `.dorky/base`, or a power cut damaged what stood there."""
    one, _ = both(world)
    kept = list((one.root / ".dorky" / "base").iterdir())
    assert kept
    for file in kept:
        file.write_text("damaged")
    world.settle()
    assert len(one.tree()) == 3


def test_what_is_kept_is_private_and_found_again(world: World) -> None:
    """Mode 0600, and made anew at a start where it is missing."""
    one, _ = world.devices
    (file,) = (one.root / ".dorky" / "base").iterdir()
    assert file.read_text() == BASE
    assert file.stat().st_mode & 0o777 == 0o600
    file.unlink()
    one.restart()
    one.settle()
    assert file.read_text() == BASE


def test_what_no_base_is_made_of_is_kept_no_longer(world: World) -> None:
    """Old states leave with the next upkeep."""
    one, _ = world.devices
    one.write(".env", BASE + "C=1\n")
    world.settle()
    assert len(list((one.root / ".dorky" / "base").iterdir())) == 2
    one.engine.purge()
    assert [file.read_text() for file in (one.root / ".dorky" / "base").iterdir()] == [BASE + "C=1\n"]


def test_it_can_be_turned_off(tmp_path: Path) -> None:
    """Then a `.env` is a file like any other."""
    world = World(tmp_path)
    world.device("ann", merge_env=False)
    world.device("ben", merge_env=False)
    world.begin({".env": BASE})
    one, _ = both(world)
    world.settle()
    assert len(one.tree()) == 2


def test_three_persons_at_once(tmp_path: Path) -> None:
    """Each merges with what the one before wrote; the last has all of it."""
    world = World(tmp_path)
    devices = [world.device(name) for name in ("ann", "ben", "cem")]
    world.begin({".env": BASE})
    for device in devices:
        device.write(".env", BASE + f"FROM_{device.name.upper()}=1\n")
    for _ in range(3):
        for device in devices:
            device.step(0.5)
            device.look()
    world.settle()
    (text,) = {device.read(".env") for device in devices}
    assert sorted(text.splitlines()) == sorted([*BASE.splitlines(), "FROM_ANN=1", "FROM_BEN=1", "FROM_CEM=1"])
    assert [len(device.tree()) for device in devices] == [1, 1, 1]


def test_a_permission_bit_comes_along(world: World) -> None:
    """What the owner may do is merged as for any file."""
    one, two = world.devices
    (one.root / ".env").chmod(0o700)
    one.write(".env", BASE + "C=1\n")
    two.write(".env", BASE + "D=1\n")
    two.settle()
    world.settle()
    assert {device.modes()[".env"] & 0o700 for device in world.devices} == {0o700}


def test_a_save_in_the_middle_is_kept(world: World) -> None:
    """The file changes between the merge and its place: the merge gives way, and the next one has that too."""
    one, _ = both(world)
    swap = one.engine.folder.swap_in
    saves = [BASE + "FROM_ANN=1\nLATE=1\n"]

    def late(*args: object) -> object:
        if saves:
            one.write(".env", saves.pop())
        return swap(*args)  # type: ignore[arg-type]

    one.engine.folder.swap_in = late  # type: ignore[method-assign,assignment]
    world.settle()
    assert not saves
    world.all_hold({".env": BASE + "FROM_BEN=1\nFROM_ANN=1\nLATE=1\n", "stays": "stays"})


def test_killed_anywhere_it_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After every effect and commit (after one is before the next): both keys, one file, nothing beside it."""
    world = World(tmp_path)
    one, two = world.device("ann"), world.device("ben")
    trap_commits(monkeypatch, {device.name: device.trap for device in world.devices})
    world.begin({".env": BASE})
    text = BASE
    for at in range(1, 60):
        mine, theirs = f"ANN{at}=1\n", f"BEN{at}=1\n"
        one.write(".env", text + mine)
        two.write(".env", text + theirs)
        two.settle()
        one.trap.set(at, after=True, only=lambda name, _first: name != "update_identity")
        try:
            one.settle()
        except Kill:
            one.restart()
        else:
            assert at > 15
            return
        one.settle()
        two.settle()
        text += theirs + mine
        world.all_hold({".env": text})
        staged = [file for file in (one.root / ".dorky" / "tmp").iterdir() if not file.name.startswith(".")]
        assert not staged
    pytest.fail("it never ended")
