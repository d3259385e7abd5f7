"""A person at two machines: every command against real daemons, as it is typed and as it is shown."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dorkyd.client import DorkyClient
from tests.daemons import RealDaemon, settle, wait_until
from tests.e2e.commands import Ran, clean_env, ctl, halt_of, offered, run, running

pytestmark = pytest.mark.daemon


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    """An empty directory bucket."""
    made = tmp_path / "bucket"
    made.mkdir()
    return made


@pytest.fixture
def pair(tmp_path: Path, bucket: Path) -> Iterator[tuple[RealDaemon, RealDaemon]]:
    """Two devices, twenty files in sync. A `guard` of 5 files."""
    a, b = (RealDaemon(tmp_path, name, f"file://{bucket}", guard={"files": 5}) for name in ("anna", "ben"))
    (a.root / "data").mkdir()
    for number in range(19):
        (a.root / f"data/f{number:02}").write_text(f"content {number}")
    (a.root / ".env").write_text("KEY=1")
    with running(a, b):
        a.sync()
        b.sync()
        assert len(b.tree()) == 20
        yield a, b


@pytest.fixture
def one(tmp_path: Path, bucket: Path) -> Iterator[RealDaemon]:
    """One device, one file in sync."""
    made = RealDaemon(tmp_path, "anna", f"file://{bucket}")
    (made.root / "kept.txt").write_text("kept")
    with running(made):
        made.sync()
        yield made


def _ok(daemon: RealDaemon, *arguments: str, cwd: Path | None = None) -> Ran:
    ran = ctl(daemon, *arguments, cwd=cwd)
    assert ran.code == 0, (arguments, ran)
    return ran


def _objects(bucket: Path) -> int:
    return sum(1 for file in bucket.rglob("*") if file.is_file() and ".dorky" not in file.relative_to(bucket).parts)


def _decide(daemon: RealDaemon, verb: str) -> None:
    """Run the command that status offers, as it is shown there."""
    shown = ctl(daemon, "status")
    assert shown.code == 4
    ran = ctl(daemon, *offered(shown.out, verb))
    assert ran.code == 0, ran


# --- the beginning ---------------------------------------------------------------------------------------------------


def test_up_in_a_clean_home(tmp_path: Path) -> None:
    """The README's first command: it starts the daemon, makes the embedded bucket, syncs and shows; XDG defaults."""
    home, folder = tmp_path / "home", tmp_path / "home/api"
    folder.mkdir(parents=True)
    (folder / ".env").write_text("KEY=1")
    env = clean_env(HOME=str(home))
    state = home / ".local/state/dorky"
    try:
        ran = run("dorkyctl", "up", env=env, cwd=folder)
        assert ran.code == 0, ran
        assert "in-sync" in ran.out
        assert "Starting the daemon" in ran.err
        assert (state / "buckets/api/.env").read_text() == "KEY=1"
        config = home / ".config/dorky/config.yaml"
        assert config.stat().st_mode & 0o777 == 0o600
        assert state.stat().st_mode & 0o777 == 0o700
        assert (state / "dorkyd.sock").stat().st_mode & 0o777 == 0o600
        again = run("dorkyctl", "up", env=env, cwd=folder)
        assert again.code == 0
        assert config.read_text().count("- name: api") == 1
    finally:
        stopped = run("dorkyctl", "stop", env=env)
    assert stopped.code == 0
    assert run("dorkyctl", "status", env=env).code == 6


# --- conflicts -------------------------------------------------------------------------------------------------------


def test_a_conflict_from_edit_to_resolve(pair: tuple[RealDaemon, RealDaemon]) -> None:
    """Edited on both sides: the winner everywhere under the name, the loser everywhere in one copy, counted, exit 4;
    `resolve` settles it on both, and what was not kept lies in the trash.
    """
    a, b = pair
    for daemon in pair:
        _ok(daemon, "pause", "p")
    (a.root / ".env").write_text("by anna")
    (b.root / ".env").write_text("by ben, longer")
    _ok(a, "resume", "p")
    _ok(a, "sync", "--wait")
    _ok(b, "resume", "p")
    settle(a, b)
    assert a.tree() == b.tree()
    (copy,) = (path for path in a.tree() if "(conflict ben " in path)
    assert a.tree()[".env"][0] == b"by anna"
    assert a.tree()[copy][0] == b"by ben, longer"
    for daemon in pair:
        shown = ctl(daemon, "status")
        assert shown.code == 4
        assert "1 conflict: dorkyctl conflicts p" in shown.out
        listed = _ok(daemon, *offered(shown.out, "conflicts")).out
        assert copy in listed
        assert "from ben" in listed
        assert "--keep mine|theirs|both" in listed
        assert daemon.status().conflicts == 1
    assert _ok(a, "sync", "--wait").code == 0, "old conflicts or not"
    assert "conflict" in _ok(a, "why", ".env", cwd=a.root).out

    settled = _ok(b, "resolve", "p:.env", "--keep", "mine")
    assert "0 conflicts left" in settled.out, "the copy is gone here, its deletion on the way"
    assert ctl(b, "status").code == 0
    wait_until("settled on both", lambda: all(len(each.tree()) == 20 for each in pair))
    settle(a, b)
    for daemon in pair:
        assert daemon.tree()[".env"][0] == b"by ben, longer"
        assert ctl(daemon, "status").code == 0
    assert ".env" in _ok(b, "trash").out
    _ok(b, "restore", "p:.env")
    settle(a, b)
    assert a.tree()[".env"][0] == b"by anna"


