"""Renames that never overwrite, in one step and stepwise."""

from __future__ import annotations

import errno
import os
import pathlib
from collections.abc import Iterator

import pytest

from dorkyd.renames import AtomicRenames, Place, Renames, StepwiseRenames


class Linkless(StepwiseRenames):
    """As on FAT, which has no hard links."""

    def _link(self, staged: Place, to: Place) -> None:
        raise PermissionError(errno.EPERM, "no links here", to.name)


class Interrupted(StepwiseRenames):
    """Another program takes the place between withdrawing and placing."""

    def place(self, staged: Place, to: Place) -> None:
        if not staged.name.endswith(".out"):
            os.close(os.open(to.name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, dir_fd=to.fd))
        super().place(staged, to)


@pytest.fixture(params=[AtomicRenames, StepwiseRenames, Linkless])
def renames(request: pytest.FixtureRequest) -> Renames:
    """Each way of renaming: one contract."""
    made: Renames = request.param()
    return made


class Folders:
    """Staging and a folder, both open."""

    def __init__(self, root: pathlib.Path) -> None:
        self.tmp, self.dir = root / "tmp", root / "dir"
        self.tmp.mkdir()
        self.dir.mkdir()
        self.tmp_fd, self.dir_fd = (os.open(folder, os.O_RDONLY) for folder in (self.tmp, self.dir))

    def staged(self, name: str, content: str | None = None) -> Place:
        if content is not None:
            (self.tmp / name).write_text(content)
        return Place(self.tmp_fd, name)

    def file(self, name: str, content: str | None = None) -> Place:
        if content is not None:
            (self.dir / name).write_text(content)
        return Place(self.dir_fd, name)

    def all(self) -> dict[str, str]:
        return {f"{f.parent.name}/{f.name}": f.read_text() for folder in (self.tmp, self.dir) for f in folder.iterdir()}


@pytest.fixture
def at(tmp_path: pathlib.Path) -> Iterator[Folders]:
    """Staging and a folder, closed afterwards."""
    folders = Folders(tmp_path)
    yield folders
    os.close(folders.tmp_fd)
    os.close(folders.dir_fd)


def test_place_fills_a_free_name_only(at: Folders, renames: Renames) -> None:
    """A taken name keeps what it has, and so does staging."""
    renames.place(at.staged("n", "new"), at.file("f"))
    assert at.all() == {"dir/f": "new"}
    with pytest.raises(FileExistsError):
        renames.place(at.staged("m", "more"), at.file("f"))
    assert at.all() == {"dir/f": "new", "tmp/m": "more"}


def test_withdraw_never_overwrites_staging(at: Folders, renames: Renames) -> None:
    """A taken staged name keeps what it has, and the file stays."""
    with pytest.raises(FileExistsError):
        renames.withdraw(at.file("f", "file"), at.staged("n", "precious"))
    renames.withdraw(at.file("f"), at.staged("m"))
    assert at.all() == {"tmp/m": "file", "tmp/n": "precious"}


def test_exchange_trades_names(at: Folders, renames: Renames) -> None:
    """Both files are whole under each other's name."""
    renames.exchange(at.staged("n", "new"), at.file("f", "old"))
    assert at.all() == {"dir/f": "new", "tmp/n": "old"}


@pytest.mark.parametrize("missing", ["file", "staged"])
def test_exchange_needs_both(at: Folders, renames: Renames, missing: str) -> None:
    """With either missing nothing moves."""
    staged = at.staged("n", None if missing == "staged" else "new")
    file = at.file("f", None if missing == "file" else "old")
    before = at.all()
    with pytest.raises(FileNotFoundError):
        renames.exchange(staged, file)
    assert at.all() == before


def test_move_refuses_a_taken_name_and_puts_the_file_back(at: Folders, renames: Renames) -> None:
    """Both files stay, nothing is left on the way."""
    renames.move(at.file("f", "file"), at.file("g"), at.staged("way"))
    assert at.all() == {"dir/g": "file"}
    with pytest.raises(FileExistsError):
        renames.move(at.file("g"), at.file("h", "taken"), at.staged("way"))
    assert at.all() == {"dir/g": "file", "dir/h": "taken"}


def test_a_place_taken_between_two_steps_keeps_every_byte(at: Folders) -> None:
    """Three files for two names: the late one has the place, the two others are in staging."""
    with pytest.raises(FileExistsError):
        Interrupted().exchange(at.staged("n", "new"), at.file("f", "old"))
    assert at.all() == {"dir/f": "", "tmp/n": "new", "tmp/n.out": "old"}
