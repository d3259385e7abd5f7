"""Tables as text that fits a terminal: what a table is, its first rows, how two differ. Everything shown is printable.

A table has more columns than a terminal: long values are cut, columns that do not fit stand in blocks of their own, and what is left out is said.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len

from dorkyd.api.table_messages import ByKey, Column, Facts, Head, Table, TableDifference
from dorkyd.cli.units import plural, size
from dorkyd.core.printable import printable

GAP = 2
MOST_CELLS = 40
"""Of one value."""
LEAST_CELLS = 4
MOST_LINES = 50
"""Columns of a table that are listed, unless all are asked for."""
MOST_BLOCKS = 4
_CUT = "…"


# --- layout ---------------------------------------------------------------------------------------------------------


def cut(text: str, cells: int) -> str:
    """At most so wide, in one line, with nothing in it that a terminal would obey."""
    text = printable(text, keep="")
    if cell_len(text) <= cells:
        return text
    kept, used = [], 0
    for char in text:
        used += cell_len(char)
        if used > cells - 1:
            break
        kept.append(char)
    return "".join(kept) + _CUT


def rows_of(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int, right: frozenset[int]) -> Iterator[str]:
    """A table within `width`: the widest columns give way first."""
    shown = [[cut(cell, MOST_CELLS) for cell in row] for row in (headings, *rows)]
    widths = [max(cell_len(row[place]) for row in shown) for place in range(len(headings))]
    while sum(widths) + GAP * (len(widths) - 1) > width and max(widths) > LEAST_CELLS:
        widths[widths.index(max(widths))] -= 1
    for row in shown:
        cells = [cut(cell, wide) for cell, wide in zip(row, widths, strict=True)]
        gaps = [" " * (wide - cell_len(cell)) for cell, wide in zip(cells, widths, strict=True)]
        line = (" " * GAP).join(
            gap + cell if place in right else cell + gap
            for place, (cell, gap) in enumerate(zip(cells, gaps, strict=True))
        )
        yield line.rstrip()


def wrapped(text: str, width: int) -> Iterator[str]:
    """A sentence on as many lines as it needs."""
    yield from textwrap.wrap(printable(text, keep=""), max(width, 20), subsequent_indent="  ")


# --- one table ------------------------------------------------------------------------------------------------------


def described(table: Table, width: int, *, stats: bool, every: bool) -> Iterator[str]:
    """What it is, and its columns."""
    facts = table.facts
    yield cut(f"{table.path}  ({table.label}{', encrypted' if table.encrypted else ''})", max(width, 20))
    yield from _summary(facts, width)
    columns = facts.columns if every else facts.columns[:MOST_LINES]
    if columns:
        yield ""
    if stats and columns:
        headings = ["COLUMN", "TYPE", "NULLS", "MIN", "MAX", "SIZE"]
        cells = [[c.name, c.type, _count(c.nulls), c.low or "-", c.high or "-", _size(c)] for c in columns]
        right = frozenset({2, 5})
        if all(row[5] == "-" for row in cells):
            headings, cells = headings[:5], [row[:5] for row in cells]
        yield from rows_of(headings, cells, width, right)
    elif columns:
        yield from rows_of(
            ["COLUMN", "TYPE", "NULLS"], [[c.name, c.type, _count(c.nulls)] for c in columns], width, frozenset({2})
        )
    left = facts.width - len(columns)
    if left:
        yield from wrapped(f"... and {plural(left, 'more column')}" + ("" if every else ": --all shows them"), width)


def _summary(facts: Facts, width: int) -> Iterator[str]:
    rows = "an unknown number of rows" if facts.rows is None else plural(facts.rows, "row")
    if facts.sampled is not None and facts.rows is not None:
        rows = f"about {rows}"
    groups = "row group" if facts.format == "parquet" else "record batch"
    many = "" if facts.groups is None else f" in {_groups(facts.groups, groups)}"
    packed = [f"{size(facts.raw_bytes)} unpacked"] if facts.raw_bytes else []
    packed += [facts.codec] if facts.codec else []
    more = f" ({', '.join(packed)})" if packed else ""
    yield from wrapped(
        f"{facts.format}, {rows}{many}, {plural(facts.width, 'column')}, {size(facts.size)}{more}", width
    )
    if facts.dialect:
        yield from wrapped("; ".join(f"{name} {value}" for name, value in facts.dialect.items()), width)
    if facts.sampled is not None:
        yield from wrapped(f"types and statistics are of the first {plural(facts.sampled, 'row')}", width)
    for note in facts.notes:
        yield from wrapped(f"note: {note}", width)


def _groups(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}{'es' if noun.endswith('ch') else 's'}"


def _count(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _size(column: Column) -> str:
    return "-" if column.packed_bytes is None else size(column.packed_bytes)


def first_rows(head: Head, width: int) -> Iterator[str]:
    """The rows, in blocks of as many columns as fit."""
    if not head.rows:
        yield "(no rows)"
        return
    columns = [[_cell(row[place]) for row in head.rows] for place in range(len(head.columns))]
    start = blocks = 0
    while start < len(columns) and blocks < MOST_BLOCKS:
        used, stop = 0, start
        while stop < len(columns):
            wide = max(cell_len(cut(text, MOST_CELLS)) for text in [head.columns[stop], *columns[stop]])
            if stop > start and used + wide > width:
                break
            used += wide + GAP
            stop += 1
        if blocks:
            yield ""
        right = frozenset(
            place - start for place in range(start, stop) if all(_is_number(row[place]) for row in head.rows)
        )
        block = [[columns[place][row] for place in range(start, stop)] for row in range(len(head.rows))]
        yield from rows_of(head.columns[start:stop], block, width, right)
        start, blocks = stop, blocks + 1
    if start < len(columns):
        left = plural(len(columns) - start, "more column")
        yield from wrapped(f"... and {left}: --columns NAME,NAME shows those you name", width)


def _cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case str():
            return value
        case int() | float():
            return str(value)
        case _:
            import json  # noqa: PLC0415  only nested values need it

            return json.dumps(value, ensure_ascii=False)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


# --- two tables -----------------------------------------------------------------------------------------------------


def differences(found: TableDifference, width: int) -> Iterator[str]:
    """What differs, a kind a line, and statistics as a table."""
    about = "about " if found.estimated else ""
    before, after = found.rows
    if before != after:
        more = f" ({after - before:+,})" if before is not None and after is not None else ""
        yield f"rows     {about}{_count(before)} -> {about}{_count(after)}{more}"
    elif before is not None:
        yield f"rows     {about}{before:,}, as before"
    if found.size[0] != found.size[1]:
        yield f"size     {size(found.size[0])} -> {size(found.size[1])}"
    for word, columns in (("dropped", found.dropped), ("added", found.added)):
        for column in columns:
            yield cut(f"{word:<8} {column.name}  {column.type}", width)
    for change in found.changed:
        if change.retyped:
            yield cut(f"retyped  {change.name}  {change.before.type} -> {change.after.type}", width)
    cells = [row for change in found.changed for row in _statistics(change.name, change.before, change.after)]
    if cells:
        yield ""
        shown = cells[:MOST_LINES]
        yield from rows_of(["COLUMN", "WHAT", "BEFORE", "AFTER"], shown, width, frozenset())
        if len(cells) > len(shown):
            yield f"... and {plural(len(cells) - len(shown), 'more statistic')}: --json tells all"
    if not (cells or found.dropped or found.added or found.changed):
        yield "schema and statistics are the same"
    if found.partly:
        yield "one has more columns than are known: none is said to be dropped or added"
    if found.by_key is not None:
        yield ""
        yield from _by_key(found.by_key, width)


def _statistics(name: str, before: Column, after: Column) -> Iterator[list[str]]:
    pairs = (
        ("nulls", _count(before.nulls), _count(after.nulls)),
        ("min", before.low, after.low),
        ("max", before.high, after.high),
    )
    for what, was, now in pairs:
        if was != now:
            yield [name, what, was or "-", now or "-"]


def _by_key(found: ByKey, width: int) -> Iterator[str]:
    counts = f"{found.added:,} added, {found.removed:,} removed, {found.changed:,} changed"
    yield cut(f"rows by {', '.join(found.key)}: {counts}", width)
    for mark, what in (("-", "removed"), ("+", "added")):
        for row in found.samples.get(what, []):
            yield cut(f"{mark} {_pairs(dict(zip(found.columns, row, strict=False)))}", width)
    for each in found.samples.get("changed", []):
        key = _pairs(dict(zip(found.key, each.get("key", []), strict=False)))
        differs = "; ".join(
            f"{name}: {_cell(was)} -> {_cell(now)}" for name, (was, now) in each.get("differs", {}).items()
        )
        yield cut(f"~ {key}  {differs}", width)
    for what, count in (("removed", found.removed), ("added", found.added), ("changed", found.changed)):
        shown = len(found.samples.get(what, []))
        if count > shown:
            yield f"... and {count - shown:,} more {what}"


def _pairs(values: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={_cell(value)}" for name, value in values.items())