# --- halts -----------------------------------------------------------------------------------------------------------


def test_a_mass_deletion_waits_and_is_approved(pair: tuple[RealDaemon, RealDaemon], bucket: Path) -> None:
    """Past the guard: halted on the device, nothing deleted elsewhere; reject brings all back; approve lets exactly
    these go, and peers follow without a halt of their own.
    """
    a, b = pair
    shutil.rmtree(a.root / "data")
    wait_until("halted", lambda: halt_of(a) is not None)
    shown = ctl(a, "status")
    assert shown.code == 4
    assert "mass-delete" in shown.out
    assert "19 of 20 files" in shown.out
    assert "✗19" in shown.out
    assert "↑" not in shown.out
    waited = ctl(a, "sync", "--wait")
    assert waited.code == 4
    assert "dorkyctl approve p" in waited.err
    assert (_objects(bucket), len(b.tree())) == (20, 20)
    stale = ctl(a, "approve", "p", "00000000")
    assert stale.code == 2
    assert "dorkyctl status p" in stale.err

    _decide(a, "reject")
    wait_until("restored", lambda: len(a.tree()) == 20)
    settle(a, b)

    shutil.rmtree(a.root / "data")
    wait_until("halted again", lambda: halt_of(a) is not None)
    _decide(a, "approve")
    wait_until("the peer follows", lambda: len(b.tree()) == 1)
    settle(a, b)
    assert (len(a.tree()), _objects(bucket)) == (1, 1)
    for daemon in pair:
        assert ctl(daemon, "status").code == 0
    assert "approve" in _ok(a, "log", "p").out
    _ok(b, "restore", "p:data/f03")
    settle(a, b)
    assert a.tree()["data/f03"][0] == b"content 3"


def test_the_folder_moved_away(pair: tuple[RealDaemon, RealDaemon], bucket: Path, tmp_path: Path) -> None:
    """Root missing: nothing is deleted anywhere, no command can delete, and it clears itself when the folder is back."""
    a, b = pair
    a.root.rename(tmp_path / "away")
    wait_until("halted", lambda: halt_of(a) is not None)
    shown = ctl(a, "status")
    assert shown.code == 4
    assert f"root-missing: the folder is missing or cannot be listed: {a.root}" in shown.out
    assert "goes on by itself when the folder is back" in shown.out
    assert "dorkyctl approve" not in shown.out
    for verb in ("approve", "reject"):
        ran = ctl(a, verb, "p", halt_of(a).token)
        assert ran.code == 2
        assert "bring it back" in ran.err
    b.sync()
    assert (_objects(bucket), len(b.tree())) == (20, 20)
    (tmp_path / "away").rename(a.root)
    wait_until("it clears itself", lambda: a.state() == "in-sync")
    settle(a, b)
    assert len(a.tree()) == 20
    assert ctl(a, "status").code == 0


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_the_folder_emptied(pair: tuple[RealDaemon, RealDaemon], bucket: Path, verb: str) -> None:
    """Everything gone, the marker too: halted with what would be lost. Approve deletes it everywhere; reject brings it
    back. Either way nothing goes before.
    """
    a, b = pair
    # The marker goes first and is missed, as while a large folder is being emptied.
    shutil.rmtree(a.root / ".dorky")
    wait_until("missed", lambda: halt_of(a) is not None)
    shutil.rmtree(a.root / "data")
    (a.root / ".env").unlink()
    wait_until("halted", lambda: (halt := halt_of(a)) is not None and halt.reason == "root-emptied")
    shown = ctl(a, "status").out
    assert "20 files were in sync" in shown
    b.sync()
    assert (_objects(bucket), len(b.tree())) == (20, 20)
    _decide(a, verb)
    left = 0 if verb == "approve" else 20
    wait_until("as decided", lambda: len(a.tree()) == len(b.tree()) == _objects(bucket) == left)
    settle(a, b)
    assert ctl(a, "status").code == ctl(b, "status").code == 0


