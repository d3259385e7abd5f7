"""Encryption as people use it: commands, real daemons, a kill, and stock age as the way out."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.daemons import RealDaemon, wait_until
from tests.e2e.commands import Ran, ctl, running
from tests.e2e.places import Place

pytestmark = pytest.mark.daemon

AGE = shutil.which("age")
SECRET = b"TOKEN=of a service that charges by the call\n"


def ok(daemon: RealDaemon, *arguments: str) -> Ran:
    """A command that succeeds."""
    ran = ctl(daemon, *arguments, cwd=daemon.root)
    assert ran.code == 0, (arguments, ran)
    return ran


def told(daemon: RealDaemon, *arguments: str) -> Any:
    """What a command says with `--json`."""
    return json.loads(ok(daemon, *arguments, "--json").out)


def founded(daemon: RealDaemon, *patterns: str) -> Any:
    """The project has keys, and encrypts these."""
    made = told(daemon, "key", "init", "--member", daemon.root.name)
    assert "recovery" not in made
    ok(daemon, "encrypt", *patterns)
    return made


def contents(daemon: RealDaemon) -> dict[str, bytes]:
    """Without permission bits: what is downloaded encrypted is its owner's alone."""
    return {path: data for path, (data, _, _) in daemon.tree().items()}


def joined(first: RealDaemon, daemon: RealDaemon, name: str) -> None:
    """A teammate is added, and compares the fingerprint."""
    ok(daemon, "key", "init", "--member", name)
    key = told(daemon, "key", "show")["key"]
    team = told(first, "team", "add", name, key)
    ok(daemon, "key", "trust", team["fingerprint"])


@pytest.mark.skipif(AGE is None, reason="Debian's package `age` is not installed")
def test_stock_age_opens_everything_in_two_steps(directory: Place, tmp_path: Path) -> None:
    """As docs/encryption.md says: the epoch's identity with one's own key, then the file with that."""
    assert AGE is not None
    ann = directory.device("ann")
    (ann.root / ".env").write_bytes(SECRET)
    (ann.root / "big.key").write_bytes(os.urandom(3_000_000))
    with running(ann):
        founded(ann, ".env*", "*.key")
        ann.sync()
        epoch = told(ann, "team", "list")["epoch"]
        ok(ann, "key", "export", str(tmp_path / "mine"))
    bucket = directory.base / "bucket"
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o600
    wrapped = bucket / f".dorky/keys/{epoch}/{ann.root.name}.age"
    identity = subprocess.run([AGE, "-d", "-i", tmp_path / "mine", wrapped], capture_output=True, check=True).stdout
    (tmp_path / "epoch").write_bytes(identity)
    for name in (".env", "big.key"):
        command = [AGE, "-d", "-i", tmp_path / "epoch", bucket / name]
        assert subprocess.run(command, capture_output=True, check=True).stdout == (ann.root / name).read_bytes()


