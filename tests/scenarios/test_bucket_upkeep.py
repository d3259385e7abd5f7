"""What the bucket's trash may hold stands in the project's document, and any device sees to it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dorkyd.core.logbook import PROJECT
from dorkyd.core.settings import Mode, TrashLimits
from dorkyd.news import Bytes
from tests.devices import Device
from tests.scenarios.months import DAY, Months

TRASH = ".dorky/trash/"


def _tidy(*devices: Device) -> None:
    for device in devices:
        device.engine.purge()
        device.pool.run_all()


def _document(world: Months) -> dict[str, object]:
    found = world.store.client().read(PROJECT)
    assert found is not None
    return dict(json.loads(found[1]))


def _put_document(world: Months, document: dict[str, object]) -> None:
    bucket = world.store.client()
    found = bucket.read(PROJECT)
    assert found is not None
    bucket.put(PROJECT, Bytes(json.dumps(document).encode()), replaces=found[0].version, meta={})


def _trashed(world: Months) -> int:
    return len(world.keys(TRASH))


def test_any_device_purges_by_the_document(tmp_path: Path) -> None:
    """The limits that the project was begun with hold for a device that has none in its settings."""
    world = Months(tmp_path)
    a = world.device("a", bucket_trash=TrashLimits(days=10, size=10**6))
    b = world.device("b")
    world.begin({"f": "0"})
    assert _document(world)["trash"] == {"days": 10, "bytes": 10**6}
    world.edit(a, "1", "2", days=5)
    world.edit(a, "3", days=9)
    b.settle()
    assert _trashed(world) == 3
    world.pass_days(3, a, b)
    world.edit(a, "4")
    _tidy(b)
    assert _trashed(world) == 2, "those of days 19 and 22; of days 5 and 10 are past"
    world.settle()
    world.all_hold({"f": "4"})


@pytest.mark.parametrize(
    "odd",
    [{}, {"trash": None}, {"trash": {"days": -1, "bytes": True}}, {"trash": {"days": "0", "bytes": 1.5}}],
    ids=str,
)
def test_a_document_without_limits_means_the_usual_ones(tmp_path: Path, odd: dict[str, object]) -> None:
    """A document of an earlier version, or with limits that make no sense, keeps 30 days."""
    world = Months(tmp_path)
    a, _ = world.device("a"), world.device("b")
    world.begin({"f": "0"})
    document = _document(world)
    del document["trash"]
    _put_document(world, {**document, **odd})
    world.edit(a, "1", "2")
    world.edit(a, "3", days=25)
    _tidy(a)
    assert _trashed(world) == 3
    world.edit(a, "4", days=10)
    a.clock.advance(2 * DAY)
    _tidy(a)
    assert _trashed(world) == 2


def test_a_changed_setting_is_written_once(tmp_path: Path) -> None:
    """What a person changes in one device's settings goes into the document, everything else in it stays, and of two
    devices that differ the last change counts.
    """
    world = Months(tmp_path)
    a, b = world.device("a"), world.device("b", bucket_trash=TrashLimits(days=7, size=70))
    world.begin({"f": "0"})
    document = _document(world)
    _put_document(world, {**document, "trash": {"days": 30, "bytes": 30, "until": "later"}, "encryption": {"epoch": 3}})
    _tidy(a, b)
    expected = {**document, "trash": {"days": 7, "bytes": 70, "until": "later"}, "encryption": {"epoch": 3}}
    assert _document(world) == expected
    a.project = replace(a.project, bucket_trash=TrashLimits(days=3, size=30))
    a.restart()
    a.settle()
    _tidy(a, a, b)
    world.pass_days(5, a, b)
    b.restart()
    world.settle()
    _tidy(b, a, b)
    assert _document(world)["trash"] == {"days": 3, "bytes": 30, "until": "later"}


def test_a_reader_purges_nothing(tmp_path: Path) -> None:
    """A device that only pulls never removes a copy."""
    world = Months(tmp_path)
    a, reader = world.device("a"), world.device("r", mode=Mode.PULL)
    world.begin({"f": "0"})
    world.edit(a, "1", "2")
    world.edit(a, "3", days=100)
    reader.settle()
    _tidy(reader)
    assert _trashed(world) == 3
    _tidy(a)
    assert _trashed(world) == 1
