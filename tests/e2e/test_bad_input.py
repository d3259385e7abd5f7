"""Bad input, with real daemons: a clear message that says what to do, the documented exit code, and nothing lost."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.daemons import RealDaemon, wait_until
from tests.e2e.commands import clean_env, ctl, halt_of, needs_namespaces, run, running
from tests.servers import Server, free_ports

pytestmark = pytest.mark.daemon


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    """An empty directory bucket."""
    made = tmp_path / "bucket"
    made.mkdir()
    return made


@pytest.fixture
def daemon(tmp_path: Path, bucket: Path) -> Iterator[RealDaemon]:
    """A running daemon, one file in sync."""
    made = RealDaemon(tmp_path, "a", f"file://{bucket}")
    (made.root / "kept.txt").write_text("kept")
    with running(made):
        made.sync()
        yield made


def _log(daemon: RealDaemon) -> str:
    return daemon.log.read_text()


# --- configuration ---------------------------------------------------------------------------------------------------

_PROJECT = "projects:\n  - path: {folder}\n    bucket: {bucket}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("device: [one\n", "config.yaml:2: "),
        ("projcts: []\n", "config.yaml:1: "),
        (_PROJECT + "    setle_s: 1\n", "config.yaml:4: "),
        (_PROJECT + "    bandwidth: {{up: 1}}\n", "config.yaml:4: `up` must be 0 (no limit) or at least 1KiB"),
        (_PROJECT.replace("{bucket}", "gs://Acme/api"), "config.yaml:3: `Acme` is no bucket's name"),
        (_PROJECT.replace("{bucket}", "file://{folder}/bucket"), "config.yaml:3: the bucket of project"),
        (_PROJECT + "  - {{path: '{folder}/inner', bucket: 's3://acme/inner'}}\n", "keep them apart"),
        (_PROJECT.replace("{folder}", "{home}"), "config.yaml:2: "),
    ],
    ids=[
        "malformed",
        "unknown",
        "unknown-in-project",
        "bandwidth",
        "gs",
        "bucket-inside",
        "nested",
        "own-home",
    ],
)
def test_a_wrong_configuration(tmp_path: Path, text: str, says: str) -> None:
    """What cannot be obeyed is refused with its line and the file's name, exit 78, and nothing is touched."""
    home, folder = tmp_path / "home", tmp_path / "folder"
    home.mkdir()
    (folder / "inner").mkdir(parents=True)
    config = home / "config.yaml"
    config.write_text(text.format(folder=folder, home=home, bucket="s3://acme/api"))
    ran = run("dorkyd", env=clean_env(DORKY_HOME=str(home)))
    assert ran.code == 78
    assert says in ran.err
    assert f"edit {config}" in ran.err
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*")) == ["inner"]


def test_up_passes_on_why_the_daemon_did_not_start(tmp_path: Path) -> None:
    """`dorkyctl up` shows the daemon's own words and exits with its code."""
    (tmp_path / "config.yaml").write_text("device: a\nprojcts: []\n")
    folder = tmp_path / "folder"
    folder.mkdir()
    ran = run("dorkyctl", "up", str(folder), env=clean_env(DORKY_HOME=str(tmp_path)))
    assert ran.code == 78
    assert "config.yaml:2: " in ran.err
    assert "projects" in ran.err, "what would be right"


def test_a_socket_path_that_is_too_long(tmp_path: Path) -> None:
    """Refused before anything is made, with the remedy."""
    home = tmp_path / ("h" * 90)
    for program, arguments in (("dorkyd", []), ("dorkyctl", ["up", str(tmp_path)])):
        ran = run(program, *arguments, env=clean_env(DORKY_HOME=str(home)))
        assert ran.code == 78, ran
        assert "at most 100" in ran.err
        assert "DORKY_HOME" in ran.err


def test_edits_of_the_configuration_while_running(daemon: RealDaemon, tmp_path: Path) -> None:
    """A bad edit keeps the old settings with a warning; a project added or removed in the file comes and goes, at once
    on SIGHUP and else by itself.
    """
    good = (daemon.home / "config.yaml").read_text()
    (daemon.home / "config.yaml").write_text(good + "polls_s: 3\n")
    wait_until("the warning", lambda: "configuration: config.yaml:" in ctl(daemon, "status").out)
    warned = ctl(daemon, "status")
    assert warned.code == 0
    assert "polls_s" in warned.out
    assert "until then the settings from before hold" in warned.out
    refused = ctl(daemon, "add", str(tmp_path), "--bucket", "s3://acme/api")
    assert refused.code == 78
    assert "polls_s" in refused.err
    (daemon.root / "during.txt").write_text("synced all the same")
    daemon.sync()

    second = tmp_path / "second"
    second.mkdir()
    (second / "s.txt").write_text("s")
    document = yaml.safe_load(good)
    document["projects"].append(
        {"name": "q", "path": str(second), "bucket": f"file://{tmp_path}/bucket-q", "poll_s": 1}
    )
    (tmp_path / "bucket-q").mkdir()
    daemon.configure(document)
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    wait_until("q is there", lambda: ctl(daemon, "sync", "q", "--wait").code == 0)
    assert (tmp_path / "bucket-q/s.txt").read_text() == "s"
    assert "configuration:" not in ctl(daemon, "status").out

    daemon.configure(yaml.safe_load(good))
    wait_until("q is gone", lambda: ctl(daemon, "status", "q").code == 2)
    assert (second / "s.txt").read_text() == "s"
    assert (tmp_path / "bucket-q/s.txt").read_text() == "s"
    assert daemon.state() == "in-sync"


