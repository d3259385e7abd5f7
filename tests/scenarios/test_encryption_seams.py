"""Scenarios of encrypted files where something else is under way: clashes of names, moves, pushes, the log, the team."""

from __future__ import annotations

import errno
import hashlib
import pathlib
import shutil
from collections.abc import Callable
from dataclasses import replace

import pyrage
import pytest

from dorkyd import keys
from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.core import members, metadata
from dorkyd.core.settings import Tripwire
from dorkyd.errors import Denied, DorkyError, Refused, SessionGone, Transient
from dorkyd.keys import new_identity, own_key
from dorkyd.news import Bytes
from dorkyd.sealing import Sealing
from tests.devices import Device, Kill, World
from tests.scenarios.test_encryption import LARGE, SECRET, dies_at, everything, founded, joined, meta, person, share
from tests.scenarios.test_tripwire import SECRET as TOKEN

SHA256 = hashlib.sha256(SECRET.encode()).hexdigest()


@pytest.fixture
def world(tmp_path: pathlib.Path) -> World:
    """Devices with keys, over one bucket."""
    return World(tmp_path)


def test_the_name_of_a_file_that_steps_aside_tells_nothing_of_it(world: World) -> None:
    """It is a conflict copy's."""
    ann = founded(world)
    bob = joined(world, ann, "bob")
    bob.write(".env/local", "1")
    bob.settle()
    ann.write(".env", SECRET)
    world.settle()
    assert [path for path in bob.tree() if "(conflict" in path]
    assert SHA256[:6] not in "\n".join(world.keys())


def test_what_was_written_and_deleted_before_the_log_was_told_is_no_digest_in_it(world: World) -> None:
    """A copy of a secret that no pattern covers: once its object is gone, nothing here says that it was encrypted."""
    ann = founded(world)
    ann.write(".env", SECRET)
    ann.settle()
    refused = True
    world.faults = lambda _who, verb, key: (
        Fault(Transient("the connection is lost"))
        if refused and verb == "PUT" and key.startswith(".dorky/log/")
        else None
    )
    ann.write("copy.txt", SECRET)
    ann.look()
    for _ in range(20):
        ann.step(1)
    assert "copy.txt" in world.objects()
    (ann.root / "copy.txt").unlink()
    ann.look()
    for _ in range(60):
        ann.step(1)
    assert "copy.txt" not in world.objects()
    refused = False
    ann.settle()
    assert SHA256.encode() not in everything(world)


def test_a_plain_file_moved_over_an_encrypted_one_is_encrypted(world: World) -> None:
    """No pattern covers the name: what stands there is encrypted, and stays so."""
    ann = founded(world)
    ann.write(".env", SECRET)
    ann.settle()
    (ann.root / ".env").rename(ann.root / "notes.txt")
    ann.write("draft.txt", "a draft of the notes\n")
    ann.settle()
    (ann.root / "draft.txt").replace(ann.root / "notes.txt")
    ann.settle()
    assert set(world.objects()) == {"notes.txt"}
    assert world.objects()["notes.txt"].startswith("age-enc")


def test_two_removals_at_one_time_leave_neither_a_key(world: World) -> None:
    """What is in force was never encrypted to somebody who is off the list."""
    ann = founded(world)
    bob, cid, dan = (joined(world, ann, name) for name in ("bob", "cid", "dan"))
    bob.keyring.follow()
    left = ["cid"]

    def meanwhile(who: str, verb: str, key: str) -> None:
        if (who, verb) == ("bob", "PUT") and key.startswith(members.MEMBERS) and left:
            ann.keyring.remove(left.pop())

    world.faults = meanwhile
    bob.keyring.remove("dan")
    assert left == []
    assert {m.name for m in bob.keyring.keys.listed.members} == {"ann", "bob", "recovery"}
    in_force = str(bob.keyring.keys.current.identity)  # type: ignore[union-attr]
    for gone in (cid, dan):
        own = gone.key_home.own()  # type: ignore[union-attr]
        assert own is not None
        for key in world.keys(members.KEYS):
            if not key.endswith(".age"):
                continue
            found = world.store.client().read(key)
            assert found is not None
            try:
                text = pyrage.decrypt(found[1], [own.identity]).decode()
            except pyrage.DecryptError:
                continue
            assert in_force not in text


