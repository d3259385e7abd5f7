"""Scenarios of what encrypted files were before: history, restores, undo, differences, and what once was secret."""

from __future__ import annotations

import hashlib
import itertools
import pathlib

import pytest

from dorkyd.buckets.memory import MemoryBucket
from dorkyd.core import metadata
from dorkyd.core.model import Path
from dorkyd.diffing import Diffing
from dorkyd.versions import Versions
from tests.bucketreader import untold, view
from tests.devices import Device, World
from tests.scenarios.test_encrypted_commits import TEXTS, without_copies
from tests.scenarios.test_encryption import SECRET, founded, joined, meta

BOTH = pytest.mark.parametrize("world", [False, True], ids=["trash", "versions"], indirect=True)


@pytest.fixture
def world(request: pytest.FixtureRequest, quick_path: pathlib.Path) -> World:
    """Devices with keys, over a bucket that keeps former states in our trash, or (`BOTH`) by itself."""
    ticks, versioned = itertools.count(10**9), getattr(request, "param", False)
    return World(quick_path, MemoryBucket(versioned=versioned, seconds=lambda: next(ticks)))


def nobody_learns(world: World, *texts: str) -> None:
    """The bucket tells nothing of these, nor do the states that it keeps."""
    untold(view(world.store.client()), [text.encode() for text in texts])


def no_trash_here(*devices: Device) -> None:
    """What comes back comes from the bucket."""
    for device in devices:
        for file in (device.root / ".dorky" / "trash").rglob("*"):
            if file.is_file():
                file.unlink()


