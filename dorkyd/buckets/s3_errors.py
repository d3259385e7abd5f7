"""What an S3 error means: the one place where botocore's and the store's errors become `dorkyd.errors`.

Two tables. A *reply* is known by its `Code` (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html and
what MinIO, Ceph, SeaweedFS answer), or by its status where the code says nothing. A failure *without a reply* is known by
the names of botocore's exception classes, so that this module imports none of it and a class that an older release
lacks does no harm. What neither table knows is raised on as it is.

A message names action, key, bucket, endpoint and profile. It never repeats the store's or the SDK's own text, which can hold
access keys, signatures and what a credential process printed.
"""

from __future__ import annotations

import datetime as dt
import email.utils
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from dorkyd.errors import (
    AuthExpired,
    Blocked,
    Configuration,
    Denied,
    DiskFull,
    DorkyError,
    RateLimited,
    Stale,
    Transient,
    Unsupported,
)


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
        where = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        return f"{self.operation} {self.key!r} in {where}" if self.key else f"{self.operation} in {where}"

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
"""For codes the table lacks. Other 5xx are passing; a bare 404 or 400 says too little and is raised on."""

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
    return Meaning.PASSING if known is None and status >= 500 else known


def convert(error: Exception, asked: Asked) -> DorkyError | None:
    """Our error for the SDK's. None: not known, raise it on.

    The caller raises the result `from error`.
    """
    if isinstance(error, DorkyError):
        return error
    meaning = meaning_of(error)
    return None if meaning is None else _say(meaning, error, asked)


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
    reply = reply_of(error)
    if reply is None:
        return None
    text = str(reply.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "")).strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        at = email.utils.parsedate_to_datetime(text)
    except ValueError:  # absent, or neither form: the store said nothing
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=dt.UTC)
    return max(0.0, (at - now).total_seconds())


def _sdk_names(error: Exception) -> list[str]:
    """Class names, nearest first, up to where the SDK's own classes end."""
    return [kind.__name__ for kind in type(error).__mro__ if kind.__module__.partition(".")[0] in SDK_PACKAGES]


def _say(meaning: Meaning, error: Exception, asked: Asked) -> DorkyError:
    name = code_of(error) or type(error).__name__
    match meaning:
        case Meaning.STALE:
            return Stale(f"{asked}: {name}")
        case Meaning.BUSY:
            wait = retry_after_of(error, dt.datetime.now(dt.UTC))
            return RateLimited(f"{asked.store} asks for fewer requests ({name}, {asked})", retry_after_s=wait)
        case Meaning.PASSING:
            wait = retry_after_of(error, dt.datetime.now(dt.UTC))
            return Transient(f"{asked}: {name}", retry_after_s=wait)
        case Meaning.OFFLINE:
            return Transient(f"{asked.store} cannot be reached ({name})", hint=_offline_hint(name, asked), offline=True)
        case Meaning.CREDENTIALS:
            return AuthExpired(
                f"{asked.store} does not accept the credentials of {_profile(asked)} ({name})",
                hint=_credentials_hint(name, asked),
            )
        case Meaning.DENIED:
            return Denied(
                f"{asked}: access denied ({name})",
                hint=f"allow {_permission(asked)} on s3://{asked.bucket}/{asked.prefix} to {_profile(asked)}",
            )
        case Meaning.NAME_TOO_LONG:
            return Unsupported(
                asked.key,
                f"{asked.store} refuses the name as too long ({name})",
                code="name-too-long",
                hint="shorten the file's path",
            )
        case Meaning.NAME:
            return Unsupported(
                asked.key, f"{asked.store} cannot hold this name ({name})", code="name", hint="rename the file"
            )
        case Meaning.METADATA:
            return Unsupported(
                asked.key, f"{asked.store} refuses the metadata ({name})", code="metadata", hint="shorten the metadata"
            )
        case Meaning.TOO_LARGE:
            return Unsupported(asked.key, f"{asked}: too large ({name})", code="too-large")
        case Meaning.ARCHIVED:
            return Unsupported(
                asked.key,
                f"{asked}: the object is archived ({name})",
                code="archived",
                hint="restore it from the archive tier with your cloud's console or `aws s3api restore-object`",
            )
        case Meaning.SDK_CONFIGURATION:
            return Configuration(
                f"the AWS configuration cannot be used ({name})", hint="correct ~/.aws/config; `aws configure list`"
            )
        case Meaning.FULL:
            return DiskFull(f"{asked.store} has no room left ({name})", hint="free space there or raise the quota")
        case _:
            return _blocked(meaning, name, error, asked)


def _blocked(meaning: Meaning, name: str, error: Exception, asked: Asked) -> Blocked:
    match meaning:
        case Meaning.NO_BUCKET:
            return Blocked(
                f"{asked.store} has no bucket {asked.bucket!r}",
                code="no-such-bucket",
                hint="correct `bucket:` in the configuration, or create the bucket; dorkyd never creates one",
            )
        case Meaning.CLOCK:
            return Blocked(
                f"{asked.store} refuses this machine's clock ({name})",
                code="clock-skew",
                hint="set the clock, e.g. `timedatectl set-ntp true`",
            )
        case Meaning.REGION:
            region = region_of(error)
            return Blocked(
                f"the bucket {asked.bucket!r} is in another region ({name})",
                code="wrong-region",
                hint=f"set `region: {region}`" if region else "set `region:` to the bucket's own",
            )
        case Meaning.ENCRYPTION:
            return Blocked(
                f"{asked}: the bucket's encryption key cannot be used ({name})",
                code="kms",
                hint="check that the KMS key is enabled and that kms:GenerateDataKey and kms:Decrypt are allowed",
            )
        case _:
            return Blocked(
                f"{asked.store} does not support {asked.operation} as sent ({name})",
                code="not-supported",
                hint="use a store that implements it",
            )


def _profile(asked: Asked) -> str:
    return f"the profile {asked.profile!r}" if asked.profile else "the default profile"


def _permission(asked: Asked) -> str:
    names = {
        "HeadObject": "s3:GetObject",
        "ListObjectsV2": "s3:ListBucket",
        "CopyObject": "s3:GetObject and s3:PutObject",
        "CreateMultipartUpload": "s3:PutObject",
        "UploadPart": "s3:PutObject",
        "CompleteMultipartUpload": "s3:PutObject",
    }
    return names.get(asked.operation, f"s3:{asked.operation}")


def _offline_hint(name: str, asked: Asked) -> str:
    if name == "SSLError":
        return "trust its certificate with AWS_CA_BUNDLE, or log in to this network"
    return "check `endpoint_url:` if this does not pass" if asked.endpoint_url else ""


def _credentials_hint(name: str, asked: Asked) -> str:
    option = f" --profile {asked.profile}" if asked.profile else ""
    if name == "ProfileNotFound":
        return f"correct `profile:` in the configuration, or run `aws configure{option}`"
    if name in {"NoCredentialsError", "PartialCredentialsError", "InvalidAccessKeyId", "SignatureDoesNotMatch"}:
        return f"run `aws configure{option}`, or `aws sso login{option}`"
    return f"run `aws sso login{option}`, or renew the credentials as your team does"
