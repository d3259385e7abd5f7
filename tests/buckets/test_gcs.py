"""The Google Cloud Storage adapter: the bucket contract on the strict server, and what only it has."""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import BinaryIO, ClassVar

import pytest

from dorkyd.buckets.gcs import GcsBucket
from dorkyd.buckets.probe import probe
from dorkyd.buckets.ranges import Shape
from dorkyd.buckets.retry import Retrying
from dorkyd.core.model import Version
from dorkyd.errors import Blocked, SessionGone, Stale, Transient, UnsafeStore, Unsupported
from dorkyd.ports import Bucket, Session
from tests.buckets.contract import BucketContract, BytesBody, content, create, digest_of, keys, large, listed, look
from tests.buckets.session_contract import SessionContract
from tests.buckets.versions_contract import VersionsContract
from tests.gcs.faults import Fault, When
from tests.gcs.server import GcsServer
from tests.gcs.store import Conditions
from tests.servers import GcsProcess

MiB = 1024 * 1024


@pytest.fixture
def gcs() -> Iterator[GcsServer]:
    """A strict server in this process, with the bucket `acme`."""
    server = GcsServer(rewrite_bytes=MiB).start()
    server.store.make_bucket("acme")
    yield server
    server.stop()


def open_gcs(server: GcsServer, **options: int) -> GcsBucket:
    """Below the prefix `team/api` of the bucket `acme`."""
    return GcsBucket("gs://acme/team/api", endpoint_url=server.url, **options)


@pytest.fixture
def bucket(gcs: GcsServer) -> Iterator[GcsBucket]:
    """On the strict server."""
    bucket = open_gcs(gcs)
    yield bucket
    bucket.close()


class TestVersions(VersionsContract):
    @pytest.fixture
    def bucket(self, gcs: GcsServer) -> Iterator[Bucket]:
        gcs.store.make_bucket("kept", versioning=True)
        bucket = GcsBucket("gs://kept/team/api", endpoint_url=gcs.url)
        yield bucket
        bucket.close()


class TestStrict(BucketContract):
    unholdable: ClassVar[frozenset[str]] = frozenset({"line\nbreak"})

    @pytest.fixture
    def bucket(self, gcs: GcsServer) -> Iterator[Bucket]:
        bucket = open_gcs(gcs)
        yield bucket
        bucket.close()


class TestStrictSessions(SessionContract):
    session_bytes: ClassVar[int] = 3 * MiB + 5
    refusal_ends_sessions: ClassVar[bool] = True

    @pytest.fixture
    def bucket(self, gcs: GcsServer) -> Iterator[Bucket]:
        bucket = open_gcs(gcs, sessions_over=MiB, part_bytes=512 * 1024)
        yield bucket
        bucket.close()

    @pytest.fixture
    def other(self, gcs: GcsServer) -> Iterator[Bucket]:  # type: ignore[override]
        bucket = open_gcs(gcs, sessions_over=MiB, part_bytes=512 * 1024)
        yield bucket
        bucket.close()


@pytest.mark.gcs
class TestFake(BucketContract):
    """fake-gcs-server ignores the conditions of deletes, rewrites and sessions, which the probe reports."""

    test_large_create_twice = test_delete_stale = test_copy_stale_source = test_copy_onto_existing = None  # type: ignore[assignment]
    test_copy_replaces_stale = test_metadata_alone_stale = None  # type: ignore[assignment]
    unholdable: ClassVar[frozenset[str]] = frozenset({"line\nbreak"})

    @pytest.fixture
    def bucket(self, fake_gcs: GcsProcess) -> Iterator[Bucket]:
        bucket = GcsBucket(f"gs://{fake_gcs.new_bucket()}/team/api", endpoint_url=fake_gcs.endpoint_url)
        yield bucket
        bucket.close()


# what only this store has


def test_plain_object(gcs: GcsServer, bucket: GcsBucket) -> None:
    """An object lies under its own path with its own metadata and sums, where any tool finds it."""
    create(bucket, "d/f.txt", b"hello", {"note": "x"})
    blob = gcs.store.live("acme")["team/api/d/f.txt"]
    assert blob.data == b"hello"
    assert blob.fields["metadata"] == {"note": "x"}


