"""A frozen project: nothing leaves before it is released, and then all of it together, whoever dies meanwhile."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path as FilePath

import pytest

from dorkyd import freezing, jobs
from dorkyd.buckets.memory import Fault
from dorkyd.core import metadata
from dorkyd.core.artifact import Remove
from dorkyd.core.batches import OPEN_S, WAIT_S
from dorkyd.core.model import Path
from dorkyd.core.report import Thawed
from dorkyd.errors import Refused, Transient
from dorkyd.freeze_desk import FreezeDesk
from dorkyd.local_side import LocalSide
from dorkyd.standing import Standing
from tests.devices import Device, Kill, World, trap_commits
from tests.scenarios.test_artifacts import ask, no_leftovers, version_of
from tests.scenarios.test_batches import MEMBERS, NEW, OLD, make, steps, whole

STRIDE = 5
"""Every so many steps a device is killed."""


@pytest.fixture
def world(quick_path: FilePath) -> World:
    """Devices A and B."""
    return make(quick_path, "A", "B")


def freeze(device: Device, *, lease_s: float = 30.0, limit_s: float = 3600.0) -> None:
    """A job begins."""
    device.engine.ready().freezing.freeze("job", "a job", lease_s, limit_s)


def release(device: Device) -> Thawed:
    """It is done; go on until all of it is told of."""
    for _ in range(100):
        done = device.engine.ready().freezing.release("job")
        if done is not None:
            return done
        device.step(0.5)
    raise AssertionError("it never went")


def write(device: Device) -> None:
    """What the job writes."""
    for path in MEMBERS:
        device.write(path, NEW[path])


def quiet(world: World, device: Device, seconds: float = 20.0) -> None:
    """Time passes, and nothing of the device's reaches the bucket."""
    before = world.objects()
    device.look()
    for _ in steps(device, seconds, 5):
        device.engine.ready().freezing.renew("job")
        assert world.objects() == before


def test_all_of_it_together(world: World) -> None:
    """Nothing leaves while it is frozen; then the other folder has all of it or none, at every step."""
    one, two = world.devices
    freeze(one)
    write(one)
    quiet(world, one)
    done = release(one)
    assert done.changes == len(MEMBERS)
    assert len(done.batches) == 1
    two.look(whole=False)
    for _ in steps(two, 20):
        whole(two)
    assert whole(two)
    assert no_leftovers(one, two)
    assert Standing(one.engine).frozen is None


def test_what_was_written_last_is_of_it(world: World) -> None:
    """A file that nobody looked at before the release goes with the others."""
    one, two = world.devices
    freeze(one)
    for path in MEMBERS[:-1]:
        one.write(path, NEW[path])
    one.look()
    one.step(1)
    one.write(MEMBERS[-1], NEW[MEMBERS[-1]])
    assert release(one).changes == len(MEMBERS)
    two.look(whole=False)
    for _ in steps(two, 20):
        whole(two)
    assert whole(two)


def test_every_kind_of_change_waits(world: World) -> None:
    """Deletions, moves and permission bits too; what comes from the bucket comes."""
    one, two = world.devices
    freeze(one)
    (one.root / "d" / "a").unlink()
    (one.root / "d" / "b").rename(one.root / "moved")
    (one.root / "other").chmod(0o600)
    quiet(world, one)
    two.write("theirs", "t")
    two.settle()
    one.look()
    one.settle()
    assert one.read("theirs") == "t"
    world.forget()
    assert release(one).batches == ()
    world.settle()
    world.all_hold({"moved": "b1", "other": "o", "theirs": "t"})
    assert world.moved("A").get("PUT", 0) == 0, "a move sends no bytes"
    assert two.modes()["other"] == 0o600


def test_the_holder_died(world: World) -> None:
    """It is released once its lease is over, and no sooner."""
    one, two = world.devices
    freeze(one, lease_s=10)
    write(one)
    one.look()
    for _ in steps(one, 9):
        assert world.objects() == OLD
    for _ in steps(one, 20):
        pass
    world.settle()
    assert whole(two)
    with pytest.raises(Refused, match="over"):
        one.engine.ready().freezing.renew("job")


def test_it_lasts_no_longer_than_it_may(world: World) -> None:
    """However faithfully it is renewed."""
    one, two = world.devices
    freeze(one, limit_s=40)
    write(one)
    quiet(world, one, 35)
    for _ in steps(one, 20):
        pass
    world.settle()
    assert whole(two)


def test_a_daemon_that_is_started_anew(world: World) -> None:
    """It holds on; the holder goes on renewing, and releases."""
    one, two = world.devices
    freeze(one)
    write(one)
    one.look()
    one.step(1)
    one.kill()
    one.restart()
    one.step(1)
    quiet(world, one)
    assert release(one).changes == len(MEMBERS)
    world.settle()
    assert whole(two)


