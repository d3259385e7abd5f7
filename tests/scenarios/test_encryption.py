"""Scenarios of encrypted files: what leaves a machine, who can read it, and what happens without a key."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib

import pytest

from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.core import members, metadata
from dorkyd.core.model import Path, Version
from dorkyd.keys import new_identity, own_key
from dorkyd.news import Bytes
from tests.devices import Device, Kill, World, trap_commits

SECRET = "PASSWORD=correct horse battery staple, and more of it\n"


@pytest.fixture
def world(tmp_path: pathlib.Path) -> World:
    """Devices with keys, over one bucket."""
    return World(tmp_path)


def person(world: World, name: str, *, encrypt: tuple[str, ...] = (".env*",), **settings: object) -> Device:
    """A device whose person has a key, and is no member yet."""
    device = world.device(name, keys=True, encrypt=encrypt, **settings)
    assert device.key_home is not None
    device.key_home.keep(new_identity().encode())
    return device


def share(device: Device) -> str:
    """What a person gives a teammate."""
    assert device.key_home is not None
    own = device.key_home.own()
    assert own is not None
    return own.share


def founded(world: World, name: str = "ann", **settings: object) -> Device:
    """The first member."""
    device = person(world, name, **settings)
    device.settle()
    device.keyring.begin(name, own_key(new_identity().encode()).share, ())
    device.settle()
    return device


def joined(world: World, first: Device, name: str, **settings: object) -> Device:
    """A member whom the first one added, and who compared the fingerprint."""
    device = person(world, name, **settings)
    device.settle()
    first.keyring.add(members.member_of(name, share(device)))
    device.keyring.trust(first.keyring.keys.fingerprint)
    device.settle()
    return device


def meta(world: World, key: str) -> dict[str, str]:
    """An object's metadata."""
    info = world.store.client().head(key)
    assert info is not None
    return dict(info.meta)


def everything(world: World) -> bytes:
    """What somebody who can read the bucket sees: keys, bytes and metadata."""
    bucket = world.store.client()
    seen = []
    for page in bucket.list():
        for listed in page:
            with bucket.get(listed.key) as reading:
                seen += [
                    listed.key.encode(),
                    b"".join(bytes(c) for c in reading),
                    json.dumps(dict(reading.info.meta)).encode(),
                ]
    return b"\n".join(seen)


def test_a_covered_file_leaves_encrypted_and_arrives_plain(world: World) -> None:
    """The object is ciphertext of age, says a keyed digest and no other, and a teammate's folder holds the file."""
    ann = founded(world)
    bob = joined(world, ann, "bob")
    ann.write(".env", SECRET)
    ann.write("readme", "public\n")
    world.settle()
    assert bob.tree() == {".env": SECRET, "readme": "public\n"}
    assert world.objects()[".env"].startswith("age-encryption.org/v1")
    assert world.objects()["readme"] == "public\n"
    told = meta(world, ".env")
    assert "dorky-sha256" not in told
    assert told["dorky-key"] == ann.keyring.keys.listed.epochs[0].id
    assert len(told["dorky-hmac"]) == 64


def test_nothing_in_the_bucket_tells_of_the_content(world: World) -> None:
    """Not its bytes, its SHA-256 or MD5, nor its length as a value: in objects, metadata, log, trash and conflict copies."""
    ann = founded(world)
    bob = joined(world, ann, "bob")
    texts = [SECRET * n + "x" * 123 for n in (1, 2, 3, 700)]
    ann.write(".env", texts[0])
    world.settle()
    ann.write(".env", texts[1])
    bob.write(".env", texts[2])
    bob.write(".env.large", texts[3])
    world.settle()
    assert any("(conflict" in path for path in ann.tree())
    seen = everything(world)
    for text in texts:
        data = text.encode()
        assert data not in seen
        for digest in (hashlib.sha256(data).hexdigest(), hashlib.md5(data, usedforsecurity=False).hexdigest()):
            assert digest.encode() not in seen
            assert digest[:6].encode() not in "\n".join(world.keys()).encode()
        assert f'"{len(data)}"'.encode() not in seen
        assert f": {len(data)},".encode() not in seen
        assert f":{len(data)},".encode() not in seen
    assert ann.tree() == bob.tree()


