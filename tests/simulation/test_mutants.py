"""The deliberate faults still fit the program, and some of them are really caught. All: `python -m tests.simulation.mutants`."""

from __future__ import annotations

import ast

import pytest

from tests.simulation.mutants import ROOT, judge, table
from tests.simulation.mutations import ALL
from tests.simulation.mutations.mutant import Mutant

RUN = ("deletion-beats-edit", "base-before-the-effect", "open-install-counts-as-done")
"""Caught by the first histories from their seed on."""
NAMES = [mutant.name for mutant in ALL]


@pytest.mark.parametrize("mutant", ALL, ids=NAMES)
def test_a_fault_applies(mutant: Mutant) -> None:
    """Its text is in its module exactly once, and the wrong program compiles."""
    module = ROOT / "dorkyd" / f"{mutant.module}.py"
    text = module.read_text()
    wrong = mutant.patched(text)
    assert ast.dump(ast.parse(wrong)) != ast.dump(ast.parse(text))
    compile(wrong, str(module), "exec")


def test_every_fault_is_named_once() -> None:
    """Names are what people ask for."""
    assert len(set(NAMES)) == len(NAMES) >= 25


@pytest.mark.parametrize("mutant", [mutant for mutant in ALL if mutant.test is not None], ids=lambda m: m.name)
def test_a_named_test_exists(mutant: Mutant) -> None:
    """A test that was renamed would catch nothing any more."""
    assert mutant.test is not None
    file, _, name = mutant.test.partition("::")
    known = {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if hasattr(node, "name")}
    if file == "tests/buckets/test_s3.py":
        contract = ROOT / "tests" / "buckets" / "contract.py"
        known |= {n.name for n in ast.walk(ast.parse(contract.read_text())) if isinstance(n, ast.FunctionDef)}
    assert set(name.split("::")) <= known


def test_the_page_lists_them() -> None:
    """docs/mutants.md has the rows that `--table` prints, in that order."""
    page = (ROOT / "docs" / "mutants.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows == table()


@pytest.mark.parametrize("name", RUN)
def test_a_fault_is_caught(name: str) -> None:
    """The wrong program breaks a rule within a few histories of the seed that is written down."""
    (mutant,) = (mutant for mutant in ALL if mutant.name == name)
    verdict = judge(mutant, histories=12, first=mutant.first)
    assert verdict.caught, verdict.by


def test_a_patch_that_does_not_fit_is_refused() -> None:
    """Its text missing, or there twice: no wrong program is made."""
    mutant = Mutant("m", "x", "a = 1", "a = 2", "", "")
    assert mutant.patched("a = 1\n") == "a = 2\n"
    for text in ("", "a = 1\na = 1\n"):
        with pytest.raises(ValueError, match="occurs"):
            mutant.patched(text)