def test_neighbour_is_not_listed(gcs: GcsServer, bucket: GcsBucket) -> None:
    """A prefix that begins like ours is another's, and the marker of the prefix itself is no object of ours."""
    for name in ("team/api-2/f", "team/api/"):
        gcs.store.write("acme", name, b"", {}, Conditions())
    create(bucket, "f")
    assert keys(bucket) == ["f"]


def test_metadata_alone_is_a_new_version(bucket: GcsBucket) -> None:
    """A change of metadata makes a new generation, so that the old version protects nothing any more."""
    old = create(bucket, "k", b"bytes")
    new = bucket.copy("k", "k", source_version=old.version, replaces=old.version, meta={"note": "new"})
    assert int(new.version) > int(old.version)
    with pytest.raises(Stale):
        bucket.put("k", BytesBody(b"late"), replaces=old.version, meta={})


def test_large_copy_takes_several_calls(gcs: GcsServer, bucket: GcsBucket) -> None:
    """A copy goes on with its token until it is done, and each call is counted."""
    data = large(3 * MiB)
    made = create(bucket, "a", data)
    before = bucket.requests.COPY
    bucket.copy("a", "b", source_version=made.version, replaces=None, meta={"note": "b"})
    assert bucket.requests.COPY - before == 3
    assert content(bucket, "b") == data
    assert look(bucket, "b").meta == {"note": "b"}


def test_listing_tells_md5(gcs: GcsServer, bucket: GcsBucket) -> None:
    """The listing's MD5 is that of the bytes; a composed object has none."""
    create(bucket, "k", b"abc")
    gcs.store.compose("acme", "team/api/joined", {"sourceObjects": [{"name": "team/api/k"}]}, Conditions())
    assert {item.key: item.md5 for item in listed(bucket)} == {
        "joined": None,
        "k": hashlib.md5(b"abc", usedforsecurity=False).hexdigest(),
    }


@pytest.mark.parametrize("versioning", [False, True])
def test_probe(gcs: GcsServer, *, versioning: bool) -> None:
    """The strict server enforces everything; whether it keeps versions is learned; nothing is left behind."""
    gcs.store.make_bucket("other", versioning=versioning)
    bucket = GcsBucket("gs://other/p", endpoint_url=gcs.url)
    result = probe(Retrying(bucket), single_writer=False, random_id=lambda: uuid.uuid4().hex)
    assert result.ignored == ()
    assert result.versioned is versioning
    assert result.copies_safe
    assert not result.missing_denied
    assert not gcs.store.live("other")
    assert not gcs.uploads.open
    bucket.close()


@pytest.mark.gcs
def test_probe_refuses_a_store_that_ignores_conditions(fake_gcs: GcsProcess) -> None:
    """fake-gcs-server is refused, the message names what it ignores in the store's own words; a single writer may use it."""
    bucket = GcsBucket(f"gs://{fake_gcs.new_bucket()}/p", endpoint_url=fake_gcs.endpoint_url)
    with pytest.raises(UnsafeStore) as caught:
        probe(bucket, single_writer=False, random_id=lambda: uuid.uuid4().hex)
    for text in (
        "objects.delete ignores ifGenerationMatch",
        "objects.rewrite ignores ifSourceGenerationMatch",
        "resumable objects.insert ignores ifGenerationMatch=0",
    ):
        assert text in str(caught.value)
    assert "single_writer: true" in caught.value.hint
    result = probe(bucket, single_writer=True, random_id=lambda: uuid.uuid4().hex)
    assert not result.copies_safe
    assert all("objects." in text for text in result.warnings)
    bucket.close()


def test_short_parts_go_on(gcs: GcsServer) -> None:
    """A store that keeps less of a part than was sent gets the rest of it again."""
    bucket = open_gcs(gcs, sessions_over=MiB, part_bytes=MiB)
    data = large(2 * MiB + 7)
    gcs.faults.order(Fault("uploads.send", "short", times=2))
    create(bucket, "big", data)
    assert content(bucket, "big") == data
    bucket.close()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("status", [0, 503])
