"""What clients store through the API, as the engine does it: the object first, then the folder, and never a loss."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path as FilePath
from typing import Any, BinaryIO, cast

import pytest

from dorkyd.buckets.memory import Fault
from dorkyd.core import metadata
from dorkyd.core.artifact import Annotate, Asked, Remove, Store, encoded
from dorkyd.core.model import Op, Path, Version
from dorkyd.core.settings import Mode
from dorkyd.errors import DiskFull, Refused, Stale, Transient
from dorkyd.news import Bytes
from dorkyd.ports import Folder
from tests.devices import Device, Kill, World, trap_commits

STEPS = 60
"""More than any of these takes."""


@pytest.fixture
def world(quick_path: FilePath) -> World:
    """Devices A and B over one bucket."""
    made = World(quick_path)
    made.device("A")
    made.device("B")
    return made


def version_of(world: World, path: str) -> Version | None:
    """The object's state now."""
    found = world.store.client().head(path)
    return found.version if found is not None else None


def storing(device: Device, path: str, text: str, replaces: Version | None, *, staged: bool = False) -> Store:
    """A body that came in, in memory or in staging."""
    data, name = text.encode(), device.clock.random_id()
    if staged:
        name = device.engine.ready().asking.receive()
        with device.engine.folder.stage(name) as out:
            out.write(data)
    digest = metadata.sha256(hashlib.sha256(data).hexdigest())
    mtime_ns = device.clock.time_ns()
    return Store(Path(path), name, digest, len(data), replaces, mtime_ns, None, {}, None, None if staged else data)


def ask(device: Device, asked: Asked) -> Future[object]:
    """Begin, and go on until there is an answer."""
    answer = device.engine.ready().asking.ask(asked)
    for _ in range(STEPS):
        if answer.done():
            break
        device.step(0.1)
    return answer


@pytest.mark.parametrize("staged", [False, True])
def test_a_stored_object_appears_everywhere(world: World, staged: bool) -> None:
    """The answer comes when the bucket holds it; folders follow, here without a download, and the log tells of it."""
    one, two = world.begin({"kept": "1"})
    answer = ask(one, storing(one, "d/new", "text", None, staged=staged))
    assert answer.exception() is None
    assert world.objects() == {"kept": "1", "d/new": "text"}
    one.settle()
    assert one.tree()["d/new"] == "text"
    assert world.moved("A") == {"PUT": 1}, "its own bytes are not fetched"
    two.settle()
    world.settle()
    world.all_hold({"kept": "1", "d/new": "text"})
    assert ("put", "A") in one.history("d/new")
    assert no_leftovers(one, two)


@pytest.mark.parametrize("staged", [False, True])
def test_an_object_is_replaced(world: World, staged: bool) -> None:
    """The file that was in sync goes to the trash, and so does the object."""
    one, _ = world.begin({"f": "old"})
    assert ask(one, storing(one, "f", "new", version_of(world, "f"), staged=staged)).exception() is None
    world.settle()
    world.all_hold({"f": "new"})
    assert one.trashed() == ["old"]
    assert world.bucket_trash() == ["old"]


def test_an_edit_here_is_kept(world: World) -> None:
    """A file that was edited and not sent yet becomes a conflict copy beside what was stored."""
    one, _ = world.begin({"f": "old"})
    one.write("f", "edited")
    assert ask(one, storing(one, "f", "stored", version_of(world, "f"))).exception() is None
    world.settle()
    tree = one.tree()
    assert tree.pop("f") == "stored"
    assert list(tree.values()) == ["edited"]
    assert world.objects() == one.tree()


def test_what_is_here_already(world: World) -> None:
    """Storing what the folder holds under that name ends in agreement, with nothing in the trash."""
    one, _ = world.begin({})
    one.write("f", "same")
    assert ask(one, storing(one, "f", "same", None)).exception() is None
    world.settle()
    world.all_hold({"f": "same"})
    assert one.trashed() == []


def test_a_condition_that_no_longer_holds(world: World) -> None:
    """The store refuses what replaces another state; nothing is changed, and sync goes on."""
    one, two = world.begin({"f": "old"})
    before = version_of(world, "f")
    two.write("f", "theirs")
    two.settle()
    assert isinstance(ask(one, storing(one, "f", "mine", before)).exception(), Stale)
    world.settle()
    world.all_hold({"f": "theirs"})
    assert no_leftovers(one, two)


