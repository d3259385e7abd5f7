"""What a reviewer of the bucket's side tried: kills and failures between two commits, and what was learned long ago."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.core import metadata
from dorkyd.core.logbook import Entry
from dorkyd.core.model import ReplicaId
from dorkyd.core.report import HaltReason
from dorkyd.core.settings import Mode
from dorkyd.errors import Denied, Transient
from dorkyd.journal import Journal
from dorkyd.news import Bytes, News
from tests.devices import Device, Kill, World

THEIRS = Entry(ReplicaId("r"), "d", "", ())


@pytest.fixture
def pair(tmp_path: Path) -> tuple[World, Device, Device]:
    """Two devices in sync."""
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b")
    world.begin({"f": "1", "g": "2", "h": "3", "i": "4"})
    return world, a, b


def test_a_disk_that_is_full_once(pair: tuple[World, Device, Device], monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal refuses to record what finished: the project begins anew, and does not wait for ever for jobs that
    have come back.
    """
    world, a, _ = pair
    a.write("f", "new")
    failed: list[bool] = []
    whole = Journal.clean

    def clean(journal: Journal, rows: object) -> None:
        if not failed and a.engine.jobs and a.engine.opened is not None and journal is a.engine.journal:
            failed.append(True)
            raise sqlite3.OperationalError("database or disk is full")
        whole(journal, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(Journal, "clean", clean)
    a.look()
    for _ in range(20):
        try:
            a.step(0.5)
        except sqlite3.Error as exc:
            a.engine.failed_unexpectedly(exc)
    assert failed
    world.settle()
    world.all_hold({"f": "new", "g": "2", "h": "3", "i": "4"})
    del world


def test_killed_while_it_passes_over_entries(
    pair: tuple[World, Device, Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place in the log is one thing, number and version: a kill while it is written is no rewound bucket."""
    world, a, b = pair
    b.kill()
    news = News(world.store.client())
    last = a.engine.opened.remote.cursor  # type: ignore[union-attr]
    for number in range(last + 1, last + 5):
        news.create(number, replace(THEIRS, device=str(number)))
    monkeypatch.setattr("dorkyd.remote_side.BEHIND", 2)
    put = Journal.put
    armed = [True]

    def once(journal: Journal, key: str, value: str | None) -> None:
        put(journal, key, value)
        if key == "log_cursor" and armed and journal is b.engine.journal:
            armed.clear()
            raise Kill

    monkeypatch.setattr(Journal, "put", once)
    b.engine = b._engine()
    with pytest.raises(Kill):
        b.settle()
    b.restart()
    b.settle()
    assert b.engine.held is None


def test_a_listing_that_takes_longer_than_its_interval(tmp_path: Path) -> None:
    """It goes on to its end, however often a person wants one."""
    world = World(tmp_path, MemoryBucket(page_keys=2))
    for number in range(20):
        world.put(f"f{number:02}", "x")
    a = world.device("a", list_every_s=2.0)
    for _ in range(200):
        a.step(1.0)
    assert len(a.tree()) == 20


def test_who_asks_faster_than_a_listing_ends(tmp_path: Path) -> None:
    """`dorkyctl sync` again and again lets the listing under way end, and what each asked for is the one after it."""
    world = World(tmp_path, MemoryBucket(page_keys=2))
    for number in range(20):
        world.put(f"f{number:02}", "x")
    a = world.device("a")
    asked = []
    for _ in range(40):
        _, listing = a.engine.look_again()
        asked.append(listing)
        a.step(0.1)
    done = a.engine.counters.listings_done
    assert done >= 2
    assert asked == sorted(asked)
    a.settle()
    assert a.engine.counters.listings_done >= asked[-1]
    assert len(a.tree()) == 20


def test_what_a_teammate_deleted_while_it_was_ignored_here(pair: tuple[World, Device, Device]) -> None:
    """An ignored file was agreed on with nobody: it stays when its rule goes, though its object went meanwhile."""
    world, a, b = pair
    b.project = replace(b.project, ignore=("f",))
    b.restart()
    world.settle()
    (a.root / "f").unlink()
    world.settle()
    assert "f" not in world.objects()
    assert b.read("f") == "1"
    b.project = replace(b.project, ignore=())
    b.restart()
    world.settle()
    assert b.read("f") == "1"
    assert world.objects()["f"] == "1"


def test_what_a_listing_proved_outdoes_a_claim(tmp_path: Path) -> None:
    """The metadata of an object that a listing proved equal may be another tool's, kept from an older state. What is
    known of these very bytes stands, though a file with the claimed content is at hand.
    """
    world = World(tmp_path, MemoryBucket(etags=True, seconds=lambda: 1_800_000_000))
    store = world.store.client()
    claim = metadata.encode(
        digest=metadata.sha256(hashlib.sha256(b"before").hexdigest()),
        mtime_ns=1,
        mode=0o644,
        device="x",
        op="ab" * 16,  # type: ignore[arg-type]
        ancestry=(),
        user={},
    )
    store.put("f", Bytes(b"after!"), replaces=None, meta=claim)
    a = world.device("a")
    a.write("f", "after!")
    a.write("f.bak", "before")
    world.settle()
    a.write("f", "mine, made of what was after")
    world.settle()
    world.all_hold({"f": "mine, made of what was after", "f.bak": "before"})


def test_entries_removed_while_they_are_read(pair: tuple[World, Device, Device]) -> None:
    """A number that is free below the highest one seen was removed: nothing is written there."""
    world, a, _ = pair
    news = News(world.store.client())
    remote = a.engine.opened.remote  # type: ignore[union-attr]
    last = remote.cursor
    for number in range(last + 1, last + 5):
        news.create(number, replace(THEIRS, device=str(number)))
    assert remote.catch_up() is None
    news.raise_floor(last + 4, project_id=a.journal.get("project_id") or "")
    for page in list(news.log_pages()):
        for entry in page:
            if entry.number < last + 4:
                news.remove(entry)
    remote.poll()
    assert remote.out_of_touch


def test_a_store_that_cannot_give_up_a_session(tmp_path: Path) -> None:
    """Its trouble is not the project's: other files go on, and it is told."""
    world = World(tmp_path, MemoryBucket(sessions_over=8, part_bytes=4))
    a = world.device("a")
    begun = 0

    def breaks_off(_device: str, verb: str, key: str) -> Fault | None:
        nonlocal begun
        begun += (verb, key) == ("PUT", "large")
        return Fault(Transient("broken")) if begun > 2 and key == "large" else None

    world.faults = breaks_off
    a.write("large", "x" * 20)
    for _ in range(10):
        a.step(1.0)
    (a.root / "large").unlink()
    assert world.store.open_sessions == ["large"]
    world.faults = lambda _d, verb, key: (
        Fault(Transient("NotImplemented")) if (verb, key) == ("DELETE", "large") else None
    )
    a.look()
    for _ in range(10):
        a.step(1.0)
    a.write("small", "y")
    a.look()
    for _ in range(10):
        a.step(1.0)
    assert world.objects() == {"small": "y"}
    assert a.engine.trouble is None


def test_a_decision_that_the_bucket_interrupts(pair: tuple[World, Device, Device]) -> None:
    """Approved twice, since the first try broke off: the project is the same one for every device."""
    world, a, b = pair
    was = a.journal.get("project_id")
    world.remove(".dorky/project.json")
    a.settle()
    assert a.engine.held is not None
    assert a.engine.held.halt.reason is HaltReason.REMOTE_EMPTIED
    world.faults = lambda _d, verb, key: (
        Fault(Transient("down")) if (verb, key) == ("PUT", ".dorky/project.json") else None
    )
    with pytest.raises(Transient):
        a.decisions.reject(a.engine.held.halt.token)
    world.faults = lambda _d, _v, _k: None
    a.decisions.reject(a.engine.held.halt.token)
    a.settle()
    assert a.journal.get("project_id") == was
    del b


def test_a_large_file_that_changes_faster_than_it_is_sent(tmp_path: Path) -> None:
    """What it replaces is kept once, however many uploads are begun, and no session stays."""
    world = World(tmp_path, MemoryBucket(sessions_over=8, part_bytes=4))
    a = world.device("a")
    a.write("f", "the first version")
    a.settle()
    grown = "the log"
    growing = True

    def grows(_device: str, verb: str, key: str) -> None:
        nonlocal grown
        if growing and (verb, key) == ("PUT", "f"):
            grown += f" line {len(grown)}"
            a.write("f", grown)

    world.faults = grows
    a.write("f", grown * 3)
    a.look()
    for _ in range(10):
        a.step(5.0)
        a.look()
        a.step(5.0)
        a.step(5.0)
    assert len(grown) > 50
    growing = False
    a.settle()
    assert world.objects() == {"f": grown}
    assert world.bucket_trash() == ["the first version"]
    assert world.store.open_sessions == []


def test_asleep_amid_a_listing(pair: tuple[World, Device, Device], monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that slept for days with a listing under way lists the log before it asks for its next entry."""
    _, a, _ = pair
    contact = a.engine.opened.contact  # type: ignore[union-attr]
    contact.remote.begin_listing()
    a.clock.advance(5 * 86_400.0)
    caught_up: list[bool] = []
    monkeypatch.setattr(type(contact.remote), "catch_up", lambda _self: caught_up.append(True))
    contact.news(a.clock.monotonic())
    assert caught_up


def test_much_to_hash_is_remembered_little_by_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much there is to read, a batch ends: a kill takes no more than one batch's hashes."""
    monkeypatch.setattr("dorkyd.deciding.READ_BYTES", 15)
    world = World(tmp_path)
    a = world.device("a")
    for number in range(9):
        a.write(f"f{number}", f"ten bytes{number}")
    while not a.engine.jobs:
        a.clock.advance(0.5)
        a.engine.run_due(a.clock.monotonic())
    assert len(a.engine.jobs) == 2
    a.settle()
    assert len(world.objects()) == 9


def _cycles(device: Device, seconds: float) -> int:
    """How often it wants to be called in so long."""
    end, count = device.clock.monotonic() + seconds, 0
    while device.clock.monotonic() < end and count < 500:
        count += 1
        due = device.engine.run_due(device.clock.monotonic())
        device.pool.run_all()
        device.clock.advance(max(0.01, min(due, end) - device.clock.monotonic()))
    return count


def test_a_folder_elsewhere_that_is_ignored_here(tmp_path: Path) -> None:
    """Its name is taken in the bucket: the file here steps aside, though nobody looks at what is ignored."""
    world = World(tmp_path)
    world.put("build/x", "theirs")
    a = world.device("a", ignore=("build/",))
    a.write("build", "mine")
    a.settle()
    assert sorted(world.objects().values()) == ["mine", "theirs"]
    assert list(a.tree().values()) == ["mine"]


def test_a_folder_elsewhere_that_nobody_may_look_at(tmp_path: Path) -> None:
    """A file that waits for a look at what clashes with it does not keep the machine busy."""
    world = World(tmp_path)
    world.put("f/x", "theirs")
    a = world.device("a", mode=Mode.PUSH)
    world.faults = lambda _d, verb, key: Fault(Denied("no")) if (verb, key) == ("HEAD", "f/x") else None
    a.write("f", "mine")
    _cycles(a, 30.0)
    assert _cycles(a, 60.0) < 40


def test_an_arrival_that_waits_for_a_file_still_written(tmp_path: Path) -> None:
    """It may be that file's move, and meanwhile the machine is not kept busy."""
    world = World(tmp_path)
    a = world.device("a", settle_s=30.0)
    a.watching = True
    a.write("log", "same")
    _cycles(a, 120.0)
    assert world.objects() == {"log": "same"}
    world.put("arrives", "same")
    a.write("log", "more")
    a.watchers[-1].saw("log")
    a.look()
    assert _cycles(a, 25.0) < 60
    _cycles(a, 60.0)
    assert a.read("arrives") == "same"
