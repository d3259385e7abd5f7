"""Commands that move single artifacts to and from the bucket, without their project's folder: put, get, meta."""

from __future__ import annotations

import json as jsonlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from dorkyd.api.failures import ApiError, Failed, NotFound
from dorkyd.api.messages import ArtifactItem, ProjectStatus
from dorkyd.cli import targets
from dorkyd.cli.app import Exit, Failure, Json, app, complain, emit, say, show
from dorkyd.cli.progress import shown
from dorkyd.cli.telling import exit_of, leave_quietly, piped
from dorkyd.cli.units import pairs, size
from dorkyd.client import DorkyClient, Fetched
from dorkyd.client.bodies import Source
from dorkyd.client.places import Target

T = TypeVar("T")

PIPE = "-"
OURS = (".dorky", ".git")
"""Folders that are never stored."""
PAGE = 5000

AtOnce = Annotated[int, typer.Option("--jobs", "-j", min=1, max=64, help="Transfers at one time.")]


# --- put --------------------------------------------------------------------------------------------------------------


@app.command(epilog="Example: dorkyctl put model.bin reports/ api:2026/ --meta run=17")
def put(
    words: Annotated[list[str], typer.Argument(metavar="FILE... [NAME:PATH]", help="Files, folders, or - for a pipe.")],
    meta: Annotated[list[str] | None, typer.Option("--meta", metavar="KEY=VALUE", help="May be repeated.")] = None,
    if_match: Annotated[str | None, typer.Option(metavar="VERSION", help="Only if it replaces this version.")] = None,
    jobs: AtOnce = 8,
    json: Json = False,
) -> None:
    """Store files in the bucket; they then appear in the project's folder. Returns once the bucket has them.

    NAME:PATH is the artifact's path; with a closing /, with several files, or with a folder, it is the folder they go
    into, where folders keep their name. Without it a file inside a project's folder keeps its path and is awaited, and
    another takes its own name in the only project.
    """
    own = pairs(meta or [])
    with DorkyClient() as client:
        sources, to = _split(client.projects(), words)
        found = list(_sources(sources, to))
        if if_match is not None and (len(found) != 1 or to is None):
            raise Failure("--if-match is for one file and its NAME:PATH.")
        with shown("storing", len(found), client) as totals:
            if if_match is not None:
                ((source, place),) = found
                send: Callable[[], Sequence[ArtifactItem | ApiError]] = lambda: [
                    client.upload(source, place, own or None, if_match=if_match, progress=totals)
                ]
            else:
                sending = [(source, place) if place is not None else source for source, place in found]
                send = lambda: client.upload_many(
                    sending, metadata=own or None, concurrency=jobs, progress=totals, return_exceptions=True
                )
            outcomes = totals.watched(send)
    names = [str(source) if isinstance(source, Path) else "the pipe" for source, _ in found]
    told = lambda item, _: f"Stored {item.path} ({size(item.size)}, version {item.version})."
    _tell(outcomes, names, told, lambda item, _: item.model_dump_json().encode(), json=json)


def _split(projects: Sequence[ProjectStatus], words: Sequence[str]) -> tuple[Sequence[str], Target | None]:
    """What to send, and where to: the last word, when it begins with a project's name and a colon."""
    name, colon, _ = words[-1].partition(":")
    if not colon or not any(each.name == name for each in projects):
        if len(words) > 1 and colon and not os.path.lexists(words[-1]):
            there = ", ".join(each.name for each in projects) or "none"
            raise Failure(f"{words[-1]} is no file, and {name} no project.", hint=f"There are: {there}.")
        return words, None
    if len(words) == 1:
        raise Failure("There is nothing to store.", hint="Write: dorkyctl put FILE... NAME:PATH")
    return words[:-1], Target(name, words[-1].partition(":")[2])


