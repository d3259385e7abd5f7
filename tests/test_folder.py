"""`LocalFolder`: staging and effects on real files, with both ways of renaming and with races between their steps."""

from __future__ import annotations

import errno
import os
import pathlib
import shutil
from collections.abc import Callable

import pytest

from dorkyd.core.model import Path
from dorkyd.errors import DorkyError, PathProblem, Stale
from dorkyd.renames import AtomicRenames, StepwiseRenames
from tests.folders import Fixture, as_nobody_special, in_namespace, names


@pytest.fixture(params=[AtomicRenames, StepwiseRenames])
def at(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Fixture:
    """One folder per way of renaming: both keep one contract."""
    return Fixture(tmp_path / "root", request.param())


# --- staging ---------------------------------------------------------------------------------------------------------


def test_a_staged_file_is_private_until_sealed(at: Fixture) -> None:
    """Half-fetched secrets are nobody else's to read."""
    with at.folder.stage("n") as file:
        file.write(b"x")
    assert (at.root / ".dorky/tmp/n").stat().st_mode & 0o777 == 0o600
    at.folder.seal("n", mode=0o4755, mtime_ns=1_500_000_000_123_456_789)
    info = (at.root / ".dorky/tmp/n").stat()
    assert (info.st_mode & 0o7777, info.st_mtime_ns) == (0o755, 1_500_000_000_123_456_789)


def test_seal_tells_what_bits_the_file_system_took(at: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT refuses bits that it cannot hold: they stay as they were, and any other refusal is one."""
    at.stage("n", b"x")
    assert at.folder.seal("n", mode=0o640, mtime_ns=None) == 0o640

    def refuse(code: int) -> None:
        def fchmod(_fd: int, _mode: int) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "fchmod", fchmod)

    refuse(errno.EPERM)
    assert at.folder.seal("n", mode=0o755, mtime_ns=7) == 0o640
    assert (at.root / ".dorky/tmp/n").stat().st_mtime_ns == 7
    refuse(errno.EIO)
    with pytest.raises(DorkyError):
        at.folder.seal("n", mode=0o755, mtime_ns=None)


def test_seal_without_a_mode_gives_what_new_files_get(at: Fixture) -> None:
    """No mode: as if the person's own shell had made it, umask applied."""
    (at.root / "plain").touch()
    at.stage("n")
    assert (at.root / ".dorky/tmp/n").stat().st_mode == (at.root / "plain").stat().st_mode


@pytest.mark.parametrize("mtime_ns", [10**30, -(10**30), -1, 2**63 - 1])
def test_seal_takes_any_mtime(at: Fixture, mtime_ns: int) -> None:
    """A bucket can say anything: the nearest time that fits is set."""
    at.stage("n")
    at.folder.seal("n", mode=None, mtime_ns=mtime_ns)
    if mtime_ns == -1:
        assert (at.root / ".dorky/tmp/n").stat().st_mtime_ns == -1


def test_resume_goes_on_at_the_end(at: Fixture) -> None:
    """What was fetched stays; a name not there yet starts empty."""
    for part in (b"ab", b"cd"):
        with at.folder.stage("n", resume=True) as file:
            assert file.tell() == at.folder.staged_size("n")
            file.write(part)
    assert at.staged("n") == b"abcd"


def test_a_new_staged_file_never_overwrites(at: Fixture) -> None:
    """A taken name may hold what came out of the folder."""
    at.stage("n", b"precious")
    with pytest.raises(Stale):
        at.folder.stage("n")
    assert at.staged("n") == b"precious"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".clock", "../x", "a\0"])
def test_staged_names_are_flat(at: Fixture, name: str) -> None:
    """Anything but a plain name is a bug of the caller."""
    with pytest.raises(ValueError, match="staged name"):
        at.folder.stage(name)


def test_staged_files_are_listed_measured_hashed_and_removed(at: Fixture) -> None:
    """Absence is None, and removing what is absent is fine."""
    assert at.folder.staged_size("n") is None
    assert at.folder.staged_digest("n") is None
    at.stage("n", b"hello")
    assert (list(at.folder.staged()), at.folder.staged_size("n")) == (["n"], 5)
    assert at.folder.staged_digest("n") == at.write("f", b"hello").digest
    at.folder.unstage("n")
    at.folder.unstage("n")
    assert at.folder.staged() == []


def test_stage_copy_copies_what_was_observed(at: Fixture) -> None:
    """Equal bytes, the source untouched; another state is Stale and leaves no staged file."""
    seen = at.write("d/f", os.urandom(3 << 20))
    at.folder.stage_copy(Path("d/f"), seen, "n")
    assert at.folder.staged_digest("n") == seen.digest
    assert at.local("d/f") == seen
    (at.root / "d/f").write_bytes(b"other")
    with pytest.raises(Stale):
        at.folder.stage_copy(Path("d/f"), seen, "m")
    assert at.folder.staged() == ["n"]


