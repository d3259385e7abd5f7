"""The strict server of the tests, asked by google-cloud-storage as it is: the adapter's tests are worth what it is worth."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gcs.faults import Fault
from tests.gcs.server import GcsServer

MiB = 1024 * 1024


@pytest.fixture
def server() -> Iterator[GcsServer]:
    """In this process, rewriting 1 MiB a call."""
    server = GcsServer(rewrite_bytes=MiB).start()
    yield server
    server.stop()


@pytest.fixture
def bucket(server: GcsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The SDK's own bucket, which finds the server by the variable alone."""
    from google.cloud import storage

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    client = storage.Client(project="test")
    yield client.create_bucket("acme")
    client.close()


def refused(act: Any) -> int:
    """The status with which something was refused."""
    from google.api_core.exceptions import GoogleAPICallError

    with pytest.raises(GoogleAPICallError) as caught:
        act()
    return int(caught.value.code or 0)


def test_upload_and_download(bucket: Any) -> None:
    """What was uploaded comes back, with sums, metadata and a range of it."""
    blob = bucket.blob("d/a b%2F+?#é.txt")
    blob.metadata = {"Note": "mine"}
    blob.upload_from_string(b"hello", if_generation_match=0, checksum="crc32c")
    found = bucket.get_blob("d/a b%2F+?#é.txt")
    assert found.generation == blob.generation
    assert found.metadata == {"Note": "mine"}
    assert found.size == 5
    assert found.md5_hash == base64.b64encode(bytes.fromhex("5d41402abc4b2a76b9719d911017c592")).decode()
    assert found.download_as_bytes() == b"hello"
    assert found.download_as_bytes(start=1, end=3) == b"ell"


def test_insert_keeps_conditions(bucket: Any) -> None:
    """Creating twice, and replacing what was replaced, are refused."""
    blob = bucket.blob("k")
    blob.upload_from_string(b"1", if_generation_match=0)
    first = blob.generation
    assert refused(lambda: bucket.blob("k").upload_from_string(b"2", if_generation_match=0)) == 412
    blob.upload_from_string(b"2", if_generation_match=first)
    assert blob.generation > first
    assert refused(lambda: bucket.blob("k").upload_from_string(b"3", if_generation_match=first)) == 412
    assert refused(lambda: bucket.blob("k").upload_from_string(b"3", if_metageneration_match=7)) == 412
    assert refused(lambda: bucket.blob("k").upload_from_string(b"3", if_generation_not_match=blob.generation)) == 412


def test_delete_keeps_conditions(bucket: Any) -> None:
    """Only the generation named is deleted."""
    blob = bucket.blob("k")
    blob.upload_from_string(b"1")
    assert refused(lambda: bucket.blob("k").delete(if_generation_match=blob.generation - 1)) == 412
    bucket.blob("k").delete(if_generation_match=blob.generation)
    assert refused(lambda: bucket.blob("k").delete()) == 404


def test_get_keeps_conditions(bucket: Any) -> None:
    """A look may be conditional, and says when nothing changed."""
    blob = bucket.blob("k")
    blob.upload_from_string(b"1")
    assert refused(lambda: bucket.blob("k").reload(if_generation_match=1)) == 412
    assert refused(lambda: bucket.blob("k").reload(if_generation_not_match=blob.generation)) == 304


def test_patch_keeps_conditions(bucket: Any) -> None:
    """A patch raises the metageneration alone, under its condition."""
    blob = bucket.blob("k")
    blob.upload_from_string(b"1")
    blob.metadata = {"a": "b"}
    blob.patch(if_metageneration_match=1)
    assert blob.metageneration == 2
    assert refused(lambda: blob.patch(if_metageneration_match=1)) == 412


def test_rewrite_in_several_calls(server: GcsServer, bucket: Any) -> None:
    """A large copy wants its token back, and judges both conditions."""
    source = bucket.blob("source")
    source.upload_from_string(b"x" * (3 * MiB))
    goal = bucket.blob("goal")
    token, done, size = goal.rewrite(source, if_generation_match=0, if_source_generation_match=source.generation)
    assert (token is not None, done, size) == (True, MiB, 3 * MiB)
    assert bucket.get_blob("goal") is None
    while token is not None:
        token, done, size = goal.rewrite(source, token=token, if_generation_match=0)
    assert done == 3 * MiB
    assert server.faults.calls["objects.rewrite"] == 3
    assert refused(lambda: goal.rewrite(source, if_generation_match=0)) == 412
    assert refused(lambda: bucket.blob("other").rewrite(source, if_source_generation_match=1)) == 412


