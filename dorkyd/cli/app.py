"""What all commands share: the application, and options that mean the same everywhere. How they end and what they say is
`telling`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dorkyd.cli.telling import Exit, Failure, complain, emit, guarded, say, show

__all__ = ["Exit", "Failure", "Json", "Name", "app", "complain", "emit", "run", "say", "show", "version"]

Json = Annotated[bool, typer.Option("--json", help="Print the API's answer unchanged, and nothing else, on stdout.")]
Name = Annotated[str | None, typer.Argument(metavar="NAME", help="The project; may be left out inside its folder.")]

app = typer.Typer(
    name="dorkyctl",
    help="Keep project folders in two-way sync with a bucket your team owns.\n\nBegin with: dorkyctl up FOLDER",
    epilog="Example: dorkyctl up ~/code/api/private",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def version(
    shown: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Keep project folders in two-way sync with a bucket your team owns.

    Begin with: dorkyctl up FOLDER
    """
    if shown:
        from dorkyd import __version__  # noqa: PLC0415  a cycle at import time

        print(f"dorkyctl {__version__}")
        raise typer.Exit


def run(given: Sequence[str]) -> None:
    """Run one command, which is loaded, and exit."""
    guarded(lambda: app(args=list(given), prog_name="dorkyctl"), json="--json" in given)
