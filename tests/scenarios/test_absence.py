"""What seems to be gone and is not: a folder, a bucket or a listing that fails at the worst moment, a mark lost by a kill."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.core import model
from dorkyd.core.report import State
from dorkyd.engine import Engine
from dorkyd.errors import Stale, Transient
from dorkyd.folder import LocalFolder
from dorkyd.manual_finishing import Finishing
from dorkyd.ports import ABSENT, Bucket, Entry, Identity, Known, Observation
from dorkyd.standing import Standing
from tests.devices import Device, InlineEngine, Kill, World, trap_commits


def steps(device: Device, count: int) -> None:
    """So many cycles of one second."""
    for _ in range(count):
        device.step(1.0)


class Flapping(LocalFolder):
    """A folder that is there whenever a cycle begins and gone when its files are looked at, as a bad mount may be."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.bad = self.gone = False

    def identity(self) -> Identity | None:
        return None if self.gone else super().identity()

    def observe(self, path: model.Path, known: Known | None) -> Observation:
        self.gone = self.bad
        return ABSENT if self.bad else super().observe(path, known)


def test_a_folder_that_goes_just_after_it_was_looked_for(tmp_path: Path) -> None:
    """An absence counts only when the folder is still there after it was seen: nothing is deleted."""
    world = World(tmp_path)
    folder = Flapping(str(tmp_path / "A"))
    one = world.device("A", wrap=lambda _folder: folder)
    world.device("B")
    one.watching = True
    world.begin({"f": "1", "g": "2"})
    folder.bad = True
    one.watchers[-1].saw("f")
    for _ in range(20):
        folder.gone = False
        one.step(1.0)
    assert world.objects() == {"f": "1", "g": "2"}
    folder.bad = folder.gone = False
    world.settle()
    world.all_hold({"f": "1", "g": "2"})


def test_a_bucket_that_is_another_when_it_is_asked(tmp_path: Path) -> None:
    """The prefix is another one's, or empty, by the time an object is looked for: nothing is deleted here."""
    world = World(tmp_path)
    one, two = world.device("A"), world.device("B")
    world.begin({"f": "1", "g": "2"})
    one.write("f", "new")
    one.settle()
    del one
    world.faults = lambda who, verb, key: (
        world.remove(*world.keys()) if (who, verb, key) == ("B", "HEAD", "f") else None
    )
    two.look(whole=False)
    steps(two, 20)
    assert two.tree() == {"f": "1", "g": "2"}
    assert two.trashed() == []
    assert two.engine.held is not None


def test_what_a_listing_missed_is_asked_about(tmp_path: Path) -> None:
    """Another tool deletes an object and writes it anew behind the listing's back: the file here is not deleted."""
    world = World(tmp_path, MemoryBucket(page_keys=1))
    one, _ = world.device("A"), world.device("B")
    world.begin({"a": "1", "b": "2", "c": "3"})
    seen: list[str] = []

    def meanwhile(_who: str, verb: str, key: str) -> None:
        if (verb, key) == ("LIST", ""):
            seen.append(key)
            if len(seen) == 1:
                world.remove("a")
            elif len(seen) == 3:
                world.put("a", "1")

    world.faults = meanwhile
    one.look()
    steps(one, 20)
    assert len(seen) >= 3
    assert one.trashed() == []
    assert one.tree() == world.objects() == {"a": "1", "b": "2", "c": "3"}


def test_a_listing_that_breaks_off_shows_nothing(tmp_path: Path) -> None:
    """A page that fails is not the end of a listing: no halt, and nothing is deleted."""
    world = World(tmp_path)
    one, _ = world.device("A"), world.device("B")
    world.begin({"f": "1", "g": "2"})
    left = [Fault(Transient("500"))]
    world.faults = lambda _who, verb, key: left.pop() if (verb, key) == ("LIST", "") and left else None
    one.look()
    steps(one, 5)
    assert left == []
    assert one.engine.held is None
    world.settle()
    world.all_hold({"f": "1", "g": "2"})


@pytest.mark.parametrize("commit", range(1, 9))
def test_killed_while_news_is_taken_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commit: int) -> None:
    """Permission bits that only the log tells of (a listing shows the same ETag and no time) are not lost by a kill."""
    world = World(tmp_path, MemoryBucket(etags=True))
    one, two = world.device("A"), world.device("B")
    trap_commits(monkeypatch, {"B": two.trap})
    world.begin({"f": "1"})
    (one.root / "f").chmod(0o755)
    one.settle()
    two.trap.set(commit, after=True, only=lambda name, _first: name == "commit")
    two.look(whole=False)
    try:
        steps(two, 10)
    except Kill:
        two.restart()
    two.trap.unset()
    world.settle()
    assert two.modes() == {"f": 0o755}


