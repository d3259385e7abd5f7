"""Joining a bucket whose objects are on disk already: what a listing proves is asked for no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.core import metadata
from dorkyd.core.model import Path as SyncPath
from dorkyd.core.model import Remote, Version
from dorkyd.errors import Transient
from dorkyd.news import Bytes
from tests.devices import Device, World


def _etags(tmp_path: Path, **settings: int) -> World:
    """A store whose listings tell the MD5, as S3's do."""
    return World(tmp_path, MemoryBucket(etags=True, seconds=lambda: 1_800_000_000, **settings))


def _joined(tmp_path: Path, text: str = "old", mode: int = 0o644, theirs: int = 0o755) -> tuple[World, Device, Device]:
    """Device a made `f` with bits `theirs`; b had the same bytes with bits `mode` and joined."""
    world = _etags(tmp_path)
    a = world.device("a")
    a.write("f", text)
    (a.root / "f").chmod(theirs)
    a.settle()
    b = world.device("b")
    b.write("f", text)
    (b.root / "f").chmod(mode)
    world.forget()
    b.settle()
    assert world.counts["b"]["HEAD"] == world.counts["b"]["GET"] == 0
    world.forget()
    return world, a, b


def test_joining_2000_objects(tmp_path: Path) -> None:
    """Objects that are on disk already cost the listing's pages: no HEAD, no GET, no byte; and a second look is free."""
    world = _etags(tmp_path)
    store = world.store.client()
    b = world.device("b")
    for number in range(2000):
        text = f"{number} " * (number % 7)
        store.put(f"d{number % 13}/f{number}", Bytes(text.encode()), replaces=None, meta={})
        b.write(f"d{number % 13}/f{number}", text)
    b.settle()
    asked = world.counts["b"]
    assert {verb: asked[verb] for verb in ("HEAD", "GET", "PUT", "COPY", "DELETE")} == dict.fromkeys(
        ("HEAD", "GET", "PUT", "COPY", "DELETE"), 0
    )
    assert asked["LIST"] <= 4
    assert b.engine.bucket is not None
    requests = b.engine.bucket.requests
    assert (requests.bytes_up, requests.bytes_down) == (0, 0)
    # The rest: the probe, the project's document and the log.
    assert sum(asked.values()) <= 40
    assert b.journal.base_totals()[0] == 2000
    world.forget()
    b.settle()
    assert sum(world.counts["b"].values()) <= 8


@pytest.mark.parametrize("what", ["other bytes", "no md5"])
def test_what_is_not_proved_is_asked(tmp_path: Path, what: str) -> None:
    """Equal size and other bytes are a conflict as ever; without an MD5 a HEAD tells."""
    world = World(tmp_path, MemoryBucket(etags=what != "no md5"))
    a, b = world.device("a"), world.device("b")
    a.write("f", "one")
    a.settle()
    b.write("f", "one" if what == "no md5" else "two")
    world.forget()
    b.settle()
    assert world.counts["b"]["HEAD"] >= 1
    world.settle()
    assert set(b.tree().values()) == ({"one"} if what == "no md5" else {"one", "two"})


def test_an_edit_after_joining_keeps_the_objects_bits(tmp_path: Path) -> None:
    """The object's bits win where the sides never agreed on any: asked for before the first write, they do."""
    world, a, b = _joined(tmp_path)
    assert b.modes() == {"f": 0o644}
    b.write("f", "new")
    world.settle()
    world.all_hold({"f": "new"})
    assert a.modes() == b.modes() == {"f": 0o755}


def test_a_chmod_after_joining_wins(tmp_path: Path) -> None:
    """Bits that a person set after joining are newer than the object's: they are not undone, and reach the others."""
    world, a, b = _joined(tmp_path)
    (b.root / "f").chmod(0o600)
    world.settle()
    assert a.modes() == b.modes() == {"f": 0o600}


def test_a_chmod_and_an_edit_after_joining(tmp_path: Path) -> None:
    """Both at once: neither is undone."""
    world, a, b = _joined(tmp_path)
    b.write("f", "new")
    (b.root / "f").chmod(0o600)
    world.settle()
    world.all_hold({"f": "new"})
    assert a.modes() == b.modes() == {"f": 0o600}


def test_a_teammates_chmod_after_joining(tmp_path: Path) -> None:
    """Theirs arrives, without the bytes."""
    world, a, b = _joined(tmp_path)
    (a.root / "f").chmod(0o700)
    world.settle()
    assert a.modes() == b.modes() == {"f": 0o700}
    assert world.moved("b") == {}


def test_a_deletion_after_joining(tmp_path: Path) -> None:
    """What was proved equal was agreed on: deleting it on either side deletes it on the other."""
    world, a, b = _joined(tmp_path)
    (b.root / "f").unlink()
    world.settle()
    world.all_hold({})
    assert "old" in a.trashed()


