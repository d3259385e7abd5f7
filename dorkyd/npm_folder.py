"""A folder of the npm tool `dorky`: its own files in `.dorky/`, and what lies around them. Reading changes nothing.

Its `.dorky/` is ours by name. The two live side by side: no file of one has the name of a file of the other, so ours are made
beside its own. `retire` moves its own below `.dorky/npm/`, where the npm tool no longer finds a project.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from dorkyd import scanning
from dorkyd.core.ignore import IGNORE_FILE, IgnoreRules
from dorkyd.core.model import Path, Problem
from dorkyd.core.npm_dorky import FILES
from dorkyd.core.npm_plan import Folder, Here
from dorkyd.core.paths import ancestors
from dorkyd.dirfd import Spot, look, open_folder, open_root, open_spot, stat_tuple
from dorkyd.durable import fsync
from dorkyd.errors import PathProblem, Refused, Stale
from dorkyd.faults import faults
from dorkyd.looking import open_file
from dorkyd.marker import OURS, read_identity
from dorkyd.ports import Entry
from dorkyd.renames import AtomicRenames, Place

RETIRED = "npm"
"""Its files go to `.dorky/npm/`."""

_MOST_BYTES = 64 * 1024 * 1024
_IGNORE_BYTES = 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_REPLACEMENT = "\ufffd".encode()
_PRIVATE = 0o700


@dataclass(frozen=True, slots=True)
class NpmFiles:
    """What it keeps in `.dorky/`."""

    texts: Mapping[str, str]
    """By name."""
    credentials_mode: int | None
    """Permission bits of credentials.json; None: there is none."""
    retired: bool = False
    """They were read from `.dorky/npm/`."""
    ours: bool = False
    """The folder is a project of ours already."""


def is_npm_folder(root: str) -> bool:
    """The npm tool made this folder's `.dorky/`, and we have not come into it yet."""
    try:
        with open_root(root) as fd, open_folder(fd, (OURS,), OURS) as ours:
            there = {name for name in FILES if look(Spot(ours, name, f"{OURS}/{name}")) is not None}
            return bool(there) and look(Spot(ours, "folder.json", f"{OURS}/folder.json")) is None
    except (Stale, PathProblem):
        return False


def read_files(root: str) -> NpmFiles:
    """Its files. Raises `Refused` (code `no-such-npm-project`) when there are none, `PathProblem` for one that cannot be read."""
    with open_root(root) as fd:
        ours = read_identity(fd) is not None
        for parts, retired in (((OURS,), False), ((OURS, RETIRED), True)):
            texts, mode = _read(fd, parts)
            if texts:
                return NpmFiles(texts, mode, retired=retired, ours=ours)
    raise Refused(
        f"{root} holds no project of the npm tool dorky: there is no {OURS}/{FILES[0]}",
        hint="name the folder that `dorky` was run in; any other is synced with `dorkyctl up FOLDER --bucket URL`",
        code="no-such-npm-project",
    )


def _read(root: int, parts: tuple[str, ...]) -> tuple[dict[str, str], int | None]:
    texts: dict[str, str] = {}
    mode = None
    where = "/".join(parts)
    with suppress(Stale), open_folder(root, parts, where) as folder:
        for name in FILES:
            spot = Spot(folder, name, f"{where}/{name}")
            info = look(spot)
            if info is None:
                continue
            texts[name] = _text(spot, info, _MOST_BYTES)
            if name == FILES[-1]:
                mode = stat.S_IMODE(info.st_mode)
    return texts, mode


def _text(spot: Spot, info: os.stat_result, most: int) -> str:
    if not stat.S_ISREG(info.st_mode):
        raise PathProblem(spot.path, f"{spot.path} is no regular file", code="special")
    if info.st_size > most:
        raise PathProblem(spot.path, f"{spot.path} has more than {most} bytes", code="too-large")
    with open_file(spot, stat_tuple(info)) as fd, faults(spot.path, "read"), os.fdopen(os.dup(fd), "rb") as file:
        return file.read().decode("utf-8", "replace")


