"""Disks that are full, locked, unreadable or not there, under real daemons where the system lets us make them."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dorkyd import schema
from dorkyd.buckets.memory import MemoryBucket
from dorkyd.core.report import State
from tests.daemons import RealDaemon, wait_until
from tests.devices import World
from tests.e2e.commands import ctl, has_namespaces
from tests.e2e.persons import mine
from tests.e2e.places import FULL, Place
from tests.threaded import ThreadedDevice

pytestmark = [pytest.mark.daemon, pytest.mark.timeout(300)]
_CAPS = "-dac_override,-dac_read_search"
NOT_ROOT = ("setpriv", f"--inh-caps={_CAPS}", f"--bounding-set={_CAPS}")
"""Root without its right to read and write everything."""


def _allowed(*prefix: str) -> bool:
    return shutil.which(prefix[0]) is not None and not subprocess.run([*prefix, "true"], check=False).returncode


needs_plain = pytest.mark.skipif(not _allowed(*NOT_ROOT), reason="setpriv is refused here")
needs_mounts = pytest.mark.skipif(not has_namespaces(), reason="unshare -rm with a tmpfs is refused here")


def _start(daemon: RealDaemon, *prefix: str) -> None:
    """Behind a command that execs it."""
    with daemon.log.open("ab") as log:
        command = [*prefix, sys.executable, "-m", "dorkyd"]
        daemon.process = subprocess.Popen(command, env=daemon.env, stdout=log, stderr=log)
    daemon.ready()


def _mounting(script: str, *arguments: object) -> tuple[str, ...]:
    return ("unshare", "-rm", "sh", "-c", f'{script}; shift {len(arguments)}; exec "$@"', "sh", *map(str, arguments))


def _inside(daemon: RealDaemon, path: Path) -> Path:
    """What the daemon sees at a path, from here."""
    assert daemon.process is not None
    return Path(f"/proc/{daemon.process.pid}/root{path}")


@needs_plain
def test_unreadable_and_read_only(directory: Place) -> None:
    """An unreadable file, an unreadable folder and a folder that may not be written to: each is a problem of its own that says
    what to run, nothing is deleted anywhere, other files go on, and all is well once a person has allowed it again.
    """
    a, b = directory.device("a"), directory.device("b")
    for path in ("file", "dir/one", "dir/sub/two", "fixed/three", "open/four"):
        (a.root / path).parent.mkdir(parents=True, exist_ok=True)
        (a.root / path).write_text(path)
    before = {path: path.encode() for path in mine(a.root)}
    _start(a, *NOT_ROOT)
    b.start()
    a.sync(), b.sync()
    (a.root / "file").chmod(0)
    (a.root / "dir").chmod(0)
    (a.root / "fixed").chmod(0o555)
    (b.root / "fixed/new").write_text("new")
    (b.root / "fixed/three").write_text("three, again")
    (b.root / "open/five").write_text("five")
    (b.root / "dir/sub/two").write_text("two, again")
    b.sync()
    ctl(a, "sync")
    wait_until("others go on", (a.root / "open/five").exists, 60)
    wait_until("problems are told", lambda: a.status().problems >= 4, 60)
    listed = ctl(a, "problems")
    for word in ("file", "dir", "fixed/new", "fixed/three", "chmod u+r", "chmod u+w"):
        assert word in listed.out, listed
    assert ctl(a, "status").code == 4
    b.sync()
    assert {p: d for p, d in mine(b.root).items() if p in before} == {
        **before, "fixed/three": b"three, again", "dir/sub/two": b"two, again",
    }  # fmt: skip
    a.stop()
    # Over a restart the same: what cannot be read is not gone.
    _start(a, *NOT_ROOT)
    ctl(a, "sync", "--wait")
    b.sync()
    assert before.keys() <= mine(b.root).keys()
    for path, mode in (("file", 0o644), ("dir", 0o755), ("fixed", 0o755)):
        (a.root / path).chmod(mode)
    a.sync()
    b.sync()
    assert mine(a.root) == mine(b.root) == directory.live()
    assert a.status().problems == 0
    assert not [path for path in mine(b.root) if "conflict" in path]


@needs_mounts
def test_a_full_disk_under_the_state(directory: Place) -> None:
    """The journal cannot be written: nothing is decided from what it does not hold, the status says what is full, and sync
    goes on by itself when there is room again.
    """
    a = directory.device("a")
    (a.root / "begin").write_text("begin")
    state = a.home / "state"
    state.mkdir(mode=0o700)
    _start(a, *_mounting('mount -t tmpfs -o size=12m tmpfs "$1"', state))
    a.sync()
    ballast = _inside(a, state) / "ballast"
    with ballast.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while stream.write(bytes(4096)):
            pass
    names = [f"{'long name ' * 12}{n}" for n in range(800)]
    for name in names:
        (a.root / name).write_text(name)
    wait_until("it is told", lambda: a.state() == "error", 60)
    told = ctl(a, "status")
    assert told.code == 4
    assert "full" in told.out
    assert "journals" in told.out
    there = directory.live()
    assert all(data == key.encode() for key, data in there.items())
    ballast.unlink()
    wait_until("it goes on", lambda: len(directory.live()) == 801, 120)
    a.sync()
    assert a.status().warnings == []
    assert mine(a.root) == directory.live() == {name: name.encode() for name in [*names, "begin"]}


@needs_mounts
def test_another_file_system_inside(directory: Place) -> None:
    """A disk mounted over a folder of the project hides files, which are not deleted for it; its own are not sent; and
    without it all is as before.
    """
    a, b = directory.device("a"), directory.device("b")
    (a.root / "disk").mkdir()
    (a.root / "disk/hidden").write_text("hidden")
    (a.root / "plain").write_text("plain")
    a.start().sync()
    b.start().sync()
    a.stop()
    _start(a, *_mounting('mount -t tmpfs tmpfs "$1" && echo foreign > "$1/foreign"', a.root / "disk"))
    (b.root / "disk/hidden").write_text("edited")
    (b.root / "disk/new").write_text("new")
    (b.root / "plain").write_text("edited plain")
    b.sync()
    ctl(a, "sync", "--wait")
    wait_until("others go on", lambda: (a.root / "plain").read_text() == "edited plain")
    assert sorted(os.listdir(_inside(a, a.root / "disk"))) == ["foreign"]
    assert "mount" in ctl(a, "problems").out or "file system" in ctl(a, "problems").out
    assert directory.live() == {"disk/hidden": b"edited", "disk/new": b"new", "plain": b"edited plain"}
    a.stop()
    a.start().sync()
    assert mine(a.root) == directory.live()


@pytest.mark.skipif(not FULL, reason="DORKY_FULL=1")
def test_a_limit_on_file_sizes(directory: Place) -> None:
    """Where a download would grow beyond what the system allows (RLIMIT_FSIZE) it is that path's problem."""
    if shutil.which("prlimit") is None:
        pytest.skip("prlimit is not installed")
    a, b = directory.device("a"), directory.device("b")
    (b.root / "large").write_bytes(os.urandom(6 << 20))
    (b.root / "small").write_text("small")
    b.start().sync()
    _start(a, "prlimit", f"--fsize={4 << 20}")
    wait_until("the problem is told", lambda: a.status().problems == 1, 60)
    assert mine(a.root) == {"small": b"small"}
    assert "large" in ctl(a, "problems").out
    a.stop()
    a.start().sync()
    assert mine(a.root) == mine(b.root)


