"""Group R: what a person does in the window between our last look and our rename, and after it; and decisions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from dorkyd.core import model
from dorkyd.core.paths import parse_conflict
from dorkyd.core.report import ConflictSeen
from dorkyd.errors import PathProblem, Refused, Stale
from dorkyd.folder import LocalFolder
from dorkyd.placing import Placer
from dorkyd.reading import Reader
from tests.devices import DAWN_NS, Device, Kill, World


class Windowed(LocalFolder):
    """A folder in which a person acts between the last look of one kind of effect and its rename, once."""

    def __init__(self, root: str) -> None:
        super().__init__(root, time_ns=count(DAWN_NS).__next__, between=self._window)
        self.effect = ""
        self.act: Callable[[], object] = lambda: None
        self.refuse = ""
        self._inside = False

    def arm(self, effect: str, act: Callable[[], object]) -> None:
        self.effect, self.act = effect, act

    def _window(self, step: str) -> None:
        if self._inside and step == "looked":
            self._inside = False
            self.effect = ""
            self.act()

    def _enter(self, effect: str, path: model.Path) -> None:
        if self.refuse == effect:
            raise PathProblem(path, f"{path}: its folder cannot be written", code="unwritable")
        self._inside = self.effect == effect

    def swap_in(self, name: str, path: model.Path, expected: model.Local | None) -> None:
        self._enter("swap_in", path)
        super().swap_in(name, path, expected)

    def take_out(self, path: model.Path, name: str, expected: model.Local) -> None:
        self._enter("take_out", path)
        super().take_out(path, name, expected)

    def rename(self, path: model.Path, to: model.Path, expected: model.Local) -> None:
        self._enter("rename", path)
        super().rename(path, to, expected)


def _world(tmp_path: Path, **files: str) -> tuple[World, Device, Device, Windowed]:
    """Two devices in sync; the folder of the second has a window. `d__f` stands for `d/f`."""
    world = World(tmp_path)
    folder = Windowed(str(tmp_path / "b"))
    a, b = world.device("a"), world.device("b", wrap=lambda _folder: folder)
    for name, text in files.items():
        a.write(name.replace("__", "/"), text)
    world.settle()
    world.forget()
    return world, a, b, folder


def _conflicts(device: Device) -> dict[str, str]:
    return {path: text for path, text in device.tree().items() if parse_conflict(model.Path(path)) is not None}


def test_r01_a_save_in_the_window_of_a_download(tmp_path: Path) -> None:
    """What came out of the exchange is not what was expected: it becomes a conflict copy everywhere."""
    world, a, b, folder = _world(tmp_path, f="1")
    a.write("f", "2")
    a.settle()
    folder.arm("swap_in", lambda: b.write("f", "x"))
    world.settle()
    assert a.tree() == b.tree() == world.objects()
    assert a.read("f") == "2"
    assert list(_conflicts(b).values()) == ["x"]


def test_r01_a_save_by_rename_in_the_window(tmp_path: Path) -> None:
    """As most editors save: another inode."""
    world, a, b, folder = _world(tmp_path, f="1")

    def save() -> None:
        b.write(".save", "x")
        (b.root / ".save").rename(b.root / "f")

    a.write("f", "2")
    a.settle()
    folder.arm("swap_in", save)
    world.settle()
    assert a.tree() == b.tree() == world.objects()
    assert a.read("f") == "2"
    assert list(_conflicts(b).values()) == ["x"]


@pytest.mark.parametrize("edited", [False, True])
def test_r01_the_same_bytes_saved_in_the_window(tmp_path: Path, *, edited: bool) -> None:
    """Both sides hold the same: no conflict, also where there was about to be one."""
    world, a, b, folder = _world(tmp_path, f="1")
    a.write("f", "2")
    a.settle()
    if edited:
        b.write("f", "x")
    folder.arm("swap_in", lambda: b.write("f", "2"))
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"f": "2"}
    assert "conflict" not in {verb for verb, _ in b.history("f")}


def test_r01_what_was_saved_in_the_window_is_what_undo_leaves(tmp_path: Path) -> None:
    """An edit stood there, and then the same bytes as came: not nothing."""
    world, a, b, folder = _world(tmp_path, f="1")
    a.write("f", "2")
    a.settle()
    b.write("f", "x")
    folder.arm("swap_in", lambda: b.write("f", "2"))
    b.settle()
    b.undo()
    b.settle()
    assert b.tree() == world.objects() == {"f": "2"}


def test_undo_of_a_conflict_whose_end_nobody_recorded(tmp_path: Path) -> None:
    """Killed when its copy was made: what stood there is not known, and is not taken for nothing."""
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b")
    a.write("f", "1")
    world.settle()
    a.write("f", "2")
    a.settle()
    b.write("f", "x")
    b.trap.set(1, after=True, only=lambda name, _first: name == "put_in")
    with pytest.raises(Kill):
        b.settle()
    b.restart()
    b.settle()
    b.undo()
    b.settle()
    assert b.tree() == world.objects() == {"f": "2"}
    with pytest.raises(Refused, match="nothing on this device"):
        b.undo()
    b.settle()
    assert b.tree() == world.objects() == {"f": "2"}


def test_r01_a_file_created_in_the_window(tmp_path: Path) -> None:
    """A download to a free place finds it taken: both are kept, nothing was overwritten."""
    world, a, b, folder = _world(tmp_path, other="0")
    a.write("f", "2")
    a.settle()
    folder.arm("swap_in", lambda: b.write("f", "x"))
    world.settle()
    assert a.tree() == b.tree() == world.objects()
    assert a.read("f") == "2"
    assert list(_conflicts(b).values()) == ["x"]


def test_r01_a_deletion_in_the_window(tmp_path: Path) -> None:
    """There is nothing to exchange with: the edit beats the deletion."""
    world, a, b, folder = _world(tmp_path, f="1")
    a.write("f", "2")
    a.settle()
    folder.arm("swap_in", (b.root / "f").unlink)
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"f": "2"}


def test_r01_a_save_in_the_window_of_keep_both(tmp_path: Path) -> None:
    """The newest bytes are in the one conflict copy; the person's own save replaced the ones before."""
    world, a, b, folder = _world(tmp_path, f="1")
    a.write("f", "2")
    a.settle()
    b.write("f", "x")
    folder.arm("swap_in", lambda: b.write("f", "xx"))
    world.settle()
    assert a.tree() == b.tree() == world.objects()
    assert a.read("f") == "2"
    assert list(_conflicts(a).values()) == ["xx"]


