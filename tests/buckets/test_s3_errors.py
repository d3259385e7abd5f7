"""Errors that no local server gives, from a server that answers as it is told."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from dorkyd.buckets.s3 import S3Bucket
from dorkyd.buckets.s3_errors import retry_after_of
from dorkyd.core.model import Version
from dorkyd.errors import AuthExpired, Blocked, Denied, DiskFull, DorkyError, RateLimited, Stale, Transient, Unsupported
from tests.buckets.contract import BytesBody, content, create
from tests.servers import ACCESS_KEY, SECRET_KEY


@dataclass
class Script:
    """What the server answers to everything, and what it was asked."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    length: int | None = None

    def error(self, status: int, code: str, *, extra: str = "", **headers: str) -> None:
        """Answer with an S3 error."""
        self.status = status
        self.body = f"<Error><Code>{code}</Code><Message>for {ACCESS_KEY}</Message>{extra}</Error>".encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture
def script() -> Script:
    """To be filled by the test."""
    return Script()


@contextlib.contextmanager
def serving(script: Script, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that follows the script."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            script.asked.append(self.command)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b"" if self.command == "HEAD" else script.body
            self.send_response(script.status)
            for name, value in script.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) if script.length is None else script.length))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815  the names are http.server's

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def bucket(script: Script, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Bucket]:
    """A bucket on a server that follows the script."""
    with serving(script, monkeypatch) as url:
        bucket = S3Bucket("s3://team/api", endpoint_url=url)
        yield bucket
        bucket.close()


FAILURES = [
    (412, "PreconditionFailed", Stale, "stale"),
    (409, "ConditionalRequestConflict", Stale, "stale"),
    (409, "OperationAborted", Stale, "stale"),
    (404, "NoSuchKey", Stale, "stale"),
    (400, "BadDigest", Stale, "stale"),
    (400, "XAmzContentChecksumMismatch", Stale, "stale"),
    (503, "SlowDown", RateLimited, "rate-limited"),
    (429, "TooManyRequests", RateLimited, "rate-limited"),
    (500, "InternalError", Transient, "temporary"),
    (502, "Unheard", Transient, "temporary"),
    (400, "RequestTimeout", Transient, "temporary"),
    (403, "InvalidAccessKeyId", AuthExpired, "auth"),
    (403, "SignatureDoesNotMatch", AuthExpired, "auth"),
    (400, "ExpiredToken", AuthExpired, "auth"),
    (400, "TokenRefreshRequired", AuthExpired, "auth"),
    (400, "AuthorizationHeaderMalformed", AuthExpired, "auth"),
    (403, "AccessDenied", Denied, "denied"),
    (403, "Unheard", Denied, "denied"),
    (404, "NoSuchBucket", Blocked, "no-such-bucket"),
    (403, "RequestTimeTooSkewed", Blocked, "clock-skew"),
    (400, "KMS.DisabledException", Blocked, "kms"),
    (501, "NotImplemented", Blocked, "not-supported"),
    (400, "KeyTooLongError", Unsupported, "name-too-long"),
    (400, "MetadataTooLarge", Unsupported, "metadata"),
    (507, "XMinioStorageFull", DiskFull, "disk-full"),
]
"""Status, code, and what it means."""


@pytest.mark.parametrize(("status", "code", "kind", "ours"), FAILURES)
def test_write(bucket: S3Bucket, script: Script, status: int, code: str, kind: type[DorkyError], ours: str) -> None:
    """A write that fails is sent once, means what the table says, and no message shows the key."""
    script.error(status, code)
    with pytest.raises(kind) as caught:
        bucket.put("f", BytesBody(b"x"), replaces=Version("1"), meta={})
    assert caught.value.code == ours
    assert script.asked == ["PUT"]
    assert ACCESS_KEY not in str(caught.value) + caught.value.hint


def test_unknown_is_raised_on(bucket: S3Bucket, script: Script) -> None:
    """An error that the table lacks comes out as the SDK's own."""
    script.error(400, "NeverHeardOf")
    with pytest.raises(Exception, match="NeverHeardOf") as caught:
        create(bucket, "f")
    assert not isinstance(caught.value, DorkyError)


def test_head_says_why(bucket: S3Bucket, script: Script) -> None:
    """A HEAD has no body: a second request says that credentials expired, or the bucket is missing."""
    script.error(400, "ExpiredToken")
    with pytest.raises(AuthExpired):
        bucket.head("f")
    script.error(404, "NoSuchBucket")
    with pytest.raises(Blocked) as caught:
        bucket.head("f")
    assert caught.value.code == "no-such-bucket"
    script.error(404, "NoSuchKey")
    assert bucket.head("f") is None


def test_forbidden_is_not_absent(bucket: S3Bucket, script: Script) -> None:
    """Where even a listing is denied a look is denied: unknown, never missing."""
    script.error(403, "AccessDenied")
    with pytest.raises(Denied):
        bucket.head("f")
    with pytest.raises(Denied):
        bucket.read("f")


def test_retry_after(bucket: S3Bucket, script: Script) -> None:
    """The wait that the store asks for is passed on, and a date counts from now."""
    script.error(503, "SlowDown", Retry_After="7")
    with pytest.raises(RateLimited) as caught:
        create(bucket, "f")
    assert caught.value.retry_after_s == 7
    noon = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
    error = Exception()
    headers = {"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT"}
    error.response = {"Error": {}, "ResponseMetadata": {"HTTPHeaders": headers}}  # type: ignore[attr-defined]
    assert retry_after_of(error, noon) == 30


def test_wrong_region(bucket: S3Bucket, script: Script) -> None:
    """A bucket in another region, followed without success, names the setting; nobody asks HeadBucket."""
    script.error(301, "PermanentRedirect", x_amz_bucket_region="eu-west-3")
    with pytest.raises(Blocked) as caught:
        create(bucket, "f")
    assert caught.value.code == "wrong-region"
    assert "region: eu-west-3" in caught.value.hint
    assert "HEAD" not in script.asked


def test_body_breaks_off(bucket: S3Bucket, script: Script) -> None:
    """A download that ends early is temporary, not short."""
    script.body, script.length = b"12345", 10
    script.headers = {"ETag": '"1"'}
    with pytest.raises(Transient):
        content(bucket, "f")


def test_range_ignored(bucket: S3Bucket, script: Script) -> None:
    """A store that answers a range with everything still gives the bytes from the offset."""
    script.body, script.headers = b"0123456789", {"ETag": '"1"'}
    assert content(bucket, "f", start=4) == b"456789"


def test_listing_that_cannot_go_on(bucket: S3Bucket, script: Script) -> None:
    """A page that is not the last and does not say how to go on is an error, not an end."""
    script.body = b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"
    with pytest.raises(Transient):
        list(bucket.list())
