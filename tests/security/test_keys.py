"""Keys that no file should have: never written, told of in a form that harms no terminal, and nobody else's trouble."""

from __future__ import annotations

import os
import unicodedata

import pytest

from dorkyd.core.printable import printable
from tests.scenarios.test_j_names import FoldingFolder
from tests.security.hostile import KEPT, Hostile

UNSAFE = [
    "..",
    ".",
    "../x",
    "x/..",
    "x/../../y",
    "./x",
    "x/./y",
    "a//b",
    "nul\0x",
    "\udcff",
    "d/\udcff\udcfe",
    "\ud800",
]
RESERVED = [
    ".git/hooks/post-checkout",
    ".GIT/config",
    "sub/.Git/config",
    "nested/.dorky/folder.json",
    ".Dorky/folder.json",
    ".dorky\u200d/folder.json",
    ".g\u200cit/hooks/x",
    "\ufeff.git/config",
    ".git\u202e/config",
    ".dor\u212ay/x",
    ".git::$INDEX_ALLOCATION/config",
    ".git:stream",
    ".git./config",
    ".git /config",
    ".git ... /config",
    "git~1/config",
    "GIT~1/config",
    "deep/DORKY~1/tmp/x",
    ".git\\config",
]
TOO_LONG = ["k" * 256, "k" * 1024, "d/" + "\u00e9" * 128, "/".join(["d" * 255] * 4) + "/x"]
ORDINARY = [
    "CON",
    "aux.txt",
    "a:b",
    "x.",
    "back\\slash",
    "new\nline",
    "\x1b[2Jclear",
    "\x07bell",
    "\u202eevil",
    "-rf",
    "~",
    "$(id)",
    "`id`",
    "%2e%2e",
    "..%2f..%2fx",
    "...",
    "k" * 255,
    "/".join(["d" * 127] * 8),
]


@pytest.mark.parametrize(
    ("key", "code"),
    [
        *((key, "unsafe-key") for key in UNSAFE),
        *((key, "reserved-name") for key in RESERVED),
        *((key, "name-too-long") for key in TOO_LONG),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_what_can_be_no_file_here_is_a_problem(hostile: Hostile, key: str, code: str) -> None:
    """One problem by its code on every device, no write, no crash; the object stays, and when it goes the problem does."""
    hostile.put(key)
    hostile.world.settle()
    for device in hostile.world.devices:
        assert list(device.problems().values()) == [code], device.name
        ((problem, _),) = device.journal.ledger.problems()
        assert problem.hint or code == "name-too-long"
        assert f"{problem.path}{problem.detail}{problem.hint}".encode(), "a terminal and a database take it"
    hostile.goes_on()
    assert key in hostile.world.keys(key)
    hostile.remove(key)
    hostile.world.settle()
    assert hostile.a.problems() == hostile.b.problems() == {}


@pytest.mark.parametrize("key", ORDINARY, ids=lambda key: ascii(key)[:30])
def test_what_a_file_may_be_called_is_a_file(hostile: Hostile, key: str) -> None:
    """Names that other systems or shells trip over arrive byte for byte, and are printed without steering a terminal."""
    hostile.put(key)
    hostile.world.settle()
    assert hostile.a.tree() == hostile.b.tree() == {KEPT: "kept", key: "theirs"}
    assert hostile.a.problems() == {}
    assert printable(key).replace("\n", "").isprintable()
    hostile.untouched()


def test_folder_markers_are_no_files(hostile: Hostile) -> None:
    """Keys that end in a slash are folders as consoles draw them, whatever bytes they carry."""
    for key in ("folder/", "a/b/", "../", ".git/", "x//"):
        hostile.put(key)
    hostile.world.settle()
    assert hostile.a.tree() == hostile.b.tree() == {KEPT: "kept"}
    hostile.goes_on()


def test_any_number_of_bad_keys(hostile: Hostile) -> None:
    """Of more than ten thousand only so many are told of, memory stays bounded, and files go on."""
    store = hostile.world.store
    for n in range(10_500):
        store._write(f"bad//{n}", b"", {})
    hostile.a.settle()
    assert len(hostile.a.problems()) == 10_000
    hostile.a.write("mine", "mine")
    hostile.put("theirs", b"theirs")
    hostile.a.settle()
    assert hostile.a.tree() == {KEPT: "kept", "mine": "mine", "theirs": "theirs"}


TWINS = [
    ("File", "file"),
    ("caf\u00e9", "cafe\u0301"),
    ("stra\u00dfe", "strasse"),
    ("\u212aelvin", "kelvin"),
    ("d/F", "D/f"),
]


@pytest.mark.parametrize(("one", "other"), TWINS, ids=ascii)
def test_twins_where_names_fold(hostile: Hostile, one: str, other: str) -> None:
    """Keys that one name would hold there: at most one is a file, none replaces the other, both stay in the bucket."""
    c = hostile.world.device("c", wrap=lambda _: FoldingFolder(str(hostile.base / "c")))
    hostile.put(one, b"one")
    hostile.put(other, b"other")
    hostile.world.settle()
    assert hostile.a.tree() == {KEPT: "kept", one: "one", other: "other"}
    held = {path: text for path, text in c.tree().items() if path != KEPT}
    assert len(held) + len(c.problems()) == 2
    assert held.items() <= {one: "one", other: "other"}.items()
    assert set(c.problems().values()) <= {"case-clash"}
    assert hostile.world.objects().keys() >= {one, other}
    assert unicodedata.normalize("NFC", one).casefold() == unicodedata.normalize("NFC", other).casefold()


def test_a_key_below_a_file_and_a_file_below_a_key(hostile: Hostile) -> None:
    """A bucket can hold `f` and `f/x`, a folder cannot: neither is lost, nothing is written elsewhere."""
    hostile.put(f"{KEPT}/x", b"below")
    hostile.put("g/h/i", b"deep")
    hostile.put("g/h", b"middle")
    hostile.put("g", b"top")
    hostile.world.settle()
    assert set(hostile.world.objects().values()) >= {"kept", "below", "deep", "middle", "top"}
    assert hostile.a.tree()[KEPT] == "kept"
    hostile.goes_on()


def test_names_on_disk_that_look_like_ours(hostile: Hostile) -> None:
    """What disguises itself as .git or .dorky in a folder is as invisible as they are: never sent."""
    for name in (".git", ".GIT", ".g\u200cit", ".git.", "git~1", ".git::$INDEX_ALLOCATION"):
        (hostile.a.root / name).mkdir()
        (hostile.a.root / name / "config").write_text("secret")
    hostile.world.settle()
    assert hostile.world.objects() == {KEPT: "kept"}
    assert hostile.a.problems() == {}
    assert len(os.listdir(hostile.a.root)) == 8
