"""The bucket's trash keeps to its limits, and what may still be needed stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from dorkyd import bucket_trash
from dorkyd.bucket_trash import TRASH, Given, Purged, purge, trash_key
from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.core.model import Path, Version
from dorkyd.core.settings import TrashLimits
from dorkyd.errors import Stale, Transient
from dorkyd.news import Bytes
from tests.devices import BUCKET_EFFECTS, Kill, Trap, Trapped

DAY = 86_400
SIZE = 100


@dataclass
class Trash:
    """A bucket whose trash has copies of known ages, of 100 bytes each."""

    begin: int = 1_700_000_000
    now: int = 1_700_000_000
    page_keys: int = 1000
    store: MemoryBucket = field(init=False)

    def __post_init__(self) -> None:
        self.store = MemoryBucket(seconds=lambda: self.now, page_keys=self.page_keys)

    def copy(self, path: str, day: float) -> None:
        """A state of `path` is replaced on this day, or deleted."""
        self.now = self.begin + int(day * DAY)
        bucket = self.store.client()
        info = bucket.head(path)
        made = bucket.put(path, Bytes(b"x" * SIZE), replaces=info.version if info else None, meta={}).version
        self.keep(path, made)
        bucket.delete(path, replaces=made)

    def keep(self, path: str, version: Version) -> None:
        """What a device does before it replaces or deletes that state."""
        key = trash_key(Path(path), version, self.now * 10**9)
        self.store.client().copy(path, key, source_version=version, replaces=None, meta=None)

    def paths(self) -> list[str]:
        """The path of each copy that is left."""
        keys = [listed.key for page in self.store.client().list(TRASH) for listed in page]
        return [key.removeprefix(TRASH).rpartition("/")[0] for key in keys]

    def purge(self, *, days: float = 30, size: int = 10**9, day: float = 100, after: str = "") -> Purged:
        """By limits, when the project last changed on this day."""
        limits = TrashLimits(days, size)
        return purge(self.store.client(), limits, now=self.begin + int(day * DAY), go_on_after=after)


def test_what_is_too_old_goes() -> None:
    """Copies past the age go, younger ones stay."""
    trash = Trash()
    for day in (0, 60, 69, 71, 99):
        trash.copy(f"f{day}", day)
    assert trash.purge() == Purged(removed=3, bytes=300)
    assert trash.paths() == ["f71", "f99"]


def test_the_oldest_go_first_when_it_is_too_much() -> None:
    """Past the size the oldest go until what is left fits."""
    trash = Trash()
    for day in (80, 90, 95, 85):
        trash.copy(f"f{day}", day)
    assert trash.purge(size=250) == Purged(removed=2, bytes=200)
    assert trash.paths() == ["f90", "f95"]


def test_the_newest_copy_of_a_path_stays_a_day() -> None:
    """Whatever the limits say, the last state of a path can be had for a day; older ones of it go."""
    trash = Trash()
    for day in (99.1, 99.2, 99.9):
        trash.copy("f", day)
    trash.copy("g", 98)
    assert trash.purge(days=0, size=0) == Purged(removed=3, bytes=300)
    assert trash.paths() == ["f"]
    assert trash.purge(days=0, size=0, day=101).removed == 1


def test_copies_of_one_second_are_all_the_newest() -> None:
    """The store tells whole seconds: of two copies in one nobody knows which is newer."""
    trash = Trash()
    trash.copy("f", 100)
    trash.copy("f", 100)
    assert trash.purge(days=0, size=0).removed == 0


def test_a_state_that_is_still_in_its_place_stays() -> None:
    """A copy made for a replacement under way stays however long that takes, and goes some time after it."""
    trash = Trash()
    bucket = trash.store.client()
    version = bucket.put("f", Bytes(b"old"), replaces=None, meta={}).version
    trash.keep("f", version)
    assert trash.purge(days=1, size=0).removed == 0
    bucket.put("f", Bytes(b"new"), replaces=version, meta={})
    assert trash.purge(days=1, size=0).removed == 1


def test_nothing_to_do_costs_one_request() -> None:
    """A trash within its limits is listed, and that is all."""
    trash = Trash()
    for day in (75, 80, 99):
        trash.copy(f"f{day}", day)
    counted = trash.store.client()
    assert purge(counted, TrashLimits(30, 300), now=trash.begin + 100 * DAY) == Purged()
    assert (counted.requests.LIST, counted.requests.HEAD, counted.requests.DELETE) == (1, 0, 0)


def test_a_store_that_tells_no_time_keeps_its_trash() -> None:
    """Without LastModified no copy is known to be old."""
    trash = Trash()
    trash.store = MemoryBucket()
    trash.copy("f", 0)
    assert trash.purge(days=0, size=0) == Purged()
    assert trash.paths() == ["f"]


def test_what_others_put_there_stays() -> None:
    """Only what is a copy by its name is removed."""
    trash = Trash()
    for key in (f"{TRASH}note.txt", f"{TRASH}f/20260101-abc", f"{TRASH}../f/20260101T000000Z-abc", ".dorky/other"):
        trash.store.client().put(key, Bytes(b"x"), replaces=None, meta={})
    assert trash.purge(days=0, size=0) == Purged()


def test_a_project_that_rests_keeps_its_trash() -> None:
    """Nobody's clock but the store's counts, which stands still with the project's last change."""
    trash = Trash()
    trash.copy("f", 0)
    trash.copy("g", 20)
    trash.now += 1000 * DAY
    assert trash.purge(day=20) == Purged()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_removal(after: bool) -> None:
    """Whichever removal a run is killed before or after, what may stay is there, and the next run ends the work."""
    for at in range(1, 50):
        trash = Trash()
        for day in (0, 1, 2, 99):
            trash.copy("f", day)
        trap = Trap()
        trap.set(at, after=after)
        trapped = Trapped(trash.store.client(), BUCKET_EFFECTS, trap)
        try:
            purge(trapped, TrashLimits(), now=trash.begin + 100 * DAY)  # type: ignore[arg-type]
        except Kill:
            assert len(trash.paths()) == 4 - at + (0 if after else 1)
            trash.purge()
            assert trash.paths() == ["f"]
        else:
            assert at == 4
            return
    pytest.fail("it never ended")


