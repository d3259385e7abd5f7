"""A real daemon for the artifact tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.artifacts.place import Place, serving


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """One daemon over a directory bucket; each test has paths of its own."""
    with serving() as up:
        yield up