def survey(root: str, wanted: Callable[[Path], int | None], tracked: frozenset[Path]) -> Folder:
    """Look at the whole folder.

    `tracked`: what the npm tool was given. `wanted`: the size of the object of a path; None: there is none. A file with an
    object is read for its MD5.
    """
    with open_root(root) as fd:
        text = _ignore_text(fd)
        rules = IgnoreRules((), text)
        above = {folder for path in tracked for folder in ancestors(path)}

        def skip(path: Path, is_folder: bool) -> bool:
            return rules.skip_entry(path, is_folder) and path not in (above if is_folder else tracked)

        files: dict[Path, Here] = {}
        others: dict[Path, int] = {}
        unknown: list[str] = []
        for met in scanning.scan(fd, skip, None, folds=False):
            if isinstance(met, Problem):
                unknown.append(met.detail)
            elif met.path in tracked or met.path == IGNORE_FILE or wanted(met.path) is not None:
                seen = _here(fd, met, read=wanted(met.path) is not None)
                if isinstance(seen, Here):
                    files[met.path] = seen
                else:
                    unknown.append(seen)
            elif not rules.skip(met.path, False):
                others[met.path] = met.stat.size
    return Folder(files, others, tuple(unknown), text)


def _ignore_text(root: int) -> str | None:
    with open_spot(root, IGNORE_FILE, folds=False) as spot:
        info = look(spot)
        return None if info is None else _text(spot, info, _IGNORE_BYTES)


def _here(root: int, met: Entry, *, read: bool) -> Here | str:
    """The file; or why it cannot be read."""
    if not read:
        return Here(met.stat.size)
    old, replaced, last = hashlib.md5(usedforsecurity=False), False, b""
    try:
        with open_spot(root, met.path, folds=False) as spot, open_file(spot, met.stat) as fd, faults(met.path, "read"):
            while chunk := os.read(fd, _CHUNK_BYTES):
                old.update(chunk)
                replaced = replaced or _REPLACEMENT in last + chunk
                last = chunk[1 - len(_REPLACEMENT) :]
    except (Stale, PathProblem) as exc:
        return str(exc)
    return Here(met.stat.size, old.hexdigest(), replaced)


def to_retire(root: str) -> tuple[str, ...]:
    """The names in `.dorky/` that `retire` moves."""
    with open_root(root) as fd, open_folder(fd, (OURS,), OURS) as ours:
        return tuple(name for name in FILES if look(Spot(ours, name, f"{OURS}/{name}")) is not None)


def retire(root: str) -> tuple[str, ...]:
    """Move its files to `.dorky/npm/`; returns their names there. Nothing there is overwritten: a second file of one name
    gets a number. After a crash some have moved; running it again moves the others.
    """
    renames = AtomicRenames()
    with open_root(root) as fd, open_folder(fd, (OURS,), OURS) as ours:
        with faults(f"{OURS}/{RETIRED}", "write"), suppress(FileExistsError):
            os.mkdir(RETIRED, _PRIVATE, dir_fd=ours)
        with open_folder(ours, (RETIRED,), f"{OURS}/{RETIRED}") as aside:
            # Before the credentials come: what keeps git out.
            _keep_git_out(aside)
            there = [name for name in FILES if look(Spot(ours, name, f"{OURS}/{name}")) is not None]
            moved = tuple(_move(renames, ours, aside, name) for name in there)
            with faults(f"{OURS}/{RETIRED}", "write"):
                fsync(aside)
                fsync(ours)
    return moved


def _keep_git_out(aside: int) -> None:
    with faults(f"{OURS}/{RETIRED}/.gitignore", "write"):
        fd = os.open(".gitignore", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=aside)
        with os.fdopen(fd, "wb") as file:
            file.write(b"*\n")
            file.flush()
            fsync(fd)


def _move(renames: AtomicRenames, ours: int, aside: int, name: str) -> str:
    to, number = name, 1
    with faults(f"{OURS}/{name}", "write"):
        while True:
            try:
                renames.place(Place(ours, name), Place(aside, to))
            except FileExistsError:
                number += 1
                to = f"{name}.{number}"
            else:
                return to
