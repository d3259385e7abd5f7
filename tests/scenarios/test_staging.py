"""Staging holds what is being fetched, and nothing longer than it is wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.devices import Kill, World


@pytest.mark.parametrize(("call", "after"), [("stage", True), ("seal", False)])
@pytest.mark.parametrize("outcome", ["deleted", "moved", "same bytes"])
def test_bytes_fetched_in_vain_are_removed(tmp_path: Path, outcome: str, call: str, after: bool) -> None:
    """A device is killed with an object in staging, which meanwhile nobody needs to install any more."""
    world = World(tmp_path)
    one, two = world.device("A"), world.device("B")
    one.write("f", "1")
    world.settle()
    one.write("g", "2")
    one.settle()
    two.trap.set(1, after=after, only=lambda name, _: name == call)
    with pytest.raises(Kill):
        two.settle()
    assert list((two.root / ".dorky" / "tmp").iterdir()), "it was killed with the bytes in staging"
    match outcome:
        case "deleted":
            (one.root / "g").unlink()
        case "moved":
            (one.root / "g").rename(one.root / "h")
        case _:
            two.write("g", "2")
    one.settle()
    two.restart()
    world.settle()
    assert one.tree() == two.tree()
    assert {f.name for f in (two.root / ".dorky" / "tmp").iterdir()} <= {".clock"}
    assert two.journal.ledger.all_fetched() == []
