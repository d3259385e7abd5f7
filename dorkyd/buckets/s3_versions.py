"""States that S3 keeps by itself, where versioning is on (https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html).

Sync never asks for them: only a history, a restore or a diff does. They need `s3:ListBucketVersions` and
`s3:GetObjectVersion` beside what docs/permissions.md lists for sync.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dorkyd.buckets.s3_calls import Calls
from dorkyd.buckets.s3_names import decoded
from dorkyd.buckets.s3_reading import S3Reading, seconds_of, version_of
from dorkyd.buckets.sense import sense
from dorkyd.core.model import Version
from dorkyd.errors import Stale, Transient
from dorkyd.ports import StoredVersion

_LISTING = frozenset({"Name", "Prefix", "MaxKeys", "IsTruncated", "Versions", "DeleteMarkers"})
"""Fields of which a listing has at least one."""


def pages(calls: Calls, prefix: str) -> Iterator[Sequence[StoredVersion]]:
    """As `Versioned.versions`."""
    params: dict[str, Any] = {"Prefix": calls.full(prefix), "EncodingType": "url"}
    while True:
        reply = calls.send_raw("LIST", "list_object_versions", prefix, **params)
        if _LISTING.isdisjoint(reply):
            raise Transient("the store answered something that is no listing of versions", code="malformed-reply")
        with sense():
            page = _page(calls, reply)
        if page:
            yield page
        if not reply.get("IsTruncated"):
            return
        marker = {"KeyMarker": reply.get("NextKeyMarker"), "VersionIdMarker": reply.get("NextVersionIdMarker")}
        given = {name: value for name, value in marker.items() if value}
        if not given or all(params.get(name) == value for name, value in given.items()):
            raise Transient("the listing of versions broke off without saying how to go on")
        if "KeyMarker" in given:
            given["KeyMarker"] = decoded(given["KeyMarker"], reply)
        params = {"Prefix": params["Prefix"], "EncodingType": "url", **given}


def _page(calls: Calls, reply: Mapping[str, Any]) -> list[StoredVersion]:
    root = calls.full("")
    states = [(raw, False) for raw in reply.get("Versions", ())] + [
        (raw, True) for raw in reply.get("DeleteMarkers", ())
    ]
    page: list[tuple[bytes, float, StoredVersion]] = []
    for raw, deleted in states:
        key = decoded(raw["Key"], reply)
        if not key.startswith(root) or key == root:
            continue
        state = StoredVersion(
            key=key[len(root) :],
            version=Version("") if deleted else version_of(raw["ETag"]),
            id=raw["VersionId"],
            size=0 if deleted else raw["Size"],
            modified=seconds_of(raw.get("LastModified")),
            current=bool(raw.get("IsLatest")),
            deleted=deleted,
        )
        at = raw["LastModified"].timestamp() if raw.get("LastModified") is not None else 0.0
        page.append((state.key.encode(), -at, state))
    # Two lists in one reply: put together again by key, newest first. A sort keeps the store's order within one moment.
    return [state for _, _, state in sorted(page, key=lambda each: each[:2])]


@contextlib.contextmanager
def opened(calls: Calls, key: str, version_id: str) -> Iterator[S3Reading]:
    """As `Versioned.open_version`."""
    reply = calls.send("GET", "get_object", key, VersionId=version_id)
    with contextlib.closing(reply["Body"]):
        reading = S3Reading.of(reply, calls, key, 0)
        if reply.get("VersionId", version_id) != version_id:
            raise Stale(f"{key!r}: the store answered another version")
        yield reading
