"""Commands that begin: `init` for the first of a team, `invite` for its repository, `join` for everybody after."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dorkyd.api import calls, prospect_calls
from dorkyd.api.messages import AddRequest
from dorkyd.api.prospect_messages import Prospect, ProspectRequest
from dorkyd.cli import asking, beginnings, processes, targets
from dorkyd.cli.app import Exit, Failure, Json, Name, app, emit, say, show
from dorkyd.cli.lifecycle import follow, there
from dorkyd.cli.projects import folder_argument
from dorkyd.cli.units import ago, plural, size
from dorkyd.client import DorkyClient
from dorkyd.core.settings import Mode

if TYPE_CHECKING:
    from dorkyd.api.messages import Finding

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing, and take what is suggested.")]
Endpoint = Annotated[str | None, typer.Option(help="Of an S3-compatible store.")]
Region = Annotated[str | None, typer.Option(help="The bucket's region.")]
Profile = Annotated[str | None, typer.Option(help="AWS profile that has the credentials.")]
ProjectName = Annotated[str | None, typer.Option(help="The project's name; default: the folder's.")]

CODES = {
    "auth": Exit.CREDENTIALS,
    "denied": Exit.CREDENTIALS,
    "temporary": Exit.TEMPORARY,
    "rate-limited": Exit.TEMPORARY,
    "unsafe-store": Exit.GUARD,
    "integrity": Exit.INTEGRITY,
}
"""How a command ends that a finding ends; any other: an error."""
HERE = "this machine only"


@app.command(epilog="Example: dorkyctl init ~/code/api/private --bucket s3://acme-artifacts/api")
def init(
    folder: Annotated[str | None, typer.Argument(help="The folder to sync.")] = None,
    bucket: Annotated[
        str | None, typer.Option(help="s3://bucket/prefix, gs://bucket/prefix or file:///directory.")
    ] = None,
    *,
    name: ProjectName = None,
    endpoint_url: Endpoint = None,
    region: Region = None,
    profile: Profile = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Begin a project, step by step: folder, bucket, rights, what to ignore, git.

    Each right is tried on throw-away objects before anything is synced. Off a terminal it asks nothing
    and wants --yes.
    """
    ask = not yes and asking.is_person()
    if not yes and not ask:
        raise Failure(
            "Nobody is here to answer questions.",
            hint="Run it again with --yes, FOLDER and --bucket URL.",
            exit_code=Exit.GUARD,
        )
    path = folder_argument(asking.word("Which folder?", folder or ".") if ask and folder is None else folder or ".")
    if ask and bucket is None:
        said = asking.word("Which bucket? s3://…, gs://…, file:///…, or empty for a directory on this machine", HERE)
        bucket = None if said in {"", HERE} else said
    with processes.running_daemon() as client:
        if (already := there(client, path)) is not None:
            raise Failure(
                f"{path} is synced already, as {already.name}, with {already.bucket}.",
                hint=f"dorkyctl status {already.name}",
            )
        if bucket is not None:
            found = _tried(
                client,
                ProspectRequest(bucket=bucket, endpoint_url=endpoint_url, region=region, profile=profile, try_it=True),
            )
            bucket = found.bucket
            if found.project is not None:
                _tell(found)
                asking.agreed("A project was begun there already. Join it with this folder?", yes=yes)
        _ignore(path, yes=yes)
        _keep_from_git(path, yes=yes)
        asking.agreed(f"Sync {path} with {bucket or HERE}?", yes=yes)
        new = AddRequest(path=path, bucket=bucket, name=name, endpoint_url=endpoint_url, region=region, profile=profile)
        project = client.send(calls.add(new)).value
        say(f"Added {project.name}: {project.path} → {project.bucket}")
        code = follow(client, project.name, json=json)
        if bucket is not None:
            say(f"For your teammates: dorkyctl invite {project.name}, or they run: dorkyctl join {project.bucket}")
    raise typer.Exit(code)