def test_r03_a_save_in_the_window_of_a_deletion(tmp_path: Path) -> None:
    """It is put back and sent."""
    world, a, b, folder = _world(tmp_path, f="1", g="0")
    (a.root / "f").unlink()
    a.settle()
    folder.arm("take_out", lambda: b.write("f", "x"))
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"f": "x", "g": "0"}


def test_r03_two_saves_in_the_window_of_a_deletion(tmp_path: Path) -> None:
    """Saved in the window, and again under the name while the first is on its way back: both are kept."""
    world, a, b, folder = _world(tmp_path, f="1", g="0")
    (a.root / "f").unlink()
    a.settle()
    put_in = folder.put_in

    def late(name: str, path: model.Path) -> bool:
        if path == "f" and not (b.root / "f").exists():
            b.write("f", "xx")
        return put_in(name, path)

    folder.put_in = late  # type: ignore[method-assign]
    folder.arm("take_out", lambda: b.write("f", "x"))
    world.settle()
    assert a.tree() == b.tree() == world.objects()
    assert a.read("f") == "xx"
    assert list(_conflicts(a).values()) == ["x"]


def test_a_save_in_the_window_of_a_local_move(tmp_path: Path) -> None:
    """A teammate's rename meets a save under the old name: both are kept."""
    world, a, b, folder = _world(tmp_path, f="1")
    (a.root / "f").rename(a.root / "g")
    a.settle()
    folder.arm("rename", lambda: b.write("f", "x"))
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"f": "x", "g": "1"}