def test_a_conflict_copy_is_encrypted(world: World) -> None:
    """It is a copy of a secret."""
    ann = founded(world)
    bob = joined(world, ann, "bob")
    ann.write(".env", "A=1\n")
    world.settle()
    ann.write(".env", "A=2\n")
    bob.write(".env", "A=3\n")
    world.settle()
    copies = [path for path in world.objects() if "(conflict" in path]
    assert len(copies) == 1
    assert all(text.startswith("age-enc") for text in world.objects().values())
    assert set(ann.tree().values()) == {"A=2\n", "A=3\n"}


def test_without_a_key_a_path_is_a_problem_and_the_rest_syncs(world: World) -> None:
    """Neither an edit nor a deletion of it leaves the machine, and its file stays as it is."""
    ann = founded(world)
    ann.write(".env", SECRET)
    ann.settle()
    eve = world.device("eve", keys=True, encrypt=(".env*",))
    eve.write("plain", "1")
    eve.write(".env.mine", "2")
    eve.settle()
    assert eve.problems() == {".env": "key-untrusted", ".env.mine": "key-untrusted"}
    assert world.objects().keys() == {".env", "plain"}
    assert eve.tree() == {"plain": "1", ".env.mine": "2"}


def test_before_anybody_made_keys_a_covered_file_waits(world: World) -> None:
    """It goes up, encrypted, once they are there."""
    ann = person(world, "ann")
    ann.write(".env", SECRET)
    ann.write("plain", "1")
    ann.settle()
    assert ann.problems() == {".env": "no-key"}
    assert world.objects() == {"plain": "1"}
    ann.keyring.begin("ann", own_key(new_identity().encode()).share, ())
    ann.settle()
    assert ann.problems() == {}
    assert world.objects()[".env"].startswith("age-enc")


def test_a_key_that_cannot_be_opened_lets_nothing_out_in_plain(world: World) -> None:
    """After a start: what is encrypted is known though nothing can be, by the list, and by memory where that is not right."""
    ann = founded(world, encrypt=())
    ann.keyring.encrypt(("secret/",))
    ann.settle()
    assert ann.key_home is not None
    key = ann.key_home.file.read_bytes()
    for number, harm in enumerate((ann.key_home.file.unlink, lambda: world.remove(members.key_of_document(2)))):
        harm()
        ann.restart()
        ann.write(f"secret/{number}", SECRET)
        ann.settle()
        assert ann.problems()[f"secret/{number}"] in {"no-key", "key-list-rewound"}
        assert f"secret/{number}" not in world.objects()
        ann.key_home.file.write_bytes(key)


def test_a_newcomer_lets_nothing_out_in_plain_that_the_list_covers(world: World) -> None:
    """Though nobody compared the fingerprint yet."""
    ann = founded(world, encrypt=())
    ann.keyring.encrypt(("secret/",))
    ann.settle()
    eve = world.device("eve", keys=True)
    eve.write("secret/mine", SECRET)
    eve.write("plain", "1")
    eve.settle()
    assert eve.problems() == {"secret/mine": "key-untrusted"}
    assert world.objects() == {"plain": "1"}


def test_a_lost_key_takes_nothing_along(world: World) -> None:
    """A device that had the key and lost it deletes and changes nothing of what is encrypted, whatever became of its files."""
    ann = founded(world)
    bob = joined(world, ann, "bob")
    ann.write(".env", SECRET)
    ann.write(".env.b", SECRET + "b")
    world.settle()
    before = world.objects()
    assert bob.key_home is not None
    bob.key_home.file.unlink()
    bob.restart()
    (bob.root / ".env").unlink()
    bob.write(".env.b", "changed")
    bob.settle()
    assert bob.problems() == {".env": "no-key", ".env.b": "no-key"}
    assert world.objects() == before
    assert bob.tree() == {".env.b": "changed"}


def test_a_pattern_that_covers_plain_objects_encrypts_them(world: World) -> None:
    """By an ordinary write of who has the file; nobody's file changes."""
    ann = founded(world, encrypt=())
    bob = joined(world, ann, "bob", encrypt=())
    ann.write("config/db.txt", SECRET)
    world.settle()
    assert world.objects()["config/db.txt"] == SECRET
    ann.keyring.encrypt(("config/",))
    world.settle()
    assert world.objects()["config/db.txt"].startswith("age-enc")
    assert ann.tree() == bob.tree() == {"config/db.txt": SECRET}
    bob.write("config/other", "2")
    world.settle()
    assert world.objects()["config/other"].startswith("age-enc")


