"""`dorkyctl`: parse, call the API, print. One module per group of commands; `app` explains the rules they share."""

from __future__ import annotations

from dorkyd.cli.app import run

# Imported for their commands, in the order in which help lists them.
from dorkyd.cli import lifecycle, status, projects, importing, halts, files, history, commits, artifacts, later  # isort: skip

__all__ = [
    "artifacts",
    "commits",
    "files",
    "halts",
    "history",
    "importing",
    "later",
    "lifecycle",
    "main",
    "projects",
    "run",
    "status",
]


def main() -> None:
    """The console script."""
    run()
