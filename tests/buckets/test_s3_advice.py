"""What a person reads when S3 says no: which action, on what, as whom, and what to run. By the real SDK, from a server that
answers as it is told.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from dorkyd.buckets.s3 import S3Bucket
from dorkyd.buckets.s3_identity import Sources, identity_of
from dorkyd.core.model import Version
from dorkyd.errors import AuthExpired, Blocked, Denied, DiskFull, DorkyError
from tests.buckets.contract import BytesBody, create, listed
from tests.buckets.shim import Asked, Reply, Shim, error, shim

KEY, SECRET = "FAKEFAKEFAKEFAKE7KQX", "fake/secret+for/tests"
ARN = "arn:aws:sts::123456789012:assumed-role/dev/ana"
KMS_KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture
def server() -> Iterator[Shim]:
    """To be told what to answer."""
    with shim() as made:
        yield made


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, with a key for the profile `team` and nothing in the environment."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "credentials").write_text(f"[team]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    (tmp_path / "config").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    return tmp_path


@pytest.fixture
def bucket(server: Shim, home: Path) -> Iterator[S3Bucket]:
    """As the profile `team`."""
    made = S3Bucket("s3://acme/api", endpoint_url=server.url, profile="team")
    yield made
    made.close()


def told(ask: Callable[[], object], kind: type[DorkyError]) -> DorkyError:
    """The error, which shows no secret and no whole key."""
    with pytest.raises(kind) as caught:
        ask()
    said = str(caught.value) + caught.value.hint
    assert KEY not in said
    assert SECRET not in said
    return caught.value


def statement_in(hint: str) -> dict[str, object]:
    """The policy statement that a hint shows."""
    found = re.search(r"\{.*\}", hint)
    assert found is not None, hint
    made: dict[str, object] = json.loads(found[0])
    return made


# --- denied -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "actions", "resource"),
    [
        (lambda b: create(b, "d/k"), "s3:PutObject", "acme/api/*"),
        (lambda b: b.delete("d/k", replaces=Version("1")), "s3:DeleteObject", "acme/api/*"),
        (lambda b: b.read("d/k"), "s3:GetObject", "acme/api/*"),
        (lambda b: b.head("d/k"), "s3:GetObject", "acme/api/*"),
        (
            lambda b: b.copy("a", "d/k", source_version=Version("1"), replaces=None, meta=None),
            ["s3:GetObject", "s3:PutObject"],
            "acme/api/*",
        ),
        (listed, "s3:ListBucket", "acme"),
    ],
)
def test_denied_says_what_is_missing(
    server: Shim, bucket: S3Bucket, ask: Callable[[S3Bucket], object], actions: object, resource: str
) -> None:
    """The action, the ARN, the key's end and its place are named, and the hint holds the exact statement."""
    server.answer = lambda _: error(403, "AccessDenied", "Access Denied")
    denied = told(lambda: ask(bucket), Denied)
    for action in [actions] if isinstance(actions, str) else actions:  # type: ignore[attr-defined]
        assert action in str(denied)
    assert "arn:aws:s3:::acme" in str(denied)
    assert f"access key …7KQX from the profile 'team' in {Path.home()}/credentials" in str(denied)
    wanted = {"Effect": "Allow", "Action": actions, "Resource": f"arn:aws:s3:::{resource}"}
    if actions == "s3:ListBucket":
        wanted["Condition"] = {"StringLike": {"s3:prefix": "api/*"}}
    assert statement_in(denied.hint) == wanted
    assert denied.code == "denied"


def test_denied_by_arn(server: Shim, bucket: S3Bucket) -> None:
    """What AWS tells of caller and action is passed on, and nothing else of its text."""
    server.answer = lambda _: error(
        403,
        "AccessDenied",
        f'User: {ARN} is not authorized to perform: s3:PutObject on resource: "arn:aws:s3:::acme/api/d/k" because no '
        f"identity-based policy allows the s3:PutObject action; {SECRET}",
    )
    denied = told(lambda: create(bucket, "d/k"), Denied)
    assert f"{ARN} (access key …7KQX" in str(denied)
    assert "may not s3:PutObject on arn:aws:s3:::acme/api/d/k" in str(denied)
    assert denied.hint.startswith(f"add to the policy of {ARN}: {{")


