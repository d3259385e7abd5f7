"""Scenario group H: requests and edits that cross each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dorkyd.buckets.memory import Fault
from dorkyd.core.paths import parse_conflict
from dorkyd.errors import Stale, Transient
from dorkyd.ports import Bucket
from dorkyd.standing import Standing
from tests.devices import Device, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Devices A and B over one bucket."""
    made = World(tmp_path)
    made.device("A")
    made.device("B")
    return made


def until_sent(device: Device) -> None:
    """Decide, and stop just before the requests go out."""
    device.look()
    for _ in range(20):
        device.clock.advance(0.5)
        device.engine.run_due(device.clock.monotonic())
        if device.pool.jobs:
            return
    raise AssertionError


def test_h01_a_planned_put_that_comes_second_is_refused(world: World) -> None:
    """The bucket keeps the first; the second becomes a conflict copy."""
    one, two = world.begin({"f": "1"})
    one.write("f", "a")
    until_sent(one)
    two.write("f", "b")
    two.settle()
    one.pool.run_all()
    world.settle()
    tree = one.tree()
    assert tree == two.tree() == world.objects()
    assert tree.pop("f") == "b"
    ((copy, text),) = tree.items()
    assert text == "a"
    assert parse_conflict(copy).device == "A"  # type: ignore[arg-type,union-attr]


def test_h03_a_planned_delete_that_comes_second_is_refused(world: World) -> None:
    """The edit beats the deletion."""
    one, two = world.begin({"f": "1", "stays": "s"})
    (one.root / "f").unlink()
    until_sent(one)
    two.write("f", "2")
    two.settle()
    one.pool.run_all()
    world.settle()
    world.all_hold({"f": "2", "stays": "s"})


def test_h05_a_store_that_says_409_is_asked_again_with_growing_waits(world: World) -> None:
    """Never by an unconditional PUT, and never in a tight loop."""
    one, _ = world.begin({"f": "1"})
    one.write("f", "2")
    world.faults = lambda _who, verb, key: Fault(Stale("409")) if (verb, key) == ("PUT", "f") else None
    one.look()
    for _ in range(600):
        one.step(0.1)
    assert 3 <= world.counts["A"]["PUT"] <= 8
    assert world.objects() == {"f": "1"}
    world.faults = lambda _who, _verb, _key: None
    world.settle()
    world.all_hold({"f": "2"})


def test_l02_a_failing_upload_waits_longer_each_time_and_is_reported(world: World) -> None:
    """Its problem is shown after some tries, and gone once it succeeds."""
    one, _ = world.begin({"f": "1"})
    one.write("f", "2")
    world.faults = lambda _who, verb, key: Fault(Transient("500")) if (verb, key) == ("PUT", "f") else None
    one.look()
    for _ in range(900):
        one.step(0.1)
    assert 4 <= world.counts["A"]["PUT"] <= 7
    assert list(one.problems()) == ["f"]
    world.faults = lambda _who, _verb, _key: None
    world.settle()
    world.all_hold({"f": "2"})
    assert one.problems() == {}


class _Careless:
    """A store that accepts conditions and ignores them."""

    def __init__(self, inner: Bucket) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def put(self, key: str, body: object, *, replaces: object, meta: dict[str, str], **more: object) -> object:
        found = self._inner.head(key)
        return self._inner.put(key, body, replaces=found.version if found else None, meta=meta, **more)  # type: ignore[arg-type]


def test_h06_a_store_that_ignores_conditions_is_not_used(tmp_path: Path) -> None:
    """Nothing of the project is written, and the message says why."""
    world = World(tmp_path)
    one = world.device("A")
    plain = one.make_bucket
    one.make_bucket = lambda: _Careless(plain())  # type: ignore[assignment,return-value]
    one.restart()
    one.write("f", "1")
    for _ in range(5):
        one.step(1.0)
    assert one.engine.trouble is not None
    assert one.engine.trouble.code == "unsafe-store"
    assert world.objects() == {}


