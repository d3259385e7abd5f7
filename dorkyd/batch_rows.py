"""What is remembered of atomic batches, in the journal's database: those that are complete, and our own on their way.

An intent of a batch becomes `batched` when it took effect, not an announcement. `commit` makes announcements of all of
them in one transaction; they go into one entry, which names the batch. `give_up` makes ordinary announcements of them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from dorkyd.core.model import Path
from dorkyd.ledger import Intent

PASSED_AT = "log_passed_at"
"""Where the journal keeps the LastModified of the last entry of the log that was passed over unread: what was made later
is told of by none of those.
"""
LIVES_NS = 7 * 86_400 * 10**9
"""How long a complete batch is remembered: later on its objects have waited long enough in any case."""


@dataclass(frozen=True, slots=True)
class Ours:
    """How far one of our own batches is."""

    intended: int
    """Writes whose outcome is not known."""
    written: int
    """Writes that took effect."""
    committed: bool
    """It waits only to be told of."""


@dataclass(slots=True)
class BatchRows:
    """See the module. Shares the journal's connection, thread and transactions."""

    _conn: sqlite3.Connection

    def complete(self, batch: str, paths: Iterable[Path], now_ns: int) -> None:
        """An entry of the log names it."""
        self._conn.execute("DELETE FROM batches WHERE at_ns < ?", (now_ns - LIVES_NS,))
        members = json.dumps(sorted(set(paths)))
        self._conn.execute("INSERT OR IGNORE INTO batches VALUES (?, ?, ?)", (batch, members, now_ns))

    def members(self, batch: str) -> list[Path] | None:
        """Its paths; None: it is not complete, as far as is known."""
        row = self._conn.execute("SELECT members FROM batches WHERE id = ?", (batch,)).fetchone()
        return [Path(path) for path in json.loads(row[0])] if row is not None else None

    def unfinished(self) -> list[tuple[Path, int]]:
        """Objects of batches that are not known to be complete, and when each was written by the store's clock, in seconds.
        Without those of a store that does not tell.
        """
        rows = self._conn.execute(
            "SELECT path, modified FROM remote WHERE batch IS NOT NULL AND modified IS NOT NULL"
            " AND batch NOT IN (SELECT id FROM batches)"
        )
        return [(Path(path), int(modified)) for path, modified in rows]

    def ours(self, batch: str) -> Ours:
        """How far it is, by our own intents."""
        rows = dict(self._conn.execute("SELECT state, count(*) FROM intents WHERE batch = ? GROUP BY state", (batch,)))
        return Ours(rows.get("intended", 0), rows.get("batched", 0), rows.get("announce", 0) > 0)

    def commit(self, batch: str) -> None:
        """All of it is written: from here on it is to be told of, whole. A request that still lands is of no batch."""
        self._conn.execute("UPDATE intents SET batch = NULL WHERE batch = ? AND state = 'dropped'", (batch,))
        self._conn.execute("UPDATE intents SET state = 'announce' WHERE batch = ? AND state = 'batched'", (batch,))

    def tell(self, intents: Iterable[Intent]) -> None:
        """These took effect, whoever did them: one entry of the log is to name their batch with all of them."""
        self._conn.executemany(
            "INSERT OR IGNORE INTO intents (op, path, verb, digest, size, mode, replaces, version, state, approved, at_ns,"
            " asked, local_mode, batch) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'announce', ?, ?, 0, NULL, ?)",
            (
                (
                    i.op,
                    i.path,
                    i.verb,
                    i.digest,
                    i.size,
                    i.mode,
                    i.replaces,
                    i.version,
                    int(i.approved),
                    i.at_ns,
                    i.batch,
                )
                for i in intents
            ),
        )

    def give_up(self, batch: str | None) -> None:
        """It will not be complete (None: none that is not committed): what was written is told of like any change."""
        self._conn.execute(
            "UPDATE intents SET batch = NULL, state = CASE state WHEN 'batched' THEN 'announce' ELSE state END"
            " WHERE batch = coalesce(?, batch) AND state != 'announce'",
            (batch,),
        )
