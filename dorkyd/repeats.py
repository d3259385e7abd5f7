"""Requests with an `Idempotency-Key` (the IETF draft of that name), in the journal's database.

A row is written in the transaction that journals the request's intent, so that whatever became of the write is known by its
op: recorded, or found by a look after a kill. A repeat with the same key gets the first answer and touches nothing; one that
asks for something else is refused; one that comes while the first is under way is told to wait. Rows live a day.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from dorkyd.core.model import Op
from dorkyd.errors import Refused, Transient

LIVES_NS = 24 * 3600 * 10**9


@dataclass(frozen=True, slots=True)
class Keyed:
    """A request's key and what it asks for."""

    key: str
    """The client's own word for one request, however often it is sent."""
    fingerprint: str
    """Stands for all that it asks for, the body included."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What was answered to a request."""

    text: str
    creates: bool
    """It made an object where none was."""


@dataclass(slots=True)
class Repeats:
    """See the module. Shares the journal's connection, thread and transactions."""

    _conn: sqlite3.Connection

    def answer(self, keyed: Keyed, now_ns: int) -> Answered | None:
        """What was answered to this request before; None: it is new, or nothing came of it.

        `Refused` (`key-reused`) when the key was another request's, `Transient` (`key-in-use`) while that one is under way.
        """
        self._conn.execute("DELETE FROM repeats WHERE at_ns < ? OR at_ns > ?", (now_ns - LIVES_NS, now_ns + LIVES_NS))
        row = self._conn.execute(
            "SELECT fingerprint, answer, creates FROM repeats WHERE key = ?", (keyed.key,)
        ).fetchone()
        if row is None:
            return None
        fingerprint, answer, creates = row
        if fingerprint != keyed.fingerprint:
            raise Refused(
                "this Idempotency-Key belongs to another request", code="key-reused", hint="give each request its own"
            )
        if answer is None:
            raise Transient("this very request is under way", code="key-in-use", retry_after_s=1)
        return Answered(str(answer), bool(creates))

    def knows(self, key: str) -> bool:
        """Some request had it."""
        return self._conn.execute("SELECT 1 FROM repeats WHERE key = ?", (key,)).fetchone() is not None

    def begins(self, keyed: Keyed, op: Op, now_ns: int, *, creates: bool) -> None:
        """It is about to be sent, as this op."""
        self._conn.execute(
            "INSERT OR REPLACE INTO repeats (key, fingerprint, op, creates, at_ns) VALUES (?, ?, ?, ?, ?)",
            (keyed.key, keyed.fingerprint, op, int(creates), now_ns),
        )

    def ends(self, op: Op, answer: str) -> None:
        """It happened; every repeat gets this answer."""
        self._conn.execute("UPDATE repeats SET answer = ? WHERE op = ?", (answer, op))

    def failed(self, op: Op) -> None:
        """Nothing came of it: a repeat is a new try."""
        self._conn.execute("DELETE FROM repeats WHERE op = ? AND answer IS NULL", (op,))

    def forget(self) -> None:
        """What was answered was true of another bucket, or will never be known there."""
        self._conn.execute("DELETE FROM repeats")
