"""The store is proved at first use, and not at every start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dorkyd.buckets.memory import Fault
from dorkyd.buckets.probe import PREFIX
from tests.devices import Device, World

DAY_S = 86_400.0


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Device A."""
    made = World(tmp_path)
    made.device("A")
    return made


def probing(world: World, device: Device) -> int:
    """Requests of a probe that a start of the device sends."""
    count = 0

    def seen(_who: str, _verb: str, key: str) -> Fault | None:
        nonlocal count
        count += key.startswith(PREFIX)
        return None

    world.faults = seen
    device.restart()
    world.settle()
    return count


def test_a_restart_does_not_prove_the_store_again(world: World) -> None:
    """The journal remembers."""
    (one,) = world.devices
    one.write("f", "1")
    world.settle()
    assert probing(world, one) == 0


def test_a_proof_does_not_hold_for_ever(world: World) -> None:
    """A store may be changed: after a week it is asked again, at a start."""
    (one,) = world.devices
    world.settle()
    one.clock.advance(8 * DAY_S)
    assert probing(world, one) > 0


def test_a_proof_is_of_one_store(world: World) -> None:
    """Another endpoint is another store, whatever its bucket is called."""
    (one,) = world.devices
    world.settle()
    one.project = replace(one.project, endpoint_url="http://127.0.0.1:1")
    assert probing(world, one) > 0
