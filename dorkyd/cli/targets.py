"""Which project, and which path in it, a person means.

A project is named, or it is the one whose folder the command is run in, or the only one there is. A path is written
`NAME:PATH`, or as any other program takes it: relative to the working directory, or absolute. Outside every project's
folder, and when there is only one project, it is relative to that project's folder.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dorkyd.api.messages import ProjectStatus
from dorkyd.cli.app import Failure
from dorkyd.client import DorkyClient


class Target(NamedTuple):
    """A path in a project."""

    project: str
    path: str
    """Relative to the project's folder, POSIX, NFC; empty: the folder itself."""


def project_name(client: DorkyClient, given: str | None) -> str:
    """The project that is meant. Raises `Failure` when that cannot be told."""
    if given is not None:
        return given
    projects = client.projects()
    here = _holding(projects, _working_directory())
    if here is not None:
        return here.name
    if len(projects) == 1:
        return projects[0].name
    raise _which(projects)


def target(client: DorkyClient, text: str) -> Target:
    """The path that is meant."""
    return locate(client.projects(), text)


def locate(projects: Sequence[ProjectStatus], text: str) -> Target:
    """The path that `text` means, given the projects there are. Raises `Failure` when that cannot be told."""
    name, colon, rest = text.partition(":")
    if colon and any(each.name == name for each in projects):
        return Target(name, _tidy(rest))
    cwd = _working_directory()
    absolute = Path(os.path.normpath(Path(cwd or os.sep) / text))
    # The last component stays as it is: the path may itself be a link. Its folder is resolved, as the project's is.
    real = Path(os.path.realpath(absolute.parent)) / absolute.name
    for candidate in (str(absolute), str(real)):
        home = _holding(projects, candidate)
        if home is not None:
            return Target(home.name, _tidy(os.path.relpath(candidate, _folder(home, candidate))))
    if len(projects) == 1 and not Path(text).is_absolute():
        return Target(projects[0].name, _tidy(text))
    raise Failure(
        f"{text} is in no project's folder.",
        hint="Write NAME:PATH, or run this inside a project's folder. " + _known(projects),
    )


def prefix(client: DorkyClient, words: Sequence[str]) -> Target:
    """The project and prefix that `ls` means: none, NAME, PREFIX, NAME PREFIX or NAME:PREFIX."""
    projects = client.projects()
    names = {each.name for each in projects}
    if len(words) == 2:
        return Target(words[0], unicodedata.normalize("NFC", words[1]))
    if not words or words[0] in names:
        return Target(words[0] if words else project_name(client, None), "")
    found = locate(projects, words[0])
    # Tidying drops the slash that tells the folder `d/` from everything that begins with `d`.
    slash = "/" if found.path and words[0].endswith("/") else ""
    return Target(found.project, found.path + slash)


def _tidy(path: str) -> str:
    tidy = os.path.normpath(path) if path else "."
    return unicodedata.normalize("NFC", "" if tidy == "." else tidy.replace(os.sep, "/"))


def _holding(projects: Sequence[ProjectStatus], path: str | None) -> ProjectStatus | None:
    if path is None:
        return None
    return next((each for each in projects if _folder(each, path) is not None), None)


def _folder(project: ProjectStatus, path: str) -> str | None:
    """The project's folder as `path` spells it; None: `path` is not in it."""
    for folder in (project.path, os.path.realpath(project.path)):
        if path == folder or path.startswith(folder.rstrip(os.sep) + os.sep):
            return folder
    return None


def _working_directory() -> str | None:
    """None: it was removed under us."""
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return None


def _which(projects: Sequence[ProjectStatus]) -> Failure:
    if not projects:
        return Failure("There are no projects yet.", hint="Run `dorkyctl up FOLDER`.")
    return Failure("Which project?", hint="Name one, or run this inside its folder. " + _known(projects))


def _known(projects: Sequence[ProjectStatus]) -> str:
    return f"There are: {', '.join(each.name for each in projects) or 'none'}."
