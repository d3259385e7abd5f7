"""Replies that make no sense: read as trouble that passes, never as an answer.

A store's reply may lack what every reply has, or hold numbers and times that are none: a network's login page, a store that
is half broken, somebody in between. It is neither an absence nor a defect of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dorkyd.errors import Transient

NONSENSE = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
"""What reading such a reply raises."""


@contextmanager
def sense() -> Iterator[None]:
    """Around the reading of a reply, and nothing else: `Transient` where it cannot be read."""
    try:
        yield
    except NONSENSE as error:
        raise Transient("the store answered something that makes no sense", code="malformed-reply") from error
