"""The watcher against the real kernel: what happens in a folder is marked, and what we do ourselves is not."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import random
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from watchdog.observers.polling import PollingObserver

from dorkyd.core.model import Path
from dorkyd.errors import Stale
from dorkyd.hints import Hints, Sift
from dorkyd.ports import Marks, Watcher
from dorkyd.watcher import INOTIFY_HINT, WHOLE, ObservedTree, OsWatcher

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="drives inotify itself")

DEADLINE_S = 30.0


def nothing_skipped(path: Path, folder: bool) -> bool:
    """No ignore rules."""
    return False


class Engine:
    """Stands for the engine: counts wake-ups, and gathers marks until what a test waits for is there."""

    def __init__(self) -> None:
        self.wakes = 0
        self.marks = Marks()
        self._woken = threading.Event()

    def wake(self) -> None:
        self.wakes += 1
        self._woken.set()

    def until(self, done: Callable[[Marks], bool], watcher: Watcher) -> Marks:
        end = time.monotonic() + DEADLINE_S
        while True:
            self._woken.clear()
            new = watcher.drain()
            self.marks = Marks(
                self.marks.paths | new.paths, self.marks.trees | new.trees, self.marks.everything or new.everything
            )
            if done(self.marks):
                marks, self.marks = self.marks, Marks()
                return marks
            assert self._woken.wait(end - time.monotonic()), f"never came: {self.marks}"


def until(done: Callable[[], bool]) -> None:
    """Wait for what has no wake-up of its own."""
    end = time.monotonic() + DEADLINE_S
    beat = threading.Event()
    while not done():
        assert time.monotonic() < end
        beat.wait(0.005)


class Watched:
    """A folder, its watcher, and the engine it wakes."""

    def __init__(self, root: pathlib.Path, **kwargs: object) -> None:
        self.root = root
        self.engine = Engine()
        kwargs = {"skip": nothing_skipped, "wake": self.engine.wake} | kwargs
        self.watcher = OsWatcher(str(root), **kwargs)  # type: ignore[arg-type]

    def all_until(self, done: Callable[[Marks], bool]) -> Marks:
        return self.engine.until(done, self.watcher)

    def so_far(self) -> Marks:
        """Marks of all that happened until now: events keep their order, so those before a last one have come."""
        last = Path(f"last-{random.getrandbits(64):x}")
        (self.root / last).touch()
        marks = self.all_until(lambda marks: last in marks.paths or marks.everything)
        # Making one file is several events, so an earlier last one may show once more.
        paths = frozenset(path for path in marks.paths if not path.startswith("last-"))
        return Marks(paths, marks.trees, marks.everything)

    def kernel_watches(self) -> int:
        """Folders the kernel watches for this process."""
        count = 0
        for info in pathlib.Path("/proc/self/fdinfo").iterdir():
            with contextlib.suppress(FileNotFoundError):
                count += info.read_text().count("inotify wd:")
        return count


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    """A project with a file two folders down."""
    root = tmp_path / "project"
    (root / "data" / "deep").mkdir(parents=True)
    (root / "data" / "deep" / "old.csv").write_text("1")
    return root


@pytest.fixture
def make(root: pathlib.Path) -> Iterator[Callable[..., Watched]]:
    """Makes watchers of the project, and proves at the end that none leaves a thread."""
    made: list[Watched] = []

    def new(**kwargs: object) -> Watched:
        made.append(Watched(root, **kwargs))
        return made[-1]

    yield new
    for each in made:
        each.watcher.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "watch project"]


# --- what is marked ---------------------------------------------------------------------------------------------------


def test_created_file(make: Callable[..., Watched]) -> None:
    """A new file is a path mark, and nothing else is marked."""
    it = make()
    (it.root / "data" / "new.csv").write_text("x")
    assert it.so_far() == Marks(paths=frozenset({Path("data/new.csv")}))


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.write_text("2"),
        lambda file: file.chmod(0o600),
        lambda file: file.unlink(),
        lambda file: os.utime(file, (1, 1)),
    ],
    ids=["written", "mode", "deleted", "times"],
)
def test_changed_file(make: Callable[..., Watched], change: Callable[[pathlib.Path], object]) -> None:
    """Whatever changes a file marks its path, at any depth."""
    it = make()
    change(it.root / "data" / "deep" / "old.csv")
    assert it.so_far() == Marks(paths=frozenset({Path("data/deep/old.csv")}))


def test_renamed_file(make: Callable[..., Watched]) -> None:
    """A rename marks both names."""
    it = make()
    (it.root / "data" / "deep" / "old.csv").rename(it.root / "moved.csv")
    assert it.so_far() == Marks(paths=frozenset({Path("data/deep/old.csv"), Path("moved.csv")}))


def test_files_made_before_the_watch_exists(make: Callable[..., Watched]) -> None:
    """A new folder is a tree mark, since what is made in it at once may have no event."""
    it = make()
    (it.root / "a" / "b" / "c").mkdir(parents=True)
    (it.root / "a" / "b" / "c" / "f").touch()
    assert Path("a") in it.so_far().trees


def test_new_folder_is_watched_when_its_mark_comes(make: Callable[..., Watched]) -> None:
    """What happens in a new folder after its tree mark has a mark of its own."""
    it = make()
    (it.root / "a" / "b").mkdir(parents=True)
    it.so_far()
    (it.root / "a" / "b" / "f").touch()
    assert Path("a/b/f") in it.so_far().paths


def test_folder_renamed_inside(make: Callable[..., Watched]) -> None:
    """A folder's rename marks both trees, and later events carry the new name."""
    it = make()
    (it.root / "data").rename(it.root / "info")
    assert it.so_far().trees >= {Path("data"), Path("info")}
    (it.root / "info" / "deep" / "old.csv").write_text("2")
    assert it.so_far() == Marks(paths=frozenset({Path("info/deep/old.csv")}))


