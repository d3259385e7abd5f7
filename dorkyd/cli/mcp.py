"""The command `mcp`: a server of the Model Context Protocol for programs on this machine."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from dorkyd.cli.app import Exit, Failure, app, say
from dorkyd.core.ignore import Patterns
from dorkyd.errors import Refused

Projects = Annotated[list[str] | None, typer.Option("--project", metavar="NAME", help="Show this project; repeatable.")]
Reveal = Annotated[
    list[str] | None, typer.Option("--reveal", metavar="PATTERN", help="Show secrets of such paths; repeatable.")
]


@app.command(epilog="Example: dorkyctl mcp --project api --read-only")
def mcp(
    project: Projects = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Offer no tool that changes anything.")] = False,
    reveal: Reveal = None,
) -> None:
    """Serve the projects' files to an assistant, over standard input and output (Model Context Protocol).

    An MCP client starts this; by hand it only waits. Tools: status, list, get, put, history, restore, conflicts, resolve, problems, why. Values of .env files, keys and encrypted files are masked unless --reveal (a gitignore pattern) picks them. Needs the extra: pip install 'dorkyd[mcp]'.
    """
    if find_spec("mcp") is None:
        raise Failure(
            "The library for this is not installed.", hint="pip install 'dorkyd[mcp]'", exit_code=Exit.CONFIGURATION
        )
    try:
        patterns = Patterns(tuple(reveal or ()))
    except Refused as exc:
        raise Failure(f"--reveal: {exc}", hint=exc.hint) from exc
    from dorkyd import __version__  # noqa: PLC0415  a cycle at import time
    from dorkyd.mcp.scope import Scope  # noqa: PLC0415  half a second, for this command alone
    from dorkyd.mcp.server import serve  # noqa: PLC0415  as above

    if sys.stdin.isatty():
        say("Waiting for an MCP client on standard input; Ctrl-C ends this. How to set one up: docs/mcp.md")
    try:
        serve(Scope(tuple(project or ()), patterns, read_only), __version__)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