def test_deleted_by_a_client(world: World) -> None:
    """The object goes, then the files, which the trashes keep; the guard has no question about what a client named."""
    one, _ = world.begin({"f": "1", "g": "2"})
    answer = ask(one, Remove(Path("f"), version_of(world, "f") or Version("")))
    assert answer.exception() is None
    assert world.objects() == {"g": "2"}
    world.settle()
    world.all_hold({"g": "2"})
    assert one.trashed() == ["1"]
    assert world.bucket_trash() == ["1"]


def test_annotated(world: World) -> None:
    """Other metadata moves no bytes, and an edit in a folder keeps it."""
    one, two = world.begin({"f": "1"})
    info = world.store.client().head("f")
    assert info is not None
    asked = Annotate(Path("f"), info.version, Op(info.meta["dorky-op"]), encoded({"note": "über"}), "text/csv")
    assert ask(one, asked).exception() is None
    world.settle()
    world.all_hold({"f": "1"})
    assert world.moved() == {"COPY": 1}
    two.write("f", "2")
    world.settle()
    after = world.store.client().head("f")
    assert after is not None
    assert (after.meta["note"], after.meta["dorky-type"]) == ("UTF-8''%C3%BCber", "text/csv")


@pytest.mark.parametrize("verb", ["PUT", "DELETE", "COPY"])
def test_a_lost_reply(world: World, verb: str) -> None:
    """A write whose reply is lost is known again by a look, and answered as done."""
    one, _ = world.begin({"f": "1"})
    left = [Fault(Transient("connection reset"), "after")]
    world.faults = lambda _who, what, key: left.pop() if what == verb and key == "f" and left else None
    info = world.store.client().head("f")
    assert info is not None
    asked: Asked = {
        "PUT": storing(one, "f", "2", info.version),
        "DELETE": Remove(Path("f"), info.version),
        "COPY": Annotate(Path("f"), info.version, Op(info.meta["dorky-op"]), {"a": "b"}, None),
    }[verb]
    if verb == "COPY":
        left.clear()
        left.append(Fault(Transient("connection reset"), "after"))
    assert ask(one, asked).exception() is None
    assert not left
    world.settle()
    world.all_hold({"f": "2"} if verb == "PUT" else {"f": "1"} if verb == "COPY" else {})


@pytest.mark.parametrize("verb", ["PUT", "DELETE"])
def test_nobody_knows_how_it_ended(world: World, verb: str) -> None:
    """The reply is lost and so is the look: the client is told to wait, and the next look finds out and tells others."""
    one, two = world.begin({"f": "1"})
    cut = [True]

    def faults(who: str, what: str, key: str) -> Fault | None:
        if who != "A" or key != "f" or not cut[0]:
            return None
        if what == verb:
            return Fault(Transient("connection reset"), "after")
        return Fault(Transient("connection refused"), "before") if world.objects().get("f") != "1" else None

    world.faults = faults
    before = version_of(world, "f")
    assert before is not None
    asked: Asked = storing(one, "f", "2", before) if verb == "PUT" else Remove(Path("f"), before)
    assert isinstance(ask(one, asked).exception(), Transient)
    cut[0] = False
    world.settle()
    world.all_hold({"f": "2"} if verb == "PUT" else {})
    assert no_leftovers(one, two)


SCENES: dict[str, Callable[[World, Device], Asked]] = {
    "create": lambda world, one: storing(one, "d/new", "text", None),
    "create, staged": lambda world, one: storing(one, "d/new", "text", None, staged=True),
    "replace": lambda world, one: storing(one, "f", "2", version_of(world, "f"), staged=True),
    "remove": lambda world, one: Remove(Path("f"), version_of(world, "f") or Version("")),
}
AFTER = {
    "create": {"f": "1", "d/new": "text"},
    "create, staged": {"f": "1", "d/new": "text"},
    "replace": {"f": "2"},
    "remove": {},
}


