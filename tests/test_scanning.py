"""Walking a folder: what is yielded, what is a problem, and what is left out."""

from __future__ import annotations

import os
import pathlib
import shutil
import socket

import pytest

from dorkyd.core.model import Path, Problem
from dorkyd.errors import Stale
from dorkyd.ports import Entry
from tests.folders import Fixture, as_nobody_special, in_namespace


@pytest.fixture
def at(tmp_path: pathlib.Path) -> Fixture:
    """A folder with a marker."""
    return Fixture(tmp_path / "root")


def code_of(found: object) -> str:
    """The problem's code."""
    assert isinstance(found, Problem)
    return found.code


def test_scan_yields_every_regular_file_with_its_stat(at: Fixture) -> None:
    """An entry's stat and mode are those that observe sees."""
    seen = at.write("a/b/c.txt")
    assert list(at.folder.scan(lambda _p, _d: False)) == [Entry(Path("a/b/c.txt"), seen.stat, seen.mode)]


def test_scan_yields_in_the_order_of_the_paths(at: Fixture) -> None:
    """A folder stands where its files do: behind `d.txt` and `d-`, before `d0`; the order of bytes, as the journal's."""
    names = ["d.txt", "d/b/y", "d/b", "d-", "d0", "d/b.x", "e/é", "e/z", "e/\U0001f600", "a"]
    for name in names:
        if name != "d/b":
            at.write(name)
    met = [item.path for item in at.folder.scan(lambda _p, _d: False)]
    assert met == sorted(met, key=str.encode)
    assert set(met) == set(names) - {"d/b"}


def test_scan_names_what_is_neither_file_nor_folder(at: Fixture) -> None:
    """Links (even to folders), FIFOs and sockets are problems, and nothing behind them is met."""
    (at.root / "real").mkdir()
    (at.root / "real/f").touch()
    (at.root / "link").symlink_to("real")
    (at.root / "dangling").symlink_to("nowhere")
    os.mkfifo(at.root / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.path.relpath(at.root / "sock"))
    assert at.scan() == {
        "real/f": "file",
        "link": "symlink",
        "dangling": "symlink",
        "fifo": "special",
        "sock": "special",
    }


def test_scan_leaves_reserved_names_out_silently(at: Fixture) -> None:
    """`.git` and `.dorky` at any depth and in any case are not there for us."""
    for name in (".git/x", "sub/.GIT/x", "sub/.Dorky/y", "sub/.gitignore", "sub/git/z"):
        _plant(at, name)
    assert at.scan() == {"sub/.gitignore": "file", "sub/git/z": "file"}


def _plant(at: Fixture, name: str) -> None:
    (at.root / name).parent.mkdir(parents=True, exist_ok=True)
    (at.root / name).touch()


def test_scan_asks_before_it_descends(at: Fixture) -> None:
    """What skip refuses is not entered."""
    _plant(at, "no/x")
    _plant(at, "yes/x")
    asked: list[tuple[str, bool]] = []

    def skip(path: Path, is_folder: bool) -> bool:
        asked.append((path, is_folder))
        return path == "no"

    assert [item.path for item in at.folder.scan(skip)] == ["yes/x"]
    assert sorted(asked) == [("no", True), ("yes", True), ("yes/x", False)]


def test_scan_under_a_folder(at: Fixture) -> None:
    """`under` limits the scan; a folder that is gone or is a file holds nothing; a link is a problem."""
    for name in ("a/b/f", "a/g", "c"):
        _plant(at, name)
    (at.root / "link").symlink_to("a")
    assert at.scan("a/b") == {"a/b/f": "file"}
    assert at.scan("gone/x") == at.scan("c") == {}
    assert at.scan("link") == {"link": "symlink"}


def test_scan_of_a_missing_root_is_stale(at: Fixture) -> None:
    """No root is not an empty folder."""
    assert not at.folder.folds
    shutil.rmtree(at.root)
    with pytest.raises(Stale):
        at.scan()


def test_scan_notices_a_root_replaced_meanwhile(at: Fixture, tmp_path: pathlib.Path) -> None:
    """A scan that ends without an error saw the folder that is there now."""
    at.write("a")
    at.write("b")
    scanning = at.folder.scan(lambda _p, _d: False)
    next(scanning)
    at.root.rename(tmp_path / "moved")
    at.root.mkdir()
    with pytest.raises(Stale):
        list(scanning)


