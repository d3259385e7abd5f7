"""Bodies on their way to Google Cloud Storage, summed as they go."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from typing import Any, BinaryIO

from dorkyd.core.metadata import hex_of
from dorkyd.errors import Stale
from dorkyd.ports import Body

STEP_BYTES = 256 * 1024


class Crc32c:
    """The checksum that the store computes of every object."""

    def __init__(self) -> None:
        import google_crc32c  # noqa: PLC0415  comes with the SDK, which other stores need not load

        self._sum: Any = google_crc32c.Checksum()

    def update(self, data: bytes | memoryview) -> None:
        """Take in the next bytes."""
        self._sum.update(bytes(data))

    def text(self) -> str:
        """As the API writes it: base64 of four bytes, the highest first."""
        return base64.b64encode(self._sum.digest()).decode()


class Summed:
    """A body's stream, once from its start, that gives out its last bytes only when all of them are `body.digest`.

    So a store that got everything got what was observed. Not thread-safe.
    """

    def __init__(self, body: Body) -> None:
        self._body = body
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self._crc = Crc32c()
        self._at = 0
        self.failure: Exception | None = None
        """What went wrong in reading: the HTTP library may wrap it beyond recognition."""

    def __len__(self) -> int:
        return self._body.size

    def tell(self) -> int:
        """Bytes given out so far."""
        return self._at

    @property
    def ended(self) -> bool:
        """All bytes were given out, and are what was observed."""
        return self._at == self._body.size

    @property
    def crc32c(self) -> str:
        """Of the bytes given out so far."""
        return self._crc.text()

    def read(self, count: int = -1) -> bytes:
        """The next bytes. Raises `Stale` when the body turns out not to be what was observed."""
        try:
            return self._read(count)
        except Exception as error:
            self.failure = error
            raise

    def fill(self, count: int) -> bytes:
        """Exactly so many bytes, fewer only at the end."""
        data = bytearray()
        while len(data) < count and not self.ended:
            data += self.read(min(STEP_BYTES, count - len(data)))
        return bytes(data)

    def finish(self) -> None:
        """Read what is left, and make sure of it."""
        self.skip(self._body.size)

    def skip(self, to: int) -> None:
        """Read and sum up to this offset, giving nothing out."""
        while self._at < to:
            self.read(min(STEP_BYTES, to - self._at))
        if self._at == 0:
            self.read(0)  # an empty body is proved too

    def close(self) -> None:
        """Close the file below. May be repeated."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self, count: int) -> bytes:
        left = self._body.size - self._at
        wanted = left if count < 0 else min(count, left)
        if self._file is None:
            self._file = self._body.open()
        data = self._file.read(wanted) if wanted else b""
        if wanted and not data:
            raise Stale("the body ended before its size")
        self._hash.update(data)
        self._crc.update(data)
        self._at += len(data)
        if self.ended and self._hash.hexdigest() != hex_of(self._body.digest):
            raise Stale("the bytes are not those that were observed")
        return data


class Enveloped:
    """A body between the head and the tail of a multipart/related request."""

    def __init__(self, head: bytes, body: Body, tail: bytes) -> None:
        self._rest: list[Callable[[int], bytes]] = [io.BytesIO(head).read, self._inner, io.BytesIO(tail).read]
        self._summed = Summed(body)
        self._length = len(head) + body.size + len(tail)

    def __len__(self) -> int:
        return self._length

    @property
    def failure(self) -> Exception | None:
        """As `Summed.failure`."""
        return self._summed.failure

    def read(self, count: int = -1) -> bytes:
        """The next bytes."""
        wanted = STEP_BYTES if count < 0 else count
        while self._rest:
            data = self._rest[0](wanted)
            if data:
                return data
            del self._rest[0]
        return b""

    def __iter__(self) -> Enveloped:
        return self

    def __next__(self) -> bytes:
        data = self.read(STEP_BYTES)
        if not data:
            raise StopIteration
        return data

    def close(self) -> None:
        """Close the file below."""
        self._summed.close()

    def _inner(self, count: int) -> bytes:
        return b"" if self._summed.ended else self._summed.read(count)
