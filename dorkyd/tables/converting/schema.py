"""A person's own word on types: a small YAML or JSON file of column to type, and which values do not fit it.

    zip: string
    fare: decimal(10,2)
    seats: {type: int16, nulls: ["NA", "-"]}

Columns that it does not name are found out as ever. A value that does not fit makes its record a reject.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from dorkyd.config_nodes import Source, text_of
from dorkyd.errors import Configuration
from dorkyd.tables.converting.kinds import cast, without_empty
from dorkyd.tables.converting.values import NO_TEXT, flags
from dorkyd.tables.converting.values import texts as texts_of

_NAMED = {
    "string": pa.string(),
    "bool": pa.bool_(),
    **{f"{sign}int{bits}": getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "float32": pa.float32(),
    "float64": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamp-utc": pa.timestamp("us", "UTC"),
}
_DECIMAL = re.compile(r"decimal\((\d{1,2}), ?(\d{1,2})\)")
_ONE_BY_ONE = 32


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one column shall be."""

    word: str
    """The type as it was written."""
    type: pa.DataType
    nulls: tuple[str, ...] = ()
    """Texts that mean no value, beside the empty one."""

    def read(self, texts: pa.Array) -> tuple[pa.Array, list[int]]:
        """The values, and the indexes of those that do not fit (their values are null here)."""
        if self.nulls:
            texts = pc.if_else(pc.is_in(texts, texts_of(self.nulls)), NO_TEXT, texts)
        if self.type == pa.string():
            return texts, []
        texts = without_empty(texts)
        values = cast(texts, self.type)
        if values is not None:
            return values, []
        bad = _misfits(texts, self.type, 0)
        good = pc.if_else(_mask(len(texts), bad), NO_TEXT, texts)
        return pc.cast(good, self.type), bad


def _misfits(texts: pa.Array, to: pa.DataType, start: int) -> list[int]:
    """Indexes of values that cannot be cast, found by halves."""
    if cast(texts, to) is not None:
        return []
    if len(texts) <= _ONE_BY_ONE:
        return [start + i for i in range(len(texts)) if cast(texts[i : i + 1], to) is None]
    half = len(texts) // 2
    return [*_misfits(texts[:half], to, start), *_misfits(texts[half:], to, start + half)]


def _mask(length: int, bad: list[int]) -> pa.Array:
    mask = bytearray(length)
    for row in bad:
        mask[row] = 1
    return flags(mask)


def read_schema(text: str, name: str) -> Mapping[str, Wanted]:
    """The schema that a text means. `Configuration`, with `name` and the line, for what is none."""
    source = Source(Path(name))
    root = source.compose(text)
    if root is None:
        raise Configuration(f"the schema {name} names no column", hint="write lines such as `zip: string`")
    found: dict[str, Wanted] = {}
    for key, value in root.value:
        name = text_of(source, key, "a column's name") if key.tag.endswith(":str") else str(key.value)
        if name in found:
            raise source.wrong(key, f"`{name}` is named twice; keep one of them")
        found[name] = _wanted(source, name, value)
    return found


def _wanted(source: Source, name: str, node: yaml.Node) -> Wanted:
    if isinstance(node, yaml.MappingNode):
        table = source.table(node, f"`{name}`", {"type", "nulls"})
        word = table.text("type")
        if word is None:
            raise source.wrong(node, f"`{name}` needs a `type`, such as string")
        return Wanted(
            word, _type(source, name, table.at("type"), word), tuple(t for _, t in table.texts("nulls") or [])
        )
    word = text_of(source, node, f"the type of `{name}`")
    return Wanted(word, _type(source, name, node, word))


def _type(source: Source, name: str, node: yaml.Node, word: str) -> pa.DataType:
    if word in _NAMED:
        return _NAMED[word]
    match = _DECIMAL.fullmatch(word)
    if match is not None and 1 <= int(match[1]) <= 38 and int(match[2]) <= int(match[1]):
        return pa.decimal128(int(match[1]), int(match[2]))
    known = ", ".join([*_NAMED, "decimal(10,2)"])
    raise source.wrong(node, f"`{word}` is no type that `{name}` can have; there are {known}")
