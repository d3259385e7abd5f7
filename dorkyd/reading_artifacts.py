"""The bucket's objects as the journal remembers them, for clients: a page of them, and those with given metadata."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from dorkyd.core.artifact import Artifact, artifact_of_remote, encoded_value
from dorkyd.core.model import Digest, Path, Remote, Version
from dorkyd.reading_rows import behind

_KNOWN = (
    # Of what is encrypted and known by its base alone, the object tells another size.
    "r.version, CASE WHEN r.digest IS NULL AND r.version = b.version THEN b.size ELSE r.size END, coalesce(r.digest, CASE WHEN r.version = b.version THEN b.digest END), r.modified, r.device, r.own"
)


def artifacts_of(
    conn: sqlite3.Connection, prefix: str, after: str, limit: int, having: Mapping[str, str]
) -> list[Artifact]:
    """At most `limit` objects whose path begins with `prefix`, in order, after `after`, whose metadata has all of `having`.

    An object that nobody here has looked at has no metadata as far as this goes.
    """
    where, values = (
        ["r.path > ?" if after >= prefix else "r.path >= ?", "r.path < ?"],
        [max(after, prefix), behind(prefix)],
    )
    for name, value in having.items():
        # Compared as the object carries it: a text is written in one way only.
        where.append("json_extract(r.own, ?) IN (?, ?)")
        values += [f'$."{name}"', encoded_value(value), value]
    rows = conn.execute(
        f"SELECT r.path, {_KNOWN} FROM remote r LEFT JOIN base b ON b.path = r.path"  # noqa: S608 - constants
        f" WHERE {' AND '.join(where)} ORDER BY r.path LIMIT ?",
        (*values, limit),
    )
    return [
        artifact_of_remote(
            Path(path),
            Remote(
                Version(version),
                size,
                Digest(digest) if digest is not None else None,
                modified=modified,
                device=device,
                own=own or "",
            ),
        )
        for path, version, size, digest, modified, device, own in rows
    ]