def test_compose(bucket: Any) -> None:
    """Joined objects have no MD5, and the goal's condition holds."""
    for name in ("a", "b"):
        bucket.blob(name).upload_from_string(name)
    goal = bucket.blob("goal")
    goal.compose([bucket.blob("a"), bucket.blob("b")], if_generation_match=0)
    assert goal.download_as_bytes() == b"ab"
    assert bucket.get_blob("goal").md5_hash is None
    assert refused(lambda: bucket.blob("goal").compose([bucket.blob("a")], if_generation_match=0)) == 412


def test_resumable(bucket: Any) -> None:
    """The SDK's own chunked upload ends as one object; its condition is judged."""
    blob = bucket.blob("big", chunk_size=256 * 1024)
    data = bytes(range(256)) * 4096
    with blob.open("wb", if_generation_match=0) as out:
        out.write(data)
    assert bucket.get_blob("big").download_as_bytes() == data
    assert refused(lambda: bucket.blob("big").create_resumable_upload_session(if_generation_match=0)) == 412


def test_half_sent_stays_open(server: GcsServer, bucket: Any) -> None:
    """A status query tells what is held and ends nothing; uneven pieces and unknown sessions are refused."""
    import requests

    url = bucket.blob("big").create_resumable_upload_session(size=2 * MiB)
    piece = b"x" * (256 * 1024)
    for query, held in (("bytes */*", None), (f"bytes */{2 * MiB}", None)):
        reply = requests.put(url, headers={"Content-Range": query}, timeout=10)
        assert (reply.status_code, reply.headers.get("Range")) == (308, held)
    requests.put(url, piece, headers={"Content-Range": f"bytes 0-{len(piece) - 1}/{2 * MiB}"}, timeout=10)
    for query in ("bytes */*", f"bytes */{2 * MiB}"):
        reply = requests.put(url, headers={"Content-Range": query}, timeout=10)
        assert (reply.status_code, reply.headers["Range"]) == (308, f"bytes=0-{len(piece) - 1}")
    assert bucket.get_blob("big") is None
    uneven = {"Content-Range": f"bytes {len(piece)}-{len(piece) + 9}/{2 * MiB}"}
    assert requests.put(url, b"0123456789", headers=uneven, timeout=10).status_code == 400
    assert requests.put(url + "x", headers={"Content-Range": "bytes */*"}, timeout=10).status_code == 404
    assert requests.delete(url, timeout=10).status_code == 499
    assert requests.put(url, headers={"Content-Range": "bytes */*"}, timeout=10).status_code == 410
    assert not server.uploads.open


def test_wrong_sum_is_refused(bucket: Any) -> None:
    """Bytes whose CRC32C or MD5 is not the one given are not stored."""
    for field, value in (("crc32c", "AAAAAA=="), ("md5_hash", "AAAAAAAAAAAAAAAAAAAAAA==")):
        blob = bucket.blob("k")
        setattr(blob, field, value)
        assert refused(lambda blob=blob: blob.upload_from_string(b"hello", checksum=None)) == 400
        assert bucket.get_blob("k") is None


def test_listing(bucket: Any) -> None:
    """Pages, prefix, offset and delimiter, in the order of bytes."""
    for name in ("a", "b/1", "b/2", "c", "é"):
        bucket.blob(name).upload_from_string(b"")
    client = bucket.client
    assert [blob.name for blob in client.list_blobs(bucket, page_size=2)] == ["a", "b/1", "b/2", "c", "é"]
    assert [blob.name for blob in client.list_blobs(bucket, start_offset="b/2")] == ["b/2", "c", "é"]
    shallow = client.list_blobs(bucket, delimiter="/")
    assert [blob.name for blob in shallow] == ["a", "c", "é"]
    assert shallow.prefixes == {"b/"}


def test_versions(bucket: Any) -> None:
    """Under versioning a replaced state stays, by its generation."""
    kept = bucket.client.bucket("kept")
    kept.versioning_enabled = True
    kept.create()
    blob = kept.blob("k")
    blob.upload_from_string(b"1")
    first = blob.generation
    blob.upload_from_string(b"2")
    assert kept.get_blob("k", generation=first).download_as_bytes() == b"1"
    assert len(list(kept.client.list_blobs(kept, versions=True))) == 2


def test_faults(server: GcsServer, bucket: Any) -> None:
    """A request fails as ordered, before or after its effect, and permissions can be taken."""
    server.faults.order(Fault("objects.insert", "after", 503))
    assert refused(lambda: bucket.blob("k").upload_from_string(b"1", retry=None)) == 503
    assert bucket.get_blob("k") is not None
    server.faults.order(Fault("objects.delete", "before", 429, times=1))
    assert refused(lambda: bucket.blob("k").delete(retry=None)) == 429
    assert bucket.get_blob("k") is not None
    server.faults.denied.add("storage.objects.get")
    assert refused(lambda: bucket.get_blob("k")) == 403
