"""Which type a column of text has: the narrowest that keeps every value as it was written, and text where none does.

A kind is told by the whole column, never by a sample: `fit` looks at every value, and `widened` is the next kind when one
does not fit. The rules, each for a loss it prevents:

- A whole number has no leading zero, no `+`, no `-0`, no hexadecimal form, and fits 64 bits: codes and telephone numbers
  stay text, and so does what is too long.
- A decimal number comes back from its double digit by digit (in its shortest form, or with 17 digits): what has more stays
  text, and so do
  `nan`, `inf`, numbers out of range, and digits around a bare `E` (`12E3` is a product as often as a number).
- `NA`, `null`, `-` and the like are text. A column with such a word is text, unless a schema calls the word empty.
- A time has a date and at least hours and minutes, to the microsecond, without a zone or with `Z`: an offset would be lost.
- An empty field is no value. In a text column a quoted empty field is an empty text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc

from dorkyd.tables.converting.shapes import comes_back
from dorkyd.tables.converting.values import NO_BOOL, NO_TEXT, number
from dorkyd.tables.converting.values import texts as texts_of


class Kind(StrEnum):
    """What all values of a column are, so far."""

    EMPTY = "empty"
    """No value yet."""
    BOOL = "bool"
    INT = "int64"
    FLOAT = "float64"
    DATE = "date"
    TIME = "timestamp"
    TIME_UTC = "timestamp-utc"
    TEXT = "string"


TYPES = {
    Kind.EMPTY: pa.string(),
    Kind.BOOL: pa.bool_(),
    Kind.INT: pa.int64(),
    Kind.FLOAT: pa.float64(),
    Kind.DATE: pa.date32(),
    Kind.TIME: pa.timestamp("us"),
    Kind.TIME_UTC: pa.timestamp("us", "UTC"),
    Kind.TEXT: pa.string(),
}
SAFE_DIGITS = 15
"""Significant digits that every double holds (DBL_DIG)."""
_TRUE, _BOTH = texts_of(["true", "True", "TRUE"]), texts_of(["true", "True", "TRUE", "false", "False", "FALSE"])
_FIRST = (
    (re.compile(r"(?:true|false)", re.IGNORECASE), Kind.BOOL),
    (re.compile(r"-?[0-9]+"), Kind.INT),
    (re.compile(r"-?[0-9.]+(?:[eE][-+]?[0-9]+)?"), Kind.FLOAT),
    (re.compile(r"\d{4}-\d\d-\d\d"), Kind.DATE),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d[0-9:.]*"), Kind.TIME),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d[0-9:.]*Z"), Kind.TIME_UTC),
)
_NOTHING = number(0)
_BARE_EXPONENT = r"^-?[0-9]+[eE][0-9]"


@dataclass(slots=True)
class Column:
    """One column and what is known of it."""

    name: str
    kind: Kind = Kind.EMPTY
    long: bool = False
    """A whole number with more digits than every double holds was seen."""

    def take(self, texts: pa.Array) -> pa.Array | None:
        """The values of one block. None: they do not fit, and `widen` is due."""
        if self.kind is Kind.TEXT:
            return texts
        values = fit(texts, self.kind)
        if self.kind is Kind.INT and values is not None and not self.long:
            self.long = (pc.max(pc.binary_length(texts)).as_py() or 0) > SAFE_DIGITS
        return values

    def widen(self, texts: pa.Array) -> pa.Array:
        """Find the kind that these values have together with all before, and the values."""
        while (values := self.take(texts)) is None:
            self.kind = widened(self.kind, texts, long=self.long)
        return values


def widened(kind: Kind, texts: pa.Array, *, long: bool) -> Kind:
    """The next kind to try. `long`: whole numbers were seen that a double might not hold."""
    if kind is Kind.EMPTY:
        first = pc.filter(texts, pc.greater(pc.binary_length(texts), _NOTHING))[0].as_py()
        return next((kind for pattern, kind in _FIRST if pattern.fullmatch(first)), Kind.TEXT)
    return Kind.FLOAT if kind is Kind.INT and not long else Kind.TEXT


def fit(texts: pa.Array, kind: Kind) -> pa.Array | None:
    """The values as this kind; None: one of them would not be what was written."""
    if kind is Kind.TEXT:
        return texts
    bounds = pc.min_max(pc.binary_length(texts))
    least, most = bounds["min"].as_py(), bounds["max"].as_py()
    if not most:
        return pa.nulls(len(texts), TYPES[kind])
    if least == 0:
        texts = without_empty(texts)
        least = pc.min(pc.binary_length(texts)).as_py()
    match kind:
        case Kind.EMPTY:
            return None
        case Kind.BOOL:
            return _bools(texts)
        case Kind.INT:
            return None if _zeros(texts, most, "") else cast(texts, pa.int64())
        case Kind.FLOAT:
            return _floats(texts, most)
        case Kind.DATE:
            return cast(texts, pa.date32()) if least == most == 10 else None
        case Kind.TIME | Kind.TIME_UTC:
            if least < len("2024-01-01 00:00"):
                return None
            if kind is Kind.TIME_UTC and not pc.all(pc.ends_with(texts, "Z")).as_py():
                return None
            return cast(texts, TYPES[kind])


def without_empty(texts: pa.Array) -> pa.Array:
    """The same, with no value where a text is empty."""
    return pc.if_else(pc.equal(pc.binary_length(texts), _NOTHING), NO_TEXT, texts)


def cast(texts: pa.Array, to: pa.DataType) -> pa.Array | None:
    """Arrow's own reading of texts; None: it cannot read one of them."""
    try:
        return pc.cast(texts, to)
    except pa.ArrowInvalid:
        return None


