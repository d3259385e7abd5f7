"""What stands in the place of our own files under `.dorky/`: believed as far as it harms nobody, and said where it stops us."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dorkyd.core.logbook import LAST_NUMBER, PROJECT, entry_key
from dorkyd.core.report import State
from tests.devices import World
from tests.security.hostile import KEPT, Hostile

HEX = "a" * 64
OP = "b" * 32


def _entry(changes: object, **more: object) -> bytes:
    document = {"format": 1, "replica": "nobody", "device": "evil", "time": "2026-11-03T14:15:30Z", "changes": changes}
    return json.dumps({**document, **more}).encode()


def _change(path: object, verb: str = "put", **more: object) -> dict[str, object]:
    return {"path": path, "verb": verb, "op": OP, "version": "7", "digest": f"sha256:{HEX}", "size": 3, **more}


# --- the project's document ------------------------------------------------------------------------------------------

DOCUMENTS = {
    "empty": b"",
    "binary": b"\0\xff\xfe",
    "deep": b'{"a":' * 100_000,
    "list": b"[" * 100_000,
    "number": b'{"format":1,"project_id":"p","floor":' + b"9" * 5000 + b"}",
    "later": b'{"format":2,"project_id":"p"}',
    "no-id": b'{"format":1}',
    "long-id": json.dumps({"format": 1, "project_id": "x" * 200_000}).encode(),
    "steering-id": json.dumps({"format": 1, "project_id": "\x1b]0;owned\x07"}).encode(),
    "surrogate-id": b'{"format":1,"project_id":"\\ud800"}',
    "floor-below": b'{"format":1,"project_id":"p","floor":-1}',
    "floor-far": b'{"format":1,"project_id":"p","floor":1e300}',
    "huge": b" " * (2 << 20),
}


@pytest.mark.parametrize("text", DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_that_makes_no_sense(hostile: Hostile, text: bytes) -> None:
    """A new device and one in sync stop with an error that names the object, delete nothing, and go on once it is mended."""
    found = hostile.world.store.client().read(PROJECT)
    assert found is not None
    hostile.put(PROJECT, text)
    new = hostile.world.device("c")
    for device in (hostile.a, new):
        device.look()
        for _ in range(5):
            device.step(1.0)
        trouble = device.engine.trouble
        assert trouble is not None
        assert trouble.state is State.ERROR
        assert PROJECT in trouble.detail
        assert trouble.detail.isprintable()
    assert hostile.a.tree() == {KEPT: "kept"}
    assert new.tree() == {}
    hostile.put(PROJECT, found[1])
    for device in (hostile.a, new):
        device.step(120.0)
    hostile.goes_on()


def test_another_projects_document(hostile: Hostile) -> None:
    """A prefix that claims to be another project stops a device for a person, with every file in its place."""
    hostile.put(PROJECT, b'{"format":1,"project_id":"other","floor":1}')
    hostile.a.settle()
    assert hostile.a.engine.held is not None
    assert hostile.a.tree() == {KEPT: "kept"}
    hostile.untouched()


@pytest.mark.parametrize("floor", [2, 500, LAST_NUMBER, 0])
def test_a_floor_that_lies(hostile: Hostile, floor: int) -> None:
    """Whatever it claims about compaction, entries that are there are read and files go on."""
    found = hostile.world.store.client().read(PROJECT)
    assert found is not None
    hostile.put(PROJECT, json.dumps({**json.loads(found[1]), "floor": floor}).encode())
    hostile.goes_on()


# --- the log ---------------------------------------------------------------------------------------------------------

ENTRIES = {
    "empty": b"",
    "binary": bytes(range(256)),
    "deep": b"[" * 1_000_000,
    "huge": b" " * (9 << 20),
    "later": _entry([], format=2),
    "no-list": _entry({"path": KEPT}),
    "foreign": _entry(
        [_change(path) for path in ("../x", "/etc/passwd", ".git/config", ".dorky/tmp/x", "a\0", "\ud800", None, 7)]
    ),
    "wrong-digest": _entry([_change(KEPT), _change(KEPT, digest="md5:1"), _change(KEPT, digest="x" * 10_000)]),
    "deleted": _entry([_change(KEPT, "delete", approved=True, replaces="1"), _change("ghost", "delete")]),
    "twice": _entry([_change("ghost")] * 400),
    "twenty-thousand": _entry([_change(f"ghost-{n}") for n in range(20_000)]),
    "unlikely": _entry([_change("ghost", size=2**62, mode="7777", version="\x1b[2J" * 100, replaces="x" * 100_000)]),
    "steering": _entry([_change("ghost", "delete")], device="\x1b[2J\n../../x", time="\x07" * 99),
    "ours": b"",
}


@pytest.mark.parametrize("text", ENTRIES.values(), ids=ENTRIES)
def test_an_entry_that_lies(hostile: Hostile, text: bytes) -> None:
    """The log only says where to look: nothing is written, deleted or believed because an entry says so."""
    text = text or _entry([_change("ghost")], replica=hostile.a.engine.journal and hostile.a.engine._identity.replica)  # type: ignore[union-attr]
    hostile.put(entry_key(hostile.a.engine.opened.remote.cursor + 1), text)  # type: ignore[union-attr]
    hostile.goes_on()
    assert hostile.a.tree()[KEPT] == hostile.b.tree()[KEPT] == "kept"
    assert hostile.world.objects().keys() == hostile.a.tree().keys()
    assert hostile.a.problems() == hostile.b.problems() == {}


def test_the_last_number_of_the_log_is_taken(hostile: Hostile) -> None:
    """Nothing can be told by the log any more: a warning says so, listings carry the files, and nobody spins."""
    hostile.put(entry_key(LAST_NUMBER), b"{}")
    hostile.goes_on()
    for device in hostile.world.devices:
        what, todo = device.engine.warnings["log-full"]
        assert entry_key(LAST_NUMBER) in what
        assert "delete" in todo
        now = device.clock.monotonic()
        assert device.engine.run_due(now) > now, "it wants to be called again at once"


def test_the_last_number_goes_away_again(hostile: Hostile) -> None:
    """Once the entry is deleted and that is approved, the log is used as ever, and the warning is gone."""
    hostile.put(entry_key(LAST_NUMBER), b"{}")
    hostile.goes_on()
    hostile.remove(entry_key(LAST_NUMBER))
    for device in hostile.world.devices:
        device.settle()
        held = device.engine.held
        assert held is not None
        assert held.halt.reason.value == "remote-rewound"
        device.decisions.approve(held.halt.token)
        device.settle()
    hostile.goes_on()
    assert "log-full" not in hostile.a.engine.warnings


@pytest.mark.parametrize("number", [50, 5_000, LAST_NUMBER - 50])
def test_entries_from_the_future(hostile: Hostile, number: int) -> None:
    """A number far ahead is gone on from; what lies between is found by listing."""
    hostile.put(entry_key(number), _entry([_change("ghost")]))
    hostile.goes_on()
    assert hostile.world.objects().keys() == hostile.a.tree().keys()


@pytest.mark.parametrize(
    "name",
    [
        "-00000000001.json",
        "00000000001.json",
        "9" * 40 + ".json",
        "000000000003.json/x",
        "..",
        "x",
        "",
        "\u0660" * 12 + ".json",
    ],
    ids=ascii,
)
def test_names_in_the_log_that_are_no_entries(hostile: Hostile, name: str) -> None:
    """They are passed over."""
    hostile.put(f".dorky/log/{name}", b"junk")
    hostile.goes_on()


@pytest.mark.parametrize(
    "key",
    [
        ".dorky/trash/../../x",
        ".dorky/trash//20260101T000000Z-1",
        ".dorky/trash/kept.txt/20260101T000000Z-1",
        ".dorky/tmp/x",
        ".dorky/folder.json",
        ".dorky/lock",
        ".dorky/trash/x\0",
        ".dorky/..",
        ".dorky/\udcff",
        ".dorky/commits/1.json",
    ],
    ids=ascii,
)
def test_keys_among_ours(hostile: Hostile, key: str) -> None:
    """Nothing below `.dorky/` in the bucket is ever a file in a folder's `.dorky`."""
    before = sorted(entry.name for entry in (hostile.a.root / ".dorky").iterdir())
    marker = json.loads((hostile.a.root / ".dorky/folder.json").read_text())
    hostile.put(key, b"junk")
    hostile.goes_on()
    assert sorted(entry.name for entry in (hostile.a.root / ".dorky").iterdir()) == before
    after = json.loads((hostile.a.root / ".dorky/folder.json").read_text())
    assert {**after, "counter": 0} == {**marker, "counter": 0}