def test_refused_requests(daemon: RealDaemon, tmp_path: Path) -> None:
    """Each refused request says why and what to do, with its exit code, and changes nothing."""
    before = (daemon.home / "config.yaml").read_text()
    inner = daemon.root / "inner"
    inner.mkdir()
    other = tmp_path / "other"
    other.mkdir()
    for arguments, code, says in (
        (["add", str(tmp_path / "none"), "--bucket", "s3://acme/x"], 2, "does not exist"),
        (["add", str(other), "--bucket", "gs://Acme/x"], 78, "`Acme` is no bucket's name"),
        (["add", str(other), "--bucket", f"file://{other}/b"], 78, "keep them apart"),
        (["add", str(inner), "--bucket", "s3://acme/x"], 78, "keep them apart"),
        (
            ["add", str(other), "--bucket", "s3://acme/x", "--mode", "bucket"],
            78,
            "it must be two-way, push, pull or manual",
        ),
        (["add", str(other), "--bucket", "ftp://x"], 78, "must begin with s3://, gs:// or file:///"),
        (["up", str(daemon.root), "--bucket", "s3://acme/elsewhere"], 2, "remove p"),
        (["remove", "nobody"], 2, "there are: p"),
        (["sync", "nobody"], 2, "there are: p"),
        (["why", "/etc/passwd"], 2, "NAME:PATH"),
        (["why", "p:../../etc/passwd"], 2, ".."),
        (["resolve", "p:kept.txt", "--keep", "mine"], 2, "dorkyctl conflicts"),
        (["restore", "p:kept.txt"], 2, "dorkyctl history"),
        (["approve", "p", "12345678"], 2, "not halted"),
        (["pause", "p", "--for", "soon"], 2, "1h30m"),
        (["put", "nowhere.txt"], 2, "nowhere.txt cannot be read"),
        (["frobnicate"], 2, "frobnicate"),
    ):
        ran = ctl(daemon, *arguments)
        assert ran.code == code, (arguments, ran)
        assert says in ran.err, (arguments, ran)
        assert ran.out == "", (arguments, ran)
    assert (daemon.home / "config.yaml").read_text() == before
    assert daemon.tree().keys() == {"kept.txt"}


def test_a_refused_add_names_no_line(daemon: RealDaemon, tmp_path: Path) -> None:
    """The file is right: a message that named a line of it would send a person to what is not there."""
    ran = ctl(daemon, "add", str(tmp_path), "--bucket", "gs://Acme/api")
    assert "config.yaml:" not in ran.err
    assert "nothing was changed" in ran.err


def test_a_folder_that_is_not_there_yet(tmp_path: Path, bucket: Path) -> None:
    """A configured folder may be missing, as an unmounted disk is: the project waits, and goes on when it comes."""
    (bucket / "theirs.txt").write_text("theirs")
    daemon = RealDaemon(tmp_path, "a", f"file://{bucket}")
    daemon.root.rmdir()
    with running(daemon):
        wait_until("halted", lambda: halt_of(daemon) is not None)
        ran = ctl(daemon, "status")
        assert ran.code == 4
        assert "root-missing" in ran.out
        assert str(daemon.root) in ran.out
        daemon.root.mkdir()
        wait_until("it came", (daemon.root / "theirs.txt").exists)
        daemon.sync()
        assert ctl(daemon, "status").code == 0


# --- a second daemon -------------------------------------------------------------------------------------------------


def test_a_second_daemon_in_the_same_home(daemon: RealDaemon) -> None:
    """It ends with the pid of the first, which goes on."""
    assert daemon.process is not None
    ran = run("dorkyd", env=daemon.env)
    assert ran.code == 1
    assert str(daemon.process.pid) in ran.err
    assert "dorkyctl stop" in ran.err
    daemon.sync()
    assert (daemon.home / "state/daemon.json").exists()


