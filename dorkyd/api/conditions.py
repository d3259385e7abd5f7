"""Header fields of artifact requests as values: conditions, ranges, digests, metadata. Malformed ones are refused, never
guessed at, except a `Range`, which RFC 9110 lets a server pass over.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from dorkyd.core.artifact import ANY, Artifact, Condition
from dorkyd.errors import Refused

METADATA = "Dorky-Metadata"
"""A JSON object of texts: ASCII with JSON's own escapes, or UTF-8."""
BATCH = "Dorky-Batch"
"""The atomic batch that an artifact is put into."""
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"|([^\s,"]+)')
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")
_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/=]{44}):")
_KEY = re.compile(r"[!-~]{1,255}")
SHA256_HEX = 64


def condition_of(headers: Headers) -> Condition:
    """`If-Match` and `If-None-Match`. A tag may lack its quotes, as people write it by hand."""
    return Condition(_tags(headers.getlist("if-match"), weak=False), _tags(headers.getlist("if-none-match"), weak=True))


def condition_of_write(headers: Headers) -> Condition:
    """As `condition_of`. A condition by time is refused: what would be passed over might overwrite."""
    if any(name in headers for name in ("if-unmodified-since", "if-modified-since")):
        raise Refused(
            "a write cannot depend on a time, of which two states may share one",
            code="bad-condition",
            hint="write If-Match with the ETag",
        )
    return condition_of(headers)


def check_body(headers: Headers) -> None:
    """HTTP 411, 415 or 400 where what follows is not an artifact's bytes, whole and as they are."""
    if not {"content-length", "transfer-encoding"} & set(headers):
        raise HTTPException(411)  # as of a `curl -X PUT` without its file: it would empty the artifact
    if headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        raise HTTPException(415)
    if "content-range" in headers:
        raise HTTPException(400)


def _tags(lines: Sequence[str], *, weak: bool) -> tuple[str, ...] | None:
    """Those that may equal a state. Weak ones do where a client only wants to know whether it has the bytes."""
    if not lines:
        return None
    rest, found = ", ".join(lines).strip(), []
    while True:
        tag = _TAG.match(rest)
        if tag is None or tag[2] == ANY:
            raise Refused(
                "a condition is a list of entity tags", code="bad-condition", hint='write If-Match: "TAG" or *'
            )
        if weak or not tag[1]:
            found.append(tag[2] if tag[2] is not None else tag[3])
        rest = rest[tag.end() :].lstrip()
        if not rest:
            return tuple(found)
        if not rest.startswith(","):
            raise Refused("a condition is a list of entity tags", code="bad-condition", hint="separate tags by commas")
        rest = rest[1:].lstrip()


def tag_of(artifact: Artifact) -> str:
    """The entity tag: the version, in quotes."""
    return f'"{artifact.version}"'


def range_of(headers: Mapping[str, str], artifact: Artifact) -> tuple[int, int] | None:
    """First and last byte asked for, both included. None: all of it. `Refused` (`bad-range`) when there are no such bytes.

    Several ranges, or another unit, are answered with all of it, as is one whose `If-Range` no longer holds.
    """
    said = headers.get("range")
    asked = _RANGE.fullmatch(said.replace(" ", "")) if said is not None else None
    if asked is None or asked.group(1, 2) == ("", ""):
        return None
    only_if = headers.get("if-range")
    if only_if is not None and only_if.strip() not in (tag_of(artifact), last_modified(artifact)):
        return None
    size = artifact.size
    if not asked[1]:
        count = min(int(asked[2]), size)
        first, last = size - count, size - 1
    else:
        first, last = int(asked[1]), min(int(asked[2] or size), size - 1)
        if asked[2] and int(asked[2]) < first:
            return None
    if first > last:
        raise Refused(f"there are {size} bytes", code="bad-range", hint="ask for bytes that there are")
    return first, last


def bounds_of(headers: Mapping[str, str]) -> tuple[int, int | None] | None:
    """The first byte that is asked for, and the byte after the last (None: the end), whatever the artifact is; None: that depends
    on it.
    """
    said = headers.get("range")
    if said is None:
        return 0, None
    asked = _RANGE.fullmatch(said.replace(" ", ""))
    if asked is None or not asked[1] or "if-range" in headers:
        return None
    first, stop = int(asked[1]), int(asked[2]) + 1 if asked[2] else None
    return (first, stop) if stop is None or first < stop else None


def last_modified(artifact: Artifact) -> str | None:
    """As HTTP writes it."""
    if artifact.updated_at is None:
        return None
    return format_datetime(datetime.fromtimestamp(artifact.updated_at, UTC), usegmt=True)


def metadata_of(headers: Mapping[str, str]) -> dict[str, str] | None:
    """The client's metadata; None: none is given, and what the object has stays."""
    said = headers.get(METADATA.lower())
    if said is None:
        return None
    try:
        found = json.loads(_as_utf8(said))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise Refused(
            f"{METADATA} is not a JSON object of texts", code="bad-metadata", hint=f'write {METADATA}: {{"note": "x"}}'
        )
    return found


def _as_utf8(said: str) -> str:
    """A field's value, which comes as Latin-1, as what its bytes are in UTF-8: JSON is (RFC 8259), and what `curl` in a
    terminal sends. Bytes that are no UTF-8 stay what HTTP says they are: Node's.
    """
    try:
        return said.encode("latin-1").decode()
    except UnicodeError:
        return said


def key_of(headers: Mapping[str, str]) -> str | None:
    """`Idempotency-Key`, with or without the quotes that the draft writes it in; None: not said."""
    said = headers.get("idempotency-key")
    if said is None:
        return None
    key = said.strip().removeprefix('"').removesuffix('"')
    if not _KEY.fullmatch(key):
        raise Refused("an Idempotency-Key has 1 to 255 visible characters", code="bad-key", hint="write a random UUID")
    return key


def expected_digest(headers: Mapping[str, str]) -> str | None:
    """`Content-Digest` (RFC 9530), hexadecimal; None: not said, or in another algorithm."""
    said = headers.get("content-digest")
    found = _DIGEST.search(said) if said is not None else None
    try:
        return base64.b64decode(found[1], validate=True).hex() if found is not None else None
    except binascii.Error:
        return None


def headers_of(artifact: Artifact) -> dict[str, str]:
    """What every answer about an artifact says of it."""
    told = {
        **({"ETag": tag_of(artifact)} if artifact.version is not None else {}),
        "Accept-Ranges": "bytes",
        METADATA: json.dumps(dict(artifact.own), separators=(",", ":")),
    }
    modified = last_modified(artifact)
    if modified is not None:
        told["Last-Modified"] = modified
    hexadecimal = (artifact.digest or "").removeprefix("sha256:")
    if len(hexadecimal) == SHA256_HEX:
        told["Repr-Digest"] = f"sha-256=:{base64.b64encode(bytes.fromhex(hexadecimal)).decode()}:"
    return told