def test_the_marker_gone(pair: tuple[RealDaemon, RealDaemon], bucket: Path) -> None:
    """Files without the marker: perhaps another folder. Approve makes the marker anew, and deletes nothing."""
    a, b = pair
    shutil.rmtree(a.root / ".dorky")
    (a.root / "data/f00").unlink()
    wait_until("halted", lambda: halt_of(a) is not None)
    assert "marker .dorky/folder.json is gone" in ctl(a, "status").out
    _decide(a, "approve")
    wait_until("in sync", lambda: a.state() == "in-sync")
    settle(a, b)
    assert len(a.tree()) == len(b.tree()) == _objects(bucket) == 20


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_the_bucket_emptied(pair: tuple[RealDaemon, RealDaemon], bucket: Path, verb: str) -> None:
    """Every object gone, by another tool: nothing is deleted here. Approve deletes here too (into the trash); reject
    sends all back.
    """
    a, b = pair
    _ok(b, "pause", "p")
    for name in os.listdir(bucket):
        if name != ".dorky":
            path = bucket / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert ctl(a, "sync", "--wait").code == 4
    shown = ctl(a, "status").out
    assert "remote-emptied" in shown
    assert "20 files" in shown
    assert len(a.tree()) == 20
    _decide(a, verb)
    left = 0 if verb == "approve" else 20
    wait_until("as decided", lambda: len(a.tree()) == _objects(bucket) == left)
    a.sync()
    if verb == "approve":
        assert len(_ok(a, "trash", "p").out.splitlines()) == 2 * 20 + 1
    assert len(b.tree()) == 20


# --- commands --------------------------------------------------------------------------------------------------------


def test_json_is_the_apis_body(one: RealDaemon) -> None:
    """With --json stdout is exactly the body that the API answers, errors included; everything else goes to stderr."""
    with DorkyClient(one.socket) as client:
        for arguments, route in (
            (["ls", "p"], "/v1/projects/p/files"),
            (["log", "p"], "/v1/projects/p/log"),
            (["conflicts", "p"], "/v1/projects/p/conflicts"),
            (["problems", "p"], "/v1/projects/p/problems"),
            (["trash", "p"], "/v1/projects/p/trash"),
        ):
            curl = ["curl", "-s", "--unix-socket", one.socket, f"http://dorky{route}"]
            body = subprocess.run(curl, capture_output=True, check=True).stdout
            ran = _ok(one, *arguments, "--json")
            assert ran.out == body.decode().rstrip("\n") + "\n", arguments
        assert client.health() is not None
    document = json.loads(_ok(one, "status", "--json").out)
    assert document["schema"] == "dorky.status/1"
    assert document["projects"][0]["state"] == "in-sync"
    waited = _ok(one, "sync", "p", "--wait", "--json")
    assert json.loads(waited.out)["converged"] is True
    refused = ctl(one, "sync", "nobody", "--json")
    assert refused.code == 2
    assert json.loads(refused.out)["code"] == "no-such-project"
    assert refused.err.startswith("dorkyctl: ")
    up = _ok(one, "up", str(one.root), "--json")
    assert json.loads(up.out)["schema"] == "dorky.status/1"
    assert len(up.out.splitlines()) == 1


def _on_a_terminal(daemon: RealDaemon, *arguments: str, **env: str) -> str:
    """What a command writes when all its streams are a terminal."""
    leader, follower = pty.openpty()
    code = "from dorkyd.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**daemon.env, "TERM": "xterm-256color", "COLUMNS": "100", **env},
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    written = b""
    try:
        while chunk := os.read(leader, 65536):
            written += chunk
    except OSError:  # Linux says EIO at the end
        pass
    os.close(leader)
    process.wait(30)
    return written.decode()


def test_colours(one: RealDaemon) -> None:
    """On a terminal there is colour; with NO_COLOR, and in a pipe, not one escape."""
    assert "\x1b[" in _on_a_terminal(one, "status")
    plain = _on_a_terminal(one, "status", NO_COLOR="1")
    assert "in-sync" in plain
    assert "\x1b" not in plain
    assert "\x1b" not in _ok(one, "status").said


