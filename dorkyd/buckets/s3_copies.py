"""Copies of objects too large for one CopyObject (5 GiB): UploadPartCopy, and the goal's condition at the end.

Every part names the source's state, so that a copy is never a mixture of two; the completion names the goal's, as for
any multipart upload. https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dorkyd.buckets.retry import Patience, repeated
from dorkyd.buckets.s3_calls import Calls
from dorkyd.buckets.s3_reading import version_of
from dorkyd.buckets.s3_uploads import MIB, Sent, Upload, Uploads, part_bytes_of
from dorkyd.errors import Stale, Unsupported

HEADERS = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType")
"""What CopyObject keeps beside user metadata when it is told to keep."""


class Copies:
    """Copies in parts, from any thread. No bytes pass through us."""

    def __init__(
        self,
        calls: Calls,
        uploads: Uploads,
        *,
        part_bytes: int = 512 * MIB,
        workers: int = 8,
        patience: Patience | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`part_bytes`: how much one request copies, 5 MiB or more."""
        self._calls = calls
        self._uploads = uploads
        self._part_bytes = part_bytes
        self._workers = workers
        self._patience = patience or Patience()
        self._sleep = sleep

    def copy(
        self, source: str, key: str, *, if_match: str, meta: Mapping[str, str] | None, condition: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Copy the source in the state `if_match` (its ETag, quoted); the reply of the completion.

        `meta` None keeps the source's metadata and headers. What fails is aborted.
        """
        found = self._calls.find("HEAD", "head_object", source)
        if found is None or version_of(found["ETag"]) != version_of(if_match):
            raise Stale(f"{source!r} changed, or is gone")
        kept = {name: found[name] for name in HEADERS if name in found} | {"Metadata": found.get("Metadata", {})}
        upload = self._uploads.begin(key, guarded=False, **(kept if meta is None else {"Metadata": dict(meta)}))
        with self._uploads.aborted_on_failure(upload):
            sent = self._copy_parts(upload, source, found["ContentLength"], if_match)
            return self._uploads.complete(upload, sent, condition)

    def _copy_parts(self, upload: Upload, source: str, size: int, if_match: str) -> list[Sent]:
        part_bytes = part_bytes_of(upload.key, size, self._part_bytes)

        def one(start: int) -> Sent:
            end = min(start + part_bytes, size) - 1
            reply = repeated(
                lambda: self._calls.send(
                    "COPY",
                    "upload_part_copy",
                    upload.key,
                    UploadId=upload.id,
                    PartNumber=start // part_bytes + 1,
                    CopySource={"Bucket": self._calls.bucket, "Key": self._calls.full(source)},
                    CopySourceIfMatch=if_match,
                    CopySourceRange=f"bytes={start}-{end}",
                ),
                self._patience,
                sleep=self._sleep,
            )
            etag = reply["CopyPartResult"].get("ETag")
            if etag is None:
                # It took the request for a part without a body (rclone), and did not copy.
                raise Unsupported(upload.key, "this store cannot copy in parts", code="too-large")
            return Sent(start // part_bytes + 1, etag)

        with ThreadPoolExecutor(self._workers, thread_name_prefix="s3-copy") as pool:
            copying = [pool.submit(one, start) for start in range(0, size, part_bytes)]
            try:
                return [part.result() for part in copying]
            except BaseException:
                # The upload may be aborted only when nothing is on its way to it.
                pool.shutdown(wait=True, cancel_futures=True)
                raise