def test_session_goes_on_after_a_lost_reply(gcs: GcsServer, when: When, status: int) -> None:
    """Whether a part arrived is asked: what was kept is not sent again, what was lost is."""
    bucket = open_gcs(gcs, sessions_over=MiB, part_bytes=512 * 1024)
    data = large(2 * MiB)
    session = bucket.begin("big", len(data), replaces=None, meta={})
    gcs.faults.order(Fault("uploads.send", when, status))
    with pytest.raises(Transient) as caught:
        bucket.put("big", BytesBody(data), replaces=None, meta={}, session=session)
    assert session.id.partition(" ")[2] not in str(caught.value) + repr(session)
    before = bucket.requests.bytes_up
    bucket.put("big", BytesBody(data), replaces=None, meta={}, session=session)
    assert bucket.requests.bytes_up - before == len(data) - (512 * 1024 if when == "after" else 0)
    assert content(bucket, "big") == data
    bucket.close()


def test_last_reply_lost(gcs: GcsServer) -> None:
    """When the last part arrived and its reply was lost, the session is gone and nothing is sent again."""
    bucket = open_gcs(gcs, sessions_over=MiB, part_bytes=2 * MiB)
    data = large(2 * MiB)
    session = bucket.begin("big", len(data), replaces=None, meta={"dorky-op": "1"})
    gcs.faults.order(Fault("uploads.send", "after", 0))
    with pytest.raises(Transient):
        bucket.put("big", BytesBody(data), replaces=None, meta={"dorky-op": "1"}, session=session)
    before = bucket.requests.bytes_up
    with pytest.raises(SessionGone):
        bucket.put("big", BytesBody(data), replaces=None, meta={"dorky-op": "1"}, session=session)
    assert bucket.requests.bytes_up == before
    assert look(bucket, "big").meta["dorky-op"] == "1"
    bucket.close()


def test_expired_session_is_gone(gcs: GcsServer, bucket: GcsBucket) -> None:
    """A session that the store forgot is gone, and one it never knew."""
    session = bucket.begin("big", 5, replaces=None, meta={})
    gcs.uploads.expire()
    for known in (session, Session(session.id + "x", session.part_bytes)):
        with pytest.raises(SessionGone):
            bucket.put("big", BytesBody(b"12345"), replaces=None, meta={}, session=known)
        bucket.abandon("big", known)


def test_session_of_another_bucket_is_gone(gcs: GcsServer, bucket: GcsBucket) -> None:
    """A session names its object wherever it is sent: one from before a project was moved writes nothing to the former bucket,
    nor under another name.
    """
    gcs.store.make_bucket("new")
    data = large(MiB)
    session = bucket.begin("k", len(data), replaces=None, meta={})
    moved = GcsBucket("gs://new/team/api", endpoint_url=gcs.url)
    for place, key in ((moved, "k"), (bucket, "other")):
        with pytest.raises(SessionGone):
            place.put(key, BytesBody(data), replaces=None, meta={}, session=session)
        place.abandon(key, session)
        assert keys(bucket) == keys(moved) == []
    bucket.put("k", BytesBody(data), replaces=None, meta={}, session=session)
    assert keys(bucket) == ["k"]
    moved.close()


def test_failed_large_put_leaves_no_session(gcs: GcsServer) -> None:
    """Without a session of the caller's, one that fails is given up."""
    bucket = open_gcs(gcs, sessions_over=MiB, part_bytes=512 * 1024)
    gcs.faults.order(Fault("uploads.send", "before", 503))
    with pytest.raises(Transient):
        create(bucket, "big", large(2 * MiB))
    assert not gcs.uploads.open
    bucket.close()


