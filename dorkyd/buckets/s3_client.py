"""The SDK's client as dorkyd wants it, and the bucket's region as the store tells it."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dorkyd.buckets import s3_pages
from dorkyd.buckets.s3_calls import Connection

CONNECTIONS = 32
"""How many requests may be under way at once without waiting for a connection."""
CONNECT_S = 5
SILENT_S = 20
"""How long a store may say nothing to a question: the engine's own thread asks, and who looks at the status waits."""
SILENT_WRITE_S = 60
"""As `SILENT_S`, to a write: what was handed to the system may still be on a slow line, and stores join parts in silence."""


def load() -> None:
    """Import the SDK, which takes a fifth of a second, where somebody else need not wait for it. Any thread."""
    for name in ("boto3.session", "botocore.auth", "botocore.client", "botocore.httpsession"):
        importlib.import_module(name)


def connect(
    *, endpoint_url: str | None, region: str | None, profile: str | None, learn: Callable[[str], None]
) -> Connection:
    """Clients that send every request once. `learn` is told the region that a reply names as the bucket's own.

    Addresses are the SDK's choice: the bucket in the host name on AWS, in the path with an `endpoint_url`, unless the
    profile says otherwise (`s3 = addressing_style = virtual` in ~/.aws/config).
    """
    import boto3  # noqa: PLC0415  40 MB that other stores need not carry
    from botocore.config import Config  # noqa: PLC0415
    from botocore.session import get_session  # noqa: PLC0415

    # Over TLS the SDK need not read each body a second time for its signature: all of ours carry a checksum.
    tls = endpoint_url is None or endpoint_url.lower().startswith("https:")
    core = get_session()
    if profile is not None:
        core.set_config_variable("profile", profile)
    core.register_component("data_loader", _descriptions(core.get_config_variable("data_path")))
    session = boto3.Session(botocore_session=core, profile_name=profile, region_name=region)

    def note(response: Any = None, **_: Any) -> None:
        named = None if response is None else _region_of(response[1])
        if named:
            learn(named)

    def client_of(silent_s: int) -> Any:
        client = session.client(
            "s3",
            endpoint_url=endpoint_url,
            config=Config(
                signature_version="s3v4",
                connect_timeout=CONNECT_S,
                read_timeout=silent_s,
                retries={"total_max_attempts": 1, "mode": "standard"},
                max_pool_connections=CONNECTIONS,
                tcp_keepalive=True,
                s3={"payload_signing_enabled": False} if tls else None,
                # Without these botocore sends bodies as aws-chunked with a CRC trailer, which not every store takes.
                # Ours carry a checksum in a header.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                user_agent_extra="dorkyd",
            ),
        )
        # botocore asks HeadBucket for the region when a failed HEAD names none. A role limited to a prefix may not, and
        # the GET that `Calls.find` sends next learns it from the reply.
        client.head_bucket = _no_head_bucket
        s3_pages.install(client)
        # botocore follows a reply that names another region, and remembers it for this client alone.
        client.meta.events.register_first("needs-retry.s3", note)
        return client

    bundle = session._session.get_config_variable("ca_bundle")  # noqa: SLF001  boto3 has no other way to ask
    trusted = Path(bundle).read_bytes() if bundle else None
    return Connection(client_of(SILENT_WRITE_S), client_of(SILENT_S), session.get_credentials(), trusted)


@functools.cache
def _descriptions(places: str | None) -> Any:
    """What the SDK knows of services and their addresses, read from its files once for all projects: some 5 MB and 0.1 s."""
    from botocore.loaders import create_loader  # noqa: PLC0415  as in `connect`

    return create_loader(places)


def _region_of(reply: Any) -> str | None:
    if "Error" not in reply:
        return None
    headers = reply.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    named = headers.get("x-amz-bucket-region") or reply["Error"].get("Region")
    return str(named) if named else None


def _no_head_bucket(**_: Any) -> Any:
    from botocore.exceptions import ClientError  # noqa: PLC0415  as in `connect`

    raise ClientError({"Error": {}, "ResponseMetadata": {"HTTPHeaders": {}}}, "HeadBucket")
