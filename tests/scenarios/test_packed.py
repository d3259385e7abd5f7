"""Scenarios of compressed files: copies inside the store say how their bytes are stored, on whoever's word."""

from __future__ import annotations

from pathlib import Path

from dorkyd.core.settings import Mode
from tests.devices import World

TEXT = "the same words again and again\n" * 300


def test_a_commit_keeps_what_a_packed_object_holds(quick_path: Path) -> None:
    """Its copy is packed as the object is, and says so."""
    world = World(quick_path)
    ann = world.device("ann", keys=True, compress=("*.txt",))
    ann.write("f.txt", TEXT)
    ann.settle()
    assert world.objects()["f.txt"] != TEXT
    made = ann.commits.commit("one")
    ann.write("f.txt", "other")
    ann.settle()
    for file in (ann.root / ".dorky" / "trash").rglob("*"):
        file.unlink()
    world.remove(*world.keys(".dorky/trash/"))
    ann.checkout.checkout(made.named.id)
    assert ann.read("f.txt") == TEXT


def test_a_push_brings_what_was_staged_though_it_is_packed(quick_path: Path) -> None:
    """The object that is copied from the commit's contents says how it is stored."""
    world = World(quick_path)
    ann = world.device("ann", keys=True, mode=Mode.MANUAL, compress=("*",))
    bob = world.device("bob", keys=True)
    world.settle()
    ann.write("f.txt", TEXT)
    ann.look()
    ann.stage.stage(["."])
    ann.pushes.push("words")
    world.settle()
    assert bob.read("f.txt") == TEXT


def test_a_push_over_a_packed_object_says_how_its_own_bytes_are_stored(quick_path: Path) -> None:
    """Not how those of the state before were."""
    world = World(quick_path)
    ann = world.device("ann", keys=True, mode=Mode.MANUAL)
    bob = world.device("bob", keys=True, compress=("*.txt",))
    bob.write("f.txt", TEXT)
    world.settle()
    ann.engine.pull()
    ann.settle()
    ann.write("f.txt", "other words")
    ann.look()
    ann.stage.stage(["."])
    ann.pushes.push("words")
    world.settle()
    assert bob.read("f.txt") == "other words"
    assert bob.problems() == {}
