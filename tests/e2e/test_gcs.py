"""Real daemons on the strict Google Cloud Storage: two devices, and kills in the middle of a large upload."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.daemons import RealDaemon, settle, wait_until
from tests.e2e.persons import assert_at_rest
from tests.e2e.places import Place, copy_library, gcs_place
from tests.servers import GcsProcess

pytestmark = [pytest.mark.daemon, pytest.mark.gcs, pytest.mark.slow, pytest.mark.timeout(600)]

MiB = 1024 * 1024
SIZE = 40 * MiB
"""Five parts of 8 MiB."""


@pytest.fixture
def server() -> Iterator[GcsProcess]:
    """A strict server of the test's own."""
    server = servers.private_gcs()
    yield server
    server.process.kill()


@pytest.fixture
def place(server: GcsProcess, tmp_path: Path) -> Iterator[Place]:
    """A prefix of it."""
    with gcs_place(tmp_path, server) as made:
        yield made


def test_everything_arrives_as_it_was(place: Place, server: GcsProcess) -> None:
    """Files, a rename, an edit and a deletion reach the other device; nothing but objects is asked for."""
    a, b = place.device("a"), place.device("b")
    count = copy_library(a.root / "lib", 60)
    (a.root / "moved.bin").write_bytes(b"moved" * 1000)
    a.launch(), b.launch()
    a.ready().sync()
    b.ready().sync()
    assert a.status().files == b.status().files == count + 1
    assert a.tree() == b.tree()
    assert place.live() == {path: data for path, (data, _, _) in a.tree().items()}
    before = b.requests()["bytes_up"], server.calls()["objects.rewrite"]
    (b.root / "moved.bin").rename(b.root / "here.bin")
    (b.root / "new.txt").write_text("new")
    settle(b, a)
    assert (a.root / "here.bin").read_bytes() == b"moved" * 1000
    assert not (a.root / "moved.bin").exists()
    assert b.requests()["bytes_up"] - before[0] == 3, "a move carries no bytes"
    assert server.calls()["objects.rewrite"] > before[1]
    assert_at_rest(a, b)
    assert {name.partition(".")[0] for name in server.calls()} - {"buckets"} <= {"objects", "uploads"}
    assert server.calls()["buckets.insert"] == 2, "the test's own"
    assert server.calls().keys() & {"buckets.get", "buckets.delete", "objects.patch"} == set()


def _large(daemon: RealDaemon) -> bytes:
    data = b"".join(hashlib.sha256(str(block).encode()).digest() for block in range(SIZE // 32))
    (daemon.root / "big.bin").write_bytes(data)
    return data


def test_killed_in_the_middle_of_an_upload(place: Place, server: GcsProcess) -> None:
    """After a kill the upload goes on in its session, and no part is sent twice."""
    server.order(operation="uploads.send", key="big.bin", when="before", status=0, skip=2, hold=True)
    a = place.device("a")
    data = _large(a)
    a.start()
    wait_until("the third part is on its way", lambda: server.held() == 1)
    (upload,) = server.open_uploads()
    assert upload == {"name": "team/p/big.bin", "bytes": 16 * MiB}
    a.kill()
    server.release()
    a.start().sync()
    assert place.live() == {"big.bin": data}
    assert a.requests()["bytes_up"] == SIZE - 16 * MiB
    assert not server.open_uploads()
    secrets = [line for line in a.log.read_text().splitlines() if "upload_id" in line]
    assert not secrets, "a session's address is a capability"


def test_killed_before_the_last_reply(place: Place, server: GcsProcess) -> None:
    """When the last byte arrived but its reply did not, nothing is sent again."""
    server.order(operation="uploads.send", key="big.bin", when="after", status=0, skip=4, hold=True)
    a = place.device("a")
    data = _large(a)
    a.start()
    wait_until("the last part has arrived", lambda: server.held() == 1)
    a.kill()
    server.release()
    a.start().sync()
    assert place.live() == {"big.bin": data}
    assert a.requests()["bytes_up"] == 0
    assert not a.status().conflicts
