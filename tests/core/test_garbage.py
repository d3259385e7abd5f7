"""What may go of commits and contents, and what is written down of it."""

from __future__ import annotations

import pytest

from dorkyd.core.commits import object_key
from dorkyd.core.garbage import (
    CONDEMNED_S,
    Aged,
    Kept,
    condemned_key,
    decode_condemned,
    encode_condemned,
    is_condemned_key,
    past_retention,
    unreferenced,
)
from dorkyd.core.metadata import hex_of
from dorkyd.core.model import Digest

DAY = 86_400
NOW = 100 * DAY
COMMITS = [Aged(n, n * 10 * DAY) for n in range(1, 10)] + [Aged(10, NOW - 60)]
"""Nine old ones, ten days apart, and one of a minute ago."""


@pytest.mark.parametrize(
    ("kept", "gone"),
    [
        (Kept(), []),
        (Kept(last=3), [1, 2, 3, 4, 5, 6, 7]),
        (Kept(last=100), []),
        (Kept(last=0), [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (Kept(days=45), [1, 2, 3, 4, 5]),
        (Kept(last=8, days=45), [1, 2]),
        (Kept(days=0), [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ],
)
def test_retention(kept: Kept, gone: list[int]) -> None:
    """What either rule keeps stays, and the last one always; without a rule all do."""
    assert [one.seq for one in past_retention(COMMITS, kept, NOW)] == gone


def test_what_is_young_stays() -> None:
    """No number is free again while somebody may still be about to use it."""
    young = [Aged(n, NOW - CONDEMNED_S + n) for n in range(5)]
    assert [one.seq for one in past_retention(young, Kept(last=1), NOW)] == [0]


def test_a_store_without_times() -> None:
    """Nobody knows what is young."""
    assert past_retention([Aged(n, None) for n in range(5)], Kept(last=1), NOW) == ()
    assert past_retention(COMMITS, Kept(last=1), None) == ()


def test_contents_that_nothing_needs() -> None:
    """Under whatever name; what is no content of ours is left alone."""
    needed, other = Digest("sha256:" + "a" * 64), Digest("sha256:" + "b" * 64)
    keys = [object_key(needed), object_key(needed, 2), object_key(other), object_key(other, 3), ".dorky/objects/README"]
    assert unreferenced(keys, {hex_of(needed)}) == {object_key(other), object_key(other, 3)}


def test_condemned_names_are_read_as_written() -> None:
    """And what makes no sense reads as nobody knowing."""
    names = {object_key(Digest("sha256:" + "a" * 64)), object_key(Digest("sha256:" + "b" * 64), 2)}
    text = encode_condemned(names, device="d", time="t")
    assert decode_condemned(text) == names
    for bad in (b"", b"[]", text.replace(b'"format":1', b'"format":2'), text.replace(b"-2", b"-1"), b"[" * 10**5):
        assert decode_condemned(bad) is None
    assert is_condemned_key(condemned_key("a" * 32))
    assert not is_condemned_key(".dorky/gc/notes.txt")
