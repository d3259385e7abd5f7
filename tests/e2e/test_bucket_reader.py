"""Everything that a team does with secrets, and what somebody who can read all of the bucket sees of it: nothing.

Files, conflict copies, renames, the trash, commits, pushes with what is staged, artifacts through the API and their batches, on
a directory, on SeaweedFS and on the strict Google Cloud Storage.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dorkyd.buckets.directory import DirectoryBucket
from dorkyd.buckets.gcs import GcsBucket
from dorkyd.buckets.s3 import S3Bucket
from dorkyd.ports import Bucket
from tests.bucketreader import untold, view
from tests.daemons import RealDaemon
from tests.e2e.commands import running
from tests.e2e.places import FULL, Place, directory_place, gcs_place, s3_place
from tests.e2e.test_team import founded, joined

pytestmark = pytest.mark.daemon


LONG = pytest.mark.skipif(not FULL, reason="DORKY_FULL=1; CI has the scenarios, and each store by itself")


@pytest.fixture(
    params=[
        pytest.param("directory", marks=LONG),
        pytest.param("s3", marks=[pytest.mark.s3, LONG]),
        pytest.param("gcs", marks=[pytest.mark.gcs, LONG]),
    ]
)
def reader(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Place, Bucket]]:
    """A place, and the store below it as whoever may read it reads it."""
    with contextlib.ExitStack() as stack:
        if request.param == "directory":
            place = stack.enter_context(directory_place(tmp_path))
            bucket: Bucket = DirectoryBucket(tmp_path / "bucket")
        elif request.param == "s3":
            server = request.getfixturevalue("seaweed")
            server.enter(monkeypatch)
            place = stack.enter_context(s3_place(tmp_path, server))
            bucket = S3Bucket(place.bucket, endpoint_url=server.endpoint_url)
        else:
            store = request.getfixturevalue("strict_gcs")
            place = stack.enter_context(gcs_place(tmp_path, store))
            bucket = GcsBucket(place.bucket, endpoint_url=store.endpoint_url)
        stack.callback(bucket.close)
        yield place, bucket


class Secrets:
    """Each is another, of a length that nothing else has."""

    def __init__(self) -> None:
        self.made: list[bytes] = []

    def new(self, size: int = 0) -> bytes:
        """A `.env` file's text."""
        size = size or 5003 + 17 * len(self.made)
        text = f"KEY{len(self.made)}=".encode()
        self.made.append(text + os.urandom(size).hex().encode()[: size - len(text) - 1] + b"\n")
        return self.made[-1]


def write(daemon: RealDaemon, path: str, data: bytes) -> None:
    """A person saves a file."""
    file = daemon.root / path
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)


def test_a_bucket_reader_learns_nothing_of_secrets(reader: tuple[Place, Bucket]) -> None:
    """Neither bytes nor digests nor lengths, in any object, name, metadata, log entry, commit, plan or copy."""
    place, bucket = reader
    secrets = Secrets()
    ann = place.device("ann", poll_s=1, compress=["*.csv"])
    bob = place.device("bob", poll_s=1, mode="manual")
    with running(ann, bob), ann.client() as one, bob.client() as two:
        for each in (one, two):
            each.sync("p", wait=True)  # its project is open then
        founded(ann, ".env*", "secret/", "*.pem")
        joined(ann, bob)
        # Files, their former states, and other names of them.
        for data in (secrets.new(), secrets.new(), secrets.new()):
            write(ann, ".env", data)
            write(ann, "secret/table.csv", data * 3)
            one.sync("p", wait=True)
        secrets.made += [data * 3 for data in secrets.made[:3]]
        write(ann, "key.pem", secrets.new(1_300_003))
        write(ann, "notes/copy of an old one", secrets.made[0])
        write(ann, "plain.csv", b"nobody minds\n" * 50)
        one.sync("p", wait=True)
        first = one.commit("p", "with secrets")
        (ann.root / "key.pem").rename(ann.root / "renamed")
        one.sync("p", wait=True)
        # Artifacts through the API, alone and as a batch.
        one.upload(io.BytesIO(secrets.new()), to="p:secret/by the API")
        one.upload(io.BytesIO(secrets.made[1]), to="p:a copy under another name")
        one.upload(io.BytesIO(secrets.new(2_100_011)), to="p:secret/large", metadata={"note": "mine"})
        with one.batch("p") as batch:
            batch.upload(io.BytesIO(secrets.new()), to="p:secret/batch/1")
            batch.upload(io.BytesIO(secrets.new()), to="p:.env.batch")
        with one.open("p:secret/large") as opened:
            opened.seek(2_000_000)
            assert opened.read(100) == secrets.made[-3][2_000_000:2_000_100]
            opened.seek(-7, os.SEEK_END)
            assert opened.read() == secrets.made[-3][-7:]
        assert one.stat("p:secret/large").size == 2_100_011
        one.sync("p", wait=True)
        # Staged and pushed by another, beside a conflict.
        two.pull("p")
        write(bob, ".env", secrets.new())
        write(bob, ".env.bob", secrets.new())
        two.stage("p", ["."])
        write(bob, ".env.bob", secrets.new())  # after it was staged
        two.push("p", "from bob")
        one.sync("p", wait=True)
        write(ann, ".env", secrets.new())
        write(bob, ".env", secrets.new())
        one.sync("p", wait=True)
        two.pull("p")
        assert any("(conflict" in path for path in bob.tree())
        two.stage("p", ["."])
        two.push("p", "both of them")
        one.sync("p", wait=True)
        # The past comes back, and something goes.
        one.undo("p")
        (ann.root / "secret/by the API").unlink()
        one.delete("p:secret/large")
        one.sync("p", wait=True)
        last = one.commit("p", "before the checkout")
        lock = one.lock("p", first.id)
        assert one.checkout_locked("p", lock).unlike == []
        one.sync("p", wait=True)
        assert ann.tree()["key.pem"][0] == secrets.made[6]
        assert {item.kind for item in one.commit_diff("p", first.id, last.id)} >= {"added", "changed"}
        one.collect("p")
        one.sync("p", wait=True)
    seen = view(bucket)
    untold(seen, secrets.made)
    assert lock.count("hmac-sha256:") >= 4
    for what in ("commits/", "objects/", "log/", "trash/", "keys/"):
        assert seen.places(f".dorky/{what}"), what
    assert not seen.places(".dorky/batches/")
