"""Requests that clients repeat under one `Idempotency-Key`: done once, whatever was lost and wherever the daemon ended."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path as FilePath

import pytest

from dorkyd.artifacts import repeated
from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.core import metadata
from dorkyd.core.artifact import Remove, Store, from_text
from dorkyd.core.model import Op, Path
from dorkyd.engine import Engine
from dorkyd.errors import Refused, Stale, Transient
from dorkyd.news import Bytes
from dorkyd.repeats import LIVES_NS, Answered, Keyed
from dorkyd.storing import Stored
from tests.devices import Device, Kill, World, trap_commits

STEPS = 60
KEY = Keyed("8e03978e-40d5-43dd-bc93-6894a57f9324", "put f 2")


@pytest.fixture
def world(quick_path: FilePath) -> World:
    """Devices A and B over one bucket."""
    made = World(quick_path)
    made.device("A")
    made.device("B")
    return made


def put(world: World, device: Device, path: str = "f", text: str = "2", keyed: Keyed = KEY) -> Stored | Answered:
    """As a client's request goes: answered already, or looked at and written. Waits for what is under way."""
    for _ in range(STEPS):
        try:
            before = repeated(device.engine, keyed)
            if before is not None:
                return before
            there = world.store.client().head(path)
            data = text.encode()
            digest = metadata.sha256(hashlib.sha256(data).hexdigest())
            version = there.version if there is not None else None
            asked = Store(
                Path(path),
                device.clock.random_id(),
                digest,
                len(data),
                version,
                device.clock.time_ns(),
                None,
                {},
                None,
                data,
            )
            answer = device.engine.ready().asking.ask(asked, keyed)
        except (Transient, Stale):
            device.step(0.5)
            continue
        while not answer.done():
            device.step(0.1)
        try:
            found = answer.result()
        except (Transient, Stale):
            continue
        assert isinstance(found, Stored | Answered)
        return found
    raise AssertionError("it is never answered")


def ancestry(world: World, path: str) -> int:
    """How many writes an object remembers before its last."""
    info = world.store.client().head(path)
    assert info is not None
    return len(info.meta.get("dorky-ancestry", "").split())


def test_a_repeat_is_answered_from_memory(world: World) -> None:
    """The first answer comes again, with no request to the bucket; another request with the key is refused."""
    one, _ = world.begin({"f": "1"})
    first = put(world, one)
    assert isinstance(first, Stored)
    world.settle()
    world.forget()
    again = put(world, one)
    assert isinstance(again, Answered)
    assert from_text(again.text).version == first.info.version
    assert not again.creates
    assert world.moved() == {}
    with pytest.raises(Refused) as reused:
        repeated(one.engine, Keyed(KEY.key, "put f 3"))
    assert reused.value.code == "key-reused"
    one.restart()
    one.settle()
    assert isinstance(put(world, one), Answered)
    one.clock.wall_ns += LIVES_NS + 1
    assert repeated(one.engine, KEY) is None


def test_one_under_way(world: World) -> None:
    """A repeat that comes while the first is under way is told to wait."""
    one, _ = world.begin({})
    data = b"x"
    asked = Store(
        Path("g"), "0" * 32, metadata.sha256(hashlib.sha256(data).hexdigest()), 1, None, 0, None, {}, None, data
    )
    one.engine.ready().asking.ask(asked, KEY)
    with pytest.raises(Transient) as busy:
        repeated(one.engine, KEY)
    assert (busy.value.code, busy.value.retry_after_s) == ("key-in-use", 1)
    one.settle()
    assert repeated(one.engine, KEY) is not None


@pytest.mark.parametrize("when", ["before", "after"])
def test_nobody_knows_how_it_ended(world: World, when: str) -> None:
    """The reply is lost, and so is the look: the repeat finds out, and writes only when nothing was written."""
    one, _ = world.begin({"f": "1"})
    cut = ["PUT", "HEAD"]

    def faults(who: str, what: str, key: str) -> Fault | None:
        if who == "A" and key == "f" and cut and what == cut[0]:
            cut.pop(0)
            return Fault(Transient("connection reset"), when if what == "PUT" else "before")  # type: ignore[arg-type]
        return None

    # The look before the write is let through: only then the cuts begin.
    seen = 0

    def after_first_look(who: str, what: str, key: str) -> Fault | None:
        nonlocal seen
        seen += who == "A" and key == "f" and what == "HEAD"
        return faults(who, what, key) if seen >= 1 else None

    world.faults = after_first_look
    put(world, one)
    assert cut == []
    world.settle()
    world.all_hold({"f": "2"})
    assert ancestry(world, "f") == 1, "written once"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("path", ["f", "new"])
