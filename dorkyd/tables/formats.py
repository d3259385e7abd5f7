"""Which files are tables, by their name; and what their first bytes say about that. Pure."""

from __future__ import annotations

from typing import Literal

Format = Literal["parquet", "arrow", "csv", "jsonl"]

SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "arrow",
    ".arrow": "arrow",
    ".ipc": "arrow",
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
"""In lower case, with the dot."""
PACKED = frozenset({".gz"})
"""Text formats are read through these; the formats of Arrow pack inside."""
SUPPORTED = "Parquet (.parquet, .pq), Arrow and Feather (.arrow, .feather, .ipc), CSV and TSV (.csv, .tsv, .tab), JSON lines (.jsonl, .ndjson), the text ones also with .gz"
"""For people who named something else."""
HEAD_BYTES = 16


def format_of(path: str) -> Format | None:
    """By the name of the path; None: it is not called a table."""
    name = path.rpartition("/")[2].lower()
    stem, dot, last = name.rpartition(".")
    packed = f".{last}" in PACKED and bool(dot)
    if packed:
        stem, dot, last = stem.rpartition(".")
    found = SUFFIXES.get(f".{last}") if dot and stem else None
    return None if packed and found in {"parquet", "arrow"} else found


def is_packed(path: str) -> bool:
    """The bytes are gzip's, by the name."""
    return path.lower().endswith(".gz")


def format_by(path: str, head: bytes) -> Format | None:
    """By the name, corrected by the first `HEAD_BYTES`: a Parquet file called `.csv` is one all the same. None: it is called a table
    and its bytes are of another kind of file.
    """
    named = format_of(path)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"ARROW1\0\0"):
        return "arrow"
    if named in {"parquet", "arrow"}:
        # An Arrow stream begins with a length, and has no magic.
        return "arrow" if named == "arrow" and head.startswith(b"\xff\xff\xff\xff") else None
    return named
