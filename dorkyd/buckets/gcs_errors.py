"""What an error of Google Cloud Storage means: the one place where its and the SDK's errors become `dorkyd.errors`.

A *reply* is known by Google's `reason` (https://cloud.google.com/storage/docs/json_api/v1/status-codes), or by its status
where the reason says nothing. A failure *without a reply* is known by the names of the classes of google-auth, requests and
urllib3, so that this module imports none of them.

A message names operation, object, bucket and, when Google's text tells them, the permission that lacks and the identity that
lacks it. It never repeats the rest of that text, nor an SDK's, nor the URI of an upload session, which is a capability.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from dorkyd.errors import (
    AuthExpired,
    Blocked,
    Denied,
    DorkyError,
    RateLimited,
    SessionGone,
    Stale,
    Transient,
    Unsupported,
)

LOGIN = "gcloud auth application-default login"


class Answered(Exception):
    """A reply that is no success. `message` is Google's own text, not to be shown."""

    def __init__(self, status: int, reason: str, message: str, retry_after: str = "") -> None:
        super().__init__(f"{status} {reason}".strip())
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    @property
    def name(self) -> str:
        """For messages."""
        return str(self)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of the store, for messages."""

    operation: str
    """The API's own name, e.g. `objects.insert`."""
    permissions: tuple[str, ...]
    """What IAM wants for it."""
    key: str
    """Relative to the prefix; empty when the request concerns no single object."""
    bucket: str
    prefix: str
    endpoint_url: str | None
    """None: Google itself."""
    in_session: bool = False
    """The request concerns an upload session that was begun."""

    def __str__(self) -> str:
        where = f"gs://{self.bucket}/{self.prefix}".rstrip("/")
        return f"{self.operation} {self.key!r} in {where}" if self.key else f"{self.operation} in {where}"

    @property
    def store(self) -> str:
        """The other side's name."""
        return self.endpoint_url or "Google Cloud Storage"


class Meaning(Enum):
    """What an error asks of us."""

    STALE = auto()
    SESSION_GONE = auto()
    BUSY = auto()
    PASSING = auto()
    OFFLINE = auto()
    CREDENTIALS = auto()
    DENIED = auto()
    NO_BUCKET = auto()
    TOO_LARGE = auto()
    HELD = auto()
    ACCOUNT = auto()
    ENCRYPTION = auto()
    QUOTA = auto()
    UNKNOWN = auto()


REASONS: Mapping[str, Meaning] = {
    "conditionNotMet": Meaning.STALE,
    "conflict": Meaning.STALE,
    "notModified": Meaning.STALE,
    "rateLimitExceeded": Meaning.BUSY,
    "userRateLimitExceeded": Meaning.BUSY,
    "tooManyRequests": Meaning.BUSY,
    "backendError": Meaning.PASSING,
    "internalError": Meaning.PASSING,
    "authError": Meaning.CREDENTIALS,
    "required": Meaning.CREDENTIALS,
    "expired": Meaning.CREDENTIALS,
    "invalidCredentials": Meaning.CREDENTIALS,
    "quotaExceeded": Meaning.QUOTA,
    "dailyLimitExceeded": Meaning.QUOTA,
    "uploadTooLarge": Meaning.TOO_LARGE,
    "retentionPolicyNotMet": Meaning.HELD,
    "objectUnderActiveHold": Meaning.HELD,
    "accountDisabled": Meaning.ACCOUNT,
    "accessNotConfigured": Meaning.ACCOUNT,
    "userProjectAccountProblem": Meaning.ACCOUNT,
    "userProjectMissing": Meaning.ACCOUNT,
    "billingDisabled": Meaning.ACCOUNT,
}

STATUSES: Mapping[int, Meaning] = {
    304: Meaning.STALE,
    401: Meaning.CREDENTIALS,
    403: Meaning.DENIED,
    408: Meaning.PASSING,
    409: Meaning.STALE,
    412: Meaning.STALE,
    413: Meaning.TOO_LARGE,
    429: Meaning.BUSY,
    507: Meaning.QUOTA,
}
"""For reasons the table lacks. Other 5xx are passing."""

