"""How an S3 bucket is set up: what only `doctor` asks, and every store and identity may refuse.

Never on the sync path, which gets by without these rights (docs/permissions.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dorkyd.buckets.s3_advice import ACTIONS
from dorkyd.buckets.s3_calls import Calls
from dorkyd.buckets.s3_errors import code_of, status_of
from dorkyd.errors import Blocked, Transient
from dorkyd.ports import Setting

TRASH = ".dorky/trash/"
BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


class Inspection:
    """Looks at one bucket. Sends at most four requests, each once."""

    def __init__(self, calls: Calls, *, endpoint_url: str | None, profile: str | None, region: str | None) -> None:
        self._calls = calls
        self._endpoint_url = endpoint_url
        self._profile = profile
        self._region = region

    def run(self) -> Iterator[Setting]:
        """Everything, in a person's order."""
        yield self._identity()
        yield self._asked("versioning", "get_bucket_versioning", self._versioning, {})
        yield self._asked(
            "lifecycle", "get_bucket_lifecycle_configuration", self._lifecycle, {"NoSuchLifecycleConfiguration": {}}
        )
        yield self._asked(
            "public-access", "get_public_access_block", self._public, {"NoSuchPublicAccessBlockConfiguration": {}}
        )

    def _asked(
        self, name: str, method: str, judge: Callable[[Mapping[str, Any]], Setting], absent: Mapping[str, Any]
    ) -> Setting:
        """`absent`: error codes that mean that nothing is set, and what to judge then."""
        operation = self._calls.asked(_operation(method)).operation
        try:
            return judge(self._calls.send_raw("GET", method))
        except (Blocked, Transient) as error:
            cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
            if error.code == "denied":
                (action,) = ACTIONS.get(operation, (f"s3:{operation}",))
                return Setting(name, None, f"needs {action}")
        except Exception as error:
            # The store's own reply, of a code that sync never meets; all else is a bug, or the SDK's.
            if not status_of(error):
                raise
            cause = error
        code = code_of(cause)
        if code in absent:
            return judge(absent[code])
        return Setting(name, None, f"the store does not answer {operation}{f': {code}' if code else ''}")

    def _identity(self) -> Setting:
        shown = str(self._calls.who())
        if self._endpoint_url is not None:
            return Setting("identity", True, shown)
        arn = self._caller()
        return Setting("identity", True, f"{arn} ({shown})" if arn else shown)

    def _caller(self) -> str | None:
        """The caller's ARN by STS, which anybody may ask in AWS. None: it did not say."""
        import boto3  # noqa: PLC0415  as in `dorkyd.buckets.s3`
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        config = Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 1})
        try:
            session = boto3.Session(profile_name=self._profile, region_name=self._region)
            client = session.client("sts", config=config)
        except BotoCoreError:  # no region, as for a bucket whose own was learned; who asks is known well enough
            return None
        try:
            return str(client.get_caller_identity()["Arn"])
        except (BotoCoreError, ClientError):  # a network that reaches S3 alone
            return None
        finally:
            client.close()

    def _versioning(self, reply: Mapping[str, Any]) -> Setting:
        if reply.get("Status") == "Enabled":
            return Setting("versioning", True, "on: the store keeps replaced and deleted states")
        return Setting(
            "versioning",
            True,
            f"off: replaced and deleted objects are copied to {TRASH} in the bucket first",
            hint="to let the store keep them: `aws s3api put-bucket-versioning --bucket "
            f"{self._calls.bucket} --versioning-configuration Status=Enabled{self._options}`",
            code="versioning-off",
        )

    def _lifecycle(self, reply: Mapping[str, Any]) -> Setting:
        root = self._calls.full("")
        rules = [rule for rule in reply.get("Rules", ()) if rule.get("Status") == "Enabled"]
        expiring = [rule for rule in rules if _expires(rule) and _touches_files(_prefix_of(rule), root)]
        if expiring:
            named = ", ".join(repr(str(rule.get("ID", "")) or _prefix_of(rule)) for rule in expiring)
            return Setting(
                "lifecycle",
                False,
                f"the lifecycle rule {named} deletes the team's files below {root or 'the bucket'} when they get old: every"
                " device deletes them too",
                hint=f"limit that rule to {root}{TRASH}, or to another prefix",
                code="lifecycle-expires",
            )
        if any("AbortIncompleteMultipartUpload" in rule and root.startswith(_prefix_of(rule)) for rule in rules):
            return Setting("lifecycle", True, "uploads that never end are removed by the store, and no file expires")
        return Setting(
            "lifecycle",
            True,
            "no rule removes uploads that never end, as of a machine that never comes back: their parts are billed",
            hint="add a rule that aborts incomplete multipart uploads after 7 days: `aws s3api"
            f" put-bucket-lifecycle-configuration --bucket {self._calls.bucket} …{self._options}` (it replaces all rules)",
            code="no-abort-rule",
        )

    def _public(self, reply: Mapping[str, Any]) -> Setting:
        blocks = reply.get("PublicAccessBlockConfiguration", {})
        open_ = [name for name in BLOCKS if not blocks.get(name)]
        if not open_:
            return Setting("public-access", True, "blocked")
        return Setting(
            "public-access",
            False,
            f"not blocked by the bucket ({', '.join(open_)}): a policy or ACL could make the team's files public",
            hint=f"`aws s3api put-public-access-block --bucket {self._calls.bucket} --public-access-block-configuration "
            f"{','.join(f'{name}=true' for name in BLOCKS)}{self._options}`, unless the account blocks it",
            code="public-access",
        )

    @property
    def _options(self) -> str:
        profile = f" --profile {self._profile}" if self._profile else ""
        return profile + (f" --endpoint-url {self._endpoint_url}" if self._endpoint_url else "")


def _operation(method: str) -> str:
    return "".join(word.capitalize() for word in method.split("_"))


def _prefix_of(rule: Mapping[str, Any]) -> str:
    """What a rule is limited to, by whichever of its three forms."""
    filtered = rule.get("Filter") or {}
    return str(filtered.get("Prefix") or (filtered.get("And") or {}).get("Prefix") or rule.get("Prefix") or "")


def _expires(rule: Mapping[str, Any]) -> bool:
    """It deletes present states, not only replaced ones or markers."""
    return bool({"Days", "Date"} & set(rule.get("Expiration", {})))


def _touches_files(prefix: str, root: str) -> bool:
    """Some file of the project may lie below the rule's prefix."""
    return root.startswith(prefix) or (prefix.startswith(root) and not prefix.startswith(f"{root}{TRASH}"))
