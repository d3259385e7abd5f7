"""What an S3 error means. `dorkyd.buckets.s3_advice` says it to a person, as one of `dorkyd.errors`.

Two tables. A *reply* is known by its `Code` (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html and
what MinIO, Ceph, SeaweedFS answer), or by its status where the code says nothing. A failure *without a reply* is known by
the names of botocore's exception classes, so that this module imports none of it and a class that an older release
lacks does no harm. What neither table knows is raised on as it is.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of the store, for messages."""

    operation: str
    """S3's own name, e.g. `PutObject`: the word that IAM policies use."""
    key: str
    """Relative to the prefix; empty when the request concerns no single key."""
    bucket: str
    prefix: str
    endpoint_url: str | None
    """None: AWS itself."""
    profile: str | None
    """None: the SDK's default."""

    def __str__(self) -> str:
        return f"{self.operation} {self.key!r} in {self.url}" if self.key else f"{self.operation} in {self.url}"

    @property
    def url(self) -> str:
        """Bucket and prefix."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def store(self) -> str:
        """The other side's name."""
        return self.endpoint_url or "AWS S3"


class Meaning(Enum):
    """What an error asks of us."""

    STALE = auto()
    BUSY = auto()
    PASSING = auto()
    OFFLINE = auto()
    CREDENTIALS = auto()
    DENIED = auto()
    NO_BUCKET = auto()
    CLOCK = auto()
    REGION = auto()
    NAME_TOO_LONG = auto()
    NAME = auto()
    METADATA = auto()
    TOO_LARGE = auto()
    ARCHIVED = auto()
    ENCRYPTION = auto()
    FULL = auto()
    NOT_BUILT = auto()
    SDK_CONFIGURATION = auto()


CODES: Mapping[str, Meaning] = {
    "PreconditionFailed": Meaning.STALE,
    "ConditionalRequestConflict": Meaning.STALE,
    "OperationAborted": Meaning.STALE,
    # `Asked` is always conditional, or a read of what was there: absence is news, not an error.
    "NoSuchKey": Meaning.STALE,
    # Somebody, or a lifecycle rule, ended our multipart upload.
    "NoSuchUpload": Meaning.STALE,
    "NoSuchVersion": Meaning.STALE,
    # The bytes sent are not those observed: the file changed on the way.
    "BadDigest": Meaning.STALE,
    "InvalidDigest": Meaning.STALE,
    "XAmzContentChecksumMismatch": Meaning.STALE,
    "XAmzContentSHA256Mismatch": Meaning.STALE,
    "SlowDown": Meaning.BUSY,
    "SlowDownRead": Meaning.BUSY,
    "SlowDownWrite": Meaning.BUSY,
    "Throttling": Meaning.BUSY,
    "ThrottlingException": Meaning.BUSY,
    "RequestLimitExceeded": Meaning.BUSY,
    "TooManyRequests": Meaning.BUSY,
    "TooManyRequestsException": Meaning.BUSY,
    "BandwidthLimitExceeded": Meaning.BUSY,
    "RequestTimeout": Meaning.PASSING,
    "IncompleteBody": Meaning.PASSING,
    "InvalidPart": Meaning.PASSING,
    "InternalError": Meaning.PASSING,
    "ServiceUnavailable": Meaning.PASSING,
    "TemporaryRedirect": Meaning.PASSING,
    "InvalidAccessKeyId": Meaning.CREDENTIALS,
    "InvalidClientTokenId": Meaning.CREDENTIALS,
    "UnrecognizedClientException": Meaning.CREDENTIALS,
    "SignatureDoesNotMatch": Meaning.CREDENTIALS,
    "ExpiredToken": Meaning.CREDENTIALS,
    "ExpiredTokenException": Meaning.CREDENTIALS,
    "TokenRefreshRequired": Meaning.CREDENTIALS,
    "InvalidToken": Meaning.CREDENTIALS,
    "InvalidSecurity": Meaning.CREDENTIALS,
    "AuthFailure": Meaning.CREDENTIALS,
    "AccessDenied": Meaning.DENIED,
    "AccessDeniedException": Meaning.DENIED,
    "AllAccessDisabled": Meaning.DENIED,
    "NoSuchBucket": Meaning.NO_BUCKET,
    "InvalidBucketName": Meaning.NO_BUCKET,
    "RequestTimeTooSkewed": Meaning.CLOCK,
    "RequestExpired": Meaning.CLOCK,
    "PermanentRedirect": Meaning.REGION,
    "AuthorizationHeaderMalformed": Meaning.REGION,
    "IllegalLocationConstraintException": Meaning.REGION,
    "IncorrectEndpoint": Meaning.REGION,
    "KeyTooLongError": Meaning.NAME_TOO_LONG,
    "KeyTooLong": Meaning.NAME_TOO_LONG,
    "XMinioInvalidObjectName": Meaning.NAME,
    "InvalidObjectName": Meaning.NAME,
    "MetadataTooLarge": Meaning.METADATA,
    "EntityTooLarge": Meaning.TOO_LARGE,
    "InvalidObjectState": Meaning.ARCHIVED,
    "InsufficientStorage": Meaning.FULL,
    "XMinioStorageFull": Meaning.FULL,
    "QuotaExceeded": Meaning.FULL,
    "XMinioAdminBucketQuotaExceeded": Meaning.FULL,
    "NotImplemented": Meaning.NOT_BUILT,
}

