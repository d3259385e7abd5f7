"""A store that lies about what it sends: sizes, ends, pages, other hosts. Nothing is believed, and nothing grows without end."""

from __future__ import annotations

import gc
import gzip
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dorkyd.buckets.fastlane import FastLane
from dorkyd.buckets.gcs import GcsBucket
from dorkyd.buckets.s3 import S3Bucket
from dorkyd.core.model import Version
from dorkyd.errors import DorkyError, Transient
from dorkyd.news import Bytes
from dorkyd.ports import Bucket, Listed, ObjectInfo
from tests import leaks
from tests.buckets.shim import Reply, Shim, shim
from tests.devices import World
from tests.servers import GcsProcess

# What the SDK cannot read it raises on with its connection open: nobody but the collector closes that.
pytestmark = pytest.mark.filterwarnings("ignore:.*unclosed.*", "ignore::pytest.PytestUnraisableExceptionWarning")
MIB = 1 << 20
DATE = "Sun, 22 Nov 2026 12:00:30 GMT"


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """The collector does it here, and not in somebody else's test."""
    yield
    gc.collect()


# --- above the port --------------------------------------------------------------------------------------------------


@dataclass
class _Lying:
    """A reading that gives out what a test wants."""

    info: ObjectInfo
    chunks: Iterator[bytes]

    def __iter__(self) -> Iterator[bytes]:
        return self.chunks


class Liar:
    """A bucket whose downloads and listings are not what they should be."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.body: Any = None
        self.pages: Any = None
        self.given = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @contextmanager
    def get(self, key: str, **options: Any) -> Iterator[Any]:
        with self._inner.get(key, **options) as reading:
            if self.body is None or key.startswith(".dorky/"):
                yield reading
                return

            def count() -> Iterator[bytes]:
                for chunk in self.body(reading):
                    self.given += len(chunk)
                    yield chunk

            yield _Lying(reading.info, count())

    def list(self, prefix: str = "", **options: Any) -> Iterator[Sequence[Listed]]:
        pages = self._inner.list(prefix, **options)
        return pages if self.pages is None or prefix else self.pages(pages)


def _lying(quick_path: Path) -> tuple[World, Any, Liar]:
    world = World(quick_path)
    liar = Liar(world.store.client())
    device = world.device("a")
    device.make_bucket = lambda: liar
    device.restart()
    device.write("mine", "mine")
    world.settle()
    return world, device, liar


BODIES = {
    "endless": lambda reading: itertools.chain(reading, itertools.repeat(b"x" * MIB)),
    "endless-at-once": lambda _: itertools.repeat(b"x" * MIB),
    "longer": lambda reading: itertools.chain(reading, [b"x" * 10]),
    "shorter": lambda reading: [b"".join(reading)[:-1]],
    "nothing": lambda _: [],
    "other": lambda reading: [b"y" * reading.info.size],
    "crumbs": lambda reading: (bytes([each]) for each in b"".join(reading)),
}


@pytest.mark.parametrize("body", BODIES, ids=BODIES)
def test_a_body_that_is_not_what_was_stated(quick_path: Path, body: str) -> None:
    """Far more bytes than stated are not read, nor kept; fewer are no file; and once it is mended the file comes."""
    world, device, liar = _lying(quick_path)
    liar.body = BODIES[body]
    world.put("theirs", "theirs" * 1000)
    device.look()
    for _ in range(30):
        device.step(1.0)
    assert liar.given < 40 * MIB
    if body not in {"crumbs", "other"}:
        assert "theirs" not in device.tree()
    staged = [entry.stat().st_size for entry in (device.root / ".dorky/tmp").iterdir()]
    assert sum(staged) <= 6000
    device.write("more", "more")
    device.look()
    for _ in range(5):
        device.step(1.0)
    assert world.objects()["more"] == "more"
    liar.body = None
    device.clock.advance(400)
    world.settle()
    if body != "other":  # bytes of the size stated, without a digest to compare with, are the object
        assert device.tree()["theirs"] == "theirs" * 1000


def _doubled(pages: Iterator[Sequence[Listed]]) -> Iterator[Sequence[Listed]]:
    for page in pages:
        yield [*page, *page]
        yield list(reversed(page))


PAGES = {
    "keys-twice": _doubled,
    "sizes": lambda pages: ([each._replace(size=2**62) for each in page] for page in pages),
    "versions": lambda pages: ([each._replace(version=Version("x" * 5000)) for each in page] for page in pages),
    "md5": lambda pages: ([each._replace(md5="0" * 32) for each in page] for page in pages),
    "ghosts": lambda pages: itertools.chain(pages, [[Listed(f"ghost-{n}", Version("1"), 1, None) for n in range(900)]]),
    "other-prefix": lambda pages: itertools.chain(pages, [[Listed("../../x", Version("1"), 1, None)]]),
    "empty-pages": lambda pages: itertools.chain([[]] * 50, pages, [[]] * 50),
}


@pytest.mark.parametrize("pages", PAGES, ids=PAGES)
def test_a_listing_that_lies(quick_path: Path, pages: str) -> None:
    """It only says where to look: no file comes or goes by it, and files go on."""
    world, device, liar = _lying(quick_path)
    world.put("theirs", "theirs")
    liar.pages = PAGES[pages]
    device.settle()
    device.write("more", "more")
    device.settle()
    files = {"mine": "mine", "theirs": "theirs", "more": "more"}
    assert device.tree() == world.objects() == files
    liar.pages = None
    world.settle()
    assert device.tree() == world.objects() == files
    assert device.problems() == {}


# --- below the port: S3 ----------------------------------------------------------------------------------------------


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shim]:
    """A server that answers what it likes."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "FAKEFAKEFAKEFAKE7KQX",
        "AWS_SECRET_ACCESS_KEY": "fake/secret+for/tests",
        "AWS_SESSION_TOKEN": "fake-session-token-for-tests",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)
    with shim() as made:
        yield made


