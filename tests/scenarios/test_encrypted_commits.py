"""Scenarios of commits, checkouts and pushes of projects that hold encrypted files."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
from dataclasses import replace

import pytest

from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.collection import Collection
from dorkyd.core.commits import COMMITS, OBJECTS
from dorkyd.core.garbage import Kept
from dorkyd.core.lockfile import encode_lock, lock_of
from dorkyd.core.model import Path
from dorkyd.core.settings import Mode
from dorkyd.errors import Blocked, Unsupported
from dorkyd.manual import begin_pull
from tests.bucketreader import untold, view
from tests.devices import Device, Kill, World
from tests.scenarios.test_encryption import SECRET, founded, joined, meta

STRIDE = 1 if os.environ.get("DORKY_FULL") == "1" else 5
TEXTS = [SECRET * n + "x" * (117 + n) for n in (1, 2, 3, 4)]


@pytest.fixture
def world(quick_path: pathlib.Path) -> World:
    """Devices with keys, over one bucket."""
    return World(quick_path)


def nobody_learns(world: World, *texts: str) -> None:
    """The bucket tells nothing of these."""
    untold(view(world.store.client()), [text.encode() for text in texts])


def without_copies(world: World, *devices: Device) -> None:
    """Neither trash has anything: what comes back comes from what commits keep."""
    for device in devices:
        for file in (device.root / ".dorky" / "trash").rglob("*"):
            if file.is_file():
                file.unlink()
    world.remove(*world.keys(".dorky/trash/"))


def lock(device: Device, commit: str) -> str:
    """The text of `dorky.lock`."""
    commit_id, whole = device.commits.show(commit)
    return encode_lock(lock_of(whole, commit_id, device.project.bucket))


def test_a_commit_of_secrets_comes_back_and_tells_nothing(world: World) -> None:
    """Their content is in the commit's copy alone, encrypted; names, manifest and lock say keyed digests and no sizes."""
    ann = founded(world)
    bob = joined(world, ann, "bob")
    ann.write(".env", TEXTS[0])
    ann.write("plain", "1")
    world.settle()
    made = ann.commits.commit("one").named
    ann.write(".env", TEXTS[1])
    ann.write(".env.more", TEXTS[0])
    world.settle()
    second = bob.commits.commit("two").named
    nobody_learns(world, *TEXTS)
    files = bob.commits.show(made.id)[1].by_path
    assert {path: (file.digest.partition(":")[0], file.size) for path, file in files.items()} == {
        ".env": ("hmac-sha256", None),
        "plain": ("sha256", 1),
    }
    assert made.header.bytes == 1
    text = lock(bob, made.id)
    assert hashlib.sha256(TEXTS[0].encode()).hexdigest() not in text
    without_copies(world, ann, bob)
    done = bob.checkout.locked(text)
    assert done.unlike == ()
    world.settle()
    assert ann.tree() == bob.tree() == {".env": TEXTS[0], "plain": "1"}
    assert bob.modes()[".env"] == 0o600
    assert world.objects()[".env"].startswith("age-enc")
    assert bob.checkout.locked(lock(bob, second.id)).unlike == ()
    world.settle()
    assert ann.tree() == {".env": TEXTS[1], ".env.more": TEXTS[0], "plain": "1"}
    nobody_learns(world, *TEXTS)


def test_a_lock_is_verified_exactly_by_the_keyed_digest(world: World) -> None:
    """Another content under the name is put right, and what was changed in the lock is found out."""
    ann = founded(world)
    ann.write(".env", TEXTS[0])
    ann.settle()
    text = lock(ann, ann.commits.commit("one").named.id)
    ann.write(".env", TEXTS[1])
    ann.settle()
    assert ann.checkout.locked(text).placed == 1
    assert ann.read(".env") == TEXTS[0]
    assert ann.checkout.locked(text).same == 1
    words = json.loads(text)
    words["files"][".env"] = f"hmac-sha256:{'0' * 64}"
    with pytest.raises(Blocked) as raised:
        ann.checkout.locked(json.dumps(words))
    assert raised.value.code == "lock-differs"


