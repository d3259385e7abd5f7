"""Secrets as people meet them: the tripwire on a real S3 server, and `.env` files of two devices that were offline."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values

from tests.daemons import RealDaemon, settle, wait_until
from tests.e2e.commands import ctl, running
from tests.e2e.places import Place, s3_place
from tests.e2e.test_encryption import ok, told
from tests.scenarios.test_tripwire import random_text
from tests.servers import Server

pytestmark = pytest.mark.daemon


def token(seed: str) -> str:
    """In the form of one, and nobody's."""
    return f"{'gh' + 'p_'}{random_text(seed, 36)}"


def held(daemon: RealDaemon) -> set[str]:
    """What waits for a person."""
    return {item["path"] for item in told(daemon, "problems")["items"] if item["code"] == "looks-secret"}


@pytest.mark.s3
def test_what_looks_like_a_secret_is_asked_about_once(tmp_path: Path, seaweed: Server) -> None:
    """Three files are held and nothing else is; encrypted, allowed and ignored, each is asked about no more: not after an edit
    that brings another secret, and not after a start.
    """
    with s3_place(tmp_path, seaweed) as place:
        ann = place.device("ann", poll_s=30)
        secrets = {name: token(name) for name in ("encrypt.txt", "allow.txt", "ignore.txt")}
        with running(ann):
            for name, text in secrets.items():
                (ann.root / name).write_text(f"# why\nTOKEN={text}\n")
            (ann.root / "plain.txt").write_text("DEBUG=1\n")
            assert ctl(ann, "sync", "--wait", cwd=ann.root).code != 0
            assert held(ann) == set(secrets)
            assert set(place.live()) == {"plain.txt"}
            shown = ok(ann, "problems").out
            for name, text in secrets.items():
                assert f"dorkyctl allow {name}" in shown
                assert f"dorkyctl encrypt {name}" in shown
                assert text not in shown
            ok(ann, "key", "init", "--member", "ann", "--json")
            ok(ann, "encrypt", "encrypt.txt")
            ok(ann, "allow", "allow.txt")
            (ann.root / ".dorkyignore").write_text("ignore.txt\n")
            ann.sync()
            assert held(ann) == set()
            for name in secrets:
                (ann.root / name).write_text(f"TOKEN={token(name + ' again')}\n")
            ann.sync()
            ann.kill()
            ann.launch().ready()
            (ann.root / "allow.txt").write_text(f"TOKEN={token('third')}\n")
            ann.sync()
            assert held(ann) == set()
            assert ann.status().problems == 0
        live = place.live()
        assert set(live) == {"plain.txt", "allow.txt", "encrypt.txt", ".dorkyignore"}
        assert live["allow.txt"] == f"TOKEN={token('third')}\n".encode()
        everything = b"".join(place.read().values())
        for name in ("encrypt.txt", "ignore.txt"):
            assert secrets[name].encode() not in everything
            assert token(name + " again").encode() not in everything
        log = ann.log.read_text()
        assert not [text for text in secrets.values() if text in log]


BASE = """\
# of the team
export HOST='db.internal'   # by name
PORT=5432

CERT="-----BEGIN
 of several lines
-----END"
URL=${HOST}:${PORT}
"""


def offline(place: Place) -> Path:
    """The bucket is away, as a share that was unmounted."""
    return (place.base / "bucket").rename(place.base / "away")


def test_two_who_were_offline_add_other_keys(directory: Place) -> None:
    """Both keys are there on both, in one file, whose comments, order, quotes and lines are as they were. One key in two ways is
    a conflict, and both are kept.
    """
    ann, bob = (directory.device(name, poll_s=0.3) for name in ("ann", "bob"))
    with running(ann, bob):
        (ann.root / ".env").write_text(BASE)
        (ann.root / ".env").chmod(0o644)
        settle(ann, bob)
        assert (bob.root / ".env").read_text() == BASE
        away = offline(directory)
        wait_until("both are offline", lambda: {ann.state(), bob.state()} <= {"offline", "error"})
        ok(ann, "env", "set", "ANN=one two")
        (bob.root / ".env").write_text(BASE.replace("PORT=5432", "# for bob\nBOB=2\nPORT=5432"))
        away.rename(directory.base / "bucket")
        settle(ann, bob)
        expected = BASE.replace("PORT=5432", "# for bob\nBOB=2\nPORT=5432") + "ANN='one two'\n"
        for each in (ann, bob):
            assert {path: data.decode() for path, (data, _, _) in each.tree().items()} == {".env": expected}
            assert {stat.S_IMODE(file.stat().st_mode) for file in (each.root / ".dorky/base").iterdir()} == {0o600}
            assert stat.S_IMODE((each.root / ".env").stat().st_mode) == 0o600
            assert stat.S_IMODE((each.root / ".dorky/tmp").stat().st_mode) == 0o700
            assert (each.status().conflicts, each.status().problems) == (0, 0)
        # As python-dotenv has it, listed, got and given to a command.
        values = dotenv_values(bob.root / ".env")
        assert values["CERT"] == "-----BEGIN\n of several lines\n-----END"
        shown = json.loads(ok(bob, "env", "list", "--json", "--reveal").out)["items"]
        assert {item["key"]: item["value"] for item in shown} == values
        assert ok(bob, "env", "get", "URL").out == "db.internal:5432\n"
        script = "import os; print(os.environ['ANN'], os.environ['BOB'], os.environ['HOST'])"
        assert ok(bob, "env", "run", "--", sys.executable, "-c", script).out == "one two 2 db.internal\n"

        away = offline(directory)
        wait_until("both are offline again", lambda: {ann.state(), bob.state()} <= {"offline", "error"})
        ok(ann, "env", "set", "PORT=1")
        ok(bob, "env", "set", "PORT=2")
        away.rename(directory.base / "bucket")
        settle(ann, bob)
        assert ann.tree().keys() == bob.tree().keys()
        (copy,) = [path for path in ann.tree() if "(conflict" in path]
        texts = [(ann.root / path).read_text() for path in (".env", copy)]
        assert sorted(texts) == [expected.replace("5432", "1"), expected.replace("5432", "2")]
        assert stat.S_IMODE((bob.root / copy).stat().st_mode) == 0o600
