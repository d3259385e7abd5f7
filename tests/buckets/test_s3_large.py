"""What is large, on S3: sessions that outlive a process, copies in parts, downloads in ranges."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

import pytest

from dorkyd.buckets.ranges import Shape
from dorkyd.buckets.s3 import S3Bucket
from dorkyd.buckets.s3_uploads import MAX_OBJECT_BYTES, MAX_PARTS, Guard, Upload, part_bytes_of
from dorkyd.core.model import Version
from dorkyd.errors import RateLimited, SessionGone, Stale, Transient, Unsupported
from tests import servers
from tests.buckets.contract import BytesBody, content, create, digest_of, keys, large, look
from tests.buckets.session_contract import META, SessionContract, begin, break_off
from tests.buckets.test_s3 import open_s3
from tests.servers import Server
from tests.shim import Asked, Break, Front, Reply, error, shim, times

pytestmark = pytest.mark.s3

MIB = 1024 * 1024
SMALL = {"parts_over_bytes": 8 * MIB, "part_bytes": 5 * MIB}


class _Sessions(SessionContract):
    session_bytes: ClassVar[int] = 22 * MIB

    @pytest.fixture
    def bucket(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Bucket]:
        server.enter(monkeypatch)
        bucket = open_s3(server, **SMALL)
        yield bucket
        bucket.close()

    @pytest.fixture
    def other(self, server: Server, bucket: S3Bucket) -> Iterator[S3Bucket]:
        other = open_s3(server, bucket.url.split("/")[2], **SMALL)
        yield other
        other.close()


class TestSeaweedSessions(_Sessions):
    @pytest.fixture
    def server(self, seaweed: Server) -> Server:
        return seaweed


class TestSeaweedTlsSessions(_Sessions):
    @pytest.fixture
    def server(self, seaweed_tls: Server) -> Server:
        return seaweed_tls


class TestMotoSessions(_Sessions):
    """moto ignores If-Match of CompleteMultipartUpload, which the probe reports."""

    test_session_stale_update = None  # type: ignore[assignment]

    @pytest.fixture
    def server(self, moto: Server) -> Server:
        return moto


@pytest.fixture
def front(seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    """A shim before SeaweedFS."""
    seaweed.enter(monkeypatch)
    with shim(seaweed) as front:
        yield front


@pytest.fixture
def bucket(seaweed: Server, front: Front) -> Iterator[S3Bucket]:
    """Behind the shim."""
    bucket = S3Bucket(
        f"s3://{seaweed.new_bucket()}/team/api",
        endpoint_url=front.url,
        copy_part_bytes=5 * MIB,
        shape=Shape(first_bytes=2 * MIB, piece_bytes=MIB, ahead=3, workers=3, held_bytes=4 * MIB),
        **SMALL,
    )
    yield bucket
    bucket.close()


DATA = large(22 * MIB)


def _upload(session_id: str) -> Upload:
    guard, _, name = session_id.partition(":")
    return Upload("d/big", name, Guard(guard))


def open_uploads(seaweed: Server, bucket: S3Bucket) -> list[str]:
    """The keys of uploads in parts that were begun and not ended."""
    reply = seaweed.client().list_multipart_uploads(Bucket=bucket.url.split("/")[2])
    return [upload["Key"] for upload in reply.get("Uploads", ())]


# --- parts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 16 * MIB, 80_000 * MIB, 80_000 * MIB + 1, MAX_OBJECT_BYTES])
def test_parts_are_few_enough(size: int) -> None:
    """Up to 5 TiB an object fits in 10,000 parts, and no part is smaller than asked for."""
    part_bytes = part_bytes_of("k", size, 8 * MIB)
    assert part_bytes >= 8 * MIB
    assert -(-size // part_bytes) <= MAX_PARTS


def test_too_large_for_s3() -> None:
    """Over 5 TiB there is no way."""
    with pytest.raises(Unsupported):
        part_bytes_of("k", MAX_OBJECT_BYTES + 1, 8 * MIB)


@pytest.mark.parametrize(
    "fault", [error(503, "SlowDown"), error(500, "InternalError"), error(400, "BadDigest"), Break(), Break(after=True)]
)
def test_part_is_sent_again(bucket: S3Bucket, front: Front, fault: Reply | Break) -> None:
    """A part that fails in passing, or was damaged, is sent again; the beginning and the end are not."""
    front.rule = times(1, fault, lambda asked: asked.part == 2)
    bucket.put("big", BytesBody(DATA), replaces=None, meta={})
    parts = sorted(asked.part for asked in front.asked if asked.part)
    assert parts == [1, 2, 2, 3, 4, 5]
    assert [asked.method for asked in front.asked if "uploads" in asked.query or asked.completes] == ["POST", "POST"]
    assert digest_of(content(bucket, "big")) == digest_of(DATA)


def test_part_that_fails_for_good(seaweed: Server, bucket: S3Bucket, front: Front) -> None:
    """A part is sent a few times and no more; without a session what was sent is removed."""
    front.rule = lambda asked: error(503, "SlowDown") if asked.part == 2 else None
    with pytest.raises(RateLimited):
        bucket.put("big", BytesBody(DATA), replaces=None, meta={})
    assert sum(asked.part == 2 for asked in front.asked) == 4
    assert open_uploads(seaweed, bucket) == []


def test_long_wait_is_the_callers(bucket: S3Bucket, front: Front) -> None:
    """A part is not sent again when the store asks for a wait longer than an upload should hold its memory."""
    front.rule = lambda asked: error(503, "SlowDown", Retry_After="60") if asked.part == 1 else None
    with pytest.raises(RateLimited) as caught:
        bucket.put("big", BytesBody(DATA), replaces=None, meta={})
    assert caught.value.retry_after_s == 60
    assert sum(asked.part == 1 for asked in front.asked) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (error(409, "ConditionalRequestConflict"), Stale),
        (error(503, "SlowDown"), RateLimited),
        (error(500, "InternalError"), Transient),
        (Reply(200, {}, b"<Error><Code>InternalError</Code></Error>"), Transient),
        (Break(), Transient),
    ],
)
def test_end_is_sent_once(bucket: S3Bucket, front: Front, fault: Reply | Break, kind: type[Exception]) -> None:
    """The end of an upload is never sent again. The session stays, and a later try sends no part."""
    session = begin(bucket, DATA)
    front.rule = times(1, fault, lambda asked: asked.completes)
    with pytest.raises(kind):
        bucket.put("d/big", BytesBody(DATA), replaces=None, meta=META, session=session)
    assert sum(asked.completes for asked in front.asked) == 1
    before = bucket.requests.bytes_up
    bucket.put("d/big", BytesBody(DATA), replaces=None, meta=META, session=session)
    assert bucket.requests.bytes_up == before
    assert digest_of(content(bucket, "d/big")) == digest_of(DATA)


def test_reply_of_the_end_lost(seaweed: Server, bucket: S3Bucket, front: Front) -> None:
    """When the end was done and its reply lost, the next try sends nothing, and the object names our op."""
    session = begin(bucket, DATA)
    front.rule = times(1, Break(after=True), lambda asked: asked.completes)
    with pytest.raises(Transient):
        bucket.put("d/big", BytesBody(DATA), replaces=None, meta=META, session=session)
    before = bucket.requests.bytes_up
    with pytest.raises(SessionGone):
        bucket.put("d/big", BytesBody(DATA), replaces=None, meta=META, session=session)
    assert bucket.requests.bytes_up == before
    assert look(bucket, "d/big").meta["dorky-op"] == META["dorky-op"]
    assert open_uploads(seaweed, bucket) == []


def test_parts_that_the_store_lists_and_does_not_take(seaweed: Server, bucket: S3Bucket, front: Front) -> None:
    """A session whose parts are all there and are refused at its end once more is given up: it would be tried for ever."""
    session = bucket.begin("d/big", len(DATA), replaces=None, meta={})
    front.rule = lambda asked: error(400, "InvalidPart") if asked.completes else None
    with pytest.raises(Transient):
        bucket.put("d/big", BytesBody(DATA), replaces=None, meta={}, session=session)
    with pytest.raises(SessionGone):
        bucket.put("d/big", BytesBody(DATA), replaces=None, meta={}, session=session)
    assert open_uploads(seaweed, bucket) == []
    assert bucket.head("d/big") is None


def test_store_without_crc32(bucket: S3Bucket, front: Front) -> None:
    """A store that refuses the declared checksum gets Content-MD5 with each part, and is not asked again."""
    refusal = error(501, "NotImplemented")
    front.rule = lambda asked: refusal if "x-amz-checksum-algorithm" in asked.headers else None
    for name in "ab":
        bucket.put(name, BytesBody(DATA), replaces=None, meta={})
    assert all("content-md5" in asked.headers for asked in front.asked if asked.part)
    assert sum("uploads" in asked.query for asked in front.asked) == 3


def test_etags_that_are_no_md5(bucket: S3Bucket, front: Front) -> None:
    """Where ETags are no MD5 (SSE-KMS), an upload goes on by the checksums that the store lists."""

    def encrypted(asked: Asked, reply: Reply) -> Reply:
        if asked.method != "GET" or "uploadId" not in asked.query:
            return reply

        def one(found: re.Match[str]) -> str:
            number = re.search("<PartNumber>(\\d+)</PartNumber>", found[0])
            assert number is not None
            tag = f"<ETag>&#34;{int(number[1]):032x}&#34;</ETag><ChecksumCRC32>{sent[int(number[1])]}</ChecksumCRC32>"
            return re.sub("<ETag>.*?</ETag>", tag, found[0])

        body = re.sub("<Part>.*?</Part>", one, reply.body.decode(), flags=re.DOTALL)
        headers = {name: value for name, value in reply.headers.items() if name.lower() != "content-length"}
        return Reply(reply.status, headers, body.encode())

    sent: dict[int, str] = {}

    def note(asked: Asked) -> None:
        if asked.part:
            sent[asked.part] = asked.headers["x-amz-checksum-crc32"]

    front.rule, front.edit = note, encrypted
    session = begin(bucket, DATA)
    break_off(bucket, DATA, session, 16 * MIB)
    assert sorted(sent) == [1, 2, 3]
    there = bucket._parts._uploads.parts(_upload(session.id))
    assert [there[part].is_of(DATA[(part - 1) * 5 * MIB : part * 5 * MIB]) for part in (1, 2, 3)] == [True] * 3
    assert not there[1].is_of(DATA[1 : 1 + 5 * MIB])


def test_server_restarts_amid_an_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload goes on after the store itself was switched off."""
    server = servers.private_seaweed()
    server.enter(monkeypatch)
    bucket = open_s3(server, **SMALL)
    session = begin(bucket, DATA)
    break_off(bucket, DATA, session, 16 * MIB)
    sent = bucket.requests.bytes_up
    servers.suspend(server)
    with pytest.raises(Transient):
        bucket.put("d/big", BytesBody(DATA), replaces=None, meta=META, session=session)
    servers.restart(server)
    bucket.put("d/big", BytesBody(DATA), replaces=None, meta=META, session=session)
    assert sent == 15 * MIB
    assert bucket.requests.bytes_up == len(DATA)
    assert digest_of(content(bucket, "d/big")) == digest_of(DATA)
    bucket.close()