def test_denied_explicitly(server: Shim, bucket: S3Bucket) -> None:
    """No statement helps against an explicit deny, so the policy that denies is named instead."""
    server.answer = lambda _: error(
        403,
        "AccessDenied",
        f'User: {ARN} is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::acme/api/k" with an explicit '
        "deny in a resource-based policy".replace("resource-based", "service control"),
    )
    denied = told(lambda: bucket.read("k"), Denied)
    assert "explicit deny in a service control policy" in str(denied)
    assert "Allow elsewhere does not help" in denied.hint


def test_kms_denied(server: Shim, bucket: S3Bucket) -> None:
    """A 403 that is the key's, not the bucket's, names the key and both actions that sync needs of it."""
    server.answer = lambda _: error(
        403,
        "AccessDenied",
        f"User: {ARN} is not authorized to perform: kms:GenerateDataKey on resource: {KMS_KEY} because no identity-based "
        "policy allows the kms:GenerateDataKey action",
    )
    denied = told(lambda: create(bucket, "k"), Denied)
    assert denied.code == "kms"
    assert KMS_KEY in str(denied)
    assert statement_in(denied.hint) == {
        "Effect": "Allow",
        "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
        "Resource": KMS_KEY,
    }


def test_kms_disabled(server: Shim, bucket: S3Bucket) -> None:
    """A key that is disabled is named with the command that shows its state."""
    server.answer = lambda _: error(400, "KMS.DisabledException", f"{KMS_KEY} is disabled.")
    blocked = told(lambda: create(bucket, "k"), Blocked)
    assert blocked.code == "kms"
    assert f"aws kms describe-key --key-id {KMS_KEY}" in blocked.hint


def test_forbidden_is_unknown(server: Shim, bucket: S3Bucket) -> None:
    """A refused look is an error whichever request it was, never an absence."""
    server.answer = lambda _: error(403, "AccessDenied")
    told(lambda: bucket.head("k"), Denied)
    told(lambda: bucket.read("k"), Denied)
    told(lambda: bucket.delete("k", replaces=Version("1")), Denied)
    assert not bucket.missing_denied