def test_a_file_created_in_the_window_of_a_local_move(tmp_path: Path) -> None:
    """A teammate's rename meets a new file under the new name: it is not overwritten, both are kept."""
    world, a, b, folder = _world(tmp_path, f="1")
    (a.root / "f").rename(a.root / "g")
    a.settle()
    folder.arm("rename", lambda: b.write("g", "x"))
    world.settle()
    assert a.tree() == b.tree() == world.objects()
    assert a.read("g") == "1"
    assert list(_conflicts(a).values()) == ["x"]


def test_r04_the_folder_is_renamed_in_the_window(tmp_path: Path) -> None:
    """The install happens in the folder that was opened, under its new name: no ghost of the old one."""
    world, a, b, folder = _world(tmp_path, d__f="1")
    a.write("d/f", "2")
    a.settle()
    folder.arm("swap_in", lambda: (b.root / "d").rename(b.root / "e"))
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"e/f": "2"}
    assert not (b.root / "d").exists()


def test_r04_the_folder_is_renamed_while_bytes_arrive(tmp_path: Path) -> None:
    """The rename is seen before the install: an edit beats the deletion half, so both names hold what they should."""
    world, a, b, _ = _world(tmp_path, d__f="1")
    a.write("d/f", "2")
    a.settle()
    once = iter([True])

    def renames(device: str, verb: str, key: str) -> None:
        if (device, verb, key) == ("b", "GET", "d/f") and next(once, False):
            (b.root / "d").rename(b.root / "e")

    world.faults = renames  # type: ignore[assignment]
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"d/f": "2", "e/f": "1"}


@pytest.mark.parametrize("after_s", [1.0, 30.0, None])
def test_r06_a_late_writer(tmp_path: Path, after_s: float | None) -> None:
    """A program writes on to the file that was displaced: its bytes become a conflict copy. None: seen at start."""
    world, a, b, _ = _world(tmp_path, f="1")
    a.write("f", "2")
    a.settle()
    with (b.root / "f").open("a") as held:
        world.settle()
        assert b.tree() == {"f": "2"}
        b.step(after_s or 100.0)
        if after_s is None:
            b.step(100.0)
        held.write(" and late")
    if after_s is None:
        b.restart()
    for _ in range(3):
        b.step(70.0)
    world.settle()
    assert a.tree() == b.tree() == world.objects()
    assert a.read("f") == "2"
    assert list(_conflicts(a).values()) == ["1 and late"]


def test_r06_a_late_writer_before_purge(tmp_path: Path) -> None:
    """However late: what was written to is not purged."""
    world, a, b, _ = _world(tmp_path, f="1")
    a.write("f", "2")
    a.settle()
    with (b.root / "f").open("a") as held:
        world.settle()
        for _ in range(3):
            b.step(70.0)
        held.write(" and late")
    b.clock.advance(100 * 86_400)
    b.engine.purge()
    world.settle()
    assert list(_conflicts(a).values()) == ["1 and late"]


def test_a_late_writer_whose_copy_has_no_place(tmp_path: Path) -> None:
    """A path so long that no copy's name fits beside it: what was written stays in the trash, is not purged, and nothing
    is left in staging. It is tried again at each start.
    """
    long = "/".join(["x" * 250] * 4) + "/f"
    world, a, b, _ = _world(tmp_path)
    (b.root / long).parent.mkdir(parents=True)
    b.write(long, "1")
    world.settle()
    (a.root / long).unlink()
    a.settle()
    with (b.root / long).open("a") as held:
        b.settle()
        held.write(" and late")
    for _ in range(3):
        b.step(61.0)
        b.engine.purge()
        assert b.trashed() == ["1 and late"]
        assert not [p for p in (b.root / ".dorky/tmp").iterdir() if not p.name.startswith(".")]
        assert len(b.journal.ledger.displaced()) == 1
        b.restart()
    b.settle()
    assert b.trashed() == ["1 and late"]


