"""Group J: names that a folder, a file system or a bucket cannot hold, and files that cannot be read."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dorkyd.core import model
from dorkyd.core.paths import ancestors, fold
from dorkyd.errors import PathProblem
from dorkyd.folder import LocalFolder
from dorkyd.ports import Entry, Known, Observation
from tests.devices import Device, World
from tests.folders import in_namespace

NFC, NFD = "caf\u00e9", "cafe\u0301"


class FoldingFolder(LocalFolder):
    """A folder that behaves as on a file system that folds case and Unicode form, on one that does not."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._where = Path(root)

    @property
    def folds(self) -> bool:
        return True

    def taken_by(self, path: model.Path) -> str | None:
        for part in (*ancestors(path), path):
            at = self._where / part
            if not at.parent.is_dir():
                return None
            for found in at.parent.iterdir():
                if fold(found.name) == fold(at.name) and found.name != at.name:
                    return found.name
        return None

    def _refuse(self, path: model.Path) -> None:
        taken = self.taken_by(path)
        if taken is not None:
            raise PathProblem(path, f"{path}: {taken} stands there", code="case-clash")

    def swap_in(self, name: str, path: model.Path, expected: model.Local | None) -> None:
        self._refuse(path)
        super().swap_in(name, path, expected)

    def put_in(self, name: str, path: model.Path) -> bool:
        self._refuse(path)
        return super().put_in(name, path)

    def rename(self, path: model.Path, to: model.Path, expected: model.Local) -> None:
        if fold(path) != fold(to):
            self._refuse(to)
        super().rename(path, to, expected)


def _folding(tmp_path: Path) -> tuple[World, Device, Device]:
    """`a` holds any names, `b` folds them."""
    world = World(tmp_path)
    a = world.device("a")
    b = world.device("b", wrap=lambda _folder: FoldingFolder(str(tmp_path / "b")))
    return world, a, b


def test_j01_two_keys_that_differ_by_case(tmp_path: Path) -> None:
    """One is real, the other a problem; both keys are kept whatever comes after."""
    world, a, b = _folding(tmp_path)
    a.write("File", "1")
    a.write("file", "2")
    world.settle()
    both = {"File": "1", "file": "2"}
    assert a.tree() == world.objects() == both
    assert len(b.tree()) == 1
    ((real, _),) = b.tree().items()
    assert b.problems() == {other: "case-clash" for other in both if other != real}
    b.restart()
    world.settle()
    assert list(b.tree()) == [real]
    assert a.tree() == world.objects() == both
    # The one that is real goes on as ever.
    b.write(real, "edited")
    world.settle()
    assert world.objects() == a.tree() == {**both, real: "edited"}
    a.write(real, "from a")
    world.settle()
    assert b.tree() == {real: "from a"}


def test_j01_the_first_keeps_its_place(tmp_path: Path) -> None:
    """A second name that appears later does not displace what is here, and costs no body."""
    world, a, b = _folding(tmp_path)
    a.write("File", "1")
    world.settle()
    a.write("file", "2")
    a.settle()
    world.forget()
    world.settle()
    assert b.tree() == {"File": "1"}
    assert b.problems() == {"file": "case-clash"}
    assert world.moved("b") == {}
    assert world.objects() == {"File": "1", "file": "2"}
    (a.root / "File").unlink()
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"file": "2"}
    assert b.problems() == {}


def test_j01_the_real_one_is_deleted_where_names_fold(tmp_path: Path) -> None:
    """Only that key goes, and the other takes its place."""
    world, a, b = _folding(tmp_path)
    a.write("File", "1")
    world.settle()
    a.write("file", "2")
    world.settle()
    (b.root / "File").unlink()
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"file": "2"}
    assert b.problems() == {}


def test_a_name_changes_its_case(tmp_path: Path) -> None:
    """A teammate's rename that changes case alone is a rename here too, with no bytes moved."""
    world, a, b = _folding(tmp_path)
    a.write("d/File", "1")
    world.settle()
    world.forget()
    (a.root / "d/File").rename(a.root / "d/file")
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"d/file": "1"}
    assert world.moved() == {"COPY": 1, "DELETE": 1}
    assert b.problems() == {}


def test_a_name_changes_its_case_and_content(tmp_path: Path) -> None:
    """No rename, so the old one leaves first."""
    world, a, b = _folding(tmp_path)
    a.write("File", "1")
    world.settle()
    (a.root / "File").unlink()
    a.write("file", "2")
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"file": "2"}
    assert b.problems() == {}