def test_a_large_upload_that_a_pattern_covers_by_now_leaves_no_part(quick_path: pathlib.Path) -> None:
    """It was begun in plain: the store keeps nothing of that."""
    world = World(quick_path, MemoryBucket(sessions_over=300, part_bytes=100))
    ann = founded(world)
    ann.write("large.txt", LARGE)
    dies_at(world, ann, 3, "large.txt")
    with pytest.raises(Kill):
        ann.settle()
    assert world.store.open_sessions == ["large.txt"]
    ann.restart()
    world.faults = lambda _who, _verb, _key: None
    ann.project = replace(ann.project, encrypt=(".env*", "*.txt"))
    ann.restart()
    ann.settle()
    assert world.objects()["large.txt"].startswith("age-enc")
    assert world.store.open_sessions == []


def test_no_session_that_was_begun_packed_and_plain_goes_on_once_a_pattern_covers_it(quick_path: pathlib.Path) -> None:
    """Whoever asks the bucket to go on with it: the seam itself refuses."""
    world = World(quick_path, MemoryBucket(sessions_over=300, part_bytes=100))
    ann = founded(world, compress=("*.txt",))
    bucket, body = ann.engine.bucket, Bytes(b"".join(hashlib.sha256(bytes([n])).digest() for n in range(20)))
    assert isinstance(bucket, Sealing)
    meta = {metadata.OP: ann.clock.random_id(), metadata.SHA256: metadata.hex_of(body.digest)}
    size = bucket.stored_size("large.txt", body, meta)
    session = bucket.begin("large.txt", size, replaces=None, meta=meta)
    ann.keyring.encrypt(("*.txt",))
    with pytest.raises(SessionGone):
        bucket.put("large.txt", body, replaces=None, meta=meta, session=session)
    assert (world.objects(), world.store.open_sessions, ann.engine.folder.staged()) == ({}, [], [])


def test_what_is_encrypted_trips_nothing(world: World) -> None:
    """It looks like a secret, and is one: the pattern is what a person said."""
    ann = founded(world, tripwire=Tripwire.ASK)
    ann.write(".env", TOKEN)
    ann.settle()
    assert ann.problems() == {}
    assert world.objects()[".env"].startswith("age-enc")


def test_a_restored_secret_is_the_owners_alone(world: World) -> None:
    """As a downloaded one is, whatever bits its state had."""
    ann = founded(world, encrypt=("*.txt",))
    bob = joined(world, ann, "bob", encrypt=("*.txt",))
    ann.write("f.txt", SECRET)
    (ann.root / "f.txt").chmod(0o644)
    world.settle()
    bob.write("f.txt", "another\n")
    world.settle()
    bob.restore("f.txt")
    assert bob.read("f.txt") == SECRET
    assert bob.modes() == {"f.txt": 0o600}


def test_no_request_names_the_digest_of_a_secret(world: World) -> None:
    """Not even one for what is gone: stores keep lists of their requests."""
    ann = founded(world)
    ann.write(".env", SECRET)
    ann.settle()
    ann.write(".env", "another\n")
    ann.settle()
    world.remove(*world.keys(".dorky/trash/"))
    for file in (ann.root / ".dorky" / "trash").rglob("*"):
        file.unlink()
    asked: list[str] = []
    world.faults = lambda _who, _verb, key: asked.append(key)
    with pytest.raises(Refused):
        ann.restore(".env", metadata.sha256(SHA256))
    assert asked
    assert SHA256 not in "\n".join(asked)


def test_a_download_that_broke_off_is_verified_from_its_first_byte(world: World) -> None:
    """Whoever can write the bucket may answer the first request with a forgery of the beginning, and then with the object."""
    ann = founded(world)
    bob = joined(world, ann, "bob")
    text = SECRET * 20_000
    ann.write(".env", text)
    ann.settle()
    broken = [Fault(Transient("the connection is lost"), "midway")]
    world.faults = lambda who, verb, key: (
        broken.pop() if broken and (who, verb, key) == ("bob", "GET", ".env") else None
    )
    bob.look()
    while broken:
        bob.step(0.1)
    (staged,) = [file for file in (bob.root / ".dorky" / "tmp").iterdir() if file.stat().st_size]
    with staged.open("r+b") as out:
        out.write(b"FORGED")
    bob.settle()
    assert bob.read(".env") == text


def renamed(world: World, *devices: Device) -> None:
    """A secret under a name that no pattern covers."""
    ann = devices[0]
    ann.write(".env", SECRET)
    world.settle()
    (ann.root / ".env").rename(ann.root / "notes.txt")
    world.settle()
    assert world.objects()["notes.txt"].startswith("age-enc")