@app.command(epilog="Example: dorkyctl join s3://acme-artifacts/api ~/code/api/private")
def join(
    url: Annotated[str, typer.Argument(help="The bucket and prefix of the project.")],
    folder: Annotated[str | None, typer.Argument(help="Default: one here, called as the end of URL.")] = None,
    *,
    name: ProjectName = None,
    mode: Annotated[Mode | None, typer.Option(help="As for `add`.")] = None,
    endpoint_url: Endpoint = None,
    region: Region = None,
    profile: Profile = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Join a project that a teammate began: shows what is there, asks, and syncs it into FOLDER.

    Nothing in either place is overwritten: of two different files both are kept.
    """
    wish = ProspectRequest(bucket=url, endpoint_url=endpoint_url, region=region, profile=profile)
    with processes.running_daemon() as client:
        found = _tried(client, wish)
        if found.project is not None and mode is not Mode.PULL:
            found = _tried(client, wish.model_copy(update={"try_it": True}))
        if found.project is None:
            raise Failure(
                f"No project was begun at {found.bucket}.",
                hint=f"To begin one: dorkyctl init FOLDER --bucket {found.bucket}",
            )
        path = os.path.realpath(os.path.expanduser(folder or found.bucket.rstrip("/").rpartition("/")[2]))
        if (already := there(client, path)) is not None:
            raise Failure(
                f"{path} is synced already, as {already.name}, with {already.bucket}.",
                hint=f"dorkyctl status {already.name}",
            )
        _tell(found)
        if os.path.isdir(path):
            held = beginnings.look(path)
            if held.files:
                say(
                    f"  {path} holds {plural(held.files, 'file')} ({size(held.bytes)}): equal ones are joined, others are sent; of two that differ both are kept"
                )
        asking.agreed(f"Sync {path} with it?", yes=yes)
        made = not os.path.isdir(path)
        if made:
            os.makedirs(path)
        new = AddRequest(
            path=folder_argument(path),
            bucket=found.bucket,
            name=name,
            mode=mode.value if mode else None,
            endpoint_url=endpoint_url,
            region=region,
            profile=profile,
        )
        try:
            project = client.send(calls.add(new)).value
        except BaseException:
            if made:
                os.rmdir(path)
            raise
        say(f"Added {project.name}: {project.path} → {project.bucket}")
        code = follow(client, project.name, json=json)
    raise typer.Exit(code)


@app.command(epilog="Example: dorkyctl invite api")
def invite(
    name: Name = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Replace a .dorky.yaml that says something else.")] = False,
    json: Json = False,
) -> None:
    """Write the folder's .dorky.yaml for git: bucket, project and key fingerprint, no secret.

    In a clone that has it, `dorkyctl up` is enough.
    """
    from dorkyd.config_team import TeamFile, read_team_file, write_team_file  # noqa: PLC0415  YAML is for few commands
    from dorkyd.errors import Configuration  # noqa: PLC0415

    with DorkyClient() as client:
        project = targets.project_name(client, name)
        status = next(each for each in client.projects() if each.name == project)
        reply = client.send(prospect_calls.invitation(project))
    told = TeamFile(reply.value.bucket, reply.value.project, reply.value.fingerprint)
    if told.project is None:
        raise Failure(
            f"{project} has not met its bucket yet, so there is nothing to join.",
            hint=f"dorkyctl sync {project} --wait",
            exit_code=Exit.TEMPORARY,
        )
    if told.bucket.startswith("file://"):
        say(f"Teammates need the same directory at the same place: {told.bucket}")
    try:
        before = read_team_file(status.path)
    except Configuration:
        before = TeamFile("something that cannot be read")
    if before not in {None, told}:
        assert before is not None
        say(
            f"{status.path}/.dorky.yaml names {before.bucket}, project {before.project or '-'}, keys {before.fingerprint or '-'}"
        )
        asking.agreed(f"Replace it by {told.bucket}, project {told.project}, keys {told.fingerprint or '-'}?", yes=yes)
    file = write_team_file(status.path, told)
    if json:
        emit(reply.body)
        return
    show(f"{'Unchanged: ' if before == told else 'Wrote '}{file}")
    repository = beginnings.repository(status.path)
    if repository is None:
        say(f"It is in no git repository: hand it to your teammates, or the command: dorkyctl join {told.bucket}")
    elif beginnings.ignores(status.path, file.name):
        say(f"git ignores it. Add it all the same: git -C {status.path} add -f {file.name}")
    else:
        say(f"Commit it: git -C {status.path} add {file.name}")


def _tried(client: DorkyClient, wish: ProspectRequest) -> Prospect:
    """What is there; every right and condition tried, when asked for. Raises `Failure` for one that is missing."""
    say(f"Looking at {wish.bucket} …" if not wish.try_it else f"Trying {wish.bucket} … (a few throw-away objects)")
    found = client.send(prospect_calls.prospect(wish)).value
    for finding in found.findings:
        say(f"  {'ok ' if finding.ok else 'BAD'} {finding.detail}")
    bad = [finding for finding in found.findings if not finding.ok]
    fatal = next(
        (finding for finding in bad if finding.check.startswith("bucket") and finding.check != "bucket-settings"), None
    )
    if fatal is not None:
        raise _unusable(fatal)
    return found


def _unusable(finding: Finding) -> Failure:
    hint = finding.hint
    if finding.check == "bucket-write" and finding.code == "denied":
        hint += "\n  To have the files and never write: dorkyctl join, or add, with --mode pull"
    return Failure(finding.detail, hint=hint, exit_code=CODES.get(finding.code, Exit.ERROR))


def _tell(found: Prospect) -> None:
    say(f"{found.bucket}: project {found.project}")
    some = ", ".join(found.names)
    more = "at least " if found.more else ""
    last = "" if found.newest is None else f", the last change {ago(found.newest)}"
    say(f"  {more}{plural(found.files, 'file')} ({size(found.bytes)}){last}" + (f": {some} …" if some else ""))
    if found.fingerprint is not None:
        say(f"  it has keys; their fingerprint, to compare with a teammate: {found.fingerprint}")


def _ignore(path: str, *, yes: bool) -> None:
    """Offer lines for `.dorkyignore`."""
    seen = beginnings.look(path)
    say(f"{path}: {'at least ' if seen.more else ''}{plural(seen.files, 'file')} ({size(seen.bytes)})")
    if not seen.suggested:
        return
    for one in seen.suggested:
        say(f"  {one.pattern:<24} {plural(one.files, 'file')} ({size(one.bytes)}): {one.why}")
    if asking.chosen(f"Ignore these, in {beginnings.IGNORE_FILE}, for the whole team?", yes=yes):
        beginnings.add_lines(Path(path) / beginnings.IGNORE_FILE, [one.pattern for one in seen.suggested])


def _keep_from_git(path: str, *, yes: bool) -> None:
    """Offer lines for the repository's `.gitignore`."""
    found = beginnings.exposed(path)
    if found is None:
        return
    file = found.top / ".gitignore"
    if not found.lines:
        say(
            f"  {path} is a whole git repository: sync would carry what git tracks. A folder in it, which git ignores, is better."
        )
        return
    say(f"  {path} is in the git repository {found.top}, which would take its files")
    if asking.chosen(f"Add {' and '.join(found.lines)} to {file}?", yes=yes):
        beginnings.add_lines(file, list(found.lines))
        say(f"  added to {file}")
