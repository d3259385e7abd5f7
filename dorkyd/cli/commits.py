"""Commands about commits: commit, commits, checkout, lock, gc, and `diff` of commits."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from dorkyd.api import commit_calls
from dorkyd.api.commit_messages import CommitItem
from dorkyd.cli import targets
from dorkyd.cli.app import Exit, Failure, Json, Name, app, emit, say, show
from dorkyd.cli.manual import write_down
from dorkyd.cli.units import size
from dorkyd.client import DorkyClient
from dorkyd.core.lockfile import LOCK_FILE, decode_lock
from dorkyd.errors import Refused

SHOWN = 12
"""Digits of an id that people are shown."""
PAGE = 1000
_ID = re.compile(r"(?:[^/@]+:)?[0-9a-f]{4,64}")

LockFile = Annotated[
    Path | None, typer.Option("--file", help=f"The lock file; default: {LOCK_FILE} in the project's folder.")
]


@app.command(epilog='Example: dorkyctl commit -m "New model, and what it was trained on"')
def commit(
    name: Name = None,
    message: Annotated[str, typer.Option("--message", "-m", help="What changed, and why.")] = "",
    lock: Annotated[bool, typer.Option("--lock", help=f"Write {LOCK_FILE} as well, to be committed to git.")] = False,
    file: LockFile = None,
    json: Json = False,
) -> None:
    """Give the project's present state a name for ever, once both sides agree.

    In mode manual: write down what the next push says, which makes the commit.

    Exits 1 when the last commit has this state already, as git does.
    """
    if not message.strip():
        raise Failure("A commit needs a message.", hint='dorkyctl commit -m "what changed, and why"')
    if file is not None:
        _keep_others(file)
    with DorkyClient() as client:
        project = targets.project_name(client, name)
        if client.status(project).projects[0].manual is not None:
            write_down(client, project, message, json=json)
            return
        reply = client.send(commit_calls.commit(project, message))
        made = reply.value
        if json:
            emit(reply.body)
        else:
            show(f"[{made.seq} {made.id[:SHOWN]}] {_title(made)} ({made.files} files, {size(made.bytes)})")
        for path in made.conflicts:
            say(f"It holds a conflict copy: {path}")
        if lock or file is not None:
            _write_lock(client, project, made.id, file)


@app.command("commits", epilog="Example: dorkyctl commits api -n 20")
def list_commits(
    name: Name = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=100_000, help="How many of the last.")] = 100,
    json: Json = False,
) -> None:
    """List commits, the newest first: id, time, author, files, and the first line of the message."""
    with DorkyClient() as client:
        project = targets.project_name(client, name)
        reply = client.send(commit_calls.commits(project, limit=lines))
        if json:
            emit(reply.body)
            return
        for item in reply.value.items:
            amount = f"{item.files:>6} files {size(item.bytes):>10}"
            show(f"{item.id[:SHOWN]}  {item.time}  {item.author} ({item.device})  {amount}  {_title(item)}")
        if not reply.value.items:
            show(f"There are no commits in {project} yet.")


@app.command(epilog="Example: dorkyctl checkout 3fa9c1d2 data/")
def checkout(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME:]ID PATH...", help="A commit, and what of it; default: all.")
    ] = None,
    locked: Annotated[bool, typer.Option("--locked", help=f"Exactly what {LOCK_FILE} says, or fail.")] = False,
    file: LockFile = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Edits that are not in the bucket may go to the trash.")
    ] = False,
    json: Json = False,
) -> None:
    """Make the folder what a commit was, as new changes that go to everybody. What is replaced goes to the trash.

    Without PATH, files that the commit does not have are taken out as well. The beginning of an ID is enough.
    """
    given = words or []
    if (locked and len(given) > 1) or not (locked or given):
        raise typer.BadParameter("give ID and perhaps PATH..., or --locked and perhaps NAME")
    with DorkyClient() as client:
        if locked:
            project = targets.project_name(client, given[0] if given else None)
            text = _read_lock(_lock_file(client, project, file))
            call = commit_calls.checkout(project, None, lock=text, overwrite=overwrite)
        else:
            project, commit_id = _commit(client, given[0])
            paths = [_inside(client, project, path) for path in given[1:]]
            call = commit_calls.checkout(project, commit_id, paths, overwrite=overwrite)
        reply = client.send(call)
    done = reply.value
    if json:
        emit(reply.body)
    else:
        what = f"{done.placed} {'file' if done.placed == 1 else 'files'} put in place, {done.taken_out} taken out, {done.same} were the same"
        show(f"{project} is at commit {done.seq} ({done.id[:SHOWN]}): {what}.")
    for unlike in done.unlike:
        say(f"Not as the commit has it: {unlike.path}: {unlike.why}")
    if done.unlike:
        raise typer.Exit(Exit.ATTENTION)


@app.command(epilog="Example: dorkyctl lock --commit 3fa9c1d2")
def lock(
    name: Name = None,
    commit: Annotated[str | None, typer.Option(help="Which commit; default: the last.")] = None,
    file: LockFile = None,
    json: Json = False,
) -> None:
    """Write the lock file that git shall carry: the project, the commit, and what each file is."""
    if file is not None and not json:
        _keep_others(file)
    with DorkyClient() as client:
        project = targets.project_name(client, name)
        if json:
            emit(client.send(commit_calls.lock(project, commit)).body)
            return
        _write_lock(client, project, commit, file)


@app.command(epilog="Example: dorkyctl gc api --keep-last 50 --dry-run")
def gc(
    name: Name = None,
    keep_last: Annotated[int | None, typer.Option(min=1, help="Commits to keep, the newest.")] = None,
    keep_days: Annotated[float | None, typer.Option(min=0, help="Keep commits younger than this.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Remove commits past the retention given here, and contents that no commit has needed for a day.

    A commit stays when either rule keeps it; without a rule all do. The last one, and those of the last day, always stay.
    Contents go in two runs at least a day apart, so that no commit that is just being made loses any.
    """
    with DorkyClient() as client:
        project = targets.project_name(client, name)
        if (keep_last is not None or keep_days is not None) and not dry_run and not yes:
            _ask(client, project, keep_last, keep_days)
        call = commit_calls.collect(project, keep_last=keep_last, keep_days=keep_days, dry_run=dry_run)
        reply = client.send(call)
    if json:
        emit(reply.body)
        return
    done = reply.value
    would = "Would remove" if dry_run else "Removed"
    show(f"{would} {len(done.commits)} commits, and {done.removed} contents ({size(done.removed_bytes)}).")
    if done.condemned:
        amount = f"{done.condemned} contents ({size(done.condemned_bytes)})"
        show(f"{amount} are needed by no commit: gc removes them when it runs a day from now or later.")
    if done.timeless:
        say("This store tells no times, so that nothing is ever old enough to be removed.")