@pytest.mark.parametrize(
    ("scene", "after"),
    [
        ("create", False),
        ("create, staged", True),
        ("replace", False),
        ("replace", True),
        ("remove", False),
        ("remove", True),
    ],
)
def test_killed_at_every_step(quick_path: FilePath, scene: str, after: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a device ends, either nothing was stored or all of it; the folders follow, and no copy or body is left."""
    outcomes = set()
    for step in range(1, STEPS):
        world = World(quick_path / f"{step}")
        one, two = world.device("A"), world.device("B")
        world.begin({"f": "1"})
        with monkeypatch.context() as patched:
            trap_commits(patched, {"A": one.trap})
            one.trap.set(step, after=after)
            try:
                ask(one, SCENES[scene](world, one))
                one.settle()
                killed = False
            except Kill:
                killed = True
        one.restart()
        world.settle()
        held = world.objects()
        assert held in ({"f": "1"}, AFTER[scene]), one.trap.calls
        world.all_hold(held)
        assert no_leftovers(one, two), one.trap.calls
        outcomes.add(held == AFTER[scene])
        if not killed:
            assert held == AFTER[scene]
            break
    else:
        raise AssertionError("it never ended")
    assert outcomes == {False, True}


def no_leftovers(*devices: Device) -> bool:
    """Nothing is staged, and nothing lies in the trash that no rule put there."""
    for device in devices:
        tmp = device.root / ".dorky" / "tmp"
        assert [file.name for file in tmp.iterdir() if not file.name.startswith(".")] == []
        assert not any(name.startswith("recovered-") for name in device.tree())
        assert not device.engine.folder.trash() or all(
            not item.path.startswith("recovered-") for item in device.engine.folder.trash()
        )
        assert device.journal.ledger.incoming() == []
        assert device.journal.ledger.open_intents() == []
    return True


def test_what_may_not_be_stored(world: World) -> None:
    """A path at work waits; a file and a folder of one name, a halt, a pause and a mode that only reads are refused."""
    one, _ = world.begin({"f": "1", "d/x": "2"})
    for path in ("f/below", "d"):
        with pytest.raises(Refused, match="cannot be stored"):
            one.engine.ready().asking.ask(storing(one, path, "x", None))
    first = storing(one, "g", "1", None)
    one.engine.ready().asking.ask(first)
    with pytest.raises(Stale) as busy:
        one.engine.ready().asking.ask(storing(one, "g", "2", None))
    assert busy.value.code == "busy-path"
    one.settle()
    one.engine.pause(one.clock.time_ns() + 10**12)
    with pytest.raises(Refused) as paused:
        one.engine.ready().asking.ask(storing(one, "h", "x", None))
    assert paused.value.code == "paused"


def test_a_mode_that_only_reads(world: World) -> None:
    """`mode: pull` never writes the bucket, whoever asks."""
    world.begin({"f": "1"})
    reader = world.device("C", mode=Mode.PULL)
    reader.settle()
    with pytest.raises(Refused) as refused:
        reader.engine.ready().asking.ask(storing(reader, "g", "x", None))
    assert refused.value.code == "mode"


def test_a_project_that_is_closed_while_it_works(world: World) -> None:
    """Whoever waits is told; what was sent is found at the next start."""
    one, _ = world.begin({})
    answer = one.engine.ready().asking.ask(storing(one, "g", "x", None))
    one.engine.run_due(one.clock.monotonic())
    never = one.engine.ready().asking.ask(storing(one, "h", "x", None))
    one.engine.close()
    assert isinstance(never.exception(), Transient)
    assert isinstance(answer.exception(), Transient)
    one.pool.run_all()
    world.settle()
    world.all_hold({"g": "x"})


class Disk:
    """A folder on a disk that may be full, and that loses what was never made durable when the power goes."""

    def __init__(self, inner: Folder) -> None:
        self._inner = inner
        self.full = False
        self.volatile: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def stage(self, name: str, *, resume: bool = False) -> BinaryIO:
        out = self._inner.stage(name, resume=resume)
        self.volatile.add(name)
        if self.full:
            out.write(b"half")
            out.close()
            raise DiskFull("no space left")
        return out

    def seal(self, name: str, *, mode: int | None, mtime_ns: int | None) -> int:
        held = self._inner.seal(name, mode=mode, mtime_ns=mtime_ns)
        self.volatile.discard(name)
        return held

    def power_cut(self, tmp: FilePath) -> None:
        """The names are there, and nothing is in them."""
        for name in self.volatile:
            if (tmp / name).exists():
                (tmp / name).write_bytes(bytes((tmp / name).stat().st_size))


def on_a_disk(base: FilePath) -> tuple[World, Device, Disk]:
    """One device with such a folder, which holds `f`, and another one."""
    disks: list[Disk] = []

    def wrap(folder: Folder) -> Folder:
        disks.append(Disk(folder))
        return cast("Folder", disks[-1])

    world = World(base)
    one = world.device("A", wrap=wrap)
    world.device("B")
    world.begin({"f": "old"})
    return world, one, disks[0]


def test_a_full_disk_gets_no_half_of_what_was_stored(quick_path: FilePath) -> None:
    """The object is stored; what did not fit into staging is no body: the folder's file stays until all of it is here."""
    world, one, disk = on_a_disk(quick_path)
    disk.full = True
    assert ask(one, storing(one, "f", "new text", version_of(world, "f"))).exception() is None
    one.step(1.0)
    one.step(1.0)
    assert one.tree() == {"f": "old"}
    disk.full = False
    world.settle()
    world.all_hold({"f": "new text"})
    assert no_leftovers(one)


@pytest.mark.parametrize("staged", [False, True])
def test_the_power_goes_after_the_answer(quick_path: FilePath, staged: bool) -> None:
    """What is recorded as staged is on the disk: a file never becomes what a power cut left of a body."""
    world, one, disk = on_a_disk(quick_path)
    answer = one.engine.ready().asking.ask(storing(one, "f", "new text", version_of(world, "f"), staged=staged))
    one.engine.run_due(one.clock.monotonic())
    one.pool.run_all()
    one.engine.collect()
    assert answer.exception(timeout=0) is None
    one.kill()
    disk.power_cut(one.root / ".dorky" / "tmp")
    one.restart()
    world.settle()
    world.all_hold({"f": "new text"})
    assert no_leftovers(one)


def rewritten(world: World, path: str, text: str) -> None:
    """A tool that keeps metadata, as a mounted bucket does, writes an object: it still claims our digest and our op."""
    bucket = world.store.client()
    info = bucket.head(path)
    assert info is not None
    bucket.put(path, Bytes(text.encode()), replaces=info.version, meta=info.meta)


def test_a_claim_that_no_longer_holds_is_not_renewed(world: World) -> None:
    """Annotating such an object would make its false digest ours, and the edit would reach nobody: it is read first."""
    one, _ = world.begin({"f": "old"})
    rewritten(world, "f", "theirs")

    def annotate() -> BaseException | None:
        info = world.store.client().head("f")
        assert info is not None
        return ask(one, Annotate(Path("f"), info.version, Op(info.meta["dorky-op"]), {"a": "b"}, None)).exception()

    refused = annotate()
    assert isinstance(refused, Refused)
    assert refused.code == "digest-unknown"
    world.settle()
    world.all_hold({"f": "theirs"})
    assert annotate() is None
    world.settle()
    world.all_hold({"f": "theirs"})


def test_what_claims_to_be_the_same_is_kept_in_the_trash(world: World) -> None:
    """Storing what such an object says it is replaces other bytes, which the bucket's trash keeps."""
    one, _ = world.begin({"f": "old"})
    rewritten(world, "f", "theirs")
    assert ask(one, storing(one, "f", "old", version_of(world, "f"))).exception() is None
    world.settle()
    world.all_hold({"f": "old"})
    assert world.bucket_trash() == ["theirs"]


def test_who_deleted_it_is_told(world: World) -> None:
    """A client of this device, in the history of its folder as well."""
    one, two = world.begin({"f": "1"})
    assert ask(one, Remove(Path("f"), version_of(world, "f"))).exception() is None
    world.settle()
    assert [one.history("f")[-1], two.history("f")[-1]] == [("delete-local", "A")] * 2


def test_a_clients_deletion_that_was_overtaken_explains_no_empty_bucket(tmp_path: FilePath) -> None:
    """A client deletes the only file and stores it anew, while a person has it in hand here; then the bucket is emptied."""
    world = World(tmp_path)
    one = world.device("A", settle_s=60.0)
    one.write("f", "1")
    for _ in range(100):
        one.step(1)
    assert world.objects() == {"f": "1"}
    one.engine.opened.local.touched([Path("f")], one.clock.monotonic())  # type: ignore[union-attr]
    assert ask(one, Remove(Path("f"), version_of(world, "f") or Version(""))).exception() is None
    assert ask(one, storing(one, "f", "1", None)).exception() is None
    assert one.tree() == world.objects() == {"f": "1"}
    world.remove("f")
    one.look()
    for _ in range(100):
        one.step(1)
    assert one.engine.held is not None
    assert one.tree() == {"f": "1"}


def test_what_a_client_deletes_where_no_file_is_leaves_nothing_behind(world: World) -> None:
    """Mode bucket: nothing is carried out in a folder, so that nobody would forget who did it."""
    device = world.device("bucket only", mode=Mode.BUCKET)
    device.settle()
    for n in range(5):
        assert ask(device, storing(device, f"f{n}", "1", None)).exception() is None
        assert ask(device, Remove(Path(f"f{n}"), version_of(world, f"f{n}") or Version(""))).exception() is None
    device.settle()
    assert device.engine.ready().remote.deleted_by == {}
