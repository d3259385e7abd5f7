"""Ranges of large objects, past the SDK: they are the same bytes, and what does not prove itself is asked again through it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from dorkyd.buckets.fastlane import FastLane
from dorkyd.buckets.ranges import Shape
from dorkyd.buckets.retry import Patience
from dorkyd.core.model import Version
from dorkyd.errors import Blocked, Stale, Transient
from tests.buckets.contract import BytesBody, content, create, large
from tests.buckets.test_fastlane import Spy
from tests.servers import Server
from tests.shim import Asked, Front, Reply, error, shim

pytestmark = pytest.mark.s3

MIB = 1024 * 1024
DATA = large(5 * MIB + 4321)
SHAPE = Shape(first_bytes=MIB, piece_bytes=MIB, ahead=2, workers=2, held_bytes=3 * MIB)


@pytest.fixture
def front(seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    """A shim before SeaweedFS."""
    seaweed.enter(monkeypatch)
    with shim(seaweed) as front:
        yield front


@pytest.fixture
def bucket(seaweed: Server, front: Front) -> Iterator[FastLane]:
    """Behind the shim."""
    bucket = FastLane(f"s3://{seaweed.new_bucket()}/team/api", endpoint_url=front.url, shape=SHAPE)
    bucket._ranges._patience = Patience(attempts=2, first_s=0.01)
    yield bucket
    bucket.close()


def ours(asked: Asked) -> bool:
    """A range that is asked for past the SDK, whose own requests carry an id."""
    return asked.method == "GET" and "range" in asked.headers and "amz-sdk-invocation-id" not in asked.headers


def piece(number: int) -> str:
    """The range of the piece that begins after so many MiB."""
    return f"bytes={number * MIB}-{min((number + 1) * MIB, len(DATA)) - 1}"


@pytest.mark.parametrize("key", ["big", "d/ä b+&=?#%41~'\"\\.bin"])
def test_pieces_pass_the_sdk(bucket: FastLane, front: Front, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """From any offset, under any name, each byte once and of the version asked for."""
    meta = {"dorky-op": "0" * 32, "note": "x"}
    version = create(bucket, key, DATA, meta).version
    spy = Spy(bucket, monkeypatch)
    for start in (0, 5, 3 * MIB):
        front.asked.clear()
        spy.sent.clear()
        before = bucket.requests
        with bucket.get(key, if_match=version, start=start) as reading:
            assert b"".join(reading) == DATA[start:]
            assert reading.info.meta == meta
        # What is not asked for from the beginning is opened by the SDK, which tells the metadata.
        assert spy.sent == (["GET"] if start else [])
        assert bucket.requests.bytes_down - before.bytes_down == len(DATA) - start
        assert len(front.asked) == bucket.requests.GET - before.GET
        assert all(asked.headers["if-match"] == f'"{version}"' for asked in front.asked)
        if start == 0:
            assert sorted(asked.headers["range"] for asked in front.asked) == [piece(n) for n in range(6)]


@pytest.mark.parametrize(
    "odd",
    [
        lambda reply: replace(reply, status=200),
        lambda reply: replace(reply, headers={**reply.headers, "ETag": '"other"'}),
        lambda reply: replace(reply, headers={**reply.headers, "Content-Range": f"bytes 0-{MIB - 1}/{len(DATA)}"}),
        lambda _: Reply(302, {"Location": "/elsewhere"}, b""),
        lambda _: error(403, "AccessDenied"),
        lambda _: error(503, "SlowDown"),
    ],
)
def test_what_proves_nothing_is_asked_again(bucket: FastLane, front: Front, odd: object) -> None:
    """Another status, version or range, a redirect, an error: the SDK is asked, and its answer counts."""
    version = create(bucket, "big", DATA).version
    front.edit = lambda asked, reply: odd(reply) if ours(asked) and asked.headers["range"] != piece(0) else reply  # type: ignore[operator]
    assert content(bucket, "big", if_match=version) == DATA


def test_a_way_that_is_refused_is_not_tried_again(bucket: FastLane, front: Front) -> None:
    """A store that grants the SDK what it refuses here is asked through the SDK from then on; one that is busy is not."""
    version = create(bucket, "big", DATA).version

    def tries() -> int:
        front.asked.clear()
        assert content(bucket, "big", if_match=version) == DATA
        return sum(ours(asked) and asked.headers["range"] != piece(0) for asked in front.asked)

    front.edit = lambda asked, reply: error(503, "SlowDown") if ours(asked) else reply
    assert tries() == 5
    front.edit = lambda asked, reply: error(403, "AccessDenied") if ours(asked) else reply
    assert 1 <= tries() <= 2
    assert tries() == 0


def test_changed_amid_a_download(bucket: FastLane) -> None:
    """Another state is stale, never joined to the first."""
    old = create(bucket, "big", DATA)
    with bucket.get("big", if_match=old.version) as reading:
        chunks = iter(reading)
        got = [next(chunks)]
        bucket.put("big", BytesBody(DATA[::-1]), replaces=old.version, meta={})
        with pytest.raises(Stale):
            got.extend(chunks)
    assert DATA.startswith(b"".join(got))


def test_a_piece_that_breaks_off(bucket: FastLane, front: Front) -> None:
    """What came before it counts, and the download is tried again from there by whoever asked."""
    version = create(bucket, "big", DATA).version

    def cut(asked: Asked, reply: Reply) -> Reply:
        if asked.headers.get("range") != piece(3):
            return reply
        return Reply(206, {**reply.headers, "Content-Length": str(MIB)}, reply.body[: MIB // 2])

    front.edit = cut
    got: list[bytes] = []
    with bucket.get("big", if_match=version) as reading, pytest.raises(Transient):
        got.extend(bytes(chunk) for chunk in reading)
    assert b"".join(got) == DATA[: 3 * MIB]


def test_errors_are_those_of_the_sdk(bucket: FastLane, front: Front) -> None:
    """A refusal is told by the SDK's lane, which knows the reason."""
    version = create(bucket, "big", DATA).version
    front.rule = lambda asked: error(404, "NoSuchBucket") if asked.headers.get("range") == piece(2) else None
    with pytest.raises(Blocked, match="has no bucket"):
        content(bucket, "big", if_match=version)


def test_chunks_stay_as_they_are(bucket: FastLane) -> None:
    """A reader may keep them: memory is used again only when nobody has it any more."""
    version: Version = create(bucket, "big", DATA).version
    with bucket.get("big", if_match=version) as reading:
        kept = list(reading)
    assert content(bucket, "big", if_match=version) == DATA
    assert b"".join(kept) == DATA


def test_over_tls(seaweed_tls: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The authority that the SDK was told to trust is trusted here."""
    seaweed_tls.enter(monkeypatch)
    bucket = FastLane(f"s3://{seaweed_tls.new_bucket()}/p", endpoint_url=seaweed_tls.endpoint_url, shape=SHAPE)
    version = create(bucket, "big", DATA).version
    spy = Spy(bucket, monkeypatch)
    with bucket.get("big", if_match=version) as reading:
        chunks = iter(reading)
        got = [next(chunks)]
        spy.sent.clear()  # obstore takes no certificate that is its own authority, so that the first may come by the SDK
        assert b"".join([*got, *chunks]) == DATA
    assert spy.sent == []
    bucket.close()
