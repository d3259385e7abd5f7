"""What a folder is before it is synced: the files in it, what of them is better ignored, and whether git would publish it."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dorkyd.core.model import Path as OurPath
from dorkyd.core.suggestions import Suggestion, suggestions

MOST_SEEN = 200_000
GIT_S = 20
IGNORE_FILE = ".dorkyignore"


@dataclass(frozen=True, slots=True)
class Seen:
    """A folder's files, without what is ignored in any case."""

    files: int
    bytes: int
    more: bool
    """There are more: they were not all looked at."""
    suggested: tuple[Suggestion, ...]


def look(folder: str) -> Seen:
    """Walk it. Names that are no paths of ours, and what cannot be read, are the daemon's to tell."""
    from dorkyd.core.ignore import IgnoreRules  # noqa: PLC0415  costs more than the rest of a command

    written = Path(folder) / IGNORE_FILE
    # As it will be, so that nothing is suggested that somebody wrote already.
    rules = IgnoreRules((), written.read_text(errors="replace")) if written.is_file() else IgnoreRules()
    found: list[tuple[OurPath, int]] = []
    for where, folders, names in os.walk(folder):
        below = os.path.relpath(where, folder)
        at = "" if below == "." else f"{below}/"
        folders[:] = [each for each in folders if not rules.skip(OurPath(at + each), True)]
        for each in names:
            path = OurPath(at + each)
            try:
                seen = os.lstat(os.path.join(where, each))
            except OSError:
                continue
            if not rules.skip(path, False):
                found.append((path, seen.st_size))
        if len(found) >= MOST_SEEN:
            return Seen(len(found), sum(size for _, size in found), True, tuple(suggestions(found)))
    return Seen(len(found), sum(size for _, size in found), False, tuple(suggestions(found)))


def add_lines(file: Path, lines: list[str]) -> None:
    """Append lines to a text file, which may be new or end without a line break."""
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    seam = "" if not before or before.endswith("\n") else "\n"
    with file.open("a", encoding="utf-8") as stream:
        stream.write(seam + "".join(f"{line}\n" for line in lines))


@dataclass(frozen=True, slots=True)
class Exposed:
    """A git repository that would take the folder's files."""

    top: Path
    lines: tuple[str, ...]
    """What its .gitignore needs; empty: the folder is the whole repository, and no line can say it."""


def exposed(folder: str) -> Exposed | None:
    """None: there is no git, no repository around the folder, or it ignores what is in it."""
    root = repository(folder)
    if root is None or ignores(folder, "a-file-that-sync-brings"):
        return None
    below = Path(os.path.relpath(folder, os.path.realpath(root))).as_posix()
    if below == ".":
        return Exposed(root, ())
    # Not the folder itself: of an ignored folder git sees nothing, and .dorky.yaml is for git.
    return Exposed(root, (f"/{below}/*", f"!/{below}/.dorky.yaml"))


def repository(folder: str) -> Path | None:
    """The top of the git repository around it; None: there is none, or no git."""
    top = _git(folder, "rev-parse", "--show-toplevel")
    return None if top is None else Path(top.removesuffix("\n"))


def ignores(folder: str, name: str) -> bool:
    """Whether git would not see a file of this name in it."""
    return _git(folder, "check-ignore", "-q", name) is not None


def _git(folder: str, *words: str) -> str | None:
    """What it said; None: it failed, or is not installed."""
    git = shutil.which("git")
    if git is None:
        return None
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")} | {"LC_ALL": "C"}
    command = [git, "-C", folder, "-c", "core.fsmonitor=false", "--no-optional-locks", *words]
    try:
        done = subprocess.run(  # noqa: S603  fixed words and the folder's own path
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=GIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    return os.fsdecode(done.stdout) if done.returncode == 0 else None