def _bools(texts: pa.Array) -> pa.Array | None:
    none = pc.is_null(texts)
    if not pc.all(pc.or_(none, pc.is_in(texts, _BOTH))).as_py():
        return None
    return pc.if_else(none, NO_BOOL, pc.is_in(texts, _TRUE))


def _zeros(texts: pa.Array, most: int, after: str) -> bool:
    """Some number begins with a zero that it does not need and would not give back. `after`: what may follow a zero."""
    if most == 1:
        return False
    for zero in ("0", "-0"):
        begun = pc.starts_with(texts, zero)
        if pc.any(begun).as_py():
            if zero == "-0" and not after:
                return True
            fine = pc.equal(pc.binary_length(texts), number(len(zero)))
            for more in after:
                fine = pc.or_(fine, pc.starts_with(texts, zero + more))
            if pc.any(pc.and_not(begun, fine)).as_py():
                return True
    return False


def _floats(texts: pa.Array, most: int) -> pa.Array | None:
    written = _bytes(texts)
    powers = b"e" in written or b"E" in written
    if b"+" in written and pc.any(pc.starts_with(texts, "+")).as_py():
        return None
    if powers and pc.any(pc.match_substring_regex(texts, _BARE_EXPONENT)).as_py():
        return None
    if _zeros(texts, most, ".eE"):
        return None
    values = cast(texts, pa.float64())
    if values is None or not pc.all(pc.is_finite(values)).as_py():
        return None
    if most <= SAFE_DIGITS and not powers:
        return values
    return values if _all_come_back(texts, values) else None


def _bytes(texts: pa.Array) -> bytes:
    """All values, one behind the other: a byte is found here many times sooner than by asking each value."""
    _, places, data = texts.buffers()
    if data is None:
        return b""
    ends = memoryview(places).cast("i")
    return bytes(memoryview(data)[ends[texts.offset] : ends[texts.offset + len(texts)]])


def _all_come_back(texts: pa.Array, values: pa.Array) -> bool:
    """Every double tells the digits it was made of. Most are written in the one shortest form, which is compared at once."""
    same = pc.equal(pc.cast(values, pa.string()), texts)
    if pc.all(same).as_py():
        return True
    return all(comes_back(text) for text in pc.unique(pc.filter(texts, pc.invert(same))).to_pylist())
