"""Commits: exact states of a project that every device can bring back, whatever became of the live objects."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path as FilePath

import pytest

from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.core.commits import COMMITS, OBJECTS, CommitFile, commit_key, new_commit, object_key
from dorkyd.core.committed import Made
from dorkyd.core.lockfile import encode_lock, lock_of
from dorkyd.core.metadata import MODE, SHA256, sha256
from dorkyd.core.model import Digest, Path
from dorkyd.core.report import SyncResult
from dorkyd.errors import Blocked, DorkyError, Integrity, Refused
from dorkyd.news import Bytes
from tests.devices import Device, World
from tests.scenarios.test_manual_push import when

A = {"a": "1", "d/b": "2", "d/e/c": "3", "same": "3"}
B = {"a": "one", "d/b": "2", "new": "4"}


@pytest.fixture
def world(quick_path: FilePath) -> World:
    """Devices A and B, which hold the state A."""
    world = World(quick_path)
    for name in ("A", "B"):
        world.device(name)
    world.begin(A)
    return world


def become(device: Device, files: dict[str, str]) -> None:
    """A person makes the folder hold exactly these."""
    for path in device.tree().keys() - files.keys():
        (device.root / path).unlink()
        device.engine.folder.drop_empty_parents(Path(path))
    for path, text in files.items():
        if device.tree().get(path) != text:
            device.write(path, text)


def commit(device: Device, message: str = "m") -> Made:
    """A person commits."""
    return device.commits.commit(message)


def refused(device: Device, message: str = "m") -> DorkyError:
    """A commit that is not made."""
    with pytest.raises(DorkyError) as error:
        commit(device, message)
    return error.value


def digest(text: str) -> Digest:
    """Of a content."""
    return sha256(hashlib.sha256(text.encode()).hexdigest())


def test_a_b_and_a_again(world: World) -> None:
    """Three distinct commits, each naming the one before; each checks out byte-exactly on the other device, and the team
    follows.
    """
    one, two = world.devices
    made = []
    for files in (A, B, A):
        become(one, files)
        made.append(commit(one))
    ids = [m.named.id for m in made]
    assert len(set(ids)) == 3
    assert [m.named.header.parent for m in made] == [None, *ids[:2]]
    for at, files in zip((1, 0, 2, 1), (B, A, A, B), strict=True):
        done = two.checkout.checkout(ids[at][:8])
        assert (done.id, done.unlike) == (ids[at], ())
        assert two.tree() == files
        world.settle()
        world.all_hold(files)


def test_each_content_is_kept_once(world: World) -> None:
    """However many files and commits hold it, and no byte moves through the device that commits."""
    one, _ = world.devices
    commit(one)
    one.write("again", "3")
    commit(one)
    one.write("a", "other")
    world.forget()
    one.settle()
    sent = world.counts["A"].copy()
    commit(one)
    assert sorted(world.keys(OBJECTS)) == sorted(object_key(digest(text)) for text in ("1", "2", "3", "other"))
    assert world.counts["A"][".COPY"] - sent[".COPY"] == 1, "only what the parent does not have"
    assert world.counts["A"]["GET"] == 0


def test_the_id_is_the_digest_of_the_object(world: World) -> None:
    """So `sha256sum` of the document tells it, and its metadata does."""
    one, _ = world.devices
    made = commit(one)
    found = world.store.client().read(commit_key(1))
    assert found is not None
    assert hashlib.sha256(found[1]).hexdigest() == made.named.id == found[0].meta["dorky-sha256"]


def test_what_a_commit_says(world: World) -> None:
    """Author, device, message, and how much it is; the newest first, a page at a time."""
    one, two = world.devices
    for n in range(5):
        one.write("n", str(n))
        commit(one, f"number {n}\n\nmore")
    found = two.commits.list(None, 2)
    assert [named.header.message for named in found] == ["number 4\n\nmore", "number 3\n\nmore"]
    assert (found[0].header.author, found[0].header.device) == ("A's owner", "A")
    assert (found[0].header.count, found[0].header.bytes) == (5, 5)
    rest = two.commits.list(found[-1].header.seq, 10)
    assert [named.header.seq for named in rest] == [3, 2, 1]


def test_nothing_to_commit(world: World) -> None:
    """The same state again is refused, and nothing is written; so is a project without files."""
    one, two = world.devices
    made = commit(one)
    keys = world.keys(".dorky/")
    for device in (one, two):
        error = refused(device)
        assert (error.code, made.named.id[:12] in str(error)) == ("nothing-to-commit", True)
        assert not isinstance(error, Refused), "no wrong usage"
    assert world.keys(".dorky/") == keys


def test_an_empty_project(quick_path: FilePath) -> None:
    """There is nothing to commit; once there was something, its end is a commit like any other."""
    world = World(quick_path)
    one = world.device("A")
    world.settle()
    assert refused(one).code == "nothing-to-commit"
    one.write("f", "1")
    first = commit(one)
    (one.root / "f").unlink()
    assert commit(one).named.header.count == 0
    one.checkout.checkout(first.named.id)
    assert one.tree() == {"f": "1"}


def test_it_survives_what_becomes_of_the_objects(world: World) -> None:
    """Replaced, deleted, all trash purged on every side: the commit checks out all the same."""
    one, two = world.devices
    made = commit(one)
    become(one, {"a": "later"})
    world.settle()
    for device in world.devices:
        for item in device.engine.folder.trash():
            device.engine.folder.purge(item.name)
    world.remove(*world.keys(".dorky/trash/"))
    assert two.checkout.checkout(made.named.id).placed == len(A)
    world.settle()
    world.all_hold(A)


def test_permission_bits_come_back(world: World) -> None:
    """They belong to the state; set back alone no byte moves."""
    one, two = world.devices
    (one.root / "a").chmod(0o755)
    made = commit(one)
    (one.root / "a").chmod(0o600)
    world.settle()
    done = two.checkout.checkout(made.named.id)
    assert (done.placed, done.modes) == (0, 1)
    world.settle()
    assert one.modes()["a"] == two.modes()["a"] == 0o755


def test_a_private_file_is_opened_to_nobody(world: World) -> None:
    """Whatever bits its object had when it was committed: another tool wrote it, or an older version of this one."""
    one, two = world.devices
    meta = {MODE: "644", SHA256: hashlib.sha256(b"KEY=1\n").hexdigest()}
    world.store.client().put(".env", Bytes(b"KEY=1\n"), replaces=None, meta=meta)
    world.settle()
    made = commit(one)
    assert two.modes()[".env"] == 0o600
    assert two.checkout.checkout(made.named.id).modes == 0
    assert two.modes()[".env"] == 0o600


def test_some_paths_alone(world: World) -> None:
    """A file and a folder of a commit; what else there is stays, and what the commit has no such path of is said."""
    one, _ = world.devices
    made = commit(one)
    become(one, {"a": "x", "d/b": "y", "d/more": "z", "other": "o"})
    one.settle()
    one.checkout.checkout(made.named.id, ["d/"])
    assert one.tree() == {"a": "x", "d/b": "2", "d/e/c": "3", "d/more": "z", "other": "o"}
    with pytest.raises(Refused) as error:
        one.checkout.checkout(made.named.id, ["nowhere"])
    assert error.value.code == "not-in-commit"


def test_an_edit_is_not_overwritten_unasked(world: World) -> None:
    """An edit, or a new file, that the bucket does not have stops the whole checkout; asked to, it goes to the trash."""
    one, two = world.devices
    made = commit(one)
    become(one, B)
    world.settle()
    two.write("a", "precious")
    two.write("mine", "precious too")
    with pytest.raises(Refused) as error:
        two.checkout.checkout(made.named.id)
    assert error.value.code == "local-edits"
    assert "'a', 'mine'" in str(error.value)
    assert two.tree() == {**B, "a": "precious", "mine": "precious too"}
    assert not list((two.root / ".dorky" / "tmp").glob("[!.]*"))
    assert two.checkout.checkout(made.named.id, overwrite=True).unlike == ()
    assert two.tree() == A
    assert {"precious", "precious too"} <= set(two.trashed())


def test_an_edit_that_is_the_commit_is_in_nobodys_way(world: World) -> None:
    """What stands there is what is wanted: nothing is touched, however it came there."""
    one, two = world.devices
    made = commit(one)
    become(one, B)
    world.settle()
    become(two, A)
    done = two.checkout.checkout(made.named.id)
    assert (done.placed, done.taken_out, done.same) == (0, 0, len(A))


def test_a_file_and_a_folder_trade_places(world: World) -> None:
    """What gives way goes before what comes."""
    one, two = world.devices
    made = commit(one)
    become(one, {"a/b": "x", "d": "y"})
    world.settle()
    assert two.checkout.checkout(made.named.id).unlike == ()
    assert two.tree() == A
    world.settle()
    world.all_hold(A)


def test_a_folder_with_ignored_files_gives_no_place(world: World) -> None:
    """Nothing is taken out of it then, and what the commit has instead is told of; once they are away, it comes."""
    one, two = world.devices
    made = commit(one)
    become(one, {path: text for path, text in A.items() if path != "a"})
    one.settle()
    one.write("a/b", "in a folder")
    world.settle()
    (two.root / "a" / ".DS_Store").write_text("of nobody's interest")
    done = two.checkout.checkout(made.named.id)
    assert [told.path for told in done.unlike] == ["a", "a/b"]
    assert all("'a/.DS_Store'" in told.why for told in done.unlike)
    world.settle()
    assert one.tree()["a/b"] == "in a folder"
    (two.root / "a" / ".DS_Store").unlink()
    assert two.checkout.checkout(made.named.id).unlike == ()
    world.settle()
    world.all_hold(A)


def test_many_files_taken_out_are_not_held(world: World) -> None:
    """A person asked for it: no guard asks again, here or elsewhere."""
    one, two = world.devices
    made = commit(one)
    for n in range(60):
        one.write(f"many/{n}", str(n))
    world.settle()
    assert two.checkout.checkout(made.named.id).taken_out == 60
    world.settle()
    assert one.engine.held is two.engine.held is None
    world.all_hold(A)


@pytest.mark.parametrize("more", [True, False])
def test_two_devices_commit_at_once(world: World, more: bool) -> None:
    """A number is taken once. Whoever comes second looks at the project again, and its commit follows the other's, if it
    still says something that the other does not.
    """
    one, two = world.devices
    commit(one, "first")
    one.write("mine", "1")
    came: list[Made] = []

    def meanwhile(device: str, verb: str, key: str) -> Fault | None:
        if (device, verb, key) == ("A", "PUT", commit_key(2)) and not came:
            two.write("theirs", "2")
            came.append(commit(two, "theirs"))
            if more:
                one.write("more", "3")
        return None

    world.faults = meanwhile
    now = {**A, "mine": "1", "theirs": "2"}
    if more:
        made = commit(one, "mine")
        assert (made.named.header.seq, made.named.header.parent) == (3, came[0].named.id)
        assert one.commits.show(made.named.id)[1].by_path.keys() == {*now, "more"}
    else:
        assert "by B's owner" in str(refused(one, "mine"))
    assert came[0].named.header.seq == 2
    assert one.commits.show(came[0].named.id)[1].by_path.keys() == now.keys()


def test_a_halted_project(world: World) -> None:
    """It is not committed, and the reason is said."""
    one, _ = world.devices
    for path in A:
        world.remove(path)
    one.settle()
    assert one.engine.held is not None
    assert refused(one).code == "halted"


def test_a_conflict_is_told(world: World) -> None:
    """Conflict copies are files like others: committed, and named to whoever commits."""
    one, two = world.devices
    one.write("a", "mine")
    two.write("a", "theirs")
    world.settle()
    made = commit(one)
    assert len(made.conflicts) == 1
    assert made.conflicts[0].startswith("a (conflict ")


def test_ignored_files_are_no_part(world: World) -> None:
    """What is not synced is not committed; what a commit has and is ignored here is left alone, and said."""
    one, two = world.devices
    made = commit(one)
    one.write(".dorkyignore", "same\n")
    world.settle()
    two.write("same", "kept as it is")
    done = two.checkout.checkout(made.named.id, ["same", "a"])
    assert [(u.path, "ignored" in u.why) for u in done.unlike] == [("same", True)]
    assert two.read("same") == "kept as it is"
    later = commit(one)
    assert "same" not in one.commits.show(later.named.id)[1].by_path


def test_what_one_device_ignores_is_not_said_to_be_gone(world: World) -> None:
    """By its own settings: its commits do not say what of it there is, so that a checkout of one leaves a teammate's files."""
    one, two = world.devices
    with_all = commit(two)
    three = world.device("C", ignore=("d/", "same"))
    three.settle()
    assert refused(three).code == "nothing-to-commit"
    three.write("a", "three's")
    world.settle()
    made = commit(three)
    assert set(one.commits.show(made.named.id)[1].unseen) == {"d/", "same"}
    assert [each.path for each in one.commits.diff(with_all.named.id, made.named.id)] == ["a"]
    assert one.commits.diff(made.named.id, None) == ()
    one.write("a", "later")
    one.write("more", "m")
    one.write("d/later", "l")
    world.settle()
    done = one.checkout.checkout(made.named.id)
    assert (done.placed, done.taken_out, done.unlike) == (1, 1, ())
    done = one.checkout.locked(lock(one, made))
    assert (done.placed, done.taken_out) == (0, 0)
    world.settle()
    assert two.tree() == {**A, "a": "three's", "d/later": "l"}


