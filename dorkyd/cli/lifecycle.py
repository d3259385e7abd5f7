"""`dorkyctl up` and `dorkyctl stop`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from dorkyd.api import calls
from dorkyd.api.messages import AddRequest, ProjectStatus
from dorkyd.cli import processes
from dorkyd.cli.app import Exit, Failure, Json, app, complain, emit, say, show
from dorkyd.cli.projects import code_of_sync, folder_argument
from dorkyd.cli.waiting import wait_for_sync
from dorkyd.client import DorkyClient

TEAM_FILE = ".dorky.yaml"
"""What a team commits to git: bucket, project id and key fingerprint of the folder."""


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
    bucket = bucket or _team_bucket(path, yes=yes)
    with processes.running_daemon() as client:
        project = _there(client, path)
        if project is None:
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
        say(f"Syncing {project.name} … (it goes on in the background if you interrupt this)")
        result = wait_for_sync(client, project.name, None).value
        status = client.send(calls.status(project.name))
        if json:
            emit(status.body)
        else:
            from dorkyd.cli import table  # noqa: PLC0415  rich costs every other command its start-up

            table.show(status.value)
        if not result.converged:
            complain(f"{project.name}: {result.state.value}. {result.detail}", result.hint)
        raise typer.Exit(code_of_sync(result))


def _there(client: DorkyClient, path: str) -> ProjectStatus | None:
    return next((each for each in client.projects() if os.path.realpath(each.path) == path), None)


def _team_bucket(path: str, *, yes: bool) -> str | None:
    """The bucket that the folder's `.dorky.yaml` names, once a person agreed to it; None: there is no such file.

    Whoever can write to the repository can name a bucket there, so this folder's files never go to it unasked.
    """
    file = Path(path) / TEAM_FILE
    try:
        document = _parsed(file.read_text(encoding="utf-8"), file)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        raise Failure(f"{file} cannot be read.", exit_code=Exit.CONFIGURATION) from exc
    bucket = document.get("bucket") if isinstance(document, dict) else None
    if not isinstance(bucket, str) or not bucket:
        raise Failure(
            f"{file} names no bucket.",
            hint="Write `bucket: s3://bucket/prefix` in it, or remove it and give --bucket.",
            exit_code=Exit.CONFIGURATION,
        )
    say(f"{file} names this bucket:\n  {bucket}")
    if yes:
        return bucket
    if not sys.stdin.isatty():
        raise Failure(
            "Nobody is here to say whether this folder may go to that bucket.",
            hint="Run it again with --yes if it may, or with --bucket URL for another.",
            exit_code=Exit.GUARD,
        )
    if not typer.confirm("Sync this folder with it?", err=True):
        raise Failure("Nothing was added.", exit_code=Exit.GUARD)
    return bucket


def _parsed(text: str, file: Path) -> Any:
    import yaml  # noqa: PLC0415  only here

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise Failure(f"{file} is not valid YAML.", hint="Correct or remove it.", exit_code=Exit.CONFIGURATION) from exc


@app.command(epilog="Example: dorkyctl stop")
def stop(json: Json = False) -> None:
    """End the daemon, and wait until it is gone. Nothing is lost: it goes on where it was when started again."""
    with DorkyClient() as client:
        reply = processes.stop(client)
        if json:
            emit(reply.body)
        else:
            show("The daemon has stopped.")
