"""Commands for `.env` files: env get, set, list, run. They work on the file, with or without a daemon, in any folder.

A value is shown only where it is asked for, put nowhere but into the file (`set`) or into one child's environment (`run`),
and part of no message. What a person types as `KEY=VALUE` stands in the shell's history all the same: `KEY` alone asks.
"""

from __future__ import annotations

import getpass
import json as jsonlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from dorkyd.cli.app import Exit, Failure, Json, app, emit, say, show
from dorkyd.cli.telling import piped
from dorkyd.core.dotenv import MASK, Document, decode, expand, parse
from dorkyd.errors import Refused
from dorkyd.exchanging import replaced

_NAME = ".env"
_MARKER = ".dorky"
_MOST_BYTES = 1024 * 1024
_TRIES = 5
"""How often an edit begins again because somebody else wrote the file meanwhile."""
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
"""What shells say of a command."""

env = typer.Typer(
    help="Read and edit .env files, and run commands with them.\n\nExample: dorkyctl env list", no_args_is_help=True
)
app.add_typer(env, name="env")

File = Annotated[
    Path | None, typer.Option("--file", "-f", help="The file; by default .env here or further up in the project.")
]
Reveal = Annotated[bool, typer.Option("--reveal", help="Show values.")]


class _Read(NamedTuple):
    """A file as it was read."""

    document: Document
    seen: os.stat_result | None
    """None: there is none."""
    data: bytes = b""


@env.command(epilog="Example: dorkyctl env get DATABASE_URL")
def get(
    key: Annotated[str, typer.Argument(metavar="KEY")], file: File = None, reveal: Reveal = False, json: Json = False
) -> None:
    """Print one value, expanded. In JSON only with --reveal."""
    path = _found(file)
    value = _values(_read(path).document).get(key)
    if value is None:
        raise Failure(f"{path} has no value for {key}.", hint="dorkyctl env list", exit_code=Exit.ERROR)
    if json:
        emit(jsonlib.dumps({"file": str(path), "key": key, "value": value if reveal else None}).encode())
    else:
        # As it is: it may be meant for a program.
        sys.stdout.write(value + "\n")


@env.command("list", epilog="Example: dorkyctl env list --reveal")
def list_(file: File = None, reveal: Reveal = False, json: Json = False) -> None:
    """Print all keys; values are masked unless --reveal is given."""
    path = _found(file)
    document = _read(path).document
    values = _values(document)
    _warn(path, document)
    if json:
        items = [{"key": key, "value": value if reveal else None} for key, value in values.items()]
        emit(jsonlib.dumps({"file": str(path), "items": items, "next": None}).encode())
        return
    for key, value in values.items():
        show(key if value is None else f"{key}={value if reveal else MASK}")


@env.command("set", epilog="Example: dorkyctl env set DEBUG=1 API_KEY")
def set_(
    words: Annotated[list[str], typer.Argument(metavar="KEY=VALUE|KEY...", help="KEY alone: asks, or reads a pipe.")],
    file: File = None,
    json: Json = False,
) -> None:
    """Set values in place: comments, order, quotes and line ends stay. A new file is for its owner alone.

    What stands in the command line is in the shell's history and, while it runs, in the list of processes. KEY alone asks
    for the value, or reads it from a pipe.
    """
    pairs = [(key, value if equals else None) for key, equals, value in (word.partition("=") for word in words)]
    asked = [key for key, value in pairs if value is None]
    if len(asked) > 1 and not sys.stdin.isatty():
        raise Failure("A pipe holds one value.", hint="Name one KEY without a value.")
    values = [(key, _asked(key) if value is None else value) for key, value in pairs]
    path = _found(file, make=True)
    for _ in range(_TRIES):
        before = _read(path)
        document = before.document
        try:
            for key, value in values:
                document = document.with_value(key, value)
        except Refused as exc:
            raise Failure(f"{path}: {exc}", hint=exc.hint) from exc
        if _replaced(path, document.text.encode(), before):
            keys = [key for key, _ in values]
            if json:
                emit(jsonlib.dumps({"file": str(path), "keys": keys}).encode())
            else:
                say(f"Set {', '.join(keys)} in {path}.")
            return
    raise Failure(f"{path} is being written by somebody else.", hint="Try again.", exit_code=Exit.TEMPORARY)


