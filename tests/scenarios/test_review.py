"""What a reviewer who did not write the code tried: crashes, swaps and late news at awkward moments."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dorkyd.buckets.memory import Fault
from dorkyd.core.logbook import PROJECT, ProjectDocument, encode_project
from dorkyd.core.model import KeepBoth
from dorkyd.core.model import Path as ModelPath
from dorkyd.core.report import HaltReason
from dorkyd.errors import Denied, Stale, Transient, Unsupported
from dorkyd.news import Bytes
from tests.devices import Device, Kill, World, trap_commits

FIVE = {f"f{n}": f"{n}" for n in range(5)}


def _two(tmp_path: Path, files: dict[str, str], **settings: object) -> tuple[World, Device, Device]:
    """Two devices in sync."""
    world = World(tmp_path)
    a, b = world.device("a", **settings), world.device("b")
    for path, text in files.items():
        a.write(path, text)
    world.settle()
    assert b.tree() == files
    world.forget()
    return world, a, b


def _begin(device: Device) -> None:
    """One cycle whose jobs stay under way."""
    device.clock.advance(0.5)
    device.engine.run_due(device.clock.monotonic())


def _steps(device: Device, count: int, seconds: float = 1.0) -> None:
    for _ in range(count):
        device.step(seconds)


class Around:
    """A folder with some calls replaced."""

    def __init__(self, inner: object, **calls: Callable[..., object]) -> None:
        self._inner, self._calls = inner, calls

    def __getattr__(self, name: str) -> object:
        found = getattr(self._inner, name)
        if name not in self._calls:
            return found
        return lambda *args, **kwargs: self._calls[name](found, *args, **kwargs)


# --- is it really the folder? ---------------------------------------------------------------------------------------


def test_a_job_that_ends_makes_no_marker_in_an_empty_mount_point(tmp_path: Path) -> None:
    """The volume goes while an upload is under way: its outcome is recorded, and the empty folder is no folder of ours."""
    world, a, b = _two(tmp_path, FIVE)
    a.write("new", "n")
    a.look()
    while not a.pool.jobs:
        _begin(a)
    a.root.rename(tmp_path / "away")
    a.root.mkdir()
    a.pool.run_all()
    a.step()
    a.look()
    _steps(a, 20)
    b.settle()
    assert {path: text for path, text in world.objects().items() if path != "new"} == FIVE
    assert {path: text for path, text in b.tree().items() if path != "new"} == FIVE
    assert list(a.root.iterdir()) == []
    assert a.engine.held is not None


def test_a_job_of_one_folder_is_not_recorded_as_another_ones(tmp_path: Path) -> None:
    """Another folder stands at the place when an upload ends: what was sent is not that folder's to delete."""
    world, a, _b = _two(tmp_path, {"f": "1"})
    a.write("new", "n")
    a.look()
    while not a.pool.jobs:
        _begin(a)
    a.root.rename(tmp_path / "away")
    a.root.mkdir()
    (a.root / ".dorky").mkdir()
    (a.root / ".dorky/folder.json").write_text('{"format": 1, "project_id": "", "replica": "abcdef", "counter": 0}')
    a.pool.run_all()
    _steps(a, 20)
    a.settle()
    assert {path: text for path, text in world.objects().items() if path != "new"} == {"f": "1"}
    assert a.tree()["f"] == "1"


# --- marks that are lost --------------------------------------------------------------------------------------------


def test_a_scan_that_broke_off_is_done_again(tmp_path: Path) -> None:
    """The folder moved under the scan at start: what was edited while stopped is found all the same."""
    world, a, _b = _two(tmp_path, {"f": "1"})
    a.kill()
    a.write("f", "2")
    broken: list[int] = []

    def scan(inner: Callable[..., object], *args: object, **kwargs: object) -> object:
        if not broken:
            broken.append(1)
            raise Stale("f: became a folder while it was looked at")
        return inner(*args, **kwargs)

    a.wrap = lambda folder: Around(folder, scan=scan)  # type: ignore[assignment,return-value]
    a.restart()
    _steps(a, 30)
    assert world.objects() == {"f": "2"}


