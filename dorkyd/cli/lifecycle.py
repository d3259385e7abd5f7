"""`dorkyctl up` and `dorkyctl stop`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from dorkyd.api import calls
from dorkyd.api.failures import NotRunning
from dorkyd.api.messages import AddRequest, ProjectStatus
from dorkyd.cli import asking, processes
from dorkyd.cli.app import Exit, Failure, Json, app, complain, emit, say, show
from dorkyd.cli.projects import code_of_sync, folder_argument
from dorkyd.cli.waiting import wait_for_sync
from dorkyd.client import DorkyClient

if TYPE_CHECKING:
    from dorkyd.config_team import TeamFile


@app.command(epilog="Example: dorkyctl up ~/code/api/private --bucket s3://acme-artifacts/api")
def up(
    folder: Annotated[str, typer.Argument(help="The folder to sync.")] = ".",
    bucket: Annotated[str | None, typer.Option(help="Default: one on this machine, until you name another.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Use the bucket that .dorky.yaml names, unasked.")] = False,
    json: Json = False,
) -> None:
    """Start the daemon if needed, add FOLDER, wait for the first sync, print status.

    May be run again: what is there already is left as it is. A folder with a committed
    .dorky.yaml brings its own bucket, which is shown and asked for.
    """
    path = folder_argument(folder)
    told = None if bucket else _team_file(path)
    if told is not None and not yes and not asking.is_person() and not _may_be_synced(path):
        raise _nobody(told)  # before a daemon is started for nothing
    with processes.running_daemon() as client:
        project = there(client, path)
        if project is None:
            if told is not None:
                _join(client, path, told, yes=yes)
                bucket = told.bucket
            project = client.send(calls.add(AddRequest(path=path, bucket=bucket))).value
            say(f"Added {project.name}: {project.path} → {project.bucket}")
            if bucket is None:
                say(
                    f"  This bucket is on this machine only. To share the folder: dorkyctl remove {project.name},"
                    " then dorkyctl up again with --bucket URL."
                )
        elif bucket is not None and bucket.rstrip("/") != project.bucket.rstrip("/"):
            raise Failure(
                f"{path} is synced already, as {project.name}, with another bucket: {project.bucket}",
                hint=f"To change it: dorkyctl remove {project.name}, then up again. That deletes nothing.",
            )
        elif told is not None and told.bucket.rstrip("/") != project.bucket.rstrip("/"):
            say(f"  {path}/.dorky.yaml names another bucket, which is not used: {told.bucket}")
        raise typer.Exit(follow(client, project.name, json=json))


def follow(client: DorkyClient, name: str, *, json: bool) -> Exit:
    """Wait for a sync, print status, and say how to exit."""
    say(f"Syncing {name} … (it goes on in the background if you interrupt this)")
    result = wait_for_sync(client, name, None).value
    status = client.send(calls.status(name))
    if json:
        emit(status.body)
    else:
        from dorkyd.cli import table  # noqa: PLC0415  rich costs every other command its start-up

        table.show(status.value)
    if not result.converged:
        complain(f"{name}: {result.state.value}. {result.detail}", result.hint)
    return code_of_sync(result)


def there(client: DorkyClient, path: str) -> ProjectStatus | None:
    """The project of a folder; None: it is none."""
    return next((each for each in client.projects() if os.path.realpath(each.path) == path), None)


def _team_file(path: str) -> TeamFile | None:
    """What the folder's `.dorky.yaml` says; None: there is none."""
    if not os.path.lexists(os.path.join(path, ".dorky.yaml")):
        return None
    from dorkyd.config_team import read_team_file  # noqa: PLC0415  YAML is for few commands
    from dorkyd.errors import Configuration  # noqa: PLC0415

    try:
        return read_team_file(path)
    except Configuration as exc:
        raise Failure(str(exc), hint=exc.hint, exit_code=Exit.CONFIGURATION) from exc


def _may_be_synced(path: str) -> bool:
    """Where no daemon runs, our marker says that the folder was a project once: only a daemon knows whether it still is."""
    with DorkyClient() as client:
        try:
            return there(client, path) is not None
        except NotRunning:
            return os.path.lexists(os.path.join(path, ".dorky", "folder.json"))


def _join(client: DorkyClient, path: str, told: TeamFile, *, yes: bool) -> None:
    """Let a person agree to the bucket that a repository names, and make sure that it is the project's.

    Whoever can write to the repository can name a bucket there, so this folder's files never go to it unasked.
    """
    from dorkyd.api import prospect_calls  # noqa: PLC0415  only here
    from dorkyd.api.prospect_messages import ProspectRequest  # noqa: PLC0415

    say(f"{path}/.dorky.yaml names this bucket:\n  {told.bucket}")
    if not yes:
        if not asking.is_person():
            raise _nobody(told)
        asking.agreed("Sync this folder with it?", yes=False)
    if told.project is None:
        return
    found = client.send(prospect_calls.prospect(ProspectRequest(bucket=told.bucket))).value
    if found.project != told.project:
        holds = f"holds project {found.project}" if found.project else "holds no project yet"
        raise Failure(
            f"{path}/.dorky.yaml is of project {told.project}, and {found.bucket} {holds}. Nothing was added.",
            hint="Ask a teammate which it should be: `dorkyctl invite` writes the file anew. Or name the bucket: --bucket URL.",
            exit_code=Exit.GUARD,
        )


def _nobody(told: TeamFile) -> Failure:
    return Failure(
        f"Nobody is here to say whether this folder may go to the bucket that .dorky.yaml names: {told.bucket}",
        hint="Run it again with --yes if it may, or with --bucket URL for another.",
        exit_code=Exit.GUARD,
    )


@app.command(epilog="Example: dorkyctl stop")
def stop(json: Json = False) -> None:
    """End the daemon, and wait until it is gone. Nothing is lost: it goes on where it was when started again."""
    with DorkyClient() as client:
        reply = processes.stop(client)
        if json:
            emit(reply.body)
        else:
            show("The daemon has stopped.")
