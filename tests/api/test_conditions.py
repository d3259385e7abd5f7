"""Header fields of artifact requests: what is not understood is refused, so that no write is freer than its client meant."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from dorkyd.api import conditions
from dorkyd.core.artifact import Condition
from dorkyd.errors import Refused


def headers(*lines: tuple[str, str]) -> Headers:
    """As a request has them."""
    return Headers(raw=[(name.encode(), value.encode("latin-1")) for name, value in lines])


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ('"a"', ("a",)),
        ("a", ("a",)),
        ('"a", "b" ,c', ("a", "b", "c")),
        ("*", ("*",)),
        ('"a,b"', ("a,b",)),
        ('W/"a"', ()),
        ('W/"a", "b"', ("b",)),
    ],
)
def test_tags(said: str, match: tuple[str, ...]) -> None:
    """A list of tags, quoted or not. A weak one equals no state in If-Match (RFC 9110, section 13.1.1)."""
    assert conditions.condition_of(headers(("if-match", said))) == Condition(match, None)


def test_nothing_matches_a_weak_tag() -> None:
    """A write whose only tags are weak is refused, not free."""
    condition = conditions.condition_of(headers(("if-match", 'W/"a"')))
    assert not condition.holds("a", None)
    assert not conditions.condition_of(headers(("if-none-match", 'W/"a"'))).holds("a", None)


@pytest.mark.parametrize("name", ["if-match", "if-none-match"])
@pytest.mark.parametrize("said", ["", "  ", ",", '"*"', '"a" "b"', '"a'])
def test_conditions_that_say_nothing(name: str, said: str) -> None:
    """An empty condition, as of a variable that was not set, never means *any state*."""
    with pytest.raises(Refused) as refused:
        conditions.condition_of(headers((name, said)))
    assert refused.value.code == "bad-condition"


def test_a_condition_in_several_lines() -> None:
    """Every line counts, as if they were one list."""
    told = conditions.condition_of(headers(("if-none-match", '"a"'), ("if-none-match", "*")))
    assert told == Condition(None, ("a", "*"))


@pytest.mark.parametrize("name", ["If-Unmodified-Since", "If-Modified-Since"])
def test_conditions_by_time(name: str) -> None:
    """A write that depends on one is refused: seconds cannot tell two states apart, and to pass it over would overwrite."""
    with pytest.raises(Refused) as refused:
        conditions.condition_of_write(headers((name.lower(), "Sun, 29 Nov 2026 04:00:00 GMT")))
    assert refused.value.code == "bad-condition"


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([], 411),
        ([("content-length", "3"), ("content-encoding", "gzip")], 415),
        ([("content-length", "3"), ("content-range", "bytes 0-2/6")], 400),
    ],
)
def test_bodies_that_are_not_the_whole_object(lines: list[tuple[str, str]], status: int) -> None:
    """A part, packed bytes, or no word of a body at all never take an artifact's place (RFC 9110, section 14.5)."""
    with pytest.raises(HTTPException) as refused:
        conditions.check_body(headers(*lines))
    assert refused.value.status_code == status


@pytest.mark.parametrize(
    "lines",
    [[("content-length", "0")], [("transfer-encoding", "chunked")], [("content-length", "1"), ("content-encoding", "identity")]],
)  # fmt: skip
def test_bodies_that_are_whole(lines: list[tuple[str, str]]) -> None:
    """A length, even 0, or chunks."""
    conditions.check_body(headers(*lines))


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (b'{"note": "caf\\u00e9"}', "café"),
        ('{"note": "café ☕"}'.encode(), "café ☕"),
        ('{"note": "café"}'.encode("latin-1"), "café"),
    ],
    ids=["escaped", "utf-8", "latin-1"],
)
def test_metadata_beyond_ascii(sent: bytes, text: str) -> None:
    """What a shell puts into the field is UTF-8: it must not be stored as other characters without a word."""
    assert conditions.metadata_of(Headers(raw=[(b"dorky-metadata", sent)])) == {"note": text}
