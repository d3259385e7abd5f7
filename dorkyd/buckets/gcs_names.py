"""How URLs, object names, metadata and times are written for Google Cloud Storage."""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from dorkyd.buckets.sense import sense
from dorkyd.core.metadata import content_encoding
from dorkyd.core.model import Version
from dorkyd.errors import Configuration, Transient, Unsupported
from dorkyd.ports import ObjectInfo

NAME_BYTES = 1024
"""The longest object name (https://cloud.google.com/storage/docs/objects#naming)."""
METADATA_BYTES = 8 * 1024
"""Of all keys and values of one object together (https://cloud.google.com/storage/quotas)."""


def parse_url(url: str) -> tuple[str, str]:
    """Bucket and prefix of `gs://bucket/prefix`; the prefix without slashes around it."""
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that are no address
        parts = urlsplit("")
    if parts.scheme != "gs" or not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment:
        raise Configuration(f"{url!r} is no Google Cloud Storage bucket", hint="write gs://bucket/prefix")
    return parts.netloc, parts.path.strip("/")


def quoted(name: str) -> str:
    """A name as one segment of a path: slashes too are written as escapes."""
    return quote(name, safe="")


def check_name(key: str, full: str) -> None:
    """Raise `Unsupported` for what no object may be called."""
    try:
        length = len(full.encode())
    except UnicodeEncodeError:
        # The error would repeat the name's raw bytes.
        raise Unsupported(
            key, "the name is not valid Unicode, which object names must be", code="name", hint="rename the file"
        ) from None
    if "\r" in full or "\n" in full or full in {".", ".."}:
        raise Unsupported(
            key, "Google Cloud Storage cannot hold a name with a line break", code="name", hint="rename the file"
        )
    if length > NAME_BYTES:
        raise Unsupported(
            key,
            f"the object's name has {length} bytes, Google Cloud Storage holds {NAME_BYTES}",
            code="name-too-long",
            hint="shorten the file's path",
        )


def resource_of(key: str, full: str, meta: Mapping[str, str]) -> dict[str, Any]:
    """An object's description as a write gives it. Never empty of meaning, so that it always replaces a former one."""
    check_name(key, full)
    try:
        size = sum(len(name.encode()) + len(value.encode()) for name, value in meta.items())
    except UnicodeEncodeError:
        size = METADATA_BYTES + 1
    if size > METADATA_BYTES or not all(meta):
        raise Unsupported(
            key,
            f"Google Cloud Storage holds at most {METADATA_BYTES} bytes of metadata, in valid Unicode",
            code="metadata",
            hint="shorten the metadata",
        )
    packed = content_encoding(meta)
    return {
        "name": full,
        "contentType": "application/octet-stream",
        **({"contentEncoding": packed} if packed is not None else {}),
        "metadata": {name.lower(): value for name, value in meta.items()},
    }


def info_of(resource: Mapping[str, Any]) -> ObjectInfo:
    """The state that an object resource tells."""
    with sense():
        return ObjectInfo(
            version=Version(str(resource["generation"])),
            size=size_of(resource),
            modified=seconds_of(resource.get("updated")),
            meta={str(name).lower(): str(value) for name, value in (resource.get("metadata") or {}).items()},
        )


def size_of(resource: Mapping[str, Any]) -> int:
    """Bytes. Raises `ValueError` for what is no size."""
    size = int(resource.get("size", 0))
    if size < 0:
        raise ValueError("a size below nothing")
    return size


def seconds_of(text: str | None) -> int | None:
    """Whole seconds since the epoch of an RFC 3339 time."""
    if text is None:
        return None
    try:
        return int(dt.datetime.fromisoformat(text).timestamp())
    except (ValueError, TypeError, OverflowError) as error:
        raise Transient("the store tells a time that is none") from error


def generation_of(version: Version) -> str:
    """A version as a condition names it. One that is no generation, such as an ETag of a former store, matches nothing."""
    return version if re.fullmatch(r"[0-9]{1,19}", version) and 0 < int(version) < 2**63 else str(2**63 - 1)


def md5_of(text: str | None) -> str | None:
    """The API's base64 as 32 hexadecimal digits; None where it tells none (objects that were composed)."""
    if text is None:
        return None
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:  # binascii's own, and of what is not ASCII
        return None  # a claim that cannot be read proves nothing
    return raw.hex() if len(raw) == 16 else None
