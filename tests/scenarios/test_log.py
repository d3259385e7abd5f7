"""The bucket's log over months: devices that were away, asleep or far behind, while others keep it short."""

from __future__ import annotations

from pathlib import Path

import pytest

from dorkyd import remote_side
from dorkyd.buckets.memory import Fault
from dorkyd.compaction import compact
from dorkyd.core.logbook import LOG, entry_number
from dorkyd.core.pace import LIST_S, QUIET, SLOWEST
from dorkyd.core.report import HaltReason
from dorkyd.core.settings import Mode
from dorkyd.news import News
from tests.devices import Device
from tests.scenarios.months import DAY, Months


def _away(tmp_path: Path) -> tuple[Months, Device, Device]:
    """Device b last read an early entry of a log that is far beyond it now, and was shortened."""
    world = Months(tmp_path)
    a, b = world.device("a"), world.device("b")
    world.begin({"f": "0", "g": "0", "h": "0"})
    read = b.engine.opened.remote.cursor if b.engine.opened else 0  # type: ignore[union-attr]
    b.kill()
    world.edit(a, "1", "2", "3", "4")
    (a.root / "h").unlink()
    a.settle()
    world.edit(a, "5", days=100)
    a.engine.purge()
    a.pool.run_all()
    assert min(world.numbers()) == world.floor() > read + 1
    return world, a, b


def test_a_device_that_was_away_for_months(tmp_path: Path) -> None:
    """Its last number is below the floor: it lists everything, goes on from the highest, and halts for nothing."""
    world, a, b = _away(tmp_path)
    b.restart()
    b.clock.advance(100 * DAY)
    b.settle()
    assert b.engine.held is None
    assert b.tree() == a.tree() == {"f": "5", "g": "0"}
    b.write("g", "1")
    highest = max(world.numbers())
    b.settle()
    assert world.numbers()[-1] == highest + 1
    world.settle()
    world.all_hold({"f": "5", "g": "1"})


def test_an_edit_made_while_away(tmp_path: Path) -> None:
    """What it changed meanwhile is announced after the highest number, where the others read it, and never below."""
    world, a, b = _away(tmp_path)
    b.write("mine", "m")
    b.write("f", "b's")
    b.restart()
    b.settle()
    assert b.engine.held is None
    assert min(world.numbers()) >= world.floor()
    a.look(whole=False)
    for _ in range(5):
        a.step(1)
    assert a.read("mine") == "m"
    world.settle()
    assert {"5", "b's"} <= set(a.tree().values())


@pytest.mark.parametrize("monotonic", [True, False], ids=["awake", "asleep"])
def test_a_machine_that_slept(tmp_path: Path, monotonic: bool) -> None:
    """A process that goes on after 100 days knows it, by whichever of its clocks moved: nothing is written below the
    floor, and what it missed arrives.
    """
    world = Months(tmp_path)
    a, b = world.device("a"), world.device("b")
    world.begin({"f": "0"})
    world.edit(a, "1", "2")
    world.edit(a, "3", days=100)
    a.engine.purge()
    a.pool.run_all()
    if monotonic:
        b.clock.now += 100 * DAY
    else:
        b.clock.wall_ns += int(100 * DAY * 1e9)
    b.write("g", "b's")
    b.engine.opened.local.touched(["g"], b.clock.now)  # type: ignore[union-attr,list-item]
    for _ in range(20):
        b.step(0.5)
    assert b.engine.held is None
    assert min(world.numbers()) == world.floor()
    assert b.tree() == {"f": "3", "g": "b's"}
    world.settle()
    world.all_hold({"f": "3", "g": "b's"})


def test_gone_above_the_floor_is_a_rewound_bucket(tmp_path: Path) -> None:
    """A missing entry that compaction does not explain is what it always was: a halt."""
    world = Months(tmp_path)
    a, b = world.device("a"), world.device("b")
    world.begin({"f": "0"})
    world.edit(a, "1", "2", "3")
    b.settle()
    world.remove(*[key for key in world.keys(LOG) if (entry_number(key) or 0) >= max(world.numbers()) - 1])
    b.settle()
    assert b.engine.held is not None
    assert b.engine.held.halt.reason is HaltReason.REMOTE_REWOUND


def test_an_entry_made_while_another_device_compacts(tmp_path: Path) -> None:
    """Whatever request of an announcing device a whole compaction falls on, the entry arrives and nobody halts."""
    for at in range(1, 50):
        world = Months(tmp_path / str(at))
        a, b = world.device("a"), world.device("b")
        world.begin({"f": "0"})
        world.edit(a, "1", "2", "3")
        b.settle()
        world.pass_days(120, a, b)
        world.edit(a, "4")
        seen = 0

        def between(device: str, _verb: str, key: str, world: Months = world, at: int = at) -> Fault | None:
            nonlocal seen
            if device == "b" and key.startswith(".dorky/"):
                seen += 1
                if seen == at:
                    world.faults = lambda _device, _verb, _key: None
                    compact(News(world.store.client()), project_id=_project(world), cursor=max(world.numbers()))
            return None

        world.faults = between
        b.write("g", "b's")
        b.settle()
        world.faults = lambda _device, _verb, _key: None
        world.settle()
        assert a.engine.held is None
        assert b.engine.held is None
        world.all_hold({"f": "4", "g": "b's"})
        if seen < at:
            assert at > 5
            return
        assert min(world.numbers()) == world.floor() > 1
    pytest.fail("it never ended")