def test_a_daemon_that_is_started_anew_and_nobody_comes(world: World) -> None:
    """The lease is over by itself."""
    one, two = world.devices
    freeze(one)
    write(one)
    one.look()
    one.kill()
    one.restart()
    for _ in steps(one, 25):
        assert world.objects() == OLD
    for _ in steps(one, 30):
        pass
    world.settle()
    assert whole(two)


def test_a_freeze_that_another_version_wrote(world: World) -> None:
    """It is over, and the project goes on."""
    one, two = world.devices
    freeze(one)
    write(one)
    one.look()
    with one.journal.atomic():
        one.journal.put("freeze", '{"name": "job", "colour": "blue"}')
    one.kill()
    one.restart()
    world.settle()
    assert whole(two)
    with pytest.raises(Refused, match="over"):
        FreezeDesk(one.engine).renew("job")


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_step_of_the_release(
    quick_path: FilePath, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    """Nothing is lost and all of it goes: together where the daemon lives, file by file where it died."""
    for step in range(1 + after, 200, STRIDE):
        world = make(quick_path / f"{step}", "A", "B")
        one, two = world.devices
        with monkeypatch.context() as patched:
            trap_commits(patched, {"A": one.trap})
            one.trap.set(step, after=after)
            killed = False
            try:
                freeze(one)
                write(one)
                one.look()
                one.step(1)
                release(one)
            except Kill:
                killed = True
        two.look()
        for _ in steps(two, 4):
            whole(two)
        one.restart()
        for _ in steps(one, 100, 5):
            pass
        for device in (one, two):
            device.clock.advance(WAIT_S)
        world.settle()
        world.all_hold(NEW if whole(one) else OLD)
        assert no_leftovers(one, two), one.trap.calls
        if not killed:
            break
    else:
        raise AssertionError("it never ended")


def test_a_teammate_edits_one_of_them(world: World) -> None:
    """The teammate's edit arrives at once and the job's becomes a conflict copy, which waits with the others."""
    one, two = world.devices
    freeze(one)
    write(one)
    one.look()
    one.step(1)
    two.write("d/a", "theirs")
    two.settle()
    one.look()
    one.settle()
    assert one.read("d/a") == "theirs"
    copies = [path for path in one.tree() if "conflict" in path]
    assert len(copies) == 1
    assert not set(copies) & set(world.objects())
    release(one)
    world.settle()
    world.all_hold({"d/a": "theirs", "d/b": "b2", "d/c": "c2", "other": "o", copies[0]: "a2"})


def test_clients_are_refused(world: World) -> None:
    """What a client stores would leave at once."""
    one, _ = world.devices
    freeze(one)
    with pytest.raises(Refused, match="frozen by a job"):
        ask(one, Remove(Path("other"), version_of(world, "other")))
    with pytest.raises(Refused, match="frozen by a job"):
        one.engine.ready().freezing.freeze("second", "another job", 30, 60)
    with pytest.raises(Refused, match="lease"):
        one.engine.ready().freezing.freeze("job2", "another job", 0.1, 60)
    release(one)
    assert ask(one, Remove(Path("other"), version_of(world, "other"))).exception() is None


def test_a_member_that_cannot_be_sent(world: World) -> None:
    """The others do not wait for it."""
    one, two = world.devices
    freeze(one)
    write(one)
    one.look()
    one.step(1)
    (one.root / "d" / "c").unlink()
    (one.root / "d" / "c").symlink_to("a")
    done = release(one)
    assert len(done.batches) == 1
    world.settle()
    assert two.tree() == {"d/a": "a2", "d/b": "b2", "other": "o"}


def offline(world: World, *, gone: bool) -> None:
    """No route to the bucket, or one again."""
    fault = Fault(Transient("no route to host", offline=True))
    world.faults = lambda _device, _verb, _key: fault if gone else None


def test_the_bucket_is_away_for_longer_than_the_lease(world: World) -> None:
    """Its holder lives and says so: the freeze is no shorter for it."""
    one, _ = world.devices
    freeze(one, lease_s=10)
    write(one)
    one.look()
    one.step(1)
    offline(world, gone=True)
    one.look()
    for _ in steps(one, 60, 5):
        FreezeDesk(one.engine).renew("job")
    assert one.engine.trouble is not None
    offline(world, gone=False)
    one.look()
    for _ in steps(one, 5, 1):
        assert world.objects() == OLD
    release(one)
    world.settle()
    world.all_hold(NEW)


def test_paused_for_longer_than_the_lease(world: World) -> None:
    """A person pauses the project while a job writes, and resumes it."""
    one, _ = world.devices
    freeze(one, lease_s=10)
    write(one)
    one.engine.pause(one.clock.time_ns() + int(60e9))
    for _ in steps(one, 50, 5):
        FreezeDesk(one.engine).renew("job")
    one.engine.pause(0)
    one.look()
    for _ in steps(one, 5, 1):
        assert world.objects() == OLD
    release(one)
    world.settle()
    world.all_hold(NEW)


def test_the_engine_is_busy_for_longer_than_the_lease(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its holder said meanwhile is heard before it is judged."""
    one, _ = world.devices
    freeze(one, lease_s=10)
    write(one)
    scan = LocalSide.scan
    said: list[Future[object]] = []

    def long(local: LocalSide, tree: Path | None, now: float) -> object:
        for _ in range(4):
            one.clock.advance(5)
            said.append(one.engine.call(lambda: FreezeDesk(one.engine).renew("job")))
        return scan(local, tree, now)

    monkeypatch.setattr(LocalSide, "scan", long)
    one.look()
    one.step(0.1)
    monkeypatch.undo()
    assert said
    for _ in steps(one, 5, 1):
        assert world.objects() == OLD
    assert [each.exception() for each in said] == [None] * len(said)
    assert one.engine.ready().freezing.frozen is not None


def test_a_batch_that_took_too_long_is_told_of_all_the_same(world: World) -> None:
    """What is sent in the very cycle that gives the batch up is of none, and announced like any change."""
    one, two = world.devices
    freeze(one)
    write(one)
    one.look()
    one.step(1)
    cut = [True]
    fault = Fault(Transient("connection reset"), "before")
    world.faults = lambda who, what, key: fault if cut[0] and (who, what, key) == ("A", "PUT", "d/c") else None
    one.engine.ready().freezing.release("job")
    for _ in steps(one, 30, 1):
        pass
    [(began, _)] = one.engine.opened.batches._open.values()  # type: ignore[union-attr]
    cut[0] = False
    one.step(began + OPEN_S - 0.1 - one.clock.monotonic())  # it is looked at
    one.step(0.2)  # given up, and sent
    one.settle()
    assert one.journal.batches.ours(_batch_of(world, "d/c") or "").written == 0, "it waits for nobody to be told of"
    two.look(whole=False)
    for _ in steps(two, 3):
        pass
    assert "d/c" in two.tree() or two.journal.remote(Path("d/c")) is not None, "the log told of it"
    for device in (one, two):
        device.clock.advance(WAIT_S)
    world.settle()
    world.all_hold(NEW)


def test_many_batches_on_a_slow_line(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its quarter of an hour from its own first write on: the last are not given up for the time of the first."""
    one, two = world.devices
    monkeypatch.setattr(freezing, "ENTRY_CHANGES", 2)
    monkeypatch.setattr(jobs, "IN_FLIGHT", 2)
    parts = {f"part-{number}": f"{number}" for number in range(8)}
    freeze(one)
    for path, text in parts.items():
        one.write(path, text)
    one.look()
    one.step(0.5)
    one.engine.ready().freezing.release("job")
    for _ in steps(one, 3, 0.5):
        pass
    for _ in steps(one, OPEN_S * 3, OPEN_S / 3):
        if (done := one.engine.ready().freezing.release("job")) is not None:
            break
    assert done is not None
    rows = [one.journal.batches.members(batch) for batch in done.batches]
    assert rows == [["part-0", "part-1"], ["part-2", "part-3"], ["part-4", "part-5"], ["part-6", "part-7"]]
    two.settle()
    assert {path: two.tree().get(path) for path in parts} == parts


def test_the_next_job_does_not_hold_back_what_the_last_one_wrote(world: World) -> None:
    """It begins when that is on its way no more: else two jobs that take turns let nothing go."""
    one, two = world.devices
    freeze(one)
    write(one)
    one.look()
    one.step(1)
    one.engine.ready().freezing.release("job")
    refused = 0
    for _ in range(100):
        try:
            one.engine.ready().freezing.freeze("second", "another job", 30, 60)
            break
        except Refused as exc:
            refused += exc.code == "frozen"
            one.step(0.1)
    assert refused
    assert one.engine.ready().freezing.frozen is not None
    for _ in steps(one, 5):
        FreezeDesk(one.engine).renew("second")
    assert one.engine.ready().freezing.release("job") is not None
    two.settle()
    assert whole(two)


@pytest.mark.parametrize("limit_s", [1.0, 1e9, float("inf"), float("nan")])
def test_a_limit_that_is_none_is_refused(world: World, limit_s: float) -> None:
    """As a mistake of whoever asked, not as one of ours."""
    with pytest.raises(Refused, match="limit") as caught:
        freeze(world.devices[0], limit_s=limit_s)
    assert caught.value.code == "bad-lease"


def _batch_of(world: World, key: str) -> str | None:
    info = world.store.client().head(key)
    return info.meta.get(metadata.BATCH) if info is not None else None