def test_scan_takes_a_vanishing_folder_for_gone(at: Fixture) -> None:
    """A folder removed between listing it and entering it holds nothing."""
    _plant(at, "dir/f")
    (at.root / "a").touch()

    def skip(path: Path, _is_folder: bool) -> bool:
        if path == "dir":
            shutil.rmtree(at.root / "dir")
        return False

    assert [item.path for item in at.folder.scan(skip)] == ["a"]


def test_scan_does_not_follow_a_link_swapped_in_for_a_folder(at: Fixture, tmp_path: pathlib.Path) -> None:
    """A folder that becomes a link between listing and entering is a problem, and its target stays unread."""
    _plant(at, "dir/f")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").touch()

    def skip(path: Path, _is_folder: bool) -> bool:
        if path == "dir":
            shutil.rmtree(at.root / "dir")
            (at.root / "dir").symlink_to(tmp_path / "outside")
        return False

    assert [(item.path, code_of(item)) for item in at.folder.scan(skip)] == [("dir", "symlink")]


def test_names_that_are_not_utf8_are_problems_in_printable_form(at: Fixture) -> None:
    """Bytes that are no UTF-8 are shown escaped, for files and folders, and crash nothing."""
    pathlib.Path(os.fsdecode(os.fsencode(at.root) + b"/d\xff")).mkdir()
    pathlib.Path(os.fsdecode(os.fsencode(at.root) + b"/d\xff/inside")).touch()
    pathlib.Path(os.fsdecode(os.fsencode(at.root) + b"/f\xfe")).touch()
    assert at.scan() == {"d\\xff": "bad-name", "f\\xfe": "bad-name"}
    assert at.folder.tree_of(Path("nope")) == []


def test_unicode_forms_are_two_names(at: Fixture) -> None:
    """Where the file system keeps forms apart, so do we."""
    at.write("\u00e9", b"1")
    at.write("e\u0301", b"2")
    assert at.scan() == {"\u00e9": "file", "e\u0301": "file"}
    assert at.local("\u00e9").digest != at.local("e\u0301").digest


def test_scan_of_deep_folders_needs_few_descriptors(at: Fixture) -> None:
    """A tree deeper than the limit of open files, and longer than PATH_MAX, is walked."""
    fd = os.open(at.root, os.O_RDONLY)
    for _ in range(400):
        os.mkdir("d", dir_fd=fd)
        deeper = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = deeper
    os.close(os.open("leaf", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    assert at.scan() == {"/".join(["d"] * 400) + "/leaf": "file"}


def test_an_unreadable_folder_is_one_problem(tmp_path: pathlib.Path) -> None:
    """What is below a folder we may not read is unknown: a problem at the folder, and at any path below it."""
    script = """
for name in ("shut/in/f", "blind/f", "open/f"):
    at.write(name)
(at.root / "shut").chmod(0)
(at.root / "blind").chmod(0o400)
print(sorted(at.scan().items()), at.observe("shut/in/f").code, at.observe("blind/f").code)
(at.root / "shut").chmod(0o700)
(at.root / "blind").chmod(0o700)
"""
    expected = "[('blind', 'unreadable'), ('open/f', 'file'), ('shut', 'unreadable')] unreadable unreadable"
    assert as_nobody_special(script, tmp_path / "root") == expected


def test_another_file_system_inside_is_not_entered(tmp_path: pathlib.Path) -> None:
    """A mount point is one problem at its path; nothing below it is read, written or proven absent."""
    root = tmp_path / "root"
    (root / "mnt").mkdir(parents=True)
    script = """
from dorkyd.errors import PathProblem
(at.root / "mnt/f").write_bytes(b"x")
at.stage("n")
try:
    at.folder.swap_in("n", "mnt/new", None)
except PathProblem as exc:
    print(exc.code)
print(at.scan(), at.observe("mnt/f").code, at.observe("mnt/none").code, names(at.root / "mnt"))
"""
    found = in_namespace(f"mount -t tmpfs none {root}/mnt", script, root)
    assert found.splitlines() == ["mount", "{'mnt': 'mount'} mount mount ['f']"]