def test_what_is_encrypted_stays_so_under_another_name(world: World) -> None:
    """A rename, and a copy of its content, do not make it plain."""
    ann = founded(world)
    bob = joined(world, ann, "bob")
    ann.write(".env", SECRET)
    world.settle()
    (ann.root / ".env").rename(ann.root / "notes.txt")
    ann.write("copy.txt", SECRET)
    world.settle()
    assert bob.tree() == {"notes.txt": SECRET, "copy.txt": SECRET}
    assert all(text.startswith("age-enc") for text in world.objects().values())
    ann.write("notes.txt", SECRET + "more")
    world.settle()
    assert world.objects()["notes.txt"].startswith("age-enc")
    assert bob.read("notes.txt") == SECRET + "more"


def test_a_plain_file_renamed_to_a_secret_is_encrypted(world: World) -> None:
    """No copy inside the store, which would keep its bytes."""
    ann = founded(world)
    bob = joined(world, ann, "bob")
    ann.write("plain.txt", SECRET)
    world.settle()
    (ann.root / "plain.txt").rename(ann.root / ".env")
    world.settle()
    assert bob.tree() == {".env": SECRET}
    assert world.objects().keys() == {".env"}
    assert world.objects()[".env"].startswith("age-enc")


def test_a_teammates_move_of_a_secret_is_a_rename_here(world: World) -> None:
    """The keyed digest is recognised, so that nothing is fetched."""
    ann = founded(world)
    bob = joined(world, ann, "bob")
    ann.write(".env", SECRET)
    world.settle()
    (ann.root / ".env").rename(ann.root / ".env.moved")
    world.settle()
    world.forget()
    assert bob.tree() == {".env.moved": SECRET}
    assert ("move", "ann") in bob.history(".env.moved")


def test_downloaded_secrets_are_the_owners_alone(world: World) -> None:
    """0600, whatever the writer's bits are, and that is no change of the bits to anybody."""
    ann = founded(world, encrypt=("*.txt",))
    bob = joined(world, ann, "bob", encrypt=("*.txt",))
    ann.write("f.txt", SECRET)
    (ann.root / "f.txt").chmod(0o644)
    world.settle()
    assert bob.modes() == {"f.txt": 0o600}
    assert ann.modes() == {"f.txt": 0o644}
    op = world.ops()
    world.settle()
    assert world.ops() == op
    bob.write("f.txt", SECRET + "2")
    world.settle()
    assert ann.read("f.txt") == SECRET + "2"
    assert ann.modes() == {"f.txt": 0o600}


def test_joining_with_the_same_file_fetches_nothing(world: World) -> None:
    """A look tells the keyed digest, which the file here has."""
    ann = founded(world)
    ann.write(".env", SECRET)
    ann.settle()
    bob = person(world, "bob")
    ann.keyring.add(members.member_of("bob", share(bob)))
    bob.write(".env", SECRET)
    bob.settle()
    bob.keyring.trust(ann.keyring.keys.fingerprint)
    world.forget()
    bob.settle()
    assert bob.problems() == {}
    assert world.moved("bob") == {}


def tampered(world: World, key: str, change: int) -> None:
    """Somebody changes one byte of an object, keeping its metadata."""
    bucket = world.store.client()
    with bucket.get(key) as reading:
        data = bytearray(b"".join(bytes(c) for c in reading))
        info = reading.info
    data[change] ^= 1
    bucket.put(key, Bytes(bytes(data)), replaces=info.version, meta=info.meta)


def test_a_tampered_object_is_refused_and_the_file_stays(world: World) -> None:
    """Nothing of it reaches the folder."""
    ann = founded(world)
    bob = joined(world, ann, "bob")
    ann.write(".env", SECRET)
    world.settle()
    tampered(world, ".env", -3)
    bob.settle()
    assert bob.tree() == {".env": SECRET}
    assert bob.problems() == {".env": "tampered"}
    assert list((bob.root / ".dorky" / "tmp").glob("[!.]*")) == []


def test_a_forged_object_is_refused(world: World) -> None:
    """Anyone can encrypt to a public key; only who holds the identity can make the keyed digest."""
    import pyrage

    ann = founded(world)
    bob = joined(world, ann, "bob")
    ann.write(".env", SECRET)
    world.settle()
    bucket = world.store.client()
    info = bucket.head(".env")
    assert info is not None
    recipient = pyrage.x25519.Recipient.from_str(ann.keyring.keys.listed.epochs[0].recipient)
    forged = {**info.meta, "dorky-op": "f" * 32, "dorky-hmac": "0" * 64}
    bucket.put(".env", Bytes(pyrage.encrypt(b"forged", [recipient])), replaces=info.version, meta=forged)
    bob.settle()
    assert bob.read(".env") == SECRET
    assert bob.problems() == {".env": "tampered"}


