"""The npm tool's history becomes commits, in order, with what its copies hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.control_import import ImportedHistory
from dorkyd.core.commits import COMMITS
from dorkyd.core.npm_history import AUTHOR
from dorkyd.errors import DorkyError, Refused, Transient
from dorkyd.keys import KeyHome
from dorkyd.news import Bytes
from dorkyd.npm_history import HistoryImport
from tests.devices import Device, World
from tests.npm.tool import NpmTool


@dataclass
class Imported:
    """A device whose folder was the npm tool's: A, then B, then A again."""

    device: Device
    tool: NpmTool
    ids: list[str]

    def run(self) -> ImportedHistory:
        return HistoryImport(self.device.commits, str(self.device.root)).run()

    def messages(self) -> list[str]:
        """Of all commits, the oldest first."""
        return [one.header.message for one in self.device.commits.list(None, 100)][::-1]


@pytest.fixture
def world(quick_path: Path) -> World:
    """A store whose listings tell MD5s."""
    return World(quick_path, MemoryBucket(etags=True))


@pytest.fixture
def imported(world: World, quick_path: Path) -> Imported:
    """See `Imported`."""
    store = world.store.client()
    device = world.device("A")

    def put(key: str, content: bytes) -> None:
        key = key.partition("/")[2]
        there = store.head(key)
        store.put(key, Bytes(content), replaces=there.version if there else None, meta={})

    tool = NpmTool(device.root, put)
    tool.init()
    ids = []
    for text in ("A", "B", "A"):
        device.write(".env", text)
        device.write("same", "same")
        tool.add(".env", "same")
        ids.append(tool.push())
    device.settle()
    return Imported(device, tool, ids)


def test_each_push_is_a_commit(imported: Imported) -> None:
    """Three, though the first and the third have one id; each has its content, and the live objects are not touched."""
    assert imported.ids[0] == imported.ids[2] != imported.ids[1]
    done = imported.run()
    assert (done.pushes, done.commits, done.made, done.missing, done.differing) == (3, 3, 3, 0, 0)
    named = imported.device.commits.list(None, 10)[::-1]
    assert [one.header.author for one in named] == [AUTHOR] * 3
    assert [one.header.time for one in named] == [f"2026-04-22T18:30:{n:02}.819Z" for n in range(3)]
    assert [one.header.message for one in named] == [f"push {id_} of the npm tool dorky" for id_ in imported.ids]
    imported.device.checkout.checkout(named[1].id, [], overwrite=False)
    imported.device.settle()
    assert (imported.device.root / ".env").read_text() == "B"


def test_what_is_missing_or_different_is_said(imported: Imported, world: World) -> None:
    """A copy that is gone is left out of the commit, one of another content is in it; the commit's message names both."""
    store = world.store.client()
    for key, becomes in (
        (f".dorky-history/{imported.ids[1]}/same", b""),
        (f".dorky-history/{imported.ids[1]}/.env", b"C"),
    ):
        there = store.head(key)
        assert there is not None
        if becomes:
            store.put(key, Bytes(becomes), replaces=there.version, meta={})
        else:
            store.delete(key, replaces=there.version)
    done = imported.run()
    assert (done.missing, done.differing) == (1, 1)
    message = imported.messages()[1]
    assert "1 more files, of which there is no copy: 'same'" in message
    assert "1 files are not what history.json says they were: '.env'" in message


def test_again_is_nothing(imported: Imported) -> None:
    """The commits are recognized by their ids, also once others follow them."""
    first = imported.run()
    imported.device.write("later", "x")
    imported.device.settle()
    imported.device.commits.commit("ours")
    again = imported.run()
    assert (again.made, again.head) == (0, first.head)


@pytest.mark.parametrize("at", range(3))
def test_cut_short(imported: Imported, world: World, at: int) -> None:
    """An import that ended at any of its commits goes on there, and the chain is the one that it would have been."""
    left = [at]

    def fault(_device: str, verb: str, key: str) -> Fault | None:
        if verb == "PUT" and key.startswith(COMMITS):
            left[0] -= 1
            return Fault(Transient("cut", offline=True)) if left[0] < 0 else None
        return None

    world.faults = fault
    with pytest.raises(DorkyError):
        imported.run()
    left[0] = 100
    done = imported.run()
    assert (done.made, done.commits) == (3 - at, 3)
    assert imported.messages() == [f"push {id_} of the npm tool dorky" for id_ in imported.ids]


def test_not_after_other_commits(imported: Imported) -> None:
    """An older history can only come before the first commit."""
    imported.device.commits.commit("ours")
    with pytest.raises(DorkyError) as refused:
        imported.run()
    assert refused.value.code == "commits-exist"
    assert imported.messages() == ["ours"]


def test_no_copies(imported: Imported, world: World) -> None:
    """Where the bucket has none, nothing is made."""
    store = world.store.client()
    for page in list(store.list(".dorky-history/")):
        for listed in page:
            store.delete(listed.key, replaces=listed.version)
    with pytest.raises(DorkyError) as refused:
        imported.run()
    assert refused.value.code == "no-npm-history"


def test_what_is_to_be_encrypted_becomes_no_commit(imported: Imported, world: World) -> None:
    """It would be kept in plain for ever."""
    device = imported.device
    device.key_home = KeyHome(device.journals / "keys")
    device.project = replace(device.project, encrypt=(".env*",))
    device.restart()
    device.settle()
    with pytest.raises(Refused) as refused:
        imported.run()
    assert refused.value.code == "must-be-encrypted"
    assert world.keys(COMMITS) == []
