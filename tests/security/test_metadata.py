"""Metadata that lies: bytes are what counts, permission bits and times are taken within bounds, and no name is believed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dorkyd.core.paths import parse, parse_conflict
from tests.devices import World
from tests.security.hostile import KEPT, Hostile

OP, HEX = "a" * 32, "0" * 64

META = {
    "digest-of-other-bytes": {"dorky-sha256": HEX, "dorky-op": OP},
    "digest-of-a-file-here": {"dorky-sha256": "79f076…", "dorky-op": OP},
    "malformed": dict.fromkeys(
        ["dorky-sha256", "dorky-mtime-ns", "dorky-mode", "dorky-device", "dorky-op", "dorky-ancestry"], "\0\x1b[2J…"
    ),
    "empty": dict.fromkeys(["dorky-sha256", "dorky-mtime-ns", "dorky-mode", "dorky-device", "dorky-op"], ""),
    "enormous": dict.fromkeys(["dorky-sha256", "dorky-device", "dorky-op", "dorky-ancestry", "own"], "a" * 1_000_000),
    "mtime-before-time": {"dorky-mtime-ns": str(-(2**63) + 1)},
    "mtime-after-time": {"dorky-mtime-ns": str(2**63 - 1)},
    "mtime-no-number": {"dorky-mtime-ns": "1e9"},
    "mtime-other-digits": {"dorky-mtime-ns": "\u0661\u0662"},
    "mode-garbage": {"dorky-mode": "rwxrwxrwx"},
    "mode-negative": {"dorky-mode": "-777"},
    "mode-none": {"dorky-mode": "000", "dorky-op": OP},
    "ancestry-of-paths": {"dorky-op": OP, "dorky-ancestry": "../../x " * 50 + "b" * 32},
    "someone-else": {"dorky-op": OP, "dorky-device": "%2e%2e%2f%1b%5b2J%0a%00"},
    "our-words": {"dorky-hmac": "x", "dorky-key": "1", "dorky-batch": "x", "dorky-unknown": "\x7f"},
}


@pytest.mark.parametrize("meta", META.values(), ids=META)
def test_metadata_that_lies(hostile: Hostile, meta: dict[str, str]) -> None:
    """The bytes arrive as they are on every device, and an edit of them goes back."""
    hostile.put("f", b"theirs", meta)
    hostile.world.settle()
    assert hostile.a.tree() == hostile.b.tree() == {KEPT: "kept", "f": "theirs"}
    (hostile.a.root / "f").chmod(0o600)
    hostile.a.write("f", "edited")
    hostile.world.settle()
    assert hostile.b.tree()["f"] == "edited"
    assert hostile.a.problems() == hostile.b.problems() == {}
    hostile.untouched()


def test_a_digest_of_what_is_here_brings_no_wrong_bytes(hostile: Hostile) -> None:
    """An object that claims the digest of a file that is at hand may be taken for that file, by the claim of who wrote it;
    its own bytes replace nothing without going to the trash, and no other path changes.
    """
    info = hostile.world.store.client().head(KEPT)
    assert info is not None
    hostile.put("f", b"other bytes", {"dorky-sha256": info.meta["dorky-sha256"], "dorky-op": OP})
    hostile.world.settle()
    assert hostile.a.tree()[KEPT] == hostile.b.tree()[KEPT] == "kept"
    assert hostile.a.tree()["f"] in {"kept", "other bytes"}
    hostile.untouched()


@pytest.mark.parametrize("mtime_ns", [-(2**63) + 1, -1, 0, 2**62, 2**63 - 1])
def test_any_time_is_set_or_the_nearest(hostile: Hostile, mtime_ns: int) -> None:
    """A time that no file system holds stops nothing."""
    hostile.put("f", b"x", {"dorky-mtime-ns": str(mtime_ns), "dorky-op": OP})
    hostile.goes_on()
    assert (hostile.a.root / "f").exists()


DEVICES = [
    "../../etc",
    "a/b",
    "\x1b[2J\x1b]0;x\x07",
    "new\nline",
    "\u202egnp.exe",
    "x" * 10_000,
    "\u00e9" * 500,
    ".",
    "..",
    "",
    " ",
    "con",
    'a:b*c?d"e<f>g|h\\i',
    "\0",
    "(conflict x)",
]


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: ascii(device)[:24])
def test_a_devices_name_in_a_conflict_copy(quick_path: Path, device: str) -> None:
    """Whatever a device calls itself, its copy is one ordinary file beside the one it lost to, on every machine."""
    world = World(quick_path)
    a, b = world.device("a"), world.device("b")
    b.engine.wiring = replace(b.engine.wiring, device=device)
    a.write("d/f.txt", "0")
    world.settle()
    a.write("d/f.txt", "one")
    b.write("d/f.txt", "other")
    a.settle()
    b.settle()
    world.settle()
    assert a.tree() == b.tree() == world.objects()
    (copy,) = set(a.tree()) - {"d/f.txt"}
    assert copy.startswith("d/f (conflict ")
    assert copy.count("/") == 1
    assert copy.isprintable()
    assert len(copy.encode()) < 120
    assert parse(copy) == copy
    assert parse_conflict(parse(copy)) is not None
    assert sorted(a.tree().values()) == ["one", "other"]
