"""A device is killed at every effect of a commit, a checkout and a collection: what stands then is whole, and the same
command, given again, ends well.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path as FilePath

import pytest

from dorkyd.buckets.memory import MemoryBucket
from dorkyd.collection import Collection
from dorkyd.core.garbage import CONDEMNED_S, Kept
from dorkyd.errors import Blocked
from tests.devices import Device, Kill, World, trap_commits
from tests.scenarios.test_commits import A, B, become, commit

STRIDE = int(os.environ.get("DORKY_KILL_STRIDE", "11"))
"""Every so many effects the device is killed; 1: at each."""
_LIMIT = 400


def make(base: FilePath) -> World:
    """Devices A and B, which hold A; the store tells times."""
    world = World(base)
    world.store = MemoryBucket(seconds=lambda: world.devices[0].clock.wall_ns // 10**9)
    world.device("A")
    world.device("B")
    world.begin(A)
    return world


def whole(world: World) -> None:
    """Every commit that stands there can be read, each follows the one before, and all that they need is kept."""
    for device in world.devices:
        if device.engine.bucket is None:
            device.settle()
        store = device.commits.store()
        standing = store.standing()
        store.headers(standing)
        for one in standing:
            for file in store.read(one)[1].files:
                assert store.kept_under(file.digest), f"{file.path} of commit {one.seq}"


def everywhere(
    base: FilePath,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[World], None],
    act: Callable[[World, Device], object],
    check: Callable[[World], None],
) -> int:
    """Kill A at each effect of `act`, before and after it, start it again and repeat the act. How many kills."""
    at, kills = 1, 0
    while at < _LIMIT:
        for after in (False, True):
            world = make(base / f"{at}{after}")
            with monkeypatch.context() as patched:
                trap_commits(patched, {"A": world.devices[0].trap})
                prepare(world)
                one = world.devices[0]
                one.trap.set(at, after=after)
                try:
                    act(world, one)
                except Kill:
                    kills += 1
                else:
                    assert kills, "it has effects"
                    return kills
                one.restart()
                one.settle()
                whole(world)
                act(world, one)
                whole(world)
                world.settle()
                check(world)
                assert not list((one.root / ".dorky" / "tmp").glob("[!.]*"))
        at += STRIDE
    raise AssertionError("it never ends")


def changed(world: World) -> None:
    """There is a commit of A, and the project moved on to B."""
    commit(world.devices[0])
    become(world.devices[0], B)
    world.settle()


def test_commit(quick_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no commit, or all of it; committed again, there is exactly one of that state."""

    def act(_world: World, one: Device) -> None:
        with suppress(Blocked):  # there is nothing to commit: the one before came so far
            commit(one, "second")

    def check(world: World) -> None:
        found = world.devices[1].commits.list(None, 10)
        assert [named.header.message for named in found] == ["second", "m"]
        world.all_hold(B)

    assert everywhere(quick_path, monkeypatch, changed, act, check) > 4 // STRIDE


@pytest.mark.parametrize("edited", [False, True])
def test_checkout(quick_path: FilePath, monkeypatch: pytest.MonkeyPatch, edited: bool) -> None:
    """Checked out again, everybody holds the commit; an edit that was replaced because a person said so is in the trash."""

    def prepare(world: World) -> None:
        changed(world)
        if edited:
            world.devices[0].write("a", "precious")
            world.devices[0].write("mine", "precious too")

    def act(_world: World, one: Device) -> None:
        found = one.commits.list(None, 10)
        one.checkout.checkout(found[-1].id, overwrite=edited)

    def check(world: World) -> None:
        world.all_hold(A)
        if edited:
            kept = {*world.devices[0].trashed(), *world.bucket_trash()}
            assert {"precious", "precious too"} <= kept

    assert everywhere(quick_path, monkeypatch, prepare, act, check) > 10 // STRIDE


def test_collection(quick_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept stays whole, and what is not goes in the end."""

    def prepare(world: World) -> None:
        changed(world)
        commit(world.devices[0], "second")
        for _ in range(2):
            days(world, 2)
            run(world.devices[0], Kept())

    def act(world: World, one: Device) -> None:
        for _ in range(4):
            run(one, Kept(last=1))
            days(world, 2)

    def check(world: World) -> None:
        store = world.devices[1].commits.store()
        assert [one.seq for one in store.standing()] == [2]
        assert len(list(store.objects())) == len(set(B.values()))
        assert store.condemned() == []

    assert everywhere(quick_path, monkeypatch, prepare, act, check) > 6 // STRIDE


def run(device: Device, kept: Kept) -> None:
    """Collect."""
    Collection(device.commits.store(), device.clock, device.name, kept).run(time="t")


def days(world: World, count: int) -> None:
    """Time goes by."""
    for device in world.devices:
        device.clock.advance(count * CONDEMNED_S)
