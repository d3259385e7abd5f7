"""Large uploads: whatever ends them midway, they go on where they were, or are given up whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.core import metadata
from dorkyd.core.paths import parse_conflict
from dorkyd.errors import Denied, Stale, Transient
from dorkyd.giving_up import REFUSED_S
from tests.devices import Device, Kill, World, trap_commits

PART = 4
LARGE = "aaaabbbbccccddddee"
"""Five parts."""
OTHER = "AAAABBBBCCCCDDDDEE"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Devices A and B over a bucket where more than 8 bytes are many."""
    made = World(tmp_path, MemoryBucket(sessions_over=8, part_bytes=PART))
    made.device("A")
    made.device("B")
    return made


def dies_at(world: World, device: Device, request: int, key: str = "f") -> None:
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


def until_dead(device: Device) -> None:
    """Let it work until it ends, and start it again."""
    with pytest.raises(Kill):
        device.settle()
    device.restart()


def test_a_large_file_goes_in_parts_and_leaves_nothing_open(world: World) -> None:
    """One request to begin, one a part, one to end; the other device fetches it."""
    one, _ = world.begin({})
    one.write("f", LARGE)
    world.settle()
    world.all_hold({"f": LARGE})
    assert world.moved("A") == {"PUT": 7}
    assert world.store.open_sessions == []


@pytest.mark.parametrize("request_at", range(1, 8))
def test_g05_no_part_is_sent_twice_after_a_kill(world: World, request_at: int) -> None:
    """Killed at any request of the upload, it goes on in the same session: every byte is sent once."""
    one, _ = world.begin({})
    one.write("f", LARGE)
    dies_at(world, one, request_at)
    until_dead(one)
    world.settle()
    world.all_hold({"f": LARGE})
    # Begin, five parts, end; and the one that the kill swallowed.
    assert world.moved("A") == {"PUT": 8}
    assert world.store.begun_sessions == 1
    assert world.store.open_sessions == []