EMPTY_LIST = Reply(body=b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")


def _without_list(asked: Asked) -> Reply:
    """A store that answers a missing key 403 to an identity that may list the prefix alone."""
    return EMPTY_LIST if "list-type" in asked.query else error(403, "AccessDenied")


def test_missing_key_answers_403(server: Shim, bucket: S3Bucket) -> None:
    """Where a missing key answers 403 a listing of exactly that key proves absence, and once learned it goes first."""
    server.answer = _without_list
    assert bucket.head("k") is None
    assert bucket.missing_denied
    before = len(server.asked)
    assert bucket.read("log/1") is None
    assert [one.query.get("prefix") for one in server.asked[before:]] == [["api/log/1"]]


def test_gone_under_a_condition_answers_403(server: Shim, bucket: S3Bucket) -> None:
    """There a conditional write or read of what is gone is refused too; proven absent, it is stale: look again."""
    server.answer = _without_list
    bucket.head("k")
    for ask in (
        lambda: bucket.delete("k", replaces=Version("1")),
        lambda: bucket.put("k", BytesBody(b"x"), replaces=Version("1"), meta={}),
        lambda: bucket.copy("k", "l", source_version=Version("1"), replaces=None, meta=None),
        lambda: bucket.get("k", if_match=Version("1")).__enter__(),
        lambda: bucket.copy_in_parts("k", "l", source_version=Version("1"), replaces=None, meta=None),
    ):
        with pytest.raises(DorkyError) as caught:
            ask()
        assert caught.value.code == "stale"
    told(lambda: create(bucket, "k"), Denied)


# --- credentials ------------------------------------------------------------------------------------------------------


def test_wrong_key(server: Shim, bucket: S3Bucket, home: Path) -> None:
    """A key that the store does not know is told by its end, its profile and its file, which stays as it is."""
    before = (home / "credentials").read_bytes()
    server.answer = lambda _: error(403, "InvalidAccessKeyId", f"for {KEY}")
    wrong = told(lambda: create(bucket, "k"), AuthExpired)
    assert f"access key …7KQX from the profile 'team' in {home}/credentials" in str(wrong)
    assert "aws configure --profile team" in wrong.hint
    assert (home / "credentials").read_bytes() == before


def test_wrong_secret(server: Shim, bucket: S3Bucket) -> None:
    """A secret that does not belong to its key is said so."""
    server.answer = lambda _: error(403, "SignatureDoesNotMatch")
    assert "secret not to belong to access key …7KQX" in str(told(lambda: create(bucket, "k"), AuthExpired))


def test_wrong_key_of_the_environment(server: Shim, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of the daemon's environment is not looked for in a file."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    server.answer = lambda _: error(403, "InvalidAccessKeyId")
    bucket = S3Bucket("s3://acme/api", endpoint_url=server.url)
    wrong = told(lambda: create(bucket, "k"), AuthExpired)
    assert "the environment variable AWS_ACCESS_KEY_ID" in str(wrong)
    assert "restart" in wrong.hint
    bucket.close()


_ASKS_TWICE = """
import sys
from dorkyd.buckets.s3 import S3Bucket
from dorkyd.buckets.s3_identity import Sources, identity_of
from dorkyd.errors import AuthExpired
bucket = S3Bucket("s3://acme/api", endpoint_url=sys.argv[1], profile="team-sso")
try:
    bucket.read("k")
except AuthExpired as expired:
    print(expired.hint, flush=True)
sys.stdin.readline()
print(bucket.read("k"))
bucket.close()
"""


def test_sso_expired_and_back(server: Shim, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An expired SSO login names the exact command; after it the same bucket goes on by itself."""
    start = "https://acme.awsapps.com/start"
    (home / "config").write_text(
        f"[profile team-sso]\nsso_start_url = {start}\nsso_region = eu-west-1\nsso_account_id = 123456789012\n"
        "sso_role_name = dev\n"
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", server.url)
    cache = home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    token = cache / f"{hashlib.sha1(start.encode(), usedforsecurity=False).hexdigest()}.json"

    def log_in(until: dt.datetime) -> None:
        document = {"startUrl": start, "region": "eu-west-1", "accessToken": "fake-token"}
        token.write_text(json.dumps({**document, "expiresAt": until.strftime("%Y-%m-%dT%H:%M:%SZ")}))

    now = dt.datetime.now(dt.UTC)
    until_ms = int((now + dt.timedelta(hours=1)).timestamp() * 1000)
    role = {"accessKeyId": KEY, "secretAccessKey": SECRET, "sessionToken": "fake", "expiration": until_ms}

    def answer(asked: Asked) -> Reply:
        if asked.path.startswith("/federation/"):
            return Reply(body=json.dumps({"roleCredentials": role}).encode())
        return error(404, "NoSuchKey")

    server.answer = answer
    log_in(now - dt.timedelta(hours=1))
    # A process of its own: the SDK remembers where its cache is from when it was imported.
    command = [sys.executable, "-c", _ASKS_TWICE, server.url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline().startswith("run `aws sso login --profile team-sso`; sync goes on by itself")
        assert server.asked == []
        log_in(now + dt.timedelta(hours=1))
        said, _ = child.communicate("logged in\n", timeout=60)
    assert said == "None\n"


def test_expired_session_credentials(server: Shim, bucket: S3Bucket, home: Path) -> None:
    """Temporary credentials pasted into a file expire: profile and file are named, and new ones are taken up."""
    server.answer = lambda _: error(400, "ExpiredToken")
    expired = told(lambda: create(bucket, "k"), AuthExpired)
    assert f"[team] in {home}/credentials" in expired.hint
    (home / "credentials").write_text(f"[team]\naws_access_key_id = {KEY[:-4]}NEWK\naws_secret_access_key = {SECRET}\n")
    told(lambda: create(bucket, "k"), AuthExpired)
    assert "NEWK/" in server.asked[-1].headers["authorization"]


# --- the rest ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("off_s", "way"), [(3600, "behind"), (-3600, "ahead of")])
def test_clock(server: Shim, bucket: S3Bucket, off_s: int, way: str) -> None:
    """A clock that the store refuses is told with how far it is off, measured on the reply, and the command."""
    at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=off_s)
    date = {"Date": email.utils.format_datetime(at, usegmt=True)}
    server.answer = lambda _: error(403, "RequestTimeTooSkewed", headers=date)
    blocked = told(lambda: create(bucket, "k"), Blocked)
    assert blocked.code == "clock-skew"
    found = re.search(rf"this machine's clock is (\d+) s {way} the store's", str(blocked))
    assert found is not None, str(blocked)
    assert 3590 < int(found[1]) < 3610
    assert "sudo timedatectl set-ntp true" in blocked.hint
    assert "sudo sntp -sS time.apple.com" in blocked.hint


def test_signature_refused_for_the_clock(server: Shim, bucket: S3Bucket) -> None:
    """Some stores call a wrong clock a wrong signature: when it is far off, that is said as well."""
    at = dt.datetime.now(dt.UTC) - dt.timedelta(hours=2)
    date = {"Date": email.utils.format_datetime(at, usegmt=True)}
    server.answer = lambda _: error(403, "SignatureDoesNotMatch", headers=date)
    assert "ahead of the store's, which can be why" in told(lambda: create(bucket, "k"), AuthExpired).hint
    server.answer = lambda _: error(403, "SignatureDoesNotMatch")
    assert "clock" not in told(lambda: create(bucket, "k"), AuthExpired).hint


def test_wrong_region(server: Shim, bucket: S3Bucket) -> None:
    """A region that cannot be followed is named with the setting."""
    region = {"x-amz-bucket-region": "eu-west-3"}
    server.answer = lambda _: error(301, "PermanentRedirect", headers=region)
    blocked = told(lambda: create(bucket, "k"), Blocked)
    assert blocked.code == "wrong-region"
    assert "region eu-west-3" in str(blocked)
    assert "set `region: eu-west-3`" in blocked.hint


def test_bucket_missing(server: Shim, bucket: S3Bucket) -> None:
    """A bucket that is not there is a person's to make."""
    server.answer = lambda _: error(404, "NoSuchBucket")
    assert told(lambda: create(bucket, "k"), Blocked).code == "no-such-bucket"


def test_quota(server: Shim, bucket: S3Bucket) -> None:
    """A full store or quota is told, with the bucket."""
    server.answer = lambda _: error(403, "QuotaExceeded")
    assert "quota" in str(told(lambda: create(bucket, "k"), DiskFull))


def test_when_a_key_ends() -> None:
    """Told where the SDK knows it, in UTC; asking for it renews nothing."""

    class Renewing:
        method = "sso"
        _access_key = "ASIAEXAMPLE7KQX"
        _expiry_time = datetime(2026, 11, 29, 14, 0, tzinfo=timezone(timedelta(hours=2)))

        @property
        def access_key(self) -> str:
            raise AssertionError("this renews them")

    found = identity_of(Renewing(), Sources("team", {}))
    assert (str(found), found.until) == ("access key …7KQX from the profile 'team' (SSO)", "2026-11-29T12:00:00Z")
