"""What docs/tables.md shows of Python runs as it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from dorkyd.tables.filesystem import DorkyFileSystem
from tests.artifacts.place import serving

pytestmark = pytest.mark.daemon

PAGE = (Path(__file__).parents[2] / "docs" / "tables.md").read_text()
SECTION = PAGE.partition("\n## Reading and writing from Python\n")[2]
BLOCKS = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As a program of the daemon's own user, with the project of the examples and dorkyd installed."""
    with serving() as place, place.daemon.client() as client:
        client.remove("p")
        (place.base / "code").mkdir()
        client.add(str(place.base / "code"), name="api")
        monkeypatch.setenv("DORKY_HOME", str(place.daemon.home))
        fsspec.register_implementation("dorky", DorkyFileSystem, clobber=True)
        yield
        for made in DorkyFileSystem._cache.values():
            made.client.close()
        DorkyFileSystem.clear_instance_cache()


def test_examples(at_home: None) -> None:
    """Each goes on from those before it; none is left out."""
    assert len(BLOCKS) == SECTION.count("```python") >= 5
    names: dict[str, Any] = {}
    for number, block in enumerate(BLOCKS):
        exec(compile(block, f"docs/tables.md, block {number}", "exec"), names)
    names["client"].close()