def test_a_member_who_left_reads_nothing_new(world: World) -> None:
    """Everyone else reads everything, and what was there is encrypted anew."""
    ann = founded(world)
    bob, cid = joined(world, ann, "bob"), joined(world, ann, "cid")
    ann.write(".env", SECRET)
    ann.write(".env.two", SECRET + "2")
    world.settle()
    old = ann.keyring.keys.listed.epochs[0].id
    ann.keyring.remove("bob")
    ann.settle()
    cid.settle()
    ann.write(".env.three", SECRET + "3")
    cid.write(".env.four", SECRET + "4")
    for _ in range(2):
        ann.settle()
        cid.settle()
    assert ann.tree() == cid.tree()
    assert len(cid.tree()) == 4
    epochs = {meta(world, key)["dorky-key"] for key in world.objects()}
    assert epochs == {ann.keyring.keys.listed.epochs[-1].id}
    assert old not in epochs
    before = bob.tree()
    bob.settle()
    assert set(bob.problems().values()) == {"no-key"}
    assert bob.tree() == before


def test_who_did_not_hear_of_it_writes_nothing_that_the_one_who_left_can_read(world: World) -> None:
    """The list is asked for before each encryption, not only with a listing."""
    ann = founded(world)
    joined(world, ann, "bob")
    cid = joined(world, ann, "cid")
    world.settle()
    ann.keyring.remove("bob")
    cid.write(".env.late", SECRET)
    cid.settle()
    assert meta(world, ".env.late")["dorky-key"] == ann.keyring.keys.listed.epochs[-1].id


def test_two_changes_of_the_team_at_one_time_both_hold(world: World) -> None:
    """A number that is taken is read, and the change made on top of it."""
    ann = founded(world)
    bob = joined(world, ann, "bob")
    cid, dan = person(world, "cid"), person(world, "dan")
    bob.keyring.add(members.member_of("cid", share(cid)))
    ann.keyring.add(members.member_of("dan", share(dan)))
    bob.keyring.follow()
    names = {member.name for member in bob.keyring.keys.listed.members}
    assert names == {"ann", "bob", "cid", "dan", "recovery"}


def test_a_removal_and_an_addition_at_one_time_both_hold(world: World) -> None:
    """And the new member reads the new epoch."""
    ann = founded(world)
    bob = joined(world, ann, "bob")
    cid = person(world, "cid")
    cid.settle()
    ann.keyring.follow()
    bob.keyring.add(members.member_of("cid", share(cid)))
    ann.keyring.remove("bob")
    cid.keyring.trust(ann.keyring.keys.fingerprint)
    assert cid.keyring.keys.current is not None
    assert {m.name for m in cid.keyring.keys.listed.members} == {"ann", "cid", "recovery"}


@pytest.mark.parametrize("what", ["changed", "rolled-back", "gone", "replaced"])
def test_a_list_that_is_not_right_is_refused(world: World, what: str) -> None:
    """Nothing is encrypted to what it says, nothing changes here, and it is said loudly."""
    ann = founded(world)
    bob = joined(world, ann, "bob")
    ann.write(".env", SECRET)
    world.settle()
    bucket = world.store.client()
    first, second = members.key_of_document(1), members.key_of_document(2)
    match what:
        case "changed":
            found = bucket.read(second)
            assert found is not None
            text = found[1].replace(b'\\"name\\":\\"bob\\"', b'\\"name\\":\\"eve\\"')
            assert text != found[1]
            bucket.put(second, Bytes(text), replaces=found[0].version, meta={})
        case "rolled-back":
            world.remove(second)
        case "gone":
            world.remove(first, second)
        case "replaced":
            eve = World(world.base / "elsewhere")
            founded(eve, "eve")
            found = eve.store.client().read(first)
            now = bucket.head(first)
            assert found is not None
            assert now is not None
            bucket.put(first, Bytes(found[1]), replaces=now.version, meta={})
    for device in (ann, bob):
        device.restart()
        device.write(".env.new", "new")
        device.settle()
        assert device.problems()[".env.new"] in {"key-list", "key-list-rewound"}
        assert device.read(".env") == SECRET
        assert "keys" in device.engine.warnings
    assert ".env.new" not in world.objects()


