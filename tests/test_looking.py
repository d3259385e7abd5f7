"""Observing one path: what proves absence, what is a problem, and when a hash may be spared."""

from __future__ import annotations

import os
import pathlib
import shutil
import socket
from dataclasses import replace

import pytest

from dorkyd.core.model import Digest, Local, Path, Problem
from dorkyd.errors import PathProblem, Stale
from dorkyd.ports import ABSENT, Known
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


def test_whole_second_stamps_are_racy_for_longer(at: Fixture) -> None:
    """Where ctime counts in seconds, two of them must have passed."""
    from dorkyd.looking import racy

    seen = at.write("f")
    coarse = replace(seen, stat=replace(seen.stat, mtime_ns=10**18, ctime_ns=10**18))
    assert racy(remembered(coarse, age_ns=1_900_000_000))
    assert not racy(remembered(coarse, age_ns=2_100_000_000))
    # Programs set mtime to whole seconds; that says nothing of the file system.
    fine = replace(seen, stat=replace(seen.stat, mtime_ns=10**18, ctime_ns=10**18 + 1))
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
        from dorkyd.folder import _Probed

        at = Fixture(tmp_path / "root")
        at.folder._probed = _Probed(folds=True, mode=0o644)
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