def digest(text: str) -> str:
    """As a journal has it."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def written(world: World, *devices: Device) -> None:
    """Three states of one secret."""
    for text in TEXTS[:3]:
        devices[0].write(".env", text)
        world.settle()


@BOTH
def test_the_history_tells_digests_and_sizes_to_who_has_the_key(world: World) -> None:
    """Of what this device ever held; a newcomer, who held none of it, is told of states without."""
    ann = founded(world)
    written(world, ann)
    states = Versions(ann.engine).of(Path(".env")).states
    assert [(state.digest, state.size) for state in states] == [(digest(t), len(t)) for t in reversed(TEXTS[:3])]
    assert all(state.kept for state in states[1:])
    bob = joined(world, ann, "bob")
    found = Versions(bob.engine).of(Path(".env")).states
    assert len(found) == 3
    assert (found[0].digest, found[0].size) == (digest(TEXTS[2]), len(TEXTS[2]))
    assert [(state.digest) for state in found[1:]] == [None, None]


@BOTH
def test_a_newcomer_restores_what_it_never_held(world: World) -> None:
    """By its version; encrypted again on the way up, 0600, and the file that was there is in the trash."""
    ann = founded(world)
    written(world, ann)
    bob = joined(world, ann, "bob")
    states = Versions(bob.engine).of(Path(".env")).states
    oldest = min((one for one in states if not one.current), key=lambda one: one.at_ns or one.until_ns or 0)
    no_trash_here(ann, bob)
    bob.restore(".env", oldest.version)
    assert bob.read(".env") == TEXTS[0]
    assert bob.modes()[".env"] == 0o600
    assert TEXTS[2] in bob.trashed()
    world.settle()
    assert ann.read(".env") == TEXTS[0]
    assert "dorky-key" in meta(world, ".env")
    nobody_learns(world, *TEXTS)


@BOTH
def test_a_newcomer_restores_a_deleted_secret_that_no_pattern_covers(world: World) -> None:
    """Nothing that it remembers says that it was one; the copy does."""
    ann = founded(world)
    ann.write(".env", SECRET)
    world.settle()
    (ann.root / ".env").rename(ann.root / "notes.txt")
    world.settle()
    (ann.root / "notes.txt").unlink()
    world.settle()
    bob = joined(world, ann, "bob", encrypt=())
    assert world.objects() == {}
    (state, *_) = Versions(bob.engine).of(Path("notes.txt")).states
    bob.restore("notes.txt", state.version, "elsewhere.txt")
    world.settle()
    assert ann.tree() == {"elsewhere.txt": SECRET}
    assert "dorky-key" in meta(world, "elsewhere.txt")
    nobody_learns(world, SECRET)


def test_a_restore_takes_what_a_commit_keeps(world: World) -> None:
    """Asked for by the digest: no request names it."""
    ann = founded(world)
    ann.write(".env", TEXTS[0])
    ann.settle()
    ann.commits.commit("one")
    ann.write(".env", TEXTS[1])
    ann.settle()
    if world.store.versioned:
        world.store._store.old.clear()
    without_copies(world, ann)
    asked: list[str] = []
    world.faults = lambda _who, _verb, key: asked.append(key)
    ann.restore(".env", digest(TEXTS[0]))
    world.faults = lambda _who, _verb, _key: None
    assert ann.read(".env") == TEXTS[0]
    assert digest(TEXTS[0])[7:] not in "\n".join(asked)
    world.settle()
    nobody_learns(world, *TEXTS)


@BOTH
def test_an_undone_edit_and_deletion_are_encrypted_again(world: World) -> None:
    """On both sides, for everybody."""
    ann = founded(world)
    bob = joined(world, ann, "bob")
    written(world, ann)
    no_trash_here(ann, bob)
    ann.undo()
    world.settle()
    assert ann.tree() == bob.tree() == {".env": TEXTS[1]}
    (ann.root / ".env").unlink()
    world.settle()
    no_trash_here(ann, bob)
    ann.undo()
    world.settle()
    assert ann.tree() == bob.tree() == {".env": TEXTS[1]}
    assert "dorky-key" in meta(world, ".env")
    nobody_learns(world, *TEXTS)


def test_a_state_is_compared_after_decryption(world: World) -> None:
    """Line by line, and nothing stays in staging."""
    ann = founded(world, encrypt=("*.txt",))
    ann.write("f.txt", "one\ntwo\n")
    ann.settle()
    ann.write("f.txt", "one\nthree\n")
    ann.settle()
    no_trash_here(ann)
    found = Diffing(ann.engine).diff("f.txt", None, None, reveal=True)
    assert "-two" in found.compared.text
    assert "+three" in found.compared.text
    assert list((ann.root / ".dorky" / "tmp").glob("[!.]*")) == []


def test_no_value_of_a_secret_is_shown_unasked(world: World) -> None:
    """Keys of a `.env` file, encrypted or not; of another secret how many lines."""
    ann = founded(world, encrypt=("*.txt",))
    for name in (".env", "f.txt"):
        for value in ("one", "two"):
            ann.write(name, f"KEY={value}\nSAME=three\n{value.upper()}=four\n")
            ann.settle()
    shown = Diffing(ann.engine).diff(".env", None, None).compared
    assert shown.kind == "masked"
    assert shown.text.splitlines()[2:] == ["-KEY=********", "+KEY=********", "+TWO=********", "-ONE=********"]
    assert "-KEY=one" in Diffing(ann.engine).diff(".env", None, None, reveal=True).compared.text
    shown = Diffing(ann.engine).diff("f.txt", None, None).compared
    assert shown.text.splitlines()[2:] == ["-******** (2 lines)", "+******** (2 lines)"]
    (ann.root / "f.txt").rename(ann.root / "g")
    ann.settle()
    ann.write("g", "KEY=five\n")
    assert Diffing(ann.engine).diff("g", None, None).compared.kind == "masked"


def test_a_tampered_copy_is_passed_over_for_a_good_one(quick_path: pathlib.Path) -> None:
    """The newest copy that says it is the content is not; another is."""
    from dorkyd.news import Bytes

    world = World(quick_path)
    ann = founded(world)
    written(world, ann)
    ann.write(".env", TEXTS[0])
    ann.settle()
    ann.write(".env", TEXTS[1])
    ann.settle()
    bucket = world.store.client()
    words = {key: meta(world, key)["dorky-hmac"] for key in world.keys(".dorky/trash/")}
    twice = next(word for word in words.values() if list(words.values()).count(word) == 2)
    first = next(key for key in sorted(words, reverse=True) if words[key] == twice)
    with bucket.get(first) as reading:
        data, info = bytearray(b"".join(map(bytes, reading))), reading.info
    data[-1] ^= 1
    bucket.put(first, Bytes(bytes(data)), replaces=info.version, meta=info.meta)
    no_trash_here(ann)
    ann.restore(".env", digest(TEXTS[0]))
    assert ann.read(".env") == TEXTS[0]


# --- what once was secret ---------------------------------------------------------------------------------------------


def test_old_content_under_a_new_name_is_encrypted(world: World) -> None:
    """Several states later, from wherever the person has it; no pattern covers any name of it."""
    ann = founded(world)
    bob = joined(world, ann, "bob")
    ann.write(".env", SECRET)
    world.settle()
    (ann.root / ".env").rename(ann.root / "notes.txt")
    world.settle()
    for text in TEXTS[:3]:
        ann.write("notes.txt", text)
        world.settle()
    for number, text in enumerate((SECRET, *TEXTS[:2])):
        bob.write(f"backup-{number}.txt", text)
    world.settle()
    assert all("dorky-key" in meta(world, key) for key in world.objects())
    nobody_learns(world, SECRET, *TEXTS)


def test_it_is_remembered_over_a_listing_and_a_new_past_of_the_bucket(world: World) -> None:
    """What is known of the bucket may be forgotten; what was secret may not."""
    ann = founded(world)
    written(world, ann)
    with ann.journal.atomic():
        ann.journal.drop_all_remotes()
    ann.restart()
    ann.settle()
    ann.write("backup.txt", TEXTS[0])
    ann.settle()
    assert "dorky-key" in meta(world, "backup.txt")
    nobody_learns(world, *TEXTS)


def test_a_copy_that_is_sent_together_with_the_secret_is_encrypted(world: World) -> None:
    """Made before anything of it was in the bucket."""
    ann = founded(world)
    for number in range(5):
        ann.write(f"copy-{number}.txt", SECRET)
    ann.write(".env", SECRET)
    ann.settle()
    assert all("dorky-key" in meta(world, key) for key in world.objects())
    nobody_learns(world, SECRET)


def test_a_journal_of_before_keeps_what_it_knew(quick_path: pathlib.Path) -> None:
    """One digest a path, of objects that were deleted."""
    import sqlite3

    from dorkyd.journal import Journal

    file = quick_path / "old.db"
    journal = Journal(file)
    conn = journal._conn
    conn.execute("DROP TABLE once_sealed")
    conn.execute("CREATE TABLE once_sealed (path TEXT PRIMARY KEY, digest TEXT) WITHOUT ROWID")
    conn.execute("CREATE INDEX once_sealed_by_digest ON once_sealed (digest)")
    conn.execute("DELETE FROM _sqlite_migrations WHERE name LIKE 'm0014%'")
    conn.execute("INSERT INTO once_sealed VALUES ('a', ?), ('b', NULL)", (digest("1"),))
    journal.close()
    journal = Journal(file)
    assert journal.was_sealed(Path("a"))
    assert journal.was_sealed(Path("b"))
    assert journal.is_sealed_content(metadata.sha256(digest("1")[7:]))
    with journal.atomic():
        journal.keep_sealed(Path("a"), metadata.sha256(digest("2")[7:]))
        journal.keep_sealed(Path("a"), metadata.sha256(digest("2")[7:]))
    assert journal.is_sealed_content(metadata.sha256(digest("1")[7:]))
    assert sqlite3.connect(file).execute("SELECT count(*) FROM once_sealed").fetchone() == (3,)
    journal.close()


def test_what_was_only_encrypted_anew_is_no_action(world: World) -> None:
    """A pattern came to cover a file, and somebody left: an undo takes back the edit before, and not that, which it could not."""
    ann = founded(world, encrypt=())
    joined(world, ann, "bob", encrypt=())
    ann.write("db.txt", "old\n")
    world.settle()
    ann.write("db.txt", "new\n")
    world.settle()
    ann.keyring.encrypt(("db.txt",))
    ann.settle()
    ann.keyring.remove("bob")
    ann.settle()
    assert ann.undo().verbs == {"upload": 1}
    ann.settle()
    assert ann.tree() == {"db.txt": "old\n"}