def test_folder_moved_out(make: Callable[..., Watched], tmp_path: pathlib.Path) -> None:
    """A folder that leaves is a tree mark, and what happens in it afterwards is not ours."""
    it = make()
    (it.root / "data").rename(tmp_path / "elsewhere")
    assert it.so_far() == Marks(trees=frozenset({Path("data")}))
    (tmp_path / "elsewhere" / "deep" / "old.csv").write_text("2")
    assert not it.so_far()


def test_folder_moved_in(make: Callable[..., Watched], tmp_path: pathlib.Path) -> None:
    """A folder that arrives is a tree mark, and is watched to its bottom."""
    it = make()
    (tmp_path / "guest" / "deep").mkdir(parents=True)
    (tmp_path / "guest").rename(it.root / "guest")
    assert it.so_far() == Marks(trees=frozenset({Path("guest")}))
    (it.root / "guest" / "deep" / "f").touch()
    assert it.so_far().paths == {Path("guest/deep/f")}


def test_deleted_folder(make: Callable[..., Watched]) -> None:
    """A deleted folder is a tree mark."""
    it = make()
    shutil.rmtree(it.root / "data")
    assert Path("data") in it.so_far().trees


def test_folder_attributes(make: Callable[..., Watched]) -> None:
    """A changed mode of a watched folder marks nothing."""
    it = make()
    (it.root / "data").chmod(0o700)
    assert not it.so_far()


def test_link_to_a_folder(make: Callable[..., Watched], tmp_path: pathlib.Path) -> None:
    """A symlink is a path, and nothing behind it is watched."""
    it = make()
    (tmp_path / "outside").mkdir()
    (it.root / "link").symlink_to(tmp_path / "outside")
    assert it.so_far() == Marks(paths=frozenset({Path("link")}))
    (tmp_path / "outside" / "f").touch()
    assert not it.so_far()