def test_h08_the_same_bytes_sent_again_are_adopted(world: World) -> None:
    """Another version with the digest that base has: no GET."""
    one, two = world.begin({"f": "1"})
    bucket = world.store.client()
    info = bucket.head("f")
    assert info is not None
    meta = {**info.meta, "dorky-op": "0123456789abcdef" * 2}
    with bucket.get("f") as reading:
        data = b"".join(reading)
    from dorkyd.news import Bytes

    bucket.put("f", Bytes(data), replaces=info.version, meta=meta)
    world.settle()
    world.all_hold({"f": "1"})
    assert world.moved() == {}
    assert one.trashed() == two.trashed() == []


def test_h09_a_plain_overwrite_by_another_tool_arrives(world: World) -> None:
    """Without metadata or news: the listing shows it, the digest is computed on the way down."""
    world.begin({"f": "1"})
    world.put("f", "new")
    world.settle()
    world.all_hold({"f": "new"})
    assert world.moved() == {"GET": 2}


def test_h10_a_wrong_clock_decides_nothing(world: World) -> None:
    """Three days ahead, an edit conflicts as any other."""
    one, two = world.begin({"f": "1"})
    one.clock.wall_ns += 3 * 86_400 * 10**9
    one.write("f", "a")
    two.write("f", "b")
    for device in (two, one):
        device.settle()
    world.settle()
    assert one.tree() == two.tree() == world.objects()
    assert one.read("f") == "b"
    assert sorted(one.tree().values()) == ["a", "b"]


class _Slow:
    """A connection that breaks before the store did what it was asked; `land` lets it happen after all."""

    def __init__(self, inner: Bucket, verb: str) -> None:
        self._inner, self._verb = inner, verb
        self.land: Callable[[], object] | None = None

    def __getattr__(self, name: str) -> object:
        found = getattr(self._inner, name)
        if name != self._verb or self.land is not None:
            return found

        def call(key: str, *args: object, **kwargs: object) -> object:
            if key.startswith(".dorky/"):
                return found(key, *args, **kwargs)
            if args:
                from dorkyd.news import Bytes

                with args[0].open() as stream:  # type: ignore[attr-defined]
                    args = (Bytes(stream.read()),)
            self.land = lambda: found(key, *args, **kwargs)
            raise Transient("timed out")

        return call


def slow(device: Device, verb: str) -> list[_Slow]:
    """The device's next such request hangs."""
    made: list[_Slow] = []
    plain = device.make_bucket

    def bucket() -> Bucket:
        made.append(_Slow(plain(), verb))
        return made[-1]  # type: ignore[return-value]

    device.make_bucket = bucket
    device.restart()
    return made


def hang(device: Device, made: list[_Slow]) -> Callable[[], object]:
    """Work until the request hangs and was looked for; what was decided next is not sent yet."""
    device.look()
    for _ in range(40):
        device.clock.advance(0.25)
        device.engine.run_due(device.clock.monotonic())
        dropped = device.journal._conn.execute("SELECT count(*) FROM intents WHERE state = 'dropped'").fetchone()[0]
        if dropped and made[-1].land is not None:
            return made[-1].land
        device.pool.run_all()
    raise AssertionError


def test_a_put_that_lands_after_it_was_looked_for_is_known_again(world: World) -> None:
    """Edited again meanwhile and waiting for its turn: the late object is our own past, not a conflict."""
    one, _ = world.begin({"stays": "s"})
    made = slow(one, "put")
    one.write("f", "1")
    land = hang(one, made)
    one.write("f", "2")
    one.pool.run_all()
    land()
    world.settle()
    world.all_hold({"f": "2", "stays": "s"})


def test_a_put_that_lands_late_over_a_revert_is_reverted(world: World) -> None:
    """The person went back before it landed."""
    one, _ = world.begin({"f": "1"})
    made = slow(one, "put")
    one.write("f", "2")
    land = hang(one, made)
    one.write("f", "1")
    one.settle()
    land()
    world.settle()
    world.all_hold({"f": "1"})


