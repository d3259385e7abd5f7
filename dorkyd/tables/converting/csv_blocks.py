"""CSV, a block at a time: Arrow splits the fields and keeps them as text, and `kinds` says what they are.

A block is cut at its last line end, and a row of a word that nobody can know is put behind it. When that row comes out again,
the parser stood outside of quotes there, and all before it was whole; else the block is cut where `lines` says.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.csv
from pyarrow.csv import ConvertOptions, InvalidRow, ParseOptions, ReadOptions

from dorkyd.core.conversion import Conversion
from dorkyd.errors import Refused
from dorkyd.tables.converting.kinds import Column, Kind
from dorkyd.tables.converting.lines import last_end, lines, record_ends, records
from dorkyd.tables.converting.rejected import Rejects
from dorkyd.tables.converting.schema import Wanted
from dorkyd.tables.converting.text import RECORD_BYTES, Text, not_utf8
from dorkyd.tables.converting.values import flags

MOST_COLUMNS = 20_000
LONGEST_NAME = 1000


class CsvReading:
    """One reading of a file from its first byte."""

    def __init__(
        self,
        text: Text,
        asked: Conversion,
        wanted: Mapping[str, Wanted],
        rejects: Rejects,
        before: CsvReading | None = None,
    ) -> None:
        """`before`: an earlier reading, which found out what the columns are."""
        self._text = text
        self._asked = asked
        self._delimiter = asked.delimiter.encode()
        self._wanted = wanted
        self._rejects = rejects
        self._word = secrets.token_hex(16)
        self._line = 1
        self.found: list[Column] = before.found if before is not None else []
        self._known = before is not None
        self._fresh = True
        """No block was read yet."""
        self._block, self._size = b"", 0
        """The records that are being read, and how many bytes of it they are."""
        self._bad: list[tuple[int, int]] = []
        """Of those, which have another number of fields, and how many."""
        self.widened = False
        """A column had to become wider than the first block said: what was yielded is not what the whole file holds, and the
        next reading, with these columns, is.
        """
        self.notes: list[str] = before.notes if before is not None else []

    def tables(self) -> Iterator[pa.Table]:
        """The rows, in tables of one schema; at least one. Empty ones once it `widened`."""
        pieces = self._text.pieces()
        rest = self._head(pieces)
        for piece in pieces:
            texts, rest = self._some(rest, piece)
            if texts is not None:
                yield self._typed(texts)
            elif len(rest) > RECORD_BYTES:
                what = f"{self._asked.name}: the record that begins in line {self._line} does not end within 64 MiB"
                raise Refused(what, code="record-too-long", hint="most likely a quote is not closed there")
        texts = self._last(rest)
        if texts.num_rows or self._bad or self._fresh:
            yield self._typed(texts)

    def columns(self) -> dict[str, str]:
        """Column to type, as people write it."""
        found = {}
        for column in self.found:
            wanted = self._wanted.get(column.name)
            kind = Kind.TEXT if column.kind is Kind.EMPTY else column.kind
            found[column.name] = wanted.word if wanted is not None else str(kind)
        return found

    # --- inside -----------------------------------------------------------------------------------------------------

    def _names(self) -> list[str]:
        return [column.name for column in self.found]

    def _nothing(self) -> pa.Table:
        return pa.Table.from_arrays([pa.nulls(0, pa.string())] * len(self.found), self._names())

    def _head(self, pieces: Iterator[bytes]) -> bytes:
        """Take the names from the first record that is not blank; what stands behind it."""
        buffer, whole = b"", False
        while not whole:
            piece = next(pieces, None)
            whole = piece is None
            buffer += piece or b""
            start = 0
            for end in (
                [*record_ends(buffer, self._delimiter), len(buffer)] if whole else record_ends(buffer, self._delimiter)
            ):
                record = buffer[start:end]
                if record.strip(b"\r\n"):
                    self._line += lines(buffer[:start])
                    self._begin(record)
                    if not self._asked.header:
                        return buffer[start:]
                    self._line += lines(record)
                    return buffer[end:]
                start = end
            if len(buffer) > RECORD_BYTES:
                break
        what = (
            f"{self._asked.name} is empty" if not buffer.strip() else f"{self._asked.name}: its first line does not end"
        )
        raise Refused(what, code="empty-table", hint="a table has a line with its columns")

    def _begin(self, record: bytes) -> None:
        fields = self._fields(record)
        if not self._known:
            self.found = [Column(name) for name in self._named(fields)]
        missing = [name for name in self._wanted if name not in self._names()]
        if missing:
            what = f"{self._asked.name} has no column {missing[0]!r}, which the schema names"
            raise Refused(what, code="no-such-column", hint="correct the schema, or leave that line out")

    def _fields(self, record: bytes) -> list[str]:
        if record.count(self._delimiter) >= MOST_COLUMNS:
            what = f"{self._asked.name} has over {MOST_COLUMNS} columns in line {self._line}"
            raise Refused(what, code="too-many-columns", hint="is this the delimiter? --delimiter says another")
        texts = self._parsed(record.rstrip(b"\r\n") + b"\n", None, [])
        fields = [column[0].as_py() or "" for column in texts.columns]
        if any(len(field) > LONGEST_NAME for field in fields):
            what = (
                f"{self._asked.name} has a column whose name, in line {self._line}, is over {LONGEST_NAME} characters"
            )
            raise Refused(what, code="unreadable-table", hint="the first line of a table names its columns")
        return fields

    def _named(self, fields: list[str]) -> list[str]:
        """Column names that are all there and all different, with a note where that is not what the file says."""
        if not self._asked.header:
            return [f"column_{n}" for n in range(1, len(fields) + 1)]
        if len(fields) == 1:
            other = next((each for each in ";\t|," if each != self._asked.delimiter and each in fields[0]), None)
            if other is not None:
                shown = {"\t": "a tab"}.get(other, f"`{other}`")
                self.notes.append(f"there is one column, and its name holds {shown}: is that the delimiter?")
        taken, names = set(fields), list[str]()
        for n, field in enumerate(fields, 1):
            name = field or f"column_{n}"
            if not field or field in names:
                stem, more = name, 2
                while name in taken or name in names:
                    name, more = f"{stem}_{more}", more + 1
                self.notes.append(f"column {n} is called {name!r}: its own name is {'empty' if not field else 'taken'}")
            names.append(name)
        return names

    def _some(self, rest: bytes, piece: bytes) -> tuple[pa.Table | None, bytes]:
        """The whole records of what is left and a piece more, as text, and what is left then. None: none is whole."""
        cut = piece.rfind(b"\n") + 1
        if cut:
            texts = self._whole(rest, memoryview(piece)[:cut])
            if texts is not None:
                return texts, piece[cut:]
        block = rest + piece
        end = last_end(block, self._delimiter)
        return (self._whole(block[:end]) if end else None), block[end:]

    def _last(self, rest: bytes) -> pa.Table:
        """The records that the file ends with, as text."""
        texts = self._whole(rest, b"" if rest.endswith((b"\n", b"\r")) or not rest else b"\n")
        if texts is None:
            end = last_end(rest, self._delimiter)
            line = self._line + lines(rest[:end])
            self._rejects.add(line, None, "a quote is not closed before the end of the file", rest[end:])
            texts = self._whole(rest[:end])
        assert texts is not None
        return texts

    def _whole(self, *parts: bytes | memoryview) -> pa.Table | None:
        """The records of these bytes. None: they do not end outside of quotes."""
        self._bad = []
        row = self._asked.delimiter.join([self._word] * len(self.found)).encode()
        block = b"".join((*parts, row, b"\n"))
        self._block, self._size = block, len(block) - len(row) - 1
        texts = self._parsed(block, self._names(), self._bad)
        if not texts.num_rows or texts[0][-1].as_py() != self._word:
            return None
        return texts.slice(0, texts.num_rows - 1)

    def _check_text(self, block: bytes) -> None:
        try:
            block.decode()
        except UnicodeDecodeError as exc:
            raise not_utf8(self._asked.name, self._line + lines(block[: exc.start])) from None

    def _parsed(self, block: bytes, names: list[str] | None, bad: list[tuple[int, int]]) -> pa.Table:
        def skip(row: InvalidRow) -> str:
            bad.append((row.number - 1, row.actual_columns))
            return "skip"

        found = names if names is not None else [f"f{n}" for n in range(block.count(self._delimiter) + 1)]
        try:
            return pyarrow.csv.read_csv(
                pa.BufferReader(block),
                ReadOptions(
                    use_threads=False,
                    block_size=len(block) + 1,
                    column_names=names,
                    autogenerate_column_names=names is None,
                ),
                ParseOptions(
                    delimiter=self._asked.delimiter,
                    newlines_in_values=True,
                    ignore_empty_lines=names is None or len(names) > 1,
                    invalid_row_handler=skip,
                ),
                ConvertOptions(
                    column_types=dict.fromkeys(found, pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid:
            # Its message may hold what stands in the file.
            self._check_text(block)
            what = f"{self._asked.name} cannot be read as CSV near line {self._line}"
            raise Refused(what, code="unreadable-table") from None

    def _typed(self, texts: pa.Table) -> pa.Table:
        """The rows as what they are; rejects are told."""
        columns = [_one(texts.column(n)) for n in range(texts.num_columns)]
        read: dict[int, pa.Array] = {}
        misfits: dict[int, str] = {}
        for n, column in enumerate(self.found):
            if column.name in self._wanted:
                read[n], bad = self._wanted[column.name].read(columns[n])
                for row in bad:
                    misfits.setdefault(row, column.name)
        if misfits:
            keep = flags(bytearray(row not in misfits for row in range(texts.num_rows)))
            columns = [each.filter(keep) for each in columns]
            read = {n: each.filter(keep) for n, each in read.items()}
        if misfits or self._bad:
            self._tell(self._block[: self._size], misfits)
        self._line += lines(self._block, self._size)
        made = [read[n] if n in read else self._taken(self.found[n], columns[n]) for n in range(len(columns))]
        self._fresh = False
        if self.widened:
            return self._nothing()
        return pa.Table.from_arrays(made, self._names())

    def _taken(self, column: Column, texts: pa.Array) -> pa.Array:
        if self._fresh and not self._known:
            return column.widen(texts)
        values = column.take(texts)
        if values is not None:
            return values
        column.widen(texts)
        if self._known:
            raise Refused(f"{self._asked.name} changed while it was read", code="changed", hint="try again")
        self.widened = True
        return texts

    def _tell(self, block: bytes, misfits: Mapping[int, str]) -> None:
        """List what is rejected, with the lines where it stands."""
        spans = records(block, self._delimiter, blanks=len(self.found) == 1)
        fields = dict(self._bad)
        rows = [n for n in range(len(spans)) if n not in fields]
        columns = {rows[row]: name for row, name in misfits.items()}
        line, at = self._line, 0
        for n in sorted({*fields, *columns}):
            start, stop = spans[n]
            line, at = line + lines(block[at:start]), start
            if n in fields:
                self._rejects.add(line, None, f"{fields[n]} fields, not {len(self.found)}", block[start:stop])
            else:
                name = columns[n]
                self._rejects.add(line, name, f"not of type {self._wanted[name].word}", block[start:stop])


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
