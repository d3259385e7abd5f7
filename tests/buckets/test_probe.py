"""What the probe finds out about real stores."""

from __future__ import annotations

import uuid

import pytest

from dorkyd.buckets import probe as probing
from dorkyd.buckets.memory import MemoryBucket
from dorkyd.buckets.probe import ProbeResult, probe
from dorkyd.buckets.retry import Retrying
from dorkyd.buckets.s3 import S3Bucket
from dorkyd.errors import Denied, Stale, UnsafeStore
from dorkyd.ports import Bucket
from tests.buckets.contract import BytesBody, create, keys
from tests.servers import Server


def ask(bucket: Bucket, *, single_writer: bool = False) -> ProbeResult:
    """Probe with fresh names."""
    return probe(bucket, single_writer=single_writer, random_id=lambda: uuid.uuid4().hex)


def test_memory() -> None:
    """The in-memory bucket enforces everything, and the probe leaves nothing behind."""
    bucket = MemoryBucket()
    result = ask(bucket)
    assert result.ignored == ()
    assert result.copies_safe
    assert result.complete_safe
    assert result.warnings == ()
    assert keys(bucket) == []


@pytest.mark.s3
class TestStores:
    @pytest.mark.parametrize("versioning", [False, True])
    def test_seaweed(self, seaweed: Server, monkeypatch: pytest.MonkeyPatch, *, versioning: bool) -> None:
        """SeaweedFS enforces everything; whether it keeps versions is learned; nothing is left behind."""
        seaweed.enter(monkeypatch)
        bucket = S3Bucket(f"s3://{seaweed.new_bucket(versioning=versioning)}/p", endpoint_url=seaweed.endpoint_url)
        result = ask(Retrying(bucket))
        assert result == ProbeResult(
            versioned=versioning, ignored=(), copies_safe=True, complete_safe=True, warnings=()
        )
        assert keys(bucket) == []
        bucket.close()

    def test_moto(self, moto: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        """A store without conditional copies (moto) may be used, without copies and with large bodies in one request; asking again says the same."""
        moto.enter(monkeypatch)
        bucket = S3Bucket(
            f"s3://{moto.new_bucket()}/p", endpoint_url=moto.endpoint_url, parts_over_bytes=10, part_bytes=10
        )
        result = ask(bucket)
        assert set(result.ignored) == {*probing.COPIES, probing.COMPLETE_UPDATE}
        assert not result.copies_safe
        assert not result.complete_safe
        assert ask(bucket) == result
        before = bucket.requests
        old = create(bucket, "large", b"x" * 100)
        assert bucket.requests.PUT - before.PUT == 1
        bucket.put("large", BytesBody(b"y" * 100), replaces=old.version, meta={})
        with pytest.raises(Stale):
            bucket.put("large", BytesBody(b"z" * 100), replaces=old.version, meta={})
        bucket.close()

    def test_rclone(self, rclone: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        """A store that ignores every condition is refused by the headers' names, and used only by a single writer."""
        rclone.enter(monkeypatch)
        bucket = S3Bucket(f"s3://{rclone.new_bucket()}/p", endpoint_url=rclone.endpoint_url)
        with pytest.raises(UnsafeStore) as caught:
            ask(bucket)
        for text in probing.INDISPENSABLE:
            assert text in str(caught.value)
        assert "single_writer: true" in caught.value.hint
        result = ask(bucket, single_writer=True)
        assert set(result.ignored) == probing.INDISPENSABLE | probing.COPIES | probing.COMPLETES
        assert len(result.warnings) == len(result.ignored)
        assert keys(bucket) == []
        bucket.close()

    def test_reader(self, seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        """An identity that may not write is told so, by action and key."""
        name = seaweed.new_bucket()
        seaweed.enter(monkeypatch, reader=True)
        bucket = S3Bucket(f"s3://{name}/p", endpoint_url=seaweed.endpoint_url)
        with pytest.raises(Denied, match="PutObject"):
            ask(bucket)
        bucket.close()
