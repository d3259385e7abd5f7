"""Compare and swap on a name: nobody's bytes go by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dorkyd.core import model
from dorkyd.core.ignore import IgnoreRules
from dorkyd.exchanging import replaced
from dorkyd.renames import AtomicRenames, Place, Renames, StepwiseRenames


class Meanwhile:
    """Others do something right before the names are exchanged: the window between the last look and the write."""

    def __init__(self, inner: Renames, *acts: Callable[[], object]) -> None:
        self._inner, self._acts = inner, list(acts)

    def _act(self) -> None:
        if self._acts:
            self._acts.pop(0)()

    def place(self, staged: Place, to: Place) -> None:
        self._act()
        self._inner.place(staged, to)

    def exchange(self, staged: Place, file: Place) -> None:
        self._act()
        self._inner.exchange(staged, file)

    def withdraw(self, file: Place, staged: Place) -> None:
        self._inner.withdraw(file, staged)

    def move(self, file: Place, to: Place, staged: Place) -> None:
        self._inner.move(file, to, staged)


EITHER = pytest.mark.parametrize("inner", [AtomicRenames(), StepwiseRenames()], ids=["atomic", "stepwise"])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """It holds `old`."""
    (tmp_path / "f").write_bytes(b"old")
    return tmp_path / "f"


def alone(file: Path) -> bool:
    """Nothing was left beside it."""
    return [one.name for one in file.parent.iterdir()] == [file.name]


@EITHER
def test_what_was_read_is_replaced(file: Path, inner: Renames) -> None:
    """With the permission bits that were asked for."""
    assert replaced(file, b"new", b"old", 0o640, inner)
    assert (file.read_bytes(), file.stat().st_mode & 0o777, alone(file)) == (b"new", 0o640, True)


@EITHER
@pytest.mark.parametrize("how", ["in place", "by a rename"])
def test_what_was_saved_in_the_last_moment_stays(file: Path, inner: Renames, how: str) -> None:
    """However somebody saves it."""

    def save() -> None:
        if how == "in place":
            file.write_bytes(b"theirs")
        else:
            (file.parent / "other").write_bytes(b"theirs")
            (file.parent / "other").replace(file)

    assert not replaced(file, b"new", b"old", 0o600, Meanwhile(inner, save))
    assert (file.read_bytes(), alone(file)) == (b"theirs", True)


@EITHER
def test_what_is_saved_twice_meanwhile_is_all_there(file: Path, inner: Renames) -> None:
    """The later one has the name, and it is told where the other is."""
    acts = [lambda: file.write_bytes(b"theirs"), lambda: file.write_bytes(b"theirs, again")]
    with pytest.raises(BlockingIOError) as raised:
        replaced(file, b"new", b"old", 0o600, Meanwhile(inner, *acts))
    (beside,) = [one for one in file.parent.iterdir() if one != file]
    assert (file.read_bytes(), beside.read_bytes()) == (b"theirs, again", b"theirs")
    assert beside.name in str(raised.value)


@EITHER
def test_a_new_file_replaces_none(file: Path, inner: Renames) -> None:
    """And is made where there is none."""
    assert not replaced(file, b"new", None, 0o600, inner)
    assert file.read_bytes() == b"old"
    file.unlink()
    assert replaced(file, b"new", None, 0o600, inner)
    assert (file.read_bytes(), alone(file)) == (b"new", True)


@EITHER
def test_what_is_gone_is_not_made_anew(file: Path, inner: Renames) -> None:
    """Somebody removed it in the last moment."""
    assert not replaced(file, b"new", b"old", 0o600, Meanwhile(inner, file.unlink))
    assert not list(file.parent.iterdir())


def test_what_a_kill_leaves_beside_is_never_synced(file: Path) -> None:
    """Where names cannot be exchanged both contents stand beside the place for a moment, and may be secrets."""

    class Killed(StepwiseRenames):
        def place(self, staged: Place, to: Place) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replaced(file, b"new", b"old", 0o600, Killed())
    left = [one for one in file.parent.iterdir() if one != file]
    assert b"old" in [one.read_bytes() for one in left]
    assert all(IgnoreRules().skip(model.Path(one.name), False) for one in left), left
