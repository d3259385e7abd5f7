"""One level of a project's tree, and paths that were looked for, from the journal, for `dorkyd.reading`. Read-only.

A level costs as many steps as it has entries, however much lies below them: from one folder's first path SQLite seeks to the
first behind the folder. What is told of a folder are counts over its range of the key.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dorkyd.core.ignore import IgnoreRules
from dorkyd.core.model import Path
from dorkyd.core.report import TreeItem
from dorkyd.reading_rows import SIDES, Row, behind, conflict_copies, joined

SHOWN = (*SIDES, "problems")
"""The tables whose paths are entries: what is no file, such as a link, is known by its problem alone."""
UNSETTLED = ("dirty", "problems")
"""The tables whose paths are not in sync, whatever else is known of them."""
_AT_ONCE = 500
"""Paths that one query names."""


@dataclass(slots=True)
class Tree:
    """The tree at one instant."""

    conn: sqlite3.Connection
    rules: IgnoreRules
    clashes: bool = True
    """False: there is no conflict, so that nobody needs to look for the names of any."""
    _clashing: set[str] = field(default_factory=set)
    """Conflict copies that wait for a person, and what they are copies of."""

    def __post_init__(self) -> None:
        for copy, named in conflict_copies(self.conn, self.rules) if self.clashes else ():
            self._clashing |= {copy, named.original}

    def level(self, folder: str, after: str, limit: int) -> list[TreeItem]:
        """At most `limit` entries of `folder` ("" or with a closing `/`), in the order of paths, after the entry `after`."""
        found: list[str] = []
        lower = ("path > ?", folder) if not after else _behind_entry(after)
        while len(found) < limit and (path := self._next(lower, behind(folder))) is not None:
            name, slash, _ = path[len(folder) :].partition("/")
            entry = f"{folder}{name}{slash}"
            if not self.rules.skip(Path(entry.rstrip("/")), bool(slash)):
                found.append(entry)
            lower = _behind_entry(entry)
        files = self._files([entry for entry in found if not entry.endswith("/")])
        items = (self._folder(entry) if entry.endswith("/") else files.get(entry) for entry in found)
        return [item for item in items if item is not None]

    def find(self, folder: str, after: str, limit: int, text: str, *, unsettled: bool) -> list[TreeItem]:
        """At most `limit` files below `folder` whose path holds `text` (A-Z in either case), in order, after `after`.
        `unsettled`: only what is not in sync.
        """
        lower = ("path > ?", after) if after > folder else ("path >= ?", folder)
        wanted = f"WHERE {lower[0]} AND path < ?"
        bounds: tuple[str | bytes, ...] = (lower[1], behind(folder))
        if text:
            wanted, bounds = f"{wanted} AND instr(lower(path), lower(?)) > 0", (*bounds, text)
        parts = [f"SELECT path FROM {table} {wanted}" for table in (UNSETTLED if unsettled else SIDES)]
        if unsettled:
            alone = "AND path NOT IN (SELECT path FROM base)"
            parts += [f"SELECT path FROM {table} {wanted} {alone}" for table in ("seen", "remote")]
            parts.append(f"SELECT path FROM (SELECT value AS path FROM json_each(?)) {wanted}")
            values = [*bounds * (len(parts) - 1), json.dumps(sorted(self._clashing)), *bounds]
        else:
            values = [*bounds * len(parts)]
        rows = self.conn.execute(f"{' UNION '.join(parts)} ORDER BY path", values)
        found: list[TreeItem] = []
        while len(found) < limit and (page := [path for (path,) in rows.fetchmany(min(_AT_ONCE, limit - len(found)))]):
            kept = [path for path in page if not self.rules.skip(Path(path), False)]
            found += self._files(kept).values()
        return found

    # --- inside -----------------------------------------------------------------------------------------------------

    def _next(self, lower: tuple[str, str], upper: str | bytes) -> str | None:
        parts = [f"SELECT min(path) FROM {table} WHERE {lower[0]} AND path < ?" for table in SHOWN]
        found = [self.conn.execute(part, (lower[1], upper)).fetchone()[0] for part in parts]
        return min((path for path in found if path is not None), default=None)

    def _files(self, paths: Sequence[str]) -> dict[str, TreeItem]:
        found: dict[str, TreeItem] = {}
        for begin in range(0, len(paths), _AT_ONCE):
            some = paths[begin : begin + _AT_ONCE]
            rows = joined(self.conn, f"VALUES {', '.join('(?)' for _ in some)}", tuple(some))
            sent = self._sent(some)
            found |= {row.path: self._file(row, sent=row.path in sent) for row in rows if row.known or row.problem}
        return found

    def _sent(self, paths: Iterable[str]) -> set[str]:
        """Of these, what is being written to the bucket."""
        some = list(paths)
        marks = ", ".join("?" for _ in some)
        query = f"SELECT path FROM intents WHERE state = 'intended' AND path IN ({marks})"
        return {path for (path,) in self.conn.execute(query, some)}

    def _file(self, row: Row, *, sent: bool) -> TreeItem:
        side = row.agreed
        state = row.state
        if state != "problem":
            state = "conflict" if row.path in self._clashing else "sending" if sent else state
        if side is None:
            return TreeItem(row.path, None, None, None, state)
        return TreeItem(row.path, side.digest, side.size, side.version, state)

    def _folder(self, entry: str) -> TreeItem:
        # Exact where both sides agree, and it takes no sorting: whatever is on one side alone adds to that side's count.
        files = max(self._within(table, entry) for table in SIDES)
        dirty, problems = self._within("dirty", entry), self._within("problems", entry)
        clashing = any(path.startswith(entry) for path in self._clashing)
        state = "problem" if problems else "conflict" if clashing else "changing" if dirty else "synced"
        return TreeItem(Path(entry), None, None, None, state, files)

    def _within(self, table: str, folder: str) -> int:
        query = f"SELECT count(*) FROM {table} WHERE path >= ? AND path < ?"
        return int(self.conn.execute(query, (folder, behind(folder))).fetchone()[0])


def _behind_entry(entry: str) -> tuple[str, str]:
    """The bound that everything behind an entry meets: of a folder, behind all that lies in it."""
    if entry.endswith("/"):
        return "path >= ?", f"{entry[:-1]}0"  # the character behind the slash
    return "path > ?", entry
