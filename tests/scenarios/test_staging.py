"""Staging holds what is being fetched, and nothing longer than it is wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from dorkyd.buckets.memory import Fault
from dorkyd.core import model
from dorkyd.core.metadata import sha256
from dorkyd.errors import Transient
from dorkyd.ledger import Fetched
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


def test_a_download_that_was_cut_short_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """The connection breaks midway: the half that arrived is not fetched again."""
    world = World(tmp_path)
    one, two = world.device("A"), world.device("B")
    one.write("stays", "s")
    world.settle()
    size = 4_000_000
    one.write("f", "1" * size)
    one.settle()
    broken: list[str] = []

    def breaks(device: str, verb: str, key: str) -> Fault | None:
        if (device, verb, key) == ("B", "GET", "f") and not broken:
            broken.append(key)
            return Fault(Transient("the connection broke"), when="midway")
        return None

    world.faults = breaks
    assert two.engine.bucket is not None
    before = two.engine.bucket.requests.bytes_down
    world.settle()
    assert broken
    assert two.tree() == one.tree()
    assert size <= two.engine.bucket.requests.bytes_down - before < size * 1.1


def test_staged_bytes_that_are_not_what_was_fetched_are_kept(tmp_path: Path) -> None:
    """An exchange that nobody recorded left an edit under a staged name that the journal takes for fetched."""
    world = World(tmp_path)
    one = world.device("A")
    one.write("f", "1")
    world.settle()
    with one.engine.folder.stage("named") as out:
        out.write(b"an edit")
    with one.journal.atomic():
        one.journal.ledger.set_fetched(Fetched("named", model.Path("f"), model.Version("v"), sha256("0" * 64)))
    world.settle()
    assert sorted(one.tree().values()) == sorted(world.objects().values()) == ["1", "an edit"]
    assert one.journal.ledger.all_fetched() == []
