"""What all commands share: the application, its exit codes, and how an error is told.

Standard output carries the answer and nothing else: with `--json` the response body unchanged, one line for each body.
Everything said on the way goes to standard error. An error is one line saying what happened and one saying what to do.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated

import typer

from dorkyd.api.failures import (
    ApiError,
    BadBytes,
    BadConfiguration,
    BadRequest,
    GuardRefused,
    NotAllowed,
    NotFound,
    NotRunning,
    Temporary,
)
from dorkyd.core.printable import printable


class Exit(IntEnum):
    """What the process says with its exit code; other programs rely on it."""

    OK = 0
    ERROR = 1
    USAGE = 2
    PENDING = 3
    """Only with `--exit-code`."""
    ATTENTION = 4
    """A conflict, halt or problem."""
    TEMPORARY = 5
    """Will be tried again."""
    NOT_RUNNING = 6
    GUARD = 7
    """A safety guard refused."""
    CREDENTIALS = 8
    INTEGRITY = 9
    CONFIGURATION = 78


OF_ERRORS: dict[type[ApiError], Exit] = {
    NotRunning: Exit.NOT_RUNNING,
    NotFound: Exit.USAGE,
    BadRequest: Exit.USAGE,
    BadConfiguration: Exit.CONFIGURATION,
    NotAllowed: Exit.CREDENTIALS,
    GuardRefused: Exit.GUARD,
    Temporary: Exit.TEMPORARY,
    BadBytes: Exit.INTEGRITY,
}


class Failure(Exception):
    """The command line itself cannot go on."""

    def __init__(self, message: str, *, hint: str = "", exit_code: int = Exit.USAGE) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code


Json = Annotated[bool, typer.Option("--json", help="Print the API's answer unchanged, and nothing else, on stdout.")]
Name = Annotated[str | None, typer.Argument(metavar="NAME", help="The project; may be left out inside its folder.")]

app = typer.Typer(
    name="dorkyctl",
    help="Keep project folders in two-way sync with a bucket your team owns.\n\nBegin with: dorkyctl up FOLDER",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False) -> None:
    """Keep project folders in two-way sync with a bucket your team owns.

    Begin with: dorkyctl up FOLDER
    """
    if show:
        from dorkyd import __version__  # noqa: PLC0415  a cycle at import time

        print(f"dorkyctl {__version__}")
        raise typer.Exit


def run(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit. `arguments` None: the process's own."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    # A name that the terminal's encoding cannot show must not end a listing.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(args=given, prog_name="dorkyctl")
    except ApiError as exc:
        if "--json" in given and exc.body:
            emit(exc.body)
        complain(str(exc), exc.hint)
        sys.exit(OF_ERRORS.get(type(exc), Exit.ERROR))
    except Failure as exc:
        complain(str(exc), exc.hint)
        sys.exit(exc.exit_code)


def complain(message: str, hint: str = "") -> None:
    """Say on standard error what happened and what to do."""
    say(f"dorkyctl: {message}")
    if hint:
        say(f"  {hint}")


def say(text: str) -> None:
    """Narrate on standard error."""
    print(printable(text), file=sys.stderr, flush=True)


def show(text: str, *, lines: bool = False) -> None:
    """Print a line of an answer for people; a name in it that holds a line break forges no other. `lines`: the text has
    several of its own.
    """
    print(printable(text, keep="\n\t" if lines else ""), flush=True)


def emit(body: bytes) -> None:
    """Print a response body as it came, as one line."""
    sys.stdout.flush()
    sys.stdout.buffer.write(body.rstrip(b"\n") + b"\n")
    sys.stdout.buffer.flush()