def _sources(words: Sequence[str], to: Target | None) -> Iterator[tuple[Source, str | None]]:
    """Every file that the words mean, and its place."""
    into = to is not None and (len(words) > 1 or any(os.path.isdir(word) for word in words))
    for word in words:
        if word == PIPE:
            if to is None or into or not to.path or to.path.endswith("/"):
                raise Failure("A pipe has no name.", hint="Write: dorkyctl put - NAME:PATH")
            yield piped().buffer, str(to)
            continue
        path = Path(word)
        if not path.is_dir():
            yield path, None if to is None else _below(to, path.name) if into else str(to)
            continue
        top = path.resolve().name
        for file in _files(path):
            name = "/".join([top, *file.relative_to(path).parts])
            yield file, None if to is None else _below(to, name)


def _below(folder: Target, name: str) -> str:
    return f"{folder}{'' if not folder.path or folder.path.endswith('/') else '/'}{name}"


def _files(folder: Path) -> Iterator[Path]:
    """The files below, in order. Links and special files are told of, not followed."""

    def trouble(exc: OSError) -> None:
        raise Failure(f"{exc.filename} cannot be read: {exc.strerror}", exit_code=Exit.ERROR) from exc

    for here, folders, files in os.walk(folder, onerror=trouble):
        folders[:] = sorted(each for each in folders if each not in OURS)
        links = [each for each in folders if Path(here, each).is_symlink()]
        for name in sorted([*files, *links]):
            file = Path(here, name)
            if file.is_symlink() or not file.is_file():
                say(f"Left out, since it is no plain file: {file}")
            else:
                yield file


# --- get --------------------------------------------------------------------------------------------------------------


@app.command(epilog="Example: dorkyctl get api:2026/model.bin api:reports/ out/")
def get(
    words: Annotated[
        list[str], typer.Argument(metavar="NAME:PATH... [DEST]", help="Artifacts; a closing / means all below.")
    ],
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace files that are there and differ.")] = False,
    jobs: AtOnce = 8,
    json: Json = False,
) -> None:
    """Fetch artifacts from the bucket, verified, into DEST: a file, a folder (several go below it), or - for a pipe.

    The default is the working directory. A file that is there and differs is kept, unless --force is given.
    """
    with DorkyClient() as client:
        projects = client.projects()
        asked, dest = words, "."
        if len(words) > 1 and not any(words[-1].startswith(f"{each.name}:") for each in projects):
            asked, dest = words[:-1], words[-1]
        wanted = list(_wanted(client, [_asked(projects, word) for word in asked], dest))
        if dest == PIPE:
            _to_pipe(client, wanted, json=json)
            return
        if not force:
            _keep_what_differs(client, wanted)
        with shown("fetching", len(wanted), client) as totals:
            outcomes = client.download_many(wanted, concurrency=jobs, progress=totals, return_exceptions=True)
    told = lambda fetched, target: f"Fetched {target} ({size(fetched.size)}) to {fetched.path}."
    _tell(outcomes, [target for target, _ in wanted], told, _fetched, json=json)


def _fetched(fetched: Fetched, target: str) -> bytes:
    document = {
        "path": target.partition(":")[2],
        "digest": fetched.digest,
        "size": fetched.size,
        "version": fetched.version,
        "dest": os.fspath(fetched.path or PIPE),
    }
    return jsonlib.dumps(document).encode()


def _asked(projects: Sequence[ProjectStatus], word: str) -> Target:
    found = targets.locate(projects, word)
    # Tidying drops the slash that tells a folder from a file.
    return Target(found.project, found.path + "/") if found.path and word.endswith("/") else found


def _wanted(client: DorkyClient, asked: Sequence[Target], dest: str) -> Iterator[tuple[str, Path]]:
    """Every artifact, and the file that it becomes."""
    folder = len(asked) > 1 or dest.endswith("/") or os.path.isdir(dest)
    for target in asked:
        if target.path and not target.path.endswith("/"):
            yield str(target), Path(dest, target.path.rpartition("/")[2]) if folder else Path(dest)
            continue
        # A folder keeps its own name; the whole project has none.
        above = target.path.rstrip("/").rpartition("/")[0]
        found = list(_below_prefix(client, target))
        if not found:
            raise NotFound(f"There is nothing below {target}.", code="no-such-artifact", hint="dorkyctl ls --remote")
        for path in found:
            yield f"{target.project}:{path}", Path(dest, path.removeprefix(f"{above}/") if above else path)


