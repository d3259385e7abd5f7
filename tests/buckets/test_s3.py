"""The S3 adapter against real servers: the bucket contract, and what only S3 has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from dorkyd.buckets.s3 import S3Bucket
from dorkyd.core.model import Version
from dorkyd.errors import AuthExpired, Blocked, Denied, Stale, Transient, Unsupported
from dorkyd.ports import Bucket
from tests.buckets.contract import BucketContract, BytesBody, content, create, keys, large, listed, look
from tests.buckets.versions_contract import VersionsContract
from tests.servers import Server, free_ports

pytestmark = pytest.mark.s3


def open_s3(server: Server, name: str | None = None, **options: int) -> S3Bucket:
    """Below the prefix `team/api` of a new bucket, or of the one named."""
    return S3Bucket(f"s3://{name or server.new_bucket()}/team/api", endpoint_url=server.endpoint_url, **options)


class TestSeaweed(BucketContract):
    """SeaweedFS keeps keys as a tree: folders sort by their bare name, and a backslash is listed as a slash."""

    @pytest.fixture
    def bucket(self, seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
        seaweed.enter(monkeypatch)
        bucket = open_s3(seaweed)
        yield bucket
        bucket.close()

    def test_list_order(self, bucket: Bucket) -> None:
        """Every key comes once, whatever the order."""
        names = ["a0", "a/b", "a.txt", "a-b/c", "a/b-c/d", "Z", "z", "é", "\uff5e", "\U0001f600", "a/b.d"]
        for name in names:
            create(bucket, name)
        assert sorted(keys(bucket)) == sorted(names)

    def test_list_prefix(self, bucket: Bucket) -> None:
        """A prefix is any string, whether or not it ends at a slash."""
        for name in ("log/1", "log/10", "log/2", "log2", "lo", "log.txt", "other/log/1"):
            create(bucket, name)
        assert keys(bucket, "log/1") == ["log/1", "log/10"]
        assert keys(bucket, "log/") == ["log/1", "log/10", "log/2"]
        assert sorted(keys(bucket, "log")) == ["log.txt", "log/1", "log/10", "log/2", "log2"]

    def test_list_start_after(self, bucket: Bucket) -> None:
        """In the store's own order `start_after` leaves out exactly itself and what came before it."""
        names = ["a", "b/1", "b/2", "b/3/x", "b/4", "c"]
        for name in names:
            create(bucket, name)
        for place, after in enumerate(names):
            assert keys(bucket, start_after=after) == names[place + 1 :]
        assert keys(bucket, "b/", "b/") == names[1:5]
        assert keys(bucket, "b/", "b/2!") == names[3:5]

    def test_odd_name(self, bucket: Bucket, name: str) -> None:
        """As the contract, but for the backslash."""
        if name == "back\\slash":
            pytest.skip("SeaweedFS lists a backslash as a slash")
        super().test_odd_name(bucket, name)

    test_odd_name.pytestmark = BucketContract.test_odd_name.pytestmark  # type: ignore[attr-defined]


