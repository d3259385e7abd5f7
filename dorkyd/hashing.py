"""The SHA-256 of what comes in, computed beside whoever brings and stores it."""

from __future__ import annotations

import hashlib

from dorkyd.beside import AHEAD, Beside

__all__ = ["AHEAD", "Hashing"]


class Hashing(Beside):
    """On a thread of its own, while the block lasts. Chunks must stay as they are."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        super().__init__(self._hash.update, "hashing")

    def hexdigest(self) -> str:
        """Of all, after the block."""
        return self._hash.hexdigest()
