"""`dorkyctl import-dorky`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from dorkyd.api import import_calls
from dorkyd.api.import_messages import ImportedHistory, ImportItem, ImportPlan, ImportRequest
from dorkyd.cli import processes
from dorkyd.cli.app import Exit, Failure, Json, app, complain, emit, say, show
from dorkyd.cli.projects import code_of_sync, folder_argument
from dorkyd.cli.units import plural, size
from dorkyd.cli.waiting import wait_for_sync
from dorkyd.client import DorkyClient
from dorkyd.core.npm_plan import Standing

_NAMED = 20
"""Files of one standing that are listed; `--json` has all."""
_WORDS = {
    Standing.SAME: "the same on both sides: joined as they are, nothing is sent or fetched",
    Standing.UNPROVED: "of one size and not provably the same: fetched once to compare",
    Standing.DIFFERS: "different on both sides: the object keeps the name, the file here becomes a conflict copy",
    Standing.ONLY_HERE: "only here: sent",
    Standing.ONLY_THERE: "only in the bucket: fetched",
    Standing.NOWHERE: "tracked, and on neither side",
}


@app.command("import-dorky", epilog="Example: dorkyctl import-dorky ~/code/api --dry-run")
def import_dorky(
    folder: Annotated[str, typer.Argument(help="The folder that the npm tool was run in.")] = ".",
    bucket: Annotated[
        str | None, typer.Option(help="Default: the npm tool's own bucket, below the folder's name.")
    ] = None,
    *,
    endpoint_url: Annotated[str | None, typer.Option(help="Of an S3-compatible store.")] = None,
    region: Annotated[str | None, typer.Option(help="Default: as the npm tool's credentials.json says.")] = None,
    profile: Annotated[str | None, typer.Option(help="AWS profile that has the credentials.")] = None,
    name: Annotated[str | None, typer.Option(help="The project's name; default: the folder's.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Sync also the files that it was never given.")] = False,
    retire: Annotated[bool, typer.Option("--retire", help="Move the npm tool's files to .dorky/npm/.")] = False,
    history: Annotated[bool, typer.Option("--history", help="Make a commit of each of its pushes.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do what the plan says, unasked.")] = False,
    json: Json = False,
) -> None:
    """Adopt a project of the npm tool dorky: its objects become the project's as they are, and nothing is sent again.

    Shows first what it found on both sides, and asks. Without --retire the npm tool's own files stay as they are. Exits 7
    when nobody agreed.
    """
    wish = ImportRequest(
        path=folder_argument(folder),
        bucket=bucket,
        endpoint_url=endpoint_url,
        region=region,
        profile=profile,
        name=name,
        everything=everything,
        retire=retire,
        history=history,
        dry_run=True,
    )
    with processes.running_daemon() as client:
        shown = client.send(import_calls.import_dorky(wish))
        plan = shown.value
        if dry_run and json:
            emit(shown.body)
            return
        _show(plan, say if json else _tell)
        if dry_run:
            return
        _agree(yes=yes)
        reply = client.send(import_calls.import_dorky(wish.model_copy(update={"dry_run": False, "token": plan.token})))
        if json:
            emit(reply.body)
        for moved in reply.value.moves:
            say(f"Moved .dorky/{moved} to .dorky/npm/.")
        code = _follow(client, reply.value.name, quiet=json)
        if history and code is Exit.OK:
            _tell_history(client.import_history(reply.value.name))
        raise typer.Exit(code)


def _agree(*, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise Failure(
            "Nobody is here to agree to this plan; nothing was changed.",
            hint="Run it again with --yes to do what it says, or with --dry-run only to see it.",
            exit_code=Exit.GUARD,
        )
    if not typer.confirm("Adopt it so?", err=True):
        raise Failure("Nothing was changed.", exit_code=Exit.GUARD)


def _tell_history(done: ImportedHistory) -> None:
    old = f" ({done.commits - done.made} were there)" if done.made < done.commits else ""
    say(f"History: {plural(done.commits, 'commit')}{old} of {done.pushes} of its pushes; the last is {done.head[:12]}.")
    if done.missing:
        say(f"  {plural(done.missing, 'file')} without a copy in the bucket: the commits lack them, and say which.")
    if done.differing:
        say(
            f"  {plural(done.differing, 'file')} unlike what history.json says: the commits have the copies, and say which."
        )


def _follow(client: DorkyClient, project: str, *, quiet: bool) -> Exit:
    """Wait for the first sync."""
    say(f"Syncing {project} … (it goes on in the background if you interrupt this)")
    result = wait_for_sync(client, project, None).value
    if not quiet:
        from dorkyd.cli import table  # noqa: PLC0415  rich costs every other command its start-up

        table.show(client.status(project))
    if not result.converged:
        complain(f"{project}: {result.state.value}. {result.detail}", result.hint)
    return code_of_sync(result)


def _tell(text: str) -> None:
    show(text, lines=True)


def _show(plan: ImportPlan, tell: Callable[[str], None]) -> None:
    tell(f"{plan.path} → {plan.bucket}, as project {plan.name}")
    for standing in Standing:
        items = [item for item in plan.items if item.standing is standing]
        if not items:
            continue
        total = sum(item.size or 0 for item in items)
        tell(f"  {plural(len(items), 'file')} ({size(total)}) {_WORDS[standing]}")
        if standing is not Standing.SAME:
            for item in items[:_NAMED]:
                tell(f"      {_line(item)}")
            if len(items) > _NAMED:
                tell(f"      and {len(items) - _NAMED} more (--json lists all)")
    if plan.ignore:
        tell(f"  ignore: {len(plan.ignore)} patterns in the project's settings: {' '.join(plan.ignore[:_NAMED])}")
    if plan.moves:
        tell(f"  moved from .dorky/ to .dorky/npm/: {', '.join(plan.moves)}")
    for warning in plan.warnings:
        tell(f"  {warning.code}: {warning.detail}")
        if warning.hint:
            tell(f"      {warning.hint}")


def _line(item: ImportItem) -> str:
    detail = f": {item.detail}" if item.detail else ""
    return f"{item.path}{detail}"
