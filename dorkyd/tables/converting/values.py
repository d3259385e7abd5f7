"""Arrow values made of Python's. pyarrow's own ways import pandas where there is one, which costs a third of a second and 60 MB
that nothing here needs.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

NO_TEXT = pa.nulls(1, pa.string())[0]
NO_BOOL = pa.nulls(1, pa.bool_())[0]


def number(value: int) -> pa.Scalar:
    """An int32."""
    return pa.Array.from_buffers(pa.int32(), 1, [None, pa.py_buffer(array("i", [value]))])[0]


def texts(values: Sequence[str]) -> pa.Array:
    """Strings."""
    encoded = [value.encode() for value in values]
    places = array("i", [0])
    for each in encoded:
        places.append(places[-1] + len(each))
    return pa.StringArray.from_buffers(len(values), pa.py_buffer(places), pa.py_buffer(b"".join(encoded)))


def flags(values: bytearray) -> pa.Array:
    """True where a byte is 1."""
    numbers = pa.Array.from_buffers(pa.uint8(), len(values), [None, pa.py_buffer(values)])
    return pc.cast(numbers, pa.bool_())
