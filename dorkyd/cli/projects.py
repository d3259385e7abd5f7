"""Commands about one project: add, remove, sync, pause, resume, doctor."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dorkyd.api import calls
from dorkyd.api.messages import AddRequest, SyncResult
from dorkyd.cli import targets
from dorkyd.cli.app import Exit, Failure, Json, Name, app, complain, emit, say, show
from dorkyd.cli.units import seconds, speeds
from dorkyd.cli.waiting import wait_for_sync
from dorkyd.client.brief import BriefClient
from dorkyd.core.settings import LEAST_RATE, Mode
from dorkyd.core.sizes import size_of
from dorkyd.core.states import State

OF_STATES = {
    State.HALTED: Exit.ATTENTION,
    State.ERROR: Exit.ATTENTION,
    State.AUTH_EXPIRED: Exit.CREDENTIALS,
}
"""Of a sync that did not converge; any other state passes, so it is temporary."""


def folder_argument(folder: str) -> str:
    """An existing folder's absolute path, links resolved. Raises `Failure`."""
    path = Path(os.path.realpath(Path(folder).expanduser()))
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise Failure(f"{path} {what}.", hint="Name an existing folder; nothing was created or changed.")
    return str(path)


def duration(text: str | None) -> float | None:
    """An option's seconds. Raises a usage error."""
    try:
        return None if text is None else seconds(text)
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from exc


def rate(text: str | None) -> int | None:
    """An option's bytes a second. Raises a usage error."""
    if text is None:
        return None
    size = size_of(text.removesuffix("/s"))
    if size is None or 0 < size < LEAST_RATE:
        raise typer.BadParameter(f"{text!r} is no rate; write 10MiB, 500kB, at least 1KiB, or 0 for no limit")
    return size


def code_of_sync(result: SyncResult) -> Exit:
    """Converged is 0, whatever old conflicts there are."""
    return Exit.OK if result.converged else OF_STATES.get(result.state, Exit.TEMPORARY)


@app.command(epilog="Example: dorkyctl add ~/code/api/private --bucket s3://acme-artifacts/api")
def add(
    folder: Annotated[str, typer.Argument(help="The folder to sync.")],
    bucket: Annotated[str, typer.Option(help="s3://bucket/prefix, gs://bucket/prefix or file:///directory.")],
    *,
    name: Annotated[str | None, typer.Option(help="Its name; default: the folder's.")] = None,
    mode: Annotated[
        Mode | None,
        typer.Option(help="push never writes the folder, pull never the bucket; manual moves nothing by itself."),
    ] = None,
    endpoint_url: Annotated[str | None, typer.Option(help="Of an S3-compatible store.")] = None,
    region: Annotated[str | None, typer.Option(help="The bucket's region.")] = None,
    profile: Annotated[str | None, typer.Option(help="AWS profile that has the credentials.")] = None,
    json: Json = False,
) -> None:
    """Pair FOLDER with a bucket prefix and start syncing it."""
    new = AddRequest(
        path=folder_argument(folder),
        bucket=bucket,
        name=name,
        mode=mode.value if mode else None,
        endpoint_url=endpoint_url,
        region=region,
        profile=profile,
    )
    with BriefClient() as client:
        reply = client.send(calls.add(new))
        if json:
            emit(reply.body)
        else:
            show(f"Added {reply.value.name}: {reply.value.path} → {reply.value.bucket}")


@app.command(epilog="Example: dorkyctl remove api")
def remove(name: Annotated[str, typer.Argument(help="The project.")], json: Json = False) -> None:
    """Forget a project. Deletes nothing, neither in the folder nor in the bucket."""
    with BriefClient() as client:
        reply = client.send(calls.remove(name))
        if json:
            emit(reply.body)
        else:
            show(f"Forgot {name}. Its folder and its bucket are as they were.")