def test_deletions_that_are_only_told_of_are_not_remembered_for_ever(hostile: Hostile) -> None:
    """A writer who announces deletions of what never was cannot fill a device's memory."""
    number = hostile.a.engine.opened.remote.cursor  # type: ignore[union-attr]
    for more in range(1, 13):
        ghosts = [_change(f"{more}-{n}", "delete") for n in range(9_000)]
        hostile.put(entry_key(number + more), _entry(ghosts))
    remote = hostile.a.engine.opened.remote  # type: ignore[union-attr]
    while remote.poll():
        pass
    assert remote.cursor == number + 12
    assert len(remote.deleted_by) <= 100_000


def test_a_bucket_that_begins_as_junk(quick_path: Path) -> None:
    """A device that joins a prefix full of junk under `.dorky/` gets its files, and its own reach the bucket."""
    world = World(quick_path)
    store = world.store
    for key in (".dorky/log/000000000001.json", ".dorky/log/zzz", ".dorky/trash/x", ".dorky/probe/x", ".dorky/x/../y"):
        store._write(key, b"\0junk", {})
    store._write("theirs", b"theirs", {})
    a = world.device("a")
    a.write("mine", "mine")
    world.settle()
    assert a.tree() == world.objects() == {"theirs": "theirs", "mine": "mine"}
