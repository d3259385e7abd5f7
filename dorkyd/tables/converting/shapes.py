"""What a field of JSON is in all lines together, and its values as that. Pure.

JSON says itself what is text, so that text is never anything else, whatever it looks like. What JSON leaves open is decided as
in `kinds`: numbers that no 64 bits or no double would give back keep their digits, as text; and a field that is a number in
one line and a list in another is the JSON text of each.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, TypeAlias

Shape: TypeAlias = "str | dict[str, Shape] | list[Shape]"
"""A word, an object's fields, or a list with the one shape of its items. Words: `null`, `bool`, `int64`, `long` (an int64 that
a double may not hold), `float64`, `digits` (numbers as text), `string`, `json` (the JSON text of anything).
"""
MOST_DEEP = 30
"""Objects and lists inside of each other; Parquet's readers take no more than 100 levels, and a list is two."""
_NUMBERS = ("int64", "long", "float64", "digits")
_SAFE = 10**15


class Number(str):
    """A number that no type gives back, as it is written."""

    __slots__ = ()


def comes_back(text: str) -> bool:
    """A double tells the digits it was made of: in its shortest form, or with 17."""
    value, written = float(text), Decimal(text)
    if value in (float("inf"), float("-inf")):
        return False
    return written in (Decimal(repr(value)), Decimal(f"{value:.17g}"))


def parsed(line: str) -> dict[str, Any]:
    """The object of one line. `ValueError` says why it is none."""
    try:
        value = json.loads(
            line, parse_float=_float, parse_int=_int, parse_constant=_no_constant, object_pairs_hook=_object
        )
        text_of(value).encode()
    except json.JSONDecodeError as exc:
        raise ValueError(f"not JSON: {exc.msg.partition(':')[0].lower()}") from None
    except UnicodeEncodeError:
        raise ValueError("text that is no Unicode") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004  as every other reason why a line is none
    return value


def _int(text: str) -> int | Number:
    return int(text) if len(text) <= 20 and -(2**63) <= int(text) < 2**63 else Number(text)


def _float(text: str) -> float | Number:
    return float(text) if comes_back(text) else Number(text)


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key stands twice in an object")
    return made


def shape_of(value: Any, depth: int = 0) -> Shape:
    """Of one value."""
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int():
            return "int64" if -_SAFE < value < _SAFE else "long"
        case float():
            return "float64"
        case Number():
            return "digits"
        case str():
            return "string"
        case _ if depth >= MOST_DEEP:
            return "json"
        case dict():
            return {key: shape_of(each, depth + 1) for key, each in value.items()}
        case _:
            items: Shape = "null"
            for each in value:
                items = joined(items, shape_of(each, depth + 1))
            return [items]


def joined(one: Shape, other: Shape) -> Shape:
    """What holds both."""
    if other in (one, "null"):
        return one
    if one == "null":
        return other
    if isinstance(one, dict) and isinstance(other, dict):
        return {**one, **{key: joined(one.get(key, "null"), each) for key, each in other.items()}}
    if isinstance(one, list) and isinstance(other, list):
        return [joined(one[0], other[0])]
    if one in _NUMBERS and other in _NUMBERS:
        both = {one, other}
        return "digits" if "digits" in both or both == {"long", "float64"} else "long" if "long" in both else "float64"
    return "json"


def settled(shape: Shape) -> Shape:
    """As it is written: what has no value is text, and so is an object that never has a field."""
    match shape:
        case "null":
            return "string"
        case dict():
            return {key: settled(each) for key, each in shape.items()} if shape else "json"
        case list():
            return [settled(shape[0])]
        case _:
            return shape


def fitted(value: Any, shape: Shape) -> Any:
    """A value as its settled shape has it."""
    if value is None:
        return None
    match shape:
        case "json":
            return text_of(value)
        case "digits":
            return str(value)
        case dict():
            return {key: fitted(value.get(key), each) for key, each in shape.items()}
        case list():
            return [fitted(each, shape[0]) for each in value]
        case _:
            return value


def text_of(value: Any) -> str:
    """JSON, with numbers as they are written."""
    match value:
        case Number():
            return str(value)
        case dict():
            inside = ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {text_of(each)}" for key, each in value.items())
            return "{" + inside + "}"
        case list():
            return "[" + ", ".join(text_of(each) for each in value) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def has(shape: Shape, word: str) -> bool:
    """Somewhere in it."""
    match shape:
        case dict():
            return any(has(each, word) for each in shape.values())
        case list():
            return has(shape[0], word)
        case _:
            return shape == word


def depth(shape: Shape) -> int:
    """Objects and lists inside of each other."""
    inside = shape.values() if isinstance(shape, dict) else shape if isinstance(shape, list) else None
    return 0 if inside is None else 1 + max(map(depth, inside), default=0)
