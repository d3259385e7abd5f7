"""Questions to a person. Never asked away from a terminal: there `--yes` answers, or nothing is done."""

from __future__ import annotations

import sys

import typer

from dorkyd.cli.app import Exit, Failure
from dorkyd.core.printable import printable

NOTHING = "Nothing was done."


def is_person() -> bool:
    """Somebody can answer."""
    return sys.stdin.isatty()


def agreed(question: str, *, yes: bool, hint: str = "Run it again with --yes if it may.") -> None:
    """Go on only when a person, or `--yes`, agrees. Raises `Failure` (guard)."""
    if yes:
        return
    if not is_person():
        raise Failure(f"Nobody is here to say: {question} {NOTHING}", hint=hint, exit_code=Exit.GUARD)
    if not typer.confirm(printable(question), err=True):
        raise Failure(NOTHING, exit_code=Exit.GUARD)


def chosen(question: str, *, yes: bool) -> bool:
    """What may be left out. `--yes`: it is wanted; nobody there: it is not."""
    return yes or (is_person() and typer.confirm(printable(question), default=True, err=True))


def word(question: str, default: str) -> str:
    """A line of text. Only where `is_person`."""
    return str(typer.prompt(printable(question), default=default, err=True)).strip()