def test_session_over_an_emptied_folder(seaweed: Server, bucket: S3Bucket) -> None:
    """A name that was a folder can be created in a session too, and the upload it took is freed."""
    below = create(bucket, "d/big/g")
    bucket.delete("d/big/g", replaces=below.version)
    session = begin(bucket, DATA)
    bucket.put("d/big", BytesBody(DATA), replaces=None, meta=META, session=session)
    assert look(bucket, "d/big").meta["note"] == "mine"
    assert digest_of(content(bucket, "d/big")) == digest_of(DATA)
    assert open_uploads(seaweed, bucket) == []


# --- copies ----------------------------------------------------------------------------------------------------------

TOO_LARGE = error(
    400,
    "InvalidRequest",
    message="The specified copy source is larger than the maximum allowable size for a copy source",
)


def refuse_copies(asked: Asked) -> Reply | None:
    """As S3 does for a source over 5 GiB."""
    return TOO_LARGE if "x-amz-copy-source" in asked.headers and asked.part is None else None


def test_large_copy(seaweed: Server, bucket: S3Bucket, front: Front) -> None:
    """What is too large for one CopyObject is copied in parts, with the source's metadata and type."""
    name = bucket.url.split("/")[2]
    seaweed.client().put_object(
        Bucket=name, Key="team/api/a", Body=DATA, Metadata={"note": "kept"}, ContentType="text/plain"
    )
    source = look(bucket, "a")
    front.rule = refuse_copies
    made = bucket.copy("a", "d/b", source_version=source.version, replaces=None, meta=None)
    copied = seaweed.client().head_object(Bucket=name, Key="team/api/d/b")
    assert (copied["Metadata"], copied["ContentType"]) == ({"note": "kept"}, "text/plain")
    assert look(bucket, "d/b").version == made.version
    assert digest_of(content(bucket, "d/b")) == digest_of(DATA)
    assert bucket.requests.COPY == 6
    changed = bucket.copy("d/b", "d/b", source_version=made.version, replaces=made.version, meta={"note": "new"})
    assert look(bucket, "d/b").meta == {"note": "new"}
    assert look(bucket, "d/b").version == changed.version


