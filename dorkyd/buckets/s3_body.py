"""Bodies on their way up, checked as they go."""

from __future__ import annotations

import hashlib
import io
from typing import BinaryIO

from dorkyd.core.metadata import hex_of
from dorkyd.errors import Stale
from dorkyd.ports import Body


class Checked:
    """A body's stream that gives out its last bytes only when all of them are `body.digest` and `body.size` long.

    So a store that got everything got what was observed: a request that lacks its last bytes stores nothing. Not
    thread-safe. It can be rewound to the start and nowhere else, which signing over http needs.
    """

    def __init__(self, body: Body) -> None:
        self._body = body
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self._at = 0
        self.failure: Exception | None = None
        """What went wrong in reading. The SDK wraps it beyond recognition, so that it is kept here."""

    def __len__(self) -> int:
        return self._body.size

    def __bool__(self) -> bool:
        return True

    def tell(self) -> int:
        """Bytes given out so far."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Back to the start."""
        if offset != 0 or whence != io.SEEK_SET:
            raise io.UnsupportedOperation("a body can only be rewound to its start")
        self.close()
        self._hash = hashlib.sha256()
        self._at = 0
        return 0

    def read(self, count: int = -1) -> bytes:
        """The next bytes. Raises `Stale` when the body turns out not to be what was observed."""
        try:
            return self._read(count)
        except Exception as error:
            self.failure = error
            raise

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
        data = self._file.read(wanted)
        if len(data) < wanted and not data:
            raise Stale("the body ended before its size")
        self._hash.update(data)
        self._at += len(data)
        if self._at == self._body.size and self._hash.hexdigest() != hex_of(self._body.digest):
            raise Stale("the bytes are not those that were observed")
        return data