def test_inside_the_folder_no_name_is_needed(one: RealDaemon, tmp_path: Path, bucket: Path) -> None:
    """Commands run in a project's folder mean that project, and paths are relative to where one stands."""
    other = tmp_path / "other"
    (other / "sub").mkdir(parents=True)
    (other / "sub/x.txt").write_text("x")
    (tmp_path / "bucket-o").mkdir()
    _ok(one, "add", str(other), "--bucket", f"file://{tmp_path}/bucket-o", "--name", "o")
    assert _ok(one, "sync", "--wait", cwd=other / "sub").out.startswith("o: in-sync")
    assert "sub/x.txt" in _ok(one, "ls", cwd=other).out
    assert _ok(one, "why", "x.txt", cwd=other / "sub").out.startswith("sub/x.txt: synced")
    assert "not ignored" in _ok(one, "check-ignore", "x.txt", cwd=other / "sub").out
    assert "ignored by built in" in _ok(one, "check-ignore", ".git/config", cwd=other).out
    assert "ignored by" in _ok(one, "check-ignore", ".DS_Store", cwd=other).out
    which = ctl(one, "sync", cwd=tmp_path)
    assert which.code == 2
    assert "There are: p, o" in which.err
    _ok(one, "remove", "o")
    assert (other / "sub/x.txt").exists()
    assert (tmp_path / "bucket-o/sub/x.txt").exists()


def test_sync_wait_returns_after_the_object_is_there(one: RealDaemon, bucket: Path) -> None:
    """S04: when `sync --wait` returns 0, what was written before it is in the bucket, even if the file still settled."""
    for number in range(3):
        (one.root / "kept.txt").write_text(f"edit {number}")
        _ok(one, "sync", "p", "--wait")
        assert (bucket / "kept.txt").read_text() == f"edit {number}"


def test_pause(one: RealDaemon, bucket: Path) -> None:
    """S05: nothing moves while paused, across a restart; `--for` ends by itself; resume merges."""
    shown = _ok(one, "pause", "p").out
    assert "dorkyctl resume p" in shown
    wait_until("paused", lambda: one.state() == "paused")
    agreed = one.status().last_success
    (one.root / "new.txt").write_text("new")
    (bucket / "theirs.txt").write_text("theirs")
    one.stop()
    one.start()
    wait_until("paused still", lambda: one.state() == "paused")
    assert one.status().last_success == agreed is not None
    status = ctl(one, "status")
    assert status.code == 0
    assert "paused; go on with: dorkyctl resume p" in status.out
    waited = ctl(one, "sync", "p", "--wait")
    assert waited.code == 5
    assert "dorkyctl resume p" in waited.err
    time.sleep(1)  # several polls: that nothing happens cannot be waited for
    assert not (bucket / "new.txt").exists()
    assert not (one.root / "theirs.txt").exists()
    _ok(one, "resume", "p")
    wait_until("merged", (bucket / "new.txt").exists)
    _ok(one, "sync", "p", "--wait")
    assert (one.root / "theirs.txt").read_text() == "theirs"

    _ok(one, "pause", "p", "--for", "2s")
    (one.root / "later.txt").write_text("later")
    wait_until("it ends by itself", (bucket / "later.txt").exists)


def test_pending_has_an_exit_code_of_its_own(one: RealDaemon) -> None:
    """`status --exit-code` is 3 while something is to do, and 0 after; without the option it is 0."""
    document = one.settings
    document["projects"][0]["settle_s"] = 5
    one.configure(document)
    assert one.process is not None
    one.process.send_signal(signal.SIGHUP)
    (one.root / "slow.txt").write_text("slow")
    wait_until("pending", lambda: ctl(one, "status", "--exit-code").code == 3)
    assert ctl(one, "status").code == 0
    wait_until("done", lambda: ctl(one, "status", "--exit-code").code == 0)


def test_log_follow_and_doctor(one: RealDaemon) -> None:
    """`log` says what was done; `-f` goes on; `doctor` finds nothing wrong; after `stop` everything is exit 6."""
    code = "from dorkyd.cli import main; main()"
    follower = subprocess.Popen([sys.executable, "-c", code, "log", "p", "-f"], env=one.env, stdout=subprocess.PIPE)
    try:
        assert follower.stdout is not None
        assert b"kept.txt" in follower.stdout.readline()
        (one.root / "next.txt").write_text("next")
        line = follower.stdout.readline().decode()
        assert "anna" in line
        assert "upload" in line
        assert "next.txt" in line
        examined = ctl(one, "doctor", "p")
        assert "ok   bucket-conditions" in examined.out
        assert _ok(one, "stop").out == "The daemon has stopped.\n"
        assert follower.wait(20) == 6
    finally:
        follower.kill()
        follower.wait()
        if follower.stdout is not None:
            follower.stdout.close()
    for arguments in (["status"], ["sync"], ["ls"], ["stop"], ["pause"]):
        ran = ctl(one, *arguments)
        assert ran.code == 6, arguments
        assert "dorkyctl up" in ran.err