def _below_prefix(client: DorkyClient, target: Target) -> Iterator[str]:
    after: str | None = ""
    while after is not None:
        page = client.files(target.project, target.path, after=after, limit=PAGE, remote=True)
        yield from (item.path for item in page.items)
        after = page.next


def _to_pipe(client: DorkyClient, wanted: Sequence[tuple[str, Path]], *, json: bool) -> None:
    if len(wanted) != 1 or json:
        raise Failure("A pipe takes one artifact, and no --json.")
    with shown("fetching", 1, client) as totals:
        try:
            client.download(wanted[0][0], sys.stdout.buffer, progress=totals)
        except Failed as exc:
            if isinstance(exc.__cause__, BrokenPipeError):
                leave_quietly()
            raise
        sys.stdout.buffer.flush()


def _keep_what_differs(client: DorkyClient, wanted: Sequence[tuple[str, Path]]) -> None:
    """Refuses before anything is fetched."""
    from hashlib import file_digest  # noqa: PLC0415  only where something is in the way

    for target, dest in wanted:
        if dest.is_dir():
            raise Failure(f"{dest} is a folder.", hint="Give another DEST.")
        if not dest.exists():
            continue
        with dest.open("rb") as there:
            digest = f"sha256:{file_digest(there, 'sha256').hexdigest()}"
        if client.stat(target).digest != digest:
            raise Failure(
                f"{dest} is there and differs from {target}.",
                hint="Give another DEST, or replace it with --force.",
                exit_code=Exit.GUARD,
            )


# --- meta -------------------------------------------------------------------------------------------------------------


@app.command(epilog="Example: dorkyctl meta api:2026/model.bin stage=checked")
def meta(
    path: Annotated[str, typer.Argument(metavar="PATH", help="NAME:PATH, or a path in a project's folder.")],
    changes: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE...", help="What to set.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", metavar="KEY", help="What to take away.")] = None,
    if_match: Annotated[str | None, typer.Option(metavar="VERSION", help="Only if this version is there.")] = None,
    json: Json = False,
) -> None:
    """Show an artifact and its metadata, or change the metadata: given keys are merged in, the bytes stay."""
    wanted: dict[str, str | None] = {**pairs(changes or []), **dict.fromkeys(remove or [])}
    with DorkyClient() as client:
        target = str(targets.target(client, path))
        item = client.update_metadata(target, wanted, if_match=if_match) if wanted else client.stat(target)
    if json:
        emit(item.model_dump_json().encode())
        return
    show(f"{item.path}: {size(item.size)}, {item.media_type}")
    show(f"  version     {item.version}")
    show(f"  digest      {item.digest or '-'}")
    show(f"  updated     {item.updated_at or '-'} by {item.updated_by or 'another tool'}")
    for name, value in sorted(item.metadata.items()):
        show(f"  {name} = {value}")


# --- what became of it ------------------------------------------------------------------------------------------------


def _tell(
    outcomes: Sequence[T | ApiError],
    names: Sequence[str],
    told: Callable[[T, str], str],
    body: Callable[[T, str], bytes],
    *,
    json: bool,
) -> None:
    """Print what was done. A single failure is the command's own; of several each is told, and the first is the exit code."""
    code = Exit.OK
    for outcome, name in zip(outcomes, names, strict=True):
        if not isinstance(outcome, ApiError):
            if json:
                emit(body(outcome, name))
            else:
                show(told(outcome, name))
            continue
        if len(outcomes) == 1:
            raise outcome
        if json and outcome.body:
            emit(outcome.body)
        complain(f"{name}: {outcome}", outcome.hint)
        code = code or exit_of(outcome)
    if code:
        raise typer.Exit(code)