def test_a_planted_identity_is_refused(world: World) -> None:
    """An epoch's key must be the one that the signed list names."""
    import pyrage

    ann = founded(world)
    epoch = ann.keyring.keys.listed.epochs[0].id
    bucket = world.store.client()
    key = members.key_of_identity(epoch, "ann")
    info = bucket.head(key)
    assert info is not None
    mine = pyrage.x25519.Recipient.from_str(share(ann).partition(":")[0])
    bucket.put(key, Bytes(pyrage.encrypt(new_identity().encode(), [mine])), replaces=info.version, meta={})
    ann.restart()
    ann.write(".env", SECRET)
    ann.settle()
    assert ann.problems() == {".env": "key-list"}
    assert world.objects() == {}


def test_the_recovery_key_reads_everything(world: World) -> None:
    """It is a member from the first day."""
    ann = person(world, "ann")
    ann.settle()
    recovery = new_identity()
    ann.keyring.begin("ann", own_key(recovery.encode()).share, ())
    ann.write(".env", SECRET)
    ann.settle()
    new = world.device("new", keys=True)
    assert new.key_home is not None
    new.key_home.keep(recovery.encode())
    new.settle()
    new.keyring.trust(ann.keyring.keys.fingerprint)
    new.settle()
    assert new.tree() == {".env": SECRET}


def test_the_log_tells_keyed_digests_and_no_sizes(world: World) -> None:
    """Of what is encrypted; plain files are told of as ever."""
    ann = founded(world)
    ann.write(".env", SECRET)
    ann.write("plain", "1")
    ann.settle()
    told = {}
    for key in world.keys(".dorky/log/"):
        found = world.store.client().read(key)
        assert found is not None
        told |= {change["path"]: change for change in json.loads(found[1])["changes"]}
    assert told[".env"]["digest"] == "hmac-sha256:" + meta(world, ".env")["dorky-hmac"]
    assert told[".env"]["size"] is None
    assert told["plain"]["size"] == 1
    assert ann.journal.base(Path(".env")) is not None
    assert metadata.sealed_word(meta(world, ".env")) is not None


# --- large ones, and the worst instants -------------------------------------------------------------------------------


@pytest.fixture
def parts(quick_path: pathlib.Path) -> World:
    """A bucket where more than 300 bytes go in parts of 100."""
    return World(quick_path, MemoryBucket(sessions_over=300, part_bytes=100))


STRIDE = 1 if os.environ.get("DORKY_FULL") == "1" else 13
"""Every so-many-th step is the last; all of them where there is time."""
LARGE = "".join(f"line {n} of a large secret\n" for n in range(20))


def dies_at(world: World, device: Device, request: int, key: str) -> None:
    """The device ends when it sends its so-many-th PUT of the object; the store does not get that one."""
    left = [request]

    def fault(who: str, verb: str, which: str) -> Fault | None:
        if (who, verb, which) == (device.name, "PUT", key) and left[0] > 0:
            left[0] -= 1
            if left[0] == 0:
                device.trap.dead = True
                raise Kill
        return None

    world.faults = fault


def sealed_names(device: Device) -> list[str]:
    """Ciphertext in staging."""
    return [file.name for file in (device.root / ".dorky" / "tmp").glob("sealed-*")]


def test_a_large_upload_goes_on_after_a_kill_with_the_same_ciphertext(parts: World) -> None:
    """What the store has of it is not sent again, and nothing is left in staging afterwards."""
    ann = founded(parts)
    bob = joined(parts, ann, "bob")
    parts.settle()
    ann.write(".env", LARGE)
    dies_at(parts, ann, 5, ".env")
    with pytest.raises(Kill):
        ann.settle()
    (name,) = sealed_names(ann)
    data = (ann.root / ".dorky" / "tmp" / name).read_bytes()
    ann.restart()
    parts.forget()
    parts.settle()
    assert bob.read(".env") == LARGE
    with parts.store.client().get(".env") as reading:
        assert b"".join(bytes(chunk) for chunk in reading) == data
    assert parts.moved("ann")["PUT"] < len(data) // 100
    assert sealed_names(ann) == []


