"""The in-memory bucket: the contract, and the faults it can be told to have."""

from __future__ import annotations

from typing import ClassVar

import pytest

from dorkyd.buckets.memory import Fault, Faults, MemoryBucket
from dorkyd.errors import RateLimited, Stale, Transient
from dorkyd.ports import Bucket
from tests.buckets.contract import BucketContract, BytesBody, content, create, keys, look
from tests.buckets.session_contract import SessionContract
from tests.buckets.versions_contract import VersionsContract


class TestMemoryBucket(BucketContract):
    @pytest.fixture
    def bucket(self) -> Bucket:
        return MemoryBucket()


class TestMemoryBucketWithEtags(BucketContract):
    @pytest.fixture
    def bucket(self) -> Bucket:
        return MemoryBucket(etags=True, seconds=lambda: 1_800_000_000)


class TestMemoryVersions(VersionsContract):
    @pytest.fixture
    def bucket(self) -> Bucket:
        return MemoryBucket(versioned=True)


class TestMemorySessions(SessionContract):
    session_bytes: ClassVar[int] = 101

    @pytest.fixture
    def bucket(self) -> MemoryBucket:
        return MemoryBucket(sessions_over=10, part_bytes=7)

    @pytest.fixture
    def other(self, bucket: MemoryBucket) -> MemoryBucket:
        return bucket.client()


def only(verb: str, fault: Fault) -> Faults:
    """The first request of this kind goes wrong, everything else well."""
    left = [fault]
    return lambda asked, key: left.pop() if asked == verb and left else None


LOST = Transient("connection lost")


def test_lost_reply() -> None:
    """A fault after the effect loses the reply, not the write."""
    bucket = MemoryBucket(faults=only("PUT", Fault(LOST, "after")))
    with pytest.raises(Transient):
        create(bucket, "k", b"stored")
    assert content(bucket, "k") == b"stored"


@pytest.mark.parametrize("error", [Stale("409"), RateLimited("503"), LOST])
def test_refused_before(error: Stale | Transient) -> None:
    """A fault before the effect leaves the store as it was."""
    bucket = MemoryBucket(faults=only("PUT", Fault(error)))
    with pytest.raises(type(error)):
        create(bucket, "k")
    assert bucket.head("k") is None


def test_truncated_body() -> None:
    """A download that breaks gives half of its bytes, then says so."""
    bucket = MemoryBucket(faults=only("GET", Fault(LOST, "midway")))
    create(bucket, "k", b"0123456789")
    with bucket.get("k") as reading:
        chunks = iter(reading)
        assert next(chunks) == b"01234"
        with pytest.raises(Transient):
            next(chunks)
    assert content(bucket, "k") == b"0123456789"


def test_failing_page() -> None:
    """A page that fails raises, so that the listing is not taken for complete."""
    bucket = MemoryBucket(page_keys=1)
    for name in "abc":
        create(bucket, name)
    faults = iter([None, Fault(LOST)])
    pages = bucket.client(faults=lambda verb, key: next(faults)).list()
    assert [item.key for item in next(pages)] == ["a"]
    with pytest.raises(Transient):
        next(pages)


def test_write_between_pages() -> None:
    """A page is made when it is asked for: it shows what was written after the page before."""
    bucket = MemoryBucket(page_keys=1)
    create(bucket, "a")
    create(bucket, "c")
    pages = bucket.list()
    next(pages)
    create(bucket, "b")
    assert [item.key for item in next(pages)] == ["b"]


def test_clients_share_a_store() -> None:
    """Two clients see one store, each with counters of its own."""
    one = MemoryBucket()
    other = one.client()
    written = create(one, "k")
    assert look(other, "k").version == written.version
    assert keys(other) == ["k"]
    assert (one.requests.PUT, other.requests.PUT) == (1, 0)


def test_deterministic() -> None:
    """The same calls make the same versions."""
    versions = [[create(bucket, name).version for name in "ab"] for bucket in (MemoryBucket(), MemoryBucket())]
    assert versions[0] == versions[1]


def test_etags_return() -> None:
    """With `etags` content that comes back has its old version back, as on S3."""
    bucket = MemoryBucket(etags=True)
    first = create(bucket, "k", b"a")
    second = bucket.put("k", BytesBody(b"b"), replaces=first.version, meta={})
    assert bucket.put("k", BytesBody(b"a"), replaces=second.version, meta={}).version == first.version
