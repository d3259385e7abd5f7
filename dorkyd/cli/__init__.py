"""`dorkyctl`: parse, call the API, print. One module per group of commands; `app` explains the rules they share."""

from __future__ import annotations

from dorkyd.cli.app import run

# Imported for their commands, in the order in which help lists them.
from dorkyd.cli import (  # isort: skip
    lifecycle, setup, status, projects, importing, halts, files, history, commits, manual, artifacts, keys, allow, env, service, logs,
)  # fmt: skip

__all__ = [
    "allow",
    "artifacts",
    "commits",
    "env",
    "files",
    "halts",
    "history",
    "importing",
    "keys",
    "lifecycle",
    "logs",
    "main",
    "manual",
    "projects",
    "run",
    "service",
    "setup",
    "status",
]


def main() -> None:
    """The console script."""
    run()
