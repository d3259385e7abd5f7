"""The fast lane against real servers: the bucket contract, and that it is the same bucket as boto3's lane."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import ClassVar

import pytest

from dorkyd.buckets import fastlane, s3_client
from dorkyd.buckets.counting import Verb
from dorkyd.buckets.fastlane import SMALL_BYTES, FastLane, Refused
from dorkyd.buckets.s3 import S3Bucket
from dorkyd.core.metadata import sha256
from dorkyd.core.model import Version
from dorkyd.errors import AuthExpired, Blocked, Denied, DorkyError, Stale, Transient, Unsupported
from dorkyd.ports import Bucket
from tests.buckets import test_s3, test_s3_errors
from tests.buckets.contract import BytesBody, content, create, keys, listed, look
from tests.buckets.shim import Reply, shim
from tests.buckets.test_s3_errors import Script
from tests.servers import ACCESS_KEY, Server, free_ports

pytestmark = pytest.mark.s3


def open_fast(server: Server, name: str | None = None) -> FastLane:
    """Below the prefix `team/api` of a new bucket, or of the one named."""
    return FastLane(f"s3://{name or server.new_bucket()}/team/api", endpoint_url=server.endpoint_url)


class Spy:
    """Counts what boto3's lane sends."""

    def __init__(self, bucket: FastLane, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[str] = []
        real = bucket._calls._connected

        def connected(verb: Verb) -> object:
            client = real(verb)
            client.meta.events.register("before-send.s3", self._note, unique_id="spy")
            return client

        monkeypatch.setattr(bucket._calls, "_connected", connected)

    def _note(self, request: object, **_: object) -> None:
        self.sent.append(getattr(request, "method", ""))


class TestSeaweed(test_s3.TestSeaweed):
    @pytest.fixture
    def bucket(self, seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
        seaweed.enter(monkeypatch)
        bucket = open_fast(seaweed)
        yield bucket
        bucket.close()


class TestSeaweedTls(test_s3.TestSeaweedTls):
    @pytest.fixture
    def bucket(self, seaweed_tls: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
        seaweed_tls.enter(monkeypatch)
        bucket = open_fast(seaweed_tls)
        yield bucket
        bucket.close()


class TestMoto(test_s3.TestMoto):
    racers: ClassVar[int] = 1
    if os.environ.get("DORKY_FULL") != "1":
        # A thousand objects more for what boto3 lists in both lanes: SeaweedFS shows it, above.
        test_list_pages = None  # type: ignore[assignment]

    @pytest.fixture
    def bucket(self, moto: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
        moto.enter(monkeypatch)
        bucket = open_fast(moto)
        yield bucket
        bucket.close()


@pytest.fixture
def bucket(seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[FastLane]:
    """On SeaweedFS."""
    seaweed.enter(monkeypatch)
    bucket = open_fast(seaweed)
    yield bucket
    bucket.close()


def test_small_objects_take_the_fast_lane(bucket: FastLane, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small put, a look and a download send nothing through boto3, absences and refusals included; a large put does."""
    spy = Spy(bucket, monkeypatch)
    written = create(bucket, "k", b"bytes", {"dorky-op": "0" * 32, "note": "x"})
    assert look(bucket, "k").version == written.version
    assert content(bucket, "k", if_match=written.version) == b"bytes"
    assert bucket.read("k") is not None
    assert bucket.read("absent") is None
    assert bucket.head("absent") is None
    with pytest.raises(Stale):
        bucket.put("k", BytesBody(b"x"), replaces=Version("0" * 32), meta={})
    with pytest.raises(Stale):
        content(bucket, "k", if_match=Version("0" * 32))
    assert spy.sent == []
    create(bucket, "large", bytes(SMALL_BYTES + 1))
    assert spy.sent == ["PUT"]


def test_same_object_either_lane(seaweed: Server, bucket: FastLane) -> None:
    """What one lane writes the other tells in every detail."""
    slow = S3Bucket(bucket.url, endpoint_url=seaweed.endpoint_url)
    meta = {"dorky-op": "0" * 32, "note": "a=b; c, d", "dorky-device": "laptop-7 %C3%A9 (x)"}
    for writer, name in ((bucket, "fast"), (slow, "slow")):
        create(writer, name, b"bytes", meta)
        assert bucket.head(name) == slow.head(name)
        assert bucket.read(name) == slow.read(name)
        with bucket.get(name) as fast_reading, slow.get(name) as slow_reading:
            assert fast_reading.info == slow_reading.info
            assert list(fast_reading) == list(slow_reading) == [b"bytes"]
    raw = [seaweed.client().head_object(Bucket=bucket.url.split("/")[2], Key=f"team/api/{n}") for n in ("fast", "slow")]
    assert raw[0]["Metadata"] == raw[1]["Metadata"] == meta
    slow.close()


def test_headers_by_other_names(bucket: FastLane) -> None:
    """A person's own key that is called like a header of HTTP stays metadata."""
    meta = {"content-type": "mine", "storage-class": "first"}
    create(bucket, "k", b"x", meta)
    assert look(bucket, "k").meta == meta


@pytest.mark.parametrize("name", ["a//b", "/a", "a/", "a/../b", "./a", "..", "a/.", "tab\there", "del\x7f", "nul\0"])
def test_names_that_obstore_would_change(bucket: FastLane, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A key that obstore would write differently goes through boto3, reads and writes alike."""
    spy = Spy(bucket, monkeypatch)
    for ask in (create, FastLane.head):
        with contextlib.suppress(Exception):  # the store may refuse such a name in words of its own
            ask(bucket, name)
    assert spy.sent[0] == "PUT"
    assert len(spy.sent) > 1


@pytest.mark.parametrize(
    "name", ["..a", "a..", "...", ".a/..b/c.", "~", "a b", "%2e%2e", "{}", "e\u0301", "*?|", '"<>']
)
def test_names_that_obstore_keeps(bucket: FastLane, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A key that only looks special is written under exactly its name."""
    spy = Spy(bucket, monkeypatch)
    create(bucket, name)
    assert spy.sent == []
    assert keys(bucket) == [name]


def test_folder_becomes_file(bucket: FastLane) -> None:
    """A name that was a folder in SeaweedFS can be created as a file, once."""
    below = create(bucket, "d/g")
    bucket.delete("d/g", replaces=below.version)
    create(bucket, "d", b"file")
    with pytest.raises(Stale):
        create(bucket, "d", b"second")
    assert content(bucket, "d") == b"file"


def test_missing_bucket(seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that does not exist is said so by every look, never taken for an absence."""
    seaweed.enter(monkeypatch)
    bucket = open_fast(seaweed, "no-such-bucket-here")
    for ask in (
        lambda: bucket.head("k"),
        lambda: bucket.read("k"),
        lambda: content(bucket, "k"),
        lambda: listed(bucket),
        lambda: create(bucket, "k"),
    ):
        with pytest.raises(Blocked) as caught:
            ask()
        assert caught.value.code == "no-such-bucket"
    bucket.close()


def test_renewed_credentials(seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong credentials are said by every request, without the key, and renewed ones are taken up; expired ones too."""
    name = seaweed.new_bucket()
    for _ in range(2):
        seaweed.enter(monkeypatch)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
        bucket = open_fast(seaweed, name)
        for ask in (lambda: bucket.head("k"), lambda: bucket.read("k"), lambda: create(bucket, "k")):  # noqa: B023
            with pytest.raises(AuthExpired) as caught:
                ask()
            told = f"{caught.value} {caught.value.hint} {caught.value.__cause__}"
            assert seaweed.access_key not in told
            assert "wrong-secret" not in told
        seaweed.enter(monkeypatch)
        assert bucket.head("k") is None
        written = create(bucket, "k")
        bucket.delete("k", replaces=written.version)
        bucket.close()


def test_no_credentials(seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials the message says what to run."""
    seaweed.enter(monkeypatch)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    bucket = open_fast(seaweed, "any")
    with pytest.raises(AuthExpired) as caught:
        create(bucket, "k")
    assert "aws configure" in caught.value.hint
    bucket.close()


def test_denied(seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that is not allowed names action and key."""
    name = seaweed.new_bucket()
    seaweed.enter(monkeypatch, reader=True)
    bucket = open_fast(seaweed, name)
    with pytest.raises(Denied, match="PutObject 'd/k'"):
        create(bucket, "d/k")
    bucket.close()


def test_nobody_listens(seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that cannot be reached is offline, and named, for reads and writes."""
    seaweed.enter(monkeypatch)
    (port,) = free_ports(1)
    bucket = FastLane("s3://b/p", endpoint_url=f"http://127.0.0.1:{port}")
    for ask in (lambda: bucket.head("k"), lambda: create(bucket, "k")):
        with pytest.raises(Transient, match=str(port)) as caught:
            ask()
        assert caught.value.offline
    bucket.close()


@pytest.mark.parametrize("small", [True, False], ids=["fast", "boto3"])
def test_a_store_that_says_nothing(seaweed: Server, monkeypatch: pytest.MonkeyPatch, small: bool) -> None:
    """It is given up after `SILENT_S` once, by reads, listings and small writes alike, and the message names it."""
    seaweed.enter(monkeypatch)
    for module in (fastlane, s3_client):
        monkeypatch.setattr(module, "SILENT_S", 3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        bucket = FastLane("s3://b/p", endpoint_url=f"http://127.0.0.1:{port}")
        bucket._closed_lane = not small
        asks = [lambda: bucket.head("k"), lambda: bucket.read("k"), lambda: keys(bucket)]
        if small:
            asks.append(lambda: create(bucket, "k"))
        for ask in asks:
            begun = time.monotonic()
            with pytest.raises(Transient):
                ask()
            assert 2.5 < time.monotonic() - begun < 5.5, "waited for it twice"
        bucket.close()


def test_long_names(bucket: FastLane) -> None:
    """A key over S3's limit, and one over the store's own, are that path's problem."""
    for name in ("k" * 1025, "k" * 901):
        with pytest.raises(Unsupported) as caught:
            create(bucket, name)
        assert caught.value.code == "name-too-long"


def test_without_obstore(bucket: FastLane, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where obstore cannot be imported everything goes through boto3."""
    import sys

    monkeypatch.setitem(sys.modules, "obstore.store", None)
    spy = Spy(bucket, monkeypatch)
    create(bucket, "k", b"x")
    assert content(bucket, "k") == b"x"
    assert spy.sent == ["PUT", "GET"]


class Cutting:
    """A TCP proxy that passes requests on and closes the connection in the place of the reply to a PUT."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.puts = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._to)) as store:
            asked, given = client.makefile("rb"), store.makefile("rb")
            while True:
                head, body = _message(asked)
                if not head:
                    return
                store.sendall(head + body)
                is_put = head.startswith(b"PUT")
                self.puts += is_put
                reply = _message(given, head=head.startswith(b"HEAD"))
                if is_put:
                    return  # the store did it, and nobody hears of it
                client.sendall(b"".join(reply))


def _message(stream: object, *, head: bool = False) -> tuple[bytes, bytes]:
    """One HTTP message with a Content-Length."""
    lines = []
    while line := stream.readline():  # type: ignore[attr-defined]
        lines.append(line)
        if line == b"\r\n":
            break
    length = next((int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")), 0)
    return b"".join(lines), b"" if head else stream.read(length)  # type: ignore[attr-defined]


def test_lost_reply_is_not_sent_again(seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write whose reply is lost is temporary, and reaches the store once: a second one would meet its own success."""
    seaweed.enter(monkeypatch)
    proxy = Cutting(int(seaweed.endpoint_url.rpartition(":")[2]))
    bucket = FastLane(f"s3://{seaweed.new_bucket()}/p", endpoint_url=f"http://127.0.0.1:{proxy.port}")
    assert bucket.head("k") is None  # so that the write goes over a connection that was used before
    with pytest.raises(Transient) as caught:
        create(bucket, "k", b"once")
    assert not caught.value.offline
    assert isinstance(caught.value.__cause__, Refused)
    assert proxy.puts == 1
    assert content(bucket, "k") == b"once"
    with pytest.raises(Transient):
        bucket.put("k", BytesBody(b"twice"), replaces=look(bucket, "k").version, meta={})
    assert proxy.puts == 2
    assert content(bucket, "k") == b"twice"
    bucket.close()
    proxy.close()


class TestErrors:
    """What a server told to fail makes of it."""

    @pytest.fixture
    def script(self) -> Script:
        return Script()

    @pytest.fixture
    def bucket(self, script: Script, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Bucket]:
        with test_s3_errors.serving(script, monkeypatch) as url:
            bucket = FastLane("s3://team/api", endpoint_url=url)
            yield bucket
            bucket.close()

    @pytest.mark.parametrize(("status", "code", "kind", "ours"), test_s3_errors.FAILURES)
    def test_write(
        self, bucket: S3Bucket, script: Script, status: int, code: str, kind: type[DorkyError], ours: str
    ) -> None:
        """A write that fails is sent once, means what boto3's lane says it means, and no message shows the key."""
        script.error(status, code)
        with pytest.raises(kind) as caught:
            bucket.put("f", BytesBody(b"x"), replaces=Version("1"), meta={})
        assert caught.value.code == ours
        assert script.asked.count("PUT") == 1
        assert ACCESS_KEY not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"

    def test_retry_after(self, bucket: S3Bucket, script: Script) -> None:
        """The wait that the store asks for is learned by a look."""
        script.error(503, "SlowDown", Retry_After="7")
        with pytest.raises(Transient) as caught:
            create(bucket, "f")
        assert caught.value.retry_after_s == 7

    def test_head_says_why(self, bucket: S3Bucket, script: Script) -> None:
        """A second request says why a HEAD failed."""
        test_s3_errors.test_head_says_why(bucket, script)

    def test_forbidden_is_not_absent(self, bucket: S3Bucket, script: Script) -> None:
        """Where even a listing is denied a look is denied: unknown, never missing."""
        test_s3_errors.test_forbidden_is_not_absent(bucket, script)

    def test_wrong_region(self, bucket: S3Bucket, script: Script) -> None:
        """A bucket in another region names the setting."""
        test_s3_errors.test_wrong_region(bucket, script)

    def test_body_breaks_off(self, bucket: S3Bucket, script: Script) -> None:
        """A download that ends early is temporary, not short."""
        script.status, script.body, script.length = 206, b"12345", 10
        script.headers = {
            "ETag": '"1"',
            "Last-Modified": "Sun, 22 Nov 2026 12:00:30 GMT",
            "Content-Range": "bytes 0-9/10",
            "x-amz-meta-dorky-op": "0",
        }
        with pytest.raises(Transient):
            content(bucket, "f")
        assert script.asked == ["GET"]


def test_lost_reply_while_the_lane_closes(seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread met a certificate that obstore does not take: a write whose reply was lost is not sent again for that."""
    seaweed.enter(monkeypatch)
    proxy = Cutting(int(seaweed.endpoint_url.rpartition(":")[2]))
    bucket = FastLane(f"s3://{seaweed.new_bucket()}/p", endpoint_url=f"http://127.0.0.1:{proxy.port}")
    real = bucket._refused

    def refused(error: Exception) -> Refused:
        bucket._closed_lane = True
        return real(error)

    monkeypatch.setattr(bucket, "_refused", refused)
    with pytest.raises(Transient):
        create(bucket, "k", b"once")
    assert proxy.puts == 1
    bucket.close()
    proxy.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("data", [b"", b"bytes"])
def test_redirect_is_not_the_store(seaweed: Server, monkeypatch: pytest.MonkeyPatch, status: int, data: bytes) -> None:
    """Where a network sends everybody to its login page nothing counts as written, and the page as no object."""
    seaweed.enter(monkeypatch)
    page = {"ETag": '"login"', "Last-Modified": "Sun, 22 Nov 2026 12:00:30 GMT"}
    with shim() as portal:
        portal.answer = lambda asked: (
            Reply(200, b"log in", page) if asked.path == "/login" else Reply(status, headers={"Location": "/login"})
        )
        bucket = FastLane("s3://team/api", endpoint_url=portal.url)
        for ask in (
            lambda: create(bucket, "k", data),
            lambda: bucket.head("k"),
            lambda: bucket.read("k"),
            lambda: content(bucket, "k"),
            lambda: content(bucket, "k", if_match=Version("0" * 32)),
        ):
            with pytest.raises(DorkyError):
                ask()
        bucket.close()


def test_store_whose_etags_are_no_md5(seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a put's reply proves nothing (KMS) the object itself does, once; after that boto3's lane takes the puts."""
    seaweed.enter(monkeypatch)
    with shim() as store:
        told = {"ETag": f'"{"a" * 32}"', "Last-Modified": "Sun, 22 Nov 2026 12:00:30 GMT"}
        store.answer = lambda _: Reply(200, headers=told)
        bucket = FastLane("s3://team/api", endpoint_url=store.url)
        spy = Spy(bucket, monkeypatch)
        assert create(bucket, "k", b"bytes").version == "a" * 32
        assert spy.sent == ["HEAD"]
        create(bucket, "k2", b"bytes")
        assert spy.sent == ["HEAD", "PUT"]
        bucket.close()


def test_bytes_are_proved_before_they_are_sent(bucket: FastLane) -> None:
    """Bytes that are not those observed never leave the machine."""
    before = bucket.requests
    with pytest.raises(Stale):
        bucket.put("k", BytesBody(b"torn!", sha256("0" * 64)), replaces=None, meta={})
    assert bucket.requests == before


def test_a_large_download_begins_here_and_goes_on_in_ranges(bucket: FastLane) -> None:
    """Its first bytes come through obstore, the others in ranges of the same version."""
    data = bytes(range(256)) * (20 * 4096)
    version = create(bucket, "large", data).version
    before = bucket.requests
    assert content(bucket, "large", if_match=version) == data
    assert bucket.requests.GET - before.GET == 2
    assert bucket.requests.bytes_down - before.bytes_down == len(data)