def test_old_commits_stay_readable_after_somebody_left(world: World) -> None:
    """Encrypting anew touches nothing that commits keep: who has the old epoch's key reads it, who came later too."""
    ann = founded(world)
    joined(world, ann, "bob")
    ann.write(".env", TEXTS[0])
    world.settle()
    old = ann.commits.commit("before").named
    ann.keyring.remove("bob")
    ann.settle()
    ann.write(".env", TEXTS[1])
    ann.settle()
    new = ann.commits.commit("after").named
    epochs = {meta(world, key)["dorky-key"] for key in world.keys(OBJECTS)}
    assert len(epochs) == 2
    cid = joined(world, ann, "cid")
    cid.settle()
    without_copies(world, ann, cid)
    cid.checkout.checkout(old.id)
    assert cid.read(".env") == TEXTS[0]
    cid.settle()
    assert meta(world, ".env")["dorky-key"] == cid.keyring.keys.listed.epochs[-1].id
    assert [one.kind for one in cid.commits.diff(old.id, new.id)] == ["changed"]
    nobody_learns(world, *TEXTS)


def test_content_that_was_only_encrypted_anew_is_no_difference(world: World) -> None:
    """For who has both keys; who has not is told what is missing."""
    ann = founded(world)
    bob = joined(world, ann, "bob")
    ann.write(".env", TEXTS[0])
    ann.write(".env.two", TEXTS[1])
    world.settle()
    old = ann.commits.commit("before").named
    ann.keyring.remove("bob")
    ann.write(".env.two", TEXTS[2])
    ann.settle()
    ann.settle()
    new = ann.commits.commit("after").named
    assert [(one.path, one.kind) for one in ann.commits.diff(old.id, new.id)] == [(".env.two", "changed")]
    bob.settle()
    told = {one.path: (one.kind, one.waits) for one in bob.commits.diff(old.id, new.id)}
    assert {path: kind for path, (kind, _) in told.items()} == {".env": "unknown", ".env.two": "unknown"}
    assert all("0002-" in waits for _, waits in told.values())
    cid = joined(world, ann, "cid")
    cid.write(".env", "something of cid's own\n")
    without_copies(world, ann, cid)
    assert [(one.path, one.kind) for one in cid.commits.diff(old.id, new.id)] == [(".env.two", "changed")]


def test_without_the_key_the_rest_is_checked_out(world: World) -> None:
    """The secret waits, and is told of; so a lock is not exact."""
    ann = founded(world)
    ann.write(".env", SECRET)
    ann.write("plain", "1")
    ann.settle()
    made = ann.commits.commit("one").named
    ann.write("plain", "2")
    ann.settle()
    eve = world.device("eve", keys=True)
    eve.settle()
    done = eve.checkout.checkout(made.id)
    assert eve.read("plain") == "1"
    assert [one.path for one in done.unlike] == [".env"]
    assert "key" in done.unlike[0].why
    with pytest.raises(Blocked) as raised:
        eve.checkout.locked(lock(eve, made.id))
    assert raised.value.code == "not-exact"


def test_a_commit_needs_no_key(world: World) -> None:
    """It copies ciphertext."""
    ann = founded(world)
    ann.write(".env", TEXTS[0])
    ann.write("plain", "1")
    ann.settle()
    eve = world.device("eve", keys=True, encrypt=())
    eve.settle()
    made = eve.commits.commit("eve's").named
    ann.write(".env", TEXTS[1])
    ann.settle()
    without_copies(world, ann)
    ann.checkout.checkout(made.id)
    assert ann.read(".env") == TEXTS[0]


def test_what_is_to_be_encrypted_and_is_not_is_no_part_of_a_commit(world: World) -> None:
    """Its content would be kept in plain for ever."""
    ann = founded(world, encrypt=())
    ann.write("notes/a", SECRET)
    ann.settle()
    before = ann.commits.commit("before anybody asked for it").named
    pull = joined(world, ann, "pull", encrypt=(), mode=Mode.PULL)
    pull.settle()
    ann.project = replace(ann.project, mode=Mode.BUCKET)
    ann.restart()
    ann.settle()
    ann.keyring.encrypt(("notes/",))
    ann.settle()
    with pytest.raises(Blocked) as raised:
        ann.commits.commit("too early")
    assert raised.value.code == "must-be-encrypted"
    assert len(world.keys(COMMITS)) == 1
    assert ann.commits.diff(before.id, None) == ()