def test_what_was_encrypted_until_it_was_deleted_comes_back_encrypted(world: World) -> None:
    """A restore of it, though no object of its content is left."""
    ann = founded(world)
    renamed(world, ann)
    (ann.root / "notes.txt").unlink()
    world.settle()
    assert world.objects() == {}
    ann.restore("notes.txt")
    ann.settle()
    assert world.objects()["notes.txt"].startswith("age-enc")
    assert SECRET.encode() not in everything(world)


def test_an_edit_that_beats_the_deletion_of_a_secret_goes_encrypted(world: World) -> None:
    """Its content is new, and its name is the old one."""
    ann = founded(world)
    bob = joined(world, ann, "bob")
    renamed(world, ann, bob)
    (bob.root / "notes.txt").unlink()
    bob.settle()
    bob.settle()
    assert world.objects() == {}
    ann.write("notes.txt", SECRET + "more")
    ann.settle()
    assert world.objects()["notes.txt"].startswith("age-enc")


def test_an_old_secret_restored_under_another_name_goes_encrypted(world: World) -> None:
    """Nothing that is in the bucket holds it any more, and no pattern covers its place."""
    ann = founded(world)
    ann.write(".env", SECRET)
    ann.settle()
    ann.write(".env", "another\n")
    ann.settle()
    ann.restore(".env", metadata.sha256(SHA256), "old.txt")
    ann.settle()
    assert ann.read("old.txt") == SECRET
    assert world.objects()["old.txt"].startswith("age-enc")
    assert SECRET.encode() not in everything(world)


@pytest.mark.parametrize("failure", [Denied("403", hint="ask"), Transient("the connection is lost")])
@pytest.mark.parametrize("times", [1, 4])
def test_a_change_of_the_list_that_could_not_be_read_is_asked_for_again(
    world: World, failure: DorkyError, times: int
) -> None:
    """By itself, at the next poll. What a pattern of it covers waits for that, and goes on then."""
    ann = founded(world, encrypt=())
    bob = joined(world, ann, "bob", encrypt=())
    world.settle()
    ann.keyring.encrypt(("*.pem",))
    ann.settle()
    key, left = members.key_of_document(ann.keyring.keys.listed.number), [times]

    def fault(who: str, verb: str, which: str) -> Fault | None:
        if (who, verb, which) == ("bob", "GET", key) and left[0] > 0:
            left[0] -= 1
            return Fault(failure)
        return None

    world.faults = fault
    bob.write("a.pem", SECRET)
    bob.look(whole=False)
    bob.step()
    bob.write("b.pem", SECRET)
    bob.look()
    bob.settle()
    for _ in range(60):
        bob.step(2)
    assert left == [0]
    assert bob.problems() == {}
    assert {path: text[:7] for path, text in world.objects().items()} == {"a.pem": "age-enc", "b.pem": "age-enc"}
    assert SECRET.encode() not in everything(world)


def test_a_list_that_nobody_told_of_is_found(world: World) -> None:
    """Whoever made it was killed before the log and the project's document knew."""
    bob = person(world, "bob", encrypt=())
    bob.settle()
    ann = person(world, "ann", encrypt=())
    ann.settle()
    ann.keyring.begin("ann", own_key(new_identity().encode()).share, (".env*",))
    ann.kill()
    bob.step(3600)
    bob.write(".env", SECRET)
    bob.look()
    bob.settle()
    assert ".env" not in world.objects()
    assert bob.problems() == {".env": "key-untrusted"}


def test_a_copy_of_a_secret_that_waits_for_its_key_waits_too(world: World) -> None:
    """The covered name is shut; another is open."""
    founded(world)
    bob = person(world, "bob")
    bob.write(".env", SECRET)
    bob.settle()
    bob.write("notes.txt", SECRET)
    bob.write("plain.txt", "nobody's secret\n")
    bob.settle()
    assert set(world.objects()) == {"plain.txt"}
    assert set(bob.problems()) == {".env", "notes.txt"}


def test_what_waits_since_nobody_knows_what_is_covered_is_no_secret_for_that(world: World) -> None:
    """A newcomer whose git repository names another list: once a person decided, plain files go as they are."""
    ann = founded(world)
    bob = person(world, "bob", encrypt=())
    bob.settle()
    ann.keyring.add(members.member_of("bob", share(bob)))
    bob.restart()
    bob.engine.wiring = replace(bob.engine.wiring, pinned=lambda: "0" * 40)
    bob.write("plain.txt", "nobody's secret\n")
    bob.settle()
    assert bob.problems() == {"plain.txt": "key-list"}
    bob.keyring.trust(ann.keyring.keys.fingerprint)
    bob.look()
    bob.settle()
    assert world.objects() == {"plain.txt": "nobody's secret\n"}


