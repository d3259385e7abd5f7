"""Ranges of an object over the SDK's own connections, past its machinery, received where they stay: a third of the CPU.

Rules:

1. Connections, proxies and trust are those of the SDK's client, the place is the one it would sign for, the signature its
   own. So whatever a person configured for it holds here.
2. Only a reply that proves itself counts: 206, of the version asked for, naming exactly the range asked for. All else is asked
   again through the client, which knows what errors mean; redirects are not followed.
3. A store that refuses here what it grants there is not asked here again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from dorkyd.buckets.s3_calls import Calls
from dorkyd.buckets.s3_reading import CONTENT_RANGE, quoted, version_of
from dorkyd.core.model import Version
from dorkyd.errors import Transient
from dorkyd.ports import ObjectInfo
from dorkyd.slabs import SLAB_BYTES, Slabs

PASSING = frozenset({404, 412, 429})
"""Statuses that say something of the object or of the moment, as all from 500 do; others say something of this way."""


@dataclass(frozen=True, slots=True)
class _Where:
    """Where and as whom to ask."""

    root: str
    """The URL of an object without its key."""
    region: str
    credentials: Any = field(repr=False)
    session: Any = field(repr=False)
    """botocore's, which has the connections."""


class Pieces:
    """Of one bucket, from any thread."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._slabs = Slabs()
        self._place: _Where | None = None
        self._refused = False
        """The last request was refused, perhaps for the way it was asked."""
        self._closed = False

    def while_in_use(self) -> contextlib.AbstractContextManager[None]:
        """Around a download: memory is kept for its next pieces."""
        return self._slabs.while_in_use()

    def open(self, key: str, version: Version, start: int, stop: int) -> Bare | None:
        """Bytes `start` to `stop` (not included) of that state, for the caller to close. None: ask the client."""
        where = self._where()
        if where is None:
            return None
        try:
            reply = self._send(where, key, {"Range": f"bytes={start}-{stop - 1}", "If-Match": quoted(version)})
        except Exception as error:  # what the SDK raises of connections and credentials; the client would meet it too
            self._place = None
            self._calls.fail(error, self._calls.asked("GetObject", key))
            raise
        info = _proved(reply, version, start, stop)
        # urllib3's own `readinto` copies twice what that of the response below it puts where it stays.
        stream = getattr(reply.raw, "_fp", None)
        if info is not None and isinstance(stream, HTTPResponse):
            return Bare(self._calls, self._slabs, key, info, reply.raw, stream, stop - start)
        reply.raw.close()
        self._place = None
        self._refused = reply.status_code < 500 and reply.status_code not in PASSING
        return None

    def granted(self) -> None:
        """The client was given what `open` was not."""
        self._closed |= self._refused

    def _where(self) -> _Where | None:
        if self._closed:
            return None
        if self._place is None:
            place = self._calls.signed_place()
            if place is None or place.session is None:
                return None
            url = urlsplit(place.url)
            query = parse_qs(url.query)
            scope = query.get("X-Amz-Credential", [""])[0].split("/")
            # Other ways to sign (of several regions, of directory buckets) are the client's.
            self._closed = query.get("X-Amz-Algorithm") != ["AWS4-HMAC-SHA256"] or scope[-2:] != ["s3", "aws4_request"]
            if self._closed:
                return None
            root = f"{url.scheme}://{url.netloc}{url.path.removesuffix(place.key)}"
            self._place = _Where(root, scope[-3], place.credentials, place.session)
        return self._place

    def _send(self, where: _Where, key: str, headers: Mapping[str, str]) -> Any:
        from botocore.auth import S3SigV4Auth  # noqa: PLC0415  see `dorkyd.buckets.s3_client`
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415

        url = where.root + quote(self._calls.full(key), safe="/~")
        request = AWSRequest("GET", url, headers={**headers, "User-Agent": "dorkyd"}, stream_output=True)
        S3SigV4Auth(where.credentials.get_frozen_credentials(), "s3", where.region).add_auth(request)
        self._calls.count("GET")
        return where.session.send(request.prepare())


class Bare:
    """A range that is coming in, to be iterated once."""

    def __init__(
        self, calls: Calls, slabs: Slabs, key: str, info: ObjectInfo, raw: Any, stream: HTTPResponse, left: int
    ) -> None:
        """`raw` has the connection, `stream` reads from it."""
        self.info = info
        self.left = left
        self._calls = calls
        self._slabs = slabs
        self._key = key
        self._raw = raw
        self._stream = stream

    def __iter__(self) -> Iterator[memoryview]:
        while self.left > 0:
            chunk = self._slabs.take()[: min(SLAB_BYTES, self.left)]
            self._fill(chunk)
            self.left -= len(chunk)
            yield chunk

    def close(self) -> None:
        """Give the connection back, or end it when there is more to come on it."""
        if self.left == 0:
            self._raw.release_conn()
        else:
            self._raw.close()

    def _fill(self, chunk: memoryview) -> None:
        at = 0
        while at < len(chunk):
            try:
                count = self._stream.readinto(chunk[at:])
            except (OSError, ValueError, HTTPException) as error:
                raise Transient(f"{self._key!r}: the download broke off") from error
            if not count:
                raise Transient(f"{self._key!r}: the connection ended {self.left - at} bytes early")
            self._calls.received(self._key, count)
            at += count


def _proved(reply: Any, version: Version, start: int, stop: int) -> ObjectInfo | None:
    """The version and size that the reply tells, if it is what was asked for."""
    told = CONTENT_RANGE.fullmatch(reply.headers.get("Content-Range", "").strip())
    etag = reply.headers.get("ETag", "")
    if reply.status_code != 206 or told is None or version_of(etag) != version:
        return None
    first, last, size = (int(number) for number in told.groups())
    if not (first == start and last == stop - 1 < size):
        return None
    return ObjectInfo(version, size, None, {})
