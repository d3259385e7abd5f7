"""Large objects: multipart uploads with bounded memory, and the same condition at the end.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html: at most 10,000 parts, each but the last at least 5 MiB,
5 TiB in all. Nothing is visible before CompleteMultipartUpload, which carries the condition and is sent only after every byte
was read and found to be what was observed. Whatever fails before that aborts the upload, so that no parts are billed.

An upload that is to go on after a restart would remember its `Upload` and the `Sent` parts, and enter at `_send`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Semaphore
from typing import Any

from dorkyd.buckets.s3_body import Checked
from dorkyd.buckets.s3_calls import Calls
from dorkyd.errors import DorkyError, Stale, Unsupported
from dorkyd.ports import Body

MIB = 1024 * 1024
MAX_PARTS = 10_000
MAX_OBJECT_BYTES = 5 * 1024 * 1024 * MIB


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload that was begun."""

    key: str
    id: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A part that the store has."""

    number: int
    """From 1."""
    etag: str
    """As the store gave it, quotes and all."""


class Parts:
    """Sends bodies in parts, several uploads at once from any thread.

    All of them share `workers` threads, and together hold at most twice as many parts in memory.
    """

    def __init__(self, calls: Calls, *, part_bytes: int = 8 * MIB, workers: int = 4) -> None:
        self._calls = calls
        self._part_bytes = part_bytes
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="s3-part")
        self._buffers = Semaphore(2 * workers)

    def put(self, key: str, body: Body, *, meta: Mapping[str, str], condition: Mapping[str, Any]) -> dict[str, Any]:
        """Send a body that is not empty; the reply of CompleteMultipartUpload, which carries `condition`."""
        if body.size > MAX_OBJECT_BYTES:
            raise Unsupported(key, "larger than the 5 TiB that S3 can hold", code="too-large")
        made = self._calls.send("PUT", "create_multipart_upload", key, Metadata=dict(meta))
        upload = Upload(key, made["UploadId"])
        try:
            sent = self._send(upload, body)
            return self._calls.send(
                "PUT",
                "complete_multipart_upload",
                key,
                UploadId=upload.id,
                MultipartUpload={"Parts": [{"PartNumber": part.number, "ETag": part.etag} for part in sent]},
                **condition,
            )
        except BaseException as error:
            self._abort(upload, error)
            raise

    def close(self) -> None:
        """End the threads once they are idle. May be repeated."""
        self._pool.shutdown(wait=True)

    def _send(self, upload: Upload, body: Body) -> list[Sent]:
        """Every part, in order. Returns or raises only when no part is on its way any more."""
        under_way: list[Future[Sent]] = []
        with contextlib.closing(Checked(body)) as stream:
            try:
                for number, data in enumerate(self._pieces(stream), start=1):
                    failed = next((part for part in under_way if part.done() and part.exception()), None)
                    if failed is not None:
                        self._buffers.release()
                        break
                    under_way.append(self._submit(upload, number, data))
            finally:
                for part in under_way:
                    part.exception()  # waits
        return [part.result() for part in under_way]

    def _pieces(self, stream: Checked) -> Iterator[bytes]:
        """The body cut up; each piece takes one of the buffers, which its receiver gives back."""
        piece_bytes = max(self._part_bytes, -(-len(stream) // MAX_PARTS))
        while True:
            self._buffers.acquire()
            try:
                data = _fill(stream, piece_bytes)
            except BaseException:
                self._buffers.release()
                raise
            yield data
            if stream.tell() >= len(stream):
                return

    def _submit(self, upload: Upload, number: int, data: bytes) -> Future[Sent]:
        try:
            future = self._pool.submit(self._send_part, upload, number, data)
        except BaseException:
            self._buffers.release()
            raise
        future.add_done_callback(lambda _: self._buffers.release())
        return future

    def _send_part(self, upload: Upload, number: int, data: bytes) -> Sent:
        # Guards the transport alone: that the bytes are those observed is `Checked`'s to say.
        transport_sum = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        reply = self._calls.send(
            "PUT",
            "upload_part",
            upload.key,
            up=len(data),
            UploadId=upload.id,
            PartNumber=number,
            Body=data,
            ContentMD5=transport_sum,
        )
        return Sent(number, reply["ETag"])

    def _abort(self, upload: Upload, error: BaseException) -> None:
        try:
            self._calls.send("DELETE", "abort_multipart_upload", upload.key, UploadId=upload.id)
        except Stale:
            return  # it is gone already: completed, or aborted by a lifecycle rule
        except DorkyError as abort_error:
            # The first error is the one to act on. The parts that stay are a cost, not a danger.
            error.add_note(f"its parts could not be removed either: {abort_error}")


def _fill(stream: Checked, count: int) -> bytes:
    """Exactly `count` bytes, fewer only at the end."""
    data = bytearray()
    while len(data) < count and stream.tell() < len(stream):
        data += stream.read(count - len(data))
    return bytes(data)