def test_cut_download_goes_on(gcs: GcsServer, bucket: GcsBucket) -> None:
    """A download that breaks off is temporary, and goes on from where it came to."""
    data = large(3 * MiB)
    written = create(bucket, "k", data)
    gcs.faults.order(Fault("objects.get", "cut", times=2))  # the look at it first, then its bytes
    got = bytearray()
    for _ in range(4):
        try:
            with bucket.get("k", if_match=written.version, start=len(got)) as reading:
                for chunk in reading:
                    got += chunk
            break
        except Transient:
            continue
    assert bytes(got) == data


def test_wrong_bytes_are_not_given_out(gcs: GcsServer, bucket: GcsBucket) -> None:
    """A download whose CRC32C is not the store's does not come to its end."""
    create(bucket, "k", b"hello")
    place = gcs.store._bucket("acme").live
    place["team/api/k"] = replace(place["team/api/k"], data=b"hellO")
    with pytest.raises(Transient, match="not those the store has"):
        content(bucket, "k")
    assert content(bucket, "k", start=4) == b"O"


def test_lost_reply_is_not_sent_again(gcs: GcsServer, bucket: GcsBucket) -> None:
    """A write whose reply was lost is sent once; the caller looks."""
    gcs.faults.order(Fault("objects.insert", "after", 0))
    with pytest.raises(Transient) as caught:
        create(bucket, "k")
    assert not caught.value.offline
    assert gcs.faults.calls["objects.insert"] == 1
    assert bucket.head("k") is not None


def test_download_after_a_look(gcs: GcsServer, bucket: GcsBucket) -> None:
    """A download after a look is one request, and tells the metadata of now all the same."""
    written = create(bucket, "k", b"hello", {"note": "old"})
    for note in ("old", "new"):
        info = look(bucket, "k")
        gcs.store.patch("acme", "team/api/k", {"metadata": {"note": "new"}}, Conditions()) if note == "new" else None
        before = bucket.requests
        with bucket.get("k", if_match=written.version) as reading:
            assert reading.info.meta == {"note": note}
            assert b"".join(reading) == b"hello"
        asked = (bucket.requests.GET - before.GET, bucket.requests.HEAD - before.HEAD)
        assert asked == ((1, 0) if note == info.meta["note"] else (2, 1))


