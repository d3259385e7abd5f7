"""Every halt: nothing is deleted on the other side meanwhile, the words say what and how, and each decision does it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dorkyd.buckets.memory import Fault
from dorkyd.core.report import Halt, HaltReason
from dorkyd.core.settings import Guard
from dorkyd.errors import Refused, Transient
from tests.devices import Device, World

TWENTY = {f"f{n:02d}": f"{n}" for n in range(20)}
NINE = {path: text for path, text in TWENTY.items() if path >= "f11"}


def _world(tmp_path: Path, files: dict[str, str] = TWENTY, **settings: object) -> tuple[World, Device, Device]:
    world = World(tmp_path)
    a, b = world.device("a", **settings), world.device("b", **settings)
    for path, text in files.items():
        a.write(path, text)
    world.settle()
    assert b.tree() == files
    return world, a, b


def _halt(device: Device) -> Halt:
    assert device.engine.held is not None
    return device.engine.held.halt


def _delete_eleven(device: Device) -> None:
    for n in range(11):
        (device.root / f"f{n:02d}").unlink()


def _empty(device: Device, *, marker: bool) -> None:
    """Everything in the folder is gone, the marker too if told."""
    for found in device.root.iterdir():
        if found.name == ".dorky" and not marker:
            continue
        shutil.rmtree(found) if found.is_dir() else found.unlink()


# --- mass-delete ----------------------------------------------------------------------------------------------------


def test_c11_mass_deletion_here(tmp_path: Path) -> None:
    """11 of 20 files deleted: held with a token; approved, they go everywhere, since the approval travels."""
    world, a, b = _world(tmp_path)
    _delete_eleven(a)
    world.settle()
    halt = _halt(a)
    assert halt.reason is HaltReason.MASS_DELETE
    assert "11 of 20" in halt.detail
    assert "'f00'" in halt.detail
    assert f"dorkyctl approve p {halt.token}" in halt.detail
    assert f"dorkyctl reject p {halt.token}" in halt.detail
    assert world.objects() == b.tree() == TWENTY
    a.decisions.approve(halt.token)
    world.settle()
    assert a.engine.held is None
    assert b.engine.held is None
    assert a.tree() == b.tree() == world.objects() == NINE
    assert len(b.trashed()) == 11


def test_c11_rejected(tmp_path: Path) -> None:
    """Rejected, they come back from the bucket."""
    world, a, b = _world(tmp_path)
    _delete_eleven(a)
    world.settle()
    a.decisions.reject(_halt(a).token)
    world.settle()
    assert a.tree() == b.tree() == world.objects() == TWENTY


def test_mass_deletion_in_the_bucket(tmp_path: Path) -> None:
    """Another tool deletes 11 of 20 objects: every device holds on its own; reject sends them back."""
    world, a, b = _world(tmp_path)
    world.remove(*(f"f{n:02d}" for n in range(11)))
    world.settle()
    assert _halt(a).reason is _halt(b).reason is HaltReason.MASS_DELETE
    assert a.tree() == b.tree() == TWENTY
    a.decisions.reject(_halt(a).token)
    world.settle()
    b.decisions.approve(_halt(b).token)
    world.settle()
    world.settle()
    assert a.tree() == b.tree() == world.objects() == TWENTY


def test_mass_deletion_in_the_bucket_approved(tmp_path: Path) -> None:
    """Approved here, the files go here; the other device decides for itself."""
    world, a, b = _world(tmp_path)
    world.remove(*(f"f{n:02d}" for n in range(11)))
    world.settle()
    a.decisions.approve(_halt(a).token)
    world.settle()
    assert a.tree() == world.objects() == NINE
    assert b.tree() == TWENTY
    assert _halt(b).reason is HaltReason.MASS_DELETE
    b.decisions.approve(_halt(b).token)
    world.settle()
    assert b.tree() == NINE


def test_only_what_was_shown_is_approved(tmp_path: Path) -> None:
    """What was deleted or edited after the halt was shown is not part of it."""
    thirty = {f"f{n:02d}": f"{n}" for n in range(30)}
    world, a, b = _world(tmp_path, thirty)
    _delete_eleven(a)
    world.settle()
    b.write("f00", "edited")
    b.settle()
    for n in range(11, 24):
        (a.root / f"f{n:02d}").unlink()
    a.decisions.approve(_halt(a).token)
    world.settle()
    # The edit beats the deletion, and 13 more deletions than were shown wait in turn.
    halt = _halt(a)
    assert "13 of" in halt.detail
    assert {"f00": "edited", **{f"f{n:02d}": f"{n}" for n in range(11, 30)}}.items() <= world.objects().items()
    a.decisions.approve(halt.token)
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"f00": "edited", **{f"f{n}": f"{n}" for n in range(24, 30)}}


def test_the_window_survives_restarts(tmp_path: Path) -> None:
    """Deleting a few at a time, with restarts between, passes the guard no more than deleting all at once."""
    world, a, b = _world(tmp_path)
    for n in range(11):
        (a.root / f"f{n:02d}").unlink()
        a.settle()
        a.restart()
        if a.engine.held is not None:
            break
    a.settle()
    assert _halt(a).reason is HaltReason.MASS_DELETE
    assert len(world.objects()) == 10
    a.restart()
    a.settle()
    assert _halt(a).reason is HaltReason.MASS_DELETE
    assert len(world.objects()) == 10
    b.settle()
    assert len(b.tree()) == 10


def test_deletions_long_ago_are_forgotten(tmp_path: Path) -> None:
    """The window is `window_s` long."""
    world, a, b = _world(tmp_path)
    for start, end in ((0, 6), (6, 11)):
        for n in range(start, end):
            (a.root / f"f{n:02d}").unlink()
        world.settle()
        for device in (a, b):
            device.clock.advance(601)
    world.settle()
    assert a.engine.held is None
    assert a.tree() == b.tree() == world.objects() == NINE


def test_the_most_at_once(tmp_path: Path) -> None:
    """`guard.max` halts whatever the percentage."""
    world, a, _ = _world(tmp_path, guard=Guard(percent=100, files=0, max=5))
    for n in range(6):
        (a.root / f"f{n:02d}").unlink()
    a.settle()
    assert _halt(a).reason is HaltReason.MASS_DELETE
    assert world.objects() == TWENTY


def test_a_wrong_token_is_refused(tmp_path: Path) -> None:
    """Only the token of what is shown now counts, and only while something is shown."""
    world, a, _ = _world(tmp_path)
    with pytest.raises(Refused) as caught:
        a.decisions.approve("any")
    assert caught.value.code == "not-halted"
    _delete_eleven(a)
    world.settle()
    for decide in (a.decisions.approve, a.decisions.reject):
        with pytest.raises(Refused) as caught:
            decide("12345678")
        assert caught.value.code == "stale-token"
    a.settle()
    assert world.objects() == TWENTY
    assert _halt(a).reason is HaltReason.MASS_DELETE


def test_a_halt_survives_a_restart_with_its_token(tmp_path: Path) -> None:
    """A person may take as long as they like."""
    world, a, b = _world(tmp_path)
    _delete_eleven(a)
    world.settle()
    token = _halt(a).token
    a.restart()
    a.settle()
    assert _halt(a).token == token
    assert world.objects() == TWENTY
    a.decisions.approve(token)
    world.settle()
    assert a.tree() == b.tree() == world.objects() == NINE


def test_c13_a_rename_is_no_deletion(tmp_path: Path) -> None:
    """The guard counts it as none, on either device."""
    world, a, b = _world(tmp_path, {"hello": "1"}, guard=Guard(percent=0, files=0, max=1))
    (a.root / "hello").rename(a.root / "bye")
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"bye": "1"}
    for device, side in ((a, "remote"), (b, "local")):
        assert device.journal.ledger.deletions_since(0, side) == 0  # type: ignore[arg-type]


def test_a_folder_of_equal_files_renamed(tmp_path: Path) -> None:
    """Pairs that stay ambiguous are deleted and created, and still no halt: their content lives at other paths."""
    files = {f"d/{n}/{k}": "same" for n in range(5) for k in range(5)}
    world, a, b = _world(tmp_path, files)
    (a.root / "d").rename(a.root / "e")
    world.settle()
    assert a.engine.held is None
    assert b.engine.held is None
    assert a.tree() == b.tree() == world.objects() == {path.replace("d/", "e/"): text for path, text in files.items()}


# --- root-missing and root-emptied ----------------------------------------------------------------------------------


def test_c14_the_folder_is_missing_and_comes_back(tmp_path: Path) -> None:
    """The halt says so, nothing is deleted, and it ends by itself when the folder returns."""
    world, a, b = _world(tmp_path)
    a.root.rename(tmp_path / "away")
    for _ in range(20):
        a.step(1)
    assert _halt(a).reason is HaltReason.ROOT_MISSING
    assert str(a.root) in _halt(a).detail
    assert world.objects() == b.tree() == TWENTY
    b.write("new", "n")
    b.settle()
    (tmp_path / "away").rename(a.root)
    for _ in range(5):
        a.step(1)
    assert a.engine.held is None
    world.settle()
    assert a.tree() == b.tree() == {**TWENTY, "new": "n"}


def test_the_folder_is_missing_at_start(tmp_path: Path) -> None:
    """As while running."""
    world, a, _ = _world(tmp_path)
    a.root.rename(tmp_path / "away")
    a.restart()
    a.step(5)
    assert _halt(a).reason is HaltReason.ROOT_MISSING
    assert not a.root.exists()
    (tmp_path / "away").rename(a.root)
    a.step(5)
    world.settle()
    assert a.engine.held is None
    assert a.tree() == world.objects() == TWENTY


@pytest.mark.parametrize("restarted", [False, True])
def test_an_empty_mount_point_in_its_place(tmp_path: Path, restarted: bool) -> None:
    """An unmounted volume leaves an empty folder without a marker: a halt, cleared when the volume is back."""
    world, a, b = _world(tmp_path)
    a.root.rename(tmp_path / "away")
    a.root.mkdir()
    if restarted:
        a.restart()
    for _ in range(10):
        a.step(1)
    assert _halt(a).reason is HaltReason.ROOT_EMPTIED
    assert "20 files" in _halt(a).detail
    assert world.objects() == b.tree() == TWENTY
    assert list(a.root.iterdir()) == []
    a.root.rmdir()
    (tmp_path / "away").rename(a.root)
    for _ in range(5):
        a.step(1)
    assert a.engine.held is None
    world.settle()
    assert a.tree() == b.tree() == world.objects() == TWENTY


@pytest.mark.parametrize("approve", [True, False])
@pytest.mark.parametrize("restarted", [False, True])
def test_the_folder_was_emptied_with_its_marker(tmp_path: Path, approve: bool, restarted: bool) -> None:
    """Approved, the emptiness is what was meant; rejected, everything comes back."""
    world, a, b = _world(tmp_path)
    _empty(a, marker=True)
    if restarted:
        a.restart()
    for _ in range(10):
        a.step(1)
    halt = _halt(a)
    assert halt.reason is HaltReason.ROOT_EMPTIED
    assert f"dorkyctl approve p {halt.token}   deletes all that was in sync from the bucket" in halt.detail
    assert world.objects() == b.tree() == TWENTY
    (a.decisions.approve if approve else a.decisions.reject)(halt.token)
    world.settle()
    assert a.engine.held is None
    assert a.tree() == b.tree() == world.objects() == ({} if approve else TWENTY)


@pytest.mark.parametrize("approve", [True, False])
def test_the_folder_was_emptied_but_for_its_marker(tmp_path: Path, approve: bool) -> None:
    """The same, told by the guard."""
    world, a, b = _world(tmp_path)
    _empty(a, marker=False)
    world.settle()
    halt = _halt(a)
    assert halt.reason is HaltReason.ROOT_EMPTIED
    assert world.objects() == b.tree() == TWENTY
    (a.decisions.approve if approve else a.decisions.reject)(halt.token)
    world.settle()
    assert a.tree() == b.tree() == world.objects() == ({} if approve else TWENTY)


def test_the_marker_alone_was_lost(tmp_path: Path) -> None:
    """A halt; approved, files are compared by content and nothing is deleted."""
    world, a, b = _world(tmp_path)
    shutil.rmtree(a.root / ".dorky")
    (a.root / "f00").unlink()
    a.write("f01", "edited")
    for _ in range(5):
        a.step(1)
    assert _halt(a).reason is HaltReason.ROOT_MISSING
    a.decisions.approve(_halt(a).token)
    world.settle()
    assert a.engine.held is None
    assert a.tree() == b.tree() == world.objects()
    assert a.tree()["f00"] == "0"
    assert sorted(a.tree().values()) == sorted([*TWENTY.values(), "edited"])


# --- the bucket -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("approve", [True, False])
def test_c16_all_objects_gone_but_ours(tmp_path: Path, approve: bool) -> None:
    """An empty listing of a prefix that held all of it: a halt, whichever way a person decides."""
    world, a, b = _world(tmp_path)
    world.remove(*TWENTY)
    a.settle()
    halt = _halt(a)
    assert halt.reason is HaltReason.REMOTE_EMPTIED
    assert "20 of 20" in halt.detail
    assert a.tree() == TWENTY
    (a.decisions.approve if approve else a.decisions.reject)(halt.token)
    a.settle()
    a.settle()
    assert a.engine.held is None
    assert a.tree() == world.objects() == ({} if approve else TWENTY)
    b.settle()
    assert b.tree() == TWENTY


@pytest.mark.parametrize(
    ("files", "reason"), [({"f": "1"}, HaltReason.REMOTE_EMPTIED), (TWENTY, HaltReason.MASS_DELETE)]
)
def test_a_halt_ends_when_the_log_tells_of_all_that_it_holds_back(
    tmp_path: Path, files: dict[str, str], reason: HaltReason
) -> None:
    """A device that deleted them was cut off before it could say so: once it did, nobody need decide elsewhere."""
    world, a, b = _world(tmp_path, files)
    gone = ["f"] if "f" in files else [f"f{n:02d}" for n in range(11)]
    left = {path: text for path, text in files.items() if path not in gone}
    cut = [True]
    world.faults = lambda who, verb, key: (
        Fault(Transient("no route")) if cut[0] and who == "a" and verb == "PUT" and ".dorky/log/" in key else None
    )
    for path in gone:
        (a.root / path).unlink()
    a.look()
    for _ in range(20):
        a.step(1)
        if a.engine.held is not None:
            a.decisions.approve(_halt(a).token)
    assert world.objects() == left
    b.settle()
    assert _halt(b).reason is reason
    for _ in range(100):
        b.step(1)
    assert b.engine.held is not None
    assert b.tree() == files
    cut[0] = False
    for _ in range(100):
        a.step(1)
        b.step(1)
    assert b.engine.held is None
    assert a.tree() == b.tree() == left


def test_a_deletion_that_was_overtaken_explains_no_empty_bucket(tmp_path: Path) -> None:
    """Told while the device was halted: the file went, and was there again. That it is gone now, nobody told."""
    world, a, b = _world(tmp_path, {"f": "1"})
    cut = [True]
    world.faults = lambda who, verb, key: (
        Fault(Transient("no route")) if cut[0] and who == "b" and verb == "PUT" and ".dorky/log/" in key else None
    )
    (b.root / "f").unlink()
    b.look()
    for _ in range(20):
        b.step(1)
    assert world.objects() == {}
    a.settle()
    assert _halt(a).reason is HaltReason.REMOTE_EMPTIED
    cut[0] = False
    for _ in range(20):
        b.step(1)
    b.write("f", "2")
    b.settle()
    assert world.objects() == {"f": "2"}
    world.remove("f")
    for _ in range(40):
        a.step(1)
    assert _halt(a).reason is HaltReason.REMOTE_EMPTIED
    assert a.tree() == {"f": "1"}


def test_an_approved_deletion_that_was_overtaken_explains_no_empty_bucket(tmp_path: Path) -> None:
    """A person approved that all of it goes, and it was written anew; a device that hears of both at once, and finds nothing."""
    world, a, b = _world(tmp_path)
    for path in TWENTY:
        (b.root / path).unlink()
    b.settle()
    b.decisions.approve(_halt(b).token)
    b.settle()
    assert world.objects() == {}
    for path in TWENTY:
        b.write(path, "anew")
    b.settle()
    world.remove(*TWENTY)
    for _ in range(40):
        a.step(30)
    assert _halt(a).reason is HaltReason.REMOTE_EMPTIED
    assert a.tree() == TWENTY


@pytest.mark.parametrize("both", [False, True])
def test_a_deletion_of_long_ago_explains_no_empty_bucket(tmp_path: Path, both: bool) -> None:
    """A teammate deleted the only file, and somebody here kept it by an edit, or wrote it anew after both had deleted it. Then the
    bucket is emptied: of that nobody told.
    """
    world, a, b = _world(tmp_path, {".env": "1"})
    (b.root / ".env").unlink()
    b.settle()
    if both:
        (a.root / ".env").unlink()
        world.settle()
    a.write(".env", "2")
    world.settle()
    assert world.objects() == b.tree() == {".env": "2"}
    world.remove(".env")
    a.settle()
    assert _halt(a).reason is HaltReason.REMOTE_EMPTIED
    assert a.tree() == {".env": "2"}


def test_what_was_told_before_a_restart_is_told(tmp_path: Path) -> None:
    """The daemon ended between reading that the last files were deleted and doing so: nobody need decide."""
    _, a, b = _world(tmp_path, {"f": "1", "g": "2"})
    for path in ("f", "g"):
        (b.root / path).unlink()
    b.settle()
    assert a.engine.opened is not None
    read = a.engine.opened.remote.cursor
    a.look(whole=False)
    while a.engine.opened.remote.cursor == read:
        a.step(0.1)
    assert a.tree() == {"f": "1", "g": "2"}
    a.restart()
    a.settle()
    assert a.engine.held is None
    assert a.tree() == {}
    assert a.history("f")[-1] == ("delete-local", "b")


def test_what_was_told_before_a_restart_ends_a_halt(tmp_path: Path) -> None:
    """Two devices tell of a file each, and the daemon ends in between."""
    world, a, b = _world(tmp_path, {"f": "1", "g": "2"})
    c = world.device("c")
    c.settle()
    cut = {"a", "b"}
    world.faults = lambda who, verb, key: (
        Fault(Transient("no route")) if who in cut and verb == "PUT" and ".dorky/log/" in key else None
    )
    for device, path in ((a, "f"), (b, "g")):
        (device.root / path).unlink()
        device.look()
    for _ in range(20):
        a.step(1)
        b.step(1)
    assert world.objects() == {}
    c.settle()
    assert _halt(c).reason is HaltReason.REMOTE_EMPTIED
    for device in (a, b):
        cut.remove(device.name)
        for _ in range(40):
            device.step(1)
            c.step(1)
        c.restart()
    c.settle()
    assert c.engine.held is None
    assert c.tree() == {}


def test_c16_a_listing_that_is_wrongly_empty(tmp_path: Path) -> None:
    """The store says 200 and shows nothing: a halt; reject loses nothing and moves no bytes, since all is there."""
    world, a, _ = _world(tmp_path)
    kept = dict(world.store._store.objects)
    for key in list(kept):
        if not key.startswith(".dorky/"):
            del world.store._store.objects[key]
    a.settle()
    assert _halt(a).reason is HaltReason.REMOTE_EMPTIED
    world.store._store.objects.update(kept)
    world.forget()
    a.decisions.reject(_halt(a).token)
    a.settle()
    assert a.tree() == world.objects() == TWENTY
    assert world.moved() == {}


@pytest.mark.parametrize("approve", [True, False])
@pytest.mark.parametrize("restarted", [False, True])
def test_the_whole_prefix_is_gone(tmp_path: Path, approve: bool, restarted: bool) -> None:
    """The project's document too: a halt about the project; reject sends everything back, approve empties the folder."""
    world, a, b = _world(tmp_path)
    world.store._store.objects.clear()
    if restarted:
        a.restart()
    a.settle()
    halt = _halt(a)
    assert halt.reason is HaltReason.REMOTE_EMPTIED
    assert "20 files" in halt.detail
    assert "exactly these" not in halt.detail
    assert a.tree() == TWENTY
    assert world.keys() == []
    (a.decisions.approve if approve else a.decisions.reject)(halt.token)
    a.settle()
    a.settle()
    assert a.engine.held is None
    assert a.tree() == world.objects() == ({} if approve else TWENTY)
    b.settle()
    assert b.tree() == TWENTY
    if b.engine.held is not None:
        b.decisions.reject(_halt(b).token)
        world.settle()
    assert b.tree() == world.objects() == TWENTY