def _page(*keys: str, more: str = "") -> bytes:
    entries = "".join(
        f'<Contents><Key>{key}</Key><LastModified>2026-11-22T12:00:30.000Z</LastModified><ETag>"{"0" * 32}"</ETag>'
        "<Size>1</Size></Contents>"
        for key in keys
    )
    token = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
    return (
        f"<ListBucketResult><IsTruncated>{str(bool(more)).lower()}</IsTruncated>{token}"
        f"<EncodingType>url</EncodingType>{entries}</ListBucketResult>"
    ).encode()


@pytest.mark.parametrize("kind", [S3Bucket, FastLane])
def test_pages_without_end(store: Shim, kind: type[S3Bucket]) -> None:
    """A token that comes again ends the listing as broken off, so that it proves no absence."""
    store.answer = lambda _: Reply(200, _page("api/f", more="again"))
    bucket = kind("s3://team/api", endpoint_url=store.url)
    with pytest.raises(Transient):
        for _ in bucket.list():
            pass
    assert len(store.asked) <= 3
    bucket.close()


@pytest.mark.parametrize("kind", [S3Bucket, FastLane])
def test_keys_of_another_prefix(store: Shim, kind: type[S3Bucket]) -> None:
    """They are not ours, whatever listing they stand in; a key that is no UTF-8 comes as one that says so."""
    store.answer = lambda _: Reply(200, _page("api/f", "apix/g", "other", "api/", "../api/h", "api/%ff"))
    bucket = kind("s3://team/api", endpoint_url=store.url)
    assert [each.key for page in bucket.list() for each in page] == ["f", "\udcff"]
    bucket.close()


@pytest.mark.parametrize("kind", [S3Bucket, FastLane])
@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"<",
        b"\0\xff",
        b"<html>log in</html>",
        b"<ListBucketResult>",
        b'<!DOCTYPE a [<!ENTITY b "x">]><ListBucketResult>&b;</ListBucketResult>',
        b'<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><ListBucketResult><Contents><Key>&f;</Key></Contents></ListBucketResult>',
        _page("api/f").replace(b"<Size>1<", b"<Size>1x<"),
        _page("api/f").replace(b"2026-", b"99999-"),
    ],
    ids=range(9),
)
def test_a_page_that_is_none(store: Shim, kind: type[S3Bucket], page: bytes) -> None:
    """It never reads as an empty bucket's, and never as a file's content."""
    store.answer = lambda _: Reply(200, page)
    bucket = kind("s3://team/api", endpoint_url=store.url)
    with pytest.raises(DorkyError) as caught:
        assert [each for page in bucket.list() for each in page] == "no page at all"
    assert "root:" not in str(caught.value)
    bucket.close()


@pytest.mark.parametrize("kind", [S3Bucket, FastLane])
def test_what_is_stored_packed_comes_packed(store: Shim, kind: type[S3Bucket]) -> None:
    """A small object that would unpack to a gigabyte is its stored bytes: nothing unpacks it, whatever it says it is."""
    bomb = gzip.compress(b"\0" * (64 * MIB))
    headers = {
        "ETag": f'"{"1" * 32}"',
        "Last-Modified": DATE,
        "Content-Encoding": "gzip",
        "x-amz-meta-dorky-op": "a" * 32,
    }
    store.answer = lambda asked: Reply(200, bomb, headers)
    bucket = kind("s3://team/api", endpoint_url=store.url)
    with bucket.get("bomb", if_match=Version("1" * 32)) as reading:
        assert reading.info.size == len(bomb)
        assert b"".join(reading) == bomb
    found = bucket.read("bomb")
    assert found is not None
    assert found[1] == bomb
    bucket.close()


