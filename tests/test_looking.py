"""Observing one path: what proves absence, what is a problem, and when a hash may be spared."""

from __future__ import annotations

import os
import pathlib
import shutil
import socket
from dataclasses import replace

import pytest

from dorkyd import looking
from dorkyd.core.model import Digest, Local, Path, Problem
from dorkyd.errors import PathProblem, Stale
from dorkyd.folder import _Probed
from dorkyd.ports import ABSENT, Known
from dorkyd.renames import AtomicRenames, Place
from tests.folders import Fixture, as_nobody_special

MINUTE_NS = 60_000_000_000
WRONG = Digest("sha256:" + "0" * 64)


@pytest.fixture
def at(tmp_path: pathlib.Path) -> Fixture:
    """A folder with a marker."""
    return Fixture(tmp_path / "root")


def code_of(found: object) -> str:
    """The problem's code."""
    assert isinstance(found, Problem)
    return found.code


def remembered(seen: Local, *, age_ns: int = MINUTE_NS) -> Known:
    """What was hashed `age_ns` after the file last changed, with a digest that tells whether it was reused."""
    return Known(seen.stat, WRONG, max(seen.stat.mtime_ns, seen.stat.ctime_ns) + age_ns)


def test_a_file_is_hashed_with_its_mode(at: Fixture) -> None:
    """The digest is the SHA-256 of the bytes; the mode its permission bits alone."""
    (at.root / "f").write_bytes(b"hello")
    (at.root / "f").chmod(0o4751)
    seen = at.local("f")
    assert seen.digest == "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert (seen.mode, seen.size) == (0o751, 5)


def test_a_file_of_several_chunks_is_hashed_whole(at: Fixture) -> None:
    """The end of a file longer than one read counts."""
    one = at.write("f", bytes(3 << 20) + b"a").digest
    assert at.write("f", bytes(3 << 20) + b"b").digest != one


def test_an_unchanged_stat_spares_the_hash(at: Fixture) -> None:
    """A tuple that is equal and old is trusted."""
    seen = at.write("f")
    assert at.observe("f", remembered(seen)) == replace(seen, digest=WRONG)


def test_a_racily_recent_stat_is_hashed_again(at: Fixture) -> None:
    """A file hashed within a few ticks of its last change may have changed since without showing it."""
    seen = at.write("f")
    assert at.observe("f", remembered(seen, age_ns=10_000_000)) == seen
    assert at.observe("f", remembered(seen, age_ns=0)) == seen


def test_an_old_mtime_does_not_make_a_recent_file_old(at: Fixture) -> None:
    """A program that sets an old mtime just wrote all the same: the later of both stamps counts."""
    at.write("f")
    os.utime(at.root / "f", ns=(10**18, 10**18))
    seen = at.local("f")
    assert at.observe("f", Known(seen.stat, WRONG, seen.stat.ctime_ns)) == seen


@pytest.mark.parametrize(("ahead_s", "digest"), [(3600, "read"), (10 * 86_400, "spared"), (10**10, "spared")])
def test_an_mtime_of_the_far_future_is_no_write_just_now(at: Fixture, ahead_s: int, digest: str) -> None:
    """A camera's clock or an archive set it: such a file is not read at each look until that year."""
    at.write("f")
    at_ns = at.local("f").stat.ctime_ns + ahead_s * 10**9
    os.utime(at.root / "f", ns=(at_ns, at_ns))
    seen = at.local("f")
    found = at.observe("f", Known(seen.stat, WRONG, seen.stat.ctime_ns + MINUTE_NS))
    assert found == (seen if digest == "read" else replace(seen, digest=WRONG))
    # Its ctime counts as ever.
    assert at.observe("f", Known(seen.stat, WRONG, seen.stat.ctime_ns)) == seen


def test_whole_second_stamps_are_racy_for_longer(at: Fixture) -> None:
    """Where ctime counts in seconds, two of them must have passed."""
    from dorkyd.looking import racy

    seen = at.write("f")
    coarse = replace(seen, stat=seen.stat._replace(mtime_ns=10**18, ctime_ns=10**18))
    assert racy(remembered(coarse, age_ns=1_900_000_000))
    assert not racy(remembered(coarse, age_ns=2_100_000_000))
    # Programs set mtime to whole seconds; that says nothing of the file system.
    fine = replace(seen, stat=seen.stat._replace(mtime_ns=10**18, ctime_ns=10**18 + 1))
    assert not racy(remembered(fine, age_ns=100_000_000))


def test_a_restored_mtime_is_noticed_by_ctime(at: Fixture) -> None:
    """Same size, same mtime, other bytes: ctime tells."""
    seen = at.write("f", b"aaa")
    (at.root / "f").write_bytes(b"bbb")
    os.utime(at.root / "f", ns=(seen.stat.mtime_ns, seen.stat.mtime_ns))
    found = at.observe("f", remembered(seen))
    assert isinstance(found, Local)
    assert found.digest not in {WRONG, seen.digest}


