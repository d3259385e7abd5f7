"""What is said to be over is over: at rest, released, committed, told of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path as FilePath

import pytest

from dorkyd import remote_side
from dorkyd.core.settings import Mode
from dorkyd.errors import Refused, Transient
from dorkyd.manual import begin_pull
from dorkyd.standing import Standing
from tests.devices import Device, World
from tests.scenarios.test_batches import NEW, OLD, make, publish, write
from tests.scenarios.test_freezing import freeze, release
from tests.scenarios.test_manual_push import commits, team


@pytest.fixture
def world(quick_path: FilePath) -> World:
    """Devices A and B."""
    return make(quick_path, "A", "B")


def _edit(one: Device) -> None:
    one.write("other", "new")


def _delete(one: Device) -> None:
    (one.root / "other").unlink()


def _move(one: Device) -> None:
    (one.root / "other").rename(one.root / "moved")


def _bits(one: Device) -> None:
    (one.root / "other").chmod(0o600)


@pytest.mark.parametrize("change", [_edit, _delete, _move, _bits])
def test_a_release_of_a_single_change(world: World, change: Callable[[Device], None]) -> None:
    """What goes in no batch is waited for, too: a script that goes on after the release finds it in the bucket, and told of."""
    one, two = world.devices
    freeze(one)
    change(one)
    one.look()
    one.step(1)
    assert release(one).changes >= 1
    two.look(whole=False)
    for _ in range(20):
        two.step(0.5)
    assert two.tree() == one.tree()
    assert two.modes() == one.modes()
    assert not one.engine.opened.contact.untold


def test_an_edit_of_a_member_that_waits(quick_path: FilePath) -> None:
    """A file of an atomic batch that is not complete is edited here: nothing is at rest before the edit went."""
    world = make(quick_path, "A", "B")
    one, two = world.devices[0], world.device("C", settle_s=5.0)
    two.settle()
    write(world, one)
    two.settle()
    assert Standing(two.engine).half_here
    two.write("d/a", "mine")
    two.settle()
    assert "mine" in world.objects().values()


def test_a_push_reads_all_the_news(quick_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many entries of the log there are: the next commit leaves nothing out that the last one had."""
    monkeypatch.setattr(remote_side, "READ_AT_ONCE", 2)
    world, (b, a) = team(quick_path, {"f": "1"}, "a")
    c = world.device("c", mode=Mode.MANUAL, ignore=("n*",))
    c.engine.run_due(c.clock.monotonic())
    begin_pull(c.engine)
    c.settle()
    for number in range(3):
        b.write(f"n{number}", "x")
        b.settle()
    begin_pull(a.engine)
    a.settle()
    a.write("g", "a's")
    a.stage.stage(["g"])
    a.pushes.push("a's")
    c.write("h", "c's")
    c.stage.stage(["h"])
    with pytest.raises(Refused, match="moved on"):
        c.pushes.push("c's")
    assert "g" in commits(world)[-1]


@pytest.mark.parametrize("mode", [Mode.PUSH, Mode.BUCKET])
def test_a_commit_where_nothing_comes_in(quick_path: FilePath, mode: Mode) -> None:
    """Half of an atomic batch is committed by no device: not by one either that has no use for its files."""
    world = make(quick_path, "A", "B")
    three = world.device("C", mode=mode)
    if mode is Mode.PUSH:
        for path, text in OLD.items():
            three.write(path, text)
    world.settle()
    one = world.devices[0]
    batch = write(world, one, {"d/a": "a2", "d/b": "b2"})
    three.settle()
    with pytest.raises(Transient, match="atomic batch"):
        three.commits.commit("half")
    publish(one, batch)
    three.commits.commit("whole")
    assert commits(world)[-1] == {**OLD, "d/a": "a2", "d/b": "b2"}


def test_a_commit_by_who_joins_after_a_batch(quick_path: FilePath) -> None:
    """The entry that completes it was passed over: it is read once it counts."""
    world = make(quick_path, "A", "B")
    publish(world.devices[0], write(world, world.devices[0]))
    world.device("C", mode=Mode.BUCKET).commits.commit("whole")
    assert commits(world)[-1] == NEW


def test_a_push_beside_half_a_batch(quick_path: FilePath) -> None:
    """Nor by a push."""
    world = make(quick_path, "A", "B")
    b, a = world.devices[0], world.device("C", mode=Mode.MANUAL)
    a.settle()
    begin_pull(a.engine)
    a.settle()
    batch = write(world, b, {"d/a": "a2", "d/b": "b2"})
    begin_pull(a.engine)
    a.settle()
    assert a.tree() == OLD
    a.write("mine", "m")
    a.stage.stage(["mine"])
    with pytest.raises(Transient, match="atomic batch"):
        a.pushes.push("half")
    publish(b, batch)
    begin_pull(a.engine)
    a.settle()
    a.pushes.push("whole")
    assert commits(world)[-1] == {**OLD, "d/a": "a2", "d/b": "b2", "mine": "m"}


@pytest.mark.parametrize("mode", [Mode.PUSH, Mode.BUCKET])
def test_a_commit_of_what_was_never_looked_at(quick_path: FilePath, mode: Mode) -> None:
    """Where nothing comes in, nobody has asked what a teammate's objects hold: a commit asks, and `diff` does."""
    world = make(quick_path, "A", "B")
    three = world.device("C", mode=mode)
    made = three.commits.commit("c")
    assert commits(world)[-1] == OLD
    world.devices[0].write("d/a", "a2")
    world.devices[0].settle()
    three.settle()
    assert [one.path for one in three.commits.diff(made.named.id, None)] == ["d/a"]