@pytest.mark.parametrize("kind", [S3Bucket, FastLane])
@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": "bytes 0-5/" + "9" * 5000},
        {"Content-Range": "bytes 5-0/6"},
        {"Content-Range": "bytes -1-5/6"},
        {"Content-Range": "bytes \u0660-5/6"},
        {"Content-Range": "lines 0-5/6"},
        {"Content-Range": "bytes 0-5/3"},
        {"Content-Range": "bytes 0-99999999999/99999999999"},
        {"Last-Modified": "yesterday"},
        {"ETag": ""},
    ],
    ids=range(9),
)
def test_a_download_whose_headers_make_no_sense(store: Shim, kind: type[S3Bucket], headers: dict[str, str]) -> None:
    """It fails as what will pass: nothing of it is taken for the object."""
    whole = {"ETag": f'"{"1" * 32}"', "Last-Modified": DATE, **headers}
    sent = {name: value.encode().decode("latin-1") for name, value in whole.items()}
    store.answer = lambda _: Reply(206, b"abcdef", sent)
    bucket = kind("s3://team/api", endpoint_url=store.url)
    with pytest.raises(DorkyError), bucket.get("f", if_match=Version("1" * 32)) as reading:
        assert b"".join(reading) == "never"
    bucket.close()


@pytest.mark.parametrize("kind", [S3Bucket, FastLane])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_contents_and_no_signature_reach_another_host(store: Shim, kind: type[S3Bucket], status: int) -> None:
    """A store that sends us elsewhere is not obeyed with anything that could be used there: no body, no signature."""
    content = leaks.canary()
    with shim() as elsewhere:
        goal = elsewhere.url.replace("127.0.0.1", "localhost") + "/x"
        store.answer = lambda _: Reply(status, b"", {"Location": goal})
        bucket: Bucket = kind("s3://team/api", endpoint_url=store.url)
        for ask in (
            lambda: bucket.put("k", Bytes(content), replaces=None, meta={"dorky-op": "a" * 32}),
            lambda: bucket.put("k", Bytes(content * 20_000), replaces=None, meta={}),
            lambda: bucket.head("k"),
            lambda: bucket.read("k"),
            lambda: list(bucket.list()),
            lambda: bucket.delete("k", replaces=Version("1" * 32)),
        ):
            with pytest.raises(DorkyError):
                ask()
        bucket.close()
        said = [f"{one.headers} {one.path} {one.query}" for one in elsewhere.asked]
        assert not any(content in one.body for one in elsewhere.asked)
        assert not any("authorization" in one.headers for one in elsewhere.asked)
        assert not any("Signature" in one or "fake/secret" in one for one in said)
    if kind is S3Bucket:
        assert said == [], "boto3 follows none"


# --- below the port: Google Cloud Storage ----------------------------------------------------------------------------


def _gcs(store: Shim) -> GcsBucket:
    return GcsBucket("gs://team/api", endpoint_url=store.url)


DOCUMENTS = [
    b"",
    b"\0\xff",
    b"<html>",
    b"[]",
    b"null",
    b'{"items":3}',
    b'{"items":[3]}',
    b'{"items":[{}]}',
    b'{"items":[{"name":7,"generation":"1"}]}',
    b'{"items":[{"name":"api/f","generation":"1","size":"x"}]}',
    b'{"items":[{"name":"api/f","generation":"1","size":"' + b"9" * 5000 + b'"}]}',
    b'{"items":[{"name":"api/f","generation":"1","updated":"never"}]}',
    b'{"items":[{"name":"api/f","generation":"1","updated":7}]}',
    b'{"items":[{"name":"api/f"}]}',
    b'{"nextPageToken":7}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
]


@pytest.mark.parametrize("text", DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_a_document_of_googles_that_is_none(store: Shim, text: bytes) -> None:
    """A listing or a look that makes no sense fails as what will pass: it is neither an absence nor a crash."""
    store.answer = lambda _: Reply(200, text, {"Content-Type": "application/json"})
    bucket = _gcs(store)
    with pytest.raises(DorkyError):
        assert [each for page in bucket.list() for each in page] == "no page at all"
    with pytest.raises(DorkyError):
        assert bucket.head("f") == "nothing"
    bucket.close()


def test_googles_pages_without_end(store: Shim) -> None:
    """As for S3; and keys of another prefix are not ours."""
    store.answer = lambda _: Reply(200, b'{"items":[{"name":"apix/f","generation":"1"}],"nextPageToken":"again"}')
    bucket = _gcs(store)
    with pytest.raises(Transient):
        list(bucket.list())
    assert len(store.asked) <= 3
    bucket.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_google_is_not_followed_elsewhere(store: Shim, status: int) -> None:
    """No request reaches another host at all."""
    with shim() as elsewhere:
        store.answer = lambda _: Reply(status, b"", {"Location": elsewhere.url})
        bucket = _gcs(store)
        for ask in (lambda: bucket.head("k"), lambda: bucket.put("k", Bytes(b"x"), replaces=None, meta={})):
            with pytest.raises(DorkyError):
                ask()
        bucket.close()
        assert elsewhere.asked == []


@pytest.mark.gcs
def test_what_google_would_unpack_comes_packed(strict_gcs: GcsProcess, quick_path: Path) -> None:
    """An object stored with `Content-Encoding: gzip` arrives as its stored bytes."""
    bomb = gzip.compress(b"\0" * (16 * MIB))
    name = strict_gcs.new_bucket()
    bucket = GcsBucket(f"gs://{name}/api", endpoint_url=strict_gcs.endpoint_url)
    bucket.put("bomb", Bytes(bomb), replaces=None, meta={})
    with bucket.get("bomb") as reading:
        assert b"".join(reading) == bomb
    bucket.close()