def sent_meanwhile(world: World, ann: Device, change: Callable[[], object]) -> None:
    """A new file is on its way while somebody changes the team's keys or patterns, which the engine follows at once."""
    left = [change]

    def meanwhile(who: str, verb: str, key: str) -> None:
        if (who, verb, key) == ("ann", "PUT", "new.crt") and left:
            left.pop()()
            ann.engine.run_due(ann.clock.monotonic())

    world.faults = meanwhile
    ann.write("new.crt", SECRET)
    ann.look()
    for _ in range(20):
        ann.step(0.5)  # no scan and no listing that would look at it again
    assert left == []
    assert ann.journal.dirty(1) == []


def test_what_is_sent_while_a_pattern_comes_to_cover_it_is_encrypted(world: World) -> None:
    """Nothing is known of a new file's object before it is recorded, so that no pattern could mark it."""
    ann = founded(world)
    sent_meanwhile(world, ann, lambda: ann.keyring.encrypt(("*.crt",)))
    assert world.objects()["new.crt"].startswith("age-enc")


def test_what_is_sent_while_somebody_leaves_is_encrypted_anew(world: World) -> None:
    """And `team list` does not count it for ever."""
    ann = founded(world, encrypt=("*.crt",))
    joined(world, ann, "bob", encrypt=("*.crt",))
    sent_meanwhile(world, ann, lambda: ann.keyring.remove("bob"))
    assert ann.keyring.keys.current is not None
    epoch = ann.keyring.keys.current.id
    assert meta(world, "new.crt")["dorky-key"] == epoch
    assert ann.journal.sealed_otherwise(epoch) == []


def lost(device: Device) -> None:
    """Its journal is gone."""
    device.kill()
    shutil.rmtree(device.journals)


@pytest.mark.parametrize("many", [0, 3])
def test_a_secret_that_was_renamed_while_the_journal_was_lost_goes_encrypted(
    world: World, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    """The object of the old name says what it holds. Whatever else is new is as it was, and waits no longer than that takes."""
    monkeypatch.setattr("dorkyd.deciding._ASKED_FIRST", 2)
    ann = founded(world)
    for name in (".env", *(f".env.{n}" for n in range(many))):
        ann.write(name, SECRET + name)
    ann.settle()
    lost(ann)
    (ann.root / ".env").rename(ann.root / "config.txt")
    ann.write("a.txt", "public\n")
    ann.restart()
    ann.settle()
    assert world.objects()["config.txt"].startswith("age-enc")
    assert world.objects()["a.txt"] == "public\n"
    assert ann.read(".env") == ann.read("config.txt")
    assert SECRET.encode() not in everything(world)


def test_an_encrypted_object_that_cannot_be_asked_holds_nobody_up(world: World) -> None:
    """After a lost journal: its path is a problem, and other files sync."""
    ann = founded(world)
    ann.write(".env", SECRET)
    ann.settle()
    lost(ann)
    ann.write("a.txt", "public\n")
    world.faults = lambda _who, verb, key: Fault(Denied("403")) if (verb, key) == ("HEAD", ".env") else None
    ann.restart()
    ann.settle()
    assert ann.problems() == {".env": "denied"}
    assert world.objects()["a.txt"] == "public\n"


def test_a_secret_that_goes_up_again_after_the_journal_was_lost_is_encrypted(world: World) -> None:
    """No pattern covers its name, and its object is gone: the log told of it by a keyed digest."""
    ann = founded(world)
    renamed(world, ann)
    lost(ann)
    world.remove("notes.txt")
    ann.restart()
    ann.settle()
    assert world.objects()["notes.txt"].startswith("age-enc")


def test_a_change_of_the_list_that_cannot_be_remembered_stops_no_other_file(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk with the keys is full: what is encrypted waits, by name, and goes on by itself."""
    ann = founded(world)
    bob = joined(world, ann, "bob")
    world.settle()
    write, full = keys.write_private, [True]

    def fails(file: pathlib.Path, data: bytes) -> None:
        if full[0] and bob.key_home is not None and bob.key_home.folder in file.parents:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(file, data)

    monkeypatch.setattr(keys, "write_private", fails)
    ann.keyring.encrypt(("*.pem",))
    ann.write("readme", "public\n")
    ann.settle()
    bob.write("a.pem", SECRET)
    bob.settle()
    assert bob.read("readme") == "public\n"
    assert bob.problems() == {"a.pem": "key-file"}
    assert "a.pem" not in world.objects()
    full[0] = False
    for _ in range(40):
        bob.step(2)
    assert bob.problems() == {}
    assert world.objects()["a.pem"].startswith("age-enc")