EXCEPTIONS: Mapping[str, Meaning] = {
    # google-auth
    "DefaultCredentialsError": Meaning.CREDENTIALS,
    "RefreshError": Meaning.CREDENTIALS,
    "TransportError": Meaning.OFFLINE,
    "GoogleAuthError": Meaning.CREDENTIALS,
    # requests
    "ConnectTimeout": Meaning.OFFLINE,
    "SSLError": Meaning.OFFLINE,
    "ProxyError": Meaning.OFFLINE,
    "RequestException": Meaning.PASSING,
    # urllib3, while a body comes in
    "HTTPError": Meaning.PASSING,
}
"""By class name, nearest base first. Only classes from the SDK's packages count."""

SDK_PACKAGES = ("google", "requests", "urllib3")
NEVER_CONNECTED = {"NewConnectionError", "NameResolutionError", "ConnectTimeoutError"}
"""urllib3's reasons for which no request went out at all."""

_IDENTITY = re.compile(r"^(\S+@\S+|Anonymous caller) does not have ")
_PERMISSION = re.compile(r"\b(storage\.[a-zA-Z]+\.[a-zA-Z]+|cloudkms\.[a-zA-Z.]+)\b")
_SUMS = re.compile(r"(?i)(md5|crc32c|checksum|hash).*match|match.*(md5|crc32c|checksum|hash)")


def meaning_of(error: Exception, *, in_session: bool = False) -> Meaning | None:
    """Look an error up in the tables. None: not known."""
    if not isinstance(error, Answered):
        return _without_reply(error)
    if in_session and error.status in {404, 410}:
        return Meaning.SESSION_GONE
    if says_no_bucket(error):
        return Meaning.NO_BUCKET
    if error.status == 404:
        # Every request about an object is conditional, or reads what was there: absence is news, not an error.
        return Meaning.STALE
    if error.status in {400, 403} and ("cloud kms" in error.message.lower() or "kms" in error.reason.lower()):
        return Meaning.ENCRYPTION
    if says_other_bytes(error):
        return Meaning.STALE  # the bytes that came are not those observed
    known = REASONS.get(error.reason) or STATUSES.get(error.status)
    if known is None:
        return Meaning.PASSING if error.status >= 500 else Meaning.UNKNOWN
    return known


def says_other_bytes(error: object) -> bool:
    """The reply says that the bytes which came have not the checksum that was sent with them."""
    return isinstance(error, Answered) and error.status == 400 and bool(_SUMS.search(error.message))


def says_no_object(error: Answered) -> bool:
    """The reply proves that the bucket is there and the object is not."""
    return error.status == 404 and error.message.startswith("No such object")


def says_no_bucket(error: Answered) -> bool:
    """The reply says that there is no such bucket."""
    text = error.message.lower()
    return error.status == 404 and "bucket" in text and ("does not exist" in text or "not found" in text)


def convert(error: Exception, asked: Asked) -> DorkyError | None:
    """Our error for theirs. None: not known, raise it on. The caller raises the result `from error`."""
    if isinstance(error, DorkyError):
        return error
    meaning = meaning_of(error, in_session=asked.in_session)
    return None if meaning is None else _say(meaning, error, asked)


def no_bucket(asked: Asked) -> Blocked:
    """There is no such bucket."""
    return Blocked(
        f"{asked.store} has no bucket {asked.bucket!r}",
        code="no-such-bucket",
        hint="correct `bucket:` in the configuration, or create the bucket; dorkyd never creates one",
    )


def retry_after_of(error: Exception, now: dt.datetime) -> float | None:
    """Seconds the store asked us to wait (`Retry-After`, RFC 9110 10.2.3: seconds or a date); None: it did not."""
    text = error.retry_after.strip() if isinstance(error, Answered) else ""
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        at = email.utils.parsedate_to_datetime(text)
    except ValueError:  # absent, or neither form: the store said nothing
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=dt.UTC)
    return max(0.0, (at - now).total_seconds())


