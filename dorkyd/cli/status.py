"""`dorkyctl status`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from dorkyd.api import calls
from dorkyd.api.messages import ProjectStatus, StatusDocument
from dorkyd.cli.app import Exit, Failure, Json, Name, app, emit, show
from dorkyd.client import DorkyClient
from dorkyd.core.report import State

REFRESH_PER_S = 1
"""How often a watched table is drawn anew, so that `ago` stays true."""


@app.command(epilog="Example: dorkyctl status --watch")
def status(
    name: Name = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on showing it; with --json a line each change.")
    ] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 3 while anything is pending.")] = False,
    json: Json = False,
) -> None:
    """Show every project at one glance, or NAME, and what needs you.

    Exits 4 when a conflict, halt, error or problem waits for you, 8 when credentials do,
    5 when the bucket cannot be reached for now, else 0.
    """
    with DorkyClient() as client:
        if watch:
            _watch(client, name, json=json)
        reply = client.send(calls.status(name))
        if json:
            emit(reply.body)
        else:
            from dorkyd.cli import table  # noqa: PLC0415  rich costs every other command its start-up

            table.show(reply.value)
            if name is not None and reply.value.projects[0].manual is not None:
                from dorkyd.cli import manual  # noqa: PLC0415  it needs this one's neighbours

                for line in manual.tell(client, name):
                    show(line)
        raise typer.Exit(code_of(reply.value.projects, pending_counts=exit_code))


def code_of(projects: Sequence[ProjectStatus], *, pending_counts: bool = False) -> Exit:
    """The exit code for their health: the first that applies to any of them."""
    if any(
        each.conflicts or each.problems or each.halt or each.state in (State.HALTED, State.ERROR) for each in projects
    ):
        return Exit.ATTENTION
    if any(each.state is State.AUTH_EXPIRED for each in projects):
        return Exit.CREDENTIALS
    if any(each.state is State.OFFLINE for each in projects):
        return Exit.TEMPORARY
    if pending_counts and any(each.state is State.SYNCING or _work(each) for each in projects):
        return Exit.PENDING
    return Exit.OK


def _work(project: ProjectStatus) -> int:
    work, manual = project.pending, project.manual
    if manual is not None and (manual.staged or manual.changed or manual.behind):
        return 1
    return work.upload + work.download + work.delete_local + work.delete_remote


def _watch(client: DorkyClient, name: str | None, *, json: bool) -> None:
    """Show it until the daemon ends or the person does."""
    if json or not sys.stdout.isatty():
        _watch_lines(client, name, json=json)
    else:
        _watch_table(client, name)
    raise Failure("The daemon has stopped.", hint="Run `dorkyctl up`.", exit_code=Exit.NOT_RUNNING)


def _watch_lines(client: DorkyClient, name: str | None, *, json: bool) -> None:
    shown: StatusDocument | None = None
    # Several events may tell of one change, and each document is newer than its event: print only what is new.
    for _ in _changes(client):
        reply = client.send(calls.status(name))
        document = reply.value
        if shown is not None and (shown.projects, shown.warnings) == (document.projects, document.warnings):
            continue
        shown = document
        if json:
            emit(reply.body)
        else:
            from dorkyd.cli import table  # noqa: PLC0415

            table.show(document)


def _watch_table(client: DorkyClient, name: str | None) -> None:
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from dorkyd.cli import table  # noqa: PLC0415

    document = client.status(name)
    console = table.terminal()

    def draw() -> Text:
        return table.render(document, console.width)

    with Live(console=console, get_renderable=draw, refresh_per_second=REFRESH_PER_S) as live:
        for _ in _changes(client):
            document = client.status(name)
            live.refresh()


def _changes(client: DorkyClient) -> Iterator[object]:
    """Once now, then once for each event."""
    yield None
    yield from client.lines(calls.events())
