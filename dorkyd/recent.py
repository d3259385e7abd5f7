"""Small files that were read a moment ago: their upload follows, and need not open them again.

Opening a file below a folder that others may change costs a dozen calls to the system, each of which hands the interpreter
to another thread. Of many small files that is most of the work of sending them.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from dorkyd.core.model import Path, StatTuple

SMALL_BYTES = 64 * 1024
"""A larger file is read again: its bytes are the larger part of the work anyhow."""
_MOST_BYTES = 8 * 1024 * 1024


class Recent:
    """Bytes of files as they were read, until they are asked for or others take their room. Thread-safe."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = Lock()
        self._files: OrderedDict[Path, tuple[StatTuple, bytes]] = OrderedDict()
        self._bytes = 0

    def keep(self, path: Path, seen: StatTuple, data: bytes) -> None:
        """These are all the bytes of the file that `seen` is of."""
        with self._lock:
            self._drop(path)
            self._files[path] = seen, data
            self._bytes += len(data)
            while self._bytes > self._most_bytes:
                self._drop(next(iter(self._files)))

    def take(self, path: Path, seen: StatTuple) -> bytes | None:
        """The bytes, once; None: they are not here, or of another state."""
        with self._lock:
            found = self._drop(path)
        return found[1] if found is not None and found[0] == seen else None

    def peek(self, path: Path, seen: StatTuple) -> bytes | None:
        """The bytes, which stay."""
        with self._lock:
            found = self._files.get(path)
        return found[1] if found is not None and found[0] == seen else None

    def _drop(self, path: Path) -> tuple[StatTuple, bytes] | None:
        found = self._files.pop(path, None)
        if found is not None:
            self._bytes -= len(found[1])
        return found
