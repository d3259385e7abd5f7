"""Downloads from Google Cloud Storage: one state, in order, summed."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from threading import Lock
from typing import Any

from dorkyd.buckets.gcs_body import Crc32c
from dorkyd.buckets.gcs_calls import Calls, Request
from dorkyd.core.model import Version
from dorkyd.errors import Stale, Transient
from dorkyd.ports import Chunk, ObjectInfo
from dorkyd.slabs import SLAB_BYTES, Slabs

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})")


class GcsPiece:
    """Bytes of one state that are coming in, to be iterated once. Its reply is closed by whoever opened it."""

    def __init__(
        self, calls: Calls, request: Request, reply: Any, info: ObjectInfo | None, start: int, slabs: Slabs
    ) -> None:
        """`info`: what a look told of the state that was asked for; None: as far as the reply tells it. `slabs`: what waits for
        its reader is held there, since each thread's heap would keep a part of what it once held.
        """
        first, stop, size = _range(reply)
        version = reply.headers.get("x-goog-generation")
        if info is None:
            info = ObjectInfo(Version(version or request.query["ifGenerationMatch"]), size, None, {})
        if version not in {None, info.version} or size != info.size:
            raise Stale(f"{request.key!r} changed between two requests")
        if first > start:
            raise Transient(f"{request.key!r}: asked from byte {start}, got from {first}")
        self.info = info
        self.left = stop - start
        """Bytes still to come."""
        self._skip = start - first
        self._calls = calls
        self._request = request
        self._raw = reply.raw
        self._slabs = slabs

    def __iter__(self) -> Iterator[Chunk]:
        while self.left > 0:
            data = self._next()
            skipped, data = data[: self._skip], data[self._skip :]
            self._skip -= len(skipped)
            self.left -= len(data)
            if self.left < 0:
                raise Transient(f"{self._request.key!r}: more bytes came than were offered")
            if data:
                chunk = self._slabs.take()[: len(data)]
                chunk[:] = data
                del data
                yield chunk

    def _next(self) -> bytes:
        try:
            data: bytes = self._raw.read(SLAB_BYTES, decode_content=False)
        except Exception as error:  # everything the SDK raises passes here; what the tables lack is raised on
            self._calls.fail(error, self._request)
            raise
        if not data:
            raise Transient(f"{self._request.key!r}: the connection ended {self.left} bytes early")
        self._calls.received(self._request.key, len(data))
        return data


class GcsReading:
    """An open download, to be iterated once.

    Read from its first byte, an object is given out whole only if its CRC32C is the store's.
    """

    def __init__(self, key: str, info: ObjectInfo, chunks: Iterable[Chunk], *, crc32c: str | None, left: int) -> None:
        """`crc32c`: what the whole of `chunks` must have; None: that is not known. `left`: how many bytes they are."""
        self.info = info
        self._key = key
        self._chunks = chunks
        self._expected = crc32c
        self._left = left

    def __iter__(self) -> Iterator[Chunk]:
        crc = Crc32c() if self._expected is not None else None
        for data in self._chunks:
            self._left -= len(data)
            if crc is not None:
                crc.update(data)
                if self._left <= 0 and crc.text() != self._expected:
                    raise Transient(f"{self._key!r}: the bytes that came are not those the store has")
            yield data


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


def media_request(calls: Calls, key: str, query: Mapping[str, str], start: int, stop: int | None) -> Request:
    """For bytes `start` to `stop` (not included; None: to the end) of the state that the query names."""
    # As stored, also where the store would unpack what is kept compressed.
    headers = {"Accept-Encoding": "gzip"}
    if start or stop is not None:
        headers["Range"] = f"bytes={start}-" if stop is None else f"bytes={start}-{stop - 1}"
    return Request(
        "GET",
        "objects.get",
        "GET",
        key,
        calls.object_path(key),
        {"alt": "media", **query},
        headers,
        stream=True,
    )


def state_query(resource: Mapping[str, Any]) -> dict[str, str]:
    """The condition that a state is exactly what a look told, metadata and all."""
    query = {"ifGenerationMatch": str(resource["generation"])}
    if "metageneration" in resource:
        query["ifMetagenerationMatch"] = str(resource["metageneration"])
    return query


def _range(reply: Any) -> tuple[int, int, int]:
    """First byte, the byte after the last, and whole size of what a reply carries.

    A store that does not know ranges answers 200 with everything.
    """
    headers: Mapping[str, str] = reply.headers
    if reply.status_code != 206:
        told = headers.get("x-goog-stored-content-length") or headers.get("Content-Length") or ""
        if not re.fullmatch(r"[0-9]{1,19}", told):
            raise Transient("the store answered without saying how much")
        return 0, int(told), int(told)
    found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    first, last, size = (int(number) for number in found.groups()) if found is not None else (1, 0, 0)
    if not first <= last < size:
        raise Transient("the store answered a range that it does not name")
    return first, last + 1, size