def test_a_large_upload_that_was_begun_before_a_removal_begins_anew(parts: World) -> None:
    """Its ciphertext is of the epoch that somebody left."""
    ann = founded(parts)
    joined(parts, ann, "bob")
    cid = joined(parts, ann, "cid")
    parts.settle()
    cid.write(".env", LARGE)
    dies_at(parts, cid, 5, ".env")
    with pytest.raises(Kill):
        cid.settle()
    ann.keyring.remove("bob")
    cid.restart()
    cid.settle()
    assert meta(parts, ".env")["dorky-key"] == ann.keyring.keys.listed.epochs[-1].id
    assert sealed_names(cid) == []
    ann.settle()
    assert ann.read(".env") == LARGE


def test_lost_ciphertext_of_a_large_upload_is_made_anew(parts: World) -> None:
    """Without it the session is of no use."""
    ann = founded(parts)
    ann.write(".env", LARGE)
    dies_at(parts, ann, 5, ".env")
    with pytest.raises(Kill):
        ann.settle()
    for name in sealed_names(ann):
        (ann.root / ".dorky" / "tmp" / name).unlink()
    ann.restart()
    ann.settle()
    assert ann.problems() == {}
    assert parts.objects()[".env"].startswith("age-enc")


def _story(world: World) -> tuple[Device, Device]:
    """Both hold a secret; another goes up large, one is edited on both sides, one is plain and to be encrypted."""
    ann = founded(world, encrypt=())
    bob = joined(world, ann, "bob", encrypt=())
    ann.write("plain", LARGE)
    ann.keyring.encrypt((".env*",))
    ann.write(".env", "A=1\n")
    world.settle()
    ann.keyring.encrypt((".env*", "plain"))
    ann.keyring.remove("recovery")
    ann.write(".env", "A=ann\n")
    bob.write(".env", "A=bob\n")
    ann.write(".env.large", LARGE + "2")
    return ann, bob


@pytest.mark.parametrize(("who", "after"), [("ann", False), ("bob", True)])
def test_a_kill_at_any_step_loses_and_betrays_nothing(
    parts: World, monkeypatch: pytest.MonkeyPatch, who: str, after: bool
) -> None:
    """Encrypting anew, a large upload, a conflict: whoever is killed wherever, all ends encrypted, equal and whole."""
    steps = 0
    at = 1
    while True:
        world = World(parts.base / f"at{at}", MemoryBucket(sessions_over=300, part_bytes=100))
        ann, bob = _story(world)
        victim = ann if who == "ann" else bob
        trap_commits(monkeypatch, {who: victim.trap})
        victim.trap.set(at, after=after)
        try:
            world.settle()
        except Kill:
            victim.restart()
        else:
            steps = victim.trap.count
            break
        finally:
            monkeypatch.undo()
        world.settle()
        assert all(text.startswith("age-enc") for text in world.objects().values()), at
        assert {"A=ann\n", "A=bob\n"} <= set(ann.tree().values()), at
        assert ann.tree() == bob.tree(), at
        assert ann.tree()["plain"] == LARGE
        assert ann.tree()[".env.large"] == LARGE + "2"
        epoch = ann.keyring.keys.listed.epochs[-1].id
        assert {meta(world, key)["dorky-key"] for key in world.objects()} == {epoch}, at
        assert sealed_names(ann) == sealed_names(bob) == []
        for device in (ann, bob):
            device.kill()
        at += STRIDE
    assert steps > 20


def test_ciphertext_that_lost_its_metadata_replaces_nothing(world: World) -> None:
    """A tool that copies objects without their metadata makes a problem of each secret, not ciphertext of everybody's file."""
    ann = founded(world)
    bob = joined(world, ann, "bob")
    ann.write(".env", SECRET)
    world.settle()
    bucket, kept = world.store.client(), meta(world, ".env")
    with bucket.get(".env") as reading:
        stored = b"".join(bytes(chunk) for chunk in reading)
    bucket.put(".env", Bytes(stored), replaces=look(world, ".env"), meta={})
    for device in (ann, bob, ann):
        device.settle()
        assert device.tree() == {".env": SECRET}
        assert device.problems() == {".env": "tampered"}
        device.restart()
    # As the problem's hint says.
    bucket.put(".env", Bytes(stored), replaces=look(world, ".env"), meta=kept)
    for device in (ann, bob, ann):
        device.settle()
    assert ann.problems() == bob.problems() == {}
    assert ann.tree() == bob.tree() == {".env": SECRET}


def look(world: World, key: str) -> Version:
    """An object's version."""
    info = world.store.client().head(key)
    assert info is not None
    return info.version