def test_collecting_keeps_what_commits_need_of_secrets(quick_path: pathlib.Path) -> None:
    """And removes the rest, by names that tell nothing."""
    now = [10**9]
    world = World(quick_path, MemoryBucket(seconds=lambda: now[0]))
    ann = founded(world)
    ann.write(".env", TEXTS[0])
    ann.settle()
    ann.commits.commit("one")
    ann.write(".env", TEXTS[1])
    ann.settle()
    last = ann.commits.commit("two").named
    both, store = world.keys(OBJECTS), ann.commits.store()
    for _ in range(3):
        now[0] += 90_000
        ann.clock.advance(90_000)
        Collection(store, ann.clock, "ann", Kept(last=1)).run(time=ann.commits.now())
    (kept,) = world.keys(OBJECTS)
    assert kept in both
    ann.write(".env", TEXTS[2])
    ann.settle()
    without_copies(world, ann)
    ann.checkout.checkout(last.id)
    assert ann.read(".env") == TEXTS[1]
    nobody_learns(world, *TEXTS)


def pushing(world: World) -> tuple[Device, Device]:
    """One in mode manual, and a teammate."""
    ann = founded(world)
    bob = joined(world, ann, "bob", mode=Mode.MANUAL)
    return ann, bob


def test_a_push_of_secrets_is_encrypted_everywhere(world: World) -> None:
    """Contents, plan, commit, plain paths and log tell nothing; the teammate gets the files."""
    ann, bob = pushing(world)
    for name, text in zip((".env", ".env.b", "plain"), (*TEXTS[:2], "plain\n"), strict=True):
        bob.write(name, text)
    bob.look()
    bob.stage.stage(["."])
    nothing = lambda _who, verb, key: (
        nobody_learns(world, *TEXTS) if verb == "PUT" and key.startswith(COMMITS) else None
    )
    world.faults = nothing  # while the plan is there
    pushed = bob.pushes.push("secrets")
    world.faults = lambda _who, _verb, _key: None
    assert (pushed.paths, pushed.lost, pushed.told) == (3, (), True)
    world.settle()
    assert ann.tree() == bob.tree() == {".env": TEXTS[0], ".env.b": TEXTS[1], "plain": "plain\n"}
    assert {key: "dorky-key" in meta(world, key) for key in world.objects()} == {
        ".env": True,
        ".env.b": True,
        "plain": False,
    }
    nobody_learns(world, *TEXTS)
    base = bob.journal.base(Path(".env"))
    assert base is not None
    assert base.digest == f"sha256:{hashlib.sha256(TEXTS[0].encode()).hexdigest()}"
    assert base.size == len(TEXTS[0])
    bob.write(".env", TEXTS[2])
    (bob.root / ".env.b").unlink()
    bob.look()
    bob.stage.stage(["."])
    bob.pushes.push("again")
    world.settle()
    assert ann.tree() == {".env": TEXTS[2], "plain": "plain\n"}
    nobody_learns(world, *TEXTS)
    assert bob.problems() == ann.problems() == {}


def test_a_push_of_a_secret_under_another_name_is_encrypted(world: World) -> None:
    """No pattern covers the new name, and the old one is staged as gone."""
    ann, bob = pushing(world)
    ann.write(".env", SECRET)
    ann.settle()
    bob.settle()
    begin_pull(bob.engine)
    bob.settle()
    (bob.root / ".env").rename(bob.root / "notes.txt")
    bob.look()
    bob.stage.stage(["."])
    bob.pushes.push("renamed")
    world.settle()
    assert ann.tree() == {"notes.txt": SECRET}
    assert "dorky-key" in meta(world, "notes.txt")
    nobody_learns(world, SECRET)


def test_what_was_staged_as_a_secret_is_one_whatever_the_file_holds_by_now(world: World) -> None:
    """Its content goes under an open name in the same push."""
    ann, bob = pushing(world)
    bob.write(".env", SECRET)
    bob.stage.stage([".env"])
    bob.write(".env", "nothing\n")
    bob.write("copy.txt", SECRET)
    bob.look()
    bob.settle()
    bob.stage.stage(["copy.txt"])
    bob.pushes.push("secrets")
    world.settle()
    assert ann.tree() == {".env": SECRET, "copy.txt": SECRET}
    nobody_learns(world, SECRET)


def test_a_team_that_only_pushes_encrypts_what_a_pattern_covers_by_now(world: World) -> None:
    """Nobody else would: each push is refused until the file is staged once more, as it is."""
    ann, bob = pushing(world)
    bob.write("a.pem", SECRET)
    bob.write("plain", "1")
    bob.look()
    bob.stage.stage(["."])
    bob.pushes.push("before anybody asked for it")
    world.devices.remove(ann)
    ann.keyring.encrypt(("*.pem",))
    bob.keyring.look()
    bob.write("plain", "2")
    bob.look()
    bob.settle()
    bob.stage.stage(["plain"])
    with pytest.raises(Blocked) as raised:
        bob.pushes.push("too early")
    assert raised.value.code == "must-be-encrypted"
    bob.stage.stage(["a.pem"])
    bob.pushes.push("now")
    assert {key: "dorky-key" in meta(world, key) for key in world.objects()} == {"a.pem": True, "plain": False}
    bob.settle()
    assert (bob.tree(), bob.problems()) == ({"a.pem": SECRET, "plain": "2"}, {})
    assert bob.journal.manual.totals().changed == 0
    assert bob.stage.stage(["."]) == ([], [])