@pytest.mark.skipif(not FULL, reason="DORKY_FULL=1")
def test_folders_that_become_links(directory: Place, tmp_path: Path) -> None:
    """While a teammate's edits of a folder come in, the folder is again and again a link that leads outside: nothing is ever
    written there.
    """
    a, b = directory.device("a"), directory.device("b")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f0").write_text("not yours")
    for n in range(10):
        (b.root / "d").mkdir(exist_ok=True)
        (b.root / f"d/f{n}").write_text("0")
    a.start()
    b.start().sync()
    a.sync()
    ended = threading.Event()

    def swap() -> None:
        folder, away = a.root / "d", tmp_path / "away"
        while not ended.wait(0.004):
            folder.rename(away)
            folder.symlink_to(outside)
            ended.wait(0.002)
            folder.unlink()
            away.rename(folder)

    thread = threading.Thread(target=swap)
    thread.start()
    rounds = 60 if FULL else 8
    try:
        for k in range(rounds):
            for n in range(10):
                (b.root / f"d/f{n}").write_text(f"round {k}")
            b.sync()
    finally:
        ended.set()
        thread.join()
    a.sync(), b.sync(), a.sync()
    assert sorted(os.listdir(outside)) == ["f0"]
    assert (outside / "f0").read_text() == "not yours"
    assert {path: data for path, data in mine(a.root).items() if "conflict" not in path} == {
        f"d/f{n}": f"round {rounds - 1}".encode() for n in range(10)
    }


