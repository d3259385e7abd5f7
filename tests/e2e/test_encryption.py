"""Encryption as people use it: commands, real daemons, and stock age as the way out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.daemons import RealDaemon
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


def test_a_keyring_opens_the_key_at_each_start(directory: Place) -> None:
    """Where somebody asked for that; the passphrase is in nothing of ours."""
    ann = directory.device("ann")
    ann.env |= {"PYTHON_KEYRING_BACKEND": "tests.ring.FileRing", "DORKY_TEST_RING": str(directory.base / "ring")}
    dorkyctl = [sys.executable, "-c", "from dorkyd.cli import main; main()"]
    with running(ann):
        founded(ann, ".env*")
        exported = directory.base / "mine"
        ok(ann, "key", "export", str(exported))
        for words in (["key", "import", str(exported), "--passphrase"], ["key", "unlock", "--keyring"]):
            typed = subprocess.run(
                [*dorkyctl, *words], input="open sesame\n", text=True, env=ann.env, capture_output=True, check=False
            )
            assert typed.returncode == 0, typed.stderr
        ann.kill()
        (ann.root / ".env").write_bytes(SECRET)
        ann.launch()
        ann.ready()
        ann.sync()
        assert set(directory.live()) == {".env"}
        assert not any(b"open sesame" in file.read_bytes() for file in ann.home.rglob("*") if file.is_file())
