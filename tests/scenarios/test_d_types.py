"""Group D: files, folders, links and special files that want one name."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from tests.devices import World


def test_d02_a_folder_becomes_a_file(tmp_path: Path) -> None:
    """`d/x` gives way to a file `d`, and the other device removes the folder only when its children have left."""
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b")
    a.write("d/x", "1")
    a.write("d/y", "1y")
    world.settle()
    for name in ("x", "y"):
        (a.root / "d" / name).unlink()
    (a.root / "d").rmdir()
    a.write("d", "2")
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"d": "2"}
    assert sorted(b.trashed()) == ["1", "1y"]
    assert a.problems() == b.problems() == {}


def test_d02_a_child_nobody_tracked_keeps_the_folder(tmp_path: Path) -> None:
    """What is ignored on the other device stays, so the file that would need its folder's name is a problem there."""
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b", ignore=("*.o",))
    a.write("d/x", "1")
    world.settle()
    b.write("d/x.o", "mine")
    (a.root / "d/x").unlink()
    (a.root / "d").rmdir()
    a.write("d", "2")
    world.settle()
    assert a.tree() == {"d": "2"}
    assert b.tree() == {"d/x.o": "mine"}
    assert list(b.problems()) == ["d"]
    (b.root / "d/x.o").unlink()
    world.settle()
    assert b.tree() == {"d": "2"}
    assert b.problems() == {}


def test_a_file_becomes_a_folder(tmp_path: Path) -> None:
    """The reverse of D02: `d` gives way to `d/x`."""
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b")
    a.write("d", "1")
    world.settle()
    (a.root / "d").unlink()
    a.write("d/x", "2")
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"d/x": "2"}
    assert b.trashed() == ["1"]
    assert a.problems() == b.problems() == {}


def test_d05_a_foreign_file_and_folder_of_one_name(tmp_path: Path) -> None:
    """Keys `a` and `a/b` of another tool: one is here, the other a problem, and both keys stay as they are."""
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b")
    a.write("other", "0")
    world.settle()
    world.put("a", "file")
    world.put("a/b", "child")
    world.settle()
    for device in (a, b):
        assert device.tree() == {"a": "file", "other": "0"}
        assert list(device.problems()) == ["a/b"]
    assert world.objects() == {"a": "file", "a/b": "child", "other": "0"}


def test_d06_a_link_in_the_place_of_a_file(tmp_path: Path) -> None:
    """It is a problem, never followed; the object is not deleted, and all is well again when the file is back."""
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b")
    a.write("f", "1")
    world.settle()
    (tmp_path / "outside").write_text("secret")
    (a.root / "f").unlink()
    (a.root / "f").symlink_to(tmp_path / "outside")
    world.settle()
    assert a.problems() == {"f": "symlink"}
    assert b.tree() == world.objects() == {"f": "1"}
    (a.root / "f").unlink()
    a.write("f", "2")
    world.settle()
    assert a.problems() == {}
    assert a.tree() == b.tree() == world.objects() == {"f": "2"}


def test_d06_a_link_in_the_place_of_a_folder(tmp_path: Path) -> None:
    """What was below it is unknown, not gone: nothing is deleted anywhere and nothing is written through the link."""
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b")
    a.write("d/f", "1")
    world.settle()
    outside = tmp_path / "outside"
    (a.root / "d").rename(outside)
    (a.root / "d").symlink_to(outside)
    world.settle()
    b.write("d/f", "2")
    world.settle()
    assert (outside / "f").read_text() == "1"
    assert b.tree() == world.objects() == {"d/f": "2"}
    assert a.problems().get("d") == "symlink"


def test_d07_a_fifo_or_socket_in_the_place_of_a_file(tmp_path: Path) -> None:
    """It is never opened (which would hang); the object and the other device keep the file."""
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b")
    a.write("f", "1")
    a.write("s", "2")
    world.settle()
    (a.root / "f").unlink()
    (a.root / "s").unlink()
    os.mkfifo(a.root / "f")
    with socket.socket(socket.AF_UNIX) as listening:
        before = Path.cwd()
        os.chdir(a.root)  # a socket's path may have 107 bytes
        try:
            listening.bind("s")
        finally:
            os.chdir(before)
        world.settle()
    assert a.problems() == {"f": "special", "s": "special"}
    assert b.tree() == world.objects() == {"f": "1", "s": "2"}
