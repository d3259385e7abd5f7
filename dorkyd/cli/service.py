"""`dorkyctl service`: have the daemon started at login, by systemd or launchd.

These commands talk to the service manager, not to the daemon, which need not run; `--json` prints what they found.
"""

from __future__ import annotations

import dataclasses
import json as js
from typing import Annotated

import typer

from dorkyd.api.failures import NotRunning
from dorkyd.cli import processes
from dorkyd.cli.app import Exit, Failure, Json, app, say, show
from dorkyd.cli.processes import service_manager
from dorkyd.client import DorkyClient
from dorkyd.service import Unwritable
from dorkyd.service_managers import Failed, Manager, Standing, Unreachable

service_app = typer.Typer(
    help="Have the daemon started at login, by systemd or launchd.\n\nExample: dorkyctl service install",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(service_app, name="service")

LINGER = "It ends when you log out. To keep it then, too: loginctl enable-linger"


@service_app.command("install", epilog="Example: dorkyctl service install")
def install(json: Json = False) -> None:
    """Start the daemon now and at every login. Run it again after an upgrade: it is restarted.

    Writes a user unit (a launchd agent on a Mac) with absolute paths, PATH, and DORKY_HOME if set.
    """
    at = service_manager()
    try:
        changed = at.write()
        say(f"{'Wrote' if changed else 'Unchanged:'} {at.file}")
        before = at.standing()
        if not before.trouble:
            _stop_another(before)
        at.start()
    except Unwritable as exc:
        raise Failure(f"The service cannot be written: {exc}", exit_code=Exit.CONFIGURATION) from exc
    except OSError as exc:
        raise Failure(f"{at.file} cannot be written: {exc.strerror}", exit_code=Exit.ERROR) from exc
    except Unreachable as exc:
        if not json:
            show(at.text().decode().rstrip("\n"), lines=True)
        raise _unreached(at, exc) from exc
    except Failed as exc:
        known = exc.code in set(Exit) and exc.code != Exit.OK
        raise Failure(
            f"The daemon was not started by {at.name}: {exc}",
            hint="Its last words: dorkyctl logs",
            exit_code=exc.code if known and exc.code is not None else Exit.ERROR,
        ) from exc
    _tell(at.standing(), json=json)


def _stop_another(standing: Standing) -> None:
    """End a daemon of this home that somebody else started: the service's would find its place taken."""
    with DorkyClient() as client:
        try:
            running = client.health().daemon.pid
        except NotRunning:
            return
        if running != standing.pid:
            say(f"Ending the daemon that runs as process {running}; the service takes over.")
            processes.stop(client)


def _unreached(at: Manager, exc: Unreachable) -> Failure:
    steps = "\n    ".join(exc.then)
    why = "This happens under su, sudo, cron and in containers" if at.name == "systemd" else "This happens over ssh"
    return Failure(
        f"{at.name} does not answer here, so nothing was started: {exc}",
        hint=f"{why}. {at.file} is in place; log in as yourself and run `dorkyctl service install` again, or:\n    {steps}",
        exit_code=Exit.TEMPORARY,
    )


@service_app.command("uninstall", epilog="Example: dorkyctl service uninstall")
def uninstall(json: Json = False) -> None:
    """End the daemon, and start it at login no more. Folders, buckets and settings stay as they are."""
    at = service_manager()
    try:
        there = at.remove()
    except Unreachable as exc:
        steps = "\n    ".join(exc.then)
        raise Failure(
            f"{at.file} is removed, but {at.name} does not answer here: {exc}",
            hint=f"A daemon that it started runs on until you log out. To end it now: dorkyctl stop. Then, in your session:\n    {steps}",
            exit_code=Exit.TEMPORARY,
        ) from exc
    except Failed as exc:
        raise Failure(f"{at.name}: {exc}", hint="Look again: dorkyctl service status", exit_code=Exit.ERROR) from exc
    if json:
        print(js.dumps({"manager": at.name, "file": str(at.file), "removed": there}))
    else:
        show(f"Removed {at.file}; nothing else was changed." if there else f"There was no {at.file}.")


@service_app.command("status", epilog="Example: dorkyctl service status")
def status(json: Json = False) -> None:
    """Say whether the service is installed, runs, and is what this version would install.

    Exits 6 when it is not installed or does not run, 4 when it should be installed anew.
    """
    standing = service_manager().standing()
    _tell(standing, json=json)
    if not standing.running:
        raise typer.Exit(Exit.NOT_RUNNING)
    raise typer.Exit(Exit.OK if standing.current else Exit.ATTENTION)


@service_app.command("print", epilog="Example: dorkyctl service print")
def print_(json: Annotated[bool, typer.Option("--json", help="With the file's place, as JSON.")] = False) -> None:
    """Print the unit or agent that `install` would write, and write nothing."""
    at = service_manager()
    try:
        text = at.text().decode()
    except Unwritable as exc:
        raise Failure(f"The service cannot be written: {exc}", exit_code=Exit.CONFIGURATION) from exc
    if json:
        print(js.dumps({"manager": at.name, "file": str(at.file), "text": text}))
    else:
        show(text.rstrip("\n"), lines=True)


def _tell(standing: Standing, *, json: bool) -> None:
    if json:
        print(js.dumps(dataclasses.asdict(standing)))
        return
    if not standing.installed:
        show("The service is not installed. To have the daemon started at login: dorkyctl service install")
        return
    show(f"{standing.file}: {_state(standing)}")
    if not standing.current:
        show("  It differs from what this version would write. To bring it up to date: dorkyctl service install")
    if standing.state and not standing.at_login:
        show("  It is not started at login: dorkyctl service install")
    if not standing.running and standing.exit_code:
        show(f"  The daemon last ended with {standing.exit_code}: dorkyctl logs")
    if standing.lingers is False:
        show(f"  {LINGER}")


def _state(standing: Standing) -> str:
    if standing.trouble:
        return f"installed; {standing.manager} does not answer here: {standing.trouble}"
    told = standing.state or "not loaded"
    return told if standing.pid is None else f"{told}, process {standing.pid}"