def test_a_team_through_a_removal_and_a_kill(place: Place) -> None:
    """Three devices; one is added, one removed while another uploads and is killed: who is left reads everything, who left
    reads nothing that was written after, and the bucket never tells a plain byte.
    """
    ann, bob, cid = (place.device(name, poll_s=1) for name in ("ann", "bob", "cid"))
    with running(ann, bob, cid):
        founded(ann, ".env*", "secret/")
        joined(ann, bob, "bob")
        joined(ann, cid, "cid")
        (ann.root / ".env").write_bytes(SECRET)
        (bob.root / "plain.txt").write_bytes(b"plain\n")
        for each in (ann, bob, cid, ann):
            each.sync()
        assert contents(ann) == contents(bob) == contents(cid)
        old = told(ann, "team", "list")["epoch"]
        (cid.root / "secret").mkdir()
        for number in range(40):
            (cid.root / f"secret/{number}").write_bytes(SECRET * (1 + number) + b"%d" % number)
        wait_until("the first of many is up", lambda: any(key.startswith("secret/") for key in place.live()))
        gone = told(ann, "team", "remove", "bob")
        assert ".env" in gone["rotate"]
        cid.kill()
        cid.launch()
        cid.ready()
        kept = contents(bob)
        (ann.root / ".env.after").write_bytes(SECRET + b"after")
        for each in (ann, cid, ann, cid):
            each.sync()
        assert contents(ann) == contents(cid)
        assert len([path for path in ann.tree() if path.startswith("secret/")]) == 40
        assert told(ann, "team", "list")["pending"] == 0
        assert ctl(bob, "sync", "--wait", cwd=bob.root).code != 0
        assert contents(bob)[".env"] == kept[".env"]
        assert ".env.after" not in bob.tree()
        new = told(ann, "team", "list")["epoch"]
    assert new != old
    everything = place.read()
    assert f".dorky/keys/{new}/bob.age" not in everything
    for key, data in everything.items():
        assert SECRET not in data, key
        assert hashlib.sha256(SECRET).hexdigest().encode() not in data, key
        assert hashlib.md5(SECRET, usedforsecurity=False).hexdigest().encode() not in data, key
    for key, data in place.live().items():
        assert (key == "plain.txt") != data.startswith(b"age-encryption.org/v1"), key


def test_artifacts_of_an_encrypted_path(directory: Place) -> None:
    """Stored through the API they are encrypted, read through it plain, whole and in part."""
    ann = directory.device("ann")
    source = directory.base / "source"
    with running(ann):
        founded(ann, "secret/")
        for size in (5, 3_000_000):
            data = os.urandom(size)
            source.write_bytes(data)
            ok(ann, "put", str(source), f"p:secret/{size}")
            assert directory.live()[f"secret/{size}"].startswith(b"age-encryption.org/v1")
            ok(ann, "get", f"p:secret/{size}", str(directory.base / f"back{size}"))
            assert (directory.base / f"back{size}").read_bytes() == data
            ok(ann, "meta", f"p:secret/{size}", "note=mine")
        ann.sync()
        items = told(ann, "ls")["items"]
        assert {item["path"]: item["size"] for item in items} == {"secret/5": 5, "secret/3000000": 3_000_000}


def test_a_passphrase_keeps_the_key_shut_until_it_is_typed(directory: Place) -> None:
    """After a start files wait, and status says what for; plain ones sync."""
    ann = directory.device("ann")
    with running(ann):
        founded(ann, ".env*")
        assert "AGE-SECRET-KEY" in (ann.home / "keys/identity").read_text()
        assert (ann.home / "keys/identity").stat().st_mode & 0o777 == 0o600
        exported = directory.base / "mine"
        ok(ann, "key", "export", str(exported))
        typed = subprocess.run(
            [sys.executable, "-c", "from dorkyd.cli import main; main()", "key", "import", str(exported), "--passphrase"],
            input="open sesame\n", text=True, env=ann.env, capture_output=True, check=False,
        )  # fmt: skip
        assert typed.returncode == 0, typed.stderr
        assert "AGE-SECRET-KEY" not in (ann.home / "keys/identity").read_text(errors="replace")
        ann.kill()
        ann.launch()
        ann.ready()
        (ann.root / ".env").write_bytes(SECRET)
        (ann.root / "plain").write_bytes(b"1")
        assert ctl(ann, "sync", "--wait", cwd=ann.root).code != 0
        assert set(directory.live()) == {"plain"}
        assert "key unlock" in ok(ann, "problems").out
        typed = subprocess.run(
            [sys.executable, "-c", "from dorkyd.cli import main; main()", "key", "unlock"],
            input="open sesame\n", text=True, env=ann.env, capture_output=True, check=False,
        )  # fmt: skip
        assert typed.returncode == 0, typed.stderr
        ann.sync()
        assert set(directory.live()) == {"plain", ".env"}
