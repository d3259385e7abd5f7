"""`.dorky/`: the marker, the lock, and that nothing brings a vanished folder back."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from dorkyd.core.model import ReplicaId
from dorkyd.errors import Blocked, Busy, Stale
from dorkyd.folder import LocalFolder
from dorkyd.ports import Identity
from tests.folders import Fixture, names


@pytest.fixture
def at(tmp_path: pathlib.Path) -> Fixture:
    """A folder with a marker."""
    return Fixture(tmp_path / "root")


def test_identity_comes_back_as_written(at: Fixture) -> None:
    """The marker holds project, replica and counter."""
    identity = Identity("p", ReplicaId("r"), 7)
    at.folder.write_identity(identity)
    assert at.folder.identity() == identity


def test_our_folder_is_private_and_keeps_git_out(at: Fixture) -> None:
    """`.dorky` and staging are 0700, the marker 0600, and git is told to ignore all of it."""
    modes = {name: (at.root / ".dorky" / name).stat().st_mode & 0o777 for name in ("", "tmp", "trash", "folder.json")}
    assert modes == {"": 0o700, "tmp": 0o700, "trash": 0o700, "folder.json": 0o600}
    assert at.read(".dorky/.gitignore") == b"*\n"


def test_an_open_folder_of_the_npm_tool_is_closed_to_others(tmp_path: pathlib.Path) -> None:
    """A `.dorky` that somebody else made open becomes private."""
    (tmp_path / "root/.dorky").mkdir(parents=True)
    (tmp_path / "root/.dorky").chmod(0o755)
    Fixture(tmp_path / "root")
    assert (tmp_path / "root/.dorky").stat().st_mode & 0o777 == 0o700


def test_identity_is_none_without_root_or_marker(at: Fixture) -> None:
    """A missing marker and a missing root both read as no identity."""
    (at.root / ".dorky/folder.json").unlink()
    assert at.folder.identity() is None
    shutil.rmtree(at.root)
    assert at.folder.identity() is None
    assert not at.folder.root_exists()


def test_identity_notices_a_replaced_root(at: Fixture, tmp_path: pathlib.Path) -> None:
    """The root is found by name each time: another folder in its place has its own identity."""
    at.root.rename(tmp_path / "moved")
    at.root.mkdir()
    assert at.folder.identity() is None
    assert at.folder.root_exists()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"format": 1}', '{"format":1,"project_id":"p","replica":"r","counter":true}', "\udcff"],
)
def test_a_malformed_marker_needs_a_person(at: Fixture, content: str) -> None:
    """What no dorkyd wrote is refused with a remedy, never taken for a new folder."""
    (at.root / ".dorky/folder.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(Blocked) as caught:
        at.folder.identity()
    assert caught.value.hint


def test_a_newer_marker_needs_an_upgrade(at: Fixture) -> None:
    """A format from the future is never read as ours."""
    (at.root / ".dorky/folder.json").write_text(json.dumps({"format": 2}))
    with pytest.raises(Blocked, match="newer") as caught:
        at.folder.identity()
    assert "upgrade" in caught.value.hint


def test_a_half_written_marker_of_a_crash_is_replaced(at: Fixture) -> None:
    """A leftover of a crash between writing and renaming does not stop the next write."""
    (at.root / ".dorky/folder.json.new").write_text("{")
    at.folder.write_identity(Identity("p", ReplicaId("r"), 2))
    assert at.folder.identity() == Identity("p", ReplicaId("r"), 2)


def test_nothing_recreates_a_vanished_root_or_marker(at: Fixture, tmp_path: pathlib.Path) -> None:
    """Without `.dorky`, and without the root, effects are Stale and make nothing."""
    shutil.rmtree(at.root / ".dorky")
    with pytest.raises(Stale):
        at.folder.stage("n")
    assert names(at.root) == []
    at.root.rmdir()
    for effect in (
        at.folder.now_ns,
        at.folder.trash,
        lambda: at.folder.write_identity(Identity("", ReplicaId("r"), 1)),
    ):
        with pytest.raises(Stale):
            effect()
    assert names(tmp_path) == []


def test_marker_inode_is_that_of_our_folder(at: Fixture) -> None:
    """A copied folder shows by the inode of `.dorky`."""
    assert at.folder.marker_inode() == (at.root / ".dorky").stat().st_ino


def test_lock_is_exclusive_and_names_its_holder(at: Fixture) -> None:
    """A second daemon is told who holds the folder; after unlock it may have it."""
    other = LocalFolder(str(at.root))
    at.folder.lock()
    with pytest.raises(Busy, match=str(os.getpid())) as caught:
        other.lock()
    assert "dorkyctl stop" in caught.value.hint
    at.folder.unlock()
    at.folder.unlock()
    other.lock()
    other.unlock()


def test_lock_dies_with_its_process(at: Fixture) -> None:
    """A killed daemon leaves no lock behind."""
    script = (
        "import sys; from dorkyd.folder import LocalFolder; f = LocalFolder(sys.argv[1]); f.lock(); "
        "print('held', flush=True); sys.stdin.read()"
    )
    top = str(pathlib.Path(__file__).parent.parent)
    with subprocess.Popen(
        [sys.executable, "-c", script, str(at.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=top
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(Busy, match=str(child.pid)):
            at.folder.lock()
        child.kill()
    at.folder.lock()
    at.folder.unlock()
