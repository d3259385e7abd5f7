"""Scenario group L: requests that fail, bytes that arrive damaged, and a network that goes and comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.core.model import Version
from dorkyd.errors import Denied, Transient
from dorkyd.ports import Bucket, ObjectInfo, Reading
from tests.devices import Device, World


@pytest.fixture
def world(quick_path: Path) -> World:
    """Devices A and B over one bucket."""
    made = World(quick_path)
    made.device("A")
    made.device("B")
    return made


def steps(device: Device, seconds: float) -> None:
    """So much time passes."""
    for _ in range(round(seconds * 10)):
        device.step(0.1)


def test_l02_an_edit_ends_the_wait(world: World) -> None:
    """What failed again and again is tried at once when the file changes, and then waits briefly again."""
    one, two = world.begin({"f": "1"})
    one.watching = True
    one.restart()
    one.settle()
    world.forget()
    world.faults = lambda _who, verb, key: Fault(Transient("500")) if (verb, key) == ("PUT", "f") else None
    one.write("f", "2")
    one.watchers[-1].saw("f")
    steps(one, 10)
    before = world.counts["A"]["PUT"]
    assert before >= 3
    steps(one, 3)
    assert world.counts["A"]["PUT"] == before, "it still waits"
    one.write("f", "3")
    one.watchers[-1].saw("f")
    steps(one, 0.5)
    assert world.counts["A"]["PUT"] == before + 1
    steps(one, 4)
    assert world.counts["A"]["PUT"] == before + 3, "after one second, and after two"
    world.faults = lambda _who, _verb, _key: None
    steps(one, 20)
    assert world.objects() == {"f": "3"}
    assert one.problems() == {}
    two.settle()
    assert two.read("f") == "3"


@dataclass
class _Damaged:
    """An open download whose first byte is another than was sent."""

    inner: Reading
    wrong: int

    @property
    def info(self) -> ObjectInfo:
        return self.inner.info

    def __iter__(self) -> Iterator[bytes]:
        for n, chunk in enumerate(self.inner):
            yield bytes([self.wrong]) + chunk[1:] if n == 0 else chunk


class _BadLine:
    """A bucket behind a line that damages the bodies of objects while `bad`, never twice in the same way; or the first so
    many, `equally`.
    """

    def __init__(self, inner: Bucket, *, equally: int = 0) -> None:
        self._inner = inner
        self.equally = equally
        self.bad = True
        self.damaged = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    @contextmanager
    def get(
        self, key: str, *, if_match: Version | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[Reading]:
        with self._inner.get(key, if_match=if_match, start=start, stop=stop) as reading:
            if not self.bad or (self.equally and self.damaged == self.equally):
                yield reading
                return
            self.damaged += 1
            yield _Damaged(reading, 128 if self.equally else 128 + self.damaged % 100)


def test_l06_bytes_damaged_on_the_way_are_never_installed(world: World) -> None:
    """The old file stays, the fetch is tried again, and nothing damaged reaches folder, trash or bucket."""
    one, two = world.begin({"f": "old"})
    plain = two.make_bucket
    line = _BadLine(plain())
    two.make_bucket = lambda: line  # type: ignore[assignment,return-value]
    two.restart()
    one.write("f", "new")
    one.settle()
    two.look()
    steps(two, 40)
    assert line.damaged >= 4
    assert two.tree() == {"f": "old"}
    assert two.problems() == {"f": "damaged-in-transit"}
    line.bad = False
    world.settle()
    world.all_hold({"f": "new"})
    assert two.trashed() == ["old"]
    assert two.problems() == {}
    assert world.moved("B").keys() == {"GET"}


@pytest.mark.parametrize("etags", [True, False])
def test_l06_the_same_damage_twice_is_still_damage(quick_path: Path, etags: bool) -> None:
    """A line that changes the same byte of two bodies in the same way does not make them what the object holds."""
    world = World(quick_path, MemoryBucket(etags=etags))
    world.device("A")
    world.device("B")
    one, two = world.begin({"f": "old"})
    plain = two.make_bucket
    line = _BadLine(plain(), equally=3)
    two.make_bucket = lambda: line  # type: ignore[assignment,return-value]
    two.restart()
    one.write("f", "new")
    one.settle()
    world.settle()
    assert line.damaged == 3
    world.all_hold({"f": "new"})
    assert two.trashed() == ["old"]


@pytest.mark.parametrize("who", ["A", "B"])
def test_l08_the_network_goes_midway(world: World, who: str) -> None:
    """Hundreds of files, half of them moved when it goes: the rest follow when it is back, and none moves twice."""
    one, two = world.begin({"stays": "s"})
    device, verb = (one, "PUT") if who == "A" else (two, "GET")
    files = {f"d{n % 10}/f{n}": f"{n}" for n in range(400)}
    for path, text in files.items():
        one.write(path, text)
    if device is two:
        one.settle()
    let_through: Counter[str] = Counter()
    online = True

    def fault(name: str, asked: str, key: str) -> Fault | None:
        nonlocal online
        online &= let_through.total() < 200
        if name == who and not online:
            return Fault(Transient("no route to host", offline=True))
        if name == who and asked == verb and key in files:
            let_through[key] += 1
        return None

    world.faults = fault
    device.look()
    steps(device, 30)
    assert not online
    assert device.engine.trouble is not None
    assert let_through.total() == 200
    world.faults = lambda name, asked, key: let_through.update(
        [key] if name == who and asked == verb and key in files else []
    )
    world.settle()
    world.all_hold({**files, "stays": "s"})
    assert let_through == dict.fromkeys(files, 1)


def test_what_is_refused_again_and_again_is_kept_once(quick_path: Path) -> None:
    """One key is denied, or the store is full: what is not replaced after all does not fill the bucket's trash with copies of
    itself, which would push out what others replaced. A copy serves for hours, not for ever.
    """
    clock = [1_700_000_000]
    world = World(quick_path, MemoryBucket(seconds=lambda: clock[0]))
    one, two = world.device("A"), world.device("B")
    world.begin({"f": "1", "g": "1"})
    world.faults = lambda _who, verb, key: Fault(Denied("403")) if (verb, key) in REFUSED else None
    one.write("f", "2")
    (one.root / "g").unlink()
    for _ in range(5):
        one.look()
        steps(one, 60)
    assert min(world.counts["A"]["PUT"], world.counts["A"]["DELETE"]) >= 5, "it was tried that often"
    assert world.bucket_trash() == ["1", "1"]
    clock[0] += 7 * 3600
    one.clock.advance(7 * 3600)
    one.look()
    steps(one, 60)
    assert world.bucket_trash() == ["1"] * 4
    world.faults = lambda _who, _verb, _key: None
    one.look()
    steps(one, 60)
    world.settle()
    assert two.tree() == world.objects() == {"f": "2"}
    assert world.bucket_trash() == ["1"] * 4


REFUSED = {("PUT", "f"), ("DELETE", "g")}