STATUSES: Mapping[int, Meaning] = {
    301: Meaning.REGION,
    307: Meaning.PASSING,
    401: Meaning.CREDENTIALS,
    403: Meaning.DENIED,
    408: Meaning.PASSING,
    409: Meaning.STALE,
    412: Meaning.STALE,
    429: Meaning.BUSY,
    501: Meaning.NOT_BUILT,
    507: Meaning.FULL,
}
"""For codes the table lacks. Other 5xx are passing, and so is any other redirect, which a network's login sends and no store;
a bare 404 or 400 says too little and is raised on.
"""

EXCEPTIONS: Mapping[str, Meaning] = {
    "EndpointConnectionError": Meaning.OFFLINE,
    "ConnectTimeoutError": Meaning.OFFLINE,
    "ProxyConnectionError": Meaning.OFFLINE,
    # A certificate nobody trusts is most often a captive portal, which passes; the hint covers the private authority.
    "SSLError": Meaning.OFFLINE,
    "HTTPClientError": Meaning.PASSING,
    "ConnectionError": Meaning.PASSING,
    "IncompleteReadError": Meaning.PASSING,
    "ResponseParserError": Meaning.PASSING,
    "NoCredentialsError": Meaning.CREDENTIALS,
    "PartialCredentialsError": Meaning.CREDENTIALS,
    "CredentialRetrievalError": Meaning.CREDENTIALS,
    "MetadataRetrievalError": Meaning.CREDENTIALS,
    "RefreshWithMFAUnsupportedError": Meaning.CREDENTIALS,
    "UnknownCredentialError": Meaning.CREDENTIALS,
    "ProfileNotFound": Meaning.CREDENTIALS,
    "SSOError": Meaning.CREDENTIALS,
    "LoginError": Meaning.CREDENTIALS,
    "TokenRetrievalError": Meaning.CREDENTIALS,
    "NoAuthTokenError": Meaning.CREDENTIALS,
    "PendingAuthorizationExpiredError": Meaning.CREDENTIALS,
    "ConfigParseError": Meaning.SDK_CONFIGURATION,
    "ConfigNotFound": Meaning.SDK_CONFIGURATION,
    "InvalidConfigError": Meaning.SDK_CONFIGURATION,
    "InvalidProxiesConfigError": Meaning.SDK_CONFIGURATION,
    "InvalidRegionError": Meaning.SDK_CONFIGURATION,
}
"""By class name, nearest base first. Only classes from the SDK's packages count."""

SDK_PACKAGES = ("botocore", "boto3", "urllib3", "s3transfer")


def reply_of(error: Exception) -> Mapping[str, Any] | None:
    """The store's reply carried by botocore's `ClientError`; None for other errors."""
    reply = getattr(error, "response", None)
    return reply if isinstance(reply, Mapping) and "Error" in reply else None


def code_of(error: Exception) -> str:
    """S3's error code; the status as text where the reply had no body (HEAD); empty when there was no reply."""
    reply = reply_of(error)
    return "" if reply is None else str(reply["Error"].get("Code", ""))