# --- swap_in ---------------------------------------------------------------------------------------------------------


def test_swap_in_fills_a_free_place_and_makes_its_folders(at: Fixture) -> None:
    """The staged name is gone, the bytes are in place."""
    at.folder.swap_in(at.stage("n"), Path("a/b/f"), None)
    assert at.read("a/b/f") == b"new"
    assert at.folder.staged() == []


def test_swap_in_exchanges_with_what_was_expected(at: Fixture) -> None:
    """What stood there is whole under the staged name, and nothing else is left in staging."""
    seen = at.write("f", b"old")
    at.folder.swap_in(at.stage("n"), Path("f"), seen)
    assert (at.read("f"), at.staged("n"), list(at.folder.staged())) == (b"new", b"old", ["n"])
    assert at.folder.staged_digest("n") == seen.digest


def test_swap_in_refuses_a_taken_place(at: Fixture) -> None:
    """Expected free, but a file is there, early or at the last instant: it stays, and so does the staged one."""
    at.write("f", b"theirs")
    at.stage("n")
    with pytest.raises(Stale):
        at.folder.swap_in("n", Path("f"), None)
    at.act["looked"] = lambda: (at.root / "g").write_bytes(b"late")
    with pytest.raises(Stale):
        at.folder.swap_in("n", Path("g"), None)
    assert (at.read("f"), at.read("g"), at.staged("n")) == (b"theirs", b"late", b"new")


def test_swap_in_refuses_another_state(at: Fixture) -> None:
    """The expected file changed, or is gone with its folder: Stale, and no folder is made for it."""
    seen = at.write("d/f", b"old")
    at.stage("n")
    (at.root / "d/f").write_bytes(b"newer")
    with pytest.raises(Stale):
        at.folder.swap_in("n", Path("d/f"), seen)
    assert at.read("d/f") == b"newer"
    shutil.rmtree(at.root / "d")
    with pytest.raises(Stale):
        at.folder.swap_in("n", Path("d/f"), seen)
    assert names(at.root) == [".dorky"]
    assert at.staged("n") == b"new"


def test_a_late_edit_comes_out_whole(at: Fixture) -> None:
    """A file saved between looking and exchanging is what the staged name holds then: nobody's bytes are lost."""
    seen = at.write("f", b"old")

    def save() -> None:
        (at.root / "save").write_bytes(b"saved at the last instant")
        (at.root / "save").replace(at.root / "f")

    at.act["looked"] = save
    at.folder.swap_in(at.stage("n"), Path("f"), seen)
    assert (at.read("f"), at.staged("n")) == (b"new", b"saved at the last instant")


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_folder_or_link_that_took_the_place_goes_back(at: Fixture, kind: str) -> None:
    """What comes out must be a file: anything else is put back where it was, for install and removal."""
    for effect in (at.folder.swap_in, lambda name, path, seen: at.folder.take_out(path, "out", seen)):
        seen = at.write("f", b"old")
        if at.folder.staged_size("n") is None:
            at.stage("n")

        def act() -> None:
            (at.root / "f").unlink()
            if kind == "folder":
                (at.root / "f").mkdir()
                (at.root / "f/inside").write_bytes(b"kept")
            else:
                (at.root / "f").symlink_to("elsewhere")

        at.act["looked"] = act
        with pytest.raises(Stale):
            effect("n", Path("f"), seen)
        assert at.staged("n") == b"new"
        assert at.folder.staged() == ["n"]
        if kind == "folder":
            assert at.read("f/inside") == b"kept"
            shutil.rmtree(at.root / "f")
        else:
            assert (at.root / "f").readlink() == pathlib.Path("elsewhere")
            (at.root / "f").unlink()


def test_swap_in_removes_an_empty_folder_only(at: Fixture) -> None:
    """A folder without files may give way to a file; one that holds anything is a clash."""
    (at.root / "e").mkdir()
    at.folder.swap_in(at.stage("n"), Path("e"), None)
    assert at.read("e") == b"new"
    (at.root / "n" / "e" / "s").mkdir(parents=True)
    at.folder.swap_in(at.stage("o"), Path("n"), None)
    assert at.read("n") == b"new"
    (at.root / "d" / "e").mkdir(parents=True)
    at.write("d/f")
    with pytest.raises(PathProblem) as caught:
        at.folder.swap_in(at.stage("m"), Path("d"), None)
    assert (caught.value.code, caught.value.path) == ("clash", "d")
    assert (at.read("d/f"), at.staged("m")) == (b"old", b"new")
    assert (at.root / "d" / "e").is_dir()