def test_a_kill_between_the_session_and_its_record_costs_one_session(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows of that session any more, and another is begun; the file arrives all the same."""
    one, _ = world.begin({})
    one.write("f", LARGE)
    trap_commits(monkeypatch, {"A": one.trap})
    one.trap.set(1, after=True, only=lambda name, _first: name == "begin")
    until_dead(one)
    world.settle()
    world.all_hold({"f": LARGE})
    assert world.store.begun_sessions == 2


def test_an_end_whose_reply_was_lost_sends_nothing_again(world: World) -> None:
    """Killed after the last byte, before the reply was read: the object tells whose write it is."""
    one, _ = world.begin({})
    one.write("f", LARGE)
    one.trap.set(1, after=True, only=lambda name, _first: name == "put")
    until_dead(one)
    world.forget()
    world.settle()
    world.all_hold({"f": LARGE})
    assert world.moved("A") == {}
    assert world.store.open_sessions == []


def test_a_lost_connection_goes_on_with_the_parts_that_are_there(world: World) -> None:
    """The same process too sends no part twice."""
    one, _ = world.begin({})
    one.write("f", LARGE)
    sent = [0]

    def fault(who: str, verb: str, key: str) -> Fault | None:
        if (who, verb, key) != ("A", "PUT", "f"):
            return None
        sent[0] += 1
        return Fault(Transient("connection reset"), "after") if sent[0] == 3 else None

    world.faults = fault
    world.settle()
    world.all_hold({"f": LARGE})
    # The third was stored, so that only its reply is missing.
    assert world.moved("A") == {"PUT": 7}


def test_g10_the_other_device_wins_the_name_meanwhile(world: World) -> None:
    """The end is refused; the bytes become a conflict copy, and the session is given up."""
    one, two = world.begin({"f": "1"})
    one.write("f", LARGE)
    dies_at(world, one, 3)
    until_dead(one)
    two.write("f", "b")
    two.settle()
    world.settle()
    tree = one.tree()
    assert tree["f"] == "b"
    (copy,) = set(tree) - {"f"}
    assert parse_conflict(copy) is not None
    assert tree[copy] == LARGE
    world.all_hold(tree)
    assert world.store.open_sessions == []


def test_the_other_device_wins_at_the_last_moment(world: World) -> None:
    """As before, found by the condition at the end alone."""
    one, _ = world.begin({"f": "1"})
    one.write("f", LARGE)
    sent = [0]

    def fault(who: str, verb: str, key: str) -> Fault | None:
        if (who, verb, key) == ("A", "PUT", "f"):
            sent[0] += 1
            if sent[0] == 7:
                world.put("f", "theirs")
        return None

    world.faults = fault
    world.settle()
    tree = one.tree()
    assert tree["f"] == "theirs"
    assert sorted(tree.values()) == sorted([LARGE, "theirs"])
    world.all_hold(tree)
    assert world.store.open_sessions == []


def test_a_file_that_changed_midway_begins_anew(world: World) -> None:
    """What was sent of the old bytes is given up."""
    one, _ = world.begin({})
    one.write("f", LARGE)
    dies_at(world, one, 4)
    until_dead(one)
    one.write("f", OTHER)
    world.settle()
    world.all_hold({"f": OTHER})
    assert world.store.begun_sessions == 2
    assert world.store.open_sessions == []


def test_a_file_that_changed_back_midway_begins_anew(world: World) -> None:
    """Parts were sent while the file held other bytes of the same size for a moment: its session is of no use, and the
    file arrives all the same.
    """
    one, _ = world.begin({})
    one.write("f", LARGE)
    dies_at(world, one, 4)
    until_dead(one)
    with world.store._store.lock:
        (upload,) = world.store._store.sessions.values()
        upload.data[0:1] = b"?"
    world.settle()
    world.all_hold({"f": LARGE})
    assert world.store.begun_sessions == 2
    assert world.store.open_sessions == []


def test_a_file_that_vanished_midway_is_given_up(world: World) -> None:
    """No object, no parts."""
    one, _ = world.begin({})
    one.write("f", LARGE)
    dies_at(world, one, 4)
    until_dead(one)
    (one.root / "f").unlink()
    world.settle()
    world.all_hold({})
    assert world.store.open_sessions == []


def test_a_session_that_the_store_forgot_is_begun_anew(world: World) -> None:
    """A lifecycle rule may end what lay for long."""
    one, _ = world.begin({})
    one.write("f", LARGE)
    dies_at(world, one, 4)
    until_dead(one)
    world.store.forget_sessions()
    world.settle()
    world.all_hold({"f": LARGE})
    assert world.store.begun_sessions == 2
    assert world.store.open_sessions == []


def test_keys_that_a_person_set_meanwhile_are_kept(tmp_path: Path) -> None:
    """The session's metadata is of when it began: it is given up, and the object keeps the person's key."""
    world = World(tmp_path, MemoryBucket(sessions_over=8, part_bytes=PART, etags=True, seconds=lambda: 7))
    one = world.device("A")
    one.write("f", "1")
    world.settle()
    one.write("f", LARGE)
    dies_at(world, one, 4)
    until_dead(one)
    bucket = world.store.client()
    info = bucket.head("f")
    assert info is not None
    meta = {**info.meta, "owner": "ann"}
    bucket.copy("f", "f", source_version=info.version, replaces=info.version, meta=meta)
    world.settle()
    world.all_hold({"f": LARGE})
    info = bucket.head("f")
    assert info is not None
    assert metadata.user_keys(info.meta) == {"owner": "ann"}
    assert world.store.open_sessions == []


def test_a_store_that_denies_giving_up_stops_nothing(world: World) -> None:
    """The parts stay until somebody may end them, and `status` says so until then."""
    one, _ = world.begin({})
    one.write("f", LARGE)
    dies_at(world, one, 4)
    until_dead(one)
    (one.root / "f").unlink()

    def fault(who: str, verb: str, key: str) -> Fault | None:
        return Fault(Denied("no s3:AbortMultipartUpload")) if (verb, key) == ("DELETE", "f") else None

    world.faults = fault
    one.write("g", "1")
    world.settle()
    world.all_hold({"g": "1"})
    assert "unfinished-uploads" in one.engine.warnings
    world.faults = lambda _who, _verb, _key: None
    one.step(60)
    assert "unfinished-uploads" in one.engine.warnings, "a refusal is not asked for again at once"
    one.step(REFUSED_S)
    assert "unfinished-uploads" not in one.engine.warnings
    assert world.store.open_sessions == []


def test_a_former_buckets_sessions_are_forgotten(world: World) -> None:
    """A large upload that was begun in another bucket is begun anew: its session would write there."""
    one, _ = world.begin({})
    one.write("f", LARGE)
    dies_at(world, one, 4)
    until_dead(one)
    former = list(world.store.open_sessions)
    assert len(former) == 1
    one.project = replace(one.project, endpoint_url="http://127.0.0.1:1")
    one.restart()
    world.settle()
    world.all_hold({"f": LARGE})
    assert world.store.open_sessions == former
    assert one.journal.sessions.all() == []


def test_a_store_that_fails_strangely_at_giving_up_stops_nothing(world: World) -> None:
    """One upload that cannot be removed is no trouble of the project's: news comes in and changes go out."""
    one, two = world.begin({})
    one.write("f", LARGE)
    dies_at(world, one, 4)
    until_dead(one)
    (one.root / "f").unlink()

    def fault(who: str, verb: str, key: str) -> Fault | None:
        if (verb, key) != ("DELETE", "f") or len(troubles) == 2:
            return None
        troubles.append(one.engine.trouble)
        raise RuntimeError("a reply that nobody foresaw")

    troubles: list[object] = []
    world.faults = fault
    for name in ("g", "h"):
        two.write(name, "1")
        world.settle()
        assert one.engine.trouble is None
    world.all_hold({"g": "1", "h": "1"})
    assert troubles == [None]
    assert "unfinished-uploads" in one.engine.warnings


def test_what_a_large_upload_replaces_is_kept_once(world: World) -> None:
    """However often it is interrupted, the bucket's trash gets the old state one time."""
    one, _ = world.begin({"f": "old"})
    one.write("f", LARGE)
    for request in (3, 2, 2):
        dies_at(world, one, request)
        until_dead(one)
    world.settle()
    world.all_hold({"f": LARGE})
    assert world.bucket_trash() == ["old"]


def test_a_refused_end_is_tried_again_without_sending_anything(world: World) -> None:
    """409: look, and try again."""
    one, _ = world.begin({})
    one.write("f", LARGE)
    sent = [0]

    def fault(who: str, verb: str, key: str) -> Fault | None:
        if (who, verb, key) != ("A", "PUT", "f"):
            return None
        sent[0] += 1
        return Fault(Stale("conflicting conditional operation")) if sent[0] == 7 else None

    world.faults = fault
    world.settle()
    world.all_hold({"f": LARGE})
    assert world.moved("A") == {"PUT": 8}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 9))
def test_a_kill_at_each_effect_of_an_update(
    world: World, at: int, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commits and requests of replacing one large file by another: same end as without the kill."""
    one, _ = world.begin({"f": LARGE})
    trap_commits(monkeypatch, {"A": one.trap})
    one.write("f", OTHER)
    one.trap.set(at, after=after, only=lambda name, _first: name in {"commit", "begin", "put", "copy", "abandon"})
    until_dead(one)
    world.settle()
    world.all_hold({"f": OTHER})
    # A kill between the copy and the record of the session makes another copy: more than needed, never less.
    assert set(world.bucket_trash()) == {LARGE}