@pytest.mark.parametrize("approve", [True, False])
def test_the_bucket_was_rewound(tmp_path: Path, approve: bool) -> None:
    """The log's last entry read is gone, as after a restored backup: a halt. Approve follows the bucket, reject sends
    back what it lost; either way nothing edited is lost.
    """
    world, a, b = _world(tmp_path)
    backup = dict(world.store._store.objects)
    a.write("f00", "edited")
    a.write("new", "n")
    world.settle()
    world.store._store.objects.clear()
    world.store._store.objects.update(backup)
    a.settle()
    halt = _halt(a)
    assert halt.reason is HaltReason.REMOTE_REWOUND
    assert a.tree() == {**TWENTY, "f00": "edited", "new": "n"}
    assert world.objects() == TWENTY
    (a.decisions.approve if approve else a.decisions.reject)(halt.token)
    a.settle()
    a.settle()
    assert a.engine.held is None
    assert a.tree() == world.objects()
    if approve:
        assert a.tree() == TWENTY
        assert {"edited", "n"} <= set(a.trashed())
    else:
        assert {"edited", "n", "0"} <= set(a.tree().values())
        assert a.tree()["new"] == "n"
    b.settle()
    assert _halt(b).reason is HaltReason.REMOTE_REWOUND
    b.decisions.reject(_halt(b).token)
    world.settle()
    assert a.tree() == b.tree() == world.objects()
    assert {"edited", "n"} <= set(a.tree().values())


