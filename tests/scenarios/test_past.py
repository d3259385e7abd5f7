"""What is told of the past, and what is done away with: differences, the audit, the trash, versions a store keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from dorkyd.auditing import Auditing
from dorkyd.buckets.memory import MemoryBucket
from dorkyd.core import model
from dorkyd.core.audit import AuditItem, Filter
from dorkyd.diffing import Diffing
from dorkyd.emptying import Emptying
from dorkyd.errors import Refused
from dorkyd.versions import Versions
from tests.devices import Device, World


def _world(tmp_path: Path, store: MemoryBucket | None = None, **files: str) -> tuple[World, Device, Device]:
    world = World(tmp_path, store)
    world.device("A")
    world.device("B")
    one, two = world.begin({path.replace("__", "/"): text for path, text in files.items()})
    return world, one, two


# --- differences ------------------------------------------------------------------------------------------------------


def test_two_states_are_compared(tmp_path: Path) -> None:
    """The state before and the file here; named ones; and what is no text, by its digest. Nothing stays staged."""
    world, one, two = _world(tmp_path, f="a\nb\n")
    one.write("f", "a\nc\n")
    world.settle()
    found = Diffing(two.engine).diff("f", None, None)
    assert found.compared.kind == "text"
    assert [line for line in found.compared.text.splitlines() if line[0] in "+-"][2:] == ["-b", "+c"]
    old = Versions(two.engine).of(model.Path("f")).states[1]
    same = Diffing(two.engine).diff(f"f@{old.version}", None, str(old.version))
    assert same.compared.kind == "same"
    one.write("f", b"\0\1")
    world.settle()
    assert Diffing(two.engine).diff("f", None, None).compared.kind == "binary"
    assert two.engine.folder.staged() == []
    with pytest.raises(Refused):
        Diffing(two.engine).diff("nothing", None, None)


def test_two_paths_are_compared(tmp_path: Path) -> None:
    """What stands at each; without a file here its newest state; of a `.env` file and its copy no value."""
    world, one, two = _world(tmp_path, f="a\nb\n", g="a\nc\n", same="a\nb\n")
    found = Diffing(two.engine).beside("g", "f")
    assert [line for line in found.compared.text.splitlines() if line[0] in "+-"][2:] == ["-b", "+c"]
    assert (found.path, found.before.size, found.after.size) == ("g", 4, 4)
    assert Diffing(two.engine).beside("same", "f").compared.kind == "same"
    (two.root / "f").unlink()
    world.settle()
    gone = Diffing(two.engine).beside("g", "f")
    assert gone.before.there
    assert "-b" in gone.compared.text
    for name, value in ((".env", "one"), (".env (conflict A 20261103-141530 3fa9c1)", "two")):
        one.write(name, f"KEY={value}\n")
    world.settle()
    masked = Diffing(one.engine).beside(".env", ".env (conflict A 20261103-141530 3fa9c1)").compared
    assert (masked.kind, "one" in masked.text, "two" in masked.text) == ("masked", False, False)
    assert (
        "-KEY=two"
        in Diffing(one.engine).beside(".env", ".env (conflict A 20261103-141530 3fa9c1)", reveal=True).compared.text
    )
    with pytest.raises(Refused):
        Diffing(one.engine).beside("g", "nothing")
    assert two.engine.folder.staged() == []


def test_the_bytes_of_a_state(tmp_path: Path) -> None:
    """As they were, whatever stands there now; of what may hold secrets only when asked to reveal. Nothing stays staged."""
    world, one, _ = _world(tmp_path, f="first", **{".env": "KEY=one\n"})
    one.write("f", "second")
    world.settle()
    for path, bytes_, reveal in (("f", b"first", False), (".env", b"KEY=one\n", True)):
        at = str(Versions(one.engine).of(model.Path(path)).states[-1].version)
        content = Diffing(one.engine).content(path, at, reveal=reveal)
        with content.body as body:
            assert (body.read(), content.size) == (bytes_, len(bytes_))
    with pytest.raises(Refused) as raised:
        Diffing(one.engine).content(".env", at)
    assert raised.value.code == "secret"
    assert one.engine.folder.staged() == []


# --- audit ------------------------------------------------------------------------------------------------------------


def _audit(device: Device, wanted: Filter | None = None) -> list[AuditItem]:
    return Auditing(device.engine).audit(wanted or Filter(), "", 1000)


def test_every_change_by_anyone_is_told_in_order(tmp_path: Path) -> None:
    """By whom, and from which version to which; the same on every device, also on one that came later."""
    world, one, two = _world(tmp_path, f="1")
    two.write("f", "2")
    world.settle()
    one.write("d/g", "g")
    (one.root / "f").unlink()
    world.settle()
    told = [(item.verb, item.path, item.device) for item in _audit(one)]
    assert told[:2] == [("put", "f", "A"), ("put", "f", "B")]
    assert sorted(told[2:]) == [("delete", "f", "A"), ("put", "d/g", "A")]
    first, second = _audit(one)[:2]
    assert (first.replaces, second.replaces) == (None, first.version)
    late = world.device("C")
    world.settle()
    assert _audit(late) == _audit(one) == _audit(two)
    assert [item.path for item in _audit(two, Filter(path="d/"))] == ["d/g"]
    assert {item.device for item in _audit(two, Filter(who="B"))} == {"B"}
    assert [item.path for item in _audit(two, Filter(verbs=("delete",)))] == ["f"]
    assert _audit(two, Filter(since_ns=2**62)) == []


def test_an_entry_is_read_once(tmp_path: Path) -> None:
    """Asked again, the audit costs a listing; a cache that is damaged is made anew."""
    world, one, _ = _world(tmp_path, f="1")
    before = _audit(one)
    world.forget()
    assert _audit(one) == before
    assert {verb: count for verb, count in world.counts["A"].items() if count} == {".LIST": 1}
    cache = Path(f"{one.engine.journal_file}.audit")
    for file in cache.parent.glob(f"{cache.name}*"):
        file.unlink()
    cache.write_bytes(b"this is no database, and never was one" * 40)
    assert _audit(one) == before


# --- the trash --------------------------------------------------------------------------------------------------------


def test_the_trash_is_emptied(tmp_path: Path) -> None:
    """All of it, a path, a folder, or what is old; a file that was written to since becomes a conflict copy."""
    world, one, two = _world(tmp_path, f="1", d__a="1", d__b="1")
    for path in ("f", "d/a", "d/b"):
        one.write(path, "2")
    world.settle()
    emptying = Emptying(two.engine)
    assert [item.path for item in emptying.items("folder", "d/")] == ["d/b", "d/a"]
    assert emptying.empty("folder", None, 3600).removed == 0
    late = next((two.root / ".dorky/trash").glob("*/d/a"))
    late.write_text("written late")
    emptied = emptying.empty("folder", "d/", None)
    assert (emptied.removed, emptied.kept) == (1, 1)
    world.settle()
    assert "written late" in one.tree().values()
    assert emptying.empty("folder", None, None).removed == 1
    assert two.trashed() == []


def test_the_buckets_trash_is_emptied(tmp_path: Path) -> None:
    """For everybody; the objects stay as they are."""
    world, one, two = _world(tmp_path, f="1", d__a="1")
    for path in ("f", "d/a"):
        one.write(path, "2")
    world.settle()
    emptying = Emptying(two.engine)
    assert [item.path for item in emptying.items("bucket", "f")] == ["f"]
    assert emptying.empty("bucket", "d/", None).removed == 1
    assert [item.path for item in emptying.items("bucket", None)] == ["f"]
    assert emptying.empty("bucket", None, None).removed == 1
    assert world.bucket_trash() == []
    world.all_hold({"f": "2", "d/a": "2"})


# --- a store that keeps versions ----------------------------------------------------------------------------------------


def test_versions_of_the_store_are_restored(tmp_path: Path) -> None:
    """Nothing lies in a trash of the bucket, and a device without copies of its own brings back what the store kept; the
    bucket's trash, which is none there, is not emptied.
    """
    world, one, _ = _world(tmp_path, MemoryBucket(versioned=True), f="1", d__a="1")
    one.write("f", "2")
    (one.root / "d/a").unlink()
    world.settle()
    late = world.device("C")
    world.settle()
    assert world.keys(".dorky/trash/") == []
    states = Versions(late.engine).of(model.Path("f")).states
    assert [[copy.where for copy in state.kept] for state in states] == [[], ["versions"]]
    late.restore("f")
    late.restore("d/")
    world.settle()
    world.all_hold({"f": "1", "d/a": "1"})
    with pytest.raises(Refused) as refused:
        Emptying(late.engine).empty("bucket", None, None)
    assert refused.value.code == "versioned"
