"""Values of tables as text and as JSON. In the worker."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, time
from typing import Any

from dorkyd.tables.facts import VALUE_CHARS

CELL_CHARS = 500
"""Of one value that is shown."""


def text_of(value: Any, most: int = VALUE_CHARS) -> str | None:
    """A value as people write it, at most so long; None: there is none."""
    match value:
        case None:
            return None
        case bool():
            text = "true" if value else "false"
        case float():
            text = repr(value + 0.0)  # not the minus of a zero
        case datetime() | date() | time():
            text = value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
        case bytes() | bytearray() | memoryview():
            text = "0x" + bytes(value[: most // 2]).hex()
        case dict() | list() | tuple():
            text = json.dumps(plain(value), ensure_ascii=False)
        case _:
            text = str(value)
    text = sendable(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def sendable(text: str) -> str:
    """Without halves of characters, which cannot be sent."""
    return text.encode("utf-8", "replace").decode()


def plain(value: Any, depth: int = 0) -> Any:
    """A value as JSON has it."""
    match value:
        case None | bool():
            return value
        case int():
            # What JSON's readers make of larger ones is another number.
            return value if -(2**53) < value < 2**53 else str(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case dict() if depth < 10:
            return {sendable(str(name)): plain(each, depth + 1) for name, each in list(value.items())[:100]}
        case list() | tuple() if depth < 10:
            return [plain(each, depth + 1) for each in value[:100]]
        case _:
            return text_of(value, CELL_CHARS)