@env.command(
    epilog="Example: dorkyctl env run -- npm start",
    context_settings={"allow_interspersed_args": False},
)
def run(command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...")], file: File = None) -> None:
    """Run COMMAND in this process's place, with the file's variables in its environment and nowhere else.

    Its exit code and signals are the command's own. A variable that the environment has already gets the file's value.
    """
    path = _found(file)
    document = _read(path).document
    _warn(path, document)
    given = {key: value for key, value in _values(document).items() if value is not None}
    bad = next((key for key in given if "=" in key or "\0" in key + given[key]), None)
    if bad is not None:
        raise Failure(f"{path}: {bad!r} cannot be a variable of an environment.")
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvpe(command[0], command, {**os.environ, **given})  # noqa: S606 - what the person asked for
    except FileNotFoundError as exc:
        raise Failure(f"{command[0]}: there is no such command.", exit_code=_NOT_FOUND) from exc
    except OSError as exc:
        raise Failure(f"{command[0]}: {exc.strerror}", exit_code=_NOT_EXECUTABLE) from exc


# --- the file --------------------------------------------------------------------------------------------------------


def _found(given: Path | None, *, make: bool = False) -> Path:
    """The file that is meant. `make`: it may be new, then in the project's folder."""
    if given is not None:
        return given
    for folder in _upwards():
        if (folder / _NAME).is_file():
            return folder / _NAME
        if make and (folder / _MARKER).is_dir():
            return folder / _NAME
    raise Failure(f"There is no {_NAME} here, nor further up in a project's folder.", hint="Name one: --file PATH")


def _upwards() -> Iterator[Path]:
    """The working directory and those above it, as far as the project's folder; outside a project only itself."""
    try:
        here = Path.cwd()
    except FileNotFoundError as exc:
        raise Failure("The working directory is gone.", exit_code=Exit.ERROR) from exc
    folders = [here, *here.parents]
    root = next((at for at, folder in enumerate(folders) if (folder / _MARKER / "folder.json").is_file()), 0)
    yield from folders[: root + 1]


def _read(path: Path) -> _Read:
    try:
        with path.open("rb") as opened:
            seen = os.fstat(opened.fileno())
            data = opened.read(_MOST_BYTES + 1) if stat.S_ISREG(seen.st_mode) else None
    except FileNotFoundError:
        return _Read(parse(""), None)
    except OSError as exc:
        raise Failure(f"{path} cannot be read: {exc.strerror}", exit_code=Exit.ERROR) from exc
    if data is None or len(data) > _MOST_BYTES:
        raise Failure(f"{path} is no file of at most 1 MiB.")
    try:
        return _Read(parse(decode(data)), seen, data)
    except Refused as exc:
        raise Failure(f"{path}: {exc}", hint=exc.hint) from exc


def _values(document: Document) -> dict[str, str | None]:
    return expand(document.bindings, os.environ)


def _warn(path: Path, document: Document) -> None:
    if document.bad_lines:
        say(f"{path}: line {', '.join(map(str, document.bad_lines))} is not understood and passed over.")


def _asked(key: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(f"{key}: ")
    return piped().read().removesuffix("\n").removesuffix("\r")


def _replaced(path: Path, data: bytes, before: _Read) -> bool:
    """Put these bytes in the file's place, whole or not at all, with the permission bits it had. False: somebody wrote it
    since. A symlink keeps its place.
    """
    mode = 0o600 if before.seen is None else stat.S_IMODE(before.seen.st_mode)
    target = Path(os.path.realpath(path))
    try:
        return replaced(target, data, before.data if before.seen is not None else None, mode)
    except BlockingIOError as exc:
        raise Failure(f"{path} is being written by somebody else: {exc}", exit_code=Exit.ERROR) from exc
    except OSError as exc:
        raise Failure(f"{path} cannot be written: {exc.strerror}", exit_code=Exit.ERROR) from exc
