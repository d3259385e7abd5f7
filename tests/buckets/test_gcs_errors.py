"""What a person is told when Google Cloud Storage refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dorkyd.buckets.gcs import GcsBucket
from dorkyd.buckets.gcs_errors import Asked, convert
from dorkyd.buckets.probe import probe
from dorkyd.errors import AuthExpired, Blocked, Denied, DorkyError, RateLimited, Stale, Transient
from tests.buckets.contract import BytesBody, content, create, listed
from tests.gcs.faults import Fault
from tests.gcs.server import GcsServer
from tests.servers import free_ports

ASKED = Asked("objects.insert", ("storage.objects.create",), "d/k", "acme", "team", None)


@pytest.fixture
def gcs() -> Iterator[GcsServer]:
    """A strict server in this process, with the bucket `acme`."""
    server = GcsServer().start()
    server.store.make_bucket("acme")
    yield server
    server.stop()


@pytest.fixture
def bucket(gcs: GcsServer) -> Iterator[GcsBucket]:
    """On the strict server."""
    bucket = GcsBucket("gs://acme/team", endpoint_url=gcs.url)
    yield bucket
    bucket.close()


def asks(bucket: GcsBucket) -> list[Callable[[], Any]]:
    """One request of each kind."""
    return [
        lambda: bucket.head("k"),
        lambda: bucket.read("k"),
        lambda: listed(bucket),
        lambda: create(bucket, "k"),
        lambda: bucket.begin("k", 5, replaces=None, meta={}),
    ]


def told(act: Callable[[], Any]) -> DorkyError:
    """What is raised."""
    with pytest.raises(DorkyError) as caught:
        act()
    return caught.value


def test_missing_bucket(gcs: GcsServer) -> None:
    """A bucket that does not exist is said so by every request, never taken for an absence."""
    bucket = GcsBucket("gs://no-such-bucket/p", endpoint_url=gcs.url)
    for ask in [
        *asks(bucket),
        lambda: bucket.delete("k", replaces="5"),  # type: ignore[arg-type]
        lambda: content(bucket, "k"),
    ]:
        error = told(ask)
        assert isinstance(error, Blocked)
        assert error.code == "no-such-bucket"
        assert "no-such-bucket" in str(error)
    bucket.close()


@pytest.mark.parametrize("message", ["Not Found", "", "notFound"])
def test_bare_404(gcs: GcsServer, bucket: GcsBucket, message: str) -> None:
    """A 404 that does not say what is missing proves nothing: a listing of exactly that name does."""
    create(bucket, "kk")
    gcs.faults.order(Fault("objects.get", "before", 404, "notFound", message))
    before = bucket.requests.LIST
    assert bucket.head("k") is None
    assert before + 1 == bucket.requests.LIST
    create(bucket, "k")
    gcs.faults.order(Fault("objects.get", "before", 404, "notFound", message, times=1))
    assert bucket.head("k") is not None, "the listing has it: look again"


def test_denied_names_permission_identity_and_role(gcs: GcsServer, bucket: GcsBucket) -> None:
    """Which permission lacks, on what, for whom, and the command that grants it."""
    gcs.faults.denied.add("storage.objects.create")
    error = told(lambda: create(bucket, "d/k"))
    assert isinstance(error, Denied)
    for text in ("objects.insert 'd/k' in gs://acme/team", "storage.objects.create", "tester@example.iam"):
        assert text in str(error)
    assert "gcloud storage buckets add-iam-policy-binding gs://acme --role=roles/storage.objectUser" in error.hint
    assert "--member=serviceAccount:tester@example.iam.gserviceaccount.com" in error.hint


def test_replacing_without_delete_permission(gcs: GcsServer, bucket: GcsBucket) -> None:
    """Replacing takes the permission to delete as well, and the message says which one lacks."""
    old = create(bucket, "k", b"old")
    gcs.faults.denied.add("storage.objects.delete")
    error = told(lambda: bucket.put("k", BytesBody(b"new"), replaces=old.version, meta={}))
    assert isinstance(error, Denied)
    assert "storage.objects.delete" in str(error)
    assert content(bucket, "k") == b"old"


def test_denied_look_is_unknown(gcs: GcsServer, bucket: GcsBucket) -> None:
    """A look that is refused at an object that is there is no absence; at one that is not, a listing proves it."""
    create(bucket, "k")
    gcs.faults.denied.add("storage.objects.get")
    assert isinstance(told(lambda: bucket.head("k")), Denied)
    assert bucket.head("other") is None
    assert bucket.missing_denied
    gcs.faults.denied.add("storage.objects.list")
    for name in ("k", "other"):
        error = told(lambda name=name: bucket.head(name))  # type: ignore[misc]
        assert isinstance(error, Denied)
        assert "roles/storage.objectViewer" in error.hint


def test_reader_is_told_by_the_probe(gcs: GcsServer, bucket: GcsBucket) -> None:
    """An identity that may only read is told so before the first sync."""
    gcs.faults.denied.update({"storage.objects.create", "storage.objects.delete"})
    error = told(lambda: probe(bucket, single_writer=False, random_id=lambda: "1"))
    assert isinstance(error, Denied)


@pytest.mark.parametrize(
    ("status", "reason", "message", "kind", "code"),
    [
        (403, "rateLimitExceeded", "slow", RateLimited, "rate-limited"),
        (429, "rateLimitExceeded", "slow", RateLimited, "rate-limited"),
        (403, "quotaExceeded", "quota", Blocked, "quota"),
        (403, "forbidden", "Permission denied on Cloud KMS key.", Blocked, "kms"),
        (403, "accountDisabled", "billing", Blocked, "account"),
        (403, "retentionPolicyNotMet", "held", Blocked, "held"),
        (409, "conflict", "edited", Stale, "stale"),
        (412, "conditionNotMet", "no", Stale, "stale"),
        (500, "backendError", "oops", Transient, "temporary"),
        (503, "", "oops", Transient, "temporary"),
        (418, "", "teapot", Blocked, "not-supported"),
    ],
)
def test_refusals(
    gcs: GcsServer,
    bucket: GcsBucket,
    status: int,
    reason: str,
    message: str,
    kind: type[DorkyError],
    code: str,
) -> None:
    """Each refusal is sorted by what must happen next, of every kind of write, and Google's text is not repeated."""
    for operation, act in (
        ("objects.insert", lambda: create(bucket, "k")),
        ("uploads.begin", lambda: bucket.begin("k", 5, replaces=None, meta={})),
        ("objects.delete", lambda: bucket.delete("k", replaces="5")),  # type: ignore[arg-type]
    ):
        gcs.faults.order(Fault(operation, "before", status, reason, message, retry_after=7))
        error = told(act)
        assert isinstance(error, kind)
        assert error.code == code
        assert f"{message}." not in str(error)
        if isinstance(error, Transient):
            assert error.retry_after_s == 7
            assert not error.offline
        if isinstance(error, Blocked):
            assert error.hint