def test_a_second_home_on_the_same_folder(daemon: RealDaemon, tmp_path: Path, bucket: Path) -> None:
    """The second says who has the folder and touches nothing: the first knows its folder still, before and after."""
    assert daemon.process is not None
    marker = (daemon.root / ".dorky/folder.json").read_bytes()
    second = RealDaemon(tmp_path, "b", f"file://{bucket}")
    second.configure({**second.settings, "projects": [{**daemon.settings["projects"][0]}]})
    with running(second):
        wait_until("refused", lambda: second.state() == "error")
        ran = ctl(second, "status")
        assert ran.code == 4
        assert f"process {daemon.process.pid}" in ran.out
        assert ctl(second, "sync", "--wait").code == 4
    assert (daemon.root / ".dorky/folder.json").read_bytes() == marker
    (daemon.root / "kept.txt").unlink()
    daemon.sync()
    status = daemon.status()
    assert (status.state, status.warnings, status.files) == ("in-sync", [], 0), "a lost journal would restore the file"
    assert not (bucket / "kept.txt").exists()


def test_a_socket_of_a_dead_daemon(daemon: RealDaemon) -> None:
    """After kill -9 the socket and daemon.json stand there; clients say it is not running, and the next one starts."""
    daemon.kill()
    assert Path(daemon.socket).exists()
    ran = ctl(daemon, "status")
    assert ran.code == 6
    assert "dorkyctl up" in ran.err
    with running(daemon):
        daemon.sync()
        assert daemon.tree()["kept.txt"][0] == b"kept"


# --- the bucket ------------------------------------------------------------------------------------------------------


def _on_s3(
    tmp_path: Path, server: Server, bucket: str, env: dict[str, str] | None = None, **settings: Any
) -> RealDaemon:
    daemon = RealDaemon(
        tmp_path, "a", f"s3://{bucket}/api", env=env or server.env, endpoint_url=server.endpoint_url, **settings
    )
    (daemon.root / "mine.txt").write_text("mine")
    return daemon


def _refused(daemon: RealDaemon, state: str, code: int, *says: str) -> None:
    with running(daemon):
        synced = ctl(daemon, "sync", "--wait", "--timeout", "60s")
        status = ctl(daemon, "status")
        for ran in (synced, status):
            assert ran.code == code, ran
            assert state in ran.said
            for text in says:
                assert text in ran.said, ran
        assert daemon.state() == state
    assert (daemon.root / "mine.txt").read_text() == "mine"


@pytest.mark.s3
def test_a_store_that_cannot_be_reached(tmp_path: Path, moto: Server) -> None:
    """Offline: exit 5, with the address; no request is lost."""
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    daemon = RealDaemon(tmp_path, "a", "s3://acme/api", env=moto.env, endpoint_url=address)
    (daemon.root / "mine.txt").write_text("mine")
    _refused(daemon, "offline", 5, address)


@pytest.mark.s3
def test_wrong_credentials(tmp_path: Path, seaweed: Server) -> None:
    """A wrong secret: exit 8, with what to run, and neither key in the log."""
    env = seaweed.env_for(seaweed.access_key, "wrong-secret-of-nobody")
    daemon = _on_s3(tmp_path, seaweed, seaweed.new_bucket(), env)
    _refused(daemon, "auth-expired", 8, "finds the secret not to belong to access key", "where the daemon is started")
    assert "wrong-secret" not in _log(daemon)
    assert seaweed.access_key not in _log(daemon)


@pytest.mark.s3
def test_credentials_that_may_only_read(tmp_path: Path, seaweed: Server) -> None:
    """Denied: exit 8, naming the action to allow."""
    daemon = _on_s3(tmp_path, seaweed, seaweed.new_bucket(), seaweed.reader_env)
    _refused(daemon, "auth-expired", 8, "s3:PutObject")


@pytest.mark.s3
def test_a_bucket_that_does_not_exist(tmp_path: Path, seaweed: Server) -> None:
    """A person must act: exit 4, and dorkyd makes no bucket."""
    _refused(_on_s3(tmp_path, seaweed, "nobody-made-this-bucket"), "error", 4, "has no bucket", "never creates one")


