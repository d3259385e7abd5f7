"""What a person is told of an S3 error: what happened, to what, as whom, and what to run. docs/errors.md has the table.

A message names action, key, bucket, endpoint, and the credentials by where they come from and the last four characters of
the key's id. It never repeats the store's or the SDK's own text, which can hold whole access keys, signatures and what a
credential process printed; what has the exact form of an ARN, an action or a kind of policy is read out of it.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence

from dorkyd.buckets.s3_errors import (
    Asked,
    Meaning,
    Refusal,
    clock_ahead_s,
    code_of,
    kms_key_of,
    meaning_of,
    refusal_of,
    region_of,
    retry_after_of,
    status_of,
)
from dorkyd.buckets.s3_identity import Identity
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

SET_CLOCK = "sudo timedatectl set-ntp true` (macOS: `sudo sntp -sS time.apple.com"
CLOCK_OFF_S = 300.0
"""From here on a clock is worth a word. Stores refuse at 900 s."""

ACTIONS: Mapping[str, Sequence[str]] = {
    "HeadObject": ("s3:GetObject",),
    "ListObjectsV2": ("s3:ListBucket",),
    "CopyObject": ("s3:GetObject", "s3:PutObject"),
    "UploadPartCopy": ("s3:GetObject", "s3:PutObject"),
    "CreateMultipartUpload": ("s3:PutObject",),
    "UploadPart": ("s3:PutObject",),
    "CompleteMultipartUpload": ("s3:PutObject",),
    "ListParts": ("s3:ListMultipartUploadParts",),
    "ListMultipartUploads": ("s3:ListBucketMultipartUploads",),
    "GetBucketLifecycleConfiguration": ("s3:GetLifecycleConfiguration",),
    "GetPublicAccessBlock": ("s3:GetBucketPublicAccessBlock",),
}
"""What an operation needs, where that is not `s3:` and its own name.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
"""
OF_THE_BUCKET = frozenset({
    "s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:GetBucketVersioning", "s3:GetLifecycleConfiguration",
    "s3:GetBucketPublicAccessBlock",
})  # fmt: skip
KMS_ACTIONS = ("kms:GenerateDataKey", "kms:Decrypt")
_ENCRYPTED = frozenset({"GetObject", "HeadObject", "PutObject", "CopyObject", "CreateMultipartUpload", "UploadPart"})
_WRONG_KEY = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidClientTokenId"})
_SSO = frozenset({
    "SSOError", "UnauthorizedSSOTokenError", "SSOTokenLoadError", "TokenRetrievalError", "NoAuthTokenError",
    "PendingAuthorizationExpiredError",
})  # fmt: skip

Who = Callable[[], Identity]


def convert(error: Exception, asked: Asked, who: Who | None = None) -> DorkyError | None:
    """Our error for the SDK's. None: not known, raise it on.

    `who`: as whom was asked, called only where that is told. The caller raises the result `from error`.
    """
    if isinstance(error, DorkyError):
        return error
    meaning = meaning_of(error)
    if meaning is None:
        return None
    name = code_of(error) or type(error).__name__
    match meaning:
        case Meaning.STALE:
            return Stale(f"{asked}: {name}")
        case Meaning.BUSY | Meaning.PASSING | Meaning.OFFLINE:
            return _passing(meaning, name, error, asked)
        case Meaning.CREDENTIALS:
            return _credentials(name, error, asked, _who(asked, who))
        case Meaning.DENIED:
            return _denied(name, refusal_of(error), asked, _who(asked, who))
        case Meaning.NAME_TOO_LONG | Meaning.NAME | Meaning.METADATA | Meaning.TOO_LARGE | Meaning.ARCHIVED:
            return _one_path(meaning, name, asked)
        case Meaning.SDK_CONFIGURATION:
            return Configuration(
                f"the AWS configuration cannot be used ({name})",
                hint="correct ~/.aws/config; `aws configure list` shows what is in force",
            )
        case Meaning.FULL:
            return DiskFull(
                f"{asked.store} has no room left or its quota is used up ({name})",
                hint=f"free space in {asked.bucket!r} or have its quota raised; downloads go on meanwhile",
            )
        case _:
            return _blocked(meaning, name, error, asked)


def statement(actions: Sequence[str], asked: Asked, *, resource: str | None = None) -> str:
    """The statement that allows these actions on what lies below the prefix, as JSON on one line. All of them concern
    objects, or all the bucket. `resource`: another ARN.
    """
    below = f"{asked.prefix}/*" if asked.prefix else "*"
    made: dict[str, object] = {"Effect": "Allow", "Action": list(actions) if len(actions) > 1 else actions[0]}
    if resource is not None:
        made["Resource"] = resource
    elif set(actions) <= OF_THE_BUCKET:
        made["Resource"] = f"arn:aws:s3:::{asked.bucket}"
        if "s3:ListBucket" in actions and asked.prefix:
            made["Condition"] = {"StringLike": {"s3:prefix": below}}
    else:
        made["Resource"] = f"arn:aws:s3:::{asked.bucket}/{below}"
    return json.dumps(made)


def _who(asked: Asked, who: Who | None) -> Identity:
    return who() if who is not None else Identity(asked.profile or "default")


def _passing(meaning: Meaning, name: str, error: Exception, asked: Asked) -> Transient:
    wait = retry_after_of(error, dt.datetime.now(dt.UTC))
    if meaning is Meaning.BUSY:
        return RateLimited(f"{asked.store} asks for fewer requests ({name}, {asked})", retry_after_s=wait)
    if meaning is Meaning.PASSING:
        told = f"{asked}: {name}" if status_of(error) else f"{asked.store} gave no whole answer ({name}, {asked})"
        return Transient(told, retry_after_s=wait)
    hint = "check `endpoint_url:` if this does not pass" if asked.endpoint_url else ""
    if name == "SSLError":
        hint = "trust its certificate with AWS_CA_BUNDLE, or log in to this network"
    return Transient(f"{asked.store} cannot be reached ({name})", hint=hint, offline=True)


def _denied(name: str, refusal: Refusal, asked: Asked, who: Identity) -> Denied:
    """Who may not do what on which ARN, and the statement that is missing."""
    caller = f"{refusal.identity} ({who})" if refusal.identity else str(who)
    actions = (refusal.action,) if refusal.action else ACTIONS.get(asked.operation, (f"s3:{asked.operation}",))
    encryption = bool(refusal.action and refusal.action.startswith("kms:"))
    if encryption:
        actions = KMS_ACTIONS
        resource = refusal.resource or "the ARN of the bucket's KMS key"
        told = f"{refusal.action} on {resource}"
    else:
        resource = refusal.resource or _arn(actions, asked)
        told = f"{' and '.join(actions)} on {resource}"
    message = f"{asked}: access denied ({name}): {caller} may not {told}"
    code = "kms" if encryption else None
    if refusal.denied_by:
        return Denied(
            f"{message}, by an explicit deny in a {refusal.denied_by}",
            hint=f"have that deny lifted for {refusal.identity or who}: an Allow elsewhere does not help",
            code=code,
        )
    wanted = statement(actions, asked, resource=resource if encryption else None)
    more = ""
    if not encryption and asked.operation in _ENCRYPTED and asked.endpoint_url is None:
        more = f"; if the bucket is encrypted with a KMS key, {' and '.join(KMS_ACTIONS)} on that key too"
    return Denied(message, hint=f"add to the policy of {refusal.identity or who}: {wanted}{more}", code=code)


def _arn(actions: Sequence[str], asked: Asked) -> str:
    bucket = f"arn:aws:s3:::{asked.bucket}"
    if set(actions) <= OF_THE_BUCKET:
        return bucket
    return f"{bucket}/{f'{asked.prefix}/' if asked.prefix else ''}{asked.key or '*'}"


def _credentials(name: str, error: Exception, asked: Asked, who: Identity) -> AuthExpired:
    skew = clock_ahead_s(error, dt.datetime.now(dt.UTC)) or 0.0
    clock = f"; {_skew(skew)}, which can be why: `{SET_CLOCK}`" if abs(skew) > CLOCK_OFF_S else ""
    if name in _WRONG_KEY:
        what = "does not know" if name != "SignatureDoesNotMatch" else "finds the secret not to belong to"
        option = _option(who)
        hint = f"correct it there, or run `aws configure{option}`; dorkyd never writes that"
        if who.method == "env":
            hint = "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY where the daemon is started, and restart it"
        return AuthExpired(f"{asked.store} {what} {who} ({name})", hint=f"{hint}{clock}")
    if name == "ProfileNotFound":
        return AuthExpired(
            f"the AWS configuration has no profile {who.profile!r} ({name})",
            hint=f"correct `profile:` in the configuration, or run `aws configure{_option(who)}`",
        )
    if name in {"NoCredentialsError", "PartialCredentialsError"}:
        return AuthExpired(
            f"there are no credentials for {asked.store} in the profile {who.profile!r} nor in the daemon's environment ({name})",
            hint=f"run `aws configure{_option(who)}`, or `aws sso login{_option(who)}`; {_RESUMES}",
        )
    return AuthExpired(
        f"{asked.store} does not accept {who} any more ({name})", hint=f"{_renew(name, who)}; {_RESUMES}{clock}"
    )


_RESUMES = "sync goes on by itself afterwards"


def _renew(name: str, who: Identity) -> str:
    option = _option(who)
    if name in _SSO or who.method.startswith("sso"):
        return f"run `aws sso login{option}`"
    if name.startswith("Login") or who.method == "login":
        return f"run `aws login{option}`"
    match who.method:
        case "env":
            return "renew the AWS_* variables where the daemon is started, and restart it"
        case "shared-credentials-file" | "config-file":
            return f"renew the temporary credentials of [{who.profile}] in {who.file}, as your team does"
        case "custom-process":
            return f"see what the credential_process of the profile {who.profile!r} says"
        case _:
            return f"run `aws sso login{option}`, or renew the credentials as your team does"


def _option(who: Identity) -> str:
    return f" --profile {who.profile}" if who.profile != "default" else ""


def _skew(ahead_s: float) -> str:
    way = "ahead of" if ahead_s > 0 else "behind"
    return f"this machine's clock is {abs(ahead_s):.0f} s {way} the store's"


def _one_path(meaning: Meaning, name: str, asked: Asked) -> Unsupported:
    match meaning:
        case Meaning.NAME_TOO_LONG:
            told, code, hint = "refuses the name as too long", "name-too-long", "shorten the file's path"
        case Meaning.NAME:
            told, code, hint = "cannot hold this name", "name", "rename the file"
        case Meaning.METADATA:
            told, code, hint = "refuses the metadata", "metadata", "shorten the metadata"
        case Meaning.TOO_LARGE:
            told, code, hint = f"takes nothing so large ({asked.operation})", "too-large", "keep it out with `ignore:`"
        case _:
            told, code = "has archived the object", "archived"
            hint = "restore it from the archive tier with your cloud's console or `aws s3api restore-object`"
    return Unsupported(asked.key, f"{asked.key!r}: {asked.store} {told} ({name})", code=code, hint=hint)


def _blocked(meaning: Meaning, name: str, error: Exception, asked: Asked) -> Blocked:
    match meaning:
        case Meaning.NO_BUCKET:
            return Blocked(
                f"{asked.store} has no bucket {asked.bucket!r}",
                code="no-such-bucket",
                hint="correct `bucket:` in the configuration, or create the bucket; dorkyd never creates one",
            )
        case Meaning.CLOCK:
            ahead = clock_ahead_s(error, dt.datetime.now(dt.UTC))
            return Blocked(
                f"{asked.store} refuses this machine's clock ({name})" + (f": {_skew(ahead)}" if ahead else ""),
                code="clock-skew",
                hint=f"set the clock: `{SET_CLOCK}`; {_RESUMES}",
            )
        case Meaning.REGION:
            region = region_of(error)
            return Blocked(
                f"the bucket {asked.bucket!r} is in {f'the region {region}' if region else 'another region'} ({name})",
                code="wrong-region",
                hint=f"set `region: {region}` for this project" if region else "set `region:` to the bucket's own",
            )
        case Meaning.ENCRYPTION:
            key = kms_key_of(error)
            return Blocked(
                f"{asked}: the bucket's encryption key {f'{key} ' if key else ''}cannot be used ({name})",
                code="kms",
                hint=f"`aws kms describe-key --key-id {key or 'KEY'}` shows its state; {' and '.join(KMS_ACTIONS)} must be"
                " allowed on it",
            )
        case _:
            return Blocked(
                f"{asked.store} does not support {asked.operation} as sent ({name})",
                code="not-supported",
                hint="use a store that implements it",
            )
