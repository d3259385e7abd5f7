"""Mode manual: nothing moves unasked, status knows how the sides differ, and a pull is mode pull for once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dorkyd.core.apart import Apart, Differs
from dorkyd.core.settings import Mode
from dorkyd.manual import begin_pull
from tests.devices import Device, World


def _world(quick_path: Path, **files: str) -> tuple[World, Device, Device]:
    world = World(quick_path)
    a, b = world.device("a", mode=Mode.MANUAL), world.device("b")
    for path, text in files.items():
        a.write(path, text)
        b.write(path, text)
    world.settle()
    world.forget()
    return world, a, b


def apart(device: Device) -> dict[str, tuple[str, str]]:
    """How each path differs, here and there."""
    return {str(path): (how.here.value, how.there.value) for path, how in device.journal.manual.apart().items()}


def test_nothing_moves_unasked(quick_path: Path) -> None:
    """Edits, new files, deletions and bits on both sides are seen and told of, and no byte of them moves."""
    world, a, b = _world(quick_path, f="1", g="2", h="3", i="4", j="5", k="6", m="7")
    b.write("f", "theirs")
    b.write("both", "b's")
    b.write("j", "b's")
    (b.root / "g").unlink()
    (b.root / "m").chmod(0o700)
    b.settle()
    a.write("h", "mine")
    a.write("new", "n")
    a.write("both", "a's")
    a.write("j", "a's")
    (a.root / "i").unlink()
    (a.root / "k").chmod(0o700)
    here, there = a.tree(), world.objects()
    world.forget()
    a.settle()
    assert (a.tree(), world.objects()) == (here, there)
    assert world.moved("a") == {}
    assert apart(a) == {
        "both": ("new", "new"),
        "f": ("", "modified"),
        "g": ("", "deleted"),
        "h": ("modified", ""),
        "i": ("deleted", ""),
        "j": ("modified", "modified"),
        "k": ("mode", ""),
        "m": ("", "mode"),
        "new": ("new", ""),
    }
    assert a.problems() == {}


def test_equal_again_is_apart_no_more(quick_path: Path) -> None:
    """What a person undoes, or makes equal by hand, is no difference any more."""
    world, a, b = _world(quick_path, f="1", g="2")
    a.write("f", "x")
    b.write("g", "y")
    world.settle()
    assert apart(a) == {"f": ("modified", ""), "g": ("", "modified")}
    a.write("f", "1")
    a.write("g", "y")
    world.settle()
    assert apart(a) == {}


def test_equal_but_for_the_bits_is_not_behind(quick_path: Path) -> None:
    """The bytes that a teammate sent stand here already, under bits of this person's own: only those differ, and a push may
    send them. It used to be told to pull first, for ever.
    """
    world, a, b = _world(quick_path, f="1", g="2")
    b.write("f", "x")
    b.settle()
    a.write("f", "x")
    (a.root / "f").chmod(0o700)
    a.settle()
    assert apart(a) == {"f": ("mode", "")}
    begin_pull(a.engine)
    a.settle()
    assert apart(a) == {"f": ("mode", "")}
    assert (a.modes()["f"], b.modes()["f"]) == (0o700, 0o644)
    a.stage.stage(["f"])
    assert a.pushes.push("bits").paths == 1
    world.settle()
    assert a.modes()["f"] == b.modes()["f"] == 0o700
    assert a.tree() == b.tree() == world.objects()


def test_another_tools_object_is_behind_and_not_fetched(quick_path: Path) -> None:
    """Only its bytes could tell what it holds: they stay there until somebody pulls."""
    world, a, _ = _world(quick_path, f="1")
    world.put("f", "by another tool")
    a.settle()
    assert apart(a) == {"f": ("", "modified")}
    assert world.moved("a") == {}
    begin_pull(a.engine)
    a.settle()
    assert a.tree() == {"f": "by another tool"}
    assert apart(a) == {}


def test_a_pull_brings_everything_and_keeps_what_is_mine(quick_path: Path) -> None:
    """Downloads and deletions come, local edits stay, and two edits end as sync ends them."""
    world, a, b = _world(quick_path, f="1", g="2", h="3", i="4", j="5")
    b.write("f", "theirs")
    (b.root / "g").unlink()
    b.write("j", "b's")
    b.write("d/new", "n")
    b.settle()
    a.write("h", "mine")
    a.write("j", "a's")
    (a.root / "i").unlink()
    a.settle()
    objects = world.objects()
    begin_pull(a.engine)
    a.settle()
    copy = next(path for path in a.tree() if path.startswith("j (conflict a "))
    assert a.tree() == {"f": "theirs", "h": "mine", "j": "b's", "d/new": "n", copy: "a's"}
    assert world.objects() == objects
    assert apart(a) == {"h": ("modified", ""), "i": ("deleted", ""), copy: ("new", "")}
    assert not a.engine.pulling
    b.write("f", "later")
    world.settle()
    assert a.tree()["f"] == "theirs"


def test_an_edit_here_of_what_was_deleted_there_is_not_behind(quick_path: Path) -> None:
    """An edit beats a deletion: a pull leaves it alone, and nothing waits for one."""
    world, a, b = _world(quick_path, f="1")
    (b.root / "f").unlink()
    b.settle()
    a.write("f", "mine")
    a.settle()
    assert a.journal.manual.apart() == {"f": Apart(Differs.MODIFIED, Differs.NOT)}
    begin_pull(a.engine)
    a.settle()
    assert a.tree() == {"f": "mine"}
    assert world.objects() == {}


def test_a_pull_goes_on_after_a_kill(quick_path: Path) -> None:
    """It was asked for: the next start ends it."""
    _, a, b = _world(quick_path, f="1", g="2")
    b.write("f", "x")
    b.write("g", "y")
    b.settle()
    a.settle()
    begin_pull(a.engine)
    a.restart()
    a.settle()
    assert a.tree() == {"f": "x", "g": "y"}
    assert not a.engine.pulling


def test_back_to_two_way(quick_path: Path) -> None:
    """The table is the same: what the mode took away is done."""
    world, a, b = _world(quick_path, f="1", g="2")
    a.write("f", "mine")
    b.write("g", "theirs")
    world.settle()
    a.project = replace(a.project, mode=Mode.TWO_WAY)
    a.restart()
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"f": "mine", "g": "theirs"}
    assert apart(a) == {}
