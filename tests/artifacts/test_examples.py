"""What docs/api.md shows is run as it stands, and docs/openapi.json is what the daemon serves."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.artifacts.place import Place, serving

pytestmark = pytest.mark.daemon

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL)
RUN = {
    "sh": ["sh", "-euc"],
    "python": [sys.executable, "-c"],
    "js": ["node", "-e"],
}
TOOLS = {"sh": "curl", "python": sys.executable, "js": "node"}


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A daemon with the project of the examples."""
    with serving() as up, up.daemon.client() as client:
        (up.base / "code").mkdir()
        client.add(str(up.base / "code"), name="api")
        yield up


def test_every_language_is_shown() -> None:
    """Each example has a way to be run."""
    assert {language for language, _ in BLOCKS} == set(RUN)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_examples(place: Place, tmp_path: Path, number: int) -> None:
    """An example runs to its end, and does what it says."""
    language, text = BLOCKS[number]
    if shutil.which(TOOLS[language]) is None:
        pytest.skip(f"{TOOLS[language]} is not on this machine")
    env = {**place.daemon.env, "PYTHONPATH": str(ROOT), "NODE_NO_WARNINGS": "1"}
    done = subprocess.run(
        [*RUN[language], text], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if language == "sh":
        assert (tmp_path / "copy.txt").read_text() == "a note\n"
        assert '"note":"example"' in done.stdout
    if language == "js":
        assert done.stdout.startswith('from node "')
        assert place.http.get("/v1/projects/api/artifacts/from%2Fnode.txt").content == b"from node"


def test_the_description_is_checked_in(place: Place) -> None:
    """docs/openapi.json is what is served; `python -m dorkyd.api > docs/openapi.json` writes it anew."""
    served = place.http.get("/openapi.json").json()
    assert json.loads((ROOT / "docs" / "openapi.json").read_text()) == served
