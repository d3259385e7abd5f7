"""What a person asks for ends as asked, or not at all, also when the daemon is killed midway."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dorkyd.core.paths import parse_conflict
from dorkyd.errors import Refused
from tests.devices import Device, Kill, World, trap_commits

Asked = Callable[[Device], None]


def _restore(one: Device) -> None:
    """`f` comes back as it was before B's edit: the oldest in the trash, so that asking twice is asking once."""
    name = next(item.name for item in one.engine.folder.trash() if item.path == "f")
    one.restore("f", name)


def _resolve(one: Device) -> None:
    with contextlib.suppress(Refused):
        one.decisions.resolve("f", "mine")


def _told(world: World, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> Device:
    one, two = world.device("A"), world.device("B")
    trap_commits(monkeypatch, {"A": one.trap})
    world.begin({"f": "1"})
    if asked is _resolve:
        one.write("f", "1")
        two.write("f", "2")
        one.write("f", "3")
        two.settle()
    else:
        two.write("f", "2")
    world.settle()
    return one


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("asked", "ends"), [(_restore, "1"), (_resolve, "3")])
def test_killed_at_every_step_and_asked_again(
    tmp_path: Path, asked: Asked, ends: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing lies about under a name that nobody gave it, the answer is the one asked for, and both contents are kept. CI
    takes every third step, `DORKY_MATRIX=full` all.
    """
    for at in itertools.count(1, 1 if os.environ.get("DORKY_MATRIX") == "full" else 3):
        with monkeypatch.context() as patch:
            base = tmp_path / str(at)
            base.mkdir()
            world = World(base)
            one = _told(world, asked, patch)
            one.trap.set(at, after=after)
            try:
                asked(one)
            except Kill:
                pass
            else:
                one.trap.unset()
                assert at > 6, one.trap.calls
                return
            where = one.trap.calls[-1:]
            one.restart()
            one.settle()
            asked(one)
            world.settle()
            world.all_hold({"f": ends})
            assert not [p for p in one.tree() if parse_conflict(p)], where  # type: ignore[arg-type]
            assert not [item.path for item in one.engine.folder.trash() if item.path.startswith("recovered-")], where
            assert "2" in one.trashed(), where
            assert not one.engine.folder.staged(), where
            assert not one.journal.ledger.open_installs(), where
