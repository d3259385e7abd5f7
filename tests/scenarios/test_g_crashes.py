"""Scenario group G: a device ends at the worst instant, and begins again from what is on disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dorkyd.buckets.memory import Fault
from dorkyd.core import metadata
from dorkyd.core.paths import parse_conflict
from dorkyd.core.report import HaltReason
from dorkyd.errors import PathProblem, Stale, Transient
from dorkyd.ports import Folder
from tests.devices import Device, Kill, Trap, World, trap_commits


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Devices A and B over one bucket."""
    made = World(tmp_path)
    made.device("A")
    made.device("B")
    return made


def killed(device: Device, call: str, path: str | None = None, *, after: bool) -> None:
    """Let the device work until it makes this call, and end there. `path` None: whatever its first argument."""
    device.trap.set(1, after=after, only=lambda name, first: name == call and path in (None, first))
    with pytest.raises(Kill):
        device.settle()


def lost_reply(world: World, device: str, verb: str, key: str) -> None:
    """The next such request is carried out, and its reply never comes."""
    left = [Fault(Transient("connection reset"), "after")]

    def fault(who: str, what: str, which: str) -> Fault | None:
        return left.pop() if (who, what, which) == (device, verb, key) and left else None

    world.faults = fault


# --- the histories that the project promises --------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["swap_in", "staged_digest", "put_in", "commit"])
def test_the_loser_of_a_conflict_is_killed_just_after_the_exchange(
    world: World, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came out of the exchange survives in a conflict copy, on both devices."""
    one, two = world.begin({"f": "1"})
    trap_commits(monkeypatch, {"B": two.trap})
    one.write("f", "a")
    two.write("f", "b")
    one.settle()
    swapped = False

    def then(name: str, first: object) -> bool:
        nonlocal swapped
        counts = swapped or call == "swap_in"
        swapped |= name == "swap_in"
        return counts and name == call

    if call == "staged_digest":
        killed(two, "put_in", after=False)
    else:
        two.trap.set(1, after=True, only=then)
        with pytest.raises(Kill):
            two.settle()
    two.restart()
    world.settle()
    assert one.tree() == two.tree() == world.objects()
    assert one.read("f") == "a"
    assert sorted(one.tree().values()) == ["a", "b"]


@pytest.mark.parametrize("swapped", [False, True])
def test_a_staged_file_is_lost_after_its_install_was_journalled(world: World, swapped: bool) -> None:
    """Nothing is reverted and nothing deleted: the file is what the exchange made it, and the edit arrives."""
    one, two = world.begin({"f": "1"})
    one.write("f", "2")
    one.settle()
    killed(two, "swap_in", after=swapped)
    for staged in (two.root / ".dorky" / "tmp").iterdir():
        staged.unlink()
    two.restart()
    assert two.read("f") == ("2" if swapped else "1")
    world.settle()
    world.all_hold({"f": "2"})
    assert world.moved("A") == {"PUT": 1}


@pytest.mark.parametrize("other_took_it", [False, True])
def test_a_lost_reply_then_a_revert_then_a_restart(world: World, other_took_it: bool) -> None:
    """The revert stands: base is what the lost put wrote, so going back is an edit like any other."""
    one, two = world.begin({"f": "1"})
    one.write("f", "2")
    killed(one, "put", "f", after=True)
    if other_took_it:
        two.settle()
        assert two.read("f") == "2"
    one.write("f", "1")
    one.restart()
    world.settle()
    world.all_hold({"f": "1"})


def test_a_lost_reply_then_a_revert_without_a_restart(world: World) -> None:
    """The same while the daemon lives."""
    one, _ = world.begin({"f": "1"})
    one.write("f", "2")
    lost_reply(world, "A", "PUT", "f")
    one.look()
    while "f" not in world.objects() or world.objects()["f"] != "2":
        one.step(0.5)
    one.write("f", "1")
    world.settle()
    world.all_hold({"f": "1"})


def test_a_lost_reply_replaced_by_the_other_device_before_the_restart(world: World) -> None:
    """The other's edit was made over ours: it stands, without a conflict copy."""
    one, two = world.begin({"f": "1"})
    one.write("f", "2")
    killed(one, "put", "f", after=True)
    two.settle()
    two.write("f", "3")
    two.settle()
    one.restart()
    world.settle()
    world.all_hold({"f": "3"})


@pytest.mark.parametrize("other_looked", [False, True])
def test_moved_there_and_back_with_a_kill_after_the_remote_delete(world: World, other_looked: bool) -> None:
    """`mv a b; mv b a`: `a` is there on both."""
    one, two = world.begin({"a": "1", "stays": "s"})
    (one.root / "a").rename(one.root / "b")
    killed(one, "delete", "a", after=True)
    assert world.objects() == {"b": "1", "stays": "s"}
    if other_looked:
        two.settle()
    (one.root / "b").rename(one.root / "a")
    one.restart()
    world.settle()
    world.all_hold({"a": "1", "stays": "s"})


def test_a_listing_begun_before_a_file_was_created_does_not_remove_it(tmp_path: Path) -> None:
    """Pages that passed its place prove nothing: neither our new file nor one that news brought is deleted."""
    world = World(tmp_path)
    world.store._page_keys = 1
    one, two = world.device("A"), world.device("B")
    files = {f"m{n}": str(n) for n in range(12)}
    world.begin(files)
    two.watching = True
    two.restart()
    two.settle()
    world.forget()
    two.look()
    done = two.engine.counters
    ended = done.listings_done
    for _ in range(5):
        two.step(0.5)
    one.write("a1", "theirs")
    one.settle()
    two.write("a2", "ours")
    two.watchers[-1].saw("a2")
    two.look(whole=False)
    for _ in range(5):
        two.step(0.5)
    assert done.listings_begun > done.listings_done == ended
    assert {"a1", "a2"} <= world.objects().keys()
    assert two.tree() == {**files, "a1": "theirs", "a2": "ours"}
    world.settle()
    world.all_hold({**files, "a1": "theirs", "a2": "ours"})
    assert world.moved().get("DELETE") is None


@pytest.mark.parametrize("same_machine", [True, False])
def test_a_folder_copied_with_cp_r_and_added_deletes_nothing(world: World, tmp_path: Path, same_machine: bool) -> None:
    """On the machine of the original it halts; elsewhere no journal knows it and it joins by content. What is missing
    in the copy is deleted nowhere.
    """
    one, _ = world.begin({"f": "1", "g": "2"})
    shutil.copytree(one.root, tmp_path / "C", symlinks=True)
    (tmp_path / "C" / "g").unlink()
    copy = world.device("C")
    if same_machine:
        copy.journals = one.journals
        copy.engine = copy._engine()
        for _ in range(3):
            copy.step(3.0)
        assert copy.engine.held is not None
        assert copy.engine.held.halt.reason is HaltReason.FOLDER_COPIED
        assert copy.tree() == {"f": "1"}
        assert world.moved() == {}
        copy.decisions.approve(copy.engine.held.halt.token)
    world.settle()
    world.all_hold({"f": "1", "g": "2"})
    assert one.engine.held is None


# --- the rows ---------------------------------------------------------------------------------------------------------


def test_g01_killed_between_a_create_and_its_record(world: World) -> None:
    """Our own object is known again by its op: no second PUT, no conflict."""
    one, _ = world.begin({})
    one.write("f", "1")
    killed(one, "put", "f", after=True)
    one.restart()
    world.settle()
    world.all_hold({"f": "1"})
    assert world.moved() == {"PUT": 1, "GET": 1}


def test_g02_a_412_caused_by_our_own_first_try_is_success(world: World) -> None:
    """An SDK that sent the write twice tells of the second: the object is ours."""
    one, _ = world.begin({"f": "1"})
    one.write("f", "2")
    left = [Fault(Stale("412"), "after")]
    world.faults = lambda who, verb, key: left.pop() if (who, verb, key) == ("A", "PUT", "f") and left else None
    world.settle()
    world.all_hold({"f": "2"})
    assert world.moved() == {"PUT": 1, "GET": 1}


def test_g03_edited_again_between_the_kill_and_the_restart(world: World) -> None:
    """The next edit replaces what the lost put wrote."""
    one, _ = world.begin({})
    one.write("f", "1")
    killed(one, "put", "f", after=True)
    one.write("f", "3")
    one.restart()
    world.settle()
    world.all_hold({"f": "3"})


@pytest.mark.parametrize("after", [False, True])
def test_g12_killed_around_the_swap(world: World, after: bool) -> None:
    """The file is the old one or the new one, whole, and is not sent back."""
    one, two = world.begin({"f": "1"})
    one.write("f", "2")
    one.settle()
    killed(two, "swap_in", after=after)
    assert two.read("f") == ("2" if after else "1")
    two.restart()
    world.settle()
    world.all_hold({"f": "2"})
    assert world.moved() == {"PUT": 1, "GET": 1}
    assert two.trashed() == ["1"]


@pytest.mark.skipif(sys.platform == "darwin", reason="syncs by another call there")
@pytest.mark.parametrize(("path", "before"), [("f", "1"), ("d/e/f", None)])
def test_g15_what_is_recorded_survives_a_power_cut(
    world: World, monkeypatch: pytest.MonkeyPatch, path: str, before: str | None
) -> None:
    """The file's bytes are on the disk before it takes its name, and that name and every new folder's before base says so."""
    one, two = world.begin({"stays": "s"} | ({path: before} if before else {}))
    one.write(path, "2")
    one.settle()
    target = two.root / path
    bytes_safe: set[int] = set()
    names_safe: dict[int, dict[str, int]] = {}
    whole = os.fsync

    def fsync(fd: int) -> None:
        whole(fd)
        info = os.fstat(fd)
        if stat.S_ISDIR(info.st_mode):
            with os.scandir(fd) as entries:
                names_safe[info.st_ino] = {e.name: e.inode() for e in entries}
        elif info.st_ino in {staged.stat().st_ino for staged in (two.root / ".dorky" / "tmp").iterdir()}:
            # While it is staged: the name that shows it never shows less.
            bytes_safe.add(info.st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    two.look()
    for _ in range(20):
        two.clock.advance(0.5)
        two.engine.run_due(two.clock.monotonic())
        base = two.journal.base(path)  # type: ignore[arg-type]
        if base is not None and base.digest == metadata.sha256(hashlib.sha256(b"2").hexdigest()):
            break
        two.pool.run_all()
    else:
        raise AssertionError
    assert target.read_text() == "2"
    assert target.stat().st_ino in bytes_safe
    for here in (target, *(f for f in target.parents if f.is_relative_to(two.root) and f != two.root)):
        if before is None or here == target:
            assert names_safe[here.parent.stat().st_ino][here.name] == here.stat().st_ino, here


class _ReadOnly:
    """A folder that cannot be written for a while."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.refuse = True

    def __getattr__(self, name: str) -> object:
        if name == "swap_in" and self.refuse:
            return self._no
        return getattr(self._folder, name)

    def _no(self, _name: str, path: str, _expected: object) -> None:
        raise PathProblem(path, f"{path}: read-only", code="unwritable", hint="")


def test_g14_what_was_fetched_is_kept_while_the_folder_cannot_be_written(tmp_path: Path) -> None:
    """The problem is shown, and clears by itself without a second GET."""
    world = World(tmp_path)
    folders: list[_ReadOnly] = []

    def wrap(folder: Folder) -> Folder:
        folders.append(_ReadOnly(folder))
        return folders[-1]  # type: ignore[return-value]

    world.device("A")
    two = world.device("B", wrap=wrap)
    folders[-1].refuse = False
    one, _ = world.begin({"f": "1"})
    folders[-1].refuse = True
    one.write("f", "2")
    one.settle()
    two.settle()
    assert two.read("f") == "1"
    assert two.problems() == {"f": "unwritable"}
    folders[-1].refuse = False
    world.settle()
    world.all_hold({"f": "2"})
    assert two.problems() == {}
    assert world.moved("B") == {"GET": 1}


def test_killed_after_a_write_that_merged_a_teammates_mode(world: World) -> None:
    """An edit here and a permission change there are both kept, whenever the edit's outcome is found out."""
    one, two = world.begin({"f": "1"})
    (one.root / "f").chmod(0o755)
    one.settle()
    two.write("f", "2")
    killed(two, "put", "f", after=True)
    two.restart()
    world.settle()
    world.all_hold({"f": "2"})
    assert one.modes() == two.modes() == {"f": 0o755}


@pytest.mark.parametrize("changed", [False, True])
def test_g16_a_move_killed_between_copy_and_delete(world: World, changed: bool) -> None:
    """The deletion is finished; unless the other device edited the old name meanwhile, whose edit stays."""
    one, two = world.begin({"f": "1", "stays": "s"})
    (one.root / "f").rename(one.root / "g")
    killed(one, "delete", "f", after=False)
    assert world.objects() == {"f": "1", "g": "1", "stays": "s"}
    if changed:
        two.write("f", "2")
        two.settle()
    one.restart()
    world.settle()
    kept = {"f": "2"} if changed else {}
    world.all_hold({"g": "1", "stays": "s", **kept})


def test_g17_a_damaged_journal_is_set_aside_and_deletes_nothing(world: World) -> None:
    """It is rebuilt by looking at both sides; a file missing here comes back."""
    one, two = world.begin({"f": "1", "g": "2"})
    two.kill()
    (journal,) = two.journals.glob("*.db")
    for part in two.journals.glob("*.db-*"):
        part.unlink()
    journal.write_bytes(b"not a database at all" * 1000)
    (two.root / "g").unlink()
    two.restart()
    world.settle()
    world.all_hold({"f": "1", "g": "2"})
    assert "started-over" in two.engine.warnings
    assert list(two.journals.glob("*.damaged-*"))
    assert world.moved("A") == {}
    assert one.engine.held is None


def test_g18_a_newer_journal_is_refused_and_nothing_written(world: World) -> None:
    """A downgrade says so."""
    one, two = world.begin({"f": "1"})
    two.journal._conn.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) SELECT migration_set,"
                              " 'm9999_from_the_future', applied_at FROM _sqlite_migrations LIMIT 1")  # fmt: skip
    two.restart()
    one.write("f", "2")
    one.settle()
    for _ in range(3):
        two.step(3.0)
    assert two.engine.trouble is not None
    assert "newer" in two.engine.trouble.detail
    assert two.tree() == {"f": "1"}