class TestSeaweedVersions(VersionsContract):
    @pytest.fixture
    def bucket(self, seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
        seaweed.enter(monkeypatch)
        bucket = open_s3(seaweed, seaweed.new_bucket(versioning=True))
        yield bucket
        bucket.close()


class TestSeaweedTls(BucketContract):
    """Over https bodies are sent another way. What does not depend on it is left to `TestSeaweed`."""

    test_list_order = test_list_prefix = test_list_start_after = test_odd_name = test_list_pages = None  # type: ignore[assignment]

    @pytest.fixture
    def bucket(self, seaweed_tls: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
        seaweed_tls.enter(monkeypatch)
        bucket = open_s3(seaweed_tls)
        yield bucket
        bucket.close()


class TestMoto(BucketContract):
    """moto ignores every condition of CopyObject, which the probe reports."""

    test_copy_stale_source = test_copy_onto_existing = None  # type: ignore[assignment]
    test_copy_replaces_stale = test_metadata_alone_stale = None  # type: ignore[assignment]
    racers: ClassVar[int] = 1
    """Its check and its write are two steps."""

    @pytest.fixture
    def bucket(self, moto: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
        moto.enter(monkeypatch)
        bucket = open_s3(moto)
        yield bucket
        bucket.close()

    def test_odd_name(self, bucket: Bucket, name: str) -> None:
        """As the contract, but for the line break."""
        if name == "line\nbreak":
            pytest.skip("moto answers 404 to a line break")
        super().test_odd_name(bucket, name)

    test_odd_name.pytestmark = BucketContract.test_odd_name.pytestmark  # type: ignore[attr-defined]


@pytest.fixture
def bucket(seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Bucket]:
    """On SeaweedFS."""
    seaweed.enter(monkeypatch)
    bucket = open_s3(seaweed)
    yield bucket
    bucket.close()


def test_plain_object(seaweed: Server, bucket: S3Bucket) -> None:
    """An object lies under its own path, where any tool finds it."""
    create(bucket, "d/f.txt", b"hello", {"note": "x"})
    name = bucket.url.split("/")[2]
    reply = seaweed.client().get_object(Bucket=name, Key="team/api/d/f.txt")
    assert reply["Body"].read() == b"hello"
    assert reply["Metadata"] == {"note": "x"}


def test_neighbour_is_not_listed(seaweed: Server, bucket: S3Bucket) -> None:
    """A prefix that begins like ours is another's, and the marker of the prefix itself is no object of ours."""
    name = bucket.url.split("/")[2]
    client = seaweed.client()
    client.put_object(Bucket=name, Key="team/api-2/f", Body=b"")
    client.put_object(Bucket=name, Key="team/api/", Body=b"")
    create(bucket, "f")
    assert keys(bucket) == ["f"]


def test_folder_becomes_file(bucket: S3Bucket) -> None:
    """A name that was a folder can be created as a file, in one request or in parts, and by a copy; once."""
    for name in ("put", "parts", "copy"):
        below = create(bucket, f"{name}/g")
        bucket.delete(f"{name}/g", replaces=below.version)
    made = create(bucket, "put", b"file")
    bucket.put_in_parts("parts", BytesBody(b"file"), replaces=None, meta={})
    bucket.copy("put", "copy", source_version=made.version, replaces=None, meta=None)
    assert sorted(keys(bucket)) == ["copy", "parts", "put"]
    with pytest.raises(Stale):
        create(bucket, "put", b"second")
    assert content(bucket, "put") == b"file"


def test_parts(seaweed: Server, bucket: S3Bucket) -> None:
    """A body goes in parts of the size asked for, counted as PUT with begin and end, and nothing stays half sent."""
    data = large(13 * 1024 * 1024)
    small = open_s3(seaweed, bucket.url.split("/")[2], parts_over_bytes=1, part_bytes=5 * 1024 * 1024)
    small.put("big", BytesBody(data), replaces=None, meta={})
    assert small.requests.PUT == 5
    assert small.requests.bytes_up == len(data)
    assert hashlib.sha256(content(small, "big")).digest() == hashlib.sha256(data).digest()
    with pytest.raises(Stale):
        small.put("big", BytesBody(data), replaces=Version("0" * 32), meta={})
    assert not seaweed.client().list_multipart_uploads(Bucket=bucket.url.split("/")[2]).get("Uploads")
    small.close()


def test_missing_bucket(seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that does not exist is said so by every look, never taken for an absence."""
    seaweed.enter(monkeypatch)
    bucket = open_s3(seaweed, "no-such-bucket-here")
    for ask in (
        lambda: bucket.head("k"),
        lambda: bucket.read("k"),
        lambda: listed(bucket),
        lambda: create(bucket, "k"),
    ):
        with pytest.raises(Blocked) as caught:
            ask()
        assert caught.value.code == "no-such-bucket"
    bucket.close()


def test_wrong_secret(seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong credentials are said by every look, without the key, and renewed ones are taken up."""
    name = seaweed.new_bucket()
    seaweed.enter(monkeypatch)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    bucket = open_s3(seaweed, name)
    for ask in (lambda: bucket.head("k"), lambda: bucket.read("k"), lambda: create(bucket, "k")):
        with pytest.raises(AuthExpired) as caught:
            ask()
        assert seaweed.access_key not in str(caught.value) + caught.value.hint
        assert "wrong-secret" not in str(caught.value) + caught.value.hint
    seaweed.enter(monkeypatch)
    assert bucket.head("k") is None
    bucket.close()


def test_no_credentials(seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials the message says what to run."""
    seaweed.enter(monkeypatch)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    bucket = open_s3(seaweed, "any")
    with pytest.raises(AuthExpired) as caught:
        bucket.head("k")
    assert "aws configure" in caught.value.hint
    bucket.close()


def test_missing_profile(seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that does not exist is named."""
    seaweed.enter(monkeypatch)
    bucket = S3Bucket("s3://b/p", endpoint_url=seaweed.endpoint_url, profile="team")
    with pytest.raises(AuthExpired, match="team"):
        bucket.head("k")
    bucket.close()


def test_profile(seaweed: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials come from the profile named."""
    seaweed.enter(monkeypatch)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    credentials = tmp_path / "credentials"
    credentials.write_text(
        f"[team]\naws_access_key_id = {seaweed.access_key}\naws_secret_access_key = {seaweed.secret_key}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    bucket = S3Bucket(f"s3://{seaweed.new_bucket()}/p", endpoint_url=seaweed.endpoint_url, profile="team")
    assert bucket.head("k") is None
    bucket.close()


def test_denied(seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that is not allowed names action and key."""
    name = seaweed.new_bucket()
    seaweed.enter(monkeypatch, reader=True)
    bucket = open_s3(seaweed, name)
    with pytest.raises(Denied, match="PutObject 'd/k'"):
        create(bucket, "d/k")
    bucket.close()


def test_nobody_listens(seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that cannot be reached is offline, and named."""
    seaweed.enter(monkeypatch)
    (port,) = free_ports(1)
    bucket = S3Bucket("s3://b/p", endpoint_url=f"http://127.0.0.1:{port}")
    with pytest.raises(Transient, match=str(port)) as caught:
        bucket.head("k")
    assert caught.value.offline
    bucket.close()


def test_long_names(bucket: S3Bucket) -> None:
    """A key over S3's limit, and one over the store's own, are that path's problem."""
    for name in ("k" * 1025, "k" * 901):
        with pytest.raises(Unsupported) as caught:
            create(bucket, name)
        assert caught.value.code == "name-too-long"
        assert caught.value.path == name


def test_undecodable_name(bucket: S3Bucket) -> None:
    """A file name that is no Unicode is that path's problem."""
    with pytest.raises(Unsupported):
        create(bucket, "bad\udcff")


@pytest.mark.parametrize("meta", [{"note": "é"}, {"note": " spaced "}, {"note": "a\nb"}, {"no te": "x"}])
def test_metadata_that_would_change(bucket: S3Bucket, meta: dict[str, str]) -> None:
    """Metadata that headers cannot carry unchanged is refused, and nothing is stored."""
    with pytest.raises(Unsupported) as caught:
        create(bucket, "k", b"x", meta)
    assert caught.value.code == "metadata"
    assert bucket.head("k") is None


def test_copy_tells_time(bucket: S3Bucket) -> None:
    """The time that a copy reports is the one that a look tells."""
    old = create(bucket, "k")
    made = bucket.copy("k", "k", source_version=old.version, replaces=old.version, meta={"a": "b"})
    assert made.modified == look(bucket, "k").modified


@pytest.mark.parametrize("url", ["s3://", "gs://b/p", "s3://b/p?x=1", "s3://user@b/p"])
def test_bad_url(url: str) -> None:
    """What is no S3 address is refused when the bucket is made."""
    with pytest.raises(Blocked):
        S3Bucket(url)
