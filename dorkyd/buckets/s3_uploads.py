"""Multipart uploads: begin, list, complete, abort. What goes into their parts is `s3_parts` and `s3_copies`.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html: at most 10,000 parts, each but the last at least 5 MiB,
5 TiB in all. Nothing is visible before CompleteMultipartUpload, which alone carries the condition.

**How a part is guarded on its way.** CRC32 where the store's reply to the beginning names it (AWS wants it declared there):
zlib computes five times as much of it in a second as MD5. A store that refuses the declaration or says nothing of it gets
Content-MD5, which all know. The guard is part of a session's id: whoever goes on with an upload needs it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dorkyd.buckets.s3_calls import Calls
from dorkyd.buckets.s3_errors import code_of, status_of
from dorkyd.buckets.s3_names import encoding_of
from dorkyd.errors import Blocked, DorkyError, SessionGone, Stale, Transient, Unsupported
from dorkyd.ports import Session

MIB = 1024 * 1024
MAX_PARTS = 10_000
MAX_OBJECT_BYTES = 5 * 1024 * 1024 * MIB
_MD5 = re.compile(r"[0-9a-f]{32}")


class Guard(StrEnum):
    """What proves a part on its way."""

    CRC32 = "crc32"
    MD5 = "md5"
    NONE = "none"
    """It does not travel: the store copies it."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload that was begun."""

    key: str
    id: str
    guard: Guard

    @property
    def session_id(self) -> str:
        """All that another process needs beside the key."""
        return f"{self.guard}:{self.id}"

    @classmethod
    def of(cls, key: str, session: Session) -> Upload:
        """The upload of a session. `SessionGone` when it is none of ours."""
        guard, _, name = session.id.partition(":")
        if guard not in {*map(str, Guard)} or not name:
            raise SessionGone(f"{key!r}: this is no upload to S3")
        return cls(key, name, Guard(guard))


@dataclass(frozen=True, slots=True)
class Sent:
    """A part that the store has."""

    number: int
    """From 1."""
    etag: str
    """As the store gave it, quotes and all."""
    crc32: str | None = None
    """In base64; None where another guard is used, or the store does not list it."""
    size: int = 0
    """Bytes."""

    def is_of(self, data: bytes) -> bool:
        """Proof that the store has exactly these bytes; False may also mean that it does not let us know."""
        if self.size != len(data):
            return False
        if self.crc32 is not None:
            return self.crc32 == crc32_of(data)
        # Under KMS an ETag of the same form is something else, and equal to no MD5.
        etag = self.etag.strip('"')
        return bool(_MD5.fullmatch(etag)) and etag == _md5(data).hexdigest()


class Uploads:
    """Multipart uploads of one bucket, from any thread."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._knows_crc32 = True

    def begin(self, key: str, *, guarded: bool, **params: Any) -> Upload:
        """Begin one. `params`: the object's metadata and headers, as boto3 names them."""
        params |= encoding_of(params.get("Metadata") or {})
        if guarded and self._knows_crc32:
            try:
                made = self._begin(key, ChecksumAlgorithm="CRC32", **params)
            except Exception as error:  # what is not this refusal is raised on
                if not _no_such_header(error):
                    raise
                self._knows_crc32 = False
            else:
                guard = Guard.CRC32 if made.get("ChecksumAlgorithm") == "CRC32" else Guard.MD5
                return Upload(key, made["UploadId"], guard)
        return Upload(key, self._begin(key, **params)["UploadId"], Guard.MD5 if guarded else Guard.NONE)

    def parts(self, upload: Upload) -> dict[int, Sent]:
        """The parts that the store has, by number."""
        found: dict[int, Sent] = {}
        marker = 0
        while True:
            reply = self._calls.send(
                "LIST", "list_parts", upload.key, UploadId=upload.id, **({"PartNumberMarker": marker} if marker else {})
            )
            for part in reply.get("Parts", ()):
                number = part["PartNumber"]
                found[number] = Sent(number, part["ETag"], part.get("ChecksumCRC32"), part["Size"])
            if not reply.get("IsTruncated"):
                return found
            after = reply.get("NextPartNumberMarker") or 0
            if after <= marker:
                raise Transient(f"the parts of {upload.key!r} were listed without saying how to go on")
            marker = after

    def complete(self, upload: Upload, sent: Sequence[Sent], condition: Mapping[str, Any]) -> dict[str, Any]:
        """Make the object of these parts, in order of their numbers; the store's reply."""
        parts = [
            {"PartNumber": part.number, "ETag": part.etag}
            | ({} if part.crc32 is None else {"ChecksumCRC32": part.crc32})
            for part in sent
        ]
        return self._calls.send(
            "PUT",
            "complete_multipart_upload",
            upload.key,
            UploadId=upload.id,
            MultipartUpload={"Parts": parts},
            **condition,
        )

    def abort(self, upload: Upload) -> None:
        """Free its parts. One that is gone is fine."""
        try:
            self._calls.send("DELETE", "abort_multipart_upload", upload.key, UploadId=upload.id)
        except Stale:
            return  # completed, or aborted by somebody or a lifecycle rule

    @contextlib.contextmanager
    def aborted_on_failure(self, upload: Upload) -> Iterator[None]:
        """Abort the upload when what is inside fails."""
        try:
            yield
        except BaseException as error:
            try:
                self.abort(upload)
            except DorkyError as abort_error:
                # The first error is the one to act on. The parts that stay are a cost, not a danger.
                error.add_note(f"its parts could not be removed either: {abort_error}")
            raise

    def _begin(self, key: str, **params: Any) -> dict[str, Any]:
        return self._calls.send("PUT", "create_multipart_upload", key, **params)


@contextlib.contextmanager
def of_a_session(key: str) -> Iterator[None]:
    """What inside finds the upload gone raises `SessionGone`."""
    try:
        yield
    except Stale as error:
        if isinstance(error.__cause__, Exception) and code_of(error.__cause__) == "NoSuchUpload":
            raise SessionGone(f"{key!r}: the store does not know the upload (any more)") from error
        raise


def part_bytes_of(key: str, size: int, least: int) -> int:
    """How large the parts of a body of `size` bytes are: `least`, or more so that they are few enough, in whole MiB."""
    if size > MAX_OBJECT_BYTES:
        raise Unsupported(key, "larger than the 5 TiB that S3 can hold", code="too-large")
    needed = -(-size // MAX_PARTS)
    return least if needed <= least else -(-needed // MIB) * MIB


def crc32_of(data: bytes) -> str:
    """As S3 writes it: big-endian, in base64."""
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def md5_of(data: bytes) -> str:
    """As Content-MD5 has it."""
    return base64.b64encode(_md5(data).digest()).decode()


def _md5(data: bytes) -> Any:
    return hashlib.md5(data, usedforsecurity=False)


def _no_such_header(error: Exception) -> bool:
    """A refusal that stands for the declared checksum, as far as one can tell: nothing was begun."""
    if isinstance(error, DorkyError):
        return isinstance(error, Blocked) and error.code == "not-supported"
    return status_of(error) == 400
