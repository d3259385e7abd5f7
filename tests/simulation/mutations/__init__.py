"""Deliberate faults, one small patch each: what `python -m tests.simulation.mutants` shows to be caught."""

from __future__ import annotations

from tests.simulation.mutations import around, carried, decided
from tests.simulation.mutations.mutant import Mutant

ALL: tuple[Mutant, ...] = (*decided.MUTANTS, *carried.MUTANTS, *around.MUTANTS)
"""Every fault there is, by the part of the program that is wrong: deciding, carrying out, and what is around it."""