def test_a_tree_that_broke_off_is_scanned_again(tmp_path: Path) -> None:
    """A new folder moved while it was scanned: its files are found all the same."""
    world, a, _b = _two(tmp_path, {"f": "1"})
    a.kill()
    broken: list[int] = []

    def scan(inner: Callable[..., object], *args: object, **kwargs: object) -> object:
        if len(args) > 1 and args[1] is not None and not broken:
            broken.append(1)
            raise Stale("d: became a folder while it was looked at")
        return inner(*args, **kwargs)

    a.wrap = lambda folder: Around(folder, scan=scan)  # type: ignore[assignment,return-value]
    a.watching = True
    a.restart()
    a.settle()
    a.write("d/g", "2")
    a.watchers[-1].saw(trees=("d",))
    _steps(a, 30)
    assert broken
    assert world.objects() == {"f": "1", "d/g": "2"}


# --- what an object holds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", ["by a listing", "by a mark"])
@pytest.mark.parametrize("breaks", [False, True])
def test_a_claim_that_another_tool_kept_is_void(tmp_path: Path, told: str, breaks: bool) -> None:
    """Another tool edits an object and keeps our metadata: the edit arrives, also when the first GET breaks."""
    world, a, b = _two(tmp_path, {"f": "1"})
    other = world.store.client()
    info = other.head("f")
    assert info is not None
    other.put("f", Bytes(b"2"), replaces=info.version, meta=info.meta)
    broken: list[str] = []

    def faults(_device: str, verb: str, key: str) -> Fault | None:
        if breaks and verb == "GET" and key == "f" and not broken:
            broken.append(key)
            return Fault(Transient("the connection broke"))
        return None

    world.faults = faults
    if told == "by a mark":
        with a.journal.atomic():
            a.journal.mark([ModelPath("f")], remote=True)
        _steps(a, 10)
        assert a.tree() == {"f": "2"}
    world.settle()
    assert a.tree() == b.tree() == world.objects() == {"f": "2"}


# --- intents --------------------------------------------------------------------------------------------------------


