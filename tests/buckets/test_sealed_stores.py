"""Encrypted and packed objects on every kind of store, by each of its lanes: no library unpacks, decodes or counts for us.

`Content-Encoding: zstd` is an invitation to HTTP clients to unpack by themselves: what comes must be the stored bytes, since
it is `dorkyd.sealing` that unpacks, verifies and counts.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath

import pytest

from dorkyd.buckets.directory import DirectoryBucket
from dorkyd.buckets.fastlane import FastLane
from dorkyd.buckets.gcs import GcsBucket
from dorkyd.buckets.s3 import S3Bucket
from dorkyd.core import metadata
from dorkyd.errors import Integrity
from dorkyd.keyring import Keyring
from dorkyd.keys import KeyHome, new_identity, own_key
from dorkyd.news import Bytes
from dorkyd.ports import Bucket, Reading
from dorkyd.sealing import Sealing
from tests.bucketreader import untold, view
from tests.devices import SimClock
from tests.folders import Fixture

TEXT = b"the same words, again and again\n" * 4000
NOISE = os.urandom(300_000)
LONG = pytest.mark.skipif(
    os.environ.get("DORKY_FULL") != "1", reason="DORKY_FULL=1: it keeps no more than SeaweedFS does"
)


def directory(request: pytest.FixtureRequest, base: FilePath) -> Bucket:
    """A plain directory."""
    (base / "bucket").mkdir()
    return DirectoryBucket(base / "bucket" / "prefix")


def s3(request: pytest.FixtureRequest, server: str, lane: type[S3Bucket | FastLane]) -> Bucket:
    """Below a prefix of a new bucket."""
    up = request.getfixturevalue(server)
    up.enter(request.getfixturevalue("environment"))
    return lane(f"s3://{up.new_bucket()}/team/api", endpoint_url=up.endpoint_url)


def gcs(request: pytest.FixtureRequest, _tmp_path: FilePath) -> Bucket:
    """On the strict server."""
    up = request.getfixturevalue("strict_gcs")
    return GcsBucket(f"gs://{up.new_bucket()}/team/api", endpoint_url=up.endpoint_url)


STORES: dict[str, Callable[[pytest.FixtureRequest, FilePath], Bucket]] = {
    "directory": directory,
    "seaweed-boto3": lambda request, _: s3(request, "seaweed", S3Bucket),
    "seaweed-obstore": lambda request, _: s3(request, "seaweed", FastLane),
    "moto-boto3": lambda request, _: s3(request, "moto", S3Bucket),
    "moto-obstore": lambda request, _: s3(request, "moto", FastLane),
    "gcs": gcs,
}


@pytest.fixture(scope="module")
def environment() -> Iterator[pytest.MonkeyPatch]:
    """Variables of this module's tests."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(
    scope="module",
    params=[
        "directory",
        *(pytest.param(name, marks=pytest.mark.s3) for name in STORES if name.startswith("seaweed")),
        *(pytest.param(name, marks=[pytest.mark.s3, LONG]) for name in STORES if name.startswith("moto")),
        pytest.param("gcs", marks=pytest.mark.gcs),
    ],
)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """The store as it is."""
    bucket = STORES[request.param](request, tmp_path_factory.mktemp("store"))
    yield bucket
    bucket.close()


@pytest.fixture(scope="module")
def sealing(store: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Sealing:
    """The same, encrypting `secret*` and packing `*.txt`."""
    tmp_path = tmp_path_factory.mktemp("device")
    home = KeyHome(tmp_path / "keys")
    home.keep(new_identity().encode())
    folder = Fixture(tmp_path / "folder").folder
    clock = SimClock("ann")
    keyring = Keyring(store, home, clock, ("*secret*",))
    keyring.opens("project")
    keyring.begin("ann", own_key(new_identity().encode()).share, ())
    return Sealing(store, keyring, folder, clock, ("*.txt",))


def put(bucket: Bucket, key: str, data: bytes, op: str = "a" * 32) -> None:
    """As an upload does."""
    digest = metadata.sha256(hashlib.sha256(data).hexdigest())
    meta = metadata.encode(digest=digest, mtime_ns=None, mode=0o600, device="d", op=op, ancestry=(), user={})  # type: ignore[arg-type]
    bucket.put(key, Bytes(data), replaces=None, meta=meta)


def bytes_of(reading: Reading) -> bytes:
    """All of it."""
    return b"".join(map(bytes, reading))


def test_what_is_put_comes_back_whole_and_from_any_byte_on(store: Bucket, sealing: Sealing) -> None:
    """Packed, encrypted, both and neither; small and larger than what is held in memory."""
    for key, data in {
        "f.txt": TEXT,
        "secret.txt": TEXT,
        "secret": NOISE,
        "large.txt": TEXT * 20,
        "secret-large.txt": TEXT * 20,
        "plain": NOISE,
        "empty.txt": b"",
        "secret-empty": b"",
    }.items():
        put(sealing, key, data)
        info = sealing.head(key)
        assert info is not None
        assert info.stored_otherwise == (key != "plain")
        packed = key.endswith(".txt") and not key.startswith("secret")
        assert metadata.plain_size(info.meta, -1) == (len(data) if packed else -1)
        for start in sorted({0, 1, len(data) // 2, max(0, len(data) - 1)}):
            with sealing.get(key, if_match=info.version, start=start) as reading:
                assert bytes_of(reading) == data[start:], (key, start)
            with sealing.get(key, if_match=info.version, start=start, stop=start + 100_000) as reading:
                assert bytes_of(reading) == data[start : start + 100_000], (key, start)
        copied = sealing.copy(key, f"copy of {key}", source_version=info.version, replaces=None, meta=None)
        with sealing.get(f"copy of {key}", if_match=copied.version) as reading:
            assert bytes_of(reading) == data


def test_the_store_hands_out_what_it_stores(store: Bucket, sealing: Sealing) -> None:
    """Not one layer below unpacks: the size that it tells is that of what comes, from any byte on."""
    put(sealing, "stored.txt", TEXT)
    with store.get("stored.txt") as reading:
        stored = bytes_of(reading)
    assert stored.startswith(b"\x28\xb5\x2f\xfd")
    assert len(stored) == reading.info.size < len(TEXT)
    with store.get("stored.txt", start=7) as reading:
        assert bytes_of(reading) == stored[7:]
    (page,) = store.list("stored.txt")
    assert page[0].size == len(stored)
    assert reading.info.meta[metadata.SIZE] == str(len(TEXT))


def test_what_was_changed_below_is_refused_at_its_end(store: Bucket, sealing: Sealing) -> None:
    """A byte of ciphertext, or its end cut off."""
    put(sealing, "bad-secret", NOISE)
    with store.get("bad-secret") as reading:
        data, info = bytes_of(reading), reading.info
    for number, bad in enumerate((data[:-1] + bytes([data[-1] ^ 1]), data[:-70_000])):
        store.put(f"bad-secret-{number}", Bytes(bad), replaces=None, meta=info.meta)
        for stop in (None, 10):
            with sealing.get(f"bad-secret-{number}", stop=stop) as reading, pytest.raises(Integrity):
                bytes_of(reading)


def test_a_bucket_reader_learns_nothing(store: Bucket, sealing: Sealing) -> None:
    """Of small and large secrets, packed or not."""
    secrets = [b"KEY=" + os.urandom(40).hex().encode(), TEXT + b"!", NOISE + b"!"]
    for number, (secret, name) in enumerate(zip(secrets, ("a-secret", "a-secret.txt", "a-secret-noise"), strict=True)):
        put(sealing, name, secret, op=f"{number:032x}")
    untold(view(store), secrets)
