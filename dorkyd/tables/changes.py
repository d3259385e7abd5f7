"""What differs between two tables, from their facts; and what of it somebody should hear of. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dorkyd.tables.facts import ColumnFacts, TableFacts

FALLEN = 0.5
"""So little of its rows, or less, is left: worth a word."""
FEW_ROWS = 10
"""Of a table that had fewer, rows coming and going are no news."""
_NAMED = 5
"""Columns that a notice names."""


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """One column that both have, and that differs."""

    name: str
    before: ColumnFacts
    after: ColumnFacts

    @property
    def retyped(self) -> bool:
        """Its values are of another type. One that had no values yet gets its type by its first: that is none."""
        return self.before.type != self.after.type and "null" not in {self.before.type, self.after.type}


@dataclass(frozen=True, slots=True)
class TableChanges:
    """From one state to another."""

    dropped: tuple[ColumnFacts, ...]
    added: tuple[ColumnFacts, ...]
    changed: tuple[ColumnChange, ...]
    """Types and statistics."""
    rows: tuple[int | None, int | None]
    size: tuple[int, int]
    estimated: bool
    """Rows, types and statistics of at least one side are of a sample."""
    partly: bool
    """At least one side has more columns than are known."""

    @property
    def retyped(self) -> tuple[ColumnChange, ...]:
        """Columns of another type."""
        return tuple(each for each in self.changed if each.retyped)

    @property
    def same(self) -> bool:
        """Nothing that facts tell differs."""
        return not (self.dropped or self.added or self.changed) and self.rows[0] == self.rows[1]


@dataclass(frozen=True, slots=True)
class ByKey:
    """Rows of two tables, by a key."""

    key: Sequence[str]
    columns: Sequence[str]
    """Those that both have, the key first."""
    added: int
    removed: int
    changed: int
    samples: Any
    """Of each some: `added` and `removed` rows, and of `changed` ones the key and what differs."""


@dataclass(frozen=True, slots=True)
class TableDifference:
    """Two states of a table."""

    before: TableFacts
    after: TableFacts
    changes: TableChanges
    by_key: ByKey | None


def changes(before: TableFacts, after: TableFacts) -> TableChanges:
    """Columns are told apart by their names: one that was renamed is dropped and added."""
    old, new = {each.name: each for each in before.columns}, {each.name: each for each in after.columns}
    partly = before.width > len(before.columns) or after.width > len(after.columns)
    return TableChanges(
        # What is not among the columns known of a wide table may be there all the same.
        dropped=() if partly else tuple(each for name, each in old.items() if name not in new),
        added=() if partly else tuple(each for name, each in new.items() if name not in old),
        changed=tuple(
            ColumnChange(name, old[name], each)
            for name, each in new.items()
            if name in old and _told(old[name]) != _told(each)
        ),
        rows=(before.rows, after.rows),
        size=(before.size, after.size),
        estimated=before.sampled is not None or after.sampled is not None,
        partly=partly,
    )


def _told(column: ColumnFacts) -> tuple[object, ...]:
    return column.type, column.nulls, column.low, column.high


def notable(found: TableChanges) -> str:
    """What somebody should hear of, in a sentence without its end; empty: nothing."""
    said = []
    for verb, columns in (("dropped", found.dropped), ("added", found.added)):
        if columns:
            said.append(f"{verb} {_some([each.name for each in columns])}")
    if found.retyped:
        told = [f"{each.name} ({_short(each.before.type)} -> {_short(each.after.type)})" for each in found.retyped]
        said.append(f"retyped {_some(told)}")
    before, after = found.rows
    if before is not None and after is not None and before >= FEW_ROWS and after <= before * FALLEN:
        about = "about " if found.estimated else ""
        said.append(f"rows fell from {about}{before:,} to {about}{after:,}")
    return "; ".join(said)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(name[:60] for name in names[:_NAMED])
    more = len(names) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:39]}…"
