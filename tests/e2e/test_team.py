"""A team as people are one: members who come and go while others work, on real daemons."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dorkyd.api import calls
from dorkyd.api.failures import ApiError
from dorkyd.keys import KeyHome, OwnKey, new_identity, own_key
from tests import leaks, servers
from tests.agefiles import HEADER, identities, opened
from tests.daemons import RealDaemon, wait_until
from tests.e2e.commands import ctl, running
from tests.e2e.places import FULL, Place, gcs_place, s3_place
from tests.e2e.test_encryption import SECRET, ok, told
from tests.test_keyring import ssh_key

pytestmark = pytest.mark.daemon


@pytest.fixture(params=[pytest.param("s3", marks=pytest.mark.s3), pytest.param("gs", marks=pytest.mark.gcs)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A real S3 server; where there is time, the strict Google Cloud Storage too."""
    if request.param == "s3":
        with s3_place(tmp_path, request.getfixturevalue("seaweed")) as made:
            yield made
        return
    if not FULL:
        pytest.skip("DORKY_FULL=1 tells it there as well")
    server = servers.private_gcs()
    try:
        with gcs_place(tmp_path, server) as made:
            yield made
    finally:
        server.process.kill()


def contents(daemon: RealDaemon) -> dict[str, bytes]:
    """Without permission bits: what is downloaded encrypted is its owner's alone."""
    return {path: data for path, (data, _, _) in daemon.tree().items()}


def key_of(daemon: RealDaemon, data: bytes | None = None) -> OwnKey:
    """A machine's own key; with `data`, that one."""
    home = KeyHome(daemon.home / "keys")
    found = home.own()
    return found if found is not None else home.keep(data or new_identity().encode())


def asked(daemon: RealDaemon, call: calls.Call[Any]) -> Any:
    """The answer of its API."""
    with daemon.client() as client:
        return client.send(call).value


def team_of(daemon: RealDaemon) -> Any:
    """The list as it sees it."""
    return asked(daemon, calls.team("p"))


def founded(daemon: RealDaemon, *patterns: str) -> str:
    """The project has keys; their fingerprint."""
    key_of(daemon)
    daemon.sync()  # it has met the bucket
    recovery, _ = KeyHome(daemon.home / "keys").recovery("p")
    asked(daemon, calls.begin_keys("p", daemon.name, own_key(recovery.encode()).share))
    return str(asked(daemon, calls.encrypt("p", patterns)).fingerprint)


def joined(first: RealDaemon, *new: RealDaemon) -> None:
    """Teammates are added, and compare the fingerprint."""
    for daemon in new:
        with daemon.client() as client:
            client.sync("p", wait=True, timeout_s=60)  # it has met the bucket; what is encrypted waits
        added = asked(first, calls.add_member("p", daemon.name, key_of(daemon).share))
        asked(daemon, calls.trust("p", added.fingerprint))


def test_a_team_through_an_addition_a_removal_and_a_kill(store: Place) -> None:
    """Three devices work; a fourth is added, one is removed in the middle of another's uploads, and that one is killed with
    SIGKILL. Everyone left reads everything. The one removed cannot read anything that was written after, with all that lies
    in the bucket and their own key; and no plain byte or digest of a secret is anywhere in it.
    """
    ann, bob, cid, dan = (store.device(name, poll_s=1) for name in ("ann", "bob", "cid", "dan"))
    with running(ann, bob, cid, dan):
        founded(ann, ".env*", "secret/")
        joined(ann, bob, cid)
        (ann.root / ".env").write_bytes(SECRET)
        (bob.root / "plain.txt").write_bytes(b"plain\n")
        for each in (ann, bob, cid, ann):
            each.sync()
        assert contents(ann) == contents(bob) == contents(cid)
        old = team_of(ann).epoch
        (cid.root / "secret").mkdir()
        for number in range(40):
            (cid.root / f"secret/{number}").write_bytes(SECRET * (1 + number) + b"%d" % number)
        (cid.root / "secret/large").write_bytes(SECRET * 400_000)
        wait_until("the first of many is up", lambda: any(key.startswith("secret/") for key in store.live()))
        joined(ann, dan)
        gone = asked(ann, calls.remove_member("p", "bob"))
        assert ".env" in gone.rotate
        cid.kill()
        kept = contents(bob)
        (ann.root / ".env.after").write_bytes(SECRET + b"after")
        cid.launch().ready()
        (cid.root / "secret/after").write_bytes(SECRET + b"after the kill")
        for each in (ann, cid, dan, ann, cid, dan):
            each.sync()
        assert contents(ann) == contents(cid) == contents(dan)
        assert len(contents(dan)) == 45
        assert contents(dan)["secret/large"] == SECRET * 400_000
        for each in (ann, cid, dan):
            assert team_of(each).pending == 0
            assert each.status().problems == 0
        assert ctl(bob, "sync", "--wait", cwd=bob.root).code != 0
        assert {path: contents(bob)[path] for path in kept} == kept
        assert not {".env.after", "secret/after"} & contents(bob).keys()
        new = team_of(ann).epoch
    assert new != old
    everything = store.read()
    live = {key: data for key, data in everything.items() if not key.startswith(".dorky/")}
    lost, left = (identities(everything, key_of(each)) for each in (bob, dan))
    assert set(lost) == {old}
    assert set(left) == {old, new}
    for key, data in live.items():
        assert data.startswith(HEADER) == (key != "plain.txt"), key
        if key != "plain.txt":
            assert opened(data, lost) is None, key
            assert opened(data, left) == contents(ann)[key], key
    for key, data in everything.items():
        assert SECRET not in data, key
        assert hashlib.sha256(SECRET).hexdigest().encode() not in data, key
        assert hashlib.md5(SECRET, usedforsecurity=False).hexdigest().encode() not in data, key