def test_wrong_credentials(gcs: GcsServer, bucket: GcsBucket) -> None:
    """Credentials that are refused are said so by every request, with the command to run."""
    gcs.token = "right"
    for ask in asks(bucket):
        error = told(ask)
        assert isinstance(error, AuthExpired)
        assert "gcloud auth application-default login" in error.hint
    gcs.token = None
    assert bucket.head("k") is None


def test_renewed_credentials_are_taken_up(gcs: GcsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal makes the credentials be read afresh, once, before anybody is told."""
    import google.auth
    from google.auth.credentials import AnonymousCredentials

    class Token(AnonymousCredentials):
        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

        def before_request(self, request: Any, method: str, url: str, headers: dict[str, str]) -> None:
            headers["Authorization"] = f"Bearer {self.text}"

    kept = {"token": "old"}
    monkeypatch.setattr(google.auth, "default", lambda **_: (Token(kept["token"]), None))
    monkeypatch.setenv("API_ENDPOINT_OVERRIDE", gcs.url)
    bucket = GcsBucket("gs://acme/team")
    gcs.token = "old"
    create(bucket, "a")
    gcs.token = kept["token"] = "new"
    create(bucket, "b")
    kept["token"] = "wrong"
    gcs.token = "newer"
    error = told(lambda: create(bucket, "c"))
    assert isinstance(error, AuthExpired)
    assert "wrong" not in str(error) + error.hint
    kept["token"] = "newer"
    create(bucket, "c")
    bucket.close()


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Without credentials the message says what to run; a request was not sent."""
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    def default(**_: Any) -> Any:
        raise DefaultCredentialsError("secret path")

    monkeypatch.setattr(google.auth, "default", default)
    bucket = GcsBucket("gs://acme/team")
    error = told(lambda: bucket.head("k"))
    assert isinstance(error, AuthExpired)
    assert "gcloud auth application-default login" in error.hint
    assert "secret path" not in str(error)
    bucket.close()


def test_refresh_that_fails() -> None:
    """A token that cannot be renewed wants a login; a token server that does not answer wants patience."""
    from google.auth.exceptions import RefreshError, TransportError

    expired = convert(RefreshError("invalid_grant", retryable=False), ASKED)
    assert isinstance(expired, AuthExpired)
    for passing in (RefreshError("busy", retryable=True), TransportError("no network")):
        waiting = convert(passing, ASKED)
        assert isinstance(waiting, Transient)
        assert waiting.offline


def test_nobody_listens() -> None:
    """A store that cannot be reached is offline, and named."""
    (port,) = free_ports(1)
    bucket = GcsBucket("gs://acme/team", endpoint_url=f"http://127.0.0.1:{port}")
    for ask in asks(bucket):
        error = told(ask)
        assert isinstance(error, Transient)
        assert error.offline
        assert str(port) in str(error)
    bucket.close()


def test_unknown_errors_are_raised_on() -> None:
    """What the tables do not know is nobody's to reinterpret."""
    assert convert(ZeroDivisionError(), ASKED) is None
