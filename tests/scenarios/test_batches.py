"""Atomic batches: every folder has all of a batch or none of it, at every step, and no batch is waited for for ever."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path as FilePath

import pytest

from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.core.artifact import Remove
from dorkyd.core.batches import OPEN_S, WAIT_S
from dorkyd.core.logbook import ENTRY_CHANGES
from dorkyd.core.model import Path, Version
from dorkyd.errors import Refused, Stale, Transient
from dorkyd.standing import Standing
from tests.devices import Device, Kill, World, trap_commits
from tests.scenarios.test_artifacts import ask, no_leftovers, storing, version_of

OLD = {"d/a": "a1", "d/b": "b1", "other": "o"}
NEW = {"d/a": "a2", "d/b": "b2", "d/c": "c2", "other": "o"}
STRIDE = int(os.environ.get("DORKY_BATCH_STRIDE", "4"))
"""Every so many steps a device is killed; 1: at each."""
MEMBERS = ("d/a", "d/b", "d/c")


class Times:
    """The store's clock: the latest of the devices'."""

    def __init__(self) -> None:
        self.devices: list[Device] = []

    def __call__(self) -> int:
        return max((d.clock.wall_ns for d in self.devices), default=0) // 10**9


def make(base: FilePath, *names: str) -> World:
    """Devices that hold `OLD`, over a store that tells LastModified."""
    times = Times()
    world = World(base, MemoryBucket(seconds=times))
    times.devices = world.devices
    for name in names:
        world.device(name)
    world.begin(OLD)
    return world


@pytest.fixture
def world(quick_path: FilePath) -> World:
    """Devices A, B and C."""
    return make(quick_path, "A", "B", "C")


def put(world: World, device: Device, batch: str, path: str, text: str) -> None:
    """Store one member."""
    asked = replace(storing(device, path, text, version_of(world, path)), batch=batch)
    assert ask(device, asked).exception() is None


def write(world: World, device: Device, files: dict[str, str] | None = None) -> str:
    """Store the members of a batch, and do not complete it."""
    batch = device.engine.ready().batches.begin()
    for path, text in (files or {path: NEW[path] for path in MEMBERS}).items():
        put(world, device, batch, path, text)
    return batch


def publish(device: Device, batch: str) -> None:
    """Complete it, and go on until it is told of."""
    for _ in range(20):
        if device.engine.ready().asking.commit_batch(batch):
            return
        device.step(0.1)
    raise AssertionError("it was never told of")


def whole(device: Device) -> bool:
    """It holds all of the batch; none of it: False. Anything else fails."""
    tree = device.tree()
    assert tree in (OLD, NEW), (device.name, tree)
    return tree == NEW


def steps(device: Device, seconds: float, each: float = 0.5) -> Iterator[None]:
    """Let time pass on one device."""
    for _ in range(int(seconds / each)):
        device.step(each)
        yield


def test_all_or_none_at_every_step(world: World) -> None:
    """Members are staged and no folder changes, the writer's neither, until the entry names the batch: then all do."""
    one, two, three = world.devices
    batch = write(world, one)
    for device in (one, two):
        device.look()
        for _ in steps(device, 5):
            assert not whole(device)
    assert len(list((two.root / ".dorky" / "tmp").glob("[!.]*"))) == 3, "they are fetched already"
    world.forget()
    publish(one, batch)
    for device in (one, two, three):
        device.look(whole=False)
        for _ in steps(device, 20):
            whole(device)
        assert whole(device), device.name
    assert world.moved("B") == {}, "nothing is fetched twice"
    assert no_leftovers(*world.devices)
    assert "batch" not in two.engine.warnings


@pytest.mark.parametrize("verb", ["HEAD", "GET"])
def test_one_member_comes_late(world: World, verb: str) -> None:
    """The entry was read, and one object cannot be looked at or fetched yet: the others wait for it."""
    one, two, _ = world.devices
    cut = [True]
    fault = Fault(Transient("connection reset"), "before")
    world.faults = lambda who, what, key: fault if cut[0] and (who, what, key) == ("B", verb, "d/c") else None
    publish(one, write(world, one))
    two.look(whole=False)
    for _ in steps(two, 5):
        assert not whole(two)
    cut[0] = False
    for _ in steps(two, 20):
        whole(two)
    assert whole(two)


def test_nobody_completes_it(world: World) -> None:
    """After a quarter of an hour by the store's clock its files are like any others, and a warning tells of it."""
    one, two, _ = world.devices
    write(world, one)
    one.kill()
    two.look()
    waited = 0.0
    for _ in steps(two, WAIT_S - 30, 10):
        waited += 10
        assert not whole(two)
    assert two.engine.quiescent(), "there is nothing to do until then"
    for _ in steps(two, 60, 1):
        pass
    assert whole(two)
    assert "d/a" in two.engine.warnings["batch"][0]
    assert "batch-open" not in two.engine.warnings
    one.restart()
    world.settle()
    for device in world.devices:
        device.clock.advance(WAIT_S)
    world.settle()
    world.all_hold(NEW)