@app.command(epilog="Example: dorkyctl sync api --wait --timeout 10m")
def sync(
    name: Name = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when nothing is left to do.")] = False,
    timeout: Annotated[str | None, typer.Option(help="Wait no longer than this: 30s, 10m.")] = None,
    json: Json = False,
) -> None:
    """Look at both sides now: a whole scan and a whole listing.

    With --wait exits 0 when both sides are equal (old conflicts or not), 4 when a person is
    needed, 8 when credentials are, 5 when it could not finish for now or in time.
    """
    timeout_s = duration(timeout)
    with BriefClient() as client:
        project = targets.project_name(client, name)
        if not wait:
            reply = client.send(calls.sync(project))
            text = f"{project}: looking at both sides."
        else:
            reply = wait_for_sync(client, project, timeout_s)
            text = f"{project}: {reply.value.state.value}. {reply.value.detail}"
        if json:
            emit(reply.body)
        elif not wait or reply.value.converged:
            show(text.rstrip(), lines=True)
        if wait and not reply.value.converged:
            complain(text, reply.value.hint)
            raise typer.Exit(code_of_sync(reply.value))


@app.command(epilog="Example: dorkyctl pause api --for 2h")
def pause(
    name: Name = None,
    length: Annotated[str | None, typer.Option("--for", help="Resume by itself after: 30s, 10m, 2h, 1d.")] = None,
    json: Json = False,
) -> None:
    """Move nothing until resumed; a restart does not end a pause."""
    for_s = duration(length)
    if for_s == 0:
        raise typer.BadParameter("--for must be longer than nothing")
    with BriefClient() as client:
        project = targets.project_name(client, name)
        reply = client.send(calls.pause(project, for_s))
        if json:
            emit(reply.body)
        else:
            show(f"Paused {project}{f' for {length}' if length else ''}. Go on with: dorkyctl resume {project}")


@app.command(epilog="Example: dorkyctl resume api")
def resume(name: Name = None, json: Json = False) -> None:
    """End a pause."""
    with BriefClient() as client:
        project = targets.project_name(client, name)
        reply = client.send(calls.resume(project))
        if json:
            emit(reply.body)
        else:
            show(f"{project}: {reply.value.state.value}")


@app.command(epilog="Example: dorkyctl limit api --up 2MiB --down 0")
def limit(
    name: Name = None,
    up: Annotated[str | None, typer.Option(help="Bytes a second to the bucket: 2MiB, 500kB; 0 is no limit.")] = None,
    down: Annotated[str | None, typer.Option(help="Bytes a second from the bucket.")] = None,
    shared: Annotated[bool, typer.Option("--global", help="Of all projects together, beside each one's own.")] = False,
    json: Json = False,
) -> None:
    """Show the bandwidth limits of NAME, or change them: at once, and in the configuration."""
    rates = {"up": rate(up), "down": rate(down)}
    if shared and name is not None:
        raise typer.BadParameter("--global concerns all projects: name none, or leave it out")
    with BriefClient() as client:
        project = None if shared else targets.project_name(client, name)
        change = any(each is not None for each in rates.values())
        reply = client.send(calls.limit(project, **rates) if change else calls.limits(project))
        if json:
            emit(reply.body)
        else:
            show(f"{project or 'All projects together'}: {speeds(reply.value) or 'no bandwidth limit'}")


@app.command(epilog="Example: dorkyctl doctor api")
def doctor(name: Name = None, json: Json = False) -> None:
    """Check folder, bucket, permissions, clock and limits. Exits 4 when something is wrong."""
    with BriefClient() as client:
        project = targets.project_name(client, name)
        say(f"Checking {project} …")
        reply = client.send(calls.doctor(project, _store_variables()))
        findings = reply.value.items
        if json:
            emit(reply.body)
        else:
            for finding in findings:
                show(f"{'ok  ' if finding.ok else 'BAD '} {finding.check}: {finding.detail}", lines=True)
                if finding.hint:
                    show(f"       {finding.hint}", lines=True)
        raise typer.Exit(Exit.OK if all(finding.ok for finding in findings) else Exit.ATTENTION)


def _store_variables() -> list[str]:
    """The names, and no more, of the variables that a store's SDK would go by here: a service does not see them."""
    return sorted(name for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "CLOUDSDK_", "STORAGE_EMULATOR_")))