def _meanwhile(between: Callable[[Trash], None]) -> int:
    """Do something at every single request of a run, in turn; returns how many requests there were."""
    for at in range(1, 50):
        trash = Trash()
        for day in (0, 1, 50):
            trash.copy("f", day)
        seen = 0

        def other(_verb: str, _key: str, trash: Trash = trash, at: int = at) -> Fault | None:
            nonlocal seen
            seen += 1
            if seen == at:
                between(trash)
            return None

        limits = TrashLimits(30, 50)
        purge(trash.store.client(faults=other), limits, now=trash.begin + 100 * DAY)
        if seen < at:
            return seen
        assert len(trash.paths()) <= 1
    pytest.fail("it never ended")


def test_two_devices_at_once() -> None:
    """A second device that purges between any two requests of the first does no harm."""
    assert _meanwhile(lambda trash: trash.purge(size=50) and None) >= 4


def test_a_copy_made_meanwhile_stays() -> None:
    """A state that is kept between any two requests of a run is there after it."""
    assert _meanwhile(lambda trash: trash.copy("f", 100)) >= 4


def test_a_lost_connection_leaves_the_rest_for_the_next_run() -> None:
    """A removal whose reply is lost ends the run; the next finds what is left."""
    trash = Trash()
    for day in (0, 1):
        trash.copy(f"f{day}", day)

    def lost(verb: str, _key: str) -> Fault | None:
        return Fault(Transient("gone"), when="after") if verb == "DELETE" else None

    with pytest.raises(Transient):
        purge(trash.store.client(faults=lost), TrashLimits(), now=trash.begin + 100 * DAY)
    assert trash.paths() == ["f1"]
    assert trash.purge().removed == 1


@pytest.mark.parametrize(("removals", "expected"), [(100, [6, 6, 6, 2]), (5, [5, 5, 5, 5, 0])])
def test_a_run_is_bounded(monkeypatch: pytest.MonkeyPatch, removals: int, expected: list[int]) -> None:
    """A trash of many pages is gone through in several runs, each of so many pages and removals at most."""
    monkeypatch.setattr(bucket_trash, "PAGES", 2)
    monkeypatch.setattr(bucket_trash, "REMOVALS", removals)
    trash = Trash(page_keys=3)
    for number in range(20):
        trash.copy(f"f{number}", 0)
    runs, after, more = [], "", True
    while more:
        done = trash.purge(after=after)
        after, more = done.go_on_after, done.more
        runs.append(done.removed)
    assert runs == expected
    assert trash.paths() == []


def test_the_condition_is_the_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that changed since it was listed is refused by the store, and stays."""
    trash = Trash()
    trash.copy("f", 0)
    refused: list[str] = []

    class Changed(MemoryBucket):
        def delete(self, key: str, *, replaces: Version) -> None:
            refused.append(key)
            raise Stale(f"{key}: {replaces}")

    client = trash.store.client()
    monkeypatch.setattr(type(client), "delete", Changed.delete)
    assert trash.purge() == Purged()
    assert len(refused) == 1


def test_a_copy_serves_for_that_state_alone() -> None:
    """Content that comes back has its version back: what is replaced then is another state, and is kept anew."""
    now = [1_700_000_000]
    bucket = MemoryBucket(seconds=lambda: now[0], etags=True).client()
    path, given = Path("f"), Given()

    def write(data: bytes) -> Version:
        now[0] += 1
        info = bucket.head(path)
        return bucket.put(path, Bytes(data), replaces=info.version if info else None, meta={}).version

    first = write(b"1")
    assert not given.still(bucket, path, first, 0.0)
    now[0] += 1
    bucket.copy(path, trash_key(path, first, 0), source_version=first, replaces=None, meta=None)
    given.note(path, first, trash_key(path, first, 0), 0.0)
    assert given.still(bucket, path, first, 1.0)
    assert not given.still(bucket, path, Version("other"), 1.0)
    assert not given.still(bucket, path, first, 6 * 3600 + 1.0)
    write(b"2")
    assert not given.still(bucket, path, first, 1.0)
    assert write(b"1") == first
    assert not given.still(bucket, path, first, 1.0)


def test_a_copy_that_was_removed_serves_no_more() -> None:
    """Somebody emptied the trash between two tries."""
    bucket = MemoryBucket(seconds=lambda: 1).client()
    path, given = Path("f"), Given()
    version = bucket.put(path, Bytes(b"1"), replaces=None, meta={}).version
    key = trash_key(path, version, 0)
    copied = bucket.copy(path, key, source_version=version, replaces=None, meta=None)
    given.note(path, version, key, 0.0)
    assert given.still(bucket, path, version, 1.0)
    bucket.delete(key, replaces=copied.version)
    assert not given.still(bucket, path, version, 1.0)