def test_killed_at_every_step(quick_path: FilePath, path: str, after: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the daemon ends, the repeat after its restart is answered, and the upload happened once."""
    repeated = set()
    for step in range(1, STEPS):
        world = World(quick_path / f"{step}")
        one, two = world.device("A"), world.device("B")
        world.begin({"f": "1"})
        with monkeypatch.context() as patched:
            trap_commits(patched, {"A": one.trap})
            one.trap.set(step, after=after)
            try:
                put(world, one, path)
                one.settle()
                killed = False
            except Kill:
                killed = True
        one.restart()
        one.settle()
        found = put(world, one, path)
        repeated.add(isinstance(found, Answered))
        world.settle()
        world.all_hold({"f": "1", "new": "2"} if path == "new" else {"f": "2"})
        assert ancestry(world, path) == (0 if path == "new" else 1), (step, one.trap.calls)
        assert two.tree() == one.tree()
        if not killed:
            break
    else:
        raise AssertionError("it never ended")
    assert repeated == {False, True}


def test_a_deletion_is_repeated(world: World) -> None:
    """The repeat of a deletion is a success, though there is nothing any more."""
    one, _ = world.begin({"f": "1", "g": "2"})
    there = world.store.client().head("f")
    assert there is not None
    answer = one.engine.ready().asking.ask(Remove(Path("f"), there.version), KEY)
    one.settle()
    assert answer.result() is True
    assert repeated(one.engine, KEY) == Answered("{}", False)


@pytest.mark.parametrize("known", [True, False])
def test_another_bucket(world: World, known: bool) -> None:
    """The project moves to another bucket: what was answered, or never known, of the former is not told of this one."""
    one, _ = world.begin({"f": "1"})
    if known:
        put(world, one)
    else:
        data = b"2"
        digest = metadata.sha256(hashlib.sha256(data).hexdigest())
        one.engine.ready().asking.ask(Store(Path("g"), "0" * 32, digest, 1, None, 0, None, {}, None, data), KEY)
    other = MemoryBucket()
    one.project = replace(one.project, bucket="mem://other")
    one.make_bucket = other.client
    one.restart()
    one.settle()
    assert repeated(one.engine, KEY) is None


def test_clients_that_ask_again_and_again_do_not_stop_sync(world: World) -> None:
    """Requests that come while others are answered wait for the next cycle: what they wait for happens in between."""
    one, _ = world.begin({"f": "1"})
    asked = 0

    def again() -> None:
        nonlocal asked
        asked += 1
        if asked < STEPS:
            Engine.call(one.engine, again)

    # As from another thread: the devices' own answers at once.
    Engine.call(one.engine, again)
    one.step(0.1)
    assert asked == 1
    one.step(0.1)
    assert asked == 2
    while asked < STEPS:
        one.step(0.1)


@pytest.mark.parametrize("condition", [None, "create"])
def test_a_teammate_overtakes_a_lost_reply(world: World, condition: str | None) -> None:
    """The reply is lost, a teammate replaces what was stored, and the store's library sends again and is refused: the write
    happened, so it is not done a second time over the teammate's, nor told as refused.
    """
    one, _ = world.begin({"f": "1"} if condition is None else {})
    steps = ["stored", "overtaken"]

    def faults(who: str, what: str, key: str) -> Fault | None:
        if who != "A" or key != "f":
            return None
        if what == "PUT" and steps[:1] == ["stored"]:
            steps.pop(0)
            return Fault(Stale("412 to what was sent again"), "after")
        if what == "HEAD" and steps == ["overtaken"]:
            steps.pop(0)
            store, was = world.store.client(), world.store.client().head("f")
            assert was is not None
            known = metadata.remote_of(was.version, was.size, was.modified, was.meta)
            meta = metadata.encode(
                digest=metadata.sha256(hashlib.sha256(b"3").hexdigest()), mtime_ns=None, mode=None, device="B",
                op=Op("b" * 32), ancestry=metadata.descend(known), user={},
            )  # fmt: skip
            store.put("f", Bytes(b"3"), replaces=was.version, meta=meta)
        return None

    world.faults = faults
    done = put(world, one)
    assert steps == []
    assert isinstance(done, Answered)
    assert done.creates == (condition == "create")
    world.settle()
    world.all_hold({"f": "3"})