def test_root_reached_through_a_link(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """A root that is a symlink is watched where it points."""
    (tmp_path / "link").symlink_to(root)
    it = Watched(tmp_path / "link")
    (root / "f").touch()
    assert it.so_far().paths == {Path("f")}
    it.watcher.stop()


def test_names_that_are_not_utf8(make: Callable[..., Watched]) -> None:
    """A name that can be no path marks the folder that holds it; in the root, everything; its content, nothing."""
    it = make()
    bad = it.root / "data" / os.fsdecode(b"\xff.csv")
    bad.touch()
    assert it.so_far() == Marks(trees=frozenset({Path("data")}))
    bad.write_text("2")
    assert not it.so_far()
    (it.root / os.fsdecode(b"\xfe")).mkdir()
    assert it.all_until(lambda marks: marks.everything).everything
    (it.root / "f").touch()
    assert it.so_far().paths == {Path("f")}
    assert it.watcher.alive


# --- what is not ------------------------------------------------------------------------------------------------------


def test_reading_is_silent(make: Callable[..., Watched]) -> None:
    """Listing, opening, reading and hashing what is there marks nothing and wakes nobody."""
    it = make()
    for _ in range(20):
        for folder, _, names in os.walk(it.root):
            for name in names:
                (pathlib.Path(folder) / name).read_bytes()
    assert it.engine.wakes == 0
    assert it.so_far() == Marks()
    assert it.engine.wakes == 1  # for the last file of `so_far`


@pytest.mark.parametrize("name", [".git", ".dorky", ".GIT", "data/.Dorky"])
def test_reserved_components(make: Callable[..., Watched], name: str) -> None:
    """A folder called .git or .dorky in any case is neither reported nor watched, old or new."""
    it = make()
    before = it.kernel_watches()
    (it.root / name / "inside").mkdir(parents=True)
    (it.root / name / "inside" / "f").touch()
    assert not it.so_far()
    assert it.kernel_watches() == before
    make()
    assert it.kernel_watches() == before * 2


def test_skipped_folders_cost_no_watches(make: Callable[..., Watched]) -> None:
    """What is skipped has no kernel watch, whether it stood there before or came later."""
    it = make(skip=lambda path, folder: folder and path.endswith(("node_modules", "deep")))
    assert it.kernel_watches() == 2  # the root and data
    (it.root / "data" / "node_modules" / "left-pad").mkdir(parents=True)
    (it.root / "data" / "node_modules" / "left-pad" / "index.js").touch()
    (it.root / "data" / "deep" / "old.csv").write_text("2")
    assert not it.so_far()
    assert it.kernel_watches() == 2


def test_skipped_files(make: Callable[..., Watched]) -> None:
    """A skipped file is not marked."""
    it = make(skip=lambda path, folder: not folder and path.endswith(".tmp"))
    (it.root / "data" / "x.tmp").touch()
    assert not it.so_far()


def test_one_wake_up_until_drained(make: Callable[..., Watched]) -> None:
    """A burst wakes once; the next mark after a drain wakes again."""
    it = make()
    for number in range(500):
        (it.root / f"f{number}").touch()
    until(lambda: it.engine.wakes == 1)
    assert it.all_until(lambda marks: len(marks.paths) == 500)
    seen = it.engine.wakes
    (it.root / "one").touch()
    until(lambda: it.engine.wakes > seen)


# --- limits -----------------------------------------------------------------------------------------------------------


def test_overflowing_queue(make: Callable[..., Watched]) -> None:
    """More changes than the kernel queues while the reader is stalled mark everything; folders made then are watched."""
    gate = threading.Event()
    stalled = threading.Event()

    def wake() -> None:
        stalled.set()
        assert gate.wait(DEADLINE_S)
        it.engine.wake()

    it = make(wake=wake)
    (it.root / "first").touch()
    assert stalled.wait(DEADLINE_S)
    room = int(pathlib.Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(room + 4000):
        (it.root / "data" / f"f{number}").touch()
    (it.root / "late" / "deeper").mkdir(parents=True)
    gate.set()
    it.all_until(lambda marks: marks.everything)
    until(lambda: it.so_far() == Marks())
    (it.root / "late" / "deeper" / "f").touch()
    assert it.so_far().paths == {Path("late/deeper/f")}


def test_marks_in_memory_are_bounded() -> None:
    """More marks than the bound become `everything`, which also covers what comes before the next drain."""
    hints = Hints(lambda: None, most=3)
    for name in ("a", "b", "c", "d", "e"):
        hints.noticed(name, folder=name < "c", content=False)
    assert hints.drain() == Marks(everything=True)
    hints.noticed("f", folder=False, content=True)
    assert hints.drain() == Marks(paths=frozenset({Path("f")}))


def test_watch_limit(make: Callable[..., Watched]) -> None:
    """Folders past the kernel's limit are told, each for all below it, and the others go on."""
    from watchdog.observers.inotify_c import InotifyFD

    class Limited(InotifyFD):
        left = 2

        def add_callback(self, *args: Any, **kwargs: Any) -> Any:
            if self.left == 0:
                raise OSError(errno.ENOSPC, "inotify watch limit reached")
            self.left -= 1
            return super().add_callback(*args, **kwargs)

    it = make(inotify=Limited)
    assert it.watcher.unwatched == {Path("data/deep")}
    assert "fs.inotify.max_user_watches" in INOTIFY_HINT
    (it.root / "late" / "deeper").mkdir(parents=True)
    (it.root / "data" / "f").touch()
    assert it.so_far() == Marks(paths=frozenset({Path("data/f")}), trees=frozenset({Path("late")}))
    assert it.watcher.unwatched == {Path("data/deep"), Path("late")}
    shutil.rmtree(it.root / "late")
    it.so_far()
    assert it.watcher.unwatched == {Path("data/deep")}


def test_no_queue_to_be_had(make: Callable[..., Watched]) -> None:
    """When the kernel gives no inotify instance the root itself is unwatched, and the watcher is alive."""

    def refuse() -> None:
        raise OSError(errno.EMFILE, "inotify instance limit reached")

    it = make(inotify=refuse)
    assert it.watcher.unwatched == {WHOLE}
    assert it.watcher.alive
    assert not it.watcher.drain()


def test_unreadable_folder_becomes_readable(make: Callable[..., Watched], root: pathlib.Path) -> None:
    """Unreadable folders are not watched and not counted as refused; becoming readable marks and watches one."""
    for name in ("locked", "locked2"):
        (root / name).mkdir(mode=0)
    if os.access(root / "locked", os.R_OK):
        pytest.skip("this user may read everything")
    it = make()
    assert it.watcher.unwatched == frozenset()
    (root / "locked").chmod(0o755)
    assert it.so_far() == Marks(trees=frozenset({Path("locked")}))
    (root / "locked" / "f").touch()
    assert it.so_far().paths == {Path("locked/f")}


# --- beginning and end ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["missing", "file"])
def test_root_is_no_folder(tmp_path: pathlib.Path, what: str) -> None:
    """A root that is missing or a file raises Stale, and leaves no thread."""
    (tmp_path / "file").touch()
    with pytest.raises(Stale):
        Watched(tmp_path / what)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("watch ")]


@pytest.mark.parametrize("how", ["deleted", "moved", "parent moved", "replaced"])
def test_root_goes(make: Callable[..., Watched], tmp_path: pathlib.Path, how: str) -> None:
    """A root that goes, by itself or with a parent, ends `alive`, whatever stands there now."""
    it = make()
    assert it.watcher.alive
    if how == "deleted":
        shutil.rmtree(it.root)
    elif how == "parent moved":
        tmp_path.rename(tmp_path.with_name("gone"))
    else:
        it.root.rename(tmp_path / "gone")
    if how == "replaced":
        it.root.mkdir()
    until(lambda: not it.watcher.alive)
    if how != "parent moved":  # no event tells that one
        assert it.all_until(lambda marks: marks.everything)
        until(lambda: not [thread for thread in threading.enumerate() if thread.name == "watch project"])


def test_stop(make: Callable[..., Watched]) -> None:
    """Stopping ends the thread, which is a daemon named for the root, and gives its descriptors back; it may repeat."""
    descriptors = len(list(pathlib.Path("/proc/self/fd").iterdir()))
    it = make()
    threads = [thread for thread in threading.enumerate() if thread.name == "watch project"]
    assert threads
    assert all(thread.daemon for thread in threads)
    it.watcher.stop()
    it.watcher.stop()
    assert not any(thread.is_alive() for thread in threads)
    assert not it.watcher.alive
    assert len(list(pathlib.Path("/proc/self/fd").iterdir())) == descriptors


def test_trouble_in_the_thread(make: Callable[..., Watched]) -> None:
    """An exception in the thread marks everything, wakes the engine and ends `alive`."""

    def skip(path: Path, folder: bool) -> bool:
        if path == "boom":
            raise RuntimeError(path)
        return False

    it = make(skip=skip)
    (it.root / "boom").touch()
    it.all_until(lambda marks: marks.everything)
    assert not it.watcher.alive


@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_missed_in_a_storm(make: Callable[..., Watched], seed: int) -> None:
    """After any order of making, moving and deleting folders, marks cover every change and every folder is watched."""
    it = make()
    chance = random.Random(seed)
    names = [f"{a}/{b}" for a in ("a", "b", "c", "data") for b in ("x", "y", "z/z", "deep")] + ["a", "b", "data"]
    touched = set()
    for _ in range(400):
        one, two = (it.root / name for name in chance.sample(names, 2))
        with contextlib.suppress(OSError, shutil.Error):
            match chance.randrange(4):
                case 0:
                    one.mkdir(parents=True, exist_ok=True)
                case 1:
                    two.parent.mkdir(parents=True, exist_ok=True)
                    one.rename(two)
                case 2:
                    shutil.rmtree(one)
                case _:
                    (one / "f").write_text("x")
                    touched.add(one.relative_to(it.root) / "f")
    marks = it.so_far()
    for path in touched:
        assert Path(str(path)) in marks.paths or any(Path(str(above)) in marks.trees for above in path.parents), path
    probes = {pathlib.Path(folder).relative_to(it.root) / "probe" for folder, _, _ in os.walk(it.root)}
    for probe in probes:
        (it.root / probe).touch()
    assert it.so_far() == Marks(paths=frozenset(Path(str(probe)) for probe in probes))
    assert it.kernel_watches() == len(probes)


# --- the other systems' way -------------------------------------------------------------------------------------------


@pytest.fixture
def observed(root: pathlib.Path) -> Iterator[tuple[pathlib.Path, ObservedTree, Hints, Engine]]:
    """A polling observer, which any system has."""
    engine = Engine()
    hints = Hints(engine.wake)
    sift = Sift(lambda path, folder: folder and path.endswith("node_modules"))
    (root / "data" / "node_modules").mkdir()
    tree = ObservedTree(str(root), sift, hints, PollingObserver(timeout=0.02), "watch project")
    yield root, tree, hints, engine
    tree.stop()
    tree.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "watch project"]


def test_observer_events(observed: tuple[pathlib.Path, ObservedTree, Hints, Engine]) -> None:
    """Events of watchdog's own observers become the same marks; what is skipped at any level does not."""
    root, tree, hints, engine = observed
    (root / "data" / "node_modules" / "index.js").touch()
    (root / "data" / "deep" / "old.csv").rename(root / "moved.csv")
    (root / "new").mkdir()
    expected = Marks(frozenset({Path("data/deep/old.csv"), Path("moved.csv")}), frozenset({Path("new")}))
    assert engine.until(lambda marks: len(marks.paths) == 2 and bool(marks.trees), hints) == expected  # type: ignore[arg-type]
    assert tree.alive


def test_observer_loses_its_root(observed: tuple[pathlib.Path, ObservedTree, Hints, Engine]) -> None:
    """When the root goes everything is marked and the observer is no longer alive."""
    root, tree, hints, engine = observed
    shutil.rmtree(root)
    engine.until(lambda marks: marks.everything, hints)  # type: ignore[arg-type]
    until(lambda: not tree.alive)
