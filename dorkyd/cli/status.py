"""`dorkyctl status`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from dorkyd.cli.app import Exit, Failure, Json, Name, app, emit
from dorkyd.cli.glance import Wanted, glance

if TYPE_CHECKING:
    from dorkyd.api.messages import StatusDocument
    from dorkyd.client import DorkyClient, Reply

REFRESH_PER_S = 1
"""How often a watched table is drawn anew, so that `ago` stays true."""


@app.command(epilog="Example: dorkyctl status --watch")
def status(
    name: Name = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on showing it; in a pipe, a JSON line for each change.")
    ] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 3 while anything is pending.")] = False,
    json: Json = False,
) -> None:
    """Show every project at one glance, or NAME, and what needs you.

    Exits 4 when a conflict, halt, error or problem waits for you, 8 when credentials do,
    5 when the bucket cannot be reached for now, else 0.
    """
    if watch:
        _watch(name, json=json)
    raise typer.Exit(glance(Wanted(name, json, exit_code)))


def _watch(name: str | None, *, json: bool) -> None:
    """Show it until the daemon ends or the person does."""
    from dorkyd.client import DorkyClient  # noqa: PLC0415  only a watch needs a whole client

    with DorkyClient() as client:
        if json or not sys.stdout.isatty():
            _watch_lines(client, name)
        else:
            _watch_table(client, name)
    raise Failure("The daemon has stopped.", hint="Run `dorkyctl up`.", exit_code=Exit.NOT_RUNNING)


def _watch_lines(client: DorkyClient, name: str | None) -> None:
    """A document a line, also without --json: what reads a pipe is a program."""
    shown: StatusDocument | None = None
    # Several events may tell of one change, and each document is newer than its event: print only what is new.
    for reply in _replies(client, name):
        document = reply.value
        if shown is not None and (shown.projects, shown.warnings) == (document.projects, document.warnings):
            continue
        shown = document
        emit(reply.body)


def _watch_table(client: DorkyClient, name: str | None) -> None:
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from dorkyd.cli import table  # noqa: PLC0415

    replies = _replies(client, name)
    document = next(replies).value
    console = table.terminal()

    def draw() -> Text:
        return table.screenful(document, console.width, console.height)

    with Live(console=console, get_renderable=draw, refresh_per_second=REFRESH_PER_S) as live:
        for reply in replies:
            document = reply.value
            live.refresh()


def _replies(client: DorkyClient, name: str | None) -> Iterator[Reply[StatusDocument]]:
    """Once now, then once for each event, until the daemon ends: perhaps between an event and our question."""
    from dorkyd.api import calls  # noqa: PLC0415  only a watch needs it
    from dorkyd.api.failures import NotRunning  # noqa: PLC0415

    yield client.send(calls.status(name))
    try:
        for _ in client.lines(calls.events()):
            yield client.send(calls.status(name))
    except NotRunning:
        return
