"""Commands for what waits for a person: conflicts, problems and halts."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dorkyd.api import calls
from dorkyd.cli import targets
from dorkyd.cli.app import Json, Name, app, emit, show
from dorkyd.cli.units import moment, plural, size
from dorkyd.client.brief import BriefClient
from dorkyd.core import model
from dorkyd.core.dotenv import changes, decode, is_env
from dorkyd.errors import Refused

First = Annotated[str, typer.Argument(metavar="NAME", help="The project; may be left out inside its folder.")]
Token = Annotated[str | None, typer.Argument(metavar="TOKEN", help="The token that `dorkyctl status` shows.")]


class Keep(StrEnum):
    """Whose bytes get the name."""

    MINE = "mine"
    THEIRS = "theirs"
    BOTH = "both"


@app.command(epilog="Example: dorkyctl conflicts api")
def conflicts(name: Name = None, json: Json = False) -> None:
    """List conflict copies: both of two edits were kept, and one of them got another name."""
    with BriefClient() as client:
        project = targets.project_name(client, name)
        reply = client.send(calls.conflicts(project))
        if json:
            emit(reply.body)
            return
        for item in reply.value.items:
            show(item.path)
            show(f"  {item.copy_}  ({size(item.size)}, from {item.device}, {moment(item.at)})")
            differs = _keys(client, project, item.path, item.copy_)
            if differs:
                show(f"  in the copy: {differs}")
        if reply.value.items:
            show(f"Settle one with: dorkyctl resolve '{project}:PATH' --keep mine|theirs|both")
        else:
            show(f"No conflicts in {project}.")


def _keys(client: BriefClient, project: str, path: str, copy: str) -> str:
    """Which keys of a `.env` file its copy has otherwise, without a value; empty: it is none, or is not here."""
    folder = next((Path(each.path) for each in client.projects() if each.name == project), None)
    if folder is None or not is_env(model.Path(path)):
        return ""
    try:
        texts = [decode((folder / name).read_bytes()) for name in (path, copy)]
    except (OSError, Refused):
        return ""  # it is settled by now, or no text: the names are told all the same
    return ", ".join(f"{key} {what}" for key, what in changes(*texts))


@app.command(epilog="Example: dorkyctl problems api")
def problems(name: Name = None, json: Json = False) -> None:
    """List paths that cannot sync, why, and what to do."""
    with BriefClient() as client:
        project = targets.project_name(client, name)
        reply = client.send(calls.problems(project))
        if json:
            emit(reply.body)
            return
        for item in reply.value.items:
            again = "" if item.next_try_s is None else f" (tried {item.attempts}x, again in {item.next_try_s:.0f} s)"
            show(f"{item.path}: {item.detail}{again}")
            if item.hint:
                show(f"  {item.hint}", lines=True)
        if not reply.value.items:
            show(f"No problems in {project}.")


@app.command(epilog="Example: dorkyctl resolve data/table.csv --keep theirs")
def resolve(
    path: Annotated[str, typer.Argument(help="The file, or its conflict copy: PATH or NAME:PATH.")],
    keep: Annotated[Keep, typer.Option(help="Whose bytes keep the name; both: leave the copy, as a file of its own.")],
    json: Json = False,
) -> None:
    """Settle a conflict. The bytes not kept go to the trash."""
    with BriefClient() as client:
        meant = targets.target(client, path)
        reply = client.send(calls.resolve(meant.project, meant.path, keep.value))
        if json:
            emit(reply.body)
        else:
            show(f"Settled {meant.path}; {plural(len(reply.value.items), 'conflict')} left in {meant.project}.")


@app.command(epilog="Example: dorkyctl approve api 3f9a")
def approve(first: First, token: Token = None, json: Json = False) -> None:
    """Let a halted project go on, doing exactly what `dorkyctl status` showed."""
    _decide("approve", first, token, json=json)


@app.command(epilog="Example: dorkyctl reject api 3f9a")
def reject(first: First, token: Token = None, json: Json = False) -> None:
    """Let a halted project go on without what it showed: nothing is deleted, what is missing comes back."""
    _decide("reject", first, token, json=json)


def _decide(verb: str, first: str, second: str | None, *, json: bool) -> None:
    """With one word it is the token, and the project is the one we are in."""
    with BriefClient() as client:
        name, token = (None, first) if second is None else (first, second)
        project = targets.project_name(client, name)
        call = calls.approve if verb == "approve" else calls.reject
        reply = client.send(call(project, token))
        if json:
            emit(reply.body)
        else:
            show(f"{project}: {reply.value.state.value}")
