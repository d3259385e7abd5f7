"""Mode manual: what API threads read of the journal, beside the engine. Read-only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from dorkyd.core.apart import Differs
from dorkyd.core.model import Path
from dorkyd.core.report import ChangeItem
from dorkyd.manual_rows import AS_STAGED

_CHANGES = (
    "SELECT p.path, s.path IS NOT NULL, s.name, s.digest, s.size, s.over, a.here, a.there,"  # noqa: S608 - constant
    f" a.path IS NOT NULL AND {AS_STAGED}, n.digest, n.size, b.digest, r.version"
    " FROM (SELECT path FROM staged UNION SELECT path FROM apart) p"
    " LEFT JOIN staged s ON s.path = p.path LEFT JOIN apart a ON a.path = p.path LEFT JOIN seen n ON n.path = p.path"
    " LEFT JOIN base b ON b.path = p.path LEFT JOIN remote r ON r.path = p.path"
    " WHERE p.path > ? ORDER BY p.path LIMIT ?"
)
_OF_PATH = _CHANGES.replace("WHERE p.path > ? ORDER BY p.path LIMIT ?", "WHERE p.path = ?").replace(
    "SELECT path FROM staged UNION SELECT path FROM apart", "SELECT ? AS path"
)


def changes(conn: sqlite3.Connection, after: str, limit: int) -> list[ChangeItem]:
    """Paths that are staged or differ, in order, after `after`."""
    return [_item(row) for row in conn.execute(_CHANGES, (after, limit))]


def changes_of(conn: sqlite3.Connection, paths: Iterable[Path]) -> list[ChangeItem]:
    """How these stand now, also where nothing is to be said of one any more."""
    return [_item(row) for path in paths for row in conn.execute(_OF_PATH, (path, path))]


def _item(row: Sequence[Any]) -> ChangeItem:
    path, is_staged, name, digest, size, over, here, there, as_staged, seen, seen_size, base, version = row
    return ChangeItem(
        path=path,
        staged=_staged(name, digest, over).value if is_staged else "",
        outdated=bool(is_staged) and over != base,
        changed="" if as_staged else here or "",
        behind=there or "",
        digest=digest if is_staged else seen,
        size=(size if is_staged else seen_size) or 0,
        version=version,
    )


def _staged(name: str | None, digest: str | None, over: str | None) -> Differs:
    if name is None:
        return Differs.DELETED
    if over is None:
        return Differs.NEW
    return Differs.MODE if digest == over else Differs.MODIFIED