# --- the matrix -------------------------------------------------------------------------------------------------------


class _Matrix:
    """One fixed story, told with a kill at every effect of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.traps: dict[str, Trap] = {}
        self.calls: dict[str, list[str]] = {}
        """What each device did between the edits and the last settling."""
        trap_commits(monkeypatch, self.traps)

    def tell(self, kills: Callable[[World], None]) -> tuple[World, int]:
        """Tell it; `kills` sets the traps. Returns the world and how often a device was killed."""
        where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        world = World(Path(tempfile.mkdtemp(prefix="dorky-matrix-", dir=where)))
        one, two = world.device("A"), world.device("B")
        self.traps.update({"A": one.trap, "B": two.trap})
        for path, text in {"f": "1", "m": "2", "d/g": "3", "c": "4", "x": "5", "stays": "6"}.items():
            one.write(path, text)
        world.settle()
        for path, text in {"n": "7", "f": "a", "k": "8"}.items():
            one.write(path, text)
        (one.root / "x").unlink()
        (one.root / "m").rename(one.root / "m2")
        (one.root / "c").chmod(0o755)
        for path, text in {"f": "b", "k/y": "9", "d/g": "33"}.items():
            two.write(path, text)
        kills(world)
        deaths = 0
        for _ in range(3):
            for device in world.devices:
                try:
                    device.settle()
                except Kill:
                    deaths += 1
                    device.kill()
                    device.engine = device._engine()
                    device.trap.dead = False
        self.calls = {device.name: list(device.trap.calls) for device in world.devices}
        for device in world.devices:
            device.trap.unset()
        world.settle(rounds=12)
        return world, deaths

    def check(self, world: World, what: str) -> None:
        """The same contents live as ever, under names that agree, and what was replaced is in some trash."""
        one, two = world.devices
        assert one.tree() == two.tree() == world.objects(), what
        for device in world.devices:
            assert device.engine.held is None, what
            assert device.problems() == {}, what
            assert not device.journal.ledger.open_installs(), what
            assert (device.root / "c").stat().st_mode & 0o777 == 0o755, what
        tree = one.tree()
        assert sorted(tree.values()) == sorted(["7", "a", "b", "8", "9", "2", "4", "33", "6"]), (what, tree)
        assert tree["m2"] == "2", what
        assert tree["d/g"] == "33", what
        assert tree["f"] in ("a", "b"), what
        assert sum(parse_conflict(path) is not None for path in tree) <= 2, (what, tree)  # type: ignore[arg-type]
        trashed = {*world.bucket_trash(), *one.trashed(), *two.trashed()}
        assert {"1", "3", "5"} <= trashed, (what, trashed)
        world.forget()
        world.settle()
        assert world.moved() == {}, what
        shutil.rmtree(world.base)


@pytest.fixture
def matrix(monkeypatch: pytest.MonkeyPatch) -> _Matrix:
    """The story, commits trapped too."""
    return _Matrix(monkeypatch)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", ["A", "B"])
def test_a_kill_at_every_effect(matrix: _Matrix, name: str, after: bool) -> None:
    """Before it took effect, and just after. CI takes every fifth, `DORKY_MATRIX=full` all."""
    step = 1 if os.environ.get("DORKY_MATRIX") == "full" else 5

    def device(world: World) -> Device:
        return next(d for d in world.devices if d.name == name)

    quiet, _ = matrix.tell(lambda world: device(world).trap.set(0, after=after))
    calls = matrix.calls[name]
    matrix.check(quiet, "no kill")
    assert len(calls) > 20
    for at in range(1, len(calls) + 1, step):
        world, deaths = matrix.tell(lambda world, at=at: device(world).trap.set(at, after=after))  # type: ignore[misc]
        assert deaths == 1, (at, calls[at - 1])
        matrix.check(world, f"killed {'after' if after else 'before'} call {at} of {name}: {calls[at - 1]}")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_bits_of_one_and_bytes_of_the_other(tmp_path: Path, after: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at any commit, the file gets both. The files are old, so that no scan looks at them for being young."""
    monkeypatch.setattr("dorkyd.journal.RACY_NS", -(10**15))
    for at in range(1, 100):
        base = tmp_path / str(at)
        base.mkdir()
        world = World(base)
        one, two = world.device("A"), world.device("B")
        world.begin({"f": "1"})
        (two.root / "f").chmod(0o755)
        two.settle()
        one.write("f", "2")
        with monkeypatch.context() as patch:
            trap_commits(patch, {"A": one.trap})
            one.trap.set(at, after=after, only=lambda name, _first: name == "commit")
            try:
                one.settle()
            except Kill:
                one.restart()
            else:
                return
        world.settle()
        assert one.tree() == two.tree() == world.objects() == {"f": "2"}, at
        assert one.modes() == two.modes() == {"f": 0o755}, at
    raise AssertionError("it never ends")
