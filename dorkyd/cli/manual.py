"""Commands of mode manual: stage, unstage, push, pull."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from dorkyd.api import manual_calls as calls
from dorkyd.api.failures import Conflict
from dorkyd.api.manual_messages import ChangeItem
from dorkyd.cli import targets
from dorkyd.cli.app import Exit, Failure, Json, Name, app, complain, emit, say, show
from dorkyd.cli.projects import code_of_sync, duration
from dorkyd.cli.units import plural
from dorkyd.client import DorkyClient
from dorkyd.core.states import NO_FILES

Paths = Annotated[
    list[str], typer.Argument(metavar="PATH...", help="Files or folders; . is this folder and all in it.")
]
_PERSON = {"remote-moved", "outdated"}
"""Refusals after which a person must do something first."""


@app.command(epilog="Example: dorkyctl stage .env data/")
def stage(paths: Paths, json: Json = False) -> None:
    """Keep files as they are now for the next push, and paths that are gone as deletions.

    A later edit stays out of the push. A folder stands for all that differs in it; what is ignored is left out. Exits 4 when a
    file could not be staged.
    """
    left = False
    with DorkyClient() as client:
        for project, those in _by_project(client, paths):
            reply = client.send(calls.stage(project, those))
            left |= any(skipped.code not in NO_FILES for skipped in reply.value.skipped)
            if json:
                emit(reply.body)
                continue
            for item in reply.value.items:
                show(f"staged  {item.staged:<8}  {item.path}")
            for skipped in reply.value.skipped:
                complain(f"{skipped.path} was not staged: {skipped.detail}")
            if not reply.value.items and not reply.value.skipped:
                say("Nothing to stage: it is what was last pushed or pulled.")
    if left:
        raise typer.Exit(Exit.ATTENTION)


@app.command(epilog="Example: dorkyctl unstage data/")
def unstage(paths: Paths, json: Json = False) -> None:
    """Take paths out of the next push. The files stay as they are."""
    with DorkyClient() as client:
        for project, those in _by_project(client, paths):
            reply = client.send(calls.unstage(project, those))
            if json:
                emit(reply.body)
                continue
            for item in reply.value.items:
                show(f"unstaged  {item.path}")


@app.command(epilog='Example: dorkyctl push -m "New model, and what it was trained on"')
def push(
    name: Name = None,
    message: Annotated[str | None, typer.Option("-m", "--message", help="What changed, and why.")] = None,
    json: Json = False,
) -> None:
    """Send what is staged as one commit, which other devices see together.

    Exits 4 when the bucket has moved on since the last pull: pull first. Then nothing was sent, and
    what is staged is staged still. Also when a path was changed in the bucket while it was sent.
    """
    with DorkyClient() as client:
        project = targets.project_name(client, name)
        try:
            reply = client.send(calls.push(project, message))
        except Conflict as exc:
            if exc.code not in _PERSON:
                raise
            if json:
                emit(exc.body)
            raise Failure(str(exc), hint=exc.hint, exit_code=Exit.ATTENTION) from exc
    pushed = reply.value
    if json:
        emit(reply.body)
    else:
        show(f"Pushed {plural(pushed.paths, 'path')} as commit {pushed.seq} ({pushed.id[:12]}).")
        for path in pushed.lost:
            complain(f"{path} was changed in the bucket meanwhile, and is as that change left it", "dorkyctl pull")
        if not pushed.told:
            say("The commit is made; the rest goes on by itself.")
    if pushed.lost:
        raise typer.Exit(Exit.ATTENTION)


@app.command(epilog="Example: dorkyctl pull api")
def pull(
    name: Name = None,
    timeout: Annotated[str | None, typer.Option(help="Wait no longer than this: 30s, 10m.")] = None,
    json: Json = False,
) -> None:
    """Bring what the bucket holds. What you changed stays; where both changed, yours becomes a copy beside it."""
    timeout_s = duration(timeout)
    with DorkyClient() as client:
        project = targets.project_name(client, name)
        reply = client.send(calls.pull(project, timeout_s))
        result = reply.value
        if json:
            emit(reply.body)
        elif result.converged:
            show(f"{project}: pulled. {result.detail}")
        if not result.converged:
            complain(f"{project}: {result.state.value}. {result.detail}", result.hint)
            raise typer.Exit(code_of_sync(result))


def write_down(client: DorkyClient, project: str, message: str, *, json: bool) -> None:
    """`commit` in mode manual: the message of the next push."""
    reply = client.send(calls.reword(project, message))
    if json:
        emit(reply.body)
    else:
        show(f"{plural(reply.value.staged, 'path')} staged as: {message.partition(chr(10))[0]}")
        say("`dorkyctl push` sends it.")


def tell(client: DorkyClient, project: str) -> Iterator[str]:
    """What `status` says of one project in mode manual, line by line."""
    items: list[ChangeItem] = []
    after: str | None = ""
    while after is not None:
        page = client.changes(project, after=after, limit=10_000)
        items += page.items
        after = page.next
    staged = [
        f"{item.staged:<8}  {item.path}{'  (outdated: stage it again, or unstage it)' if item.outdated else ''}"
        for item in items
        if item.staged
    ]
    yield from _section("Staged for the next push:", staged)
    yield from _section(
        "Changed here, not staged (dorkyctl stage PATH...):",
        [f"{item.changed:<8}  {item.path}" for item in items if item.changed],
    )
    yield from _section(
        "Behind the bucket (dorkyctl pull):", [f"{item.behind:<8}  {item.path}" for item in items if item.behind]
    )


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield title
        yield from (f"  {line}" for line in lines)


def _by_project(client: DorkyClient, texts: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """The paths as each project knows them."""
    projects = client.projects()
    found: dict[str, list[str]] = {}
    for text in texts:
        meant = targets.locate(projects, text)
        found.setdefault(meant.project, []).append(meant.path or ".")
    yield from found.items()