def test_two_kills_before_a_commit_are_no_old_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counter may be one ahead after a kill, and again after the next: base stands, a deletion stays a deletion."""
    world, a, b = _two(tmp_path, {"f": "1", "stays": "s"})
    trap_commits(monkeypatch, {"a": a.trap})
    (a.root / "f").unlink()
    for _ in range(2):
        # Dies right after the folder's counter was written, before the journal's.
        a.trap.set(1, after=True, only=lambda name, _first: name == "update_identity")
        with pytest.raises(Kill):
            a.settle()
        a.restart()
    world.settle()
    assert "started-over" not in a.engine.warnings
    assert a.tree() == b.tree() == world.objects() == {"stays": "s"}


# --- installs -------------------------------------------------------------------------------------------------------


def test_displaced_bytes_that_somebody_still_writes_stop_no_other_path(tmp_path: Path) -> None:
    """What came out of an exchange changes all the time, so that it cannot be hashed: the other paths go on."""
    world, a, b = _two(tmp_path, {"f": "1"})
    b.kill()

    def put_in(inner: Callable[..., object], *args: object) -> object:
        if "conflict" in str(args[1]):
            raise Stale("staged file: changed while it was read")
        return inner(*args)

    b.wrap = lambda folder: Around(folder, put_in=put_in)  # type: ignore[assignment,return-value]
    b.restart()
    a.write("f", "2")
    a.settle()
    b.write("f", "3")
    b.look()
    _steps(b, 20)
    b.write("other", "o")
    b.look()
    _steps(b, 20)
    assert world.objects()["other"] == "o"


# --- ignore ---------------------------------------------------------------------------------------------------------


def test_an_ignore_file_that_cannot_be_read_lifts_nothing(tmp_path: Path) -> None:
    """`.dorkyignore` is a symlink at start: what the settings ignore is still not sent."""
    world = World(tmp_path)
    a = world.device("a", ignore=("*.secret",))
    a.write("x.secret", "s")
    a.write("f", "1")
    (a.root / ".dorkyignore").symlink_to("elsewhere")
    a.look()
    _steps(a, 10)
    assert world.objects() == {"f": "1"}


# --- the guard ------------------------------------------------------------------------------------------------------


def test_an_approval_ends_when_its_path_is_in_sync_again(tmp_path: Path) -> None:
    """Approved deletions that were taken back are not approved for ever."""
    files = {f"f{n:02d}": f"{n}" for n in range(20)}
    world, a, _b = _two(tmp_path, files)
    doomed = [path for path in files if path < "f11"]
    for path in doomed:
        (a.root / path).unlink()
    world.settle()
    assert a.engine.held is not None
    for path in doomed:
        a.write(path, files[path])
    a.decisions.approve(a.engine.held.halt.token)
    world.settle()
    assert world.objects() == files
    for path in doomed:
        (a.root / path).unlink()
    world.settle()
    assert a.engine.held is not None
    assert world.objects() == files


def test_an_emptied_bucket_is_noticed_beside_one_announced_deletion(tmp_path: Path) -> None:
    """A teammate deletes one file, another tool the other four: all that was left is gone, a halt."""
    world, a, b = _two(tmp_path, FIVE)
    (a.root / "f0").unlink()
    a.settle()
    world.remove("f1", "f2", "f3", "f4")
    b.settle()
    assert b.engine.held is not None
    assert b.engine.held.halt.reason is HaltReason.REMOTE_EMPTIED
    assert len(b.tree()) >= 4


@pytest.mark.parametrize("approve", [True, False])
def test_a_decision_about_another_projects_prefix_ends_the_halt(tmp_path: Path, approve: bool) -> None:
    """The prefix belongs to another project now; once a person has decided, it is not asked again."""
    world, a, _b = _two(tmp_path, {"f": "1"})
    other = world.store.client()
    info = other.head(PROJECT)
    assert info is not None
    document = encode_project(ProjectDocument("another", floor=1))
    other.put(PROJECT, Bytes(document), replaces=info.version, meta={})
    a.settle()
    assert a.engine.held is not None
    (a.decisions.approve if approve else a.decisions.reject)(a.engine.held.halt.token)
    a.settle()
    assert a.engine.held is None


# --- starvation -----------------------------------------------------------------------------------------------------


def test_a_path_that_cannot_be_looked_at_holds_back_no_arrival(tmp_path: Path) -> None:
    """One key is forbidden; a new file with the bytes it had arrives all the same."""
    world, a, b = _two(tmp_path, {"p": "same"})
    world.faults = lambda device, verb, key: (
        Fault(Denied("no")) if device == "b" and key == "p" and verb in ("HEAD", "GET") else None
    )
    a.write("p", "edited")
    a.settle()
    b.look(whole=False)
    _steps(b, 30)
    a.write("n", "same")
    a.settle()
    b.look(whole=False)
    _steps(b, 700)
    assert b.tree().get("n") == "same"


def test_a_file_written_all_the_time_is_asked_about_once(tmp_path: Path) -> None:
    """Marks from the watcher while the bucket is asked about a path do not make it ask for ever."""
    world, a, _b = _two(tmp_path, {"f": "1"})
    a.kill()
    a.watching = True
    a.restart()
    a.settle()
    a.write("f", "2")
    with a.journal.atomic():
        a.journal.mark([ModelPath("f")], remote=True)
    for _ in range(100):
        a.watchers[-1].saw("f")
        _begin(a)  # a look takes longer than it takes the file to change again
        a.watchers[-1].saw("f")
        _begin(a)
        a.pool.run_all()
    assert world.objects() == {"f": "2"}


def test_many_children_step_aside(tmp_path: Path) -> None:
    """250 files in a folder whose name a file took: all of them move, and the file arrives."""
    world, a, b = _two(tmp_path, {"x": "x"})
    b.settle()
    for n in range(250):
        b.write(f"f/{n}", f"{n}")
    a.write("f", "file")
    a.look()
    # A has listed the bucket when B's files come.
    while not a.pool.jobs:
        _begin(a)
    b.settle()
    a.pool.run_all()
    assert world.objects()["f"] == "file"
    for _ in range(8):
        _steps(b, 50)  # no scan: only marks tell
        _steps(a, 50)
    assert b.tree()["f"] == "file"
    assert a.tree() == b.tree() == world.objects()
    assert len(a.tree()) == 252


def test_a_key_that_can_be_no_path_is_forgotten_once_it_is_gone(tmp_path: Path) -> None:
    """An unsafe key is a problem; removed from the bucket, it is none."""
    world, a, _b = _two(tmp_path, {"f": "1"})
    world.put("d//x", "?")
    a.settle()
    assert set(a.problems()) == {"d//x"}
    world.remove("d//x")
    a.settle()
    _steps(a, 10)
    a.settle()
    assert a.problems() == {}


# --- stores and file systems that lack something ----------------------------------------------------------------------


def test_an_object_too_large_to_copy_can_be_renamed(tmp_path: Path) -> None:
    """The store copies no object of this size: the bytes are sent under the new name."""
    world, a, _b = _two(tmp_path, {"f": "1", "stays": "s"})
    world.faults = lambda _device, verb, key: (
        Fault(Unsupported(key, "too large", code="too-large")) if verb == "COPY" and key == "g" else None
    )
    (a.root / "f").rename(a.root / "g")
    a.look()
    _steps(a, 60)
    assert world.objects() == {"g": "1", "stays": "s"}


def test_an_object_too_large_to_copy_can_be_replaced_and_deleted(tmp_path: Path) -> None:
    """The bucket's trash cannot take it: it syncs all the same."""
    world, a, _b = _two(tmp_path, {"f": "1", "g": "2", "stays": "s"})
    world.faults = lambda _device, verb, key: (
        Fault(Unsupported(key, "too large", code="too-large")) if verb == "COPY" else None
    )
    a.write("f", "edited")
    (a.root / "g").unlink()
    a.look()
    _steps(a, 60)
    assert world.objects() == {"f": "edited", "stays": "s"}
    told = a.journal._conn.execute("SELECT path FROM history WHERE detail LIKE '%too large%' ORDER BY path")
    assert told.fetchall() == [("f",), ("g",)]