@pytest.mark.parametrize("step", ["looked", "read"])
@pytest.mark.parametrize("change", ["write", "replace", "remove", "fifo"])
def test_a_file_that_changes_while_it_is_read_is_stale(at: Fixture, step: str, change: str) -> None:
    """Before or after reading, in place or by another file: what was read is not what is there."""
    at.write("f", b"aaa")
    (at.root / "g").write_bytes(b"bbb")

    def act() -> None:
        if change == "write":
            (at.root / "f").write_bytes(b"cccc")
        elif change == "replace":
            (at.root / "g").replace(at.root / "f")
        else:
            (at.root / "f").unlink()
            if change == "fifo":
                os.mkfifo(at.root / "f")

    at.act[step] = act
    with pytest.raises(Stale):
        at.observe("f")


def test_absence_is_proven_by_the_name_or_its_folder(at: Fixture) -> None:
    """A name that is not there, a folder that is not there, and a file where the folder would be."""
    at.write("file")
    assert at.observe("none") is at.observe("no/such/f") is at.observe("file/f") is at.observe("file/g/h") is ABSENT


def test_a_folder_at_the_path_is_no_file(at: Fixture) -> None:
    """The file is absent; `tree_of` tells of the folder."""
    at.write("d/x")
    (at.root / "d/sub").mkdir()
    assert at.observe("d") is ABSENT
    assert at.folder.tree_of(Path("d")) == ["sub", "x"]
    assert at.folder.tree_of(Path("d/x")) == at.folder.tree_of(Path("none")) == at.folder.tree_of(Path("d/x/y")) == []


def test_links_and_specials_are_problems_and_are_not_opened(at: Fixture) -> None:
    """Neither at the path nor above it: a link, FIFO or socket proves nothing about what it hides."""
    at.write("real/f")
    (at.root / "link").symlink_to("real")
    (at.root / "file").symlink_to("real/f")
    os.mkfifo(at.root / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.path.relpath(at.root / "sock"))
    codes = {
        path: code_of(at.observe(path)) for path in ("file", "link", "link/f", "link/none", "fifo", "sock", "fifo/f")
    }
    assert codes == {
        "file": "symlink",
        "link": "symlink",
        "link/f": "symlink",
        "link/none": "symlink",
        "fifo": "special",
        "sock": "special",
        "fifo/f": "special",
    }


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (".git/config", "reserved-name"),
        ("a/.GIT/x", "reserved-name"),
        (".dorky/folder.json", "reserved-name"),
        ("../outside", "bad-path"),
        ("a/../../outside", "bad-path"),
        ("/etc/passwd", "bad-path"),
        ("a//b", "bad-path"),
        ("", "bad-path"),
        ("nul\0", "bad-path"),
        ("half\udcff", "bad-name"),
        ("x" * 256, "name-too-long"),
    ],
)
def test_paths_that_may_not_be_touched_are_problems(at: Fixture, path: str, code: str) -> None:
    """Nothing outside the folder and nothing of git's or ours is looked at, and no effect takes such a path."""
    assert code_of(at.observe(path)) == code
    at.stage("n")
    for effect in (lambda: at.folder.swap_in("n", Path(path), None), lambda: at.folder.put_in("n", Path(path))):
        with pytest.raises(PathProblem) as caught:
            effect()
        assert caught.value.code == code


def test_the_longest_name_is_fine(at: Fixture) -> None:
    """NAME_MAX bytes are a name like any other."""
    seen = at.write("x" * 255)
    at.stage("n")
    at.folder.swap_in("n", Path("x" * 255), seen)
    assert at.read("x" * 255) == b"new"


def test_open_gives_the_bytes_that_were_observed(at: Fixture) -> None:
    """Another state of the file, or none, is Stale."""
    seen = at.write("f", b"bytes")
    with at.folder.open(Path("f"), seen) as file:
        assert file.read() == b"bytes"
    (at.root / "f").write_bytes(b"other")
    with pytest.raises(Stale):
        at.folder.open(Path("f"), seen)
    (at.root / "f").unlink()
    with pytest.raises(Stale):
        at.folder.open(Path("f"), seen)


def test_the_clock_is_that_of_the_file_system(at: Fixture) -> None:
    """It lies between the stamps of a file written before and one written after."""
    before = at.write("a").stat.ctime_ns
    now = at.folder.now_ns()
    assert before <= now <= at.write("b").stat.ctime_ns
    assert at.folder.staged() == []


def test_a_vanished_root_is_stale_and_proves_no_absence(at: Fixture) -> None:
    """A folder that went away is not a folder of deleted files."""
    at.write("f")
    shutil.rmtree(at.root)
    with pytest.raises(Stale):
        at.observe("f")


