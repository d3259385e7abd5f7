"""How an S3 bucket is set up, as `doctor` tells it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dorkyd.buckets.s3 import S3Bucket
from dorkyd.ports import Setting
from tests.buckets.shim import Asked, Reply, Shim, error, shim
from tests.servers import Server

KEY, SECRET = "FAKEFAKEFAKEFAKE7KQX", "fake/secret+for/tests"
BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Shim]:
    """In place of AWS."""
    with shim() as made:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", made.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", made.url)
        yield made


def inspect(server: Shim, replies: dict[str, Reply], *, endpoint: bool = True) -> dict[str, Setting]:
    """What is told when each question, by its subresource, is answered so; all else is refused."""

    def answer(asked: Asked) -> Reply:
        return next((reply for name, reply in replies.items() if name in asked.query), error(403, "AccessDenied"))

    server.answer = answer
    bucket = S3Bucket("s3://acme/api", endpoint_url=server.url if endpoint else None)
    told = {setting.name: setting for setting in bucket.inspect()}
    bucket.close()
    assert SECRET not in repr(told)
    assert KEY not in repr(told)
    return told


def lifecycle(*rules: str) -> dict[str, Reply]:
    """Answers the question for lifecycle rules."""
    text = "".join(f"<Rule><Status>Enabled</Status>{rule}</Rule>" for rule in rules)
    return {"lifecycle": Reply(body=f"<LifecycleConfiguration>{text}</LifecycleConfiguration>".encode())}


ABORT = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
EXPIRE = "<Expiration><Days>30</Days></Expiration>"


def test_denied_is_unknown(server: Shim) -> None:
    """What this identity may not ask is unknown, with the right that it would need, and no fault."""
    told = inspect(server, {})
    assert {name: setting.ok for name, setting in told.items()} == {
        "identity": True,
        "versioning": None,
        "lifecycle": None,
        "public-access": None,
    }
    assert told["versioning"].detail == "needs s3:GetBucketVersioning"
    assert told["lifecycle"].detail == "needs s3:GetLifecycleConfiguration"
    assert told["public-access"].detail == "needs s3:GetBucketPublicAccessBlock"


@pytest.mark.parametrize(
    "reply",
    [error(501, "NotImplemented"), error(405, "MethodNotAllowed"), error(400, "Odd"), error(500, "InternalError")],
)
def test_not_built_there_is_unknown(server: Shim, reply: Reply) -> None:
    """A store that does not know the question is no fault either."""
    told = inspect(server, {"versioning": reply})
    assert told["versioning"].ok is None


def test_versioning(server: Shim) -> None:
    """On, or off with the command."""
    on = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert inspect(server, {"versioning": Reply(body=on)})["versioning"].code == ""
    off = inspect(server, {"versioning": Reply(body=b"<VersioningConfiguration/>")})["versioning"]
    assert (off.ok, off.code) == (True, "versioning-off")
    assert (
        f"put-bucket-versioning --bucket acme --versioning-configuration Status=Enabled --endpoint-url {server.url}"
        in (off.hint)
    )


@pytest.mark.parametrize(
    ("rules", "ok", "code"),
    [
        ((), True, "no-abort-rule"),
        ((f"<Filter><Prefix></Prefix></Filter>{ABORT}",), True, ""),
        ((f"<Prefix>api/</Prefix>{ABORT}",), True, ""),
        ((f"<Filter><Prefix>other/</Prefix></Filter>{ABORT}",), True, "no-abort-rule"),
        ((f"<ID>tidy</ID><Filter><Prefix></Prefix></Filter>{EXPIRE}",), False, "lifecycle-expires"),
        ((f"<Filter><And><Prefix>api/d/</Prefix></And></Filter>{EXPIRE}",), False, "lifecycle-expires"),
        ((f"<Filter><Prefix>api/.dorky/trash/</Prefix></Filter>{EXPIRE}{ABORT}",), True, "no-abort-rule"),
        ((f"<Filter><Prefix>other/</Prefix></Filter>{EXPIRE}", ABORT), True, ""),
    ],
)
def test_lifecycle(server: Shim, rules: tuple[str, ...], ok: bool, code: str) -> None:
    """Uploads that never end should be removed, and files must not expire, which would delete them everywhere."""
    told = inspect(server, lifecycle(*rules))["lifecycle"]
    assert (told.ok, told.code) == (ok, code)


def test_no_lifecycle(server: Shim) -> None:
    """No configuration at all is one without rules."""
    told = inspect(server, {"lifecycle": error(404, "NoSuchLifecycleConfiguration")})
    assert told["lifecycle"].code == "no-abort-rule"


def test_public_access(server: Shim) -> None:
    """All four blocks, or the command that sets them."""

    def reply(*names: str) -> dict[str, Reply]:
        text = "".join(f"<{name}>true</{name}>" for name in names)
        body = f"<PublicAccessBlockConfiguration>{text}</PublicAccessBlockConfiguration>"
        return {"publicAccessBlock": Reply(body=body.encode())}

    assert inspect(server, reply(*BLOCKS))["public-access"].ok
    for replies in (reply(*BLOCKS[:3]), {"publicAccessBlock": error(404, "NoSuchPublicAccessBlockConfiguration")}):
        told = inspect(server, replies)["public-access"]
        assert (told.ok, told.code) == (False, "public-access")
        assert "RestrictPublicBuckets=true" in told.hint


def test_identity_in_aws(server: Shim) -> None:
    """In AWS itself the caller's ARN is asked for; elsewhere nobody is asked."""
    arn = "arn:aws:iam::123456789012:user/ana"
    body = (
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        f"<Arn>{arn}</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>"
    ).encode()

    def answer(asked: Asked) -> Reply:
        return Reply(body=body) if asked.method == "POST" else error(403, "AccessDenied")

    server.answer = answer
    bucket = S3Bucket("s3://acme/api")
    (identity, *_) = bucket.inspect()
    assert identity.detail.startswith(f"{arn} (")
    bucket.close()
    server.asked.clear()
    inspect(server, {})
    assert "POST" not in server.methods


@pytest.mark.s3
def test_a_real_server(seaweed: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real server's answers are understood, or unknown."""
    seaweed.enter(monkeypatch)
    for versioning in (False, True):
        bucket = S3Bucket(f"s3://{seaweed.new_bucket(versioning=versioning)}/p", endpoint_url=seaweed.endpoint_url)
        told = {setting.name: setting for setting in bucket.inspect()}
        assert told["versioning"].detail.startswith("on" if versioning else "off")
        assert told["lifecycle"].ok in {True, None}
        bucket.close()
