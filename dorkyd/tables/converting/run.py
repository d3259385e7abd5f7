"""One conversion from open file to open file. Reads, then reads once more where a later block widened a column.

The first reading writes from its first block on, with the types that this block has. When a later block does not fit, it
writes no more and goes on to the end to learn what every column is; the second reading writes with what was learnt. So a
table costs two readings at most, however often its columns change their mind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO

from dorkyd.core.conversion import Conversion, Converted, Form
from dorkyd.errors import Refused
from dorkyd.tables.converting.ahead import one_made_ahead
from dorkyd.tables.converting.csv_blocks import CsvReading
from dorkyd.tables.converting.json_lines import JsonReading
from dorkyd.tables.converting.output import keys, output
from dorkyd.tables.converting.rejected import Rejects
from dorkyd.tables.converting.schema import Wanted, read_schema
from dorkyd.tables.converting.text import Text, check_encoding


def convert(asked: Conversion, source: IO[bytes], target: IO[bytes], rejects: IO[bytes] | None) -> Converted:
    """Read `source`, write `target` and the list of rejects from their first byte on; all can seek. Nothing is closed.

    `Refused`: the input is no such table (codes `not-utf8`, `empty-table`, `record-too-long`, `too-many-columns`,
    `unreadable-table`, `changed`, `not-packed`, `wrong-encoding`, `no-such-column`). `Configuration`: the schema is none. What
    was written until then is of no use. `OSError` of the files is raised on.
    """
    check_encoding(asked.encoding)
    wanted = read_schema(asked.schema, asked.schema_name or "schema") if asked.schema is not None else {}
    listed = Rejects(rejects)
    first = _reading(asked, source, target, wanted, listed, None)
    if not first.reading.widened:
        return first.told(1)
    listed.again()
    second = _reading(asked, source, target, wanted, listed, first)
    if second.text.digest != first.text.digest:
        raise Refused(f"{asked.name} changed while it was read", code="changed", hint="try again")
    return second.told(2)


class _Reading:
    """One of the two."""

    def __init__(self, text: Text, reading: CsvReading | JsonReading, listed: Rejects) -> None:
        self.text = text
        self.reading = reading
        self.rows = 0
        self.size = 0
        self._listed = listed

    def told(self, passes: int) -> Converted:
        """What came of it."""
        return Converted(
            rows=self.rows,
            rejects=self._listed.count,
            columns=self.reading.columns(),
            digest=f"sha256:{self.text.digest}",
            size=self.size,
            passes=passes,
            notes=tuple(self.reading.notes),
        )


def _reading(
    asked: Conversion,
    source: IO[bytes],
    target: IO[bytes],
    wanted: Mapping[str, Wanted],
    listed: Rejects,
    before: _Reading | None,
) -> _Reading:
    source.seek(0)
    target.seek(0)
    target.truncate()
    text = Text(source, asked)
    earlier = before.reading if before is not None else None
    reading: CsvReading | JsonReading
    if asked.form == Form.JSON_LINES:
        assert not isinstance(earlier, CsvReading)
        reading = JsonReading(text, asked, wanted, listed, earlier)
    else:
        assert not isinstance(earlier, JsonReading)
        reading = CsvReading(text, asked, wanted, listed, earlier)
    done = _Reading(text, reading, listed)
    out = None
    for table in one_made_ahead(reading.tables()):
        if reading.widened:
            continue
        if out is None:
            out = output(asked.target, target, table.schema)
        out.write(table)
        done.rows += table.num_rows
    if not reading.widened:
        assert out is not None
        out.end(keys(asked.name, f"sha256:{text.digest}", reading.columns()))
        done.size = target.tell()
    return done
