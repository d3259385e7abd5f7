"""docs/scenarios.md: every situation has a test, and the tests it names are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^\| ([A-Z][0-9]{2}) \| .+ \| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def _tests_of(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text())
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def _page() -> str:
    return (ROOT / "docs" / "scenarios.md").read_text()


def test_every_row_names_tests_that_exist() -> None:
    """Each row of the table has at least one test, found by its name in the file that it names."""
    for row, cell in ROW.findall(_page()):
        named = NAMED.findall(cell)
        assert named, row
        assert len(named) == cell.count("::"), row
        for file, name in named:
            assert name in _tests_of(file), f"{row}: {file}::{name}"


def test_no_row_is_left_out() -> None:
    """The table has exactly the rows of the list below it, each once."""
    listed = re.findall(r"\b[A-Z][0-9]{2}\b", _page().partition("## All rows")[2])
    assert [row for row, _ in ROW.findall(_page())] == listed
    assert len(set(listed)) == len(listed) > 80
