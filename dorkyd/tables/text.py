"""Tables that are text, CSV and JSON lines, as people's files are: whatever separates, however encoded, with broken lines. In the worker.

They tell nothing of themselves, so their beginning is read and what it looks like is told, with how many rows that were. All
is Python's own: what pyarrow refuses as a whole is read here, and odd lines are told of.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from dorkyd.tables.facts import MOST_COLUMNS, MOST_NOTES, NAME_CHARS, ColumnFacts, TableFacts
from dorkyd.tables.formats import is_packed
from dorkyd.tables.values import sendable, text_of
from dorkyd.tables.worker import Input, Unreadable

FIELD_CHARS = 4 * 1024 * 1024
"""A longer field is no field."""
SEPARATORS = ",;\t|"
NULLS = frozenset({"", "NA", "N/A", "n/a", "null", "NULL", "None", "nan", "NaN", "\\N"})
_INT = re.compile(r"[+-]?(0|[1-9]\d{0,17})")
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?\s?(Z|[+-]\d{2}:?\d{2})?")
_SNIFFED = 64 * 1024


# --- bytes to text --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Source:
    """A text file, unpacked and decoded, from its first character."""

    path: str
    file: Input
    encoding: str = ""
    _stream: BinaryIO | None = None

    def open(self) -> io.TextIOWrapper:
        """From the beginning, once more."""
        self.file.seek(0)
        raw = cast("BinaryIO", self.file)
        stream: Any = gzip.GzipFile(fileobj=raw) if is_packed(self.path) else io.BufferedReader(_Kept(self.file), 65536)
        self._stream = stream
        if not self.encoding:
            self.encoding = _encoding(stream.read(_SNIFFED))
            stream.seek(0)
        return io.TextIOWrapper(stream, self.encoding, errors="replace", newline="")

    def sample(self, most: int) -> tuple[str, bool]:
        """The first characters, about so many bytes of them; and whether that is all."""
        text = self.open()
        found = text.read(most)
        return found, not text.read(1)

    @property
    def used(self) -> int:
        """How much of the file was read, in its bytes."""
        return max(1, min(self.file.size, self.file.tell()))


class _Kept(io.RawIOBase):
    """Reads of a file, which stays open when this is closed."""

    def __init__(self, file: Input) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)


def _encoding(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in head:
        raise Unreadable("it holds bytes that no text has")
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as exc:
        # A character that is cut in two at the end is none of a wrong encoding.
        if len(head) - exc.start > 3 or len(head) < _SNIFFED:
            return "cp1252"
    return "utf-8-sig"


# --- what values look like ------------------------------------------------------------------------------------------


def type_of(value: str) -> str:
    """What one value of a text file looks like."""
    if _INT.fullmatch(value):
        return "int64"
    if _FLOAT.fullmatch(value) or value.lower() in {"inf", "-inf"}:
        return "double"
    if _DATE.fullmatch(value):
        return "date32"
    if _TIME.fullmatch(value):
        return "timestamp"
    if value in {"true", "false", "True", "False", "TRUE", "FALSE"}:
        return "bool"
    return "string"


_WIDER = {
    frozenset({"int64", "double"}): "double",
    frozenset({"date32", "timestamp"}): "timestamp",
}


def joined(types: Iterable[str]) -> str:
    """The type that holds values of all these."""
    found = frozenset(types)
    if len(found) <= 1:
        return next(iter(found), "null")
    return _WIDER.get(found, "string")


@dataclass(slots=True)
class _Seen:
    """Values of one column."""

    counts: dict[str, int] = field(default_factory=dict)
    """By type."""
    nulls: int = 0
    low: dict[str, Any] = field(default_factory=dict)
    high: dict[str, Any] = field(default_factory=dict)

    def add(self, kind: str, value: Any, key: Any) -> None:
        """`key`: what its order goes by."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind not in self.low:
            self.low[kind] = self.high[kind] = (key, value)
        elif key < self.low[kind][0]:
            self.low[kind] = (key, value)
        elif key > self.high[kind][0]:
            self.high[kind] = (key, value)

    def ends(self, kind: str) -> tuple[str | None, str | None]:
        """Least and greatest; None where values are of kinds that have no common order."""
        if not self.counts or (kind == "string" and set(self.counts) != {"string"}):
            return None, None
        lows, highs = [self.low[each] for each in self.counts], [self.high[each] for each in self.counts]
        return text_of(min(lows)[1]), text_of(max(highs)[1])


def _order(kind: str, value: str) -> Any:
    return float(value) if kind in {"int64", "double"} else value[:200]


# --- CSV ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written."""

    separator: str
    quotes: bool
    header: bool
    names: tuple[str, ...]
    """Of its columns, each once."""
    encoding: str


