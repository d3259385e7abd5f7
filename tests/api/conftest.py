"""One served daemon for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.serving import Served, serving


@pytest.fixture
def served() -> Iterator[Served]:
    """A server over a fake daemon with one project, `api`."""
    with serving() as up:
        yield up