def _without_reply(error: Exception) -> Meaning | None:
    names = [kind.__name__ for kind in type(error).__mro__ if kind.__module__.partition(".")[0] in SDK_PACKAGES]
    if "RefreshError" in names and getattr(error, "retryable", False):
        return Meaning.OFFLINE
    inner = getattr(error.args[0], "reason", None) if error.args else None
    if "ConnectionError" in names and type(inner).__name__ in NEVER_CONNECTED:
        return Meaning.OFFLINE
    return next((EXCEPTIONS[name] for name in names if name in EXCEPTIONS), None)


def _say(meaning: Meaning, error: Exception, asked: Asked) -> DorkyError:
    name = error.name if isinstance(error, Answered) else type(error).__name__
    match meaning:
        case Meaning.STALE:
            return Stale(f"{asked}: {name}")
        case Meaning.SESSION_GONE:
            return SessionGone(f"{asked}: the upload is not known ({name})")
        case Meaning.BUSY:
            wait = retry_after_of(error, dt.datetime.now(dt.UTC))
            return RateLimited(f"{asked.store} asks for fewer requests ({name}, {asked})", retry_after_s=wait)
        case Meaning.PASSING:
            wait = retry_after_of(error, dt.datetime.now(dt.UTC))
            return Transient(f"{asked}: {name}", retry_after_s=wait)
        case Meaning.OFFLINE:
            hint = "check `endpoint_url:` if this does not pass" if asked.endpoint_url else ""
            if name == "SSLError":
                hint = "trust its certificate with REQUESTS_CA_BUNDLE, or log in to this network"
            return Transient(f"{asked.store} cannot be reached ({name})", hint=hint, offline=True)
        case Meaning.CREDENTIALS:
            return AuthExpired(
                f"{asked.store} does not accept the application default credentials ({name})",
                hint=f"run `{LOGIN}`, or point GOOGLE_APPLICATION_CREDENTIALS at a key file in the daemon's environment",
            )
        case Meaning.DENIED:
            return _denied(error, asked)
        case Meaning.TOO_LARGE:
            return Unsupported(asked.key, f"{asked}: too large ({name})", code="too-large")
        case _:
            return _blocked(meaning, name, asked)


def _denied(error: Exception, asked: Asked) -> Denied:
    text = error.message if isinstance(error, Answered) else ""
    identity, permission = _IDENTITY.search(text), _PERMISSION.search(text)
    who = identity[1] if identity else "the application default credentials"
    missing = permission[1] if permission else " and ".join(asked.permissions)
    role = "roles/storage.objectViewer" if missing in _READS else "roles/storage.objectUser"
    member = f"serviceAccount:{who}" if who.endswith(".gserviceaccount.com") else f"user:{who}"
    grant = f" --member={member}" if identity and "@" in who else ""
    return Denied(
        f"{asked}: {who} may not: {missing} is missing",
        hint=f"grant {role}: `gcloud storage buckets add-iam-policy-binding gs://{asked.bucket} --role={role}{grant}`",
    )


_READS = {"storage.objects.get", "storage.objects.list"}


def _blocked(meaning: Meaning, name: str, asked: Asked) -> Blocked:
    match meaning:
        case Meaning.NO_BUCKET:
            return no_bucket(asked)
        case Meaning.QUOTA:
            return Blocked(
                f"{asked}: a quota is used up ({name})", code="quota", hint="raise the quota in the cloud's console"
            )
        case Meaning.HELD:
            return Blocked(
                f"{asked}: a retention policy or hold keeps the object ({name})",
                code="held",
                hint="wait until it ends, or remove the hold or the bucket's retention policy",
            )
        case Meaning.ACCOUNT:
            return Blocked(
                f"{asked.store} refuses the project's account ({name})",
                code="account",
                hint="check billing, and that the Cloud Storage API is enabled for the project",
            )
        case Meaning.ENCRYPTION:
            return Blocked(
                f"{asked}: the bucket's encryption key cannot be used ({name})",
                code="kms",
                hint="check that the key is enabled, and that the project's Cloud Storage service agent has "
                "roles/cloudkms.cryptoKeyEncrypterDecrypter on it",
            )
        case _:
            return Blocked(
                f"{asked.store} refuses {asked.operation} as sent ({name})",
                code="not-supported",
                hint="correct `endpoint_url:` if it is no Google Cloud Storage",
            )
