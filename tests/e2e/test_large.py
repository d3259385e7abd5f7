"""Large files on a real server: killed midway, they go on where they were."""

from __future__ import annotations

import contextlib
import hashlib
import random
from pathlib import Path
from typing import Any

import pytest

from tests.daemons import wait_until
from tests.e2e.places import FULL, s3_place
from tests.servers import Server

pytestmark = [pytest.mark.daemon, pytest.mark.s3, pytest.mark.slow, pytest.mark.timeout(900)]

MIB = 1024 * 1024
SIZE = (1024 if FULL else 128) * MIB


def write_random(path: Path, size: int) -> str:
    """Bytes that nothing compresses, the same at every run; their SHA-256."""
    rng, hashed = random.Random(5), hashlib.sha256()
    with path.open("wb") as out:
        for _ in range(size // MIB):
            data = rng.randbytes(MIB)
            hashed.update(data)
            out.write(data)
    return hashed.hexdigest()


def sha256_of(path: Path) -> str:
    """Of a whole file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def test_g05_an_upload_killed_at_one_third_sends_no_part_twice(seaweed: Server, tmp_path: Path) -> None:
    """`kill -9`, start again: the same upload goes on, and exactly the missing bytes are sent."""
    with s3_place(tmp_path, seaweed) as place, contextlib.closing(seaweed.client()) as client:
        name = place.bucket.split("/")[2]
        a, b = place.device("a", bandwidth={"up": "64MiB"}), place.device("b")
        digest = write_random(a.root / "big.bin", SIZE)

        def uploads() -> list[dict[str, Any]]:
            return list(client.list_multipart_uploads(Bucket=name).get("Uploads", ()))

        def parts() -> list[int]:
            begun = [u for u in uploads() if u["Key"] == "team/p/big.bin"]
            if not begun:
                return []
            reply = client.list_parts(Bucket=name, Key="team/p/big.bin", UploadId=begun[0]["UploadId"])
            return [part["Size"] for part in reply.get("Parts", ())]

        a.start()
        wait_until("a third is there", lambda: sum(parts()) >= SIZE // 3)
        a.kill()
        (upload,) = uploads()
        held = parts()
        assert SIZE // 3 <= sum(held) < SIZE, "it was not killed midway"
        a.start().sync()
        # What was in the server's buffers when the daemon died may have become parts after `held` was asked for.
        assert a.requests()["bytes_up"] <= SIZE - sum(held)
        assert uploads() == [], "the upload that was begun is the one that ended"
        assert upload["UploadId"] not in a.log.read_text(), "it is a name that lets others write"
        b.start().sync()
        assert sha256_of(b.root / "big.bin") == digest
        assert b.requests()["bytes_down"] == SIZE


def test_a_large_file_that_vanishes_midway_leaves_no_parts(seaweed: Server, tmp_path: Path) -> None:
    """The daemon gives the upload up by itself."""
    with s3_place(tmp_path, seaweed) as place, contextlib.closing(seaweed.client()) as client:
        name = place.bucket.split("/")[2]
        a = place.device("a", bandwidth={"up": "32MiB"})
        write_random(a.root / "big.bin", SIZE)
        a.start()
        wait_until("it is under way", lambda: bool(client.list_multipart_uploads(Bucket=name).get("Uploads")))
        (a.root / "big.bin").unlink()
        (a.root / "small").write_text("1")
        wait_until("it is given up", lambda: not client.list_multipart_uploads(Bucket=name).get("Uploads"))
        a.sync()
        assert place.live() == {"small": b"1"}