# --- the folder -----------------------------------------------------------------------------------------------------


def _at(device: Device, root: Path, name: str) -> Device:
    """A device of the same state directory whose folder is `root`."""
    other = Device(device.root.parent, name, device.make_bucket)
    other.root = root
    other.journals = device.journals
    other.project = replace(device.project, path=str(root))
    other.engine = other._engine()
    return other


def test_a_copied_folder(tmp_path: Path) -> None:
    """`cp -r` and add: a halt; approved it is a device of its own."""
    world, a, b = _world(tmp_path)
    shutil.copytree(a.root, tmp_path / "copy", symlinks=True)
    c = _at(a, tmp_path / "copy", "c")
    (c.root / "f00").unlink()
    c.write("f01", "edited")
    for _ in range(5):
        c.step(1)
    halt = _halt(c)
    assert halt.reason is HaltReason.FOLDER_COPIED
    assert str(a.root) in halt.detail
    assert world.objects() == TWENTY
    with pytest.raises(Refused):
        c.decisions.reject(halt.token)
    c.decisions.approve(halt.token)
    world.devices.append(c)
    world.settle()
    assert c.engine.held is None
    assert a.tree() == b.tree() == c.tree() == world.objects()
    assert c.tree()["f00"] == "0"
    assert sorted(c.tree().values()) == sorted([*TWENTY.values(), "edited"])


