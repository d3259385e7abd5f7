"""Which project, and which path in it, a person means.

A project is named, or it is the one whose folder the command is run in, or the only one there is. A path is written
`NAME:PATH`, or as any other program takes it: relative to the working directory, or absolute. Outside every project's
folder, and when there is only one project, it is relative to that project's folder.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dorkyd.api.messages import ProjectStatus
from dorkyd.cli.app import Failure
from dorkyd.client.places import Target, holding, inside, tidy, working_directory

if TYPE_CHECKING:
    from dorkyd.client import DorkyClient
    from dorkyd.client.brief import BriefClient


def project_name(client: DorkyClient | BriefClient, given: str | None) -> str:
    """The project that is meant. Raises `Failure` when that cannot be told."""
    if given is not None:
        return given
    projects = client.projects()
    here = holding(projects, working_directory())
    if here is not None:
        return here.name
    if len(projects) == 1:
        return projects[0].name
    raise _which(projects)


def target(client: DorkyClient | BriefClient, text: str) -> Target:
    """The path that is meant."""
    return locate(client.projects(), text)


def locate(projects: Sequence[ProjectStatus], text: str) -> Target:
    """The path that `text` means, given the projects there are. Raises `Failure` when that cannot be told."""
    name, colon, rest = text.partition(":")
    if colon and any(each.name == name for each in projects):
        return Target(name, tidy(rest))
    here = inside(projects, text, working_directory())
    if here is not None:
        return here
    if len(projects) == 1 and not Path(text).is_absolute():
        return Target(projects[0].name, tidy(text))
    raise Failure(
        f"{text} is in no project's folder.",
        hint="Write NAME:PATH, or run this inside a project's folder. " + _known(projects),
    )


def prefix(client: DorkyClient | BriefClient, words: Sequence[str]) -> Target:
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


def _which(projects: Sequence[ProjectStatus]) -> Failure:
    if not projects:
        return Failure("There are no projects yet.", hint="Run `dorkyctl up FOLDER`.")
    return Failure("Which project?", hint="Name one, or run this inside its folder. " + _known(projects))


def _known(projects: Sequence[ProjectStatus]) -> str:
    return f"There are: {', '.join(each.name for each in projects) or 'none'}."
