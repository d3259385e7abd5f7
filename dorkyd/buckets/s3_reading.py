"""One body coming down from S3, and how its replies tell an object's state."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any, Self

from dorkyd.buckets.s3_calls import Calls
from dorkyd.buckets.sense import sense
from dorkyd.core.model import Version
from dorkyd.errors import Stale, Transient
from dorkyd.ports import ObjectInfo

CHUNK_BYTES = 1024 * 1024
CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})")
"""RFC 9110 14.4, with numbers that a file can have."""
_MD5 = re.compile(r"[0-9a-fA-F]{32}")


class S3Reading:
    """An open download, to be iterated once. Its stream is closed by whoever opened it."""

    def __init__(
        self, calls: Calls, key: str, info: ObjectInfo, *, stream: Any = None, skip: int = 0, left: int = 0
    ) -> None:
        """Of `stream`, drop the first `skip` bytes and give the `left` bytes after them. The defaults give nothing."""
        self.info = info
        self._calls = calls
        self._key = key
        self._stream = stream
        self._skip = skip
        self._left = left

    @classmethod
    def of(cls, reply: Mapping[str, Any], calls: Calls, key: str, start: int) -> Self:
        """The download that a GetObject from byte `start` opened."""
        # A store that does not know ranges sends everything. The status tells less than the header: rclone answers 200 to
        # a range that it honours.
        whole, told = reply["ContentLength"], reply.get("ContentRange", "")
        if not told and reply["ResponseMetadata"]["HTTPStatusCode"] == 206:
            raise Transient(f"{key!r}: the store answered a range that it does not name")
        first, stop, size = _content_range(told) if told else (0, whole, whole)
        if first > start:
            raise Transient(f"{key!r}: asked from byte {start}, got from {first}")
        info = info_of(reply, size=size)
        return cls(calls, key, info, stream=reply["Body"], skip=start - first, left=stop - start)

    @property
    def left(self) -> int:
        """Bytes still to come."""
        return self._left

    def __iter__(self) -> Iterator[bytes]:
        while self._left > 0:
            data = self._next()
            skipped, data = data[: self._skip], data[self._skip :]
            self._skip -= len(skipped)
            self._left -= len(data)
            if self._left < 0:
                raise Transient(f"{self._key!r}: more bytes came than the object has")
            if data:
                yield data

    def _next(self) -> bytes:
        try:
            data: bytes = self._stream.read(CHUNK_BYTES)
        except Exception as error:  # everything the SDK raises passes here; what the tables lack is raised on
            self._calls.fail(error, self._calls.asked("GetObject", self._key))
            raise
        if not data:
            raise Transient(f"{self._key!r}: the connection ended {self._left} bytes early")
        self._calls.received(self._key, len(data))
        return data


@contextlib.contextmanager
def opened(calls: Calls, key: str, version: Version | None, start: int, stop: int) -> Iterator[S3Reading]:
    """As `dorkyd.buckets.ranges.Opened` wants it."""
    params: dict[str, Any] = {} if version is None else {"IfMatch": quoted(version)}
    reply = calls.send("GET", "get_object", key, Range=f"bytes={start}-{stop - 1}", **params)
    with contextlib.closing(reply["Body"]):
        reading = S3Reading.of(reply, calls, key, start)
        if version not in {None, reading.info.version}:
            # A store that ignores the condition. Bytes of two states must never be joined.
            raise Stale(f"{key!r} is another state than the one asked for")
        yield reading


def info_of(reply: Mapping[str, Any], *, size: int | None = None) -> ObjectInfo:
    """The object state that a HEAD or GET tells; `size` None: its Content-Length."""
    with sense():
        version = version_of(reply["ETag"])
        return ObjectInfo(
            version=version,
            size=reply["ContentLength"] if size is None else size,
            modified=seconds_of(reply.get("LastModified")),
            meta={key.lower(): value for key, value in reply.get("Metadata", {}).items()},
            md5=md5_of(version),
        )


def version_of(etag: str) -> Version:
    """An ETag without its quotes, which some replies have and some lack."""
    return Version(etag.strip('"'))


def quoted(version: Version) -> str:
    """The ETag again, as conditions want it."""
    if not version:
        # See `S3Bucket._conditional`: to SeaweedFS an empty ETag means a folder.
        raise ValueError("a version cannot be empty")
    return f'"{version}"'


def md5_of(version: Version) -> str | None:
    """The MD5 that an ETag claims by its form: 32 hexadecimal digits, as a body sent in one request has it. Under KMS it
    is the MD5 of something else, which equals no other object's by accident.
    """
    if not _MD5.fullmatch(version):
        return None
    return version if version.islower() else version.lower()


def seconds_of(at: dt.datetime | None) -> int | None:
    """Whole seconds since the epoch."""
    return None if at is None else int(at.timestamp())


def _content_range(text: str) -> tuple[int, int, int]:
    """First byte, the one after the last, and whole size of `bytes 4-9/10` (RFC 9110 14.4)."""
    found = CONTENT_RANGE.fullmatch(text.strip())
    first, last, size = (int(number) for number in found.groups()) if found is not None else (1, 0, 0)
    if not first <= last < size:
        raise Transient("the store answered a range that it does not name")
    return first, last + 1, size