def test_large_copy_is_conditional(seaweed: Server, bucket: S3Bucket, front: Front) -> None:
    """A copy in parts makes nothing of a source that changed, before or amid it, and overwrites no other state."""
    old = create(bucket, "a", DATA)
    front.rule = refuse_copies
    there = create(bucket, "there")
    for replaces in (None, Version("0" * 32)):
        with pytest.raises(Stale):
            bucket.copy("a", "there", source_version=old.version, replaces=replaces, meta=None)
    assert look(bucket, "there").version == there.version

    def change(asked: Asked) -> Reply | None:
        if asked.part == 1:
            front.rule = refuse_copies
            bucket.put("a", BytesBody(b"new"), replaces=old.version, meta={})
        return refuse_copies(asked)

    front.rule = change
    with pytest.raises(Stale):
        bucket.copy("a", "b", source_version=old.version, replaces=None, meta=None)
    with pytest.raises(Stale):
        bucket.copy("a", "b", source_version=old.version, replaces=None, meta=None)
    assert keys(bucket) == ["a", "there"]
    assert open_uploads(seaweed, bucket) == []


# --- ranges ----------------------------------------------------------------------------------------------------------


def ranges(front: Front) -> list[str]:
    """The ranges that were asked for."""
    return [asked.headers["range"] for asked in front.asked if asked.method == "GET" and "range" in asked.headers]


