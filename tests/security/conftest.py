"""What security tests may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.conftest import quick_path
from tests.security.hostile import Hostile

__all__ = ["quick_path"]


@pytest.fixture
def hostile(quick_path: Path) -> Hostile:
    """Two devices in sync over a bucket that anybody may write to."""
    return Hostile(quick_path)