def test_differences(world: World) -> None:
    """Between two commits, and between one and now."""
    one, two = world.devices
    first = commit(one)
    become(one, B)
    second = commit(one)
    found = two.commits.diff(first.named.id, second.named.id)
    assert [(d.path, d.kind) for d in found] == [
        ("a", "changed"),
        ("d/e/c", "removed"),
        ("new", "added"),
        ("same", "removed"),
    ]
    world.settle()
    assert two.commits.diff(second.named.id, None) == ()


def test_a_changed_commit_is_refused(world: World) -> None:
    """Whoever changes a document in the bucket is found out: by what the next one names, and by what was read before."""
    one, two = world.devices
    first = commit(one, "first")
    one.write("a", "x")
    second = commit(one, "second")
    client = world.store.client()
    found = client.read(commit_key(1))
    assert found is not None
    forged = found[1].replace(b'"first"', b'"fIrst"')
    world.put(commit_key(1), forged.decode())
    for device in (one, two):
        with pytest.raises(Integrity, match="commit 1 is not the one"):
            device.checkout.checkout(first.named.id)
    for device in (one, two):
        assert device.commits.store().read(device.commits.store().standing()[1])[0] == second.named.id


def test_the_last_commit_is_changed(world: World) -> None:
    """Who made it finds out, though nothing follows it."""
    one, _ = world.devices
    commit(one, "first")
    found = world.store.client().read(commit_key(1))
    assert found is not None
    world.put(commit_key(1), found[1].replace(b'"first"', b'"fIrst"').decode())
    with pytest.raises(Integrity, match="commit 1 is not the one"):
        one.commits.list(None, 10)


