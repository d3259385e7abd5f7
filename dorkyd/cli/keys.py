"""Commands for keys: this machine's own, and a project's.

The own key is a file of this user's, and these commands read and write it themselves: no secret goes through the daemon, but
for the passphrase of `key unlock`. A secret is printed where a person asked for it, and once: the recovery key, when it is made.
"""

from __future__ import annotations

import getpass
import json as js
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dorkyd.api import calls
from dorkyd.api.failures import ApiError
from dorkyd.cli import targets
from dorkyd.cli.app import Exit, Failure, Json, Name, app, emit, say, show
from dorkyd.cli.telling import piped
from dorkyd.client import DorkyClient, Reply
from dorkyd.errors import DorkyError

if TYPE_CHECKING:
    from dorkyd.api.messages import Team
    from dorkyd.keys import KeyHome, OwnKey

key_app = typer.Typer(
    help="Keys: this machine's own, and the project's.\n\nExample: dorkyctl key show",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(key_app, name="key")

Project = Annotated[str | None, typer.Option("--project", help="The project; may be left out inside its folder.")]
Protected = Annotated[bool, typer.Option("--passphrase", help="Ask for a passphrase that protects the key's file.")]


def _home() -> KeyHome:
    # YAML and cryptography take a while to load.
    from dorkyd import config  # noqa: PLC0415
    from dorkyd.keys import KeyHome  # noqa: PLC0415

    return KeyHome(config.key_folder(config.find_homes(os.environ)))


def _own(home: KeyHome) -> OwnKey | None:
    try:
        return home.own()
    except DorkyError as exc:
        raise Failure(str(exc), hint=exc.hint, exit_code=Exit.CREDENTIALS) from exc


def _new_phrase(*, wanted: bool) -> str | None:
    if not wanted:
        return None
    phrase = _asked("Passphrase: ")
    if sys.stdin.isatty() and _asked("Once more: ") != phrase:
        raise Failure("the two are not the same")
    if not phrase:
        raise Failure("an empty passphrase protects nothing")
    return phrase


def _asked(prompt: str) -> str:
    """From a terminal unseen, else the first line of standard input: never from an argument, which others can see."""
    return getpass.getpass(prompt) if sys.stdin.isatty() else piped().readline().rstrip("\n")


@key_app.command("init", epilog="Example: dorkyctl key init")
def init(
    member: Annotated[str | None, typer.Option(help="Your name on the member list; default: your user name.")] = None,
    project: Project = None,
    passphrase: Protected = False,
    new: Annotated[
        bool, typer.Option("--new", help="Make a new key although there is one; it is kept beside.")
    ] = False,
    reveal: Annotated[bool, typer.Option("--reveal", help="With --json: the recovery key too.")] = False,
    json: Json = False,
) -> None:
    """Make this machine's key if it has none, and the project's keys if it has none.

    Prints the project's recovery key, once: whoever has it reads everything. Keep it off this machine, on paper. With --json
    and without --reveal it is not printed: it waits in a file, which is named, until this is run again. May be repeated.
    """
    from dorkyd.keys import new_identity, own_key  # noqa: PLC0415

    home = _home()
    if new or not home.file.exists():
        home.keep(new_identity().encode(), phrase=_new_phrase(wanted=passphrase))
        say(f"Made this machine's key: {home.file}")
    own = _own(home)
    assert own is not None
    with DorkyClient() as client:
        name = targets.project_name(client, project)
        recovery, file = home.recovery(name)
        share = own_key(recovery.encode()).share
        try:
            reply = client.send(calls.begin_keys(name, member or _user_name(), share))
        except ApiError as exc:
            if exc.code != "keys-exist":
                raise
            reply = client.send(calls.team(name))
            if not any(person.key == share for person in reply.value.members):
                if reply.value.members:
                    file.unlink(missing_ok=True)  # of no project
                _join(name, reply, own, json=json)
                return
            # Made here under another key of this machine: the recovery key is right, and nobody was shown it.
        if json:
            body = js.loads(reply.body)
            emit(js.dumps({**body, "recovery": recovery} if reveal else body).encode())
        else:
            show(f"{name} has keys. Their fingerprint, for your teammates and .dorky.yaml:")
            show(f"  {reply.value.fingerprint}")
            show("The recovery key, shown this once. Whoever has it reads everything; keep it on paper:")
            show(f"  {recovery}")
        if json and not reveal:
            say(f"The recovery key is in {file}: take it off this machine. Whoever has it reads everything.")
        else:
            file.unlink(missing_ok=True)


def _user_name() -> str:
    word = "".join(c for c in getpass.getuser().lower() if c.isascii() and (c.isalnum() or c in "._-"))
    return word.lstrip("._-") or "me"


def _join(name: str, reply: Reply[Team], own: OwnKey, *, json: bool) -> None:
    if json:
        emit(reply.body)
        return
    if any(person.me for person in reply.value.members):
        show(f"{name} has keys, and this machine's key is on its member list.")
        return
    show(f"{name} has keys already. Give this to a teammate, who runs: dorkyctl team add YOURNAME 'KEY'")
    show(f"  {own.share}")
    if reply.value.trouble:
        show(reply.value.trouble)
        show(f"  {reply.value.hint}")


@key_app.command("show", epilog="Example: dorkyctl key show")
def show_key(json: Json = False) -> None:
    """Print the public part of this machine's key: what a teammate needs to add you."""
    home = _home()
    own = _own(home)
    if own is None:
        raise Failure("this machine has no key", hint="dorkyctl key init", exit_code=Exit.CREDENTIALS)
    if json:
        emit(js.dumps({"key": own.share, "recipient": own.recipient, "file": str(home.file)}).encode())
    else:
        show(own.share)


@key_app.command("import", epilog="Example: dorkyctl key import ~/.ssh/id_ed25519")
def import_key(
    file: Annotated[
        str, typer.Argument(help="An age identity or a private SSH key (ed25519, RSA); `-`: standard input.")
    ],
    passphrase: Protected = False,
    json: Json = False,
) -> None:
    """Use a key that you have: your own of another machine, an SSH key, or a recovery key. The one of before stays beside."""
    try:
        data = piped().buffer.read() if file == "-" else Path(file).expanduser().read_bytes()
    except OSError as exc:
        raise Failure(f"{file} cannot be read: {exc.strerror}") from exc
    home = _home()
    try:
        own = home.keep(data, phrase=_new_phrase(wanted=passphrase))
    except DorkyError as exc:
        raise Failure(str(exc), hint=exc.hint) from exc
    if json:
        emit(js.dumps({"key": own.share, "recipient": own.recipient, "file": str(home.file)}).encode())
    else:
        show(f"This machine's key is now {own.recipient}")


@key_app.command("export", epilog="Example: dorkyctl key export identity.txt")
def export(
    file: Annotated[str | None, typer.Argument(help="Where to write it, 0600; nothing may be there.")] = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Print it on standard output instead.")] = False,
) -> None:
    """Write this machine's private key to a file, for a backup, another machine of yours, or stock age."""
    if (file is None) != reveal:
        raise Failure("say where to write it, or --reveal to print it")
    try:
        data = _home().export()
    except DorkyError as exc:
        raise Failure(str(exc), hint=exc.hint, exit_code=Exit.CREDENTIALS) from exc
    if file is None:
        sys.stdout.buffer.write(data)
        return
    try:
        fd = os.open(Path(file).expanduser(), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as exc:
        raise Failure(f"{file} cannot be written: {exc.strerror}") from exc
    try:
        with os.fdopen(fd, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
    except OSError as exc:
        Path(file).expanduser().unlink()
        raise Failure(f"{file} cannot be written: {exc.strerror}") from exc
    say(f"Wrote {file}. Whoever has it reads what you can read.")


@key_app.command("unlock", epilog="Example: dorkyctl key unlock")
def unlock(
    keyring: Annotated[
        bool | None,
        typer.Option(
            "--keyring/--no-keyring",
            help="Have your system's keyring keep the passphrase for the next start, or no longer.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Open this machine's key, which a passphrase protects, until the daemon ends; with --keyring, at each start."""
    with DorkyClient() as client:
        reply = client.send(calls.unlock(_asked("Passphrase: "), keyring=keyring))
        if json:
            emit(reply.body)
        else:
            show("The key is open.")


@key_app.command("trust", epilog="Example: dorkyctl key trust 0f1e2d3c-4b5a6978-8796a5b4-c3d2e1f0-01234567")
def trust(
    fingerprint: Annotated[str, typer.Argument(help="As a teammate's `dorkyctl team list` shows it.")],
    project: Project = None,
    json: Json = False,
) -> None:
    """Trust the project's keys: their fingerprint is the one that a teammate told you, by another way than the bucket."""
    with DorkyClient() as client:
        name = targets.project_name(client, project)
        reply = client.send(calls.trust(name, fingerprint))
        if json:
            emit(reply.body)
        else:
            tell(name, reply.value)


@app.command(epilog="Example: dorkyctl encrypt '.env*' '*.pem'")
def encrypt(
    patterns: Annotated[list[str] | None, typer.Argument(help="As in .gitignore; none: list them.")] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="New files that match need not be encrypted any more.")
    ] = False,
    project: Project = None,
    json: Json = False,
) -> None:
    """Encrypt what matches, for the whole team: objects that are there too. What is encrypted stays so."""
    with DorkyClient() as client:
        name = targets.project_name(client, project)
        given = patterns or []
        call = calls.encrypt(name, () if remove else given, given if remove else ()) if given else calls.team(name)
        reply = client.send(call)
        if json:
            emit(reply.body)
            return
        for pattern in reply.value.patterns:
            show(pattern)
        if given and not remove:
            say(
                "What matches is encrypted from now on. Versions from before, and copies in the bucket's trash, stay readable:"
            )
            say("  change secrets that were there in plain at their source, and delete old versions if that matters.")


def tell(name: str, team: Team) -> None:
    """The member list, for a person."""
    if not team.number:
        show(team.trouble or f"{name} has no keys yet. Make them with: dorkyctl key init")
        if team.hint:
            show(f"  {team.hint}")
        return
    show(f"fingerprint {team.fingerprint}")
    show(f"epoch {team.epoch}, change {team.number} of the list")
    for member in team.members:
        notes = ", ".join(word for word, on in (("you", member.me), ("reads only", not member.may_change)) if on)
        show(f"  {member.name}{f' ({notes})' if notes else ''}  {member.key}")
    show("encrypted: " + (", ".join(team.patterns) or "nothing"))
    if team.pending:
        show(f"{team.pending} objects are still to be encrypted to this epoch")
    if team.trouble:
        show(f"here: {team.trouble}")
        show(f"  {team.hint}")


team_app = typer.Typer(
    help="Who may read what is encrypted.\n\nExample: dorkyctl team list", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(team_app, name="team")


@team_app.command("list", epilog="Example: dorkyctl team list")
def list_team(name: Name = None, json: Json = False) -> None:
    """List the members, the fingerprint, and what is encrypted."""
    with DorkyClient() as client:
        project = targets.project_name(client, name)
        reply = client.send(calls.team(project))
        if json:
            emit(reply.body)
        else:
            tell(project, reply.value)


@team_app.command("add", epilog="Example: dorkyctl team add bob 'age1…:…'")
def add(
    member: Annotated[str, typer.Argument(help="What they are called on the list.")],
    key: Annotated[str, typer.Argument(help="Their public key, by `dorkyctl key show`; or a public SSH key.")],
    project: Project = None,
    json: Json = False,
) -> None:
    """Let a teammate read everything that is encrypted, from before too."""
    with DorkyClient() as client:
        name = targets.project_name(client, project)
        reply = client.send(calls.add_member(name, member, key))
        if json:
            emit(reply.body)
        else:
            show(f"{member} can read what {name} encrypts. They compare the fingerprint: {reply.value.fingerprint}")


@team_app.command("remove", epilog="Example: dorkyctl team remove bob")
def remove_member(
    member: Annotated[str, typer.Argument(help="Who is to be taken off the list.")],
    project: Project = None,
    json: Json = False,
) -> None:
    """Take somebody off the list: what is written from now on they cannot read. Prints what they could read until now."""
    with DorkyClient() as client:
        name = targets.project_name(client, project)
        reply = client.send(calls.remove_member(name, member))
        if json:
            emit(reply.body)
            return
        show(
            f"{member} cannot read what is written from now on. Files are being encrypted anew ({reply.value.pending} left)."
        )
        show("This cannot be undone: what they could read they may have copied, and old versions stay readable to them")
        show("as long as they can reach the bucket. Take their access to it away, and change these at their source:")
        for path in reply.value.rotate:
            show(f"  {path}")