def test_permission_bits_of_an_object_too_large_to_copy_are_sent_with_it(tmp_path: Path) -> None:
    """The store copies no object of this size onto itself either."""
    world, a, b = _two(tmp_path, {"f": "1"})
    world.faults = lambda _device, verb, _key: (
        Fault(Unsupported("f", "too large", code="too-large")) if verb == "COPY" else None
    )
    (a.root / "f").chmod(0o755)
    world.settle()
    assert (b.root / "f").stat().st_mode & 0o777 == 0o755
    assert a.problems() == {}


def test_permission_bits_are_not_copied_where_copies_are_unsafe(tmp_path: Path) -> None:
    """A store that ignores a copy's conditions is never asked to copy over an object."""
    world, a, b = _two(tmp_path, {"f": "1"})
    contact = a.engine.opened.contact  # type: ignore[union-attr]
    contact.probed = replace(contact.probed, copies_safe=False)  # type: ignore[type-var]
    (a.root / "f").chmod(0o755)
    a.settle()
    assert "COPY" not in world.moved("a")
    world.settle()
    assert (b.root / "f").stat().st_mode & 0o777 == 0o755


def test_a_file_system_that_holds_no_bits_takes_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT refuses a chmod that it cannot hold: the file arrives without it, and its bits are not sent back."""
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b")
    whole = os.fchmod

    def fchmod(fd: int, mode: int) -> None:
        if str(b.root) in os.readlink(f"/proc/self/fd/{fd}") and "folder.json" not in os.readlink(
            f"/proc/self/fd/{fd}"
        ):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        whole(fd, mode)

    monkeypatch.setattr(os, "fchmod", fchmod)
    a.write("f", "1")
    (a.root / "f").chmod(0o640)
    world.settle()
    world.settle()
    assert b.problems() == {}
    assert b.tree() == {"f": "1"}
    assert (a.root / "f").stat().st_mode & 0o777 == 0o640
    b.restart()
    b.write("f", "edited")
    world.settle()
    assert a.tree() == {"f": "edited"}
    assert (a.root / "f").stat().st_mode & 0o777 == 0o640


# --- rest -----------------------------------------------------------------------------------------------------------


def test_a_problem_leaves_the_engine_at_rest(tmp_path: Path) -> None:
    """A symlink that the watcher told of is looked at again later, not at once and for ever."""
    _world, a, _b = _two(tmp_path, {"f": "1"})
    a.kill()
    a.watching = True
    a.restart()
    a.settle()
    (a.root / "link").symlink_to("f")
    a.watchers[-1].saw("link")
    _steps(a, 5)
    assert set(a.problems()) == {"link"}
    _steps(a, 20)
    assert a.engine.run_due(a.clock.monotonic()) > a.clock.monotonic()


def test_offline_with_an_edit_the_engine_is_at_rest(tmp_path: Path) -> None:
    """While the bucket is away the engine waits for it."""
    world, a, _b = _two(tmp_path, {"f": "1", "g": "2"})
    a.kill()
    a.watching = True
    a.restart()
    a.settle()
    world.faults = lambda _device, _verb, _key: Fault(Transient("away", offline=True))
    a.write("f", "2")
    a.watchers[-1].saw("f")
    _steps(a, 40)
    a.watchers[-1].saw("g")
    rests = []
    for _ in range(5):
        a.step(0.5)
        rests.append(a.engine.run_due(a.clock.monotonic()) > a.clock.monotonic())
    assert all(rests)


def test_what_the_trash_gives_back_is_as_private_as_before(tmp_path: Path) -> None:
    """A secret that only its owner could read is restored with its permission bits."""
    world, a, b = _two(tmp_path, {"f": "1", "stays": "s"})
    (a.root / "f").chmod(0o600)
    world.settle()
    (a.root / "f").unlink()
    world.settle()
    b.restore("f", None)
    assert (b.root / "f").stat().st_mode & 0o777 == 0o600


def test_a_job_that_outlives_its_engine_loses_nothing(tmp_path: Path) -> None:
    """The configuration is reloaded while a swap is under way, and the machine dies right after it: the edit that came
    out is kept somewhere.
    """
    world, a, b = _two(tmp_path, {"f": "1"})
    a.write("f", "2")
    a.settle()
    b.write("f", "3")
    b.look()
    while not any(isinstance(job.action, KeepBoth) for job in b.engine.jobs):
        b.pool.run_all()
        _begin(b)
    swap = b.pool.jobs.popleft()
    b.engine.restart()
    _begin(b)
    b.trap.set(1, after=True, only=lambda name, _first: name == "swap_in")
    swap()
    b.restart()
    b.settle()
    a.write("f", "4")
    world.settle()
    assert b.tree()["f"] == "4"
    staged = [file.read_text() for file in (b.root / ".dorky/tmp").iterdir() if not file.name.startswith(".")]
    assert "3" in [*b.tree().values(), *b.trashed(), *staged]


def test_a_bucket_is_closed_behind_its_last_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing waits for requests that are under way, on a bad line for minutes, and takes the threads from jobs that have
    begun: the engine's thread does not do it while any is.
    """
    _, a, _ = _two(tmp_path, {"f": "1"})
    a.write("f", "2")
    a.look()
    for _ in range(20):
        if not a.pool.jobs:
            _begin(a)
    assert a.pool.jobs
    bucket = a.engine.bucket
    assert bucket is not None
    closed: list[int] = []
    monkeypatch.setattr(bucket, "close", lambda: closed.append(len(a.pool.jobs)))
    a.engine.close()
    assert closed == []
    assert a.engine.winding_down
    a.pool.run_all()
    assert set(closed) == {0}
    assert not a.engine.winding_down


