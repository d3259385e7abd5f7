"""Commands about files: ls, why, check-ignore."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from json import loads
from typing import Annotated

import typer

from dorkyd.api import calls
from dorkyd.api.messages import FileItem
from dorkyd.cli import targets
from dorkyd.cli.app import Failure, Json, app, emit, show
from dorkyd.cli.telling import emit_chunks, show_all
from dorkyd.cli.told import done
from dorkyd.cli.units import length, pairs, size
from dorkyd.client.brief import BriefClient
from dorkyd.core.sizes import size_of
from dorkyd.core.states import FILE_STATES

Path = Annotated[str, typer.Argument(help="PATH as you would give it to any program, or NAME:PATH.")]
PAGE = 5000
ENCRYPTED = {"yes": "its object is encrypted", "when-sent": "a pattern covers it: it leaves this machine encrypted"}
_NEXT = re.compile(rb'"next":\s*(null|"(?:[^"\\]|\\.)*")\s*\}\s*\Z')
JSON_PAGE = 100_000
"""With --json a page is a line, and nearly every project is one."""
ARTIFACTS_PAGE = 10_000


@app.command("ls", epilog="Example: dorkyctl ls api data/")
def list_files(
    words: Annotated[list[str] | None, typer.Argument(metavar="NAME PREFIX", help="Where to look.")] = None,
    remote: Annotated[bool, typer.Option("--remote", help="What the bucket is known to hold.")] = False,
    match: Annotated[list[str] | None, typer.Option("--match", metavar="PATTERN", help="As in .gitignore.")] = None,
    larger: Annotated[
        str | None, typer.Option("--larger", metavar="SIZE", help="At least so many bytes: 10MiB.")
    ] = None,
    smaller: Annotated[str | None, typer.Option("--smaller", metavar="SIZE", help="At most so many bytes.")] = None,
    state: Annotated[
        str | None, typer.Option("--state", metavar="STATE", help=f"One of {', '.join(FILE_STATES)}.")
    ] = None,
    meta: Annotated[list[str] | None, typer.Option("--meta", metavar="KEY=VALUE", help="Artifacts with this.")] = None,
    json: Json = False,
) -> None:
    """List synced files whose path begins with PREFIX: size, state, path.

    With --match, --larger, --smaller and --state those alone that are all of it. With --meta, artifacts in the bucket that have
    all of this metadata, each with what it has. With --json each page of 100,000 files (10,000 artifacts) is a line.
    """
    if words and len(words) > 2:
        raise typer.BadParameter("at most NAME and PREFIX")
    pick = {"match": match or None, "at_least": _bytes(larger), "at_most": _bytes(smaller), "state": state}
    if meta:
        if any(value is not None for value in pick.values()):
            raise typer.BadParameter("--meta goes with no other filter")
        _list_artifacts(words or [], pairs(meta), json=json)
        return
    with BriefClient() as client:
        meant = targets.prefix(client, words or [])
        after: str | None = ""
        while after is not None:
            limit = JSON_PAGE if json else PAGE
            call = calls.files(meant.project, meant.path, after=after, limit=limit, remote=remote, pick=pick)
            if json:
                after = _next(emit_chunks(client.chunks(call)))
            else:
                page = client.send(call).value
                show_all(f"{size(item.size):>10}  {item.state:<8}  {item.path}" for item in page.items)
                after = page.next


def _next(tail: bytes) -> str | None:
    """What follows a page, by the end of its JSON: no more of it is in memory."""
    found = _NEXT.search(tail)
    if found is None:
        raise Failure("The daemon's answer broke off.", hint="Ask again.")
    after: str | None = loads(found[1])
    return after


def _bytes(text: str | None) -> int | None:
    found = size_of(text) if text is not None else None
    if text is not None and found is None:
        raise typer.BadParameter(f"{text!r} is no size: write 10MiB, 1.5GB or 4096")
    return found


def _list_artifacts(words: Sequence[str], meta: Mapping[str, str], *, json: bool) -> None:
    with BriefClient() as client:
        meant = targets.prefix(client, words)
        after: str | None = ""
        while after is not None:
            reply = client.send(
                calls.artifacts(meant.project, meant.path, after=after, limit=ARTIFACTS_PAGE, meta=meta)
            )
            page = reply.value
            if json:
                emit(reply.body)
            else:
                for item in page.items:
                    has = " ".join(f"{name}={value}" for name, value in sorted(item.metadata.items()))
                    show(f"{size(item.size):>10}  {item.path}  {has}")
            after = page.next


@app.command(epilog="Example: dorkyctl why .env")
def why(path: Path, json: Json = False) -> None:
    """Say everything known about one path: is it synced, and if not, why not."""
    with BriefClient() as client:
        meant = targets.target(client, path)
        reply = client.send(calls.why(meant.project, meant.path))
        if json:
            emit(reply.body)
            return
        told = reply.value
        show(f"{told.path}: {told.state}")
        if told.explanation:
            show(f"  {told.explanation}")
        if told.ignored_by:
            show(f"  ignored by  {told.ignored_by}")
        for label, side in (("local", told.local), ("base", told.base), ("remote", told.remote)):
            show(f"  {label:<10}  {_side(side)}")
        if told.encrypted is not None:
            show(f"  encryption  {ENCRYPTED[told.encrypted]}")
        if told.problem is not None:
            show(f"  problem     {told.problem.detail}")
            if told.problem.next_try_s is not None:
                tried = f"tried {told.problem.attempts}x, again in {length(round(told.problem.next_try_s))}"
                show(f"              {tried}")
            if told.problem.hint:
                show(f"              {told.problem.hint}", lines=True)
        if told.last is not None:
            show(f"  last        {done(told.last)}")


def _side(side: FileItem | None) -> str:
    if side is None:
        return "-"
    digest = "digest unknown" if side.digest is None else side.digest[: len("sha256:") + 12]
    version = "" if side.version is None else f", version {side.version}"
    return f"{size(side.size)}, {digest}{version}"


@app.command("check-ignore", epilog="Example: dorkyctl check-ignore build/out.o notes.tmp")
def check_ignore(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Paths of one project.")],
    json: Json = False,
) -> None:
    """Say which rule ignores each path. Exits 0 whether they are ignored or not."""
    with BriefClient() as client:
        projects = client.projects()
        meant = [targets.locate(projects, path) for path in paths]
        if len({each.project for each in meant}) > 1:
            raise Failure("These paths are in different projects.", hint="Ask for one project at a time.")
        reply = client.send(calls.check_ignore(meant[0].project, [each.path for each in meant]))
        if json:
            emit(reply.body)
            return
        for item in reply.value.items:
            show(f"{item.path}: {f'ignored by {item.rule}' if item.ignored else 'not ignored'}")
