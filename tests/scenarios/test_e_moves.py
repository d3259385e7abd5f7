"""Group E: renames, alone and against what the other device does meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

from tests.devices import Device, World


def _two(tmp_path: Path, **files: str) -> tuple[World, Device, Device]:
    """Two devices in sync; `d__f` stands for `d/f`."""
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b")
    for name, text in files.items():
        a.write(name.replace("__", "/"), text)
    world.settle()
    world.forget()
    return world, a, b


def _inode(device: Device, path: str) -> int:
    return (device.root / path).stat().st_ino


def test_e01_a_renamed_file_moves_no_bytes(tmp_path: Path) -> None:
    """A copy in the store and a conditional delete on one side, a rename on the other; no object bytes up or down."""
    world, a, b = _two(tmp_path, f="1" * 5_000_000)
    inode = _inode(b, "f")
    (a.root / "f").rename(a.root / "g")
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"g": "1" * 5_000_000}
    assert world.moved() == {"COPY": 1, "DELETE": 1}
    assert _inode(b, "g") == inode
    assert b.trashed() == []


def test_e02_a_renamed_folder_moves_no_bytes(tmp_path: Path) -> None:
    """As E01 for every file in it, and the other device's files keep their inodes."""
    world, a, b = _two(tmp_path, d__a="1", d__b="2", d__sub__c="3", d__sub__same="1")
    inodes = {name: _inode(b, f"d/{name}") for name in ("a", "b", "sub/c", "sub/same")}
    (a.root / "d").rename(a.root / "e")
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"e/a": "1", "e/b": "2", "e/sub/c": "3", "e/sub/same": "1"}
    assert world.moved() == {"COPY": 4, "DELETE": 4}
    assert {name: _inode(b, f"e/{name}") for name in inodes} == inodes
    assert not (b.root / "d").exists()


def test_e02_a_thousand_files(tmp_path: Path) -> None:
    """A renamed folder of 1,000 files: no object bytes, no halt."""
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b")
    for n in range(1000):
        a.write(f"d/{n % 10}/{n}", f"{n}")
    world.settle()
    world.forget()
    (a.root / "d").rename(a.root / "e")
    world.settle()
    assert a.engine.held is None
    assert b.engine.held is None
    assert world.moved() == {"COPY": 1000, "DELETE": 1000}
    assert a.tree() == b.tree() == {f"e/{n % 10}/{n}": f"{n}" for n in range(1000)}
    assert len(world.objects()) == 1000


def test_what_was_deleted_and_comes_back_is_taken_from_the_trash(tmp_path: Path) -> None:
    """The same content under another name, long after its deletion: its bytes are in the other device's trash."""
    world, a, b = _two(tmp_path, f="1" * 5_000, stays="s")
    (a.root / "f").unlink()
    world.settle()
    assert b.trashed() == ["1" * 5_000]
    world.forget()
    a.write("later", "1" * 5_000)
    world.settle()
    assert b.tree() == a.tree() == {"later": "1" * 5_000, "stays": "s"}
    assert world.moved("b") == {}
    assert b.trashed() == ["1" * 5_000]


def test_what_was_written_to_in_the_trash_is_not_taken_for_what_it_was(tmp_path: Path) -> None:
    """The trash is remembered by a digest that may be old: what comes from it is hashed."""
    world, a, b = _two(tmp_path, f="1" * 5_000, stays="s")
    (a.root / "f").unlink()
    world.settle()
    (displaced,) = (file for file in (b.root / ".dorky/trash").rglob("*") if file.is_file())
    displaced.write_text("2" * 5_000)
    world.forget()
    a.write("later", "1" * 5_000)
    world.settle()
    assert b.tree()["later"] == "1" * 5_000
    assert world.moved("b")["GET"] == 1


def test_e04_a_rename_against_an_edit(tmp_path: Path) -> None:
    """The edit is never lost: the delete half of the rename fails its condition."""
    world, a, b = _two(tmp_path, f="1")
    (a.root / "f").rename(a.root / "g")
    b.write("f", "2")
    b.settle()
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"f": "2", "g": "1"}


def test_e04_the_edit_lands_second(tmp_path: Path) -> None:
    """The rename is done when the edit comes: the edit beats the deletion."""
    world, a, b = _two(tmp_path, f="1")
    (a.root / "f").rename(a.root / "g")
    b.write("f", "2")
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"f": "2", "g": "1"}


def test_e05_two_renames_of_one_file(tmp_path: Path) -> None:
    """Both names are kept."""
    world, a, b = _two(tmp_path, f="1")
    (a.root / "f").rename(a.root / "g")
    (b.root / "f").rename(b.root / "h")
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"g": "1", "h": "1"}


def test_e08_a_renamed_and_edited_file_against_an_edit(tmp_path: Path) -> None:
    """Nothing is lost: the edited file under its new name, the other edit under the old."""
    world, a, b = _two(tmp_path, d__a="1")
    (a.root / "d").rename(a.root / "e")
    a.write("e/a", "2")
    b.write("d/a", "3")
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"e/a": "2", "d/a": "3"}


def test_e11_a_rename_over_another_file(tmp_path: Path) -> None:
    """`f` is gone, `g` has its content, and g's old content can be recovered on the other device and in the bucket."""
    world, a, b = _two(tmp_path, f="1", g="2")
    os.replace(a.root / "f", a.root / "g")
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"g": "1"}
    assert "2" in b.trashed()
    assert "2" in world.bucket_trash()


def test_e12_a_rename_to_a_name_created_elsewhere(tmp_path: Path) -> None:
    """Both contents are kept, one as a conflict copy; the old name is gone."""
    world, a, b = _two(tmp_path, f="1")
    b.write("g", "9")
    b.settle()
    (a.root / "f").rename(a.root / "g")
    world.settle()
    assert a.tree() == b.tree() == world.objects()
    assert a.tree()["g"] == "9"
    assert sorted(a.tree().values()) == ["1", "9"]
    assert "f" not in a.tree()


def test_e14_two_files_swap_names(tmp_path: Path) -> None:
    """However the events coalesce, no conflict copy and no loss."""
    world, a, b = _two(tmp_path, f="1", g="2")
    (a.root / "f").rename(a.root / "t")
    (a.root / "g").rename(a.root / "f")
    (a.root / "t").rename(a.root / "g")
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"f": "2", "g": "1"}


def test_e16_a_file_moved_out_of_the_root(tmp_path: Path) -> None:
    """It is a deletion like any other, and the guard counts it."""
    world, a, b = _two(tmp_path, d__f="1", keep="2")
    (a.root / "d/f").rename(tmp_path / "outside")
    world.settle()
    assert world.objects() == b.tree() == {"keep": "2"}
    assert not (b.root / "d").exists()
    assert b.trashed() == ["1"]
    assert a.journal.ledger.deletions_since(0, "remote") == 1
    assert b.journal.ledger.deletions_since(0, "local") == 1


def test_e18_a_file_moved_into_a_new_folder(tmp_path: Path) -> None:
    """The old folder goes, the new one comes, and the delete never runs before the rename that needs its source."""
    world, a, b = _two(tmp_path, A__file="1")
    (a.root / "B").mkdir()
    (a.root / "A/file").rename(a.root / "B/file")
    (a.root / "A").rmdir()
    inode = _inode(b, "A/file")
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"B/file": "1"}
    assert _inode(b, "B/file") == inode
    assert not (b.root / "A").exists()
    assert world.moved() == {"COPY": 1, "DELETE": 1}