def rows_of(lines: Iterable[str], separator: str, *, quotes: bool) -> Iterator[list[str]]:
    """Rows of a CSV text, those without a field left out."""
    csv.field_size_limit(FIELD_CHARS)
    if quotes:
        return (row for row in csv.reader(lines, delimiter=separator) if row)
    return (row for row in csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE) if row)


def sniff(path: str, text: str, *, whole: bool, encoding: str) -> tuple[Dialect, list[list[str]], list[str]]:
    """Dialect, the rows of this text (its header among them), and what is odd."""
    notes = ["it is not UTF-8: read as Windows-1252"] if encoding == "cp1252" else []
    quotes = True
    separator = _separator(path, text)
    try:
        rows = list(rows_of(_lines(text), separator, quotes=True))
    except csv.Error:
        rows = []
    if not rows or (whole and text.count('"') % 2 and _swallows(rows)):
        if text:
            notes.append("a quote is never closed: quotes are read as they are")
        quotes = False
        try:
            rows = list(rows_of(_lines(text), separator, quotes=False))
        except csv.Error as exc:
            raise Unreadable(f"it cannot be read as CSV: {exc}") from exc
    if not whole and len(rows) > 1:
        rows.pop()  # it may go on
    header = _has_header(rows)
    first = rows[0] if rows else []
    return Dialect(separator, quotes, header, names_of(first, header=header), encoding), rows, notes


def _lines(text: str) -> Iterator[str]:
    return io.StringIO(text, newline="")


def _swallows(rows: Sequence[Sequence[str]]) -> bool:
    """The last field holds whole lines."""
    return bool(rows and rows[-1] and "\n" in rows[-1][-1])


def _separator(path: str, text: str) -> str:
    """What makes rows of equal width, and more than one column."""
    head, best = text[:_SNIFFED], ("," if not re.search(r"\.(tsv|tab)(\.gz)?$", path.lower()) else "\t", 0.0)
    order = best[0] + SEPARATORS.replace(best[0], "")
    for separator in order:
        try:
            widths = [
                len(row) for _, row in zip(range(100), rows_of(_lines(head), separator, quotes=True), strict=False)
            ]
        except csv.Error:
            continue
        if len(text) > len(head) and len(widths) > 1:
            widths.pop()
        if not widths or max(widths) < 2:
            continue
        common = max(set(widths), key=widths.count)
        score = widths.count(common) / len(widths) if common > 1 else 0.0
        if score > best[1]:
            best = (separator, score)
    return best[0]


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """The first row does not look as its columns do."""
    if not rows:
        return False
    first, rest = rows[0], rows[1:101]
    kinds = [type_of(value) if value not in NULLS else "null" for value in first]
    if set(kinds) <= {"string", "null"}:
        return True
    for number, kind in enumerate(kinds):
        values = [row[number] for row in rest if number < len(row) and row[number] not in NULLS]
        below = joined(type_of(value) for value in values)
        if kind == "string" and below not in {"string", "null"}:
            return True
    return False


def names_of(first: Sequence[str], *, header: bool) -> tuple[str, ...]:
    """Names of columns: each has one, and no two the same."""
    taken: set[str] = set()
    names = []
    for number, text in enumerate(first, 1):
        name = (text.strip() if header else "")[:NAME_CHARS] or f"column_{number}"
        again = 1
        while name in taken:
            again += 1
            name = f"{name.rpartition('_')[0] if again > 2 else name}_{again}"
        taken.add(name)
        names.append(name)
    return tuple(names)


def csv_facts(path: str, file: Input, sample_bytes: int) -> TableFacts:
    """From the first bytes."""
    source = Source(path, file)
    text, whole = source.sample(sample_bytes)
    used = source.used
    dialect, rows, notes = sniff(path, text, whole=whole, encoding=source.encoding)
    body = rows[1:] if dialect.header else rows
    columns = [_Seen() for _ in dialect.names]
    odd = 0
    for number, row in enumerate(body):
        if len(row) != len(columns):
            odd += 1
            if odd == 1:
                notes.append(f"row {number + 1} has {len(row)} fields instead of {len(columns)}")
        for seen, value in zip(columns, row, strict=False):
            if value in NULLS:
                seen.nulls += 1
                continue
            kind = type_of(value)
            seen.add(kind, value, _order(kind, value))
    if odd > 1:
        notes.append(f"{odd} rows have another number of fields than the first")
    found = []
    for name, seen in list(zip(dialect.names, columns, strict=True))[:MOST_COLUMNS]:
        kind = joined(seen.counts)
        low, high = seen.ends(kind)
        found.append(ColumnFacts(name, kind, nulls=seen.nulls, low=low, high=high))
        if kind == "string" and len(seen.counts) > 1:
            how = ", ".join(f"{count} {each}" for each, count in sorted(seen.counts.items()))
            notes.append(f"{name[:40]} mixes types: {how}")
    return TableFacts(
        "csv",
        file.size,
        len(dialect.names),
        tuple(found),
        rows=len(body) if whole else round(len(body) * file.size / used),
        sampled=None if whole else len(body),
        codec="gzip" if is_packed(path) else "",
        dialect={
            "separator": {"\t": "tab"}.get(dialect.separator, dialect.separator),
            "encoding": {"utf-8-sig": "utf-8"}.get(dialect.encoding, dialect.encoding),
            "header": "yes" if dialect.header else "no",
            "quotes": "yes" if dialect.quotes else "no",
        },
        notes=tuple(notes[:MOST_NOTES]),
    )


