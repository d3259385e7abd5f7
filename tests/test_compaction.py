"""The log is kept short, and what is gone is always explained by the floor."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from dorkyd import compaction, news
from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.compaction import Compacted, compact
from dorkyd.core.logbook import LOG, PROJECT, Entry, ProjectDocument, entry_number
from dorkyd.core.model import ReplicaId, Version
from dorkyd.errors import Stale, Transient
from dorkyd.news import Bytes, News
from tests.devices import BUCKET_EFFECTS, Kill, Trap, Trapped

DAY = 86_400
ENTRY = Entry(ReplicaId("r"), "d", "", ())


@dataclass
class Log:
    """A bucket whose log has entries of known ages."""

    now: int = 1_700_000_000
    store: MemoryBucket = field(init=False)

    def __post_init__(self) -> None:
        self.store = MemoryBucket(seconds=lambda: self.now)
        self.news.create_project(ProjectDocument("p", floor=1))

    @property
    def news(self) -> News:
        return News(self.store.client())

    def entries(self, *days: int) -> None:
        """One entry more on each of these days since the beginning."""
        begin = self.now
        number = max(self.numbers(), default=0)
        for at, day in enumerate(days, start=number + 1):
            self.now = begin + day * DAY
            self.news.create(at, ENTRY)

    def numbers(self) -> list[int]:
        keys = [listed.key for page in self.store.client().list(LOG) for listed in page]
        return [number for key in keys if (number := entry_number(key)) is not None]

    def floor(self) -> int:
        found = self.news.project()
        assert found is not None
        return found.floor

    def sound(self) -> None:
        """What a device relies on: no number from the floor to the highest is missing, and there is a highest."""
        there = self.numbers()
        assert there
        assert self.floor() <= there[-1]
        assert set(range(self.floor(), there[-1] + 1)) <= set(there)

    def compact(self) -> Compacted:
        return compact(self.news, project_id="p", cursor=self.numbers()[-1])


def test_what_is_older_than_90_days_goes() -> None:
    """Entries of 90 days and more are removed below a floor raised so far; younger ones stay."""
    log = Log()
    log.entries(0, 5, 9, 10, 11, 99)
    assert log.compact() == Compacted(floor=4, removed=3)
    assert (log.numbers(), log.floor()) == ([4, 5, 6], 4)


def test_the_last_entry_stays() -> None:
    """However old everything is by any other clock, there is a number to go on from."""
    log = Log()
    log.entries(0, 1)
    log.now += 1000 * DAY
    assert log.compact() == Compacted()
    log.entries(0)
    assert log.compact() == Compacted(floor=3, removed=2)
    assert log.numbers() == [3]
    assert log.compact() == Compacted()


def test_nothing_to_do_costs_two_requests() -> None:
    """A log without old entries is looked at from both ends."""
    log = Log()
    log.entries(0, 30, 60, 89)
    counted = log.store.client()
    assert compact(News(counted), project_id="p", cursor=4) == Compacted()
    assert (counted.requests.LIST, counted.requests.GET, counted.requests.PUT) == (2, 0, 0)


def test_a_store_that_tells_no_time_keeps_its_log() -> None:
    """Without LastModified no entry is known to be old."""
    store = MemoryBucket()
    keeper = News(store.client())
    keeper.create_project(ProjectDocument("p", floor=1))
    for number in range(1, 6):
        keeper.create(number, ENTRY)
    assert compact(keeper, project_id="p", cursor=5) == Compacted()


def test_another_projects_log_is_left_alone() -> None:
    """A prefix that is no longer this project's, or has no document, is not touched."""
    log = Log()
    log.entries(0, 200)
    assert compact(log.news, project_id="other", cursor=2) == Compacted()
    log.store.client().delete(PROJECT, replaces=_version(log, PROJECT))
    assert log.compact() == Compacted()
    assert log.numbers() == [1, 2]


def test_the_documents_other_words_stay() -> None:
    """Raising the floor keeps what a later version wrote into the project's document."""
    log = Log()
    text = {"format": 1, "project_id": "p", "floor": 1, "encryption": {"epoch": 3}}
    log.store.client().put(PROJECT, Bytes(json.dumps(text).encode()), replaces=_version(log, PROJECT), meta={})
    log.entries(0, 200)
    log.compact()
    found = log.store.client().read(PROJECT)
    assert found is not None
    assert json.loads(found[1]) == {**text, "floor": 2}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_point(after: bool) -> None:
    """Whichever write a run is killed before or after, the log is sound, and the next run ends the work."""
    for at in range(1, 50):
        log = Log()
        log.entries(0, 1, 2, 3, 200)
        trap = Trap()
        trap.set(at, after=after)
        trapped = Trapped(log.store.client(), BUCKET_EFFECTS, trap)
        try:
            compact(News(trapped), project_id="p", cursor=5)  # type: ignore[arg-type]
        except Kill:
            log.sound()
            log.compact()
            assert (log.numbers(), log.floor()) == ([5], 5)
        else:
            assert at == 6, "one write for the floor, four for the entries"
            return
    pytest.fail("it never ended")