def test_a_staged_file_that_nobody_knows_is_kept(tmp_path: Path) -> None:
    """A journal is lost with a file out of its place: its bytes are in the trash, where a person finds them."""
    world = World(tmp_path)
    world.device("A")
    two = world.device("B")
    world.begin({"f": "1"})
    two.kill()
    (two.root / ".dorky" / "tmp" / "0123").write_text("precious")
    for file in two.journals.iterdir():
        file.unlink()
    two.restart()
    world.settle()
    assert "precious" in two.trashed()


class _Between:
    """A bucket in which another tool acts just after a copy, once."""

    def __init__(self, inner: Bucket, world: World) -> None:
        self._inner, self._world = inner, world
        self.armed = False

    def __getattr__(self, name: str) -> object:
        found = getattr(self._inner, name)
        return found if name != "copy" else self._copy

    def _copy(self, source: str, key: str, **kwargs: object) -> object:
        done = self._inner.copy(source, key, **kwargs)  # type: ignore[arg-type]
        if self.armed and not key.startswith(".dorky/"):
            self.armed = False
            self._world.put(source, "2")
        return done


@contextmanager
def acting_between(world: World, device: Device) -> Iterator[None]:
    """The next move's old name is overwritten between its copy and its deletion."""
    between = _Between(device.make_bucket(), world)
    device.make_bucket = lambda: between  # type: ignore[assignment,return-value]
    device.restart()
    world.settle()
    between.armed = True
    yield
    assert not between.armed


def test_an_edit_between_the_two_halves_of_a_move(tmp_path: Path) -> None:
    """E04 at its narrowest: the old name is written to after it was copied and before it is deleted. The edit stays."""
    world = World(tmp_path)
    one = world.device("A")
    world.device("B")
    world.begin({"f": "1", "stays": "s"})
    with acting_between(world, one):
        (one.root / "f").rename(one.root / "g")
        world.settle()
    world.all_hold({"f": "2", "g": "1", "stays": "s"})


class Unlistable(LocalFolder):
    """A folder whose marker can be read and whose names cannot, as one of mode 0311."""

    shut = False

    def scan(
        self, skip: Callable[[model.Path, bool], bool], under: model.Path | None = None
    ) -> Iterator[Entry | model.Problem]:
        if self.shut:
            raise Stale("the folder cannot be listed (Permission denied)")
        return super().scan(skip, under)


def test_a_folder_that_was_not_looked_at_since_the_start_is_not_in_sync(tmp_path: Path) -> None:
    """However little the journal has left to do; and why it cannot be looked at is told before long."""
    world = World(tmp_path)
    folder = Unlistable(str(tmp_path / "A"))
    one = world.device("A", wrap=lambda _folder: folder)
    one.write("f", "1")
    one.settle()
    folder.shut = True
    one.restart()
    steps(one, 5)
    assert one.engine.counters.listings_done
    assert not one.engine.quiescent()
    steps(one, 50)
    assert one.engine.trouble is not None
    assert (one.engine.trouble.state, "cannot be listed" in one.engine.trouble.detail) == (State.ERROR, True)
    folder.shut = False
    one.write("g", "2")
    one.settle()
    assert one.engine.trouble is None
    assert world.objects() == {"f": "1", "g": "2"}


def test_a_folder_that_could_not_be_watched_at_one_moment_is_watched_from_the_next_on(tmp_path: Path) -> None:
    """It was no folder just then, and one again when it was scanned; nothing else would ever try again."""
    world = World(tmp_path)
    one = world.device("A")
    one.write("f", "1")
    one.settle()
    one.write("g", "2")  # nobody sees it
    one.watching = True
    steps(one, 5)
    assert len(one.watchers) == 1
    assert world.objects() == {"f": "1", "g": "2"}


class Closed(InlineEngine):
    """Its own thread closes it while another one asks: right after the first look at what is open."""

    closing = False

    @property  # type: ignore[override]
    def opened(self) -> object:
        found = self.__dict__["opened"]
        if self.closing:
            self.__dict__["opened"] = None
        return found

    @opened.setter
    def opened(self, opened: object) -> None:
        self.__dict__["opened"] = opened


ASKED: dict[str, Callable[[Engine], object]] = {
    "met": lambda engine: Standing(engine).met,
    "trouble": lambda engine: engine.trouble,
    "journal": lambda engine: engine.journal,
    "bucket": lambda engine: engine.bucket,
    "keyring": lambda engine: engine.keyring,
    "rules": lambda engine: engine.rules(),
    "copies_safe": lambda engine: Finishing(engine).copies_safe,
    "list_every_s": lambda engine: Standing(engine).list_every_s(),
    "next_tries": lambda engine: Standing(engine).next_tries(),
    "waits_for_batch": lambda engine: Standing(engine).waits_for_batch(model.Path("f")),
}
"""What any thread may ask."""


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_another_thread_asks_an_engine_that_is_being_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Engine], object]
) -> None:
    """The daemon's own thread does so while it starts: it would end with all projects."""
    monkeypatch.setattr("tests.devices.InlineEngine", Closed)
    engine = World(tmp_path).device("A").engine
    engine.run_due(0.0)
    assert isinstance(engine, Closed)
    engine.closing = True
    ask(engine)
    assert engine.opened is None
