"""What the probe finds out about real stores."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

import pytest

from dorkyd.buckets import probe as probing
from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.buckets.probe import ProbeResult, probe
from dorkyd.buckets.retry import Retrying
from dorkyd.buckets.s3 import S3Bucket
from dorkyd.core.model import Version
from dorkyd.errors import Denied, Transient, UnsafeStore
from dorkyd.ports import Body, Bucket, Session, Written
from tests.buckets.contract import BucketContract, keys
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
            versioned=versioning, ignored=(), copies_safe=True, missing_denied=False, warnings=()
        )
        assert keys(bucket) == []
        bucket.close()

    def test_moto(self, moto: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        """A store that ignores the conditions of copies and of a multipart upload's end is refused by their names; a single
        writer may use it, without copies; asking again says the same.
        """
        moto.enter(monkeypatch)
        bucket = S3Bucket(f"s3://{moto.new_bucket()}/p", endpoint_url=moto.endpoint_url)
        with pytest.raises(UnsafeStore) as caught:
            ask(bucket)
        for text in ("CopyObject ignores If-None-Match", "CompleteMultipartUpload ignores If-Match"):
            assert text in str(caught.value)
        assert "PutObject" not in str(caught.value)
        assert "single_writer: true" in caught.value.hint
        assert keys(bucket) == []
        result = ask(bucket, single_writer=True)
        assert (
            {*probing.COPIES, probing.COMPLETE_UPDATE}
            >= set(result.ignored)
            >= {
                probing.COPY_FROM,
                probing.COPY_CREATE,
                probing.COPY_UPDATE,
                probing.COMPLETE_UPDATE,
            }
        )
        assert not result.copies_safe
        assert len(result.warnings) == len(result.ignored)
        assert ask(bucket, single_writer=True) == result
        assert keys(bucket) == []
        bucket.close()

    def test_rclone(self, rclone: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        """A store that ignores every condition is refused, every header by its name; a single writer may use it."""
        rclone.enter(monkeypatch)
        bucket = S3Bucket(f"s3://{rclone.new_bucket()}/p", endpoint_url=rclone.endpoint_url)
        with pytest.raises(UnsafeStore) as caught:
            ask(bucket)
        every = probing.ALL - {probing.PART_COPY_FROM}
        for text in every:
            assert text in str(caught.value)
        assert "single_writer: true" in caught.value.hint
        result = ask(bucket, single_writer=True)
        assert every <= set(result.ignored) <= probing.ALL
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

    @pytest.mark.parametrize(
        "name",
        [
            "test_create_twice",
            "test_update_stale",
            "test_update_gone",
            "test_large_create_twice",
            "test_delete_stale",
            "test_copy_stale_source",
            "test_copy_onto_existing",
            "test_copy_replaces_stale",
        ],
    )
    def test_contract_fails(self, rclone: Server, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        """The bucket contract fails on a store that ignores the condition which the test is about."""
        rclone.enter(monkeypatch)
        bucket = S3Bucket(f"s3://{rclone.new_bucket()}/p", endpoint_url=rclone.endpoint_url)
        with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
            getattr(BucketContract(), name)(bucket)
        bucket.close()


# --- each condition by itself ----------------------------------------------------------------------------------------


class Careless(MemoryBucket):
    """A store that ignores one condition, and can send and copy in parts."""

    forgets: str = ""

    def put(
        self,
        key: str,
        body: Body,
        *,
        replaces: Version | None,
        meta: Mapping[str, str],
        session: Session | None = None,
        operation: str = "PutObject",
    ) -> Written:
        """As the port; `operation`: whose condition is asked for."""
        header = "If-None-Match" if replaces is None else "If-Match"
        if f"{operation} ignores {header}" == self.forgets:
            replaces = self._there(key)
        return super().put(key, body, replaces=replaces, meta=meta, session=session)

    def put_in_parts(self, key: str, body: Body, *, replaces: Version | None, meta: Mapping[str, str]) -> Written:
        """In parts."""
        return self.put(key, body, replaces=replaces, meta=meta, operation="CompleteMultipartUpload")

    def delete(self, key: str, *, replaces: Version) -> None:
        """As the port."""
        super().delete(key, replaces=(self._there(key) or replaces) if self.forgets == probing.DELETE else replaces)

    def copy(
        self,
        source: str,
        key: str,
        *,
        source_version: Version,
        replaces: Version | None,
        meta: Mapping[str, str] | None,
        operation: str = "CopyObject",
    ) -> Written:
        """As the port; `operation`: as for `put`."""
        if self.forgets == f"{operation} ignores x-amz-copy-source-if-match":
            source_version = self._there(source) or source_version
        header = "If-None-Match" if replaces is None else "If-Match"
        if self.forgets == f"{operation} ignores {header}":
            replaces = self._there(key)
        return super().copy(source, key, source_version=source_version, replaces=replaces, meta=meta)

    def copy_in_parts(
        self,
        source: str,
        key: str,
        *,
        source_version: Version,
        replaces: Version | None,
        meta: Mapping[str, str] | None,
    ) -> Written:
        """In parts."""
        return self.copy(
            source, key, source_version=source_version, replaces=replaces, meta=meta, operation="UploadPartCopy"
        )

    def _there(self, key: str) -> Version | None:
        info = self.head(key)
        return None if info is None else info.version


@pytest.mark.parametrize("forgotten", sorted(probing.ALL))
def test_one_ignored(forgotten: str) -> None:
    """One condition that a store ignores is enough to refuse it, by operation and header; nothing is left behind."""
    bucket = Careless()
    bucket.forgets = forgotten
    with pytest.raises(UnsafeStore) as caught:
        ask(Retrying(bucket))
    assert f"conditional writes: {forgotten}. " in str(caught.value)
    result = ask(Retrying(bucket), single_writer=True)
    assert result.ignored == (forgotten,)
    assert result.copies_safe is (forgotten not in probing.COPIES)
    assert keys(bucket) == []


def test_none_ignored() -> None:
    """The same store that ignores nothing is fine."""
    bucket = Careless()
    assert ask(bucket).ignored == ()
    assert keys(bucket) == []


def test_first_error_is_told() -> None:
    """What ends the probe is what a person is told, though cleaning up fails as well."""

    def fault(verb: str, key: str) -> Fault | None:
        return Fault(Denied("deletes")) if verb == "DELETE" else Fault(Transient("copies")) if verb == "COPY" else None

    with pytest.raises(Transient, match="copies") as caught:
        ask(MemoryBucket().client(faults=fault))
    assert "may be left" in "".join(caught.value.__notes__)
