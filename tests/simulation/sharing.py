"""A simulated journal is open once. Who reads it while its engine has it open reads through that engine's connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


class _Asked:
    by_a_person = False


@contextmanager
def a_person_asks() -> Iterator[None]:
    """From here on readers are let in."""
    _Asked.by_a_person = True
    try:
        yield
    finally:
        _Asked.by_a_person = False


def is_shared() -> bool:
    """A person asks for something."""
    return _Asked.by_a_person


class Shared:
    """Somebody else's connection, for reading: it is neither begun nor closed."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn

    def execute(self, sql: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        return self._conn.execute("SELECT 1" if sql == "BEGIN" else sql, values)

    def close(self) -> None:
        pass