def test_files_that_change_while_they_are_read(directory: Place) -> None:
    """Grown, shortened, replaced and removed while they are hashed and sent: what ends in the bucket is the last state."""
    a, b = directory.device("a", settle_s=0, hold_s=0.1), directory.device("b")
    a.start()
    b.start()
    busy = [a.root / f"busy {n}" for n in range(4)]
    for k in range(120 if FULL else 10):
        for n, file in enumerate(busy):
            data = (b"%d %d " % (k, n)) * 200_000
            match (k + n) % 4:
                case 0:
                    file.write_bytes(data)
                case 1 if file.exists():
                    with file.open("ab") as stream:
                        stream.write(data[:999])
                case 2 if file.exists():
                    os.truncate(file, file.stat().st_size // 2)
                case 3:
                    file.unlink(missing_ok=True)
                case _:
                    (a.root / "next").write_bytes(data)
                    (a.root / "next").rename(file)
        threading.Event().wait(0.02)
    last = mine(a.root)
    a.sync(), b.sync(), a.sync()
    assert mine(a.root) == mine(b.root) == directory.live() == last


# --- in this process -------------------------------------------------------------------------------------------------


@contextmanager
def _threaded(base: Path) -> Iterator[tuple[ThreadedDevice, MemoryBucket]]:
    store = MemoryBucket()
    device = ThreadedDevice(base, "a", lambda _: store.client())
    (device.root / "begin").write_text("begin")
    device.start()
    try:
        device.sync()
        yield device, store
    finally:
        device.stop()


def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = schema.connect

    def connect(file: Path) -> sqlite3.Connection:
        conn = whole(file)
        conn.execute("PRAGMA busy_timeout=200")
        return conn

    monkeypatch.setattr(schema, "connect", connect)


def test_a_journal_that_another_process_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For as long as that lasts nothing is sent, and the status says why; then all goes on, with the same journal."""
    _impatient(monkeypatch)
    with _threaded(tmp_path) as (device, store):
        (file,) = device.journals.glob("*.db")
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            (device.root / "new").write_text("new")
            wait_until("it is told", lambda: device.status().state is State.ERROR)
            assert "locked" in device.status().detail
            assert not [item for page in store.client().list("new") for item in page]
            other.execute("ROLLBACK")
        wait_until("it goes on", lambda: device.status().state is State.IN_SYNC and device.status().files == 2, 60)
        assert [item.key for page in store.client().list("new") for item in page] == ["new"]
        assert list(device.journals.glob("*.db*damaged*")) == []
        assert device.status().warnings == ()


class _Bad:
    """`os` functions that fail with EIO for names that are bad just now."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: set[str] = set()
        for name in ("open", "stat"):
            monkeypatch.setattr(os, name, self._around(getattr(os, name)))

    def _around(self, whole: Any) -> Any:
        def call(path: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(path, str) and path.rpartition("/")[2] in self.names:
                raise OSError(errno.EIO, os.strerror(errno.EIO), path)
            return whole(path, *args, **kwargs)

        return call


def test_a_disk_that_fails_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EIO on a file and on a folder: problems, not absences. Nothing is deleted, here or there."""
    world = World(tmp_path)
    world.device("A"), world.device("B")
    one, two = world.begin({"bad file": "1", "bad folder/in it": "2", "good": "3"})
    bad = _Bad(monkeypatch)
    bad.names = {"bad file", "bad folder"}
    one.write("good", "4")
    for _ in range(6):
        one.look()
        one.step(1)
    two.settle()
    assert world.objects() == {"bad file": "1", "bad folder/in it": "2", "good": "4"}
    assert {"bad file", "bad folder"} <= one.problems().keys()
    assert set(one.problems().values()) == {"unreadable"}
    bad.names = set()
    world.settle()
    assert one.problems() == {}
    world.all_hold({"bad file": "1", "bad folder/in it": "2", "good": "4"})
