"""A real daemon over real stores full of what an enemy would put there."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import leaks
from tests.daemons import RealDaemon, wait_until
from tests.e2e.commands import ctl, running
from tests.servers import GcsProcess, Server

pytestmark = pytest.mark.daemon

OP = "a" * 32
BAD = ["../../escaped", "a//b", ".g\u200cit/hooks/x", ".git::$INDEX_ALLOCATION/x", "git~1/config", "n" * 256, "x/./y"]
META = {"dorky-sha256": "0" * 64, "dorky-op": OP, "dorky-mode": "7777", "dorky-mtime-ns": "-99999999999999999999"}
_STEERING = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028]")


@pytest.fixture
def base() -> Iterator[Path]:
    """A short path, as sockets want it."""
    made = Path(tempfile.mkdtemp(prefix="dk"))
    yield made
    shutil.rmtree(made)


def _survives(base: Path, daemon: RealDaemon, put: Any, good: dict[str, bytes], bad: list[str]) -> None:
    secret = leaks.canary()
    (daemon.root / ".env").write_bytes(secret)
    with running(daemon):
        daemon.sync()
        put(".dorky/log/000000000002.json", b"\x1b[2J" * 1000, {})
        put("later.txt", b"later", {"dorky-device": "%1b%5b2J", "dorky-op": OP})
        with contextlib.suppress(AssertionError):
            daemon.sync()
        wait_until("the good ones", lambda: all((daemon.root / path).exists() for path in (*good, "later.txt")), 60)
        held = daemon.tree()
        assert {path: held[path][0] for path in good} == good
        assert held["lie.sh"][1] == 0o777
        assert (daemon.root / "lie.sh").stat().st_mode & 0o7000 == 0
        assert held.keys() == {*good, ".env", "later.txt"}
        for command in ("status", "problems", "ls", "log", "trash"):
            ran = ctl(daemon, command)
            assert not _STEERING.search(ran.said), (command, ran.said)
            assert secret.decode() not in ran.said
        listed = ctl(daemon, "problems").out
        assert len(listed.splitlines()) >= len(bad)
        (daemon.root / "more.txt").write_text("more")
        daemon.sync()
    assert not _STEERING.search(daemon.log.read_text(errors="replace"))
    assert not list(base.rglob("escaped"))


@pytest.mark.gcs
def test_google_cloud_storage_full_of_traps(base: Path, strict_gcs: GcsProcess) -> None:
    """Good files come, bad keys are told of in printable form, bits are cut, and the log steers no terminal."""
    from dorkyd.buckets.gcs import GcsBucket
    from dorkyd.news import Bytes

    name = strict_gcs.new_bucket()
    bucket = GcsBucket(f"gs://{name}/api", endpoint_url=strict_gcs.endpoint_url)

    def put(key: str, data: bytes, meta: dict[str, str]) -> None:
        found = bucket.head(key)
        bucket.put(key, Bytes(data), replaces=found.version if found else None, meta=meta)

    good = {"lie.sh": b"echo", "\x1b[2J.txt": b"steering", "\u202eevil": b"turning", "CON": b"con"}
    for key in BAD:
        put(key, b"bad", {})
    for key, data in good.items():
        put(key, data, META if key == "lie.sh" else {})
    daemon = RealDaemon(
        base, "a", f"gs://{name}/api", env=strict_gcs.env, endpoint_url=strict_gcs.endpoint_url, list_every_s=2
    )
    _survives(base, daemon, put, good, BAD)
    bucket.close()


@pytest.mark.s3
def test_s3_full_of_traps(base: Path, seaweed: Server) -> None:
    """As above, with what this server can hold."""
    name = seaweed.new_bucket()
    with contextlib.closing(seaweed.client()) as client:

        def put(key: str, data: bytes, meta: dict[str, str]) -> None:
            client.put_object(Bucket=name, Key=f"api/{key}", Body=data, Metadata=meta)

        bad = [key for key in BAD if len(key) < 200 and key.isascii() and not {"", ".", ".."} & set(key.split("/"))]
        good = {"lie.sh": b"echo", "CON": b"con", "\u202eevil": b"turning"}
        for key in bad:
            put(key, b"bad", {})
        for key, data in good.items():
            put(key, data, META if key == "lie.sh" else {})
        daemon = RealDaemon(
            base, "a", f"s3://{name}/api", env=seaweed.env, endpoint_url=seaweed.endpoint_url, list_every_s=2
        )
        _survives(base, daemon, put, good, bad)
