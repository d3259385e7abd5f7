"""The worker's tasks `head`, the first rows of a table, and `compare`, the rows of two tables by a key."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from dorkyd.tables import text
from dorkyd.tables.harvest import arrow_batches, kind, open_parquet
from dorkyd.tables.values import plain, text_of
from dorkyd.tables.worker import Input, Unreadable

MOST_ROWS = 1000
"""Of a head."""
MOST_SHOWN = 100
"""Columns of a head that names none."""
PASS_ROWS = 1_000_000
"""Rows whose keys are held at a time, of both tables: some 300 MB. What has more is read several times, a part of the keys each."""
MOST_PASSES = 16
SAMPLES = 20
"""Rows of each kind that are shown."""
BATCH_ROWS = 8192


def head(request: Mapping[str, Any], files: Sequence[Input]) -> dict[str, Any]:
    """`path`, `rows`, and `columns` (a list; None: the first `MOST_SHOWN`)."""
    count = max(0, min(int(request["rows"]), MOST_ROWS))
    wanted = request.get("columns")
    names, rows = table(str(request["path"]), files[0], wanted, most=MOST_SHOWN if wanted is None else None, rows=count)
    found = [[plain(value) for value in row] for row in islice(rows, count)]
    return {"columns": list(names), "rows": found}


def table(
    path: str, file: Input, wanted: Sequence[str] | None, *, most: int | None = None, rows: int | None = None
) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
    """Names of columns and the rows of these, in order. `rows`: no more will be taken, so that no more need be read."""
    match kind(path, file):
        case "parquet":
            opened = open_parquet(file)
            names = _chosen(opened.schema_arrow.names, wanted, most)
            # By the leaves: a name with a dot in it may be a part of another.
            batches = opened.iter_batches(
                batch_size=min(rows or BATCH_ROWS, BATCH_ROWS), columns=list(names), use_threads=False
            )
            return names, (row for batch in batches for row in _of(batch, names))
        case "arrow":
            schema, _, found = arrow_batches(file)
            names = _chosen(schema.names, wanted, most)
            return names, (row for batch in found for row in _of(batch, names))
        case "csv":
            every, lines = text.csv_rows(path, file)
        case "jsonl":
            every, lines = text.json_rows(path, file)
    names = _chosen(every, wanted, most)
    places = [every.index(name) for name in names]
    return names, ([row[place] for place in places] for row in lines)


def _of(batch: Any, names: Sequence[str]) -> Iterator[Sequence[Any]]:
    places = [batch.schema.names.index(name) for name in names]
    for start in range(0, batch.num_rows, BATCH_ROWS):
        part = batch.slice(start, BATCH_ROWS)
        yield from zip(*(part.column(place).to_pylist() for place in places), strict=True)


def _chosen(names: Sequence[str], wanted: Sequence[str] | None, most: int | None) -> list[str]:
    if wanted is None:
        # Of two columns of one name the first.
        return list(dict.fromkeys(names))[:most]
    for name in wanted:
        if name not in names:
            raise Unreadable(f"there is no column {name!r}", "no-such-column")
    return list(dict.fromkeys(wanted))


# --- by key ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Found:
    """What a comparison has found so far."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    samples: dict[str, list[bytes]] = field(default_factory=lambda: {"added": [], "removed": [], "changed": []})
    """Digests of the keys of the first of each."""

    def note(self, what: str, key: bytes) -> None:
        """One more of these."""
        if len(self.samples[what]) < SAMPLES:
            self.samples[what].append(key)


@dataclass(frozen=True, slots=True)
class _Side:
    path: str
    file: Input

    def rows(self, columns: Sequence[str]) -> Iterator[Sequence[Any]]:
        return table(self.path, self.file, columns)[1]


def compare(request: Mapping[str, Any], files: Sequence[Input]) -> dict[str, Any]:
    """`path`, `key` (columns), and `rows`, how many both have together. Columns that only one has are left out."""
    key, path = [str(name) for name in request["key"]], str(request["path"])
    sides = [_Side(path, file) for file in files[:2]]
    names = [table(path, side.file, None)[0] for side in sides]
    for name in key:
        for side, had in zip(("before", "after"), names, strict=True):
            if name not in had:
                raise Unreadable(f"the table {side} has no column {name!r}", "no-such-column")
    common = [*key, *(name for name in names[0] if name in names[1] and name not in key)]
    passes = max(1, -(-int(request["rows"]) // PASS_ROWS))
    if passes > MOST_PASSES:
        most = MOST_PASSES * PASS_ROWS
        raise Unreadable(f"they have more than {most:,} rows together, too many to compare by key", "too-many-rows")
    found = _Found()
    for number in range(passes):
        _compare_part(sides, common, len(key), (number, passes), found)
    return {
        "key": key,
        "columns": common,
        "added": found.added,
        "removed": found.removed,
        "changed": found.changed,
        "samples": _samples(sides, common, len(key), found),
    }


def _digest(values: Sequence[Any]) -> bytes:
    return hashlib.blake2b(repr(tuple(values)).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _compare_part(
    sides: Sequence[_Side], columns: Sequence[str], width: int, part: tuple[int, int], found: _Found
) -> None:
    """Of the keys that belong to this part."""
    number, passes = part
    before: dict[bytes, bytes] = {}
    for row in sides[0].rows(columns):
        key = _digest(row[:width])
        if key[0] % passes != number:
            continue
        if key in before:
            raise _twice(columns, row, width, "before")
        before[key] = _digest(row[width:])
        if len(before) > 2 * PASS_ROWS:
            raise Unreadable("it has more rows than it seemed, too many to compare by key", "too-many-rows")
    seen: set[bytes] = set()
    for row in sides[1].rows(columns):
        key = _digest(row[:width])
        if key[0] % passes != number:
            continue
        if key in seen:
            raise _twice(columns, row, width, "after")
        seen.add(key)
        if len(seen) > 2 * PASS_ROWS:
            raise Unreadable("it has more rows than it seemed, too many to compare by key", "too-many-rows")
        was = before.pop(key, None)
        if was is None:
            found.added += 1
            found.note("added", key)
        elif was != _digest(row[width:]):
            found.changed += 1
            found.note("changed", key)
    found.removed += len(before)
    for key in islice(before, SAMPLES):
        found.note("removed", key)


def _twice(columns: Sequence[str], row: Sequence[Any], width: int, side: str) -> Unreadable:
    told = ", ".join(f"{name}={text_of(value, 40)}" for name, value in zip(columns[:width], row[:width], strict=True))
    return Unreadable(f"{told} stands twice in the table {side}: that is no key", "no-key")


def _samples(sides: Sequence[_Side], columns: Sequence[str], width: int, found: _Found) -> dict[str, list[Any]]:
    """The rows of the samples: what they were and are, by column; of changed ones what differs."""
    wanted = {key for keys in found.samples.values() for key in keys}
    rows: list[dict[bytes, Sequence[Any]]] = [{}, {}]
    for side, kept in zip(sides, rows, strict=True):
        for row in side.rows(columns) if wanted else ():
            key = _digest(row[:width])
            if key in wanted:
                kept[key] = [plain(value) for value in row]
    before, after = rows
    changed = [
        {
            "key": before[key][:width],
            "differs": {
                name: [was, now]
                for name, was, now in zip(columns[width:], before[key][width:], after[key][width:], strict=True)
                if was != now
            },
        }
        for key in found.samples["changed"]
        if key in before and key in after
    ]
    return {
        "added": [after[key] for key in found.samples["added"] if key in after],
        "removed": [before[key] for key in found.samples["removed"] if key in before],
        "changed": changed,
    }