def test_j02_two_folders_that_differ_by_case(tmp_path: Path) -> None:
    """The files of one are here, those of the other problems; all keys are kept."""
    world, a, b = _folding(tmp_path)
    a.write("folder/x", "1")
    world.settle()
    a.write("Folder/y", "2")
    a.write("Folder/sub/z", "3")
    world.settle()
    assert b.tree() == {"folder/x": "1"}
    assert b.problems() == {"Folder/y": "case-clash", "Folder/sub/z": "case-clash"}
    assert a.tree() == world.objects() == {"folder/x": "1", "Folder/y": "2", "Folder/sub/z": "3"}
    b.write("folder/new", "4")
    world.settle()
    assert a.tree()["folder/new"] == "4"
    assert len(world.objects()) == 4


def test_j02_two_folders_at_once(tmp_path: Path) -> None:
    """Both unknown here until now: whichever comes first, both keys are kept."""
    world, a, b = _folding(tmp_path)
    a.write("folder/x", "1")
    a.write("Folder/x", "2")
    world.settle()
    assert len(b.tree()) == len(b.problems()) == 1
    assert a.tree() == world.objects() == {"folder/x": "1", "Folder/x": "2"}


@pytest.mark.parametrize("first", [NFC, NFD])
def test_j04_both_unicode_forms(tmp_path: Path, first: str) -> None:
    """A folder that holds both sends both; where forms fold one is real, the other a problem."""
    world, a, b = _folding(tmp_path)
    a.write(first, "1")
    world.settle()
    a.write(NFC if first == NFD else NFD, "2")
    world.settle()
    assert set(a.tree()) == set(world.objects()) == {NFC, NFD}
    assert list(b.tree()) == [NFC]
    assert b.problems() == {NFD: "case-clash"}
    b.restart()
    world.settle()
    assert set(a.tree()) == set(world.objects()) == {NFC, NFD}
    assert unicodedata.normalize("NFC", NFD) == NFC


def test_j04_where_nothing_folds(tmp_path: Path) -> None:
    """Both forms, and both cases, on every device."""
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b")
    files = {NFC: "1", NFD: "2", "x": "3", "X": "4"}
    for path, text in files.items():
        a.write(path, text)
    world.settle()
    assert a.tree() == b.tree() == world.objects() == files
    assert a.problems() == b.problems() == {}


def test_j06_names_of_another_system(tmp_path: Path) -> None:
    """What Windows could not hold is an ordinary name here."""
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b")
    files = {"CON.txt": "1", "a:b": "2", "x.": "3", "back\\slash": "4"}
    for path, text in files.items():
        a.write(path, text)
    world.settle()
    assert a.tree() == b.tree() == world.objects() == files


def test_j07_names_that_are_too_long(tmp_path: Path) -> None:
    """A key whose name no file system holds, and a path that no key holds: problems, nothing is deleted."""
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b")
    a.write("f", "1")
    world.settle()
    long = "n" * 256
    world.put(long, "key")
    deep = "/".join(["d" * 200] * 6) + "/f"
    a.write(deep, "path")
    world.settle()
    for device in (a, b):
        assert device.problems()[long] == "name-too-long"
    # Told of where it becomes too long: everything below that folder.
    assert a.problems()[deep.removesuffix("/f")] == "name-too-long"
    assert a.tree() == {"f": "1", deep: "path"}
    assert b.tree() == {"f": "1"}
    assert world.objects() == {"f": "1", long: "key"}


def test_j08_names_of_every_kind(tmp_path: Path) -> None:
    """Newline, tab, emoji, spaces at either end, quotes, percent signs: byte-exact both ways."""
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b")
    names = ["new\nline", "tab\there", "\U0001f600", " leading", "trailing ", "100%41", "q'\"`$", "a+b&c=d", "-rf", "~"]
    for n, name in enumerate(names):
        a.write(f"d {n}/{name}", name)
    world.settle()
    assert a.tree() == b.tree() == world.objects()
    assert len(b.tree()) == len(names)
    (a.root / "d 0/new\nline").unlink()
    world.settle()
    assert len(b.tree()) == len(world.objects()) == len(names) - 1


@pytest.mark.parametrize("key", ["x/.dorky/trash/f", "d/.git/config", ".GIT/x", "x/../../y", "/abs", "a//b", "./z"])
def test_j10_reserved_and_unsafe_keys(tmp_path: Path, key: str) -> None:
    """Never written, told of, and left in the bucket."""
    world = World(tmp_path)
    a = world.device("a")
    a.write("f", "1")
    world.settle()
    if not key.startswith("/"):
        world.put(key, "other")
        world.settle()
        assert a.problems()[key] in {"reserved-name", "unsafe-key"}
        assert world.objects() == {"f": "1", key: "other"}
    assert a.tree() == {"f": "1"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "a-state"]


