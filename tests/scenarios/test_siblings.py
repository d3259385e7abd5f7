"""Whose a table beside its original is, with several devices and whatever people do: devices in this process, a converter that
repeats what it was given.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, cast

import pytest

from dorkyd.artifacts import Artifacts
from dorkyd.core.settings import Converting
from dorkyd.tables.shortfalls import KEPT
from dorkyd.tables.sidecar import Sidecar
from dorkyd.tables.supervisor import Workshop
from tests.devices import Device, World


@dataclass
class Shop:
    """Makes tables that say of what and how they were made."""

    made: int = 0

    def do(self, request: dict[str, Any], files: list[int], *, key: str) -> dict[str, Any]:
        """One."""
        del key
        self.made += 1
        data = os.pread(files[0], 1024, 0)
        table = f"{data.decode()} as {request['asked']['encoding']}".encode()
        os.pwrite(files[1], table, 0)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        return {"rows": 1, "rejects": 0, "size": len(table), "digest": digest}


class Converter:
    """A device's, that does what is due when it is told."""

    def __init__(self, device: Device) -> None:
        self.device, self.shop = device, Shop()
        self.sidecar = Sidecar(device.engine, Artifacts.of(device.engine), cast("Workshop", self.shop))
        call = device.engine.call

        def answered(request: Callable[[], object]) -> Future[object]:
            called = call(request)
            answer = None if called.exception() else called.result()
            while isinstance(answer, Future) and not answer.done():
                device.step(0.1)
            return called

        device.engine.call = answered  # type: ignore[method-assign]

    def round(self) -> None:
        """Sync, look at what history tells, do all of it, and sync."""
        self.device.settle()
        self.sidecar._hear()
        for path in list(self.sidecar._todo):
            del self.sidecar._todo[path]
            self.sidecar._one(path)
        self.device.settle()

    def told(self) -> list[str]:
        """What the status says."""
        return [f"{each.code}: {each.detail}" for each in self.sidecar.notices]


def rest(world: World, *converters: Converter) -> None:
    """Let all do what there is to do."""
    before: object = None
    for _ in range(6):
        for converter in converters:
            converter.round()
        now = world.ops()
        if now == before:
            return
        before = now
    raise AssertionError("they do not come to rest")


@pytest.fixture
def world(quick_path: FilePath) -> World:
    """Device A reads Latin-1, B what is usual."""
    made = World(quick_path)
    made.device("A", convert=(Converting("*.csv", encoding="latin-1"),))
    made.device("B", convert=(Converting("*.csv"),))
    return made


def test_two_that_want_it_otherwise_do_not_fight(world: World) -> None:
    """Each makes it once, the one that is replaced yields and says so, also over a restart; every round of a fight would put a
    table into the trash, until nothing else is left in that.
    """
    a, b = Converter(world.devices[0]), Converter(world.devices[1])
    world.begin({"x.csv": "1"})
    rest(world, a, b)
    assert world.objects() == {"x.csv": "1", "x.parquet": "1 as utf-8"}
    assert (a.shop.made, b.shop.made) == (1, 1)
    assert a.told() == [
        "convert-differs: x.csv: x.parquet was made of it by another device in another manner, and is left as it is"
    ]
    assert b.told() == []
    a.device.restart()
    again = Converter(a.device)
    rest(world, again, b)
    assert (again.shop.made, b.shop.made) == (0, 1)
    assert again.told() == a.told()
    b.device.write("x.csv", "2")
    rest(world, again, b)
    assert (again.shop.made, b.shop.made) == (1, 2)
    assert (again.told(), [text.partition(":")[0] for text in b.told()]) == ([], ["convert-differs"])
    assert sorted(world.bucket_trash()) == ["1", "1 as latin-1", "1 as utf-8", "2 as utf-8"]


def test_who_yielded_makes_it_when_it_is_gone(world: World) -> None:
    """Which is what its person is told to do."""
    a, b = Converter(world.devices[0]), Converter(world.devices[1])
    world.begin({"x.csv": "1"})
    rest(world, a, b)
    (a.device.root / "x.parquet").unlink()
    rest(world, a, b)
    assert world.objects() == {"x.csv": "1", "x.parquet": "1 as latin-1"}
    assert (a.told(), [text.partition(":")[0] for text in b.told()]) == ([], ["convert-differs"])


def test_settings_that_are_changed_and_changed_back(world: World) -> None:
    """A device alone obeys them each time."""
    (one, _) = world.devices
    a = Converter(one)
    world.begin({"x.csv": "1"})
    rest(world, a)
    for encoding in ("utf-8", "latin-1"):
        object.__setattr__(one.engine.project, "convert", (Converting("*.csv", encoding=encoding),))
        a.sidecar._rules = a.sidecar._rules.of(one.engine.project.convert)
        a.sidecar._seq = None
        rest(world, a)
        assert one.tree()["x.parquet"] == f"1 as {encoding}"
    assert a.told() == []


def test_a_table_that_came_back_with_its_original(world: World) -> None:
    """By a checkout: it is what is made of that, and follows it from there on."""
    _, one = world.devices
    b = Converter(one)
    world.begin({"x.csv": "1"})
    rest(world, b)
    first = one.commits.commit("first")
    one.write("x.csv", "2")
    rest(world, b)
    assert world.objects() == {"x.csv": "2", "x.parquet": "2 as utf-8"}
    one.checkout.checkout(first.named.id)
    rest(world, b)
    assert world.objects() == {"x.csv": "1", "x.parquet": "1 as utf-8"}
    assert b.told() == []
    one.write("x.csv", "3")
    rest(world, b)
    assert world.objects() == {"x.csv": "3", "x.parquet": "3 as utf-8"}
    assert b.told() == []


def test_a_table_that_a_person_changed_stays_whatever_comes(world: World) -> None:
    """Of the same original and of later ones; each is compared once."""
    _, one = world.devices
    b = Converter(one)
    world.begin({"x.csv": "1"})
    rest(world, b)
    one.write("x.parquet", "mine")
    rest(world, b)
    one.write("x.csv", "2")
    rest(world, b)
    assert world.objects() == {"x.csv": "2", "x.parquet": "mine"}
    assert b.shop.made == 3
    assert b.told() == ["convert-taken: x.csv: x.parquet is not what was made of it, and is left as it is"]
    (one.root / "x.parquet").unlink()
    rest(world, b)
    assert world.objects() == {"x.csv": "2", "x.parquet": "2 as utf-8"}
    assert b.told() == []


@pytest.mark.parametrize("kept", ["[]", "{", '{"x.csv": {"words": "of another version"}}', '{"x.csv": 1}'])
def test_words_of_another_version(world: World, kept: str) -> None:
    """They keep nothing from being converted."""
    _, one = world.devices
    world.begin({"x.csv": "1"})
    with one.journal.atomic():
        one.journal.put(KEPT, kept)
    rest(world, Converter(one))
    assert world.objects() == {"x.csv": "1", "x.parquet": "1 as utf-8"}


def test_a_journal_that_is_begun_anew(world: World) -> None:
    """While the converter lives: its history has lower numbers, and is heard all the same."""
    _, one = world.devices
    b = Converter(one)
    world.begin({f"{n}.csv": "1" for n in range(20)})
    rest(world, b)
    one.engine.close()
    for file in one.journals.glob("*.db*"):
        file.unlink()
    one.settle()
    one.write("0.csv", "2")
    rest(world, b)
    assert world.objects()["0.parquet"] == "2 as utf-8"