def test_a_push_without_a_key_is_refused(world: World) -> None:
    """Nothing of it reaches the bucket."""
    founded(world)
    eve = world.device("eve", keys=True, encrypt=(".env*",), mode=Mode.MANUAL)
    eve.settle()
    eve.write(".env", SECRET)
    eve.look()
    eve.stage.stage(["."])
    with pytest.raises(Blocked) as raised:
        eve.pushes.push("secrets")
    assert raised.value.code == "key-untrusted"
    assert world.keys(COMMITS) == world.keys(OBJECTS) == []
    assert eve.journal.manual.staged().keys() == {".env"}


def test_somebody_leaves_while_a_push_is_on_its_way(world: World) -> None:
    """What is pushed after is of the new epoch, under the name that it has there."""
    ann, bob = pushing(world)
    joined(world, ann, "cid")
    bob.settle()
    bob.write(".env", SECRET)
    bob.look()
    bob.stage.stage(["."])
    left = ["cid"]

    def meanwhile(who: str, verb: str, key: str) -> None:
        if (who, verb) == ("bob", "PUT") and key.startswith(".dorky/batches/") and left:
            ann.keyring.remove(left.pop())
            bob.clock.advance(5)

    world.faults = meanwhile
    bob.pushes.push("secrets")
    world.faults = lambda _who, _verb, _key: None
    world.settle()
    epoch = ann.keyring.keys.listed.epochs[-1].id
    assert left == []
    assert {meta(world, key)["dorky-key"] for key in (".env", *world.keys(OBJECTS))} == {epoch}
    assert ann.read(".env") == SECRET
    nobody_learns(world, SECRET)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_push_of_a_secret_that_is_killed_anywhere_is_finished(quick_path: pathlib.Path, *, after: bool) -> None:
    """By its own device or a teammate; base is what was pushed, so that no later edit meets it as a stranger's."""
    at = -STRIDE
    while True:
        at += STRIDE
        world = World(quick_path / f"at{at}")
        ann, bob = pushing(world)
        bob.settle()
        bob.write(".env", TEXTS[0])
        bob.look()
        bob.stage.stage(["."])
        bob.trap.set(at + 1, after=after)
        try:
            bob.pushes.push("secrets")
        except Kill:
            bob.restart()
        else:
            break
        bob.settle()
        bob.write(".env", TEXTS[1])
        bob.settle()
        bob.pushes.settle()
        bob.settle()
        if bob.journal.manual.staged():
            bob.pushes.push("again")
        world.settle()
        assert ann.tree() == {".env": TEXTS[0]}, at
        assert bob.tree() == {".env": TEXTS[1]}, at
        base = bob.journal.base(Path(".env"))
        assert base is not None
        assert base.digest == f"sha256:{hashlib.sha256(TEXTS[0].encode()).hexdigest()}", at
        assert not world.keys(".dorky/batches/"), at
        nobody_learns(world, *TEXTS)
        for device in (ann, bob):
            device.kill()
    assert at > 9


def test_what_the_store_cannot_copy_is_encrypted_on_its_way(world: World) -> None:
    """An object too large for a copy: its bytes go again, from the folder, under the same keyed name."""
    ann = founded(world)
    ann.write(".env", TEXTS[0])
    ann.settle()

    world.faults = lambda _who, verb, key: (
        Fault(Unsupported(Path(key), "too large", code="too-large"))
        if verb == "COPY" and key.startswith(OBJECTS)
        else None
    )
    made = ann.commits.commit("one").named
    world.faults = lambda _who, _verb, _key: None
    (key,) = world.keys(OBJECTS)
    assert key.endswith(meta(world, key)["dorky-hmac"])
    nobody_learns(world, *TEXTS)
    ann.write(".env", TEXTS[1])
    ann.settle()
    without_copies(world, ann)
    ann.checkout.checkout(made.id)
    assert ann.read(".env") == TEXTS[0]