def test_j11_names_of_conflict_copies(tmp_path: Path) -> None:
    """Extensions and leading dots are kept, a long name is trimmed at a character."""
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b")
    names = ["foo.tar.gz", ".bashrc", "\u00e9" * 125 + ".txt"]
    for name in names:
        a.write(name, "0")
    world.settle()
    for name in names:
        a.write(name, f"a {name}")
        b.write(name, f"b {name}")
    world.settle()
    assert a.tree() == b.tree() == world.objects()
    copies = {text: path for path, text in a.tree().items() if " (conflict b " in path}
    assert len(copies) == 3
    assert copies["b foo.tar.gz"].endswith(").tar.gz")
    assert copies["b .bashrc"].startswith(".bashrc (conflict b ")
    long = copies[f"b {names[2]}"]
    assert long.endswith(").txt")
    assert len(long.encode()) <= 255


class Unreadable(LocalFolder):
    """A folder with files that the daemon may not read (tests run as root, who may read all)."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.shut: set[str] = set()

    def observe(self, path: model.Path, known: Known | None) -> Observation:
        for name in self.shut:
            if path == name or path.startswith(f"{name}/"):
                return model.Problem(path, "unreadable", f"{path} cannot be read", "chmod")
        return super().observe(path, known)

    def scan(
        self, skip: Callable[[model.Path, bool], bool], under: model.Path | None = None
    ) -> Iterator[Entry | model.Problem]:
        for met in super().scan(skip, under):
            if not any(met.path.startswith(f"{name}/") for name in self.shut):
                yield met
        for name in self.shut:
            if (Path(self._path) / name).is_dir():
                yield model.Problem(model.Path(name), "unreadable", f"{name} cannot be read", "chmod")


def test_j12_an_unreadable_file(tmp_path: Path) -> None:
    """The others sync; the problem clears itself when it can be read."""
    world = World(tmp_path)
    folder = Unreadable(str(tmp_path / "a"))
    a, b = world.device("a", wrap=lambda _folder: folder), world.device("b")
    for n in range(100):
        a.write(f"{n}", f"{n}")
    folder.shut = {"7"}
    world.settle()
    assert a.problems() == {"7": "unreadable"}
    assert len(b.tree()) == len(world.objects()) == 99
    folder.shut = set()
    world.settle()
    assert a.problems() == {}
    assert len(b.tree()) == len(world.objects()) == 100


def test_j13_an_unreadable_folder(tmp_path: Path) -> None:
    """Cannot read is not deleted; an edit elsewhere waits."""
    world = World(tmp_path)
    folder = Unreadable(str(tmp_path / "a"))
    a, b = world.device("a", wrap=lambda _folder: folder), world.device("b")
    files = {f"d/{n}": f"{n}" for n in range(20)}
    for path, text in files.items():
        a.write(path, text)
    world.settle()
    folder.shut = {"d"}
    world.settle()
    b.write("d/3", "edited")
    world.settle()
    assert a.problems()["d"] == "unreadable"
    assert a.engine.held is None
    assert b.tree() == world.objects() == {**files, "d/3": "edited"}
    folder.shut = set()
    world.settle()
    assert a.problems() == {}
    assert a.tree() == {**files, "d/3": "edited"}


def test_j14_a_file_system_mounted_inside(tmp_path: Path) -> None:
    """What it hides is not deleted, what it holds is not sent, and when it is unmounted all is as before: no halt."""
    script = f"""
import subprocess
from tests.devices import World
world = World(pathlib.Path({str(tmp_path)!r}))
a, b = world.device("a"), world.device("b")
files = {{f"d/{{n}}": str(n) for n in range(20)}} | {{"f": "1"}}
for path, text in files.items():
    a.write(path, text)
world.settle()
world.forget()
subprocess.run(["mount", "-t", "tmpfs", "none", str(a.root / "d")], check=True)
a.write("d/inside", "i")
b.write("d/3", "edited")
world.settle()
print(sorted(a.problems().items()), a.engine.held, b.tree() == world.objects() == files | {{"d/3": "edited"}})
subprocess.run(["umount", str(a.root / "d")], check=True)
world.settle()
print(a.problems(), a.engine.held, a.tree() == b.tree() == world.objects() == files | {{"d/3": "edited"}})
print(sorted(world.moved()))
"""
    found = in_namespace("true", script, tmp_path / "unused")
    assert found.splitlines() == [
        "[('d', 'mount'), ('d/3', 'mount')] None True",
        "{} None True",
        "['GET', 'PUT']",
    ]