def _ask(client: DorkyClient, project: str, keep_last: int | None, keep_days: float | None) -> None:
    count = len(client.collect(project, keep_last=keep_last, keep_days=keep_days, dry_run=True).commits)
    if not count:
        return
    if not sys.stdin.isatty():
        raise Failure(f"{count} commits would be removed for good.", hint="Say --yes.")
    if not typer.confirm(f"Remove {count} commits for good?", err=True):
        raise Failure("Nothing was removed.")


# --- diff ------------------------------------------------------------------------------------------------------------


def are_ids(first: str, second: str | None) -> bool:
    """The words of `diff` mean commits: they can be ids, and the first is no file here."""
    ids = _ID.fullmatch(first) is not None and (second is None or _ID.fullmatch(second) is not None)
    return ids and not os.path.lexists(first)


def diff_last(*, json: bool) -> None:
    """Show what differs between the last commit and what the bucket holds now."""
    with DorkyClient() as client:
        project = targets.project_name(client, None)
        last = client.commits(project, limit=1).items
    if not last:
        raise Failure(f"There are no commits in {project} yet.", hint='dorkyctl commit -m "..."')
    diff(f"{project}:{last[0].id}", None, json=json)


def diff(first: str, second: str | None, *, json: bool) -> None:
    """Show what differs between two commits, or between one and what the bucket holds now."""
    with DorkyClient() as client:
        project, old = _commit(client, first)
        reply = client.send(commit_calls.commit_diff(project, old, second))
    if json:
        emit(reply.body)
        return
    for item in reply.value.items:
        mark = {"added": "A", "removed": "D", "changed": "M", "mode": "m", "unknown": "?"}[item.kind]
        was = f"{size(item.before_size)} -> " if item.kind == "changed" and item.before_size is not None else ""
        bits = ""
        if item.kind == "mode" and item.mode is not None and item.before_mode is not None:
            bits = f"  {item.before_mode:03o} -> {item.mode:03o}"
        amount = "encrypted" if item.size is None else size(item.size)
        show(f"{mark}  {item.path}  {was}{amount}{bits}")
        if item.waits:
            say(f"Whether {item.path} differs is not known here: {item.waits}")
    if not reply.value.items:
        show("No difference.")


# --- inside ----------------------------------------------------------------------------------------------------------


def _title(item: CommitItem) -> str:
    return item.message.partition("\n")[0]


def _commit(client: DorkyClient, text: str) -> tuple[str, str]:
    name, colon, commit_id = text.rpartition(":")
    return (name, commit_id) if colon else (targets.project_name(client, None), commit_id)


def _inside(client: DorkyClient, project: str, text: str) -> str:
    """A path inside the project, as any program would be given it, or from the project's root."""
    with contextlib.suppress(Failure):
        meant = targets.target(client, text)
        if meant.project == project:
            return meant.path
    return text


def _lock_file(client: DorkyClient, project: str, file: Path | None) -> Path:
    if file is not None:
        return file
    folder = next((one.path for one in client.projects() if one.name == project), None)
    if folder is None:
        raise Failure(f"There is no project {project}.", hint="`dorkyctl status` lists them.")
    return Path(folder) / LOCK_FILE


def _read_lock(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise Failure(
            f"Cannot read {file}: {reason}.", hint="`dorkyctl lock` writes it.", exit_code=Exit.ERROR
        ) from exc


def _keep_others(file: Path) -> None:
    """Raise where a file stands that is no lock file."""
    if file.name == LOCK_FILE or not os.path.lexists(file):
        return
    try:
        decode_lock(file.read_text(encoding="utf-8"))
    except (Refused, OSError, UnicodeDecodeError) as exc:
        raise Failure(
            f"{file} is there already, and is no lock file.",
            hint="name another, or move it away first",
            exit_code=Exit.GUARD,
        ) from exc


def _write_lock(client: DorkyClient, project: str, commit_id: str | None, file: Path | None) -> None:
    """Whole or not at all: it may be read by another program at any time."""
    place = _lock_file(client, project, file)
    document = client.send(commit_calls.lock(project, commit_id)).value
    staged = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        staged.write_text(document.text, encoding="utf-8")
        staged.replace(place)
    except OSError as exc:
        staged.unlink(missing_ok=True)
        raise Failure(f"Cannot write {place}: {exc.strerror}.", exit_code=Exit.ERROR) from exc
    say(f"Wrote {place} for commit {document.commit[:SHOWN]}.")