def at_once(*acts: Callable[[], object]) -> list[Any]:
    """What each comes to, begun at one moment: a value or the refusal."""
    gate = threading.Barrier(len(acts))

    def run(act: Callable[[], object]) -> object:
        gate.wait()
        try:
            return act()
        except ApiError as exc:
            return exc

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


@pytest.mark.s3
def test_members_who_add_others_at_once(tmp_path: Path, seaweed: servers.Server) -> None:
    """Two daemons at one moment, again and again: people of different names are all there and read; one name becomes one
    person's, and the other is refused clearly and was given nothing.
    """
    with s3_place(tmp_path, seaweed) as place:
        ann, bob = (place.device(name, poll_s=30) for name in ("ann", "bob"))
        with running(ann, bob):
            founded(ann, ".env")
            joined(ann, bob)
            (ann.root / ".env").write_bytes(SECRET)
            ann.sync()
            rounds = 5
            homes = [[KeyHome(tmp_path / f"key{n}-{side}") for side in "ab"] for n in range(rounds)]
            keys = [[home.keep(new_identity().encode()) for home in pair] for pair in homes]

            def adds(daemon: RealDaemon, name: str, own: OwnKey) -> Callable[[], object]:
                return lambda: asked(daemon, calls.add_member("p", name, own.share))

            for n, (one, two) in enumerate(keys):
                answers = at_once(adds(ann, f"a{n}", one), adds(bob, f"b{n}", two))
                assert not [answer for answer in answers if isinstance(answer, ApiError)]
            same = [
                [KeyHome(tmp_path / f"same{n}-{side}").keep(new_identity().encode()) for side in "ab"]
                for n in range(rounds)
            ]
            refused = []
            for n, (one, two) in enumerate(same):
                answers = at_once(adds(ann, f"c{n}", one), adds(bob, f"c{n}", two))
                (told_no,) = [answer for answer in answers if isinstance(answer, ApiError)]
                assert told_no.code == "member-exists"
                assert f"c{n}" in str(told_no)
                refused.append(two if told_no is answers[1] else one)
            listed = {member.name: member.key for member in team_of(bob).members}
    assert len(listed) == 3 + 3 * rounds
    everything = place.read()
    for own in (own for pair in (*keys, *same) for own in pair):
        on_the_list = own.share in listed.values()
        assert on_the_list == (own not in refused)
        plain = opened(everything[".env"], identities(everything, own))
        assert plain == (SECRET if on_the_list else None)


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_a_teammate_with_an_ssh_key(directory: Place, kind: str) -> None:
    """They import it, are added with the public line, read, and are removed. An RSA key cannot sign, and says so."""
    ann, bob = (directory.device(name, poll_s=30) for name in ("ann", "bob"))
    private, public = ssh_key(kind)
    file = directory.base / "id"
    file.write_bytes(private)
    with running(ann, bob):
        fingerprint = founded(ann, ".env*")
        bob.sync()
        ok(bob, "key", "import", str(file))
        assert told(bob, "key", "show")["key"] == " ".join(public.split()[:2])
        ok(ann, "team", "add", "bob", public)
        ok(bob, "key", "trust", fingerprint)
        (ann.root / ".env").write_bytes(SECRET)
        ann.sync()
        bob.sync()
        assert contents(bob) == {".env": SECRET}
        (bob.root / ".env.bob").write_bytes(SECRET + b"bob")
        bob.sync()
        ann.sync()
        assert contents(ann) == contents(bob)
        ran = ctl(bob, "encrypt", "*.pem", cwd=bob.root)
        if kind == "rsa":
            assert ran.code == 8
            assert "cannot sign" in ran.err
            assert "key init --new" in ran.err
            assert "bob (reads only)" in ok(ann, "team", "list").out
        else:
            assert ran.code == 0
        ok(ann, "team", "remove", "bob")
        (ann.root / ".env.after").write_bytes(SECRET + b"after")
        ann.sync()
        assert ctl(bob, "sync", "--wait", cwd=bob.root).code != 0
        assert ".env.after" not in contents(bob)
    everything = directory.read()
    for data in directory.live().values():
        assert opened(data, identities(everything, key_of(bob))) is None


