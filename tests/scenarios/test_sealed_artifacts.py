"""Artifacts that are encrypted or packed, read by clients: whole, by ranges, and never a byte that was not verified."""

from __future__ import annotations

import pathlib
import threading

import pytest

from dorkyd.artifacts import Artifacts
from dorkyd.core import metadata
from dorkyd.errors import Integrity
from dorkyd.news import Bytes
from dorkyd.wholes import MOST, SMALL_BYTES
from tests.bucketreader import untold, view
from tests.daemons import wait_until
from tests.devices import Device, World
from tests.scenarios.test_artifacts import ask, storing
from tests.scenarios.test_encryption import SECRET, founded, meta, person, tampered

LARGE = "".join(f"{number:09d}\n" for number in range(250_000))
"""More than is held in memory; each ten bytes say where they are."""


@pytest.fixture
def world(quick_path: pathlib.Path) -> World:
    """Devices with keys, over one bucket."""
    return World(quick_path)


def staged(device: Device) -> list[str]:
    """What is in staging."""
    return [file.name for file in (device.root / ".dorky" / "tmp").glob("[!.]*")]


@pytest.mark.parametrize(
    "settings", [{"encrypt": ("*",)}, {"compress": ("*",)}, {"encrypt": ("*",), "compress": ("*",)}]
)
def test_parts_come_from_one_reading(world: World, settings: dict[str, tuple[str, ...]]) -> None:
    """Whoever reads a table by its ranges costs one download, and nothing of it stays on the disk under a name."""
    ann = founded(world, **{"encrypt": (), **settings})
    ann.write("table", LARGE)
    ann.settle()
    artifacts = Artifacts.of(ann.engine)
    world.forget()
    artifact = artifacts.stat("table")
    assert artifact.size == len(LARGE)
    assert world.counts["ann"]["GET"] == 0
    for start in (1_000_000, 0, 2_499_990, 10, 999_990):
        with artifacts.open(artifact, start) as chunks:
            assert next(chunks)[:10].decode() == f"{start // 10:09d}\n"
    with artifacts.open(artifact) as chunks:
        assert b"".join(chunks).decode() == LARGE
    assert world.counts["ann"]["GET"] == 1
    assert staged(ann) == []


def test_what_nobody_here_read_is_read_once_to_be_measured(world: World) -> None:
    """The plain size stands nowhere; and what was read for it is at hand for the download."""
    ann = founded(world)
    ann.write(".env", SECRET)
    ann.settle()
    other = world.device("other", keys=True)
    assert other.key_home is not None
    assert ann.key_home is not None
    other.key_home.keep(ann.key_home.file.read_bytes())
    other.settle()
    other.keyring.trust(ann.keyring.keys.fingerprint)
    artifacts = Artifacts.of(other.engine)
    world.forget()
    artifact = artifacts.stat(".env")
    assert artifact.size == len(SECRET)
    with artifacts.open(artifact, 9) as chunks:
        assert b"".join(chunks).decode() == SECRET[9:]
    assert world.counts["other"]["GET"] == 1


@pytest.mark.parametrize("text", [SECRET, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("start", [0, 7])
def test_not_a_byte_is_told_of_what_was_tampered_with(world: World, text: str, start: int) -> None:
    """Though nearly all of it would decrypt well."""
    ann = founded(world, encrypt=("*",))
    ann.write("f", text)
    ann.settle()
    artifacts = Artifacts.of(ann.engine)
    tampered(world, "f", -3)

    def read() -> None:
        with artifacts.open(artifacts.stat("f"), start):
            pass

    with pytest.raises(Integrity):
        read()
    assert staged(ann) == []


def test_a_packed_object_that_lies_about_its_size_is_refused(world: World) -> None:
    """Before an answer begins that would promise so many bytes."""
    ann = founded(world, encrypt=(), compress=("*",))
    ann.write("f", LARGE)
    ann.settle()
    bucket = world.store.client()
    with bucket.get("f") as reading:
        data, info = b"".join(map(bytes, reading)), reading.info
    assert len(data) < SMALL_BYTES < len(LARGE)
    bucket.put("f", Bytes(data), replaces=info.version, meta={**info.meta, metadata.SIZE: "12"})
    artifacts = Artifacts.of(ann.engine)
    artifact = artifacts.stat("f")
    assert artifact.size == 12
    with pytest.raises(Integrity), artifacts.open(artifact):
        pass
    assert staged(ann) == []


def test_only_a_few_are_kept_at_hand(world: World) -> None:
    """However many are read."""
    ann = founded(world)
    for number in range(MOST + 4):
        ann.write(f".env.{number}", f"{SECRET}{number}")
    ann.settle()
    artifacts = Artifacts.of(ann.engine)
    for number in range(MOST + 4):
        with artifacts.open(artifacts.stat(f".env.{number}")) as chunks:
            assert b"".join(chunks).decode() == f"{SECRET}{number}"
    assert len(artifacts.wholes._kept) == MOST


def test_an_old_secret_that_a_client_puts_is_encrypted(world: World) -> None:
    """Under a name that no pattern covers, small or from staging."""
    ann = founded(world)
    for text in (SECRET, SECRET + "two", SECRET + "three"):
        ann.write(".env", text)
        ann.settle()
    ask(ann, storing(ann, "copy.txt", SECRET, None)).result(0)
    ask(ann, storing(ann, "another.txt", SECRET + "two", None, staged=True)).result(0)
    ann.settle()
    assert all("dorky-key" in meta(world, key) for key in ("copy.txt", "another.txt"))
    assert ann.read("copy.txt") == SECRET
    untold(view(world.store.client()), [SECRET.encode(), f"{SECRET}two".encode()])


@pytest.mark.parametrize("keys", [True, False], ids=["at one time", "after a refusal"])
def test_a_secret_that_a_client_puts_under_two_names_is_encrypted_under_both(world: World, *, keys: bool) -> None:
    """One of them is covered. Without a key neither is stored."""
    ann = founded(world)
    who = ann if keys else person(world, "bob")
    who.settle()
    puts = [who.engine.ready().asking.ask(storing(who, ".env", SECRET, None))]
    if not keys:
        who.step(0.1)
    puts.append(who.engine.ready().asking.ask(storing(who, "copy.txt", SECRET, None)))
    who.settle()
    assert [put.exception() is None for put in puts] == [keys, keys]
    assert set(world.objects()) == ({".env", "copy.txt"} if keys else set())
    untold(view(world.store.client()), [SECRET.encode()])


def test_what_was_read_is_given_back_after_a_while(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself, once nobody uses it; and by one thread, however many read."""
    monkeypatch.setattr("dorkyd.wholes.KEPT_S", 0.05)
    ann = founded(world)
    ann.write(".env", SECRET)
    ann.settle()
    artifacts = Artifacts.of(ann.engine)
    artifact, before = artifacts.stat(".env"), threading.active_count()
    for _ in range(50):
        with artifacts.open(artifact):
            assert artifacts.wholes._kept
    assert threading.active_count() <= before + 1
    wait_until("it is given back", lambda: not artifacts.wholes._kept and not artifacts.wholes._waits)