def csv_rows(path: str, file: Input) -> tuple[tuple[str, ...], Iterator[Sequence[Any]]]:
    """Names and all rows, as text: None where there is no value."""
    source = Source(path, file)
    text, whole = source.sample(_SNIFFED * 4)
    dialect, _, _ = sniff(path, text, whole=whole, encoding=source.encoding)
    width = len(dialect.names)

    def rows() -> Iterator[Sequence[Any]]:
        found = rows_of(source.open(), dialect.separator, quotes=dialect.quotes)
        try:
            for number, row in enumerate(found):
                if number or not dialect.header:
                    yield [*(None if value in NULLS else value for value in row[:width]), *[None] * (width - len(row))]
        except csv.Error as exc:
            raise Unreadable(f"it cannot be read as CSV: {exc}") from exc

    return dialect.names, rows()


# --- JSON lines -----------------------------------------------------------------------------------------------------


def _json_type(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case int():
            return "int64"
        case float():
            return "double"
        case str():
            return "string"
        case list():
            return "list"
        case _:
            return "struct"


def _object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def json_facts(path: str, file: Input, sample_bytes: int) -> TableFacts:
    """From the first lines."""
    source = Source(path, file)
    text, whole = source.sample(sample_bytes)
    used = source.used
    lines = text.splitlines()
    if not whole and len(lines) > 1:
        lines.pop()
    lines = [line for line in lines if line.strip()]
    columns: dict[str, _Seen] = {}
    rows, bad = 0, 0
    for line in lines:
        found = _object(line)
        if found is None:
            bad += 1
            continue
        rows += 1
        for name, value in found.items():
            seen = columns.setdefault(sendable(name[:NAME_CHARS]), _Seen())
            if value is None:
                seen.nulls += 1
                continue
            kind = _json_type(value)
            ordered = isinstance(value, int | float | str)
            seen.add(kind, value, (value[:200] if isinstance(value, str) else value) if ordered else 0)
    if lines and not rows:
        raise Unreadable("no line of it is a JSON object")
    notes = [f"{bad} lines are no JSON objects"] if bad else []
    told = []
    for name, seen in list(columns.items())[:MOST_COLUMNS]:
        kind = joined(seen.counts)
        low, high = seen.ends(kind) if kind not in {"list", "struct"} else (None, None)
        missing = max(0, rows - sum(seen.counts.values()))  # two names may have become one
        told.append(ColumnFacts(name, kind, nulls=missing, low=low, high=high))
        if kind == "string" and len(seen.counts) > 1:
            how = ", ".join(f"{count} {each}" for each, count in sorted(seen.counts.items()))
            notes.append(f"{name[:40]} mixes types: {how}")
    return TableFacts(
        "jsonl",
        file.size,
        len(columns),
        tuple(told),
        rows=rows if whole else round(rows * file.size / used),
        sampled=None if whole else rows,
        codec="gzip" if is_packed(path) else "",
        dialect={"encoding": {"utf-8-sig": "utf-8"}.get(source.encoding, source.encoding)},
        notes=tuple(notes[:MOST_NOTES]),
    )


def json_rows(path: str, file: Input) -> tuple[tuple[str, ...], Iterator[Sequence[Any]]]:
    """Names of the first lines' fields, and all rows."""
    source = Source(path, file)
    text, _ = source.sample(_SNIFFED * 4)
    names = tuple(dict.fromkeys(name for line in text.splitlines() for name in _object(line) or {}))[:MOST_COLUMNS]

    def rows() -> Iterator[Sequence[Any]]:
        for line in source.open():
            found = _object(line)
            if found is not None:
                yield [found.get(name) for name in names]

    return tuple(sendable(name) for name in names), rows()