@pytest.mark.parametrize("approve", [True, False])
def test_a_moved_folder(tmp_path: Path, approve: bool) -> None:
    """The folder was moved and its configuration with it: a halt; approved it goes on with its journal (a deletion
    made meanwhile counts), rejected it is compared by content.
    """
    world, a, b = _world(tmp_path)
    a.kill()
    a.root.rename(tmp_path / "moved")
    c = _at(a, tmp_path / "moved", "a2")
    world.devices[0] = c
    (c.root / "f00").unlink()
    for _ in range(5):
        c.step(1)
    halt = _halt(c)
    assert halt.reason is HaltReason.FOLDER_COPIED
    assert world.objects() == TWENTY
    (c.decisions.approve if approve else c.decisions.reject)(halt.token)
    world.settle()
    assert c.engine.held is None
    assert c.tree() == b.tree() == world.objects()
    assert ("f00" in c.tree()) is not approve


@pytest.mark.parametrize("approve", [True, False])
def test_an_old_folder_came_back(tmp_path: Path, approve: bool) -> None:
    """A restored backup of the folder has a counter behind the journal's: a halt before anything is sent or deleted."""
    world, a, b = _world(tmp_path)
    a.kill()
    shutil.copytree(a.root, tmp_path / "backup", symlinks=True)
    a.restart()
    a.write("f00", "edited")
    a.write("new", "n")
    world.settle()
    newest = {**TWENTY, "f00": "edited", "new": "n"}
    assert b.tree() == newest
    a.kill()
    # A restore puts the files back in place: the marker's folder is the same one.
    for found in list(a.root.iterdir()):
        if found.name != ".dorky":
            found.unlink()
    for found in (tmp_path / "backup").iterdir():
        if found.name != ".dorky":
            shutil.copy2(found, a.root / found.name)
    shutil.copy2(tmp_path / "backup/.dorky/folder.json", a.root / ".dorky/folder.json")
    a.restart()
    a.settle()
    halt = _halt(a)
    assert halt.reason is HaltReason.FOLDER_REWOUND
    assert world.objects() == b.tree() == newest
    a.restart()
    a.settle()
    assert _halt(a).reason is HaltReason.FOLDER_REWOUND
    (a.decisions.approve if approve else a.decisions.reject)(_halt(a).token)
    world.settle()
    a.restart()
    world.settle()
    assert a.engine.held is None
    assert a.tree() == b.tree() == world.objects()
    if approve:
        assert a.tree() == TWENTY
    else:
        assert a.tree()["f00"] == "edited"
        assert a.tree()["new"] == "n"
        assert "0" in a.tree().values()
