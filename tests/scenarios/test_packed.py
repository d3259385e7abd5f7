"""Scenarios of compressed files: copies inside the store say how their bytes are stored, on whoever's word."""

from __future__ import annotations

from pathlib import Path

from dorkyd.core.lockfile import encode_lock, lock_of
from dorkyd.core.settings import Mode
from dorkyd.manual import begin_pull
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
    begin_pull(ann.engine)
    ann.settle()
    ann.write("f.txt", "other words")
    ann.look()
    ann.stage.stage(["."])
    ann.pushes.push("words")
    world.settle()
    assert bob.read("f.txt") == "other words"
    assert bob.problems() == {}


def test_a_commit_tells_plain_sizes_whoever_makes_it(quick_path: Path) -> None:
    """Not those of packed bytes: by who sent the file and who received it; and a lock of it is exact."""
    world = World(quick_path)
    ann = world.device("ann", keys=True, compress=("*.txt",))
    bob = world.device("bob", keys=True)
    ann.write("f.txt", TEXT)
    ann.write("copy.txt", TEXT)
    world.settle()
    made = []
    for number, device in enumerate((ann, bob)):
        ann.write("plain", "x" * number)
        world.settle()
        named = device.commits.commit(f"by {device.name}").named
        made.append(named)
        files = device.commits.show(named.id)[1].by_path
        assert {path: file.size for path, file in files.items()} == {
            "f.txt": len(TEXT),
            "copy.txt": len(TEXT),
            "plain": number,
        }
        assert named.header.bytes == 2 * len(TEXT) + number
    ann.write("f.txt", "other")
    (ann.root / "copy.txt").unlink()
    world.settle()
    for device, named in zip((ann, bob), made[::-1], strict=True):
        commit_id, whole = device.commits.show(named.id)
        lock = encode_lock(lock_of(whole, commit_id, device.project.bucket))
        for file in (device.root / ".dorky" / "trash").rglob("*"):
            if file.is_file():
                file.unlink()
        assert device.checkout.locked(lock).unlike == ()
        assert device.read("f.txt") == device.read("copy.txt") == TEXT
        world.settle()


def test_a_push_of_packed_contents_is_told_with_plain_sizes(quick_path: Path) -> None:
    """In the commit, the plan, and what is known of the objects after it."""
    world = World(quick_path)
    ann = world.device("ann", keys=True, mode=Mode.MANUAL, compress=("*",))
    world.settle()
    ann.write("f.txt", TEXT)
    ann.look()
    ann.stage.stage(["."])
    ann.pushes.push("words")
    world.settle()
    store = ann.commits.store()
    newest = store.newest()
    assert newest is not None
    assert [file.size for file in store.read(newest)[1].files] == [len(TEXT)]
    assert [(size, digest is not None) for _, _, size, digest, *_ in ann.journal.objects()] == [(len(TEXT), True)]
    bob = world.device("bob", keys=True)
    bob.settle()
    assert bob.commits.diff(store.read(newest)[0], None) == ()
