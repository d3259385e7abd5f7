"""Walking a folder: every regular file with its stat, and a Problem for all that is neither file nor folder.

A folder that cannot be read is never silence: it yields one Problem at its own path, and what is below it is unknown.
Only what is proven gone (its name no longer there) is left out without a word.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dorkyd.core import paths
from dorkyd.core.model import PERMISSION_BITS, Path, Problem
from dorkyd.dirfd import Missing, open_folder, open_spot, stat_tuple
from dorkyd.errors import PathProblem, Stale, Transient
from dorkyd.faults import denied, fault
from dorkyd.looking import problem, special
from dorkyd.ports import Entry

Skip = Callable[[Path, bool], bool]

_SHORT = 255
"""Characters: a shorter ASCII path has no component too long for a file system and is not too long for a key."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """A folder still to be read."""

    path: str
    """Empty: the root."""
    names: tuple[str, ...]
    """Its components as on disk, which on a folding file system may differ from `path` in Unicode form."""


def scan(root: int, skip: Skip, under: Path | None, *, folds: bool) -> Iterator[Entry | Problem]:
    """As `Folder.scan`, below an open root. Holds one folder open at a time, so neither depth nor breadth costs fds."""
    if under is None:
        first = _Pending("", ())
    else:
        if any(skip(folder, True) for folder in (*paths.ancestors(under), under)):
            return
        try:
            first = _Pending(under, _names_on_disk(root, under, folds=folds))
        except Missing:
            return
        except PathProblem as exc:
            yield problem(under, exc)
            return
    open_at: list[Iterator[Entry | Problem | _Pending]] = [iter([first])]
    while open_at:
        for met in open_at[-1]:
            if not isinstance(met, _Pending):
                yield met
                continue
            try:
                open_at.append(iter(_read(root, met, skip, folds=folds)))
            except Missing:
                continue
            except PathProblem as exc:
                yield problem(Path(met.path), exc)
                continue
            break
        else:
            open_at.pop()


def _read(root: int, folder: _Pending, skip: Skip, *, folds: bool) -> list[Entry | Problem | _Pending]:
    """What one folder holds: what to yield, and where among it the folders below it are to be read, so that all comes in
    the order of the paths.
    """
    prefix = f"{folder.path}/" if folder.path else ""
    problems: list[Entry | Problem | _Pending] = []
    found: dict[str, Entry | _Pending] = {}
    with open_folder(root, folder.names, folder.path) as fd, _unreadable(folder.path), os.scandir(fd) as entries:
        for entry in entries:
            name = unicodedata.normalize("NFC", entry.name) if folds else entry.name
            path = Path(prefix + name)
            # The usual name costs one check: ASCII is UTF-8, and a short path has no long component.
            if len(path) > _SHORT or not path.isascii() or name[0] == "." or "~" in name:
                if paths.is_reserved(name):
                    continue
                if (wrong := _unspeakable(path)) is not None:
                    if not skip(wrong.path, entry.is_dir(follow_symlinks=False)):
                        problems.append(wrong)
                    continue
            is_folder = entry.is_dir(follow_symlinks=False)
            if skip(path, is_folder):
                continue
            if is_folder:
                found[f"{path}/"] = _Pending(path, (*folder.names, entry.name))
                continue
            try:
                info = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            mode = info.st_mode
            if stat.S_ISREG(mode):
                found[path] = Entry._make((path, stat_tuple(info), mode & PERMISSION_BITS))
            elif stat.S_ISDIR(mode):
                raise Stale(f"{path}: became a folder while it was looked at")
            else:
                problems.append(special(path, mode))
    return problems + [found[at] for at in sorted(found)]


def _unspeakable(path: str) -> Problem | None:
    """Why a name met on disk cannot be a path, in a form that can be printed and stored."""
    try:
        paths.parse(path)
    except PathProblem as exc:
        printable = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        return Problem(Path(printable), exc.code, f"{printable}: {exc}", exc.hint)
    return None


@contextmanager
def _unreadable(path: str) -> Iterator[None]:
    """Any failure to list the folder makes all of it unknown; that it is gone proves all of it absent."""
    try:
        yield
    except FileNotFoundError as exc:
        raise Missing(f"{path}: the folder was removed while it was listed") from exc
    except OSError as exc:
        known = fault(exc, path, "read")
        if isinstance(known, Transient) or not path:
            # The root: nothing at all is known, so there is nothing to yield.
            raise known or Stale(f"the folder cannot be listed ({exc.strerror})") from exc
        raise denied(exc, path, "read") from exc


def _names_on_disk(root: int, path: Path, *, folds: bool) -> tuple[str, ...]:
    """The components of `path` as they are on disk."""
    parts = path.split("/")
    if not folds:
        return tuple(parts)
    names: list[str] = []
    for depth in range(1, len(parts) + 1):
        with open_spot(root, "/".join(parts[:depth]), folds=True) as spot:
            if spot.taken_by is not None:
                raise Missing(f"{path}: does not exist under exactly this name")
            names.append(spot.name)
    return tuple(names)