def status_of(error: Exception) -> int:
    """The HTTP status; 0 when there was no reply."""
    reply = reply_of(error)
    return 0 if reply is None else int(reply.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def meaning_of(error: Exception) -> Meaning | None:
    """Look an error up in the tables. None: not known."""
    reply = reply_of(error)
    if reply is None:
        return next((EXCEPTIONS[name] for name in _sdk_names(error) if name in EXCEPTIONS), None)
    code, status = code_of(error), status_of(error)
    if code == "AuthorizationHeaderMalformed" and "Region" not in reply["Error"]:
        return Meaning.CREDENTIALS
    if code == "InvalidRequest" and "copy source is larger" in str(reply["Error"].get("Message", "")):
        return Meaning.TOO_LARGE
    if code.startswith("KMS."):
        return Meaning.ENCRYPTION
    known = CODES.get(code) or STATUSES.get(status)
    return Meaning.PASSING if known is None and (status >= 500 or 300 <= status < 400) else known


def region_of(error: Exception) -> str | None:
    """The region that the reply names as the bucket's own; None when it names none."""
    reply = reply_of(error)
    if reply is None:
        return None
    headers = reply.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    named = headers.get("x-amz-bucket-region") or reply["Error"].get("Region")
    return str(named) if named else None


def retry_after_of(error: Exception, now: dt.datetime) -> float | None:
    """Seconds the store asked us to wait (`Retry-After`, RFC 9110 10.2.3: seconds or a date); None: it did not."""
    text = _header(error, "retry-after")
    if text.isascii() and text.isdigit():
        return float(text)
    at = _date_of(text)
    return None if at is None else max(0.0, (at - now).total_seconds())


def _header(error: Exception, name: str) -> str:
    """One header of the reply; empty: it has none."""
    reply = reply_of(error) or {}
    return str(reply.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get(name, "")).strip()


def _date_of(text: str) -> dt.datetime | None:
    """An HTTP date (RFC 9110 5.6.7)."""
    try:
        at = email.utils.parsedate_to_datetime(text)
    except ValueError:  # absent, or another form: the store said nothing
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a 403 of AWS says beside its code; each None where it does not (most other stores say nothing)."""

    identity: str | None = None
    """The caller's ARN."""
    action: str | None = None
    """As policies name it, e.g. `s3:PutObject` or `kms:Decrypt`."""
    resource: str | None = None
    """The ARN that the action was for."""
    denied_by: str | None = None
    """The kind of policy that denies it explicitly, e.g. `bucket policy`, so that no Allow elsewhere helps."""


def refusal_of(error: Exception) -> Refusal:
    """Read out of the store's message what has the exact form of an ARN, an action or a kind of policy, and no more of it.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html
    """
    reply = reply_of(error)
    text = "" if reply is None else str(reply["Error"].get("Message", ""))
    return Refusal(*(found[1] if (found := form.search(text)) else None for form in _REFUSALS))


_REFUSALS = (
    re.compile(r"User: (arn:aws[\w-]*:(?:iam|sts)::\d*:[\w+=,.@/-]+)"),
    re.compile(r"not authorized to perform: ((?:s3|kms):\w+)"),
    re.compile(r"on resource: \"?(arn:aws[\w-]*:(?:s3|kms):[^\s\"<>]*[^\s\"<>.,])"),
    re.compile(r"with an explicit deny in an? ([a-z ]*policy)"),
)
_KEY_ARN = re.compile(r"arn:aws[\w-]*:kms:[\w-]+:\d+:(?:key|alias)/[\w/-]+")


def kms_key_of(error: Exception) -> str | None:
    """The ARN of the KMS key that the store's message names."""
    reply = reply_of(error)
    found = _KEY_ARN.search(str(reply["Error"].get("Message", ""))) if reply is not None else None
    return found[0] if found else None


def clock_ahead_s(error: Exception, now: dt.datetime) -> float | None:
    """How far this machine's clock is ahead of the store's, in seconds, by the reply's `Date` (whole seconds); negative:
    behind. None: it has none.
    """
    at = _date_of(_header(error, "date"))
    return None if at is None else (now - at).total_seconds()


def _sdk_names(error: Exception) -> list[str]:
    """Class names, nearest first, up to where the SDK's own classes end."""
    return [kind.__name__ for kind in type(error).__mro__ if kind.__module__.partition(".")[0] in SDK_PACKAGES]