def test_a_lost_connection_at_any_point() -> None:
    """Whichever request fails, its effect done or not, the log is sound and the next run ends the work."""
    for failing in range(1, 50):
        log = Log()
        log.entries(0, 1, 2, 200)
        seen = 0

        def break_off(_verb: str, _key: str, at: int = failing) -> Fault | None:
            nonlocal seen
            seen += 1
            return Fault(Transient("gone"), when="after") if seen == at else None

        try:
            compact(News(log.store.client(faults=break_off)), project_id="p", cursor=4)
        except Transient:
            log.sound()
            log.compact()
            assert (log.numbers(), log.floor()) == ([4], 4)
        else:
            assert failing > 7
            return
    pytest.fail("it never ended")


def _while_compacting(between: Callable[[Log], None]) -> int:
    """Do something at every single request of a run, in turn; returns how many requests there were."""
    for at in range(1, 50):
        log = Log()
        log.entries(0, 1, 2, 3, 150, 200)
        seen = 0

        def other(_verb: str, _key: str, log: Log = log, at: int = at) -> Fault | None:
            nonlocal seen
            seen += 1
            if seen == at:
                between(log)
                log.sound()
            return None

        compact(News(log.store.client(faults=other)), project_id="p", cursor=6)
        log.sound()
        if seen < at:
            return seen
    pytest.fail("it never ended")


def test_two_devices_at_once() -> None:
    """A second device that compacts between any two requests of the first does no harm."""
    assert _while_compacting(lambda log: log.compact() and None) >= 8


def test_an_entry_made_meanwhile() -> None:
    """An entry that is created between any two requests stays, and so does every number up to it."""

    def create(log: Log) -> None:
        log.entries(0)
        assert log.numbers()[-1] == 7

    assert _while_compacting(create) >= 8


def test_a_run_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A very long log is shortened in several runs, each of so many pages at most."""
    monkeypatch.setattr(compaction, "PAGES", 2)
    log = Log()
    log.store = MemoryBucket(seconds=lambda: log.now, page_keys=3)
    log.news.create_project(ProjectDocument("p", floor=1))
    log.entries(*range(10), 300)
    assert [log.compact().removed for _ in range(3)] == [6, 4, 0]
    log.sound()


@pytest.mark.parametrize("length", [1, 2, 4, 5, 6, 7, 63, 64, 65, 200])
@pytest.mark.parametrize("behind", [1, 2, 60])
def test_the_highest_number_is_found(monkeypatch: pytest.MonkeyPatch, length: int, behind: int) -> None:
    """`log_from` names the first entries and the very last of any log, with few requests."""
    monkeypatch.setattr(news, "_PAGE", 2)
    store = MemoryBucket(page_keys=2)
    for number in range(1, length + 1):
        News(store).create(number, ENTRY)
    counted = store.client()
    state = News(counted).log_from(behind)
    if behind > length:
        assert state.highest is None
        return
    assert state.highest is not None
    assert state.highest.number == length
    assert [entry.number for entry in state.first] == list(range(behind, min(behind + 4, length + 1)))
    assert counted.requests.LIST <= 90


def test_a_months_absence_costs_few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a log of 1,200 pages is found with a few dozen requests."""
    monkeypatch.setattr(news, "_PAGE", 10)
    store = MemoryBucket(page_keys=10)
    writer = News(store)
    for number in range(1, 12_001):
        writer.create(number, ENTRY)
    counted = store.client()
    state = News(counted).log_from(1)
    assert state.highest is not None
    assert state.highest.number == 12_000
    assert counted.requests.LIST < 60


def test_the_floor_never_falls() -> None:
    """Raising it to less than it is changes nothing."""
    log = Log()
    assert log.news.raise_floor(7, project_id="p") == 7
    assert log.news.raise_floor(3, project_id="p") == 7
    with pytest.raises(Stale):
        log.news.raise_floor(9, project_id="other")
    assert log.floor() == 7


def _version(log: Log, key: str) -> Version:
    info = log.store.client().head(key)
    assert info is not None
    return info.version