def test_the_ops_before_stay_known(tmp_path: Path) -> None:
    """A write over a proved object names the op before it, so that its maker, who never heard the reply, knows it."""
    world, _a, b = _joined(tmp_path)
    before = world.ops()["f"]
    b.write("f", "new")
    b.settle()
    info = world.store.client().head("f")
    assert info is not None
    assert info.meta[metadata.ANCESTRY].split() == [before]
    assert metadata.UNKNOWN_OP not in str(info.meta)


@pytest.mark.parametrize("listed_before", [False, True], ids=["news", "listing"])
def test_metadata_that_another_tool_kept(tmp_path: Path, listed_before: bool) -> None:
    """Another tool writes other bytes and keeps our metadata, which claims the old ones: the bytes arrive all the same."""
    world, _a, b = _joined(tmp_path)
    store = world.store.client()
    info = store.head("f")
    assert info is not None
    store.put("f", Bytes(b"NEW"), replaces=info.version, meta=info.meta)
    if listed_before:
        b.settle()
    else:
        with b.journal.atomic():
            b.journal.mark([SyncPath("f")], remote=True)
        for _ in range(8):
            b.step(0.5)
    assert b.read("f") == "NEW"
    world.settle()
    world.all_hold({"f": "NEW"})


def test_a_file_that_came_after_the_listing_is_asked_about(tmp_path: Path) -> None:
    """The object was deleted elsewhere before the same bytes came here: nobody deleted this file, and it goes up."""
    world = _etags(tmp_path)
    a, b = world.device("a"), world.device("b")
    a.write("f", "one")
    a.write("g", "two")
    a.settle()
    b.write("g", "two")
    b.watching = True
    b.step()
    assert b.engine.counters.listings_begun == 1
    (a.root / "f").unlink()
    a.settle()
    b.write("f", "one")
    b.watchers[-1].saw("f")
    for _ in range(5):
        b.step(0.1)
    world.settle()
    assert b.tree() == a.tree() == world.objects() == {"f": "one", "g": "two"}
    assert b.trashed() == []


def test_a_listing_under_way_replaces_what_was_proved(tmp_path: Path) -> None:
    """Proof is as old as its listing: a page of a later one that had begun already is newer, unlike after a look."""
    _world, _a, b = _joined(tmp_path)
    path = SyncPath("f")
    row = b.journal.remote(path)
    assert row is not None
    assert row.proved
    with b.journal.atomic():
        began = b.journal.listing_begins()
        b.journal.prove(path, row)
        newer = Remote(Version("another"), 5, looked=False)
        assert b.journal.listing_page(began, [(path, newer)]) == [path]
        b.journal.set_remote(path, row)
        assert b.journal.listing_page(began, [(path, newer)]) == []


def test_our_own_late_write_is_no_joining(tmp_path: Path) -> None:
    """A write of ours whose reply was lost is looked at, and announced, however equal the listing says it is."""
    world = _etags(tmp_path)
    a, b = world.device("a"), world.device("b")
    world.begin({"g": "0"})
    lost = iter([True])

    def faults(device: str, verb: str, key: str) -> Fault | None:
        if (device, verb, key) == ("a", "PUT", "f") and next(lost, False):
            return Fault(Transient("reply lost"), when="after")
        return None

    world.faults = faults
    a.write("f", "x")
    a.settle()
    for _ in range(4):
        b.step(20)
    assert b.read("f") == "x", "the log told of it"
    world.settle()


def test_a_file_that_changes_while_it_is_read_proves_nothing(tmp_path: Path) -> None:
    """The bytes hashed must be the ones observed."""
    world = _etags(tmp_path)
    b = world.device("b")
    b.write("f", "old")
    b.settle()
    local = b.engine.folder.observe(SyncPath("f"), None)
    b.write("f", "new")
    side = b.engine.opened.local  # type: ignore[union-attr]
    assert not side.has_md5(SyncPath("f"), local, "22af645d1859cb5ca6da0c484f1f37ea")  # type: ignore[arg-type]


def test_what_cannot_be_placed_is_fetched_once(tmp_path: Path) -> None:
    """Another tool's object where a folder stands: its bytes are read once, not at each look, and once more when it changes."""
    world = World(tmp_path)
    a = world.device("a")
    a.write("d/__pycache__/x", "1")
    world.settle()
    world.put("d", "theirs")
    world.forget()
    for _ in range(4):
        a.settle()
    assert a.problems()
    assert world.counts["a"]["GET"] == 1
    world.put("d", "newer")
    for _ in range(2):
        a.settle()
    assert world.counts["a"]["GET"] == 2
    (a.root / "d").rename(a.root / "e")
    a.settle()
    assert a.tree() == {"d": "newer", "e/__pycache__/x": "1"}
    assert world.counts["a"]["GET"] == 2
