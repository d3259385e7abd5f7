"""`dorkyctl`: parse, call the API, print. One module per group of commands; `app` explains the rules they share.

A command's module is imported when that command is given: most of what a command costs is importing, and most of that is
for other commands.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from dorkyd.cli.telling import guarded

MODULES: dict[str, tuple[str, ...]] = {
    "lifecycle": ("up", "stop"),
    "setup": ("init", "join", "invite"),
    "status": ("status",),
    "projects": ("add", "remove", "sync", "pause", "resume", "limit", "doctor"),
    "importing": ("import-dorky",),
    "halts": ("conflicts", "problems", "resolve", "approve", "reject"),
    "files": ("ls", "why", "check-ignore"),
    "show": ("show",),
    "history": ("log", "history", "restore", "undo", "trash", "diff"),
    "commits": ("commit", "commits", "checkout", "lock", "gc"),
    "manual": ("stage", "unstage", "push", "pull"),
    "artifacts": ("put", "get", "meta"),
    "convert": ("convert",),
    "freeze": ("freeze",),
    "keys": ("encrypt", "key", "team"),
    "allow": ("allow",),
    "env": ("env",),
    "service": ("service",),
    "logs": ("logs",),
    "ui": ("ui",),
    "mcp": ("mcp",),
    "completion": ("completion",),
    "manpages": ("man",),
}
"""Each module and what it defines, in the order in which help lists them."""


def load(module: str) -> None:
    """Import a module of commands; it registers them."""
    importlib.import_module(f"dorkyd.cli.{module}")


def load_all() -> None:
    """Every command there is, in the order of `MODULES`."""
    for module in MODULES:
        load(module)
    from dorkyd.cli.app import app  # noqa: PLC0415  `status` does without

    order = {name: place for place, name in enumerate(name for names in MODULES.values() for name in names)}
    app.registered_commands.sort(key=lambda one: order[_name(one.name, one.callback)])


def _name(name: str | None, callback: object) -> str:
    return str(name or getattr(callback, "__name__", ""))


def run(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit. `arguments` None: the process's own."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["status"]:
        from dorkyd.cli import glance  # noqa: PLC0415  only here

        wanted = glance.understood(given[1:])
        if wanted is not None:
            guarded(lambda: glance.leave(wanted), json=wanted.json)
            return
    if given[:1] == ["--complete"]:
        from dorkyd.cli import completing  # noqa: PLC0415  only here

        completing.main(given[1:])
        return
    module = next((module for module, names in MODULES.items() if given[:1] and given[0] in names), None)
    if module is not None:
        load(module)
    elif given != ["--version"]:
        load_all()  # for help, and for what is close to a word that is no command
    from dorkyd.cli import app  # noqa: PLC0415  as above

    app.run(given)


def main() -> None:
    """The console script."""
    run()
