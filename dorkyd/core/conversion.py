"""What is asked of a conversion to a table, and what came of it. Pure values: `dorkyd.tables.convert` does the work."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from enum import StrEnum

from dorkyd.errors import Refused

CONVERTER = "1"
"""Which rules made a table: it is raised when the same bytes would give another table, never by a release alone."""
NAME_KEY, DIGEST_KEY, SCHEMA_KEY, CONVERTER_KEY = (
    "dorky.source.name",
    "dorky.source.digest",
    "dorky.schema",
    "dorky.converter",
)
"""Keys in a table's own metadata: the original's name and digest, JSON of column to type, and `CONVERTER`."""


class Form(StrEnum):
    """What a file is written in."""

    CSV = "csv"
    JSON_LINES = "jsonl"
    PARQUET = "parquet"
    FEATHER = "feather"


_ENDINGS = {
    ".csv": (Form.CSV, ","),
    ".tsv": (Form.CSV, "\t"),
    ".tab": (Form.CSV, "\t"),
    ".jsonl": (Form.JSON_LINES, ","),
    ".ndjson": (Form.JSON_LINES, ","),
    ".parquet": (Form.PARQUET, ","),
    ".feather": (Form.FEATHER, ","),
    ".arrow": (Form.FEATHER, ","),
}
PACKED = {".gz": "gzip", ".zst": "zstd"}


@dataclass(frozen=True, slots=True)
class Named:
    """What a name says of its file."""

    form: Form
    delimiter: str
    packed: str | None
    """`gzip`, `zstd`, or None."""
    stem: str
    """The name without its endings."""


def named(name: str) -> Named | None:
    """What a name's ending says; None: it says nothing of tables."""
    stem, ending = posixpath.splitext(name)
    packed = PACKED.get(ending.lower())
    if packed is not None:
        stem, ending = posixpath.splitext(stem)
    found = _ENDINGS.get(ending.lower())
    return None if found is None else Named(found[0], found[1], packed, stem)


@dataclass(frozen=True, slots=True)
class Conversion:
    """How to read a file, and what to make of it. All that shapes the table stands here and in the input's bytes: nothing else
    does. Plain values, so that a worker can be handed it as JSON.
    """

    name: str
    """The original's, for messages and the table's metadata."""
    form: str = Form.CSV
    """`csv` or `jsonl`."""
    target: str = Form.PARQUET
    """`parquet` or `feather`."""
    delimiter: str = ","
    """One ASCII character."""
    packed: str | None = None
    """`gzip` or `zstd`."""
    encoding: str = "utf-8"
    header: bool = True
    """The first record names the columns; else they are `column_1` and so on."""
    schema: str | None = None
    """The text of a schema file."""
    schema_name: str = ""
    """Its name, for messages."""

    def __post_init__(self) -> None:
        if len(self.delimiter) != 1 or not self.delimiter.isascii() or self.delimiter in '"\r\n\0':
            what = f"a delimiter is one ASCII character, and not {self.delimiter!r}"
            raise Refused(what, code="bad-delimiter", hint="such as `;`, or `\\t` for a tab")


@dataclass(frozen=True, slots=True)
class Converted:
    """What came of it."""

    rows: int
    rejects: int
    """Records that are not in the table."""
    columns: dict[str, str] = field(default_factory=dict)
    """Column to type, in order."""
    digest: str = ""
    """Of the input's bytes: `sha256:` and hexadecimal digits."""
    size: int = 0
    """Of the table, bytes."""
    passes: int = 1
    """How often the input was read: twice when a later block widened a column."""
    notes: tuple[str, ...] = ()
    """What a person should know, such as columns that were given another name. No cell's content."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that is not in the table."""

    line: int
    """Where it begins: physical lines, counted from 1."""
    column: str | None
    """The first that does not fit; None: the record as a whole."""
    reason: str
    raw: str
    """As it stands in the file, for the list alone: never for a log. Cut at `RAW_LIMIT`."""


RAW_LIMIT = 65_536
"""Characters of a reject's text that are listed."""
