"""Directories that only this user can enter, whatever the umask says and whoever was there first.

A mode given to mkdir(2) holds for the last component alone, and `exist_ok` says nothing of whose directory it is. So each
missing component is made with its mode, and the one that is there is judged by what stands there, not by what its name
led to: a link to somewhere else is refused.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dorkyd.errors import Configuration

_MODE = 0o700


def make_private(folder: Path) -> None:
    """Make `folder` and its missing parents, 0700 each; one that is ours already is tightened to 0700.

    `Configuration` when it is a symlink, no directory, or another user's: what lies in it could be theirs.
    """
    make_parents(folder)
    try:
        folder.mkdir(mode=_MODE)
    except FileExistsError:
        pass
    except OSError as exc:
        raise _wrong(f"The directory cannot be made: {folder}: {exc.strerror}") from exc
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as exc:
        # ELOOP and ENOTDIR (Linux says the latter for a link, too); without the right to read it is not ours either.
        what = "is a symlink" if folder.is_symlink() else f"cannot be used: {exc.strerror}"
        raise _wrong(f"The directory {folder} {what}") from exc
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            raise _wrong(f"The directory belongs to another user: {folder}")
        os.fchmod(fd, _MODE)
    finally:
        os.close(fd)
    _tighten(folder.parent)


def make_parents(folder: Path) -> None:
    """Make what is missing above `folder`, 0700 each. What is there stays as it is."""
    for parent in reversed(folder.parents):
        try:
            parent.mkdir(mode=_MODE)
        except FileExistsError:
            continue
        except OSError as exc:
            # Something below a path that is there and cannot be asked: the next step says what is wrong with it.
            if not parent.exists():
                raise _wrong(f"The directory cannot be made: {parent}: {exc.strerror}") from exc


def _tighten(parent: Path) -> None:
    """Nobody else may put another directory under the name of ours: a parent of ours loses `o+w`, unless it is sticky."""
    seen = parent.stat()
    if seen.st_uid == os.geteuid() and seen.st_mode & stat.S_IWOTH and not seen.st_mode & stat.S_ISVTX:
        parent.chmod(stat.S_IMODE(seen.st_mode) & ~stat.S_IWOTH)


def _wrong(message: str) -> Configuration:
    return Configuration(
        message, hint="Set DORKY_HOME or XDG_RUNTIME_DIR to a directory of yours.", code="private-directory"
    )
