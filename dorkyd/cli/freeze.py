"""`dorkyctl freeze`: a project held while a command writes a data set into it."""

from __future__ import annotations

import subprocess
from typing import Annotated

import typer

from dorkyd.api import freeze_calls
from dorkyd.api.freeze_messages import LIMIT_S
from dorkyd.cli import targets
from dorkyd.cli.app import Exit, Failure, Json, app, emit, say
from dorkyd.cli.projects import duration
from dorkyd.cli.units import plural
from dorkyd.client import DorkyClient

NOT_FOUND, NOT_RUNNABLE, BY_SIGNAL = 127, 126, 128
"""What shells answer."""


@app.command(
    epilog="Example: dorkyctl freeze --project data -- python make_tables.py",
    context_settings={"allow_interspersed_args": False},
)
def freeze(
    command: Annotated[list[str] | None, typer.Argument(metavar="-- COMMAND...", help="What writes.")] = None,
    *,
    project: Annotated[str | None, typer.Option("--project", "-p", help="Default: that of this folder.")] = None,
    longest: Annotated[str, typer.Option("--for", help="Released after this at the latest.")] = f"{LIMIT_S:.0f}s",
    release: Annotated[bool, typer.Option("--release", help="End the freeze that there is.")] = False,
    json: Json = False,
) -> None:
    """Run a command while nothing leaves the project; then all that it wrote leaves together.

    Teammates have all of its files, or none. What they change meanwhile arrives here. Ends with the command's exit code.
    """
    with DorkyClient() as client:
        name = targets.project_name(client, project)
        if release:
            if command:
                raise Failure("--release goes without a command.", exit_code=Exit.USAGE)
            _released(client, name, json=json)
            return
        if not command:
            raise Failure(
                "What shall run while it is frozen?",
                hint="dorkyctl freeze -- python make_tables.py",
                exit_code=Exit.USAGE,
            )
        with client.freeze(name, holder=f"`{command[0]}`", limit_s=duration(longest) or LIMIT_S) as held:
            say(f"{name} is frozen while `{command[0]}` runs.")
            code = _run(command)
        thawed = held.thawed
    if thawed is not None and json:
        emit(thawed.model_dump_json().encode())
    elif thawed is not None:
        say(f"{name}: {plural(thawed.changes, 'change')} went.")
    raise typer.Exit(code)


def _run(command: list[str]) -> int:
    try:
        code = subprocess.run(command, check=False).returncode  # noqa: S603 - what the person typed
    except FileNotFoundError:
        say(f"{command[0]}: there is no such program.")
        return NOT_FOUND
    except OSError as exc:
        say(f"{command[0]}: it cannot be run ({exc.strerror}).")
        return NOT_RUNNABLE
    return code if code >= 0 else BY_SIGNAL - code


def _released(client: DorkyClient, name: str, *, json: bool) -> None:
    reply = client.send(freeze_calls.release(name))
    if json:
        emit(reply.body)
    else:
        say(f"{name}: released; {plural(reply.value.changes, 'change')} went.")