def test_large_download(bucket: S3Bucket, front: Front) -> None:
    """A large object comes in ranges of one version, each asked for once, in order, from any offset."""
    written = create(bucket, "big", DATA)
    for start in (0, 1, 2 * MIB + 5, len(DATA) - MIB - 1):
        front.asked.clear()
        assert content(bucket, "big", if_match=written.version, start=start) == DATA[start:]
        asked = ranges(front)
        assert len(asked) == len(set(asked)) == 1 + max(0, -(-(len(DATA) - start - 2 * MIB) // MIB))
        assert {asked.headers["if-match"] for asked in front.asked} == {f'"{written.version}"'}


def test_small_download_is_one_request(bucket: S3Bucket) -> None:
    """What fits the first range takes one request."""
    create(bucket, "k", DATA[: 2 * MIB])
    before = bucket.requests.GET
    assert content(bucket, "k") == DATA[: 2 * MIB]
    assert bucket.requests.GET - before == 1


def test_reader_that_stops(bucket: S3Bucket) -> None:
    """A reader that stops early leaves no memory taken: later downloads still run ahead; and little was fetched."""
    create(bucket, "big", DATA)
    for _ in range(5):
        before = bucket.requests.bytes_down
        with bucket.get("big") as reading:
            assert next(iter(reading)) == DATA[:MIB]
        assert bucket.requests.bytes_down - before <= 6 * MIB
    assert content(bucket, "big") == DATA
    assert bucket._ranges._budget._free == 4 * MIB


def test_downloads_share_the_memory(bucket: S3Bucket) -> None:
    """Readers that stand still hold what may be held, and another download goes on all the same."""
    create(bucket, "big", DATA)
    with bucket.get("big") as first, bucket.get("big") as second:
        standing = [iter(first), iter(second)]
        for reader in standing:
            next(reader)
        assert content(bucket, "big") == DATA
        assert b"".join([DATA[:MIB], *standing[0]]) == DATA
        assert b"".join([DATA[:MIB], *standing[1]]) == DATA


def test_changed_amid_a_download(bucket: S3Bucket, front: Front) -> None:
    """An object that is replaced while it is read is stale, never a mixture."""
    old = create(bucket, "big", DATA)
    with bucket.get("big") as reading:
        chunks = iter(reading)
        got = [next(chunks)]
        bucket.put("big", BytesBody(DATA[::-1]), replaces=old.version, meta={})
        with pytest.raises(Stale):
            got.extend(chunks)
    assert DATA.startswith(b"".join(got))


def test_download_that_breaks(bucket: S3Bucket, front: Front) -> None:
    """A range is asked for again when it fails in passing; what breaks later is temporary, its bytes so far in order."""
    create(bucket, "big", DATA)
    fifth = f"bytes={5 * MIB}-{6 * MIB - 1}"
    front.rule = times(2, error(503, "SlowDown"), lambda asked: asked.headers.get("range") == fifth)
    assert content(bucket, "big") == DATA
    short = Reply(
        206, {"Content-Range": f"bytes {5 * MIB}-{6 * MIB - 1}/{len(DATA)}", "Content-Length": str(MIB)}, b"x"
    )

    def cut(asked: Asked, reply: Reply) -> Reply:
        if asked.headers.get("range") != fifth:
            return reply
        return Reply(206, {**reply.headers, **short.headers}, reply.body[: MIB // 2])

    front.edit = cut
    got: list[bytes] = []
    with bucket.get("big") as reading, pytest.raises(Transient):
        got.extend(reading)
    assert b"".join(got) == DATA[: 5 * MIB]


@pytest.mark.parametrize("start", [0, 7])
def test_store_that_ignores_the_version_asked_for(bucket: S3Bucket, front: Front, start: int) -> None:
    """Another state than the one asked for is stale, also where the store does not say so: its bytes would be joined to
    those that are staged of the first.
    """
    front.rule = lambda _: Reply(200, {"ETag": '"1"'}, DATA)
    with pytest.raises(Stale):
        content(bucket, "big", if_match=Version("2"), start=start)


def test_store_that_ranges_with_200(rclone: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that sends the range asked for under the status 200 (rclone) is understood."""
    rclone.enter(monkeypatch)
    bucket = S3Bucket(
        f"s3://{rclone.new_bucket()}/p", endpoint_url=rclone.endpoint_url, shape=Shape(first_bytes=MIB, piece_bytes=MIB)
    )
    create(bucket, "big", DATA[: 5 * MIB])
    for start in (0, 7, 5 * MIB - 1):
        assert content(bucket, "big", start=start) == DATA[start : 5 * MIB]
    bucket.close()


def test_store_without_ranges(bucket: S3Bucket, front: Front) -> None:
    """A store that answers a range with everything is read as one stream."""
    front.rule = lambda _: Reply(200, {"ETag": '"1"'}, DATA)
    for start in (0, 7):
        assert content(bucket, "big", start=start) == DATA[start:]
    assert len(front.asked) == 2


# --- region ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told_by", ["body", "header"])
def test_region_is_learned(bucket: S3Bucket, front: Front, told_by: str) -> None:
    """A bucket in another region than configured is found by the store's own word, once; a later client knows it."""
    assert bucket.region is None

    def elsewhere(asked: Asked) -> Reply | None:
        if "/eu-west-3/s3/" in asked.headers["authorization"]:
            return Reply(200, {"ETag": '"1"'}, b"") if asked.method == "PUT" else error(404, "NoSuchKey")
        if told_by == "body":
            return error(400, "AuthorizationHeaderMalformed", extra="<Region>eu-west-3</Region>")
        return error(301, "PermanentRedirect", x_amz_bucket_region="eu-west-3")

    front.rule = elsewhere
    create(bucket, "a", b"body")
    assert bucket.region == "eu-west-3"
    assert len(front.asked) == 2
    create(bucket, "b", b"body")
    assert len(front.asked) == 3
    bucket._calls.close()  # as after renewed credentials: the next request makes a new client
    assert bucket.read("c") is None
    assert len(front.asked) == 4
