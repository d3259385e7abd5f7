"""The policies in docs/permissions.md are enough, and nothing else is ever asked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.daemons import RealDaemon, settle, wait_until
from tests.policed import Need, documented, needs_of, policed
from tests.servers import Server

pytestmark = [pytest.mark.daemon, pytest.mark.s3, pytest.mark.timeout(300)]
PREFIX = "team/api"


def test_writers_and_a_reader(tmp_path: Path, seaweed: Server) -> None:
    """Two writers create, edit, rename, delete, clash and send in parts, and a reader follows: nothing is refused, no
    action of the writer's policy is left unused, and the reader tries no write.
    """
    bucket = seaweed.new_bucket()
    url = f"s3://{bucket}/{PREFIX}"
    writer, reader = (documented(name, bucket, PREFIX) for name in ("writer", "reader"))
    with policed(seaweed.endpoint_url, writer) as gate, policed(seaweed.endpoint_url, reader) as window:
        env = {"env": seaweed.env}
        a = RealDaemon(tmp_path, "a", url, endpoint_url=gate.url, **env)  # type: ignore[arg-type]
        b = RealDaemon(tmp_path, "b", url, endpoint_url=gate.url, **env)  # type: ignore[arg-type]
        c = RealDaemon(tmp_path, "c", url, endpoint_url=window.url, mode="pull", **env)  # type: ignore[arg-type]
        try:
            (a.root / "d").mkdir()
            (a.root / "d" / "name with ü & +").write_text("odd")
            (a.root / "large").write_bytes(os.urandom(20 * 1024 * 1024))
            for name in ("edited", "renamed", "deleted", "both"):
                (a.root / name).write_text(f"{name}, first")
            for daemon in (a, b, c):
                daemon.start()
            settle(a, b)
            (a.root / "edited").write_text("second")
            (a.root / "renamed").rename(a.root / "d" / "new name")
            (b.root / "deleted").unlink()
            settle(a, b)
            b.stop()
            (a.root / "both").write_text("by a")
            (b.root / "both").write_text("by b")
            a.sync()
            b.start()
            settle(a, b, c)
            (c.root / "only here").write_text("stays")
            c.sync()
            shared = set(a.tree())
            assert {"d/new name", "edited", "large"} <= shared
            assert "deleted" not in shared
            assert sorted(a.tree()[name][0] for name in shared if name.startswith("both")) == [b"by a", b"by b"]
            assert {path: data for path, (data, _, _) in b.tree().items()} == {
                path: data for path, (data, _, _) in a.tree().items()
            }
            assert set(c.tree()) == shared | {"only here"}
            for daemon in (a, b, c):
                assert daemon.status().problems == 0
                assert daemon.status().state == "in-sync", daemon.status()
        finally:
            for daemon in (a, b, c):
                daemon.kill()
    assert gate.refused == []
    assert window.refused == []
    assert window.used == {"s3:GetObject", "s3:ListBucket"}
    assert window.methods <= {"GET", "HEAD"}
    assert gate.used == _actions(writer), "an action that nothing needs"


def test_an_upload_that_goes_on(tmp_path: Path, seaweed: Server) -> None:
    """A large upload killed midway goes on after a restart within the same policy."""
    bucket = seaweed.new_bucket()
    writer = documented("writer", bucket, PREFIX)
    with policed(seaweed.endpoint_url, writer) as gate:
        daemon = RealDaemon(tmp_path, "a", f"s3://{bucket}/{PREFIX}", endpoint_url=gate.url, env=seaweed.env)
        try:
            daemon.start().sync()
            gate.parts, gate.parts_free = 0, 2
            gate.parts_open.clear()
            data = os.urandom(48 * 1024 * 1024)
            (daemon.root / "large").write_bytes(data)
            wait_until("parts are on their way", lambda: gate.parts > gate.parts_free)
            daemon.kill()
            gate.parts_open.set()
            daemon.start().sync()
        finally:
            gate.parts_open.set()
            daemon.kill()
    client = seaweed.client()
    assert client.get_object(Bucket=bucket, Key=f"{PREFIX}/large")["Body"].read() == data
    client.close()
    assert gate.refused == []
    assert "s3:ListMultipartUploadParts" in gate.used


def _actions(statements: list[dict[str, Any]]) -> set[str]:
    named = [one["Action"] for one in statements]
    return {action for one in named for action in ([one] if isinstance(one, str) else one)}


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("GET", "/", {}),
        ("HEAD", "/acme", {}),
        ("PUT", "/acme", {}),
        ("GET", "/acme?location", {}),
        ("GET", "/acme?uploads", {}),
        ("GET", "/acme?versioning", {}),
        ("GET", "/acme/api/k?acl", {}),
        ("PUT", "/acme/api/k?tagging", {}),
        ("PUT", "/acme/api/k", {"x-amz-acl": "private"}),
        ("POST", "/acme?delete", {}),
        ("GET", "/acme?list-type=2", {}),
        ("GET", "/acme?list-type=2&prefix=other/", {}),
        ("PUT", "/acme/other/k", {}),
        ("GET", "/acme/apiary", {}),
        ("PUT", "/acme/api/k", {"x-amz-copy-source": "acme/other/k"}),
    ],
)
def test_the_gate_refuses(method: str, target: str, headers: dict[str, str]) -> None:
    """The gate can refuse: what the writer's policy does not allow, and what has no name."""
    statements = documented("writer", "acme", "api")
    with policed("http://127.0.0.1:1", statements) as gate:
        assert not gate.judge(method, target, headers)
        assert len(gate.refused) == 1


def test_the_gate_knows_a_copy() -> None:
    """A copy needs both ends."""
    assert needs_of("PUT", "/acme/api/k", {"x-amz-copy-source": "acme/api/old%20name"}) == [
        Need("s3:PutObject", "arn:aws:s3:::acme/api/k"),
        Need("s3:GetObject", "arn:aws:s3:::acme/api/old name"),
    ]