def test_a_put_that_lands_late_does_not_bring_a_deleted_file_back(world: World) -> None:
    """The person deleted the file before it landed, and a listing finds it: known as ours by the reply of its GET."""
    one, _ = world.begin({"stays": "s"})
    made = slow(one, "put")
    one.write("f", "1")
    land = hang(one, made)
    (one.root / "f").unlink()
    one.pool.jobs.clear()
    one.restart()
    one.settle()
    land()
    world.settle()
    world.all_hold({"stays": "s"})


def test_a_delete_that_lands_after_the_file_was_brought_back_deletes_nothing(world: World) -> None:
    """The person undid the deletion before it landed: the file stays, on both devices."""
    one, _ = world.begin({"f": "1", "stays": "s"})
    made = slow(one, "delete")
    (one.root / "f").unlink()
    land = hang(one, made)
    one.write("f", "1")
    one.settle()
    land()
    world.settle()
    world.all_hold({"f": "1", "stays": "s"})


def test_a_file_becomes_a_folder_that_holds_its_bytes(world: World) -> None:
    """`mv d/b t; mkdir d/b; mv t d/b/x`: no rename can do that in one step, so the halves go one after the other."""
    one, _ = world.begin({"d/b": "1", "stays": "s"})
    (one.root / "d" / "b").unlink()
    one.write("d/b/x", "1")
    world.settle()
    world.all_hold({"d/b/x": "1", "stays": "s"})
    (one.root / "d" / "b" / "x").unlink()
    (one.root / "d" / "b").rmdir()
    one.write("d/b", "1")
    world.settle()
    world.all_hold({"d/b": "1", "stays": "s"})


def test_a_file_moves_to_where_the_other_device_has_an_empty_folder(world: World) -> None:
    """An empty folder, and one that holds only such, gives way."""
    one, two = world.begin({"a": "1", "stays": "s"})
    (two.root / "b" / "y").mkdir(parents=True)
    (one.root / "a").rename(one.root / "b")
    world.settle()
    world.all_hold({"b": "1", "stays": "s"})
    assert world.moved("B") == {}


def test_nothing_steps_aside_for_our_own_write_whose_reply_was_lost(world: World) -> None:
    """A listing shows the object before it was looked at: still ours, and leaving, not a folder's rival."""
    one, _ = world.begin({"stays": "s"})
    left = [Fault(Transient("lost"), "after")]
    world.faults = lambda _who, verb, key: left.pop() if (verb, key) == ("PUT", "c") and left else None
    one.write("c", "1")
    until_sent(one)
    one.pool.run_all()
    (one.root / "c").unlink()
    one.write("c/x", "2")
    world.settle()
    world.all_hold({"c/x": "2", "stays": "s"})


def test_a_put_that_lands_late_below_a_file_of_its_folders_name(world: World) -> None:
    """The folder became a file before it landed: the device that sent it knows it for its own, and takes it back."""
    one, _ = world.begin({"stays": "s"})
    made = slow(one, "put")
    one.write("d/b", "1")
    land = hang(one, made)
    (one.root / "d" / "b").unlink()
    (one.root / "d").rmdir()
    one.write("d", "2")
    one.pool.jobs.clear()
    one.restart()
    one.settle()
    land()
    world.settle()
    world.all_hold({"d": "2", "stays": "s"})
    assert [device.problems() for device in world.devices] == [{}, {}]


def test_nothing_steps_aside_for_our_own_put_that_lands_late(world: World) -> None:
    """The file became a folder before it landed. While its deletion waits a listing shows another state of it: that is no
    reason to rename the folder.
    """
    one, _ = world.begin({"d": "0", "stays": "s"})
    made = slow(one, "put")
    one.write("d", "1")
    land = hang(one, made)
    (one.root / "d").unlink()
    one.write("d/b", "2")
    one.pool.jobs.clear()
    one.restart()
    one.look()
    for _ in range(20):
        one.step(0.1)
        if Standing(one.engine).deletions:
            break
    assert [action.path for action in Standing(one.engine).deletions] == ["d"]
    land()
    world.settle()
    world.all_hold({"d/b": "2", "stays": "s"})