def test_content_that_somebody_removed(world: World) -> None:
    """Nothing is changed, and it is said."""
    one, two = world.devices
    made = commit(one)
    become(one, {})
    world.settle()
    for device in world.devices:
        for item in device.engine.folder.trash():
            device.engine.folder.purge(item.name)
    world.remove(*world.keys(".dorky/trash/"), object_key(digest("2")))
    with pytest.raises(Integrity, match="'d/b'") as error:
        two.checkout.checkout(made.named.id)
    assert error.value.code == "content-missing"
    assert two.tree() == {}
    assert not list((two.root / ".dorky" / "tmp").glob("[!.]*"))


# --- the lock file ---------------------------------------------------------------------------------------------------


def lock(device: Device, made: Made) -> str:
    """The lock file of a commit."""
    commit_id, whole = device.commits.show(made.named.id)
    return encode_lock(lock_of(whole, commit_id, "mem://b"))


def test_a_lock_reproduces_the_state(world: World) -> None:
    """On another machine, exactly."""
    one, two = world.devices
    text = lock(one, commit(one))
    become(one, B)
    world.settle()
    assert two.checkout.locked(text).unlike == ()
    assert two.tree() == A


def test_a_lock_says_how_the_folder_differs(world: World) -> None:
    """Edits in the way are named and nothing is touched; what cannot be read at the end is named too."""
    one, two = world.devices
    text = lock(one, commit(one))
    two.write("a", "edit")
    with pytest.raises(Refused, match="'a'"):
        two.checkout.locked(text)
    assert two.read("a") == "edit"
    (two.root / "a").unlink()
    (two.root / "a").symlink_to("d")
    with pytest.raises(Blocked, match="a: ") as error:
        two.checkout.locked(text, overwrite=True)
    assert error.value.code == "not-exact"