def test_a_batch_that_is_being_put_together_is_told_of(world: World) -> None:
    """By whom, since when, and when it will be given up: where it is written, and where it is waited for; not afterwards."""
    one, two, _ = world.devices
    batch = write(world, one)
    one.step(0.1)
    two.look()
    for _ in steps(two, 3):
        pass
    began = at(one.clock.wall_ns)
    ours, theirs = one.engine.warnings["batch-open"][0], two.engine.warnings["batch-open"][0]
    assert ours == (
        f"an atomic batch of 3 files so far is being put together on this device since {began},"
        f" and given up at {at(one.clock.wall_ns, OPEN_S)} if it is not complete"
    )
    assert theirs == (
        f"3 files of an atomic batch by A that is not complete: it is being put together since {began},"
        f" and given up at {at(one.clock.wall_ns, WAIT_S)}"
    )
    assert Standing(two.engine).waits_for_batch(Path("d/a")) == theirs
    assert Standing(two.engine).waits_for_batch(Path("other")) is None
    publish(one, batch)
    world.settle()
    for device in (one, two):
        assert "batch-open" not in device.engine.warnings
    assert Standing(two.engine).waits_for_batch(Path("d/a")) is None


def at(now_ns: int, later_s: float = 0) -> str:
    """As people are told."""
    return datetime.fromtimestamp(now_ns // 10**9 + later_s, UTC).strftime("%Y-%m-%d %H:%M UTC")


def test_the_stores_clock_counts(world: World) -> None:
    """A device that comes late does not begin to wait anew, nor does one that was started anew."""
    one, two, three = world.devices
    write(world, one)
    one.kill()
    two.look()
    for _ in steps(two, WAIT_S / 2, 10):
        assert not whole(two)
    two.restart()
    three.clock.advance(WAIT_S + 60)
    three.write("later", "x")
    three.settle()
    for _ in steps(three, 5):
        pass
    assert three.tree() == {**NEW, "later": "x"}
    two.settle()
    two.settle()
    assert two.tree() == {**NEW, "later": "x"}


def test_a_device_that_joins(world: World) -> None:
    """It has read no entry of the log: it reads back, finds the batch complete, and waits for nothing. No warning."""
    one = world.devices[0]
    publish(one, write(world, one))
    four = world.device("D")
    four.settle()
    for _ in steps(four, 5):
        pass
    assert whole(four)
    assert "batch" not in four.engine.warnings


def test_a_member_that_is_edited_here_leaves_the_batch(world: World) -> None:
    """Two edits are settled as ever, at once; the rest waits, and then comes together."""
    one, two, _ = world.devices
    batch = write(world, one)
    two.write("d/a", "mine")
    two.look()
    for _ in steps(two, 5):
        assert two.tree()["d/b"] == "b1"
        assert "d/c" not in two.tree()
    assert two.tree()["d/a"] == "a2"
    publish(one, batch)
    world.settle()
    tree = two.tree()
    (copy,) = tree.keys() - NEW.keys()
    assert tree == {**NEW, copy: "mine"}
    assert world.objects() == tree


def test_an_edit_while_it_waits(world: World) -> None:
    """Bytes are staged, and the file is edited before the batch is complete: nothing is lost."""
    one, two, _ = world.devices
    batch = write(world, one)
    two.settle()
    two.write("d/b", "mine")
    two.settle()
    publish(one, batch)
    world.settle()
    assert sorted(world.objects().values()) == sorted([*NEW.values(), "mine"])


def test_a_member_is_deleted_meanwhile(world: World) -> None:
    """What is gone is gone; the rest comes together."""
    one, two, _ = world.devices
    batch = write(world, one)
    two.settle()
    assert ask(one, Remove(Path("d/c"), version_of(world, "d/c") or Version(""))).exception() is None
    publish(one, batch)
    world.settle()
    world.all_hold({path: text for path, text in NEW.items() if path != "d/c"})
    assert no_leftovers(*world.devices)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_member_is_replaced_by_an_ordinary_edit(world: World, when: str) -> None:
    """Its new object belongs to no batch, and keeps nobody waiting."""
    one, two, three = world.devices
    batch = write(world, one)
    two.settle()
    if when == "after":
        publish(one, batch)
        world.settle()
        three.write("d/a", "a3")
        three.settle()
    else:
        assert ask(three, storing(three, "d/a", "a3", version_of(world, "d/a"))).exception() is None
        three.settle()
        publish(one, batch)
    found = world.store.client().head("d/a")
    assert found is not None
    assert "dorky-batch" not in found.meta
    world.settle()
    world.all_hold({**NEW, "d/a": "a3"})


def test_two_batches_over_one_path(world: World) -> None:
    """The later one counts, whichever is completed first; the other's files come all the same."""
    one, two, three = world.devices
    first = write(world, one, {"d/a": "a2", "d/b": "b2"})
    second = write(world, three, {"d/a": "a3", "d/c": "c3"})
    two.settle()
    publish(one, first)
    two.settle()
    assert two.tree() == {**OLD, "d/b": "b2"}, "the second one's object is not complete yet"
    publish(three, second)
    world.settle()
    world.all_hold({**OLD, "d/a": "a3", "d/b": "b2", "d/c": "c3"})


def test_one_entry_of_the_log(world: World) -> None:
    """What else was written meanwhile goes into another."""
    one = world.devices[0]
    batch = write(world, one)
    one.write("plain", "p")
    one.settle()
    before = len(world.keys(".dorky/log/"))
    publish(one, batch)
    assert len(world.keys(".dorky/log/")) == before + 1
    world.settle()
    world.all_hold({**NEW, "plain": "p"})


def test_completed_twice(world: World) -> None:
    """The second time says the same, after a restart too."""
    one = world.devices[0]
    batch = write(world, one)
    publish(one, batch)
    assert one.engine.ready().asking.commit_batch(batch)
    one.restart()
    one.settle()
    assert one.engine.ready().asking.commit_batch(batch)


def test_what_is_refused(world: World) -> None:
    """An unknown name, one that took too long, one of before a restart, and one file too many."""
    one = world.devices[0]
    for batch in ("0" * 16, write(world, one, {"d/a": "x"})):
        if batch != "0" * 16:
            one.clock.advance(OPEN_S + 1)
            one.step(0.1)
        with pytest.raises(Refused) as refused:
            one.engine.ready().asking.commit_batch(batch)
        assert refused.value.code == "no-such-batch"
        with pytest.raises(Refused):
            one.engine.ready().asking.ask(replace(storing(one, "n", "x", None), batch=batch))
    batch = one.engine.ready().batches.begin()
    one.engine.ready().asking.ask(replace(storing(one, "m", "x", None), batch=batch))
    with pytest.raises(Stale) as busy:
        one.engine.ready().asking.commit_batch(batch)
    assert busy.value.code == "busy-batch"
    assert ENTRY_CHANGES == 500


@pytest.mark.parametrize("after", [False, True])
def test_the_writer_is_killed_at_every_step(quick_path: FilePath, after: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others have all or none, however it ended; within a quarter of an hour everybody has what the bucket holds."""
    outcomes = set()
    for step in range(2 if after else 1, 200, STRIDE):
        world = make(quick_path / f"{step}", "A", "B")
        one, two = world.devices
        with monkeypatch.context() as patched:
            trap_commits(patched, {"A": one.trap})
            one.trap.set(step, after=after)
            killed = False
            try:
                publish(one, write(world, one))
                one.settle()
            except Kill:
                killed = True
        two.look()
        for _ in steps(two, 4):
            whole(two)
        outcomes.add(whole(two))
        one.restart()
        world.settle()
        one.clock.advance(WAIT_S)
        two.clock.advance(WAIT_S)
        world.settle()
        held = world.objects()
        world.all_hold(held)
        assert all(held.get(path) in (OLD.get(path), NEW[path]) for path in NEW)
        assert no_leftovers(one, two), one.trap.calls
        if not killed:
            assert held == NEW
            break
    else:
        raise AssertionError("it never ended")
    assert outcomes == {False, True}


@pytest.mark.parametrize("after", [False, True])
def test_a_receiver_is_killed_at_every_step(quick_path: FilePath, after: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the entry came it has none of it; once files are being put in place, a start goes on to the last of them."""
    for step in range(2 if after else 1, 200, STRIDE):
        world = make(quick_path / f"{step}", "A", "B")
        one, two = world.devices
        with monkeypatch.context() as patched:
            trap_commits(patched, {"B": two.trap})
            two.trap.set(step, after=after)
            killed = False
            try:
                batch = write(world, one)
                two.settle()
                assert not whole(two)
                publish(one, batch)
                two.settle()
            except Kill:
                killed = True
        two.restart()
        publish(one, batch)
        world.settle()
        world.all_hold(NEW)
        assert no_leftovers(one, two), two.trap.calls
        if not killed:
            break
    else:
        raise AssertionError("it never ended")
