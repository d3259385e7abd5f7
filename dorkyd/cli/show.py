"""The command about tables: show."""

from __future__ import annotations

import shutil
from typing import Annotated

import typer

from dorkyd.api import table_calls
from dorkyd.cli import targets
from dorkyd.cli.app import Json, app, emit
from dorkyd.cli.app import show as tell
from dorkyd.client import DorkyClient


@app.command(epilog="Example: dorkyctl show data/trips.parquet --stats --head 20")
def show(
    path: Annotated[str, typer.Argument(metavar="PATH[@VERSION]", help="A table, or one state of it; or NAME:PATH.")],
    stats: Annotated[bool, typer.Option("--stats", help="Least, greatest and stored size of each column too.")] = False,
    head: Annotated[int, typer.Option("--head", min=0, max=1000, help="So many of its first rows.")] = 0,
    columns: Annotated[str | None, typer.Option(metavar="NAME,NAME", help="The first rows of these columns.")] = None,
    every: Annotated[bool, typer.Option("--all", help="List every column of a wide table.")] = False,
    json: Json = False,
) -> None:
    """Tell what a table is: schema, rows, and with --stats and --head what is in it, whether it is here or only in the bucket.

    Parquet, Arrow and Feather, CSV and TSV, JSON lines. Of a table in the bucket, only the bytes that tell it are moved. Of CSV and
    JSON lines types are judged by the first rows, and that is said.
    """
    wanted = [name.strip() for name in columns.split(",") if name.strip()] if columns is not None else None
    if wanted is not None and not head:
        head = 20
    with DorkyClient() as client:
        meant = targets.target(client, path)
        reply = client.send(table_calls.table(meant.project, meant.path, head=head, columns=wanted))
    if json:
        emit(reply.body)
        return
    from dorkyd.cli import tabular  # noqa: PLC0415  nothing is drawn for programs

    width = shutil.get_terminal_size((80, 24)).columns
    if wanted is None:
        for line in tabular.described(reply.value, width, stats=stats, every=every):
            tell(line)
    if reply.value.head is not None:
        if wanted is None:
            tell("")
        for line in tabular.first_rows(reply.value.head, width):
            tell(line)