def _project(world: Months) -> str:
    found = News(world.store.client()).project()
    assert found is not None
    return found.project_id


def test_upkeep_looks_at_the_bucket_once_a_day(tmp_path: Path) -> None:
    """The hourly upkeep asks the bucket about the age of its log and trash no more than once a day, across restarts; a project that
    only pulls never does.
    """
    world = Months(tmp_path)
    a, reader = world.device("a"), world.device("r", mode=Mode.PULL)
    world.begin({"f": "0"})
    for device, looks in ((a, 1), (reader, 0)):
        world.forget()
        for _ in range(3):
            device.engine.purge()
            device.pool.run_all()
            device.clock.advance(3600)
        assert world.counts[device.name][".LIST"] == 4 * looks, "two of the log, one of the trash, one of facts"
    a.restart()
    a.settle()
    world.forget()
    a.engine.purge()
    a.pool.run_all()
    assert world.counts["a"][".LIST"] == 0
    a.clock.advance(2 * DAY)
    a.engine.purge()
    a.pool.run_all()
    assert world.counts["a"][".LIST"] == 4


def test_the_document_made_anew_explains_what_was_compacted(tmp_path: Path) -> None:
    """When a person has the project's document written again, its floor is the first entry there is: a device that was
    away does not take the gap for a rewound bucket.
    """
    world, a, b = _away(tmp_path)
    world.remove(".dorky/project.json")
    a.settle()
    assert a.engine.held is not None
    a.decisions.reject(a.engine.held.halt.token)
    a.settle()
    assert world.floor() == min(world.numbers()) > 1
    b.restart()
    b.settle()
    assert b.engine.held is None
    assert b.tree() == a.tree()


def test_far_behind_reads_no_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that is further behind than `BEHIND` lists the bucket and reads not one of them; a nearer one reads them
    all, a few in each cycle, before its listing decides anything.
    """
    monkeypatch.setattr(remote_side, "READ_AT_ONCE", 3)
    for behind, reads in ((5, False), (50, True)):
        monkeypatch.setattr(remote_side, "BEHIND", behind)
        world = Months(tmp_path / str(behind))
        a, b = world.device("a"), world.device("b")
        world.begin({"f": "0"})
        b.kill()
        world.edit(a, *[str(n) for n in range(1, 9)])
        b.restart()
        world.forget()
        b.settle()
        assert b.read("f") == "8"
        # The document twice or thrice, the entry after the last, and what the probe reads.
        assert (world.counts["b"][".GET"] >= 11) is reads
        world.settle()
        world.all_hold({"f": "8"})


# --- how often a bucket is listed -------------------------------------------------------------------------------------


def _listings(world: Months, device: Device, seconds: float) -> int:
    begun = device.engine.counters.listings_begun
    end = device.clock.now + seconds
    while device.clock.now < end:
        device.step(60)
    return device.engine.counters.listings_begun - begun


def test_a_bucket_that_only_dorkyd_writes_is_listed_less_often(tmp_path: Path) -> None:
    """The interval grows to `SLOWEST` times the usual one while the log tells of everything, edits of others included."""
    world = Months(tmp_path)
    a, b = world.device("a"), world.device("b")
    world.begin({"f": "0"})
    assert _listings(world, b, LIST_S * QUIET) >= QUIET - 1
    for hour in range(24):
        a.write("f", str(hour))
        a.settle()
        _listings(world, b, 3600)
    assert b.read("f") == "23"
    assert _listings(world, b, 10 * SLOWEST * LIST_S) in {10, 11}


def test_a_foreign_write_makes_listings_frequent_again(tmp_path: Path) -> None:
    """A listing that finds what the log never told of is followed by others at the usual interval."""
    world = Months(tmp_path)
    b = world.device("b")
    b.write("f", "0")
    b.settle()
    _listings(world, b, 100 * LIST_S)
    assert _listings(world, b, 2 * SLOWEST * LIST_S) <= 3
    world.put("f", "another tool's")
    end = b.clock.now + 1.1 * SLOWEST * LIST_S
    while b.read("f") != "another tool's":
        assert b.clock.now < end
        b.step(60)
    for text in "xyz":
        world.put("f", text)
        assert _listings(world, b, 2 * LIST_S) >= 2
        assert b.read("f") == text


def test_an_interval_that_a_person_set_stays(tmp_path: Path) -> None:
    """`list_every_s` is kept to, however quiet the bucket is."""
    world = Months(tmp_path)
    b = world.device("b", list_every_s=600.0)
    b.write("f", "0")
    b.settle()
    _listings(world, b, 100 * 600)
    assert _listings(world, b, 6000) in {9, 10, 11}
