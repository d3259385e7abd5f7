"""Commands about the past: log, history, restore, undo, trash, diff."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from dorkyd.api import calls, history_calls
from dorkyd.api.history_messages import AuditItem, Difference, HistoryItem, OutcomeItem
from dorkyd.cli import targets
from dorkyd.cli.app import Exit, Failure, Json, Name, app, emit, say, show
from dorkyd.cli.told import done
from dorkyd.cli.units import size
from dorkyd.client.brief import BriefClient
from dorkyd.client.places import Target
from dorkyd.core.moments import duration_s

Path = Annotated[str, typer.Argument(help="PATH as you would give it to any program, or NAME:PATH.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
PAGE = 10_000
DIGEST = 12
"""Digits of a digest that people are shown."""


@app.command(epilog="Example: dorkyctl log api --everyone --since 7d --path data/")
def log(
    name: Name = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is done from now on.")] = False,
    everyone: Annotated[
        bool, typer.Option("--everyone", help="What anyone did to the bucket, from its own log.")
    ] = False,
    path: Annotated[str | None, typer.Option(help="Only this path, or with a closing / this folder.")] = None,
    by: Annotated[str | None, typer.Option(help="Only by this device or person.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this: upload, download, delete, move, restore, ...")] = None,
    since: Annotated[str | None, typer.Option(help="Not before: 2h, 3d, 2026-11-20T10:00.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this time.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=100_000, help="How many of the last.")] = 100,
    json: Json = False,
) -> None:
    """Show what this device did and saw, oldest first; with --everyone every change by anyone, from the bucket's own log.

    With --follow --json each thing done is a line. With --everyone --json everything is exported, a page a line.
    """
    wanted = {"path": path, "by": by, "action": action, "since": since, "until": until}
    if follow and (everyone or any(wanted.values())):
        raise Failure("--follow shows everything this device does.", hint="Leave out the filters, or --follow.")
    with BriefClient() as client:
        project = targets.project_name(client, name)
        if everyone:
            _log_everyone(client, project, wanted, lines, json=json)
            return
        if not follow:
            reply = client.send(calls.log(project, limit=lines, wanted=wanted))
            if json:
                emit(reply.body)
            else:
                for item in reply.value.items:
                    show(done(item))
            return
        for line in client.lines(calls.follow_log(project, limit=lines)):
            if json:
                emit(line.body)
            else:
                show(done(line.value))
        raise Failure("The daemon has stopped.", hint="Run `dorkyctl up`.", exit_code=Exit.NOT_RUNNING)


def _log_everyone(client: BriefClient, project: str, wanted: dict[str, str | None], lines: int, *, json: bool) -> None:
    after: str | None = ""
    last: list[AuditItem] = []
    retention = ""
    while after is not None:
        reply = client.send(history_calls.audit(project, after=after, limit=PAGE, wanted=wanted))
        if json:
            emit(reply.body)
        page = reply.value
        last, retention, after = [*last, *page.items][-lines:], page.retention, page.next
    if not json:
        for item in last:
            show(_changed(item))
        say(f"({retention})")


def _changed(item: AuditItem) -> str:
    who = f"{item.author} ({item.device})" if item.author else item.device
    versions = f"{_short(item.replaces)} -> {_short(item.version)}"
    approved = "  approved" if item.approved else ""
    return f"{item.at}  {who}  {item.verb:<6}  {item.path}  {versions}{approved}"


def _short(version: str | None) -> str:
    return "-" if version is None else version[:DIGEST]


@app.command(epilog="Example: dorkyctl history data/table.csv")
def history(path: Path, json: Json = False) -> None:
    """List the states of a file that are known, newest first, and where their bytes still are."""
    with BriefClient() as client:
        meant = targets.target(client, path)
        reply = client.send(history_calls.history(meant.project, meant.path))
        if json:
            emit(reply.body)
            return
        for item in reply.value.items:
            show(_state(item))
        if reply.value.missing:
            say(f"The bucket could not be asked, so there may be more: {reply.value.missing}")
        if not reply.value.items:
            show(f"Nothing is known of {meant.path}.")
        say(f"({reply.value.retention})")


def _state(item: HistoryItem) -> str:
    digest = "digest unknown" if item.digest is None else item.digest.rpartition(":")[2][:DIGEST]
    amount = "?" if item.size is None else size(item.size)
    when = item.at or (f"until {item.until}" if item.until else "time unknown")
    kept = "now" if item.current else (", ".join(item.kept) or "gone")
    return f"{when}  {item.device or '-'}  {amount:>10}  {digest}  {item.version or '-'}  {kept}"


@app.command(epilog="Example: dorkyctl restore data/table.csv --at 2h")
def restore(
    path: Path,
    at: Annotated[
        str | None, typer.Option(help="A version or digest of `history`, a name of `trash`, or a time.")
    ] = None,
    to: Annotated[str | None, typer.Option(help="Another place in the project, which must be free.")] = None,
    json: Json = False,
) -> None:
    """Bring a file, or with a closing / a folder, back as a new version. What stands there goes to the trash.

    Without --at it is the newest state that is not what stands there; of a folder, what is missing. PATH@VERSION works too.
    """
    with BriefClient() as client:
        meant = _place(client, path)
        place = _place(client, to).path if to is not None else None
        reply = client.send(history_calls.restore(meant.project, meant.path, at, place))
        if json:
            emit(reply.body)
        _tell(reply.value.items, "Restored", json=json)


@app.command(epilog="Example: dorkyctl undo api")
def undo(
    name: Name = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be undone.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Take back the last action that sync took on this device, on both sides, as new versions.

    What was decided together, such as an approved mass deletion, is one action. Paths that changed since are left alone.
    """
    with BriefClient() as client:
        project = targets.project_name(client, name)
        if sys.stdin.isatty() and not yes and not dry_run:
            plan = client.send(history_calls.undo(project, dry_run=True)).value
            verbs = ", ".join(f"{verb} of {count}" for verb, count in sorted(plan.verbs.items()))
            say(f"The last action, at {plan.at} by {plan.device}: {verbs}.")
            if len(plan.items) > 1 and not typer.confirm(
                f"Undo it for {sum(i.done for i in plan.items)} paths?", err=True
            ):
                raise Failure("Nothing was undone.")
        reply = client.send(history_calls.undo(project, dry_run=dry_run))
        if json:
            emit(reply.body)
        _tell(reply.value.items, "Would undo" if dry_run else "Undone", json=json)