def test_the_git_repository_brings_the_fingerprint(directory: Place) -> None:
    """A member whose clone has `.dorky.yaml` types nothing. With a wrong one nothing at all leaves or comes, since what the team
    encrypts is unknown there; it is said what differs, and a person decides.
    """
    ann, bob, eve = (directory.device(name, poll_s=30) for name in ("ann", "bob", "eve"))
    with running(ann):
        fingerprint = founded(ann, ".env*")
        for each in (bob, eve):
            asked(ann, calls.add_member("p", each.name, key_of(each).share))
        (ann.root / ".env").write_bytes(SECRET)
        (ann.root / "plain").write_bytes(b"1")
        ann.sync()
        wrong = fingerprint[:-1] + ("1" if fingerprint[-1] == "0" else "0")
        for each, print_ in ((bob, fingerprint), (eve, wrong)):
            (each.root / ".dorky.yaml").write_text(f"bucket: {directory.bucket}\nfingerprint: {print_}\n")
        (eve.root / "db.txt").write_bytes(SECRET)
        with running(bob, eve):
            bob.sync()
            assert contents(bob).keys() == {".dorky.yaml", ".env", "plain"}
            assert contents(bob)[".env"] == SECRET
            assert ctl(eve, "sync", "--wait", cwd=eve.root).code != 0
            assert contents(eve).keys() == {".dorky.yaml", "db.txt"}
            shown = ok(eve, "team", "list").out
            assert fingerprint in shown
            assert wrong in shown
            problems = told(eve, "problems")["items"]
            assert {(item["path"], item["code"]) for item in problems} == {
                (path, "key-list") for path in (".env", "db.txt", "plain")
            }
            assert set(directory.live()) == {".env", "plain"}
            # A person compared it after all.
            ok(eve, "key", "trust", fingerprint)
            eve.sync()
            assert contents(eve)[".env"] == SECRET
            assert directory.live()["db.txt"] == SECRET, "which no pattern covers"


def test_a_recovery_key_is_shown_or_waits(directory: Place) -> None:
    """With `--json` it is printed only for `--reveal`; until somebody saw it, it waits in a file of this user's."""
    ann = directory.device("ann", poll_s=30)
    with running(ann):
        ann.sync()
        made = ctl(ann, "key", "init", "--member", "ann", "--json", cwd=ann.root)
        assert made.code == 0
        assert "recovery" not in json.loads(made.out)
        (waits,) = (ann.home / "keys").glob("recovery-*.txt")
        assert waits.stat().st_mode & 0o777 == 0o600
        assert str(waits) in made.err
        text = waits.read_text().strip()
        shown: dict[str, str] = {}
        with leaks.apart():
            shown.update(told(ann, "key", "init", "--json", "--reveal"))
        assert shown["recovery"] == text
        assert not waits.exists()
        again = ok(ann, "key", "init")
        assert "on its member list" in again.out
        assert [m.name for m in team_of(ann).members] == ["ann", "recovery"]
        (ann.root / ".env").write_bytes(SECRET)
        ok(ann, "encrypt", ".env")
        ann.sync()
    everything = directory.read()
    assert opened(everything[".env"], identities(everything, own_key(text.encode()))) == SECRET
    log = ann.log.read_text()
    for secret in (text, (ann.home / "keys/identity").read_text().strip()):
        assert secret not in log
        assert secret.encode() not in b"".join(everything.values())