def test_trash_that_cannot_be_purged_keeps_nothing_else(tmp_path: Path) -> None:
    """One displaced file that cannot be read stays; the others, and old history, go all the same."""

    class Stuck(LocalFolder):
        def trash_digest(self, name: str) -> model.Digest | None:
            if next(t for t in self.trash() if t.name == name).path == "a":
                raise PathProblem("a", "it cannot be read", code="unreadable", hint="chmod")
            return super().trash_digest(name)

    world = World(tmp_path)
    stuck = Stuck(str(tmp_path / "b"), time_ns=count(DAWN_NS).__next__)
    a, b = world.device("a"), world.device("b", wrap=lambda _folder: stuck)
    world.begin({"a": "1", "f": "1", "g": "1"})
    for path in ("a", "f", "g"):
        a.write(path, "2")
        world.settle()
    b.clock.advance(100 * 86_400)
    b.engine.purge()
    assert [item.path for item in b.engine.folder.trash()] == ["a"]


def test_g14_an_install_that_is_refused(tmp_path: Path) -> None:
    """A folder that cannot be written: a problem; what was fetched is kept, and the next run needs no GET."""
    world, a, b, folder = _world(tmp_path, f="1")
    a.write("f", "2")
    a.settle()
    b.write("f", "mine")
    folder.refuse = "swap_in"
    world.settle()
    assert b.problems() == {"f": "unwritable"}
    assert b.tree() == {"f": "mine"}
    assert world.objects() == {"f": "2"}
    folder.refuse = ""
    world.forget()
    b.restart()
    world.settle()
    assert world.moved("b").get("GET", 0) == 0
    assert b.problems() == {}
    assert a.tree() == b.tree() == world.objects()
    assert b.read("f") == "2"
    assert list(_conflicts(a).values()) == ["mine"]


# --- decisions ------------------------------------------------------------------------------------------------------


def _conflict(tmp_path: Path) -> tuple[World, Device, Device, str]:
    """`a` won with `mine-a`, the copy holds `mine-b`."""
    world, a, b, _ = _world(tmp_path, f="1")
    a.write("f", "mine-a")
    a.settle()
    b.write("f", "mine-b")
    world.settle()
    ((copy, text),) = _conflicts(a).items()
    assert text == "mine-b"
    return world, a, b, copy


@pytest.mark.parametrize("named", ["original", "copy"])
@pytest.mark.parametrize(
    ("on", "keep", "expected"),
    [
        ("winner", "mine", "mine-a"),
        ("winner", "theirs", "mine-b"),
        ("loser", "mine", "mine-b"),
        ("loser", "theirs", "mine-a"),
    ],
)
def test_resolve(tmp_path: Path, on: str, keep: str, expected: str, named: str) -> None:
    """`mine` is what this device wrote, wherever it is asked; the other bytes go to the trash."""
    world, a, b, copy = _conflict(tmp_path)
    device = a if on == "winner" else b
    device.decisions.resolve("f" if named == "original" else copy, keep)
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"f": expected}
    other = "mine-a" if expected == "mine-b" else "mine-b"
    assert other in device.trashed()


@pytest.mark.parametrize("on", ["winner", "loser"])
def test_resolve_both(tmp_path: Path, on: str) -> None:
    """The copy becomes an ordinary file under a name that no longer says conflict."""
    world, a, b, copy = _conflict(tmp_path)
    device = a if on == "winner" else b
    device.decisions.resolve("f", "both")
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"f": "mine-a", copy.replace("conflict", "kept"): "mine-b"}
    with pytest.raises(Refused):
        device.decisions.resolve("f", "both")


