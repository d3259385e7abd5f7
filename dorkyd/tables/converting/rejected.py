"""The list of records that are not in the table: JSON lines, written as they are found."""

from __future__ import annotations

import json
from typing import IO

from dorkyd.core.conversion import RAW_LIMIT, Reject


class Rejects:
    """Counts rejects, and lists them where somebody wants the list."""

    def __init__(self, out: IO[bytes] | None) -> None:
        self._out = out
        self.count = 0

    def add(self, line: int, column: str | None, reason: str, raw: bytes) -> None:
        """One more."""
        self.count += 1
        if self._out is not None:
            reject = Reject(line, column, reason, raw.decode(errors="backslashreplace")[:RAW_LIMIT])
            told = {"line": reject.line, "column": column, "reason": reason, "raw": reject.raw}
            self._out.write(json.dumps(told, ensure_ascii=False).encode(errors="backslashreplace") + b"\n")

    def again(self) -> None:
        """The input is read from its beginning once more."""
        self.count = 0
        if self._out is not None:
            self._out.seek(0)
            self._out.truncate()
