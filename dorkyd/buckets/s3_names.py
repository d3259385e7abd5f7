"""How URLs, keys and metadata are written for S3."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from dorkyd.core.metadata import content_encoding
from dorkyd.errors import Configuration, Unsupported

_META_KEY = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_META_VALUE = re.compile(r"|[!-~]|[!-~][ -~]*[!-~]")


def parse_url(url: str) -> tuple[str, str]:
    """Bucket and prefix of `s3://bucket/prefix`; the prefix without slashes around it."""
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that are no address
        parts = urlsplit("")
    if parts.scheme != "s3" or not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment:
        raise Configuration(f"{url!r} is no S3 bucket", hint="write s3://bucket/prefix")
    return parts.netloc, parts.path.strip("/")


def decoded(key: str, reply: Mapping[str, Any]) -> str:
    """A listed key. AWS and SeaweedFS write a space as `+`, moto as `%20`; a plus is `%2B` everywhere."""
    if "%" not in key and "+" not in key:
        return key
    return unquote_plus(key, errors="surrogateescape") if reply.get("EncodingType") == "url" else key


def encoding_of(meta: Mapping[str, str]) -> dict[str, str]:
    """The header that says how the object's bytes are packed, as boto3 names it. Empty: they are not."""
    packed = content_encoding(meta)
    return {} if packed is None else {"ContentEncoding": packed}


def metadata_of(key: str, meta: Mapping[str, str]) -> dict[str, str]:
    """User metadata as headers can carry it unchanged: anything else would come back different, or not at all."""
    for name, value in meta.items():
        if not _META_KEY.fullmatch(name) or not _META_VALUE.fullmatch(value):
            raise Unsupported(
                key,
                f"S3 cannot hold the metadata {name!r} as given",
                code="metadata",
                hint="use printable ASCII without spaces around it",
            )
    return {name.lower(): value for name, value in meta.items()}
