"""A bucket in a directory whose disk is unmounted: its empty mount point, or another disk, stands in its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dorkyd.buckets.directory import DirectoryBucket
from dorkyd.core.report import HaltReason, State
from tests.devices import Device, end_all

THREE = {"f0": "0", "f1": "1", "f2": "2"}


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    yield
    end_all()


class Share:
    """The disk that the bucket is on."""

    def __init__(self, base: Path) -> None:
        self.base, self.root, self.away = base, base / "bucket", base / "away"
        self.root.mkdir()

    def device(self, name: str) -> Device:
        return Device(self.base, name, lambda: DirectoryBucket(self.root))

    def unmount(self) -> None:
        self.root.rename(self.away)
        self.root.mkdir()

    def mount(self) -> None:
        self.root.rename(self.base / "mount point")
        self.away.rename(self.root)

    def objects(self) -> dict[str, str]:
        return {each.name: each.read_text() for each in self.root.iterdir() if each.is_file()}


@pytest.fixture
def share(tmp_path: Path) -> Share:
    """Mounted, and empty."""
    return Share(tmp_path)


def _begin(share: Share) -> tuple[Device, Device]:
    a, b = share.device("a"), share.device("b")
    for path, text in THREE.items():
        a.write(path, text)
    for device in (a, b, a):
        device.settle()
    assert a.tree() == b.tree() == share.objects() == THREE
    return a, b


def _pass(device: Device, cycles: int = 40) -> None:
    """Time passes, and the folder is scanned again and again; the bucket is listed when that is due."""
    for _ in range(cycles):
        if device.engine.opened is not None:
            device.engine.opened.local.scan_due = device.clock.monotonic()
        device.step(1)


def test_what_is_saved_meanwhile_waits(share: Share) -> None:
    """Nothing is written into the mount point, where nobody would find it; all of it is sent when the disk is back."""
    a, b = _begin(share)
    share.unmount()
    a.write("new", "new")
    a.write("f1", "edited")
    (a.root / "f2").unlink()
    _pass(a)
    assert list(share.root.iterdir()) == []
    assert a.engine.held is None
    assert a.engine.trouble is not None
    assert a.engine.trouble.state is State.OFFLINE
    share.mount()
    for device in (a, b):
        _pass(device)
    assert a.engine.held is b.engine.held is None
    assert a.tree() == b.tree() == share.objects() == {"f0": "0", "f1": "edited", "new": "new"}


def test_another_disk_in_its_place(share: Share) -> None:
    """What another team's bucket holds does not come, and ours does not go there."""
    a, _ = _begin(share)
    share.unmount()
    other = Device(share.base, "other", lambda: DirectoryBucket(share.root))
    other.write("theirs", "theirs")
    other.settle()
    a.write("new", "new")
    _pass(a)
    assert a.tree() == {**THREE, "new": "new"}
    assert share.objects() == {"theirs": "theirs"}
    share.mount()
    _pass(a)
    assert a.tree() == share.objects() == {**THREE, "new": "new"}


@pytest.mark.parametrize("days", [0, 8])
def test_a_daemon_that_starts_before_the_disk_is_there(share: Share, days: int) -> None:
    """The halt ends by itself when the bucket is back: nobody need decide. Nor is the mount point proved to be a store."""
    a, b = _begin(share)
    a.clock.advance(days * 86_400)
    share.unmount()
    a.restart()
    a.write("new", "new")
    _pass(a)
    assert a.engine.held is not None
    assert a.engine.held.halt.reason is HaltReason.REMOTE_EMPTIED
    assert list(share.root.iterdir()) == []
    share.mount()
    for device in (a, b):
        _pass(device)
    assert a.engine.held is None
    assert a.tree() == b.tree() == share.objects() == {**THREE, "new": "new"}


def test_a_halt_stays_where_another_past_came_back(share: Share) -> None:
    """A document of ours in a bucket whose log this device has not read is no return: a person decides."""
    a, b = _begin(share)
    (share.root / ".dorky/project.json").rename(share.base / "document")
    a.restart()
    _pass(a)
    for entry in (share.root / ".dorky/log").iterdir():
        entry.unlink()
    (share.base / "document").rename(share.root / ".dorky/project.json")
    _pass(a)
    assert a.engine.held is not None
    assert a.engine.held.halt.reason is HaltReason.REMOTE_EMPTIED
    a.decisions.reject(a.engine.held.halt.token)
    a.settle()
    assert a.tree() == b.tree() == share.objects() == THREE
