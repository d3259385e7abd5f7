"""Resumable sessions: https://cloud.google.com/storage/docs/performing-resumable-uploads

A session is named by nothing but its id, which is a capability. A status query tells how much is held and ends nothing
before all bytes are there. Every piece but the last is a multiple of 256 KiB.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.gcs.store import Blob, Conditions, Refusal, Store, Sums, check_name

PIECE = 256 * 1024


@dataclass(slots=True)
class Upload:
    """One session."""

    bucket: str
    name: str
    given: Mapping[str, Any]
    conditions: Conditions
    size: int | None
    """What `X-Upload-Content-Length` said."""
    data: bytearray = field(default_factory=bytearray, repr=False)
    sums: Sums = field(default_factory=Sums, repr=False)
    """Of `data`: as they come, since the last request of a large upload must be answered soon."""
    done: Blob | None = None
    dead: bool = False
    """Cancelled, refused at its end, or expired."""


class Uploads:
    """All sessions of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._uploads: dict[str, Upload] = {}

    def begin(self, bucket: str, given: Mapping[str, Any], conditions: Conditions, size: int | None) -> str:
        """A new session's id. The condition is judged now and again at the end."""
        name = str(given.get("name", ""))
        check_name(name)
        with self._store.lock:
            self._store.bucket(bucket)
            conditions.judge(self._store.live(bucket).get(name))
            upload_id = secrets.token_urlsafe(24)
            self._uploads[upload_id] = Upload(bucket, name, given, conditions, size)
            return upload_id

    def find(self, upload_id: str) -> Upload:
        """404: never heard of; 410: it was, and is over."""
        upload = self._uploads.get(upload_id)
        if upload is None:
            raise Refusal(404, "notFound", "Not Found")
        if upload.dead:
            raise Refusal(410, "gone", "Gone")
        return upload

    @property
    def open(self) -> list[Upload]:
        """Begun and not ended, for tests."""
        return [upload for upload in self._uploads.values() if upload.done is None and not upload.dead]

    def cancel(self, upload_id: str) -> None:
        """Answered with 499 when it worked. One that ended stays as it is."""
        with self._store.lock:
            upload = self.find(upload_id)
            if upload.done is None:
                upload.dead = True
                upload.data.clear()

    def expire(self) -> None:
        """As a week later."""
        with self._store.lock:
            for upload in self.open:
                upload.dead = True

    def send(
        self, upload_id: str, content_range: str | None, data: bytes, sums: Mapping[str, str], *, whole: bool = True
    ) -> Blob | int:
        """Take one piece: the object when it was the last, else how many bytes are held.

        `whole` False: the request broke off, and of its bytes only whole multiples of 256 KiB are kept.
        """
        with self._store.lock:
            upload = self.find(upload_id)
            if upload.done is not None:
                return upload.done
            first, last, total = _content_range(content_range, len(data))
            if upload.size is not None and total not in {None, upload.size}:
                raise Refusal(400, "invalid", "The size is not the one the upload was begun with.")
            if first is None:
                return self._end(upload, sums) if total == len(upload.data) else len(upload.data)
            assert last is not None
            if first > len(upload.data):
                raise Refusal(400, "invalid", f"The offset {first} exceeds the {len(upload.data)} bytes held.")
            if whole and last - first + 1 != len(data):
                raise Refusal(400, "invalid", "Content-Range and body differ in length.")
            ends = total is not None and last + 1 == total
            if not ends and (last - first + 1) % PIECE:
                raise Refusal(400, "invalid", "Every piece but the last must be a multiple of 256 KiB.")
            kept = data if whole else data[: len(data) // PIECE * PIECE]
            added = kept[len(upload.data) - first :]
            upload.data += added
            upload.sums.add(added)
            if whole and ends and len(upload.data) == total:
                return self._end(upload, sums)
            return len(upload.data)

    def _end(self, upload: Upload, sums: Mapping[str, str]) -> Blob:
        given = {**upload.given, **sums}
        try:
            upload.done = self._store.write(
                upload.bucket, upload.name, upload.data, given, upload.conditions, sums=upload.sums.told()
            )
        except Refusal:
            upload.dead = True
            raise
        finally:
            upload.data = bytearray()
        return upload.done


def _content_range(text: str | None, count: int) -> tuple[int | None, int | None, int | None]:
    """First byte, last byte and whole size; no first byte: a status query; no size: not known yet."""
    if text is None:
        return 0, count - 1, count
    found = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", text)
    if found is None:
        raise Refusal(400, "invalid", "Malformed Content-Range.")
    first, last, total = found.groups()
    if first is None and count:
        raise Refusal(400, "invalid", "A status query has no body.")
    return (
        None if first is None else int(first),
        None if last is None else int(last),
        None if total == "*" else int(total),
    )
