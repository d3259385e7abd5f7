"""JSON lines, a block at a time. Arrow reads most blocks alone; a block that it cannot read, or that has numbers which it would
not give back, is read line by line: that finds the lines that are rejects, and what each field must be (`shapes`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.json
from pyarrow.json import ParseOptions, ReadOptions

from dorkyd.core.conversion import Conversion
from dorkyd.errors import Refused
from dorkyd.tables.converting.rejected import Rejects
from dorkyd.tables.converting.schema import Wanted
from dorkyd.tables.converting.shapes import (
    MOST_DEEP,
    Shape,
    comes_back,
    depth,
    fitted,
    has,
    joined,
    parsed,
    settled,
    shape_of,
    text_of,
)
from dorkyd.tables.converting.text import RECORD_BYTES, Text, not_utf8
from dorkyd.tables.converting.values import flags

_LONG = re.compile(rb"[0-9.](?:[0-9.]{15}|[eE][0-9+-])")
"""Somewhere inside of a number that a double may not give back, or of text that looks like one."""
_NUMBER = re.compile(rb"[0-9.eE+-]+")
_BEFORE = frozenset(b":[, \t\n")
_MANY = 1000
"""Brackets in one line that are too many for Arrow to be asked."""
_WORDS: dict[str, pa.DataType] = {
    "null": pa.null(),
    "bool": pa.bool_(),
    "int64": pa.int64(),
    "long": pa.int64(),
    "float64": pa.float64(),
    "string": pa.string(),
    "digits": pa.string(),
    "json": pa.string(),
}


class JsonReading:
    """One reading of a file from its first byte. As `CsvReading`."""

    def __init__(
        self,
        text: Text,
        asked: Conversion,
        wanted: Mapping[str, Wanted],
        rejects: Rejects,
        before: JsonReading | None = None,
    ) -> None:
        self._text = text
        self._asked = asked
        self._wanted = wanted
        self._rejects = rejects
        self._line = 1
        self._known = before is not None
        self.found: dict[str, Shape] = before.found if before is not None else dict.fromkeys(wanted, "null")
        self._fresh = True
        self.widened = False
        self.notes: list[str] = []

    def columns(self) -> dict[str, str]:
        """Column to type, as people write it."""
        return {
            name: self._wanted[name].word if name in self._wanted else _told(settled(shape))
            for name, shape in self.found.items()
        }

    def tables(self) -> Iterator[pa.Table]:
        """As `CsvReading.tables`."""
        rest = b""
        for piece in self._text.pieces():
            cut = piece.rfind(b"\n") + 1
            if cut:
                yield from self._some(b"".join((rest, memoryview(piece)[:cut])))
                rest = piece[cut:]
            else:
                rest += piece
            if len(rest) > RECORD_BYTES:
                what = f"{self._asked.name}: line {self._line} is longer than 64 MiB"
                raise Refused(what, code="record-too-long", hint="JSON lines has one object in each line")
        yield from self._some(rest)
        if not self.found:
            what = f"{self._asked.name} has no line that is a JSON object"
            raise Refused(what, code="empty-table", hint="JSON lines has one object in each line")
        if self._fresh:
            yield self._schema().empty_table()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _some(self, block: bytes) -> Iterator[pa.Table]:
        if block.strip():
            table = self._at_once(block)
            if table is None:
                table = self._one_by_one(block)
            if table is not None:
                self._fresh = False
                yield table
        self._line += block.count(b"\n")

    def _schema(self, shapes: Mapping[str, Shape] | None = None) -> pa.Schema:
        return pa.schema([(name, _type(settled(shape))) for name, shape in (shapes or self.found).items()])

    def _take(self, shape: dict[str, Shape]) -> bool:
        """What was found in a block joins what is known. False: rows may not be written with it any more."""
        both = joined(self.found, shape)
        assert isinstance(both, dict)
        changed = settled(both) != settled(self.found) if self.found else False
        if self._known and changed:
            raise Refused(f"{self._asked.name} changed while it was read", code="changed", hint="try again")
        if not self._fresh and changed:
            self.widened = True
        self.found = both
        return not self.widened

    def _at_once(self, block: bytes) -> pa.Table | None:
        """By Arrow. None: line by line, please."""
        if self._wanted or has(self.found, "json") or not all(map(_safe, _long_numbers(block))):
            return None
        if block.count(b"[") + block.count(b"{") >= _MANY and any(
            line.count(b"[") + line.count(b"{") >= _MANY for line in block.split(b"\n")
        ):
            return None
        known = self._schema() if self.found else None
        try:
            table = _read(block, known, "infer")
            shape = {field.name: _shape(field.type) for field in table.schema}
            if depth(shape) > MOST_DEEP:
                return None
            if not self._take(shape) or table.schema == self._schema():
                return self._schema().empty_table() if self.widened else table
            # Arrow takes some text for times, and has types for what never has a value.
            return None if has(self.found, "json") else _read(block, self._schema(), "error")
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return None

    def _one_by_one(self, block: bytes) -> pa.Table | None:
        """By Python: slow and exact. None: no line of it is a row."""
        rows, places, found = list[dict[str, Any]](), list[int](), dict[str, Shape]()
        raw = block.split(b"\n")
        for n, line in enumerate(raw):
            if not line.strip():
                continue
            try:
                text = line.decode()
            except UnicodeDecodeError:
                raise not_utf8(self._asked.name, self._line + n) from None
            try:
                row = parsed(text)
            except ValueError as exc:
                self._rejects.add(self._line + n, None, str(exc), line.rstrip(b"\r"))
                continue
            for name in self._wanted:
                value = row.get(name)
                row[name] = value if value is None or isinstance(value, str) else text_of(value)
            shape = joined(found, shape_of(row))
            assert isinstance(shape, dict)
            found = shape
            rows.append(row)
            places.append(n)
        if not rows or not self._take(found):
            return self._schema().empty_table() if self.widened else None
        shapes = {name: settled(shape) for name, shape in self.found.items()}
        lines = [json.dumps(fitted(row, shapes), ensure_ascii=False) for row in rows]
        table = _read("\n".join(lines).encode() + b"\n", self._schema(), "error")
        return self._obeyed(table, places, raw) if self._wanted else table

    def _obeyed(self, table: pa.Table, places: list[int], raw: list[bytes]) -> pa.Table:
        """The rows that fit the schema; others are told."""
        misfits: dict[int, str] = {}
        for name, wanted in self._wanted.items():
            at = table.column_names.index(name)
            values, bad = wanted.read(table.column(at).combine_chunks())
            table = table.set_column(at, pa.field(name, wanted.type), values)
            for row in bad:
                misfits.setdefault(row, name)
        for row, name in sorted(misfits.items()):
            line, why = places[row], f"not of type {self._wanted[name].word}"
            self._rejects.add(self._line + line, name, why, raw[line].rstrip(b"\r"))
        keep = flags(bytearray(row not in misfits for row in range(table.num_rows)))
        return table.filter(keep) if misfits else table


def _read(block: bytes, known: pa.Schema | None, unexpected: str) -> pa.Table:
    return pyarrow.json.read_json(
        pa.BufferReader(block),
        ReadOptions(use_threads=False, block_size=len(block) + 1),
        ParseOptions(explicit_schema=known, unexpected_field_behavior=unexpected),
    ).combine_chunks()


def _long_numbers(block: bytes) -> set[bytes]:
    """Numbers that a double may not give back, and text that looks like them."""
    found = set()
    for match in _LONG.finditer(block):
        start = match.start()
        while start and block[start - 1] in b"0123456789.eE+-":
            start -= 1
        token = _NUMBER.match(block, start)
        if token is not None and (not start or block[start - 1] in _BEFORE):
            found.add(token[0])
    return found


def _safe(token: bytes) -> bool:
    """A decimal number that comes back; whole numbers of so many digits are looked at one by one."""
    text = token.decode()
    try:
        return ("." in text or "e" in text.lower()) and comes_back(text)
    except (ValueError, ArithmeticError):
        return False


def _shape(type_: pa.DataType) -> Shape:
    """Of what Arrow found."""
    if pa.types.is_struct(type_):
        return {field.name: _shape(field.type) for field in type_}
    if pa.types.is_list(type_):
        return [_shape(type_.value_type)]
    if pa.types.is_timestamp(type_):
        return "string"
    return next(word for word, known in _WORDS.items() if known == type_)


def _type(shape: Shape) -> pa.DataType:
    match shape:
        case dict():
            return pa.struct([(name, _type(each)) for name, each in shape.items()])
        case list():
            return pa.list_(_type(shape[0]))
        case _:
            return _WORDS[shape]


def _told(shape: Shape) -> str:
    match shape:
        case dict():
            return "struct<" + ", ".join(f"{name}: {_told(each)}" for name, each in shape.items()) + ">"
        case list():
            return f"list<{_told(shape[0])}>"
        case _:
            return {"long": "int64", "digits": "string"}.get(shape, shape)
