"""Routes of a project's keys, of a real daemon on a directory: what each answers, and what it never tells."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from dorkyd.core import members
from dorkyd.keys import KeyHome, new_identity, own_key
from tests.api.serving import http_client
from tests.daemons import RealDaemon
from tests.test_keyring import ssh_key
from tests.test_keys import shut

pytestmark = pytest.mark.daemon

RECOVERY = new_identity()
SHARE = own_key(RECOVERY.encode()).share
TEAM = "/v1/projects/p/team"


class Served:
    """A daemon whose machine has a key, and a client of its API."""

    def __init__(self, base: Path, name: str, key: bytes | None = None) -> None:
        self.bucket = base / "bucket"
        self.bucket.mkdir(exist_ok=True)
        self.daemon = RealDaemon(base, name, f"file://{self.bucket}", poll_s=30)
        self.home = KeyHome(self.daemon.home / "keys")
        self.own = self.home.keep(key if key is not None else new_identity().encode())
        self.http: httpx2.Client

    @contextlib.contextmanager
    def up(self) -> Iterator[Served]:
        try:
            self.daemon.start()
            with http_client(self.daemon.socket) as self.http:
                yield self
        finally:
            self.daemon.kill()

    def team(self) -> Any:
        """The list, as it is now."""
        return self.http.get(TEAM).json()


@pytest.fixture
def base() -> Iterator[Path]:
    """A short path, as sockets want it."""
    path = Path(os.path.realpath(tempfile.mkdtemp(prefix="dk")))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def served(base: Path) -> Iterator[Served]:
    """Ann's."""
    with Served(base, "ann").up() as served:
        yield served


def asked(served: Served, path: str, status: int = 200, **body: object) -> Any:
    """The answer to a POST, which has that status."""
    reply = served.http.post(f"/v1/projects/p/{path}", json=body)
    assert reply.status_code == status, reply.text
    return reply.json()


def founded(served: Served) -> Any:
    """The project has keys."""
    return asked(served, "keys", 201, member="ann", recovery=SHARE)


def test_before_there_are_keys(served: Served) -> None:
    """An empty list, and every change says what to run first."""
    told = served.team()
    assert (told["number"], told["members"], told["fingerprint"]) == (0, [], "")
    assert asked(served, "team/trust", 403, fingerprint="0" * 40)["hint"] == "dorkyctl key init"
    refused = asked(served, "team/add", 403, member="bob", key=SHARE)
    assert (refused["code"], refused["hint"]) == ("no-list", "dorkyctl key init")
    assert asked(served, "encrypt", 403, add=[".env"])["code"] == "no-list"


def test_a_team_from_its_first_keys_to_a_removal(served: Served) -> None:
    """Each answer is the whole list as it is then, and tells public parts alone; keys are made once."""
    bob = own_key(new_identity().encode()).share
    first = founded(served)
    assert [(m["name"], m["me"], m["may_change"]) for m in first["members"]] == [
        ("ann", True, True),
        ("recovery", False, True),
    ]
    assert founded(served)["number"] == 1, "asked again, as after a lost answer"
    refused = asked(served, "keys", 409, member="ann", recovery=own_key(new_identity().encode()).share)
    assert (refused["code"], refused["type"].rpartition(":")[2]) == ("keys-exist", "state")
    assert asked(served, "encrypt", add=[".env*", "*.pem"])["patterns"] == [".env*", "*.pem"]
    assert asked(served, "encrypt", remove=["*.pem"])["patterns"] == [".env*"]
    added = asked(served, "team/add", member="bob", key=bob)
    assert added["members"][-1] == {"name": "bob", "key": bob, "may_change": True, "me": False}
    (served.daemon.root / ".env").write_text("A=1\n")
    served.daemon.sync()
    removed = asked(served, "team/remove", member="bob")
    assert removed["rotate"] == [".env"]
    assert removed["epoch"] != added["epoch"]
    served.daemon.sync()
    told = served.http.get(TEAM)
    assert told.json()["pending"] == 0
    assert told.json()["fingerprint"] == first["fingerprint"]
    assert "SECRET" not in told.text


REFUSED: list[tuple[str, dict[str, object], int, str]] = [
    ("team/add", {"member": "Bob!", "key": SHARE}, 400, "bad-name"),
    ("team/add", {"member": "bob", "key": "age1" + "q" * 58}, 400, "bad-key"),
    ("team/add", {"member": "bob", "key": "ssh-dss AAAA"}, 400, "bad-key"),
    ("team/add", {"member": "ann", "key": own_key(new_identity().encode()).share}, 409, "member-exists"),
    ("team/add", {"member": "bob", "key": SHARE}, 409, "member-exists"),
    ("team/remove", {"member": "nobody"}, 404, "no-such-member"),
    ("team/trust", {"fingerprint": "0" * 40}, 403, "other-fingerprint"),
    ("encrypt", {"add": ["[[:digit:]]"]}, 400, "refused"),
    ("team/add", {"member": "bob"}, 422, "invalid-request"),
]


def test_what_is_refused(served: Served) -> None:
    """With a stable code and what to do, and the list stays as it is. One that does not verify is shown with its trouble, and
    nothing is changed on top of it.
    """
    founded(served)
    for path, body, status, code in REFUSED:
        refused = asked(served, path, status, **body)
        assert refused["code"] == code
        assert refused["hint"], refused
    assert served.team()["number"] == 1
    (served.bucket / members.key_of_document(2)).write_bytes(b"{}")
    told = served.team()
    assert "document 2" in told["trouble"]
    assert (told["hint"], told["number"]) == (members.HINT, 1)
    refused = asked(served, "encrypt", 502, add=[".env"])
    assert (refused["code"], refused["type"].rpartition(":")[2]) == ("key-list", "integrity")


def test_a_key_that_cannot_sign(served: Served, base: Path) -> None:
    """Reads, and is told why it changes nothing."""
    private, public = ssh_key("rsa")
    founded(served)
    asked(served, "team/add", member="bob", key=public)
    with Served(base, "bob", private).up() as bob:
        told = asked(bob, "team/trust", fingerprint=served.team()["fingerprint"])
        assert [(m["name"], m["may_change"]) for m in told["members"] if m["me"]] == [("bob", False)]
        assert told["trouble"] == ""
        assert asked(bob, "team/remove", 403, member="ann")["code"] == "cannot-sign"


def test_a_passphrase_is_never_told_back(served: Served) -> None:
    """Neither by a request that is none, nor by a wrong one of the right form; nor does the daemon's log have it."""
    for body in (
        '{"passphrase": ["open sesame"]}',
        '{"passphrase": "open sesame"',
        '{"passphrase": "open sesame", "x": 1}',
    ):
        reply = served.http.post("/v1/key/unlock", content=body, headers={"Content-Type": "application/json"})
        assert reply.status_code in {400, 422}
        assert "sesame" not in reply.text
    served.home.file.write_bytes(shut(new_identity().encode(), "another phrase"))
    reply = served.http.post("/v1/key/unlock", json={"passphrase": "open sesame"})
    assert (reply.status_code, reply.json()["code"]) == (403, "wrong-passphrase")
    assert served.http.post("/v1/key/unlock", json={"passphrase": "another phrase"}).status_code == 200
    served.home.file.unlink()
    reply = served.http.post("/v1/key/unlock", json={"passphrase": "open sesame"})
    assert (reply.status_code, reply.json()["code"]) == (403, "no-key")
    for word in ("sesame", "another phrase"):
        assert word not in reply.text + served.daemon.log.read_text()