def test_a_file_in_the_way_of_a_folder_is_a_problem(at: Fixture) -> None:
    """`f/x` cannot be made while `f` is a file, and folders made on the way are removed again."""
    at.write("f")
    at.stage("n")
    with pytest.raises(PathProblem) as caught:
        at.folder.swap_in("n", Path("f/x"), None)
    assert caught.value.code == "not-a-folder"
    at.act["looked"] = (at.root / "made/on/the/way").touch
    with pytest.raises(Stale):
        at.folder.swap_in("n", Path("made/on/the/way"), None)
    (at.root / "made/on/the/way").unlink()
    at.act["looked"] = (at.root / ".dorky/tmp/n").unlink
    with pytest.raises(Stale):
        at.folder.swap_in("n", Path("fresh/x"), None)
    assert names(at.root) == [".dorky", "f", "made"]


def test_a_link_swapped_in_for_a_folder_leads_nowhere(at: Fixture, tmp_path: pathlib.Path) -> None:
    """Before the operation it is a problem; during it the work stays in the folder that was opened."""
    outside = tmp_path / "outside"
    outside.mkdir()
    seen = at.write("d/f")
    at.stage("n")

    def swap() -> None:
        (at.root / "d").rename(at.root / "moved")
        (at.root / "d").symlink_to(outside)

    at.act["looked"] = swap
    at.folder.swap_in("n", Path("d/f"), seen)
    assert (at.read("moved/f"), names(outside)) == (b"new", [])
    (outside / "f").write_bytes(b"secret")
    effects: list[Callable[[], object]] = [
        lambda: at.folder.swap_in("n", Path("d/g"), None),
        lambda: at.folder.put_in("n", Path("d/g")),
        lambda: at.folder.take_out(Path("d/f"), "out", seen),
        lambda: at.folder.rename(Path("d/f"), Path("h"), seen),
        lambda: at.folder.rename(Path("moved/f"), Path("d/h"), at.local("moved/f")),
        lambda: at.folder.set_mode(Path("d/f"), 0o600, seen),
        lambda: at.folder.open(Path("d/f"), seen),
        lambda: at.folder.stage_copy(Path("d/f"), seen, "out"),
        lambda: at.folder.tree_of(Path("d/x")),
    ]
    for effect in effects:
        with pytest.raises(PathProblem) as caught:
            effect()
        assert caught.value.code == "symlink"
    at.folder.drop_empty_parents(Path("d/x"))
    assert names(outside) == ["f"]
    assert (outside / "f").read_bytes() == b"secret"


def test_a_folder_renamed_meanwhile_is_followed_and_no_ghost_is_made(at: Fixture) -> None:
    """A person renames the folder in the middle of an install: the file goes along."""
    at.write("d/other")
    at.stage("n")
    at.act["looked"] = lambda: (at.root / "d").rename(at.root / "e")
    at.folder.swap_in("n", Path("d/f"), None)
    assert (at.read("e/f"), (at.root / "d").exists()) == (b"new", False)


def test_a_folder_of_ours_that_is_a_link_is_refused(at: Fixture, tmp_path: pathlib.Path) -> None:
    """Staging through a link would put secrets elsewhere."""
    shutil.rmtree(at.root / ".dorky/tmp")
    (at.root / ".dorky/tmp").symlink_to(tmp_path)
    with pytest.raises(PathProblem) as caught:
        at.folder.stage("n")
    assert caught.value.code == "symlink"


# --- take_out, put_in, rename ----------------------------------------------------------------------------------------


def test_take_out_and_put_in_are_each_others_way_back(at: Fixture) -> None:
    """Out under a staged name, back to a free place; a taken place says so and keeps the staged file."""
    seen = at.write("d/f")
    at.folder.take_out(Path("d/f"), "n", seen)
    assert (at.observe("d/f"), at.staged("n")) == (at.observe("none"), b"old")
    at.folder.drop_empty_parents(Path("d/f"))
    assert not (at.root / "d").exists()
    assert at.folder.put_in("n", Path("d/f"))
    assert at.read("d/f") == b"old"
    assert not at.folder.put_in(at.stage("m"), Path("d/f"))
    assert not at.folder.put_in("m", Path("d"))
    assert (at.read("d/f"), at.staged("m")) == (b"old", b"new")


def test_take_out_refuses_another_state_and_a_taken_staged_name(at: Fixture) -> None:
    """Nothing moves when the file changed, and nothing in staging is overwritten."""
    seen = at.write("f", b"old")
    at.stage("n", b"precious")
    with pytest.raises(Stale):
        at.folder.take_out(Path("f"), "n", seen)
    (at.root / "f").write_bytes(b"newer")
    with pytest.raises(Stale):
        at.folder.take_out(Path("f"), "m", seen)
    assert (at.read("f"), at.staged("n")) == (b"newer", b"precious")


