"""The trash: a person finds what was displaced with nothing but the file system."""

from __future__ import annotations

import pathlib
import shutil

import pytest

from dorkyd.core.model import Path
from dorkyd.errors import Stale
from dorkyd.folder import LocalFolder
from tests.folders import Fixture, names


@pytest.fixture
def at(tmp_path: pathlib.Path) -> Fixture:
    """A folder with a marker."""
    return Fixture(tmp_path / "root")


def test_a_trashed_file_lies_under_its_own_path(at: Fixture) -> None:
    """`trash/<when>-<random>/<path>`: the listing of a fresh object, without any record, tells the same."""
    trashed = at.folder.to_trash(at.stage("n", b"gone"), Path("a/b/f.txt"))
    assert at.read(f".dorky/trash/{trashed.name}/a/b/f.txt") == b"gone"
    info = (at.root / f".dorky/trash/{trashed.name}/a/b/f.txt").stat()
    assert (trashed.path, trashed.size) == ("a/b/f.txt", 4)
    assert (trashed.mode, trashed.mtime_ns) == (info.st_mode & 0o777, info.st_mtime_ns)
    assert LocalFolder(str(at.root)).trash() == [trashed]
    assert at.folder.staged() == []


def test_the_oldest_comes_first(at: Fixture) -> None:
    """The same path twice is two entries, in the order they were displaced."""
    names = [at.folder.to_trash(at.stage("n"), Path("f")).name for _ in range(5)]
    found = at.folder.trash()
    assert [item.name for item in found] == names
    assert [item.at_ns for item in found] == sorted(item.at_ns for item in found)


def test_trash_digest_is_that_of_the_bytes(at: Fixture) -> None:
    """None once it is gone or was never there."""
    digest = at.write("f", b"x").digest
    trashed = at.folder.to_trash(at.stage("n", b"x"), Path("f"))
    assert at.folder.trash_digest(trashed.name) == digest
    at.folder.purge(trashed.name)
    assert at.folder.trash_digest(trashed.name) is None
    assert at.folder.trash_digest("../tmp") is None


def test_a_copy_keeps_the_trashed_file_and_a_move_does_not(at: Fixture) -> None:
    """Moved out, its folders go with it; gone, it is Stale; a taken staged name is never overwritten."""
    trashed = at.folder.to_trash(at.stage("n", b"x"), Path("a/f")).name
    at.folder.trash_to_stage(trashed, "copy", keep=True)
    with pytest.raises(Stale):
        at.folder.trash_to_stage(trashed, "copy", keep=False)
    at.folder.trash_to_stage(trashed, "move", keep=False)
    assert at.staged("copy") == at.staged("move") == b"x"
    assert names(at.root / ".dorky/trash") == []
    with pytest.raises(Stale):
        at.folder.trash_to_stage(trashed, "again", keep=False)


def test_purge_removes_one_and_may_be_repeated(at: Fixture) -> None:
    """Only what has the form of an id of ours is ever removed."""
    one, two = (at.folder.to_trash(at.stage("n"), Path("a/f")).name for _ in range(2))
    (at.root / ".dorky/trash/mine").mkdir()
    for name in (one, one, "mine", "..", "../tmp", ""):
        at.folder.purge(name)
    assert [item.name for item in at.folder.trash()] == [two]
    assert (at.root / ".dorky/trash/mine").exists()
    assert (at.root / ".dorky/tmp").exists()


def test_what_a_person_or_a_crash_left_is_not_listed(at: Fixture) -> None:
    """Foreign names, stray files and emptied entries are no trashed files, and stop nothing."""
    trashed = at.folder.to_trash(at.stage("n"), Path("a/f"))
    emptied = at.folder.to_trash(at.stage("n"), Path("a/f")).name
    (at.root / ".dorky/trash" / emptied / "a/f").unlink()
    (at.root / ".dorky/trash/notes.txt").touch()
    (at.root / ".dorky/trash/20261103T141530.000000000Z-0badf00d").touch()
    assert at.folder.trash() == [trashed]


def test_a_trash_that_is_missing_is_made_again(at: Fixture) -> None:
    """A person who empties the trash with rm does not stop sync."""
    shutil.rmtree(at.root / ".dorky/trash")
    assert at.folder.trash() == []
    at.folder.to_trash(at.stage("n"), Path("f"))
    assert (at.root / ".dorky/trash").stat().st_mode & 0o777 == 0o700


def test_trashing_what_is_not_staged_is_stale(at: Fixture) -> None:
    """Nothing is left behind in the trash."""
    with pytest.raises(Stale):
        at.folder.to_trash("none", Path("f"))
    assert names(at.root / ".dorky/trash") == []
