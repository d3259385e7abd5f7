"""What scenarios may use."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import journals


@pytest.fixture(autouse=True)
def _copied_journals(monkeypatch: pytest.MonkeyPatch) -> None:
    journals.copied(monkeypatch)


@pytest.fixture
def quick_path() -> Iterator[Path]:
    """A folder in memory where there is one: these tests sync a lot."""
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    base = Path(tempfile.mkdtemp(prefix="dorky-sim-", dir=where))
    yield base
    shutil.rmtree(base)
