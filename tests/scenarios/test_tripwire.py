"""What looks like a secret waits for a person, once; all else goes on. Private files arrive for their owner alone."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from dorkyd.core.settings import Tripwire
from dorkyd.errors import Denied
from dorkyd.tripwire import Tripped
from tests.devices import World

ASK = {"tripwire": Tripwire.ASK}


def random_text(seed: str, length: int) -> str:
    """Letters and digits that nobody would type, the same in every run, and no real secret of anybody's."""
    digest = b"".join(hashlib.sha256(f"{seed} {n}".encode()).digest() for n in range(8))
    return "".join(char for char in base64.b64encode(digest).decode() if char.isalnum())[:length]


SECRET = f"GITHUB={'gh' + 'p_'}{random_text('a', 36)}\n"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two devices that ask."""
    world = World(tmp_path)
    world.device("ann", **ASK)
    world.device("ben", **ASK)
    world.begin({"stays": "stays"})
    return world


def test_it_is_held_and_the_rest_goes_on(world: World) -> None:
    """A problem with its reason; nothing of it reaches the bucket, and it stays as it is."""
    one, two = world.devices
    one.write(".env", SECRET)
    one.write("plain", "plain")
    world.settle()
    assert one.problems() == {".env": "looks-secret"}
    assert world.objects() == {"stays": "stays", "plain": "plain"}
    assert one.read(".env") == SECRET
    assert ".env" not in two.tree()
    (problem,) = [problem for problem, _ in one.journal.ledger.problems()]
    assert problem.detail == "not uploaded: it looks like a GitHub token on line 1"
    assert "dorkyctl allow .env" in problem.hint
    assert "dorkyctl encrypt .env" in problem.hint


def test_what_is_allowed_is_sent(tmp_path: Path) -> None:
    """By a pattern of the settings."""
    world = World(tmp_path)
    one = world.device("ann", **ASK, allow=("/.env",))
    one.write(".env", SECRET)
    one.write("d/.env", f"{SECRET}B=1\n")
    world.settle()
    assert world.objects() == {".env": SECRET}
    assert one.problems() == {"d/.env": "looks-secret"}


def test_an_innocent_env_is_sent(world: World) -> None:
    """The name alone is no suspicion: these files are what people come for."""
    one, _ = world.devices
    one.write(".env", "DEBUG=1\nPORT=8080\nPASSWORD=changeme\n")
    world.settle()
    assert one.problems() == {}


def test_what_is_in_the_bucket_is_asked_about_no_more(tmp_path: Path) -> None:
    """Edits of it, a rename, a conflict copy and the teammate's part of all that go on as ever."""
    world = World(tmp_path)
    one, two = world.device("ann", **ASK, allow=("/.env",)), world.device("ben", **ASK)
    one.write(".env", SECRET)
    world.settle()
    two.write(".env", SECRET + f"OTHER={random_text('b', 8)}\n")
    world.settle()
    two.write(".env", SECRET + "MINE=1\n")
    one.write(".env", SECRET + "MINE=2\n")
    world.settle()
    assert len([path for path in two.tree() if "(conflict" in path]) == 1
    (two.root / ".env").rename(two.root / ".env.prod")
    world.settle()
    assert two.problems() == one.problems() == {}
    assert ".env.prod" in one.tree()


def test_a_change_of_the_file_asks_again(world: World) -> None:
    """Without the token it goes."""
    one, _ = world.devices
    one.write(".env", SECRET)
    one.settle()
    one.write(".env", "A=1\n")
    one.settle()
    assert one.problems() == {}
    assert world.objects()[".env"] == "A=1\n"


@pytest.mark.parametrize(
    ("bucket", "setting", "expected"),
    [
        ("s3://b/p", None, True),
        ("gs://b/p", None, True),
        ("file:///b", None, False),
        ("file:///b", Tripwire.ASK, True),
        ("s3://b/p", Tripwire.OFF, False),
    ],
)
def test_where_it_asks(tmp_path: Path, bucket: str, setting: Tripwire | None, *, expected: bool) -> None:
    """Of buckets that somebody else keeps, unless the settings say otherwise."""
    one = World(tmp_path).device("ann")
    one.settle()
    project = replace(one.project, bucket=bucket, tripwire=setting)
    assert Tripped(one.journal, one.engine.folder, project).on is expected


def test_what_cannot_be_read_is_told_by_the_upload(world: World) -> None:
    """The tripwire adds no trouble of its own."""
    one, _ = world.devices
    one.write("plain", "plain")
    inner = one.engine.folder

    def refuse(*_: object) -> bytes:
        raise Denied("no")

    inner.peek = refuse  # type: ignore[method-assign,assignment]
    world.settle()
    assert world.objects()["plain"] == "plain"


# --- who may read it --------------------------------------------------------------------------------------------------


def test_a_private_file_is_for_its_owner_alone_everywhere(tmp_path: Path) -> None:
    """Whatever bits it was made with, its author's too; then nothing goes back and forth."""
    world = World(tmp_path)
    one, two = world.device("ann"), world.device("ben")
    for path, mode in ((".env", 0o644), ("deploy.pem", 0o664), ("run.sh", 0o755), ("id_ed25519", 0o400)):
        one.write(path, path)
        (one.root / path).chmod(mode)
    world.settle()
    assert two.modes() == one.modes() == {".env": 0o600, "deploy.pem": 0o600, "run.sh": 0o755, "id_ed25519": 0o400}
    world.forget()
    world.settle()
    assert world.moved() == {}


def test_an_update_and_a_changed_bit_are_so_too(tmp_path: Path) -> None:
    """What the owner may do is synced, what others may do is taken away again."""
    world = World(tmp_path)
    one, two = world.device("ann"), world.device("ben")
    one.write(".env", "A=1\n")
    world.settle()
    two.write(".env", "A=2\n")
    (two.root / ".env").chmod(0o664)
    world.settle()
    assert one.modes() == two.modes() == {".env": 0o600}
    (two.root / ".env").chmod(0o777)
    world.settle()
    assert one.modes() == two.modes() == {".env": 0o700}
    world.forget()
    (one.root / ".env").chmod(0o755)
    world.settle()
    assert world.moved() == {}
    assert one.modes() == two.modes() == {".env": 0o700}


def test_an_object_of_another_tool_arrives_so_too(tmp_path: Path) -> None:
    """It says nothing of bits."""
    world = World(tmp_path)
    one = world.device("ann")
    world.put(".env", "A=1\n")
    old = os.umask(0o022)
    try:
        world.settle()
    finally:
        os.umask(old)
    assert one.modes()[".env"] == 0o600


def test_staged_bytes_are_for_their_owner_alone(tmp_path: Path) -> None:
    """While they wait for their place."""
    world = World(tmp_path)
    one, two = world.device("ann"), world.device("ben")
    one.write(".env", "A=1\n")
    (one.root / ".env").chmod(0o644)
    one.settle()
    seen: list[int] = []
    swap = two.engine.folder.swap_in

    def look(name: str, *more: object) -> object:
        seen.append((two.root / ".dorky" / "tmp" / name).stat().st_mode & 0o777)
        return swap(name, *more)  # type: ignore[arg-type]

    two.engine.folder.swap_in = look  # type: ignore[method-assign,assignment]
    two.settle()
    assert seen == [0o600]
