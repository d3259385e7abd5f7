"""What kind of table a file is, by its name and its first bytes, and which names are hidden. No pyarrow here."""

from __future__ import annotations

from typing import Literal

from dorkyd.api.failures import BadRequest

Kind = Literal["parquet", "arrow", "stream", "csv", "tsv", "jsonl"]
"""`arrow`: the IPC file format, Feather too; `stream`: the IPC stream format."""

SUFFIXES: dict[str, Kind] = {
    "parquet": "parquet",
    "parq": "parquet",
    "pq": "parquet",
    "feather": "arrow",
    "arrow": "arrow",
    "ipc": "arrow",
    "arrows": "stream",
    "csv": "csv",
    "tsv": "tsv",
    "tab": "tsv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
}
PACKED = {"gz": "gzip", "zst": "zstd", "bz2": "bz2"}
"""Behind the suffix of a text: how it is packed."""
_TEXTS = frozenset({"csv", "tsv", "jsonl"})
MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"PAR1", "parquet"),
    (b"PARE", "parquet"),
    (b"ARROW1", "arrow"),
    (b"\xff\xff\xff\xff", "stream"),
)
MAGIC_BYTES = 8


def by_name(path: str) -> tuple[Kind | None, str | None]:
    """The kind that a name says, and how it is packed; None: it says nothing of that."""
    name, _, last = path.rpartition("/")[2].lower().rpartition(".")
    packed = PACKED.get(last)
    if packed is not None:
        kind = SUFFIXES.get(name.rpartition(".")[2])
        return (kind, packed) if kind in _TEXTS else (None, None)
    return (SUFFIXES.get(last) if name else None), None


def kind_of(path: str, first: bytes) -> tuple[Kind, str | None]:
    """The kind, and how it is packed. First bytes that say it count more than a name. `BadRequest` (`no-table`)."""
    told, packed = by_name(path)
    for magic, kind in MAGIC:
        if first.startswith(magic):
            return kind, None
    if told in _TEXTS:
        return told, packed
    if told is None and first.lstrip().startswith(b"{"):
        return "jsonl", None
    what = "it is empty" if not first else f"it does not begin as {told} does" if told else "nothing says what it is"
    raise BadRequest(
        f"{path} is no table: {what}.",
        code="no-table",
        hint="Tables are Parquet, Feather or Arrow IPC, CSV, TSV and JSON lines, by their names and first bytes.",
    )


def is_hidden(path: str) -> bool:
    """Markers and half-written files beside tables: a component begins with `_` or `.`, unless it is a partition (`_year=1`)."""
    return any(part.startswith((".", "_")) and "=" not in part for part in path.split("/"))