SHAPE = Shape(first_bytes=MiB, piece_bytes=MiB // 2, ahead=3, workers=3, held_bytes=2 * MiB)
"""Small objects count as large."""


def test_ranges(gcs: GcsServer) -> None:
    """A large object comes in ranges, in order, from any offset, each byte once."""
    bucket = GcsBucket("gs://acme/p", endpoint_url=gcs.url, shape=SHAPE)
    data = large(5 * MiB + 3)
    written = create(bucket, "big", data)
    before = bucket.requests
    assert content(bucket, "big", if_match=written.version) == data
    assert bucket.requests.GET - before.GET == 1 + 9
    assert bucket.requests.bytes_down - before.bytes_down == len(data)
    for start in (1, MiB, 5 * MiB, 5 * MiB + 3):
        assert content(bucket, "big", start=start) == data[start:]
    bucket.close()


def receive(bucket: Bucket, version: Version, into: bytearray, after_first: Callable[[], None]) -> None:
    """Download `big`, doing something after the first bytes."""
    with bucket.get("big", if_match=version) as reading:
        for chunk in reading:
            if not into:
                after_first()
            into += chunk


def test_object_replaced_amid_ranges(gcs: GcsServer) -> None:
    """Ranges never mix two states: once the object is another, the download is stale."""
    bucket = GcsBucket("gs://acme/p", endpoint_url=gcs.url, shape=SHAPE)
    written = create(bucket, "big", large(8 * MiB))
    got = bytearray()

    def replace_it() -> None:
        gcs.store.write("acme", "p/big", b"other" * MiB, {}, Conditions())

    with pytest.raises(Stale):
        receive(bucket, written.version, got, replace_it)
    assert 0 < len(got) < 8 * MiB
    bucket.close()


def test_fault_amid_ranges(gcs: GcsServer) -> None:
    """A range that is refused in passing is asked for again; one that breaks off ends the download in order."""
    bucket = GcsBucket("gs://acme/p", endpoint_url=gcs.url, shape=SHAPE)
    data = large(5 * MiB)
    version = create(bucket, "big", data).version
    gcs.faults.order(Fault("objects.get", "before", 503, skip=4))
    assert content(bucket, "big") == data
    gcs.faults.order(Fault("objects.get", "cut", skip=4))
    got = bytearray()
    with pytest.raises(Transient):
        receive(bucket, version, got, lambda: None)
    assert data.startswith(got)
    assert content(bucket, "big", start=len(got)) == data[len(got) :]
    bucket.close()


class TwoFaced:
    """A file that changes between two readings."""

    def __init__(self, first: bytes, then: bytes) -> None:
        self.size, self.digest = len(first), digest_of(first)
        self._left = [first, then]

    def open(self) -> BinaryIO:
        return io.BytesIO(self._left.pop(0))


def test_change_between_two_readings(gcs: GcsServer, bucket: GcsBucket) -> None:
    """A body that is summed and then sent must be the same both times: its last bytes do not leave otherwise."""
    data = large(3 * MiB)
    for then in (data[:-1] + b"?", data[:-1]):
        with pytest.raises(Stale):
            bucket.put("k", TwoFaced(data, then), replaces=None, meta={})
        assert bucket.head("k") is None
    bucket.put("k", TwoFaced(data, data), replaces=None, meta={})
    assert content(bucket, "k") == data


def test_look_after_replacing_is_asked_once(gcs: GcsServer, bucket: GcsBucket) -> None:
    """Whether replaced states are kept is learned by one look, not with every write."""
    version = create(bucket, "k").version
    before = bucket.requests.HEAD
    for body in (b"2", b"3", b"4"):
        version = bucket.put("k", BytesBody(body), replaces=version, meta={}).version
    assert bucket.requests.HEAD - before == 1
    assert not bucket.versioned


def test_only_requests_about_objects(gcs: GcsServer) -> None:
    """Nothing is asked of the bucket itself, whatever is done: a role on its objects is enough."""
    bucket = open_gcs(gcs, sessions_over=MiB)
    probe(bucket, single_writer=False, random_id=lambda: uuid.uuid4().hex)
    create(bucket, "big", large(2 * MiB))
    bucket.read("big")
    listed(bucket)
    gcs.faults.denied.update({"storage.buckets.get", "storage.buckets.list", "storage.objects.update"})
    assert {name.partition(".")[0] for name in gcs.faults.calls} == {"objects", "uploads"}
    assert "objects.patch" not in gcs.faults.calls
    bucket.close()


def test_long_names(bucket: GcsBucket) -> None:
    """A name over the limit, and one with a line break, are that path's problem."""
    for name, code in (("k" * 1020, "name-too-long"), ("a\rb", "name"), ("bad\udcff", "name")):
        with pytest.raises(Unsupported) as caught:
            create(bucket, name)
        assert caught.value.code == code
        assert caught.value.path == name


def test_metadata_in_any_script(bucket: GcsBucket) -> None:
    """Metadata travels as JSON, so that any text comes back; too much of it is that path's problem."""
    create(bucket, "k", b"x", {"note": " é\n😀 "})
    assert look(bucket, "k").meta == {"note": " é\n😀 "}
    with pytest.raises(Unsupported) as caught:
        create(bucket, "l", b"x", {"note": "x" * 9000})
    assert caught.value.code == "metadata"


@pytest.mark.parametrize("url", ["gs://", "s3://b/p", "gs://b/p?x=1", "gs://user@b/p"])
def test_bad_url(url: str) -> None:
    """What is no address of this store is refused when the bucket is made."""
    with pytest.raises(Blocked):
        GcsBucket(url)


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_emulator_variable(gcs: GcsServer, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """The SDK's own variable leads to another server, with no setting."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", scheme + gcs.url.removeprefix("http://"))
    bucket = GcsBucket("gs://acme/p")
    create(bucket, "k")
    assert "p/k" in gcs.store.live("acme")
    bucket.close()