def _tell(items: Sequence[OutcomeItem], verb: str, *, json: bool) -> None:
    """What came of each, and the exit code: 4 where some were left alone."""
    done_items, left = [item for item in items if item.done], [item for item in items if not item.done]
    if not json:
        for item in done_items[:20]:
            show(f"{verb}: {item.path}")
        if len(done_items) > 20:
            show(f"... and {len(done_items) - 20} more: {len(done_items)} in all.")
    for item in left:
        say(f"Left as it is: {item.path}: {item.detail}")
    if left:
        raise typer.Exit(Exit.ATTENTION)


@app.command(epilog="Example: dorkyctl trash api --empty --older-than 7d")
def trash(
    words: Annotated[list[str] | None, typer.Argument(metavar="NAME PATH", help="The project, and what of it.")] = None,
    bucket: Annotated[bool, typer.Option("--bucket", help="The bucket's trash, which the team shares.")] = False,
    empty: Annotated[bool, typer.Option("--empty", help="Remove it for good.")] = False,
    older_than: Annotated[str | None, typer.Option(help="Only what was put away longer ago, e.g. 7d.")] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """List displaced and deleted files that can be restored, newest first, or remove them for good."""
    if words and len(words) > 2:
        raise typer.BadParameter("at most NAME and PATH")
    older_s = duration_s(older_than) if older_than is not None else None
    if older_than is not None and (older_s is None or not empty):
        raise typer.BadParameter("--older-than goes with --empty, and is written 90s, 2h or 7d")
    where = "bucket" if bucket else "folder"
    with BriefClient() as client:
        meant = targets.prefix(client, words or [])
        path = meant.path or None
        if not empty:
            _list_trash(client, meant.project, where, path, json=json)
            return
        if not yes:
            _ask_to_empty(meant, where)
        call = history_calls.empty_trash(meant.project, where=where, path=path, older_than_s=older_s)
        reply = client.send(call)
        if json:
            emit(reply.body)
        else:
            stayed = (
                f"; {reply.value.kept} stayed, as they were written to or are still needed" if reply.value.kept else ""
            )
            show(f"Removed {reply.value.removed} files ({size(reply.value.bytes)}) for good{stayed}.")


def _list_trash(client: BriefClient, project: str, where: str, path: str | None, *, json: bool) -> None:
    reply = client.send(history_calls.trash(project, where=where, path=path))
    if json:
        emit(reply.body)
        return
    for item in reply.value.items:
        show(f"{item.at}  {size(item.size):>10}  {item.path}")
        show(f"  {item.name}")
    if reply.value.items:
        show(f"Bring one back with: dorkyctl restore '{project}:PATH' (an older one: --at with the name below it)")
    else:
        show(f"The trash of {project} is empty.")


def _ask_to_empty(meant: Target, where: str) -> None:
    what = f"{meant.path} in the trash" if meant.path else "the trash"
    whose = "the bucket, for everybody" if where == "bucket" else "this folder"
    if not sys.stdin.isatty():
        raise Failure(f"Emptying {what} of {whose} cannot be undone.", hint="Say --yes.")
    if not typer.confirm(f"Remove {what} of {whose} for good?", err=True):
        raise Failure("Nothing was removed.")


@app.command(epilog="Example: dorkyctl diff data/table.csv@2h")
def diff(
    path: Annotated[
        str | None,
        typer.Argument(
            metavar="[PATH[@V1]|ID]", help="A file, one state of it, or a commit; default: the last commit."
        ),
    ] = None,
    other: Annotated[
        str | None, typer.Argument(metavar="@V2|ID", help="Another state or commit; default: what there is now.")
    ] = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show values of .env files and of what is encrypted.")
    ] = False,
    key: Annotated[
        str | None, typer.Option(metavar="COLUMN,COLUMN", help="Of tables: compare rows that have the same in these.")
    ] = None,
    json: Json = False,
) -> None:
    """Show how two states of a file differ: tables by schema, rows and statistics (with --key row by row), text line by line, all else by size and digest.

    Values of .env files and of what is encrypted are masked unless --reveal is given. Of two commits, or one and what the bucket holds now, it lists the paths that differ. Without V1 it is the newest state that is not what stands here.
    """
    from dorkyd.cli import commits  # noqa: PLC0415  messages and a client that the other commands do without

    if path is None:
        commits.diff_last(json=json)
        return
    if commits.are_ids(path, other):
        commits.diff(path, other, json=json)
        return
    if other is not None and (named := path.rpartition("@")[0]) and other.startswith(f"{named}@"):
        other = other.removeprefix(named)  # the path written twice
    if other is not None and not other.startswith("@"):
        raise Failure(f"{other} is no version.", hint="Write diff PATH@V1 @V2, or diff ID ID for two commits.")
    with BriefClient() as client:
        meant = _place(client, path)
        after = other.removeprefix("@") if other is not None else None
        columns = [name.strip() for name in key.split(",") if name.strip()] if key is not None else []
        reply = client.send(history_calls.diff(meant.project, meant.path, None, after, reveal=reveal, key=columns))
        if json:
            emit(reply.body)
            return
        found = reply.value
        if found.kind == "same":
            show("No difference.")
        elif found.table is not None:
            _tell_tables(found)
        elif found.text:
            show(found.text.removesuffix("\n"), lines=True)
            if found.kind == "masked":
                say("Values are masked: --reveal shows them.")
        else:
            for mark, side in (("-", found.before), ("+", found.after)):
                amount = "" if side.size is None else f", {size(side.size)}"
                show(f"{mark} {side.label}{amount}, {side.digest or 'no digest'}")


def _tell_tables(found: Difference) -> None:
    from dorkyd.cli import tabular  # noqa: PLC0415  only tables are drawn

    assert found.table is not None
    show(f"{found.path}: {found.before.label} -> {found.after.label}")
    for line in tabular.differences(found.table, shutil.get_terminal_size((80, 24)).columns):
        show(line)
    if found.text and found.table.by_key is None:
        show("")
        show(found.text.removesuffix("\n"), lines=True)


def _place(client: BriefClient, text: str) -> Target:
    """A path whose closing slash counts."""
    meant = targets.target(client, text)
    return Target(meant.project, f"{meant.path}/") if text.endswith("/") and not meant.path.endswith("/") else meant