class Folding:
    """A folder treated as on a file system that folds names, on one that does not: the listing rules."""

    @pytest.fixture
    def at(self, tmp_path: pathlib.Path) -> Fixture:

        at = Fixture(tmp_path / "root")
        at.folder._probed = _Probed(folds=True, mode=0o644, exact=False)
        return at


class TestFolding(Folding):
    def test_scan_yields_one_form(self, at: Fixture) -> None:
        """A name stored decomposed, as older macOS does, is known by its composed form."""
        (at.root / "e\u0301").mkdir()
        (at.root / "e\u0301/u\u0308").touch()
        assert at.scan() == {"\u00e9/\u00fc": "file"} == at.scan("\u00e9")

    def test_another_form_is_a_problem(self, at: Fixture) -> None:
        """A path that this file system cannot tell from another is neither there nor absent."""
        assert code_of(at.observe("e\u0301")) == "case-clash"


def test_an_unreadable_file_says_what_to_do(tmp_path: pathlib.Path) -> None:
    """A file of mode 000 is a problem whose hint names chmod, and its bits can still be set."""
    script = """
seen = at.write("f")
(at.root / "f").chmod(0)
found = at.observe("f")
print(found.code, "chmod" in found.hint)
from dorkyd.core.model import Local
from dorkyd.dirfd import stat_tuple
now = Local(seen.digest, 0, stat_tuple((at.root / "f").stat()))
print(oct(at.folder.set_mode("f", 0o640, now).mode), at.observe("f").digest == seen.digest)
"""
    assert as_nobody_special(script, tmp_path / "root").splitlines() == ["unreadable True", "0o640 True"]


# --- bytes kept from the look to the upload --------------------------------------------------------------------------


def test_a_small_file_is_opened_once(at: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a look has read is given to the upload without opening the file again; a second reader opens it."""
    seen = at.write("d/f", b"hello")
    opened: list[str] = []
    real = looking.open_file_fd
    monkeypatch.setattr(
        looking, "open_file_fd", lambda spot, *args, **named: opened.append(spot.path) or real(spot, *args, **named)
    )
    for times in (0, 1):
        with at.folder.open(Path("d/f"), seen) as file:
            assert file.read() == b"hello"
        assert len(opened) == times


@pytest.mark.parametrize("how", ["written", "replaced", "gone", "linked"])
def test_kept_bytes_of_a_file_that_changed_are_not_given(at: Fixture, how: str) -> None:
    """The bytes are kept of a state, and given only while that state stands."""
    seen = at.write("f", b"hello")
    file = at.root / "f"
    if how == "written":
        file.write_bytes(b"other")
    elif how == "replaced":
        (at.root / "g").write_bytes(b"hello")
        os.replace(at.root / "g", file)
    else:
        file.unlink()
        if how == "linked":
            file.symlink_to(at.root / "g")
    with pytest.raises((Stale, PathProblem)):
        at.folder.open(Path("f"), seen)


# --- exact stamps ----------------------------------------------------------------------------------------------------


def test_coarse_stamps_prove_nothing(at: Fixture) -> None:
    """Where two changes may look the same, an install tells no stat tuple."""
    at.folder._probed = _Probed(folds=False, mode=0o644, exact=False)
    assert at.folder.swap_in(at.stage("n"), Path("f"), None) is None


def test_exact_stamps_tell_what_stands_there(at: Fixture) -> None:
    """Where each change shows, an install tells the tuple of the file in its place; remembered so, it spares the hash."""
    at.folder._probed = _Probed(folds=False, mode=0o644, exact=True)
    stands = at.folder.swap_in(at.stage("n"), Path("f"), None)
    assert stands is not None
    found = at.observe("f", Known.proved(stands, WRONG))
    assert isinstance(found, Local)
    assert (found.digest, found.stat) == (WRONG, stands)


def test_what_changed_in_its_new_place_is_not_told(at: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written to before it was looked at: an install tells nothing of it."""
    at.folder._probed = _Probed(folds=False, mode=0o644, exact=True)
    name = at.stage("n")
    real = AtomicRenames.place

    def place(renames: AtomicRenames, source: Place, to: Place) -> None:
        real(renames, source, to)
        (at.root / "f").write_bytes(b"a person's")

    monkeypatch.setattr(AtomicRenames, "place", place)
    assert at.folder.swap_in(name, Path("f"), None) is None


def test_stamps_that_stand_still_are_not_exact(at: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that gives several changes one stamp is noticed; so is a clock that is only slow."""
    real = os.fstat

    def coarse(fd: int) -> os.stat_result:
        info = real(fd)
        names = {name: getattr(info, name) for name in ("st_atime_ns", "st_mtime_ns")}
        return os.stat_result(info[:10], {**names, "st_ctime_ns": info.st_ctime_ns // 4_000_000 * 4_000_000})

    monkeypatch.setattr(os, "fstat", coarse)
    assert not at.folder._probe().exact
