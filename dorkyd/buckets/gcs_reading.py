"""Downloads from Google Cloud Storage: one state, in order, summed."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any

from dorkyd.buckets.gcs_body import Crc32c
from dorkyd.buckets.gcs_calls import Calls, Request
from dorkyd.core.model import Version
from dorkyd.errors import Stale, Transient
from dorkyd.ports import ObjectInfo

CHUNK_BYTES = 1024 * 1024


class GcsReading:
    """An open download, to be iterated once. Its reply is closed by whoever opened it.

    Read from its first byte, an object is given out whole only if its CRC32C is the store's.
    """

    def __init__(self, calls: Calls, request: Request, info: ObjectInfo, *, crc32c: str | None, start: int) -> None:
        """`crc32c`: what the store has; None: it tells none."""
        self.info = info
        self._calls = calls
        self._request = request
        self._expected = crc32c if start == 0 else None
        self._left = info.size - start
        self._skip = 0
        self._raw: Any = None

    def begin(self, reply: Any, start: int) -> None:
        """The reply whose body this is."""
        first, size = _range(reply)
        version = reply.headers.get("x-goog-generation")
        if version not in {None, self.info.version} or size not in {None, self.info.size}:
            raise Stale(f"{self._request.key!r} changed between two requests")
        if first > start:
            raise Transient(f"{self._request.key!r}: asked from byte {start}, got from {first}")
        self._skip = start - first
        self._raw = reply.raw

    def __iter__(self) -> Iterator[bytes]:
        crc = Crc32c() if self._expected is not None else None
        while self._left > 0:
            data = self._next()
            skipped, data = data[: self._skip], data[self._skip :]
            self._skip -= len(skipped)
            self._left -= len(data)
            if self._left < 0:
                raise Transient(f"{self._request.key!r}: more bytes came than the object has")
            if crc is not None:
                crc.update(data)
                if not self._left and crc.text() != self._expected:
                    raise Transient(f"{self._request.key!r}: the bytes that came are not those the store has")
            if data:
                yield data

    def _next(self) -> bytes:
        try:
            data: bytes = self._raw.read(CHUNK_BYTES, decode_content=False)
        except Exception as error:  # everything the SDK raises passes here; what the tables lack is raised on
            self._calls.fail(error, self._request)
            raise
        if not data:
            raise Transient(f"{self._request.key!r}: the connection ended {self._left} bytes early")
        self._calls.received(self._request.key, len(data))
        return data


class Seen:
    """What the last looks told, for the downloads that follow them. Thread-safe.

    A reply that carries an object's bytes does not carry its metadata. A download under the condition that generation and
    metageneration are those of a look proves that what the look told still holds, so that it need not be repeated.
    """

    def __init__(self, count: int = 2048) -> None:
        self._count = count
        self._lock = Lock()
        self._resources: OrderedDict[str, Mapping[str, Any]] = OrderedDict()

    def add(self, key: str, resource: Mapping[str, Any]) -> None:
        """Remember a look, and forget the oldest."""
        kept = {name: resource[name] for name in _TOLD if name in resource}
        with self._lock:
            self._resources[key] = kept
            self._resources.move_to_end(key)
            if len(self._resources) > self._count:
                self._resources.popitem(last=False)

    def take(self, key: str, version: Version) -> Mapping[str, Any] | None:
        """What was told of this state, once. None: nothing."""
        with self._lock:
            found = self._resources.pop(key, None)
        usable = found is not None and found.get("generation") == version and "metageneration" in found
        return found if usable else None


_TOLD = ("generation", "metageneration", "size", "updated", "metadata", "crc32c")


def media_request(calls: Calls, key: str, resource: Mapping[str, Any], start: int) -> Request:
    """For the bytes of exactly this state, metadata and all."""
    # As stored, also where the store would unpack what is kept compressed.
    headers = {"Accept-Encoding": "gzip"}
    if start:
        headers["Range"] = f"bytes={start}-"
    query = {"alt": "media", "ifGenerationMatch": str(resource["generation"])}
    if "metageneration" in resource:
        query["ifMetagenerationMatch"] = str(resource["metageneration"])
    return Request(
        "GET",
        "objects.get",
        "GET",
        key,
        calls.object_path(key),
        query,
        headers,
        stream=True,
    )


def _range(reply: Any) -> tuple[int, int | None]:
    """First byte and whole size of what a reply carries; None: it does not tell.

    A store that does not know ranges answers 200 with everything.
    """
    headers: Mapping[str, str] = reply.headers
    if reply.status_code != 206:
        told = headers.get("Content-Length")
        return 0, None if told is None else int(told)
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", headers.get("Content-Range", "").strip())
    if found is None:
        raise Transient("the store answered a range that it does not name")
    return int(found[1]), int(found[2])
