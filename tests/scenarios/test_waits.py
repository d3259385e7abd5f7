"""Deletions wait, and the wait ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from dorkyd.buckets.memory import Fault
from dorkyd.core.report import State
from dorkyd.errors import AuthExpired, Denied, DorkyError
from tests.devices import World


def test_listings_faster_than_the_wait_do_not_put_it_off(tmp_path: Path) -> None:
    """Every listing misses the object anew and the bucket is asked again; the deletion keeps its place."""
    world = World(tmp_path)
    one = world.device("A")
    one.write("f", "1")
    one.write("stays", "s")
    world.settle()
    world.remove("f")
    for _ in range(20):
        one.look()
        one.step(0.25)
        one.step(0.25)
    assert one.tree() == {"stays": "s"}
    assert one.trashed()


@pytest.mark.parametrize("refusal", [AuthExpired("expired", hint="run `aws sso login`"), Denied("403")])
def test_credentials_that_come_back(tmp_path: Path, refusal: DorkyError) -> None:
    """Refused credentials are told with what to run; what is edited meanwhile is kept; after a login sync goes on by itself
    within a minute, without a command, and nothing was taken for deleted.
    """
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b")
    world.begin({"f": "1", "g": "2"})
    world.faults = lambda device, _verb, _key: Fault(refusal) if device == a.name else None
    a.write("f", "edited while refused")
    a.look()
    for _ in range(40):
        a.step(10)
    assert a.engine.trouble is not None
    assert a.engine.trouble.state is State.AUTH_EXPIRED
    assert a.engine.trouble.hint == refusal.hint
    assert a.tree() == {"f": "edited while refused", "g": "2"}
    world.faults = lambda _device, _verb, _key: None
    for _ in range(70):
        a.step(1)
    assert a.engine.trouble is None
    b.settle()
    assert a.tree() == b.tree() == world.objects() == {"f": "edited while refused", "g": "2"}