@pytest.mark.parametrize("kind", ["folder", "symlink"])
def test_what_is_no_file_in_staging_does_not_keep_the_project_from_opening(tmp_path: Path, kind: str) -> None:
    """Somebody made a folder or a link in `.dorky/tmp`: sync begins all the same."""
    world, a, _b = _two(tmp_path, {"f": "1"})
    a.kill()
    stray = a.root / ".dorky/tmp/stray"
    stray.mkdir() if kind == "folder" else stray.symlink_to("elsewhere")
    a.write("f", "2")
    a.restart()
    _steps(a, 20)
    assert world.objects() == {"f": "2"}


def test_a_file_that_became_ignored_is_forgotten_for_good(tmp_path: Path) -> None:
    """At rest a scan writes nothing, also with a file that was in sync before it was ignored."""
    world, a, _b = _two(tmp_path, {"x.log": "1", "f": "1"})
    a.write(".dorkyignore", "*.log")
    world.settle()
    time.sleep(2.1)  # until then every scan looks at what was just written
    world.settle()
    world.settle()
    before = (a.root / ".dorky/folder.json").read_text()
    a.settle()
    assert (a.root / ".dorky/folder.json").read_text() == before


def test_the_next_engine_unlinks_nothing_that_a_job_of_the_last_one_displaced(tmp_path: Path) -> None:
    """The engine begins again while a job hashes what came out of an exchange, a person's edit: it is kept."""
    world, a, b = _two(tmp_path, {"f": "1"})
    b.kill()
    between: list[int] = []

    def swap_in(inner: Callable[..., object], *args: object) -> None:
        inner(*args)
        if between:
            between.clear()
            _steps(b, 10)

    b.wrap = lambda folder: Around(folder, swap_in=swap_in)  # type: ignore[assignment,return-value]
    b.restart()
    b.settle()
    a.write("f", "2")
    a.settle()
    b.write("f", "3")
    b.look()
    while not any(isinstance(job.action, KeepBoth) for job in b.engine.jobs):
        b.pool.run_all()
        _begin(b)
    swap = b.pool.jobs.popleft()
    b.engine.restart()
    _begin(b)  # as a reload does; the job is still on the pool
    between.append(1)
    swap()
    world.settle()
    assert "3" in [*b.tree().values(), *b.trashed()]
