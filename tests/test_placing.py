"""What a person asked for is put in place and taken out, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from dorkyd.contents import Contents, Wanted
from dorkyd.core import model
from dorkyd.core.model import Local
from dorkyd.errors import DorkyError, Refused, Stale
from dorkyd.folder import LocalFolder
from dorkyd.placing import Placer
from tests.devices import Device, World


def _world(tmp_path: Path, **files: str) -> tuple[World, Device]:
    world = World(tmp_path)
    world.device("A")
    world.device("B")
    world.begin({path.replace("__", "/"): text for path, text in files.items()})
    return world, world.devices[0]


def _seen(one: Device, path: str) -> Local:
    found = one.engine.folder.observe(model.Path(path), None)
    assert isinstance(found, Local)
    return found


def _staged(one: Device, text: str) -> tuple[str, model.Digest]:
    staged = Placer(one.engine).reserve()
    with one.engine.folder.stage(staged) as out:
        out.write(text.encode())
    one.engine.folder.seal(staged, mode=0o644, mtime_ns=None)
    digest = one.engine.folder.staged_digest(staged)
    assert digest is not None
    return staged, digest


def test_what_is_put_goes_to_the_bucket_and_what_stood_there_to_the_trash(tmp_path: Path) -> None:
    """A file placed is an edit like any other."""
    world, one = _world(tmp_path, f="old")
    staged, digest = _staged(one, "new")
    Placer(one.engine).put(staged, model.Path("f"), digest, _seen(one, "f"))
    assert one.read("f") == "new"
    assert one.trashed() == ["old"]
    world.settle()
    world.all_hold({"f": "new"})


@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_put_over_what_was_not_seen(tmp_path: Path, there: bool) -> None:
    """A file that changed or appeared since it was looked at stays, and what was staged is gone."""
    world, one = _world(tmp_path, f="old", g="g")
    seen = _seen(one, "f") if there else None
    one.write("f", "edited meanwhile")
    staged, digest = _staged(one, "new")
    with pytest.raises(Stale):
        Placer(one.engine).put(staged, model.Path("f"), digest, seen)
    world.settle()
    world.all_hold({"f": "edited meanwhile", "g": "g"})
    assert one.engine.folder.staged() == []


def _saved_in_between(tmp_path: Path) -> tuple[World, Device, list[str]]:
    """A device on which a file `f` is saved, as editors do it, at the last moment before it is taken out of its place: what
    the list holds.
    """
    world, saves = World(tmp_path), list[str]()

    def save(step: str) -> None:
        if step == "looked" and saves:
            beside = tmp_path / "beside"
            beside.write_text(saves.pop())
            beside.replace(one.root / "f")

    one = world.device("A", wrap=lambda folder: LocalFolder(str(tmp_path / "A"), between=save))
    world.device("B")
    world.begin({"f": "old"})
    return world, one, saves


def test_what_is_saved_in_the_last_moment_stands_beside_what_was_put(tmp_path: Path) -> None:
    """Nobody looked at it: it is no state that a person gave up."""
    world, one, saves = _saved_in_between(tmp_path)
    staged, digest = _staged(one, "new")
    seen = _seen(one, "f")
    saves.append("saved meanwhile")
    Placer(one.engine).put(staged, model.Path("f"), digest, seen)
    world.settle()
    assert one.read("f") == "new"
    assert sorted(one.tree().values()) == ["new", "saved meanwhile"]
    world.all_hold(one.tree())


def test_what_is_saved_in_the_last_moment_is_not_taken_out(tmp_path: Path) -> None:
    """It is in its place again, and nothing is approved of it."""
    world, one, saves = _saved_in_between(tmp_path)
    seen = _seen(one, "f")
    saves.append("saved meanwhile")
    with pytest.raises(Stale):
        Placer(one.engine).take_out(model.Path("f"), seen, approved=True)
    assert one.journal._conn.execute("SELECT count(*) FROM approvals").fetchone() == (0,)
    world.settle()
    world.all_hold({"f": "saved meanwhile"})


def test_what_nobody_places_is_dropped_at_the_next_start(tmp_path: Path) -> None:
    """A kill between staging and placing leaves nothing behind."""
    world, one = _world(tmp_path, f="old")
    _staged(one, "new")
    one.restart()
    world.settle()
    world.all_hold({"f": "old"})
    assert one.engine.folder.staged() == []
    assert one.trashed() == []


def test_what_is_taken_out_by_name_passes_the_guard(tmp_path: Path) -> None:
    """Forty files that a person named go on both sides without a halt."""
    files = {f"f{n}": str(n) for n in range(40)}
    world, one = _world(tmp_path, **files, kept="k")
    for path in files:
        Placer(one.engine).take_out(model.Path(path), _seen(one, path), approved=True)
    world.settle()
    assert one.engine.held is None
    world.all_hold({"kept": "k"})
    assert sorted(one.trashed()) == sorted(files.values())


def test_content_comes_from_the_bucket_where_this_disk_has_it_no_more(tmp_path: Path) -> None:
    """The trash of the bucket is asked when the folder's own was emptied; what arrives is what was wanted."""
    world, one = _world(tmp_path, f="first")
    wanted = Wanted(model.Path("f"), _seen(one, "f").digest)
    one.write("f", "second")
    world.settle()
    brought = Contents(one.engine).bring(wanted)
    with one.engine.folder.open_staged(brought.staged) as staged:
        assert staged.read() == b"first"
    for key in world.keys(".dorky/trash/"):
        world.remove(key)
    with pytest.raises(Refused) as refused:
        Contents(one.engine).bring(wanted)
    assert refused.value.code == "content-gone"


def test_a_copy_that_says_another_content_is_not_believed(tmp_path: Path) -> None:
    """Somebody's other bytes under a name of the bucket's trash are not what was wanted."""
    world, one = _world(tmp_path, f="first")
    wanted = Wanted(model.Path("f"), _seen(one, "f").digest)
    one.write("f", "second")
    world.settle()
    (key,) = world.keys(".dorky/trash/f/")
    world.put(key, "something else")
    found = Contents(one.engine).bring_all([wanted])
    assert [isinstance(each, DorkyError) for each in found] == [True]
    assert one.engine.folder.staged() == []


def test_content_comes_from_this_disk_without_asking_the_bucket(tmp_path: Path) -> None:
    """A file of the same content, and the folder's trash."""
    world, one = _world(tmp_path, f="first", twin="first")
    wanted = Wanted(model.Path("f"), _seen(one, "f").digest)
    (one.root / "f").unlink()
    world.settle()
    world.forget()
    Contents(one.engine).bring(wanted)
    assert world.moved("A") == {}


def test_nothing_is_begun_in_another_folder(tmp_path: Path) -> None:
    """Its disk went away, or somebody put another folder in its place: nothing is written down of it, let alone done."""
    _, one = _world(tmp_path, f="1")
    staged, digest = _staged(one, "new")
    seen = _seen(one, "f")
    away = one.root.with_name("away")
    one.root.rename(away)
    one.root.mkdir()
    (one.root / "f").write_text("another's")
    placer = Placer(one.engine)
    for ask in (
        lambda: placer.put(staged, model.Path("f"), digest, seen),
        lambda: placer.take_out(model.Path("f"), seen),
        lambda: placer.set_mode(model.Path("f"), 0o600, seen),
    ):
        with pytest.raises(Refused) as refused:
            ask()
        assert refused.value.code == "not-open"
    assert one.journal.ledger.open_installs() == []
    assert (one.root / "f").read_text() == "another's"
