"""As whom S3 was asked: what a person may be told of the credentials in use. Never a secret, and no request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

FILES: Mapping[str, str] = {"shared-credentials-file": "credentials_file", "config-file": "config_file"}
"""Where botocore found a key (`Credentials.method`), and its own name for that file."""

PLACES: Mapping[str, str] = {
    "env": "the environment variable AWS_ACCESS_KEY_ID",
    "explicit": "the program itself",
    "iam-role": "the role of this machine",
    "container-role": "the role of this container",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Credentials, as far as a person may see them."""

    profile: str
    """The profile in force; `default` where none is named."""
    method: str = ""
    """How botocore came by the key: `env`, `shared-credentials-file`, `config-file`, `sso`, `login`, `assume-role`,
    `custom-process`, `iam-role`, …; empty: not known, or there are none.
    """
    key_end: str = ""
    """The last four characters of the access key's id; empty: not known."""
    file: str = ""
    """The file that holds the key, as the SDK's settings name it; empty: none does."""
    until: str | None = None
    """RFC 3339, UTC: when the key in use ends, which botocore renews by itself if it can; None: not known."""

    def __str__(self) -> str:
        key = f"access key …{self.key_end} from" if self.key_end else "the credentials of"
        return f"{key} {self.place}"

    @property
    def place(self) -> str:
        """Where the key comes from."""
        if self.method in PLACES:
            return PLACES[self.method]
        way = {"": "", "sso": " (SSO)", "login": " (aws login)", "custom-process": " (credential_process)"}
        how = f" in {self.file}" if self.file else way.get(self.method, f" ({self.method})")
        return f"the profile {self.profile!r}{how}"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the SDK looks, by its own settings: the same as long as the process lives."""

    profile: str
    """In force; `default` where none is named."""
    files: Mapping[str, str]
    """The file of each of `FILES`."""


def sources_of(profile: str | None) -> Sources:
    """`profile`: as configured, None the SDK's own choice. Takes tens of milliseconds, and reads no file."""
    import botocore.session  # noqa: PLC0415  see `dorkyd.buckets.s3_client`

    settings = botocore.session.Session(profile=profile)
    files = {method: str(settings.get_config_variable(name)) for method, name in FILES.items()}
    return Sources(str(settings.get_config_variable("profile") or "default"), files)


def identity_of(credentials: Any, sources: Sources) -> Identity:
    """Of botocore's credentials (None: there are none, or nobody could ask for them)."""
    if credentials is None:
        return Identity(sources.profile)
    method = str(credentials.method or "")
    # The public attribute of credentials that renew themselves would renew them now. Others have only that one.
    renewing = hasattr(credentials, "_access_key")
    key = credentials._access_key if renewing else credentials.access_key  # noqa: SLF001
    ends = getattr(credentials, "_expiry_time", None)
    until = ends.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(ends, datetime) else None
    return Identity(sources.profile, method, str(key)[-4:] if key else "", sources.files.get(method, ""), until)