def test_put_in_without_a_staged_file_is_stale(at: Fixture) -> None:
    """A missing staged file is not a taken place."""
    with pytest.raises(Stale):
        at.folder.put_in("n", Path("a/f"))
    assert names(at.root) == [".dorky"]


def test_rename_moves_and_drops_what_it_emptied(at: Fixture) -> None:
    """The inode moves, new folders are made, folders left empty go, others stay."""
    seen = at.write("a/b/f")
    at.write("a/stays")
    at.folder.rename(Path("a/b/f"), Path("x/y/g"), seen)
    assert at.local("x/y/g").stat.inode == seen.stat.inode
    assert at.scan() == {"a/stays": "file", "x/y/g": "file"}
    assert not (at.root / "a/b").exists()


def test_rename_refuses_a_taken_place_and_another_state(at: Fixture) -> None:
    """Both files stay as they are."""
    seen = at.write("f", b"1")
    at.write("g", b"2")
    with pytest.raises(Stale):
        at.folder.rename(Path("f"), Path("g"), seen)
    at.act["looked"] = lambda: (at.root / "late").write_bytes(b"3")
    assert at.local("f") == seen
    with pytest.raises(Stale):
        at.folder.rename(Path("f"), Path("late"), seen)
    seen = at.local("f")
    (at.root / "f").write_bytes(b"11")
    with pytest.raises(Stale):
        at.folder.rename(Path("f"), Path("free"), seen)
    assert (at.read("f"), at.read("g"), at.read("late"), at.folder.staged()) == (b"11", b"2", b"3", [])


def test_rename_brings_a_late_save_back(at: Fixture) -> None:
    """Newer bytes under the old name stay under the old name."""
    seen = at.write("f", b"old")

    def save() -> None:
        (at.root / "save").write_bytes(b"saved")
        (at.root / "save").replace(at.root / "f")

    at.act["looked"] = save
    with pytest.raises(Stale):
        at.folder.rename(Path("f"), Path("new/g"), seen)
    assert at.scan() == {"f": "file"}
    assert at.read("f") == b"saved"
    assert not (at.root / "new").exists()


def test_drop_empty_parents_stops_at_the_first_that_holds_anything(at: Fixture) -> None:
    """The root never goes, and a missing folder does not stop the ones above it."""
    (at.root / "a/b/c").mkdir(parents=True)
    at.write("a/f")
    at.folder.drop_empty_parents(Path("a/b/c/d/gone"))
    assert names(at.root / "a") == ["f"]
    (at.root / "a/f").unlink()
    at.folder.drop_empty_parents(Path("a/f"))
    assert names(at.root) == [".dorky"]


# --- set_mode --------------------------------------------------------------------------------------------------------


def test_set_mode_returns_the_file_as_it_is_now(at: Fixture) -> None:
    """Permission bits only; the digest stays and the stat tuple is the fresh one."""
    seen = at.write("f")
    now = at.folder.set_mode(Path("f"), 0o6750, seen)
    assert (now.mode, now.digest) == (0o750, seen.digest)
    assert now == at.local("f")


def test_set_mode_refuses_another_file(at: Fixture) -> None:
    """A file that changed, or a link put in its place, keeps its bits."""
    seen = at.write("f")
    (at.root / "target").touch(mode=0o600)

    def act() -> None:
        (at.root / "f").unlink()
        (at.root / "f").symlink_to("target")

    at.act["looked"] = act
    with pytest.raises(Stale):
        at.folder.set_mode(Path("f"), 0o777, seen)
    assert (at.root / "target").stat().st_mode & 0o777 == 0o600


# --- the system's refusals -------------------------------------------------------------------------------------------


def test_an_unwritable_folder_is_a_path_problem(tmp_path: pathlib.Path) -> None:
    """A folder that forbids writing refuses the install and keeps the staged file."""
    script = """
from dorkyd.errors import PathProblem
(at.root / "shut").mkdir()
(at.root / "shut").chmod(0o500)
at.stage("n")
try:
    at.folder.swap_in("n", "shut/f", None)
except PathProblem as exc:
    print(exc.code, "chmod" in exc.hint, at.folder.staged())
(at.root / "shut").chmod(0o700)
"""
    assert as_nobody_special(script, tmp_path / "root") == "unwritable True ['n']"


def test_a_full_disk_is_disk_full(tmp_path: pathlib.Path) -> None:
    """Writing to staging past the end of the disk is our error with a remedy, not the system's."""
    root = tmp_path / "root"
    root.mkdir()
    script = """
from dorkyd.errors import DiskFull
try:
    with at.folder.stage("n") as file:
        for _ in range(64):
            file.write(bytes(1 << 16))
except DiskFull as exc:
    print("full", bool(exc.hint))
"""
    assert in_namespace(f"mount -t tmpfs -o size=1m none {root}", script, root) == "full True"
