"""Which project, and which path in it, a text means. Pure, but for asking the file system what links lead to.

`NAME:PATH` is a path in a project. Any other text is a file inside a project's folder, as any program takes it; outside of
all folders it is a path in the only project there is.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dorkyd.api.failures import BadRequest
from dorkyd.api.messages import ProjectStatus

_NO_FOLDER = "bucket"
"""The mode of a project that is its bucket alone."""


class Target(NamedTuple):
    """A path in a project."""

    project: str
    path: str
    """Relative to the project's folder, POSIX, NFC; empty: the folder itself."""

    def __str__(self) -> str:
        return f"{self.project}:{self.path}"


def inside(projects: Sequence[ProjectStatus], text: str, cwd: str | None) -> Target | None:
    """The file's path in the project whose folder it lies in; None: it lies in none.

    The last component stays as it is: the path may itself be a link. Its folder is resolved, as the project's is.
    """
    absolute = Path(os.path.normpath(Path(cwd or os.sep) / text))
    real = Path(os.path.realpath(absolute.parent)) / absolute.name
    for candidate in (str(absolute), str(real)):
        home = holding(projects, candidate)
        if home is not None:
            return Target(home.name, tidy(os.path.relpath(candidate, folder_of(home, candidate))))
    return None


def holding(projects: Sequence[ProjectStatus], path: str | None) -> ProjectStatus | None:
    """The project whose folder holds an absolute path."""
    if path is None:
        return None
    return next((each for each in projects if not has_no_folder(each) and folder_of(each, path) is not None), None)


def has_no_folder(project: ProjectStatus) -> bool:
    """It is its bucket alone; the folder that the daemon keeps for it is none for people."""
    return project.mode == _NO_FOLDER


def folder_of(project: ProjectStatus, path: str) -> str | None:
    """The project's folder as `path` spells it; None: `path` is not in it."""
    for folder in (project.path, os.path.realpath(project.path)):
        if path == folder or path.startswith(folder.rstrip(os.sep) + os.sep):
            return folder
    return None


def file_of(projects: Sequence[ProjectStatus], target: Target) -> Path | None:
    """The file in the project's folder; None: there is none, or the folder is not to be seen from here."""
    home = next((each for each in projects if each.name == target.project and not has_no_folder(each)), None)
    file = Path(home.path) / target.path if home is not None else None
    return file if file is not None and os.path.isfile(file) else None


def tidy(path: str) -> str:
    """A relative path in its one form."""
    plain = os.path.normpath(path) if path else "."
    return unicodedata.normalize("NFC", "" if plain == "." else plain.replace(os.sep, "/"))


def working_directory() -> str | None:
    """None: it was removed under us."""
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return None


def named(text: str) -> Target | None:
    """`NAME:PATH`; None: it has no colon."""
    name, colon, rest = text.partition(":")
    return Target(name, unicodedata.normalize("NFC", rest)) if colon and name else None


def only(projects: Sequence[ProjectStatus], path: str) -> Target:
    """A path in the only project. `BadRequest` (`project_required`)."""
    if len(projects) == 1:
        return Target(projects[0].name, unicodedata.normalize("NFC", path))
    there = ", ".join(each.name for each in projects) or "none"
    raise BadRequest(
        f"In which project is {path!r}? There are: {there}.", code="project_required", hint="Write PROJECT:PATH."
    )


def in_folder(target: Target, name: str) -> Target:
    """A target that names a folder (`p:`, `p:d/`) with a file's base name; any other as it is."""
    if target.path and not target.path.endswith("/"):
        return target
    if not name:
        raise BadRequest("The artifact needs a name.", code="name_required", hint="Write to='PROJECT:PATH'.")
    return Target(target.project, target.path + unicodedata.normalize("NFC", name))
