"""What dorkyd makes for itself is nobody else's to read, whatever the umask says."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dorkyd.core import model
from dorkyd.daemon import _write_daemon_file
from tests.daemons import RealDaemon
from tests.devices import World
from tests.e2e.commands import running
from tests.security.hostile import Hostile
from tests.security.test_links import _act as acting


@pytest.fixture
def open_umask() -> Iterator[None]:
    """New files are open to all unless somebody says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(*tops: Path) -> list[str]:
    """What of this and below it others may read, write or enter; nothing below a closed folder counts as closed itself."""
    found = []
    for top in tops:
        for path in [top, *top.rglob("*")] if top.exists() else []:
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:
                continue
            if mode & 0o077 and not stat.S_ISLNK(mode):
                found.append(f"{path} {mode & 0o7777:o}")
    return found


@pytest.mark.usefixtures("open_umask")
def test_at_no_moment_is_anything_of_ours_open(quick_path: Path) -> None:
    """The journal with its log, file by file, and staging and trash as closed folders: looked at before every system call of
    a sync with a conflict. What lies in them may carry the bits that it has or had in its place.
    """
    world = World(quick_path)
    a, b = world.device("a"), world.device("b")
    seen: set[str] = set()
    looks = [0]

    def look() -> None:
        looks[0] += 1
        acting.clear()
        for device in world.devices:
            seen.update(open_to_others(device.journals))
            ours = device.root / ".dorky"
            for closed in (ours, ours / "tmp", ours / "trash"):
                if closed.exists() and closed.stat().st_mode & 0o077:
                    seen.add(str(closed))
        acting.append(look)

    acting.append(look)
    try:
        a.write(".env", "SECRET=1")
        os.chmod(a.root / ".env", 0o600)
        world.settle()
        a.write(".env", "SECRET=2")
        b.write(".env", "SECRET=3")
        world.settle()
        (a.root / ".env").unlink()
        world.settle()
    finally:
        acting.clear()
    assert looks[0] > 500
    assert seen == set()
    assert {p: oct((b.root / p).stat().st_mode & 0o777) for p in b.tree()} == dict.fromkeys(b.tree(), "0o600")


@pytest.mark.usefixtures("open_umask")
@pytest.mark.parametrize("mode", ["7777", "4755", "2755", "1777", "6000", "7000", "777777"])
def test_special_bits_are_never_set(hostile: Hostile, mode: str) -> None:
    """Set-uid, set-gid and sticky in an object's metadata are nobody's wish."""
    hostile.put("run.sh", b"#!/bin/sh\n", {"dorky-mode": mode, "dorky-op": "a" * 32})
    hostile.world.settle()
    held = (hostile.a.root / "run.sh").stat().st_mode
    assert held & 0o7000 == 0
    assert held & 0o777 == int(mode, 8) & 0o777


@pytest.mark.usefixtures("open_umask")
def test_daemon_json_is_private_from_its_first_byte(tmp_path: Path) -> None:
    """Not made open to all and closed afterwards."""
    seen: list[str] = []

    def look() -> None:
        acting.clear()
        seen.extend(open_to_others(*tmp_path.iterdir()))
        acting.append(look)

    acting.append(look)
    try:
        _write_daemon_file(tmp_path / "daemon.json", "socket")
    finally:
        acting.clear()
    assert seen == []
    assert open_to_others(tmp_path / "daemon.json") == []


@pytest.mark.daemon
def test_a_daemon_started_with_an_open_umask(tmp_path: Path) -> None:
    """State, journals with their logs, daemon.json, locks and the socket are its own user's alone, and so is each folder
    that it had to make on the way; one that was open is closed.
    """
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    daemon = RealDaemon(tmp_path, "a", f"file://{bucket}")
    (daemon.home / "state").mkdir()
    (daemon.home / "state").chmod(0o777)
    (daemon.root / ".env").write_text("SECRET=1")
    code = "import os; os.umask(0); from dorkyd.daemon import main; raise SystemExit(main())"
    with running():
        with daemon.log.open("ab") as log:
            daemon.process = subprocess.Popen([sys.executable, "-c", code], env=daemon.env, stdout=log, stderr=log)
        try:
            daemon.ready().sync()
            home = daemon.home
            assert open_to_others(home / "state", home / "run") == []
            assert (daemon.root / ".dorky").stat().st_mode & 0o077 == 0
            assert {p.name for p in (home / "state").rglob("*")} >= {"daemon.json", "daemon.lock", "journals"}
            assert any(p.name.endswith("-wal") for p in (home / "state").rglob("*"))
            assert stat.S_ISSOCK((home / "run/dorkyd.sock").lstat().st_mode)
        finally:
            daemon.kill()


def test_a_trash_folder_with_an_impossible_date_is_not_ours(hostile: Hostile) -> None:
    """It is neither listed nor purged, and stops nothing."""
    name = "99999999T999999.000000000Z-00000000"
    odd = hostile.a.root / ".dorky/trash" / name
    odd.mkdir()
    (odd / "f").write_text("whose?")
    assert hostile.a.engine.folder.trash() == []
    assert hostile.a.engine.folder.trash_digest(name) is None
    hostile.goes_on()
    assert (odd / "f").read_text() == "whose?"
    assert model.Path("f") not in hostile.a.problems()