def test_a_lock_of_something_else(world: World, quick_path: FilePath) -> None:
    """Another project's, one of a commit that is not there, one that was edited, a merge conflict."""
    one, _ = world.devices
    text = lock(one, commit(one))
    other = World(quick_path / "other", MemoryBucket())
    stranger = other.device("S")
    other.settle()
    for device, said, code in [
        (stranger, text, "other-project"),
        (one, text.replace('"commit": "', '"commit": "' + "0" * 8)[: len(text) + 8], "bad-lock"),
        (one, text.replace(digest("1")[7:], "0" * 64), "lock-differs"),
        (one, "<<<<<<< HEAD\n" + text, "bad-lock"),
    ]:
        with pytest.raises(Refused) as error:
            device.checkout.locked(said)
        assert error.value.code == code


def test_the_last_commit_is_taken_back_meanwhile(world: World) -> None:
    """What the next one would have followed, and relied on for its contents, is gone before it is made: it follows what stands."""
    one, two = world.devices
    gone = commit(two)
    become(one, {"a": "later"})
    settle = one.commits.settle

    def looked() -> SyncResult:
        if gone.named.id in {each.id for each in two.commits.list(None, 10)}:
            two.commits.store().remove(two.commits.store().standing()[-1])
        return settle()

    made = replace(one.commits, settle=looked).commit("m")
    assert (made.named.header.seq, made.named.header.parent) == (1, None)
    for file in one.commits.show(made.named.id)[1].files:
        assert world.keys(object_key(file.digest))


