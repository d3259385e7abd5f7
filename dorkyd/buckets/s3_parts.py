"""Large bodies: sent in parts with bounded memory, gone on with after a restart, and the same condition at the end.

1. CompleteMultipartUpload is sent only after every byte was read and found to be what was observed (`Checked`).
2. A part that an earlier process sent is read and compared all the same: it counts only when its size and checksum prove
   that it holds these bytes. So an object is never a mixture.
3. A part may be sent again: of an unfinished upload it replaces itself. That, and nothing else that writes, is repeated here.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any

from dorkyd.buckets.budget import Budget
from dorkyd.buckets.limits import held_already
from dorkyd.buckets.retry import Patience, repeated
from dorkyd.buckets.s3_body import Checked
from dorkyd.buckets.s3_calls import Calls
from dorkyd.buckets.s3_errors import code_of
from dorkyd.buckets.s3_line import Line
from dorkyd.buckets.s3_uploads import MIB, Guard, Sent, Upload, Uploads, crc32_of, md5_of, of_a_session, part_bytes_of
from dorkyd.errors import SessionGone, Stale, Transient
from dorkyd.ports import Body, Session

DAMAGED = frozenset({"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"})
"""The part that arrived is not the one that was sent."""


class Parts:
    """Sends bodies in parts, several uploads at once from any thread.

    All of them share `workers` threads, and together hold at most `held_bytes` (or one part, where that is more).
    """

    def __init__(
        self,
        calls: Calls,
        uploads: Uploads,
        *,
        part_bytes: int = 8 * MIB,
        workers: int = 4,
        held_bytes: int = 40 * MIB,
        patience: Patience | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._calls = calls
        self._uploads = uploads
        self._part_bytes = part_bytes
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="s3-part")
        self._line = Line(workers)
        self._budget = Budget(held_bytes)
        self._patience = patience or Patience()
        self._sleep = sleep

    def begin(self, key: str, size: int, *, meta: Mapping[str, str]) -> Session:
        """Begin an upload that goes on until `go_on` ends it or `abandon`."""
        part_bytes = part_bytes_of(key, size, self._part_bytes)
        return Session(self._uploads.begin(key, guarded=True, Metadata=dict(meta)).session_id, part_bytes)

    def abandon(self, key: str, session: Session) -> None:
        """Abort an upload. One that is gone is fine."""
        with contextlib.suppress(SessionGone):
            self._uploads.abort(Upload.of(key, session))

    def go_on(self, key: str, body: Body, session: Session, condition: Mapping[str, Any]) -> dict[str, Any]:
        """Send what the store lacks and complete; its reply. Whatever fails, the upload stays open."""
        upload = Upload.of(key, session)
        with of_a_session(key):
            there = self._uploads.parts(upload)
            held_already(body, sum(part.size for part in there.values()))
            sent = self._send(upload, body, session.part_bytes, there)
            try:
                return self._uploads.complete(upload, sent, condition)
            except Transient as error:
                known = all(part.number in there and there[part.number].etag == part.etag for part in sent)
                if not known or not isinstance(error.__cause__, Exception) or code_of(error.__cause__) != "InvalidPart":
                    raise
                # A part that another request replaced meanwhile would be sent again. These are listed, and not taken: it
                # would be so for ever.
                self._uploads.abort(upload)
                raise SessionGone(f"{key!r}: the store does not take the parts that it lists") from error

    def put(self, key: str, body: Body, *, meta: Mapping[str, str], condition: Mapping[str, Any]) -> dict[str, Any]:
        """Send a body that is not empty in one go; the reply of its completion. What fails is aborted."""
        part_bytes = part_bytes_of(key, body.size, self._part_bytes)
        upload = self._uploads.begin(key, guarded=True, Metadata=dict(meta))
        with self._uploads.aborted_on_failure(upload):
            return self._uploads.complete(upload, self._send(upload, body, part_bytes, {}), condition)

    def close(self) -> None:
        """End the threads once they are idle. May be repeated."""
        self._pool.shutdown(wait=True)

    def _send(self, upload: Upload, body: Body, part_bytes: int, there: Mapping[int, Sent]) -> list[Sent]:
        """Every part, in order. Returns or raises only when no part is on its way any more."""
        under_way: list[Future[Sent]] = []
        broken = Event()
        with contextlib.closing(Checked(body)) as stream:
            try:
                for number, data in enumerate(self._pieces(stream, part_bytes), start=1):
                    if broken.is_set():
                        self._budget.give(part_bytes)
                        break
                    part = self._submit(part_bytes, upload, number, data, there.get(number))
                    part.add_done_callback(lambda done: broken.set() if done.exception() else None)
                    under_way.append(part)
            finally:
                for part in under_way:
                    part.exception()  # waits
        return [part.result() for part in under_way]

    def _pieces(self, stream: Checked, part_bytes: int) -> Iterator[bytes]:
        """The body cut up; each piece takes its bytes of the budget, which its receiver gives back."""
        while True:
            self._budget.take(part_bytes)
            try:
                data = _fill(stream, part_bytes)
            except BaseException:
                self._budget.give(part_bytes)
                raise
            yield data
            if stream.tell() >= len(stream):
                return

    def _submit(self, part_bytes: int, upload: Upload, number: int, data: bytes, there: Sent | None) -> Future[Sent]:
        try:
            future = self._pool.submit(self._send_part, upload, number, data, there)
        except BaseException:
            self._budget.give(part_bytes)
            raise
        future.add_done_callback(lambda _: self._budget.give(part_bytes))
        return future

    def _send_part(self, upload: Upload, number: int, data: bytes, there: Sent | None) -> Sent:
        """The part, which is sent unless the store is proven to have it."""
        crc32 = crc32_of(data) if upload.guard is Guard.CRC32 else None
        if there is not None and there.is_of(data):
            return Sent(number, there.etag, crc32)
        guard = {"ContentMD5": md5_of(data)} if crc32 is None else {"ChecksumCRC32": crc32}

        def send() -> Sent:
            try:
                with self._line.turn(len(data)):
                    reply = self._calls.send(
                        "PUT",
                        "upload_part",
                        upload.key,
                        up=len(data),
                        UploadId=upload.id,
                        PartNumber=number,
                        Body=data,
                        **guard,
                    )
            except Stale as error:
                if isinstance(error.__cause__, Exception) and code_of(error.__cause__) in DAMAGED:
                    raise Transient(f"{upload.key!r}: part {number} was damaged on its way") from error
                raise
            return Sent(number, reply["ETag"], crc32)

        return repeated(send, self._patience, sleep=self._sleep)


def _fill(stream: Checked, count: int) -> bytes:
    """Exactly `count` bytes, fewer only at the end."""
    data = stream.read(count)
    if len(data) == count:
        return data
    pieces = [data]
    while (missing := count - sum(map(len, pieces))) > 0 and stream.tell() < len(stream):
        pieces.append(stream.read(missing))
    return b"".join(pieces)
