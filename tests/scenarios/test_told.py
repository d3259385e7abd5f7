"""What a project in the daemon tells is of the moment: whoever was told that a sync is over may go by the status."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dorkyd.buckets.limits import Limits, Pair
from dorkyd.buckets.memory import MemoryBucket
from dorkyd.core.artifact import Condition
from dorkyd.core.report import State
from dorkyd.errors import Refused, Transient
from dorkyd.project import ProjectRunner
from tests.devices import Device, World
from tests.threaded import ThreadedDevice

DEADLINE_S = 60.0


@pytest.fixture
def pair(quick_path: Path) -> Iterator[tuple[ThreadedDevice, ThreadedDevice]]:
    """Devices in sync over one bucket."""
    store = MemoryBucket()
    devices = [ThreadedDevice(quick_path, name, lambda _: store.client()) for name in "ab"]
    try:
        for device in devices:
            device.start()
            device.sync()
        yield devices[0], devices[1]
    finally:
        for device in devices:
            device.stop()


def _store(device: ThreadedDevice, path: str, text: bytes, batch: str) -> None:
    artifacts = device.runner.artifacts
    body = artifacts.incoming()
    body.write(text)
    artifacts.put(path, body, Condition(), own=None, media_type=None, key=None, batch=batch)


def test_half_of_a_batch_is_no_agreement(pair: tuple[ThreadedDevice, ThreadedDevice]) -> None:
    """A sync that has to leave out files of an atomic batch says so, and so does the state; once it is complete they are
    there when the sync is over.
    """
    one, two = pair
    batch = one.runner.artifacts.begin_batch()
    _store(one, "d/a", b"a", batch)
    result = two.runner.sync(wait=True, timeout_s=DEADLINE_S)
    assert not result.converged
    assert "atomic batch" in result.detail
    assert two.status().state is State.SYNCING
    assert two.tree() == {}
    _store(one, "d/b", b"b", batch)
    one.runner.artifacts.commit_batch(batch)
    two.sync()
    assert {path: content for path, (content, _, _) in two.tree().items()} == {"d/a": b"a", "d/b": b"b"}
    assert two.status().state is State.IN_SYNC


def _runner(device: Device) -> ProjectRunner:
    """Of a device that is driven step by step."""
    return ProjectRunner(device.engine, lambda _status: None, Limits(Pair(), Pair()))


@pytest.mark.parametrize(
    "ask",
    [
        lambda runner: runner.files("", "", 10, remote=True).items,
        lambda runner: runner.artifacts.list("", "", 10, {}),
        lambda runner: runner.why("f"),
        lambda runner: runner.conflicts(),
        lambda runner: runner.problems(),
        lambda runner: runner.past.trash("folder", None),
        lambda runner: runner.past.undo(dry_run=True),
    ],
)
def test_what_is_not_open_is_not_empty(quick_path: Path, ask: Callable[[ProjectRunner], object]) -> None:
    """While a project is opened, or its folder is away, nobody is told that it holds nothing."""
    world = World(quick_path)
    one = world.device("one")
    one.write("f", "1")
    one.settle()
    one.restart()
    with pytest.raises(Transient, match="being opened"):
        ask(_runner(one))
    away = one.root.rename(one.root.with_name("away"))
    one.step()
    with pytest.raises(Refused, match="root-missing"):
        ask(_runner(one))
    away.rename(one.root)
    one.settle()
    assert [item.path for item in _runner(one).files("", "", 10, remote=True).items] == ["f"]