@pytest.mark.parametrize("edited", ["name", "copy", "gone"])
def test_resolve_settles_what_was_shown(tmp_path: Path, edited: str) -> None:
    """A page that stood open says what it showed: nothing happens to anything newer, and what is shown now is settled."""
    world, a, b, copy = _conflict(tmp_path)

    def shown() -> ConflictSeen:
        (item,) = Reader(a.engine.journal_file, a.engine.project, "A").conflicts()
        return ConflictSeen(item.digest, item.named)

    seen = shown()
    if edited == "gone":
        (a.root / "f").unlink()
    else:
        b.write("f" if edited == "name" else copy, "newer")
    world.settle()
    before = a.tree()
    with pytest.raises(Refused, match="another by now") as refused:
        a.decisions.resolve(copy, "theirs", seen)
    assert refused.value.code == "changed-meanwhile"
    assert a.tree() == before
    a.decisions.resolve(copy, "theirs", shown())
    world.settle()
    assert a.tree() == b.tree() == {"f": "newer" if edited == "copy" else "mine-b"}


def test_resolve_is_asked_again_while_a_side_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is begun then: no bytes are staged, and neither side changes."""
    _, a, _, copy = _conflict(tmp_path)
    before = a.tree()
    for busy in ("f", copy):
        with monkeypatch.context() as patch:
            patch.setattr(Placer, "_busy", lambda _self, busy=busy: {busy})
            with pytest.raises(Stale) as refused:
                a.decisions.resolve("f", "theirs")
        assert refused.value.code == "busy-path"
    assert a.tree() == before
    assert not a.engine.folder.staged()
    a.decisions.resolve("f", "theirs")


def test_resolve_when_the_original_is_gone(tmp_path: Path) -> None:
    """The copy takes the free name."""
    world, a, b, _ = _conflict(tmp_path)
    (a.root / "f").unlink()
    world.settle()
    b.decisions.resolve("f", "mine")
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"f": "mine-b"}


@pytest.mark.parametrize("path", ["nothing", "../outside", "/etc/passwd", ".dorky/folder.json", "", "d/../f"])
def test_resolve_and_restore_refuse_what_is_none(tmp_path: Path, path: str) -> None:
    """An unknown path, or one that leaves the folder: refused, and nothing changed."""
    world, a, _, _ = _conflict(tmp_path)
    before = a.tree()
    with pytest.raises(Refused):
        a.decisions.resolve(path, "mine")
    with pytest.raises(Refused):
        a.restore(path, None)
    with pytest.raises(Refused):
        a.decisions.resolve("f", "ours")
    assert a.tree() == before
    world.settle()
    assert a.tree() == before


def test_restore_to_a_free_place(tmp_path: Path) -> None:
    """A file that a teammate deleted comes back everywhere."""
    world, a, b, _ = _world(tmp_path, d__f="1", g="0")
    (a.root / "d/f").unlink()
    world.settle()
    assert not (b.root / "d").exists()
    b.restore("d/f", None)
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"d/f": "1", "g": "0"}


def test_restore_over_another_file(tmp_path: Path) -> None:
    """What stands there goes to the trash in turn; a named one of several is the one that comes."""
    world, a, b, _ = _world(tmp_path, f="1")
    for text in ("2", "3"):
        a.write("f", text)
        world.settle()
    oldest, newest = [item.name for item in b.engine.folder.trash() if item.path == "f"]
    b.restore("f", oldest)
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"f": "1"}
    assert sorted(b.trashed()) == ["1", "2", "3"]
    b.restore("f", newest)
    world.settle()
    assert a.tree() == {"f": "2"}
    with pytest.raises(Refused):
        b.restore("f", "../../f")


def test_restore_where_a_folder_stands(tmp_path: Path) -> None:
    """Refused, with nothing lost."""
    world, a, b, _ = _world(tmp_path, f="1")
    (a.root / "f").unlink()
    world.settle()
    b.write("f/x", "in the way")
    with pytest.raises((Refused, PathProblem)):
        b.restore("f", None)
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"f/x": "in the way"}
    assert "1" in b.trashed()
    assert list(b.engine.folder.staged()) == []