@pytest.mark.parametrize("followed", [False, True])
def test_a_commit_that_was_read_and_taken_back(world: World, followed: bool) -> None:
    """Its number is another's by the next look: that one is no forgery, to whoever read the first, and to its author who was
    killed before it forgot it.
    """
    one, two = world.devices
    for device in (one, two):
        device.write("mine", device.name)
    world.settle()
    parent = commit(one)
    one.write("a", "first")
    world.settle()
    store = two.commits.store()
    made = new_commit(
        [CommitFile(Path("a"), digest("first"), 5, 0o644, None)],
        parent=(1, parent.named.id),
        author="",
        device="",
        time="",
        message="never said to be made",
        project="p",
    )
    gone, standing = store.create(made)
    assert gone in {each.id for each in one.commits.list(None, 10)}
    world.remove(commit_key(standing.seq))
    other = [commit(two)]
    if followed:
        two.write("a", "second")
        world.settle()
        other.append(commit(two))
    for device in (one, two):
        (*others, first) = device.commits.list(None, 10)
        assert [each.id for each in reversed(others)] == [each.named.id for each in other]
        assert first.id == parent.named.id
    for device in (one, two):
        device.write("a", f"by {device.name}")
        commit(device)


def test_a_commit_beside_another(world: World) -> None:
    """A teammate's file and commit that come between two looks are not left out of the next one."""
    one, two = world.devices
    (one.root / "mine").write_text("m")

    def theirs() -> None:
        two.write("theirs", "t")
        two.settle()
        commit(two)

    when(world, one.name, "LIST", COMMITS, theirs)
    commit(one)
    (newest, *_) = one.commits.list(None, 10)
    files = one.commits.show(newest.id)[1].by_path
    assert {"mine", "theirs"} <= files.keys()