@pytest.mark.s3
def test_a_store_that_ignores_conditions(tmp_path: Path, rclone: Server) -> None:
    """Refused, naming the headers; with `single_writer: true` used, with a warning that names them all."""
    bucket = rclone.new_bucket()
    daemon = _on_s3(tmp_path, rclone, bucket)
    _refused(
        daemon, "error", 4, "PutObject ignores If-None-Match", "DeleteObject ignores If-Match", "single_writer: true"
    )
    document = daemon.settings
    document["projects"][0]["single_writer"] = True
    daemon.configure(document)
    with running(daemon):
        daemon.sync()
        ran = ctl(daemon, "status")
        assert ran.code == 0
        for ignored in (
            "PutObject ignores If-None-Match",
            "PutObject ignores If-Match",
            "DeleteObject ignores If-Match",
        ):
            assert ignored in ran.out
    with contextlib.closing(rclone.client()) as client:
        assert client.get_object(Bucket=bucket, Key="api/mine.txt")["Body"].read() == b"mine"


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.s3
def test_keys_that_cannot_be_files(tmp_path: Path, moto: Server) -> None:
    """Keys that lead outside, have no name here or are reserved are problems, never writes; the rest syncs."""
    bucket, long = moto.new_bucket(), "n" * 256
    bad = ["../../escaped", "/abs", "a//b", "a/./b", f"d/{long}", ".git/config", "deep/.dorky/x"]
    with contextlib.closing(moto.client()) as client:
        for key in [*bad, "good/file.txt", ".dorky/x"]:
            client.put_object(Bucket=bucket, Key=f"api/{key}", Body=b"theirs")
        # moto ignores the conditions of copies.
        daemon = _on_s3(tmp_path, moto, bucket, single_writer=True)
        with running(daemon):
            daemon.sync()
            assert {path: seen[0] for path, seen in daemon.tree().items()} == {
                "good/file.txt": b"theirs",
                "mine.txt": b"mine",
            }
            listed = ctl(daemon, "problems").out
            for key in bad:
                assert key in listed, (key, listed)
            status = ctl(daemon, "status")
            assert status.code == 4
            assert f"{len(bad)} paths cannot sync" in status.out
        held = {each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]}
        assert {f"api/{key}" for key in [*bad, ".dorky/x", "mine.txt"]} <= held, "nothing of theirs is deleted"
    assert not list(tmp_path.rglob("escaped"))
    assert not Path("/abs").exists()


def test_what_is_put_into_a_directory_bucket_by_hand(daemon: RealDaemon, bucket: Path, tmp_path: Path) -> None:
    """Reserved names and a link that leads outside are not taken for files, and nothing is written through them."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("not yours")
    (bucket / ".git").mkdir()
    (bucket / ".git/config").write_text("theirs")
    (bucket / "link").symlink_to(outside)
    (bucket / "good.txt").write_text("theirs")
    daemon.sync()
    assert daemon.tree().keys() == {"kept.txt", "good.txt"}
    (daemon.root / "link").mkdir()
    (daemon.root / "link/f.txt").write_text("mine")
    wait_until("the link is told", lambda: "link" in ctl(daemon, "problems").out)
    assert [each.name for each in outside.iterdir()] == ["secret"]
    assert ctl(daemon, "status").code == 4
    assert "link" in ctl(daemon, "problems").out
    assert [path.rpartition("/")[2] for path, seen in daemon.tree().items() if seen[0] == b"mine"] == ["f.txt"]
    assert (bucket / ".git/config").read_text() == "theirs"


# --- a full disk -----------------------------------------------------------------------------------------------------


@needs_namespaces
def test_a_full_disk(tmp_path: Path, bucket: Path) -> None:
    """No room for a download: a problem that says so, other files go on, nothing is lost, and it clears itself."""
    daemon = RealDaemon(tmp_path, "a", f"file://{bucket}", ignore=["ballast"])
    mount = 'mount -t tmpfs -o size=4m tmpfs "$0" && exec "$@"'
    script = ["unshare", "-rm", "sh", "-c", mount, str(daemon.root), sys.executable, "-m", "dorkyd"]
    with daemon.log.open("ab") as log:
        daemon.process = subprocess.Popen(script, env=daemon.env, stdout=log, stderr=log)
    try:
        daemon.ready()
        inside = Path(f"/proc/{daemon.process.pid}/root{daemon.root}")
        (inside / "ballast").write_bytes(os.urandom(3 << 20))
        (bucket / "large").write_bytes(os.urandom(2 << 20))
        (bucket / "small").write_text("small")
        (inside / "mine").write_text("mine")
        ctl(daemon, "sync")  # what another tool put there is found by a listing
        wait_until("the problem", lambda: ctl(daemon, "status").code == 4)
        listed = ctl(daemon, "problems").out
        assert "large" in listed
        assert "space" in listed
        wait_until("the small ones", lambda: (inside / "small").exists() and (bucket / "mine").exists())
        assert not (inside / "large").exists()
        synced = ctl(daemon, "sync", "--wait")
        assert synced.code == 4, "a file that could not come is no agreement"
        assert "'large' cannot sync: large: no space left" in synced.err
        (inside / "ballast").unlink()
        wait_until("it clears itself", (inside / "large").exists, 60)
        daemon.sync()
        assert (inside / "large").read_bytes() == (bucket / "large").read_bytes()
        assert ctl(daemon, "status").code == 0
    finally:
        daemon.kill()
